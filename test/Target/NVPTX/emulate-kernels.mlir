// RUN: ssm-opt %s --nvptx-emulate-kernels --split-input-file --verify-diagnostics | FileCheck %s

// CHECK-LABEL: func.func @forward(
// CHECK: scf.for %[[B:.*]] = %c0{{.*}} to %[[GRID:.*]] step
// CHECK: scf.for %[[T:.*]] = %c0{{.*}} to %[[BLOCK:.*]] step
// CHECK: func.call @k(%{{.*}}, %[[B]], %[[T]], %[[GRID]], %[[BLOCK]])
// CHECK-NOT: gpu.module
// CHECK-LABEL: func.func private @k(
// CHECK-SAME: %{{.*}}: i64, %[[B:.*]]: index, %[[T:.*]]: index, %{{.*}}: index, %[[S:.*]]: index)
// CHECK: arith.muli %[[B]], %[[S]]
// CHECK: return
module attributes {gpu.container_module} {
  func.func @forward(%x: i64, %n: index) {
    %c1 = arith.constant 1 : index
    %c32 = arith.constant 32 : index
    gpu.launch_func @kernels::@k blocks in (%n, %c1, %c1) threads in (%c32, %c1, %c1)
        args(%x : i64)
    return
  }
  gpu.module @kernels {
    gpu.func @k(%x: i64) kernel {
      %b = gpu.block_id x
      %s = gpu.block_dim x
      %p = arith.muli %b, %s : index
      gpu.return
    }
  }
}

// -----

module attributes {gpu.container_module} {
  gpu.module @kernels {
    gpu.func @k() kernel {
      // expected-error@+1 {{is between threads, which are run one after the other here}}
      gpu.barrier
      gpu.return
    }
  }
}
