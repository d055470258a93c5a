// RUN: ssm-opt %s --inline | FileCheck %s

// CHECK-LABEL: @caller
// CHECK-NOT: call
// CHECK: ssm.norm
func.func private @callee(%x: memref<?x8xf32>, %y: memref<?x8xf32>) {
  ssm.norm rms eps 0.0 input(%x : memref<?x8xf32>) outs(%y : memref<?x8xf32>)
      maps [] epilogue {
  ^bb0(%v: f32):
    ssm.yield %v : f32
  }
  return
}
func.func @caller(%x: memref<?x8xf32>, %y: memref<?x8xf32>) {
  call @callee(%x, %y) : (memref<?x8xf32>, memref<?x8xf32>) -> ()
  return
}
