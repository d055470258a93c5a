// RUN: ssm-opt %s -ssm-expand-math | FileCheck %s --check-prefixes=CHECK,PORTABLE
// RUN: ssm-opt %s -ssm-expand-math=avx512=true | FileCheck %s --check-prefixes=CHECK,AVX512
// RUN: ssm-opt %s -ssm-expand-math=fast-exp=true | FileCheck %s --check-prefix=FAST
// RUN: ssm-opt %s -ssm-expand-math="fast-exp=true avx512=true" | FileCheck %s --check-prefix=FAST512

// CHECK-LABEL: func @exp
// PORTABLE-NOT: math.
// PORTABLE: arith.shli
// PORTABLE: arith.shli
// AVX512-NOT: arith.shli
// AVX512: llvm.call_intrinsic "llvm.x86.avx512.mask.scalef.ps.512"
// CHECK: return
// FAST-LABEL: func @exp
// FAST-COUNT-1: arith.shli
// FAST-NOT: arith.shli
// FAST: return
// FAST512-LABEL: func @exp
// FAST512: llvm.call_intrinsic "llvm.x86.avx512.mask.reduce.ps.512"
// FAST512-NOT: math.roundeven
// FAST512: llvm.call_intrinsic "llvm.x86.avx512.mask.scalef.ps.512"
// FAST512: return
func.func @exp(%x: vector<16xf32>) -> vector<16xf32> {
  %y = math.exp %x : vector<16xf32>
  return %y : vector<16xf32>
}

// Only vectors of 16 lanes have the instruction.
// CHECK-LABEL: func @exp_scalar
// CHECK-NOT: llvm.call_intrinsic
// CHECK: return
func.func @exp_scalar(%x: f32) -> f32 {
  %y = math.exp %x : f32
  return %y : f32
}

// Square roots have an instruction everywhere.
// CHECK-LABEL: func @rsqrt
// CHECK: math.sqrt %{{.*}} : vector<2x4xf32>
// CHECK: arith.divf
func.func @rsqrt(%x: vector<2x4xf32>) -> vector<2x4xf32> {
  %y = math.rsqrt %x : vector<2x4xf32>
  return %y : vector<2x4xf32>
}

// CHECK-LABEL: func @doubles_by_lane
// CHECK-COUNT-2: math.exp %{{.*}} : f64
// CHECK-NOT: math.exp
// CHECK: return
func.func @doubles_by_lane(%x: vector<2xf64>) -> vector<2xf64> {
  %y = math.exp %x : vector<2xf64>
  return %y : vector<2xf64>
}

// CHECK-LABEL: func @not_in_the_list_by_lane
// CHECK-COUNT-2: math.atan %{{.*}} : f32
// CHECK: return
func.func @not_in_the_list_by_lane(%x: vector<2xf32>) -> vector<2xf32> {
  %y = math.atan %x : vector<2xf32>
  return %y : vector<2xf32>
}

// CHECK-LABEL: func @halves_in_float
// CHECK: arith.extf %{{.*}} : vector<8xbf16> to vector<8xf32>
// CHECK-NOT: arith.truncf
// CHECK: arith.trunci %{{.*}} : vector<8xi32> to vector<8xi16>
// CHECK: arith.bitcast %{{.*}} : vector<8xi16> to vector<8xbf16>
func.func @halves_in_float(%x: vector<8xbf16>) -> vector<8xbf16> {
  %y = math.tanh %x : vector<8xbf16>
  return %y : vector<8xbf16>
}
