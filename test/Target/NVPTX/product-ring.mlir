// RUN: ssm-opt --nvptx-lower-ops --canonicalize --cse %s | FileCheck %s
// RUN: ssm-opt --nvptx-lower-ops=shared-bytes=49152 --canonicalize --cse %s | FileCheck %s --check-prefix=LITTLE

// Of more columns than blocks of all multiprocessors would have at once, one block takes group
// after group: weights of the first ones are on their way before the kernel waits for those
// before it, those of later ones before the sums of one are added up.
// CHECK-LABEL: func.func @many(
// CHECK: gpu.launch
// CHECK: gpu.dynamic_shared_memory
// CHECK-COUNT-3: nvvm.cp.async.commit.group
// CHECK-NOT: nvvm.cp.async.commit.group
// CHECK: griddepcontrol.wait
// CHECK: scf.for
// CHECK: nvvm.cp.async.wait.group 2
// CHECK-COUNT-16: nvvm.mma.sync
// CHECK: scf.if
// CHECK: nvvm.cp.async.shared.global
// CHECK: nvvm.cp.async.commit.group
// CHECK: gpu.barrier
// CHECK: memref.store %{{.*}} : memref<?x?x800xf32>
// CHECK: scf.yield

// With less shared memory, and for fewer columns, all blocks of columns are launched.
// LITTLE-LABEL: func.func @many(
// LITTLE-NOT: gpu.dynamic_shared_memory
// LITTLE: return
// CHECK-LABEL: func.func @few(
// CHECK-NOT: gpu.dynamic_shared_memory
// CHECK: return
func.func @many(%memory: memref<?xi8>, %at: index, %b: index, %t: index,
    %w: memref<800x1024x1x2xbf16> {ssm.table = 0 : i64},
    %y: memref<?x?x800xf32>) attributes {nvptx.host} {
  %x = memref.view %memory[%at][%b, %t] : memref<?xi8> to memref<?x?x2048xbf16>
  ssm.matmul input(%x : memref<?x?x2048xbf16>) weight(%w : memref<800x1024x1x2xbf16>)
      outs(%y : memref<?x?x800xf32>) maps [] epilogue {
  ^bb0(%value: f32):
    ssm.yield %value : f32
  }
  return
}

func.func @few(%memory: memref<?xi8>, %at: index, %b: index, %t: index,
    %w: memref<16x1024x1x2xbf16> {ssm.table = 0 : i64},
    %y: memref<?x?x16xf32>) attributes {nvptx.host} {
  %x = memref.view %memory[%at][%b, %t] : memref<?xi8> to memref<?x?x2048xbf16>
  ssm.matmul input(%x : memref<?x?x2048xbf16>) weight(%w : memref<16x1024x1x2xbf16>)
      outs(%y : memref<?x?x16xf32>) maps [] epilogue {
  ^bb0(%value: f32):
    ssm.yield %value : f32
  }
  return
}
