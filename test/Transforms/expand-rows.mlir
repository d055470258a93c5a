// RUN: ssm-opt %s --pass-pipeline='builtin.module(func.func(ssm-expand-rows,canonicalize))' | FileCheck %s

// CHECK-LABEL: func.func @rows
// CHECK-SAME: %[[A:.*]]: memref<?x?x8xf32>, %[[B:.*]]: index, %[[L:.*]]: index, %[[T:.*]]: index
func.func @rows(%a: memref<?x?x8xf32>, %b: index, %l: index, %t: index) -> memref<?x?x?x8xf32> {
  // CHECK: %{{.*}}, %{{.*}}, %{{.*}}:3, %[[S:.*]]:3 = memref.extract_strided_metadata %[[A]]
  // CHECK: %[[OUTER:.*]] = arith.muli %[[S]]#0, %[[L]]
  // CHECK: memref.reinterpret_cast %{{.*}} to offset: [0], sizes: [%[[B]], %[[L]], %[[T]], 8], strides: [%[[OUTER]], %[[S]]#0, 8, 1]
  %e = memref.expand_shape %a [[0, 1], [2], [3]] output_shape [%b, %l, %t, 8]
    : memref<?x?x8xf32> into memref<?x?x?x8xf32>
  return %e : memref<?x?x?x8xf32>
}

// Strides and an offset that only the run time knows.
// CHECK-LABEL: func.func @strided
func.func @strided(%a: memref<?x8xf32, strided<[?, ?], offset: ?>>, %b: index, %l: index)
    -> memref<?x?x8xf32, strided<[?, ?, ?], offset: ?>> {
  // CHECK: %{{.*}}, %[[OFFSET:.*]], %{{.*}}:2, %[[S:.*]]:2 = memref.extract_strided_metadata
  // CHECK: %[[OUTER:.*]] = arith.muli %[[S]]#0, %{{.*}}
  // CHECK: memref.reinterpret_cast %{{.*}} to offset: [%[[OFFSET]]], sizes: [%{{.*}}, %{{.*}}, 8], strides: [%[[OUTER]], %[[S]]#0, %[[S]]#1]
  %e = memref.expand_shape %a [[0, 1], [2]] output_shape [%b, %l, 8]
    : memref<?x8xf32, strided<[?, ?], offset: ?>> into memref<?x?x8xf32, strided<[?, ?, ?], offset: ?>>
  return %e : memref<?x?x8xf32, strided<[?, ?, ?], offset: ?>>
}

// One run-time extent in each dimension is left as it is.
// CHECK-LABEL: func.func @single
func.func @single(%a: memref<?x8xf32>, %b: index) -> memref<?x2x8xf32> {
  // CHECK-NEXT: memref.expand_shape
  %e = memref.expand_shape %a [[0, 1], [2]] output_shape [%b, 2, 8]
    : memref<?x8xf32> into memref<?x2x8xf32>
  return %e : memref<?x2x8xf32>
}
