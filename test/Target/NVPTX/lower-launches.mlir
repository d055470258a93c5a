// RUN: ssm-opt %s --nvptx-lower-launches | FileCheck %s

// Arguments in memory, an array of pointers to them, and the kernel's number.
// CHECK: llvm.func @ssmrt_cuda_launch(!llvm.ptr, !llvm.ptr, i32, !llvm.ptr, !llvm.ptr)
// CHECK: llvm.mlir.global external constant @ssmrt_cuda_code()
// CHECK-LABEL: func.func @forward(
// CHECK-SAME: %[[FRAME:[a-z0-9]+]]: !llvm.ptr,
// CHECK: %[[VALUES:.*]] = llvm.alloca {{.*}} x !llvm.struct<(ptr, f32)>
// CHECK: %[[POINTERS:.*]] = llvm.alloca {{.*}} x !llvm.array<2 x ptr>
// CHECK: %[[GEOMETRY:.*]] = llvm.alloca {{.*}} x !llvm.array<8 x i32>
// CHECK: %[[SLOT:.*]] = llvm.getelementptr %[[VALUES]][0, 1]
// CHECK: llvm.store %{{.*}}, %[[SLOT]] : f32
// CHECK: llvm.getelementptr %[[POINTERS]][0, 1]
// CHECK: %[[CONTEXT:.*]] = llvm.load %[[FRAME]]
// CHECK: %[[CODE:.*]] = llvm.mlir.addressof @ssmrt_cuda_code
// CHECK: %[[KERNEL:.*]] = llvm.mlir.constant(1 : i32)
// CHECK: llvm.call @ssmrt_cuda_launch(%[[CONTEXT]], %[[CODE]], %[[KERNEL]], %[[GEOMETRY]], %[[POINTERS]])
// CHECK-NOT: gpu.launch_func
module attributes {gpu.container_module} {
  func.func @forward(%frame: !llvm.ptr, %p: !llvm.ptr, %x: f32, %n: index) {
    %c1 = arith.constant 1 : index
    %c32 = arith.constant 32 : index
    gpu.launch_func @kernels::@second blocks in (%n, %c1, %c1)
        threads in (%c32, %c1, %c1) args(%p : !llvm.ptr, %x : f32)
    return
  }
  gpu.module @kernels {
    gpu.func @first() kernel {
      gpu.return
    }
    gpu.func @second(%p: !llvm.ptr, %x: f32) kernel {
      gpu.return
    }
  }
}
