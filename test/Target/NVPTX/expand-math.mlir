// RUN: ssm-opt %s --pass-pipeline='builtin.module(gpu.module(nvptx-expand-math))' \
// RUN:   --split-input-file --verify-diagnostics | FileCheck %s

gpu.module @kernels {
  // CHECK-LABEL: gpu.func @f32(
  // CHECK-NOT: math.
  // CHECK: llvm.call_intrinsic "llvm.nvvm.ex2.approx.ftz.f"
  // CHECK: llvm.call_intrinsic "llvm.sqrt.f32"
  // CHECK: llvm.call_intrinsic "llvm.fabs.f32"
  // CHECK-NOT: math.
  gpu.func @f32(%x: f32) -> f32 {
    %0 = math.exp %x : f32
    %1 = math.sqrt %0 : f32
    %2 = math.absf %1 : f32
    %3 = math.log1p %2 : f32
    %4 = math.tanh %3 : f32
    gpu.return %4 : f32
  }
  // CHECK-LABEL: gpu.func @f64(
  // CHECK-NOT: math.
  // CHECK: gpu.return
  gpu.func @f64(%x: f64) -> f64 {
    %0 = math.exp %x : f64
    %1 = math.cos %0 : f64
    %2 = math.log1p %1 : f64
    %3 = math.erf %2 : f64
    gpu.return %3 : f64
  }
  // A sigmoid has no quotient; others stay exact.
  // CHECK-LABEL: gpu.func @sigmoid(
  // CHECK: llvm.call_intrinsic "llvm.nvvm.rcp.approx.ftz.f"
  // CHECK: arith.divf
  gpu.func @sigmoid(%x: f32) -> f32 {
    %one = arith.constant 1.0 : f32
    %0 = math.exp %x : f32
    %1 = arith.addf %0, %one : f32
    %2 = arith.divf %one, %1 : f32
    %3 = arith.divf %2, %x : f32
    gpu.return %3 : f32
  }
  // Halves are computed in f32.
  // CHECK-LABEL: gpu.func @bf16(
  // CHECK: %[[WIDE:.*]] = arith.extui {{.*}} : i16 to i32
  // CHECK: arith.shli %[[WIDE]]
  // CHECK: llvm.call_intrinsic "llvm.floor.f32"
  // CHECK: arith.truncf {{.*}} f32 to bf16
  gpu.func @bf16(%x: bf16) -> bf16 {
    %0 = math.floor %x : bf16
    gpu.return %0 : bf16
  }
  // Both bf16 of a register become f32 with one instruction each.
  // CHECK-LABEL: gpu.func @halves(
  // CHECK-SAME: %[[WORD:.*]]: i32)
  // CHECK: %[[LOW:.*]] = arith.shli %[[WORD]], %c16
  // CHECK: arith.bitcast %[[LOW]] : i32 to f32
  // CHECK: %[[HIGH:.*]] = arith.andi %[[WORD]], %c-65536
  // CHECK: arith.bitcast %[[HIGH]] : i32 to f32
  gpu.func @halves(%word: i32) -> (f32, f32) {
    %c16 = arith.constant 16 : i32
    %low = arith.trunci %word : i32 to i16
    %0 = arith.bitcast %low : i16 to bf16
    %1 = arith.extf %0 : bf16 to f32
    %shifted = arith.shrui %word, %c16 : i32
    %high = arith.trunci %shifted : i32 to i16
    %2 = arith.bitcast %high : i16 to bf16
    %3 = arith.extf %2 : bf16 to f32
    gpu.return %1, %3 : f32, f32
  }
}

// -----

gpu.module @kernels {
  gpu.func @refused(%x: f64) -> f64 {
    // expected-error@+1 {{on 'f64' has no form on this target: what is computed for every token is computed in f32; choose --dtype f32}}
    %0 = math.powf %x, %x : f64
    gpu.return %0 : f64
  }
}
