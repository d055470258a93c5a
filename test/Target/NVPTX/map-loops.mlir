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

// Four neighbours of 16 bits are loaded and stored at once where memory is aligned to them,
// and so is what belongs to them; a thread has two such groups, a warp's apart.
// CHECK-LABEL: func.func @neighbours(
// CHECK-SAME: index, %[[X:.*]]: memref<?x256xbf16>, %[[G:.*]]: memref<256xf32>, %[[Y:.*]]: memref<?x256xbf16>)
// CHECK-DAG: memref.extract_aligned_pointer_as_index %[[X]]
// CHECK-DAG: memref.extract_aligned_pointer_as_index %[[G]]
// CHECK-DAG: memref.extract_aligned_pointer_as_index %[[Y]]
// CHECK: arith.remui %{{.*}}, %c16
// CHECK: scf.if
// CHECK: gpu.launch
// CHECK-COUNT-2: vector.load %[[X]]{{.*}} {alignment = 8 : i64} : memref<?x256xbf16>, vector<4xbf16>
// CHECK-COUNT-2: vector.load %[[G]]{{.*}} {alignment = 16 : i64} : memref<256xf32>, vector<4xf32>
// CHECK-NOT: memref.load
// CHECK-COUNT-2: vector.store %{{.*}}, %[[Y]]{{.*}} : memref<?x256xbf16>, vector<4xbf16>
// CHECK: } else {
// CHECK: gpu.launch
// CHECK-NOT: vector
// CHECK-COUNT-2: memref.load %[[X]]
// CHECK-COUNT-2: memref.load %[[G]]
// CHECK-COUNT-2: memref.store
func.func @neighbours(%n: index, %x: memref<?x256xbf16>, %g: memref<256xf32>,
                      %y: memref<?x256xbf16>) attributes {nvptx.host} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c256 = arith.constant 256 : index
  scf.for %i = %c0 to %n step %c1 {
    scf.for %j = %c0 to %c256 step %c1 {
      %v = memref.load %x[%i, %j] : memref<?x256xbf16>
      %w = memref.load %g[%j] : memref<256xf32>
      %a = arith.extf %v : bf16 to f32
      %b = arith.mulf %a, %w : f32
      %c = arith.truncf %b : f32 to bf16
      memref.store %c, %y[%i, %j] : memref<?x256xbf16>
    } {ssmc.independent}
  } {ssmc.independent}
  return
}

// -----

// A branch that the pair takes together has the code of both; what has another order in
// memory, or rows that begin between pairs, is accessed one by one.
// CHECK-LABEL: func.func @branch_of_pairs(
// CHECK-SAME: index, %[[X:.*]]: memref<?x6xbf16>, %[[K:.*]]: memref<6x3xbf16>, %[[Z:.*]]: memref<?x7xbf16>, %[[Y:.*]]: memref<?x6xbf16>)
// CHECK: gpu.launch
// CHECK: scf.for
// CHECK: %[[D:.*]] = arith.muli %{{.*}}, %c2
// CHECK: scf.if
// CHECK: vector.load %[[X]]
// CHECK-COUNT-2: memref.load %[[K]]
// CHECK-COUNT-2: memref.load %[[Z]]
// CHECK: vector.store {{.*}} vector<2xbf16>
// CHECK-NOT: memref.store
// CHECK: } else {
// CHECK: gpu.launch
// CHECK-NOT: vector
// CHECK: gpu.terminator
func.func @branch_of_pairs(%n: index, %x: memref<?x6xbf16>, %k: memref<6x3xbf16>,
                           %z: memref<?x7xbf16>, %y: memref<?x6xbf16>)
    attributes {nvptx.host} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c6 = arith.constant 6 : index
  scf.for %i = %c0 to %n step %c1 {
    scf.for %j = %c0 to %c6 step %c1 {
      %first = arith.cmpi eq, %i, %c0 : index
      scf.if %first {
        %v = memref.load %x[%i, %j] : memref<?x6xbf16>
        %w = memref.load %k[%j, %c1] : memref<6x3xbf16>
        %u = memref.load %z[%i, %j] : memref<?x7xbf16>
        %a = arith.mulf %v, %w : bf16
        %b = arith.mulf %a, %u : bf16
        memref.store %b, %y[%i, %j] : memref<?x6xbf16>
      }
    } {ssmc.independent}
  } {ssmc.independent}
  return
}

