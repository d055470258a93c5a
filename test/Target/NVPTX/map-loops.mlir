// RUN: ssm-opt %s --nvptx-map-loops --split-input-file --verify-diagnostics | FileCheck %s

// Nested independent loops are one space of points, the innermost index the fastest.
// CHECK-LABEL: func.func @nest(
// CHECK-SAME: %[[N:.*]]: index, %[[M:.*]]: memref<?x32xf32>)
// CHECK: %[[TOTAL:.*]] = arith.muli %{{.*}}, %[[C32:.*]] : index
// CHECK: gpu.launch blocks(%[[B:.*]], %{{.*}}, %{{.*}}) in {{.*}} threads(%[[T:.*]], %{{.*}}, %{{.*}}) in
// CHECK: scf.for %[[P:.*]] = %{{.*}} to %[[TOTAL]] step
// CHECK: %[[J:.*]] = arith.remui %[[P]],
// CHECK: %[[I:.*]] = arith.divui %[[P]],
// CHECK: memref.store %{{.*}}, %[[M]][%[[I]], %[[J]]]
func.func @nest(%n: index, %m: memref<?x32xf32>) attributes {nvptx.host} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c32 = arith.constant 32 : index
  %x = arith.constant 1.0 : f32
  scf.for %i = %c0 to %n step %c1 {
    scf.for %j = %c0 to %c32 step %c1 {
      memref.store %x, %m[%i, %j] : memref<?x32xf32>
    } {ssmc.independent}
  } {ssmc.independent}
  return
}

// -----

// A thread takes four points of a dimension of that many warps' width, all loads first.
// CHECK-LABEL: func.func @points(
// CHECK: gpu.launch
// CHECK-COUNT-4: memref.load
// CHECK-NOT: memref.load
// CHECK-COUNT-4: memref.store
func.func @points(%n: index, %x: memref<?x256xf32>, %y: memref<?x256xf32>)
    attributes {nvptx.host} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c256 = arith.constant 256 : index
  scf.for %i = %c0 to %n step %c1 {
    scf.for %j = %c0 to %c256 step %c1 {
      %v = memref.load %x[%i, %j] : memref<?x256xf32>
      %w = arith.addf %v, %v : f32
      memref.store %w, %y[%i, %j] : memref<?x256xf32>
    } {ssmc.independent}
  } {ssmc.independent}
  return
}

// -----

// A loop over depth stays on the host; a sequential one inside is the thread's.
// CHECK-LABEL: func.func @depth(
// CHECK: scf.for
// CHECK-NOT: memref.load
// CHECK: gpu.launch
// CHECK: scf.for
// CHECK: scf.for
// CHECK: memref.load
func.func @depth(%n: index, %m: memref<?xf32>) attributes {nvptx.host} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  scf.for %layer = %c0 to %c4 step %c1 {
    scf.parallel (%i) = (%c0) to (%n) step (%c1) {
      scf.for %t = %c0 to %c4 step %c1 {
        %x = memref.load %m[%i] : memref<?xf32>
        %y = arith.addf %x, %x : f32
        memref.store %y, %m[%i] : memref<?xf32>
      }
      scf.reduce
    }
  }
  return
}

// -----

// What touches memory outside of independent loops is a kernel of one thread.
// CHECK-LABEL: func.func @alone(
// CHECK: gpu.launch
// CHECK: memref.load
// CHECK: memref.store
// CHECK: gpu.terminator
func.func @alone(%m: memref<4xf32>) attributes {nvptx.host} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %x = memref.load %m[%c0] : memref<4xf32>
  memref.store %x, %m[%c1] : memref<4xf32>
  return
}

// -----

// Functions of the CPU stay.
// CHECK-LABEL: func.func @prepare(
// CHECK-NOT: gpu.launch
func.func @prepare(%n: index, %m: memref<?xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %x = arith.constant 1.0 : f32
  scf.parallel (%i) = (%c0) to (%n) step (%c1) {
    memref.store %x, %m[%i] : memref<?xf32>
    scf.reduce
  }
  return
}

// -----

func.func @branch(%n: index, %flag: memref<i1>, %m: memref<?xf32>)
    attributes {nvptx.host} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %x = arith.constant 1.0 : f32
  %isSet = memref.load %flag[] : memref<i1>
  // expected-error@+1 {{internal error: the host would have to wait for a value in memory of the device here}}
  scf.if %isSet {
    scf.parallel (%i) = (%c0) to (%n) step (%c1) {
      memref.store %x, %m[%i] : memref<?xf32>
      scf.reduce
    }
  }
  return
}
