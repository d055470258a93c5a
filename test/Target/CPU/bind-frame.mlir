// RUN: ssm-opt %s --pass-pipeline='builtin.module(func.func(ssm-bind-frame))' | FileCheck %s

// Every argument and result is found through the frame.
// CHECK-LABEL: func.func @forward(
// CHECK-SAME: %[[FRAME:.*]]: !llvm.ptr) {
// CHECK: llvm.getelementptr %[[FRAME]]
// CHECK: memref.copy
// CHECK-NEXT: return
func.func @forward(
    %x: memref<?x?x8xf32> {ssm.input = "x", ssm.dims = array<i64: -1, -2, 8>},
    %table: memref<8xf32> {ssm.offset = 64 : i64},
    %state: memref<?x8xf32> {ssm.state = "s", ssm.dims = array<i64: -1, 8>},
    %position: index {ssm.position},
    %arena: memref<?xi8> {ssm.workspace})
    -> (memref<?x?x8xf32> {ssm.output = "y", ssm.dims = array<i64: -1, -2, 8>},
        memref<?x8xf32> {ssm.state = "s"}) {
  return %x, %state : memref<?x?x8xf32>, memref<?x8xf32>
}

// In `step` the length is 1, not the frame's.
// CHECK-LABEL: func.func @step(
// CHECK-DAG: %[[LENGTH:.*]] = llvm.mlir.constant(1 : i64)
func.func @step(
    %x: memref<?x?x8xf32> {ssm.input = "x", ssm.dims = array<i64: -1, -2, 8>})
    -> (memref<?x?x8xf32> {ssm.output = "y", ssm.dims = array<i64: -1, -2, 8>}) {
  return %x : memref<?x?x8xf32>
}

// Whether a caller gets the states: any number but 0.
// CHECK-LABEL: func.func @keeps(
// CHECK: %[[KEEPS:.*]] = llvm.icmp "ne"
// CHECK: scf.if %[[KEEPS]]
func.func @keeps(%x: memref<4xf32> {ssm.input = "x", ssm.dims = array<i64: 4>},
    %keeps: i1 {ssm.keeps_state}) {
  scf.if %keeps {
    memref.copy %x, %x : memref<4xf32> to memref<4xf32>
  }
  return
}