// -----

// What a point loads of a whole row goes at once where neighbours do; not what it loads of a
// part of one, nor with a store between.
// CHECK-LABEL: func.func @rows(
// CHECK-SAME: index, %[[X:.*]]: memref<?x8xbf16>, %[[K:.*]]: memref<8x2xf32>, %[[P:.*]]: memref<8x4xf32>, %[[Q:.*]]: memref<8x2xbf16>)
// CHECK: arith.remui %{{.*}}, %c16
// CHECK: gpu.launch
// CHECK-COUNT-4: vector.load %[[K]]{{.*}} {alignment = 8 : i64} : memref<8x2xf32>, vector<2xf32>
// CHECK-NOT: memref.load %[[K]]
// CHECK-COUNT-4: memref.load %[[P]]
// CHECK-COUNT-4: memref.load %[[Q]]
// CHECK: vector.store {{.*}}, %[[X]]
// CHECK-COUNT-4: memref.load %[[Q]]
// CHECK: } else {
// CHECK-NOT: vector
// CHECK: memref.load %[[K]]
func.func @rows(%n: index, %x: memref<?x8xbf16>, %k: memref<8x2xf32>, %p: memref<8x4xf32>,
                %q: memref<8x2xbf16>) attributes {nvptx.host} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  scf.for %i = %c0 to %n step %c1 {
    scf.for %j = %c0 to %c8 step %c1 {
      %a = memref.load %k[%j, %c1] : memref<8x2xf32>
      %b = memref.load %k[%j, %c0] : memref<8x2xf32>
      %c = memref.load %p[%j, %c0] : memref<8x4xf32>
      %u = memref.load %q[%j, %c0] : memref<8x2xbf16>
      %d = arith.addf %a, %b : f32
      %e = arith.addf %d, %c : f32
      %f = arith.truncf %e : f32 to bf16
      memref.store %f, %x[%i, %j] : memref<?x8xbf16>
      %v = memref.load %q[%j, %c1] : memref<8x2xbf16>
      %w = arith.addf %u, %v : bf16
      memref.store %w, %x[%i, %j] : memref<?x8xbf16>
    } {ssmc.independent}
  } {ssmc.independent}
  return
}

// -----

// Each alone: rows of an odd width, a store under a condition of the point, and a loop.
// CHECK-LABEL: func.func @no_pairs(
// CHECK-NOT: vector
// CHECK: return
func.func @no_pairs(%n: index, %x: memref<?x7xbf16>, %y: memref<?x8xbf16>)
    attributes {nvptx.host} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c7 = arith.constant 7 : index
  %c8 = arith.constant 8 : index
  scf.for %i = %c0 to %n step %c1 {
    scf.for %j = %c0 to %c7 step %c1 {
      %v = memref.load %x[%i, %j] : memref<?x7xbf16>
      memref.store %v, %x[%i, %j] : memref<?x7xbf16>
    } {ssmc.independent}
  } {ssmc.independent}
  scf.for %i = %c0 to %n step %c1 {
    scf.for %j = %c0 to %c8 step %c1 {
      %v = memref.load %y[%i, %j] : memref<?x8xbf16>
      %isFirst = arith.cmpi eq, %j, %c0 : index
      scf.if %isFirst {
        memref.store %v, %y[%i, %c1] : memref<?x8xbf16>
      }
    } {ssmc.independent}
  } {ssmc.independent}
  scf.for %i = %c0 to %n step %c1 {
    scf.for %j = %c0 to %c8 step %c1 {
      %v = memref.load %y[%i, %j] : memref<?x8xbf16>
      %sum = scf.for %k = %c0 to %c8 step %c1 iter_args(%s = %v) -> bf16 {
        %w = memref.load %y[%k, %j] : memref<?x8xbf16>
        %t = arith.addf %s, %w : bf16
        scf.yield %t : bf16
      }
      memref.store %sum, %y[%i, %j] : memref<?x8xbf16>
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
