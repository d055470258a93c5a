// RUN: ssm-opt %s --pass-pipeline='builtin.module(func.func(ssm-expand-rows))' | FileCheck %s

// CHECK-LABEL: func.func @rows
// CHECK-SAME: %[[A:.*]]: memref<?x?x8xf32>, %[[B:.*]]: index, %[[L:.*]]: index, %[[T:.*]]: index
func.func @rows(%a: memref<?x?x8xf32>, %b: index, %l: index, %t: index) -> memref<?x?x?x8xf32> {
  // CHECK: %[[EIGHT:.*]] = arith.constant 8 : index
  // CHECK: %[[INNER:.*]] = arith.muli %[[EIGHT]], %[[T]]
  // CHECK: %[[OUTER:.*]] = arith.muli %[[INNER]], %[[L]]
  // CHECK: memref.reinterpret_cast %[[A]] to offset: [0], sizes: [%[[B]], %[[L]], %[[T]], 8], strides: [%[[OUTER]], %[[INNER]], 8, 1]
  %e = memref.expand_shape %a [[0, 1], [2], [3]] output_shape [%b, %l, %t, 8]
    : memref<?x?x8xf32> into memref<?x?x?x8xf32>
  return %e : memref<?x?x?x8xf32>
}

// One run-time extent in each dimension is left as it is.
// CHECK-LABEL: func.func @single
func.func @single(%a: memref<?x8xf32>, %b: index) -> memref<?x2x8xf32> {
  // CHECK-NEXT: memref.expand_shape
  %e = memref.expand_shape %a [[0, 1], [2]] output_shape [%b, 2, 8]
    : memref<?x8xf32> into memref<?x2x8xf32>
  return %e : memref<?x2x8xf32>
}
