// RUN: ssm-opt %s --pass-pipeline='builtin.module(func.func(ssm-expand-copies))' | FileCheck %s --implicit-check-not=memref.copy

// CHECK-LABEL: func.func @strided
func.func @strided(%a: memref<8xf32, strided<[2]>>, %b: memref<8xf32>) {
  // CHECK: linalg.generic
  // CHECK-SAME: ins(%{{.*}} : memref<8xf32, strided<[2]>>) outs(%{{.*}} : memref<8xf32>)
  // CHECK: linalg.yield %{{.*}} : f32
  memref.copy %a, %b : memref<8xf32, strided<[2]>> to memref<8xf32>
  return
}
