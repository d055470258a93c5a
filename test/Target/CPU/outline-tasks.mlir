// RUN: ssm-opt %s --split-input-file --verify-diagnostics --pass-pipeline='builtin.module(ssm-outline-tasks)' | FileCheck %s

// The body is a function of a closure and a range; the loop a call of the context's
// parallel_for with the number of tasks and the cost of one.
// CHECK-LABEL: func.func private @forward_task0(
// CHECK-SAME: !llvm.ptr, %{{.*}}: i64, %{{.*}}: i64)
// CHECK: scf.for
// CHECK: memref.store
// CHECK-LABEL: func.func @forward(
// CHECK: llvm.alloca
// CHECK: llvm.mlir.constant(250 : i64)
// CHECK: constant @forward_task0
// CHECK: llvm.call
func.func @forward(%frame: !llvm.ptr, %y: memref<?xf32>, %n: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %one = arith.constant 1.0 : f32
  scf.parallel (%i) = (%c0) to (%n) step (%c1) {
    memref.store %one, %y[%i] : memref<?xf32>
    scf.reduce
  } {ssm.cost = 250 : i64}
  return
}

// -----

func.func @forward(%frame: !llvm.ptr, %y: memref<?x?xf32>, %n: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %one = arith.constant 1.0 : f32
  // expected-error @+1 {{a parallel loop over tasks has one dimension and no reduction}}
  scf.parallel (%i, %j) = (%c0, %c0) to (%n, %n) step (%c1, %c1) {
    memref.store %one, %y[%i, %j] : memref<?x?xf32>
    scf.reduce
  }
  return
}
