// RUN: ssm-opt %s --pass-pipeline='builtin.module(func.func(ssm-split-destinations))' | FileCheck %s

// CHECK-LABEL: func.func @shared
func.func @shared(%b: index) -> (tensor<?xf32>, tensor<?xf32>) {
  // CHECK: %[[A:.*]] = tensor.empty
  // CHECK: %[[B:.*]] = tensor.empty
  // CHECK: return %{{.*}}, %{{.*}}
  %e = tensor.empty(%b) : tensor<?xf32>
  return %e, %e : tensor<?xf32>, tensor<?xf32>
}

// CHECK-LABEL: func.func @single
func.func @single(%b: index) -> tensor<?xf32> {
  // CHECK-COUNT-1: tensor.empty
  // CHECK-NOT: tensor.empty
  %e = tensor.empty(%b) : tensor<?xf32>
  return %e : tensor<?xf32>
}
