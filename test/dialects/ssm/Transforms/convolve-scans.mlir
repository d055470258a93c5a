// RUN: ssm-opt %s --split-input-file --verify-diagnostics --pass-pipeline='builtin.module(func.func(ssm-convolve-scans))' | FileCheck %s
// RUN: ssm-opt %s --split-input-file --verify-diagnostics --pass-pipeline='builtin.module(func.func(ssm-convolve-scans))' | ssm-opt --split-input-file | FileCheck %s

#bte = affine_map<(b, t, e, n) -> (b, t, e)>
#en = affine_map<(b, t, e, n) -> (e, n)>

// Keys are summed in the response, in f64 over one row; nothing asks for the final
// state, so that no scan of the tokens is left.
// CHECK-LABEL: @keys
// CHECK-SAME: %[[A:[^:]*]]: tensor<10x3xf32>, %[[U:[^:]*]]: tensor<?x?x10xf32>
// CHECK: %[[R:.*]]:2 = ssm.scan ins(%{{.*}}, %[[A]], %{{.*}}, %{{.*}} : tensor<1x?xf64>
// CHECK-SAME: outs(%{{.*}}, %{{.*}} : tensor<1x?x10xf64>, tensor<1x10x3xf64>)
// CHECK: ssm.coefficients decay(%{{.*}} : f64) write(%{{.*}} : f64) read(%{{.*}} : f64)
// CHECK: mode = scan
// CHECK: %[[K:.*]] = linalg.generic {{.*}} ins(%[[R]]#0
// CHECK: arith.truncf
// CHECK: ssm.conv input(%{{.*}} : tensor<?x?x10xf32>) kernel(%[[K]] : tensor<?x10xf32>)
// CHECK-NOT: ssm.scan
// CHECK: return
func.func @keys(%a: tensor<10x3xf32>, %u: tensor<?x?x10xf32>, %w: tensor<10x3xf32>,
    %c: tensor<10x3xf32>, %y: tensor<?x?x10xf32>, %s: tensor<?x10x3xf32>)
    -> tensor<?x?x10xf32> {
  %0:2 = ssm.scan
      ins(%a, %u, %w, %c : tensor<10x3xf32>, tensor<?x?x10xf32>, tensor<10x3xf32>,
          tensor<10x3xf32>)
      outs(%y, %s : tensor<?x?x10xf32>, tensor<?x10x3xf32>)
      maps {ins = [#en, #bte, #en, #en],
            state = affine_map<(b, t, e, n) -> (b, e, n)>, output = #bte}
      coefficients {
  ^bb0(%av: f32, %uv: f32, %wv: f32, %cv: f32):
    %write = arith.mulf %wv, %uv : f32
    ssm.coefficients decay(%av : f32) write(%write : f32) read(%cv : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } attributes {schedule = #ssm.schedule<mode = conv>}
      -> tensor<?x?x10xf32>, tensor<?x10x3xf32>
  return %0#0 : tensor<?x?x10xf32>
}

// -----

#bte = affine_map<(b, t, e) -> (b, t, e)>
#bt = affine_map<(b, t, e) -> (b, t)>

// A decay that is the same for all channels has one kernel for all. What the initial
// state adds and the final state stay recurrences.
// CHECK-LABEL: @states
// CHECK: ssm.scan {{.*}} outs(%{{.*}}, %{{.*}} : tensor<1x?xf64>, tensor<1xf64>)
// CHECK: ssm.conv input(%{{.*}} : tensor<?x?x8xf32>) kernel(%{{.*}} : tensor<?xf32>)
// CHECK: %[[FREE:.*]]:2 = ssm.scan {{.*}}initial
// CHECK: ssm.coefficients decay(%{{[^)]*}})
// CHECK-NOT: write
// CHECK: linalg.generic {{.*}} %[[FREE]]#0
// CHECK: %[[LAST:.*]]:2 = ssm.scan {{.*}}initial
// CHECK: write(
// CHECK: return %{{.*}}, %[[LAST]]#1
func.func @states(%u: tensor<?x?x8xf32>, %s0: tensor<?x8xf32>, %y: tensor<?x?x8xf32>,
    %s: tensor<?x8xf32>) -> (tensor<?x?x8xf32>, tensor<?x8xf32>) {
  %0:2 = ssm.scan ins(%u : tensor<?x?x8xf32>) initial(%s0 : tensor<?x8xf32>)
      outs(%y, %s : tensor<?x?x8xf32>, tensor<?x8xf32>)
      maps {ins = [#bte], state = affine_map<(b, t, e) -> (b, e)>, output = #bte}
      coefficients {
  ^bb0(%uv: f32):
    %half = arith.constant 5.0e-01 : f32
    ssm.coefficients decay(%half : f32) write(%uv : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } attributes {schedule = #ssm.schedule<mode = conv>}
      -> tensor<?x?x8xf32>, tensor<?x8xf32>
  return %0#0, %0#1 : tensor<?x?x8xf32>, tensor<?x8xf32>
}

// -----

#bte = affine_map<(b, t, e) -> (b, t, e)>

// A decay that changes from token to token has no kernel.
func.func @varying(%u: tensor<?x?x8xf32>, %y: tensor<?x?x8xf32>, %s: tensor<?x8xf32>)
    -> tensor<?x?x8xf32> {
  // expected-error @below {{mode 'conv' is not possible: its matrices differ between tokens or rows of the batch}}
  %0:2 = ssm.scan ins(%u : tensor<?x?x8xf32>)
      outs(%y, %s : tensor<?x?x8xf32>, tensor<?x8xf32>)
      maps {ins = [#bte], state = affine_map<(b, t, e) -> (b, e)>, output = #bte}
      coefficients {
  ^bb0(%uv: f32):
    ssm.coefficients decay(%uv : f32) write(%uv : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } attributes {schedule = #ssm.schedule<mode = conv>}
      -> tensor<?x?x8xf32>, tensor<?x8xf32>
  return %0#0 : tensor<?x?x8xf32>
}
