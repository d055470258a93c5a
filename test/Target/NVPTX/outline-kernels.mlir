// RUN: ssm-opt %s --nvptx-outline-kernels --split-input-file --verify-diagnostics | FileCheck %s

// A memref is a pointer and what its type leaves open; indices are i64, booleans i32.
// CHECK-LABEL: func.func @forward(
// CHECK: gpu.launch_func @kernels::@forward_0 blocks in
// CHECK-SAME: args(%{{.*}} : !llvm.ptr, %{{.*}} : i64, %{{.*}} : i32, %{{.*}} : f32)
// CHECK: gpu.module @kernels
// CHECK: gpu.func @forward_0(%{{.*}}: !llvm.ptr, %{{.*}}: i64, %{{.*}}: i32, %{{.*}}: f32) kernel
// CHECK-SAME: nvptx.block = 64
// CHECK: gpu.thread_id x
// CHECK: memref.store
// CHECK: gpu.return
func.func @forward(%n: index, %x: f32, %p: i1, %m: memref<?x8xf32>)
    attributes {nvptx.host} {
  %c1 = arith.constant 1 : index
  gpu.launch blocks(%bx, %by, %bz) in (%gx = %n, %gy = %c1, %gz = %c1)
      threads(%tx, %ty, %tz) in (%sx = %c1, %sy = %c1, %sz = %c1) {
    %c0 = arith.constant 0 : index
    %zero = arith.constant 0.0 : f32
    %d = memref.dim %m, %c0 : memref<?x8xf32>
    %y = arith.select %p, %x, %zero : f32
    memref.store %y, %m[%d, %tx] : memref<?x8xf32>
    gpu.terminator
  } {nvptx.block = 64 : i64}
  return
}

// -----

// Kernels that do the same are one; constant tables are the module's.
// CHECK: gpu.launch_func @kernels::@step_0
// CHECK: gpu.launch_func @kernels::@step_0
// CHECK: gpu.module @kernels
// CHECK: memref.global "private" constant @table
// CHECK: gpu.func @step_0(%{{.*}}: !llvm.ptr) kernel
// CHECK: memref.get_global @table
// CHECK-NOT: gpu.func
memref.global "private" constant @table : memref<2xf32> = dense<[1.0, 2.0]>
func.func @step(%a: memref<2xf32>, %b: memref<2xf32>) attributes {nvptx.host} {
  %c1 = arith.constant 1 : index
  %table = memref.get_global @table : memref<2xf32>
  gpu.launch blocks(%bx, %by, %bz) in (%gx = %c1, %gy = %c1, %gz = %c1)
      threads(%tx, %ty, %tz) in (%sx = %c1, %sy = %c1, %sz = %c1) {
    %x = memref.load %table[%tx] : memref<2xf32>
    memref.store %x, %a[%tx] : memref<2xf32>
    gpu.terminator
  }
  gpu.launch blocks(%bx, %by, %bz) in (%gx = %c1, %gy = %c1, %gz = %c1)
      threads(%tx, %ty, %tz) in (%sx = %c1, %sy = %c1, %sz = %c1) {
    %x = memref.load %table[%tx] : memref<2xf32>
    memref.store %x, %b[%tx] : memref<2xf32>
    gpu.terminator
  }
  return
}

// -----

// Not those that are for other numbers of threads.
// CHECK: gpu.launch_func @kernels::@forward_0
// CHECK: gpu.launch_func @kernels::@forward_1
// CHECK: gpu.func @forward_0({{.*}}nvptx.block = 64
// CHECK: gpu.func @forward_1({{.*}}nvptx.block = 128
func.func @forward(%a: memref<2xf32>, %x: f32) attributes {nvptx.host} {
  %c1 = arith.constant 1 : index
  gpu.launch blocks(%bx, %by, %bz) in (%gx = %c1, %gy = %c1, %gz = %c1)
      threads(%tx, %ty, %tz) in (%sx = %c1, %sy = %c1, %sz = %c1) {
    memref.store %x, %a[%tx] : memref<2xf32>
    gpu.terminator
  } {nvptx.block = 64 : i64}
  gpu.launch blocks(%bx, %by, %bz) in (%gx = %c1, %gy = %c1, %gz = %c1)
      threads(%tx, %ty, %tz) in (%sx = %c1, %sy = %c1, %sz = %c1) {
    memref.store %x, %a[%tx] : memref<2xf32>
    gpu.terminator
  } {nvptx.block = 128 : i64}
  return
}

// -----

// Shared memory that a launch asks for.
// CHECK: %[[BYTES:.*]] = arith.constant 65536 : i32
// CHECK: gpu.launch_func @kernels::@forward_0
// CHECK-SAME: dynamic_shared_memory_size %[[BYTES]]
// CHECK: gpu.func @forward_0({{.*}}nvptx.shared_bytes = 65536
func.func @forward(%a: memref<2xf32>, %x: f32) attributes {nvptx.host} {
  %c1 = arith.constant 1 : index
  gpu.launch blocks(%bx, %by, %bz) in (%gx = %c1, %gy = %c1, %gz = %c1)
      threads(%tx, %ty, %tz) in (%sx = %c1, %sy = %c1, %sz = %c1) {
    memref.store %x, %a[%tx] : memref<2xf32>
    gpu.terminator
  } {nvptx.shared_bytes = 65536 : i64}
  return
}

// -----

func.func @forward(%m: memref<2xf32>) -> f32 attributes {nvptx.host} {
  %c0 = arith.constant 0 : index
  // expected-error@+1 {{internal error: the host would touch memory of the device here; every access must be in a kernel}}
  %x = memref.load %m[%c0] : memref<2xf32>
  return %x : f32
}
