// RUN: ssm-opt %s --split-input-file --verify-diagnostics --pass-pipeline='builtin.module(func.func(ssm-plan-memory))' | FileCheck %s

// Lifetimes that do not overlap share memory: 64 bytes times B*L hold both.
// CHECK-LABEL: func.func @shares
// CHECK-SAME: ssm.workspace = array<i64: 0, 0, 0, 64>
func.func @shares(%x: memref<?x?x8xf32> {ssm.dims = array<i64: -1, -2, 8>}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %b = memref.dim %x, %c0 : memref<?x?x8xf32>
  %l = memref.dim %x, %c1 : memref<?x?x8xf32>
  // CHECK: memref.view
  %first = memref.alloc(%b, %l) : memref<?x?x8xf32>
  memref.copy %x, %first : memref<?x?x8xf32> to memref<?x?x8xf32>
  memref.copy %first, %x : memref<?x?x8xf32> to memref<?x?x8xf32>
  // CHECK: memref.view
  %second = memref.alloc(%b, %l) : memref<?x?x8xf32>
  memref.copy %x, %second : memref<?x?x8xf32> to memref<?x?x8xf32>
  memref.copy %second, %x : memref<?x?x8xf32> to memref<?x?x8xf32>
  return
}

// -----

// Each kind has its own part: constants, the batch, the length.
// CHECK-LABEL: func.func @kinds
// CHECK-SAME: ssm.workspace = array<i64: 128, 64, 64, 0>
func.func @kinds(%x: memref<?x?x8xf32> {ssm.dims = array<i64: -1, -2, 8>},
                 %u: memref<32xf32>, %v: memref<?x4xf32>, %w: memref<?x16xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %b = memref.dim %x, %c0 : memref<?x?x8xf32>
  %l = memref.dim %x, %c1 : memref<?x?x8xf32>
  %fixed = memref.alloc() : memref<32xf32>
  %rows = memref.alloc(%b) : memref<?x4xf32>
  %tokens = memref.alloc(%l) : memref<?x16xf32>
  memref.copy %u, %fixed : memref<32xf32> to memref<32xf32>
  memref.copy %v, %rows : memref<?x4xf32> to memref<?x4xf32>
  memref.copy %w, %tokens : memref<?x16xf32> to memref<?x16xf32>
  memref.copy %fixed, %u : memref<32xf32> to memref<32xf32>
  memref.copy %rows, %v : memref<?x4xf32> to memref<?x4xf32>
  memref.copy %tokens, %w : memref<?x16xf32> to memref<?x16xf32>
  return
}

// -----

// With two sequence axes there are products of the batch and the lengths of both; rows
// of one axis have an extent that is a product already.
// CHECK-LABEL: func.func @axes
// CHECK-SAME: ssm.workspace = array<i64: 0, 0, 0, 0, 64, 64, 0, 64>
func.func @axes(%x: memref<?x?x?x8xf32> {ssm.dims = array<i64: -1, -2, -3, 8>},
                %u: memref<?x8xf32>, %v: memref<?x4xf32>, %w: memref<?x?x16xf32>)
    attributes {ssm.sequence_axes = ["x", "z"]} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %b = memref.dim %x, %c0 : memref<?x?x?x8xf32>
  %l = memref.dim %x, %c1 : memref<?x?x?x8xf32>
  %m = memref.dim %x, %c2 : memref<?x?x?x8xf32>
  %rows = arith.muli %b, %m : index
  %second = memref.alloc(%m) : memref<?x8xf32>
  %both = memref.alloc(%rows) : memref<?x4xf32>
  %all = memref.alloc(%rows, %l) : memref<?x?x16xf32>
  memref.copy %u, %second : memref<?x8xf32> to memref<?x8xf32>
  memref.copy %v, %both : memref<?x4xf32> to memref<?x4xf32>
  memref.copy %w, %all : memref<?x?x16xf32> to memref<?x?x16xf32>
  memref.copy %second, %u : memref<?x8xf32> to memref<?x8xf32>
  memref.copy %both, %v : memref<?x4xf32> to memref<?x4xf32>
  memref.copy %all, %w : memref<?x?x16xf32> to memref<?x?x16xf32>
  return
}

// -----

// Through a view a buffer stays alive.
// CHECK-LABEL: func.func @views
// CHECK-SAME: ssm.workspace = array<i64: 128, 0, 0, 0>
func.func @views(%u: memref<16xf32>) {
  %first = memref.alloc() : memref<16xf32>
  %view = memref.subview %first[0] [8] [1] : memref<16xf32> to memref<8xf32, strided<[1]>>
  memref.copy %u, %first : memref<16xf32> to memref<16xf32>
  %second = memref.alloc() : memref<16xf32>
  memref.copy %u, %second : memref<16xf32> to memref<16xf32>
  %part = memref.subview %second[8] [8] [1] : memref<16xf32> to memref<8xf32, strided<[1], offset: 8>>
  memref.copy %view, %part : memref<8xf32, strided<[1]>> to memref<8xf32, strided<[1], offset: 8>>
  memref.copy %second, %u : memref<16xf32> to memref<16xf32>
  return
}

// -----

func.func @unknown_extent(%n: index) {
  // expected-error @+1 {{a temporary whose extent is neither the batch nor the length cannot be planned}}
  %t = memref.alloc(%n) : memref<?xf32>
  memref.dealloc %t : memref<?xf32>
  return
}
