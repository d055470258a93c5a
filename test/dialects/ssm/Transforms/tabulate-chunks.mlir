// RUN: ssm-opt %s --split-input-file --pass-pipeline='builtin.module(func.func(ssm-tabulate-chunks{vector-bits=256}))' | FileCheck %s
// RUN: ssm-opt %s --split-input-file --pass-pipeline='builtin.module(func.func(ssm-tabulate-chunks{vector-bits=256}))' | ssm-opt --split-input-file | FileCheck %s

#bte = affine_map<(b, t, e, n) -> (b, t, e)>
#bt = affine_map<(b, t, e, n) -> (b, t)>
#en = affine_map<(b, t, e, n) -> (e, n)>

// Two inputs, three keys, ten lanes in two vectors of eight.
// CHECK-LABEL: @keys
// Powers in f64.
// CHECK: linalg.generic {{.*}} outs({{.*}}tensor<1x2x3x4x8xf32>, tensor<1x2x3x4x8xf32>
// CHECK: ssm.scan
// CHECK-SAME: tables({{.*}} : tensor<1x2x3x4x2x8xf32>, tensor<1x2x1x4x1x3x8xf32>, tensor<1x2x1x1x2x4x8xf32>, tensor<1x2x2x3x8xf32>)
// CHECK: ^bb0(%{{.*}}: f32, %[[U:.*]]: f32, %[[G:.*]]: f32, %{{.*}}: f32, %{{.*}}: f32):
// CHECK: ssm.coefficients {{.*}} inputs(%[[U]], %[[G]] : f32, f32)
func.func @keys(%a: tensor<10x3xf32>, %u: tensor<?x?x10xf32>, %g: tensor<?x?xf32>,
    %w: tensor<10x3xf32>, %c: tensor<10x3xf32>, %y: tensor<?x?x10xf32>,
    %s: tensor<?x10x3xf32>) -> (tensor<?x?x10xf32>, tensor<?x10x3xf32>) {
  %0:2 = ssm.scan
      ins(%a, %u, %g, %w, %c : tensor<10x3xf32>, tensor<?x?x10xf32>, tensor<?x?xf32>,
          tensor<10x3xf32>, tensor<10x3xf32>)
      outs(%y, %s : tensor<?x?x10xf32>, tensor<?x10x3xf32>)
      maps {ins = [#en, #bte, #bt, #en, #en],
            state = affine_map<(b, t, e, n) -> (b, e, n)>, output = #bte}
      coefficients {
  ^bb0(%av: f32, %uv: f32, %gv: f32, %wv: f32, %cv: f32):
    %p = arith.mulf %wv, %uv : f32
    %q = arith.mulf %gv, %av : f32
    %write = arith.subf %p, %q : f32
    ssm.coefficients decay(%av : f32) write(%write : f32) read(%cv : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } attributes {schedule = #ssm.schedule<mode = chunk, chunk = 4>}
      -> tensor<?x?x10xf32>, tensor<?x10x3xf32>
  return %0#0, %0#1 : tensor<?x?x10xf32>, tensor<?x10x3xf32>
}

// -----

#bte = affine_map<(b, t, e) -> (b, t, e)>
#e = affine_map<(b, t, e) -> (e)>

// A decay that changes has chunks of another form, if any; a scan has none.
// CHECK-LABEL: @others
// CHECK-NOT: tables(
func.func @others(%a: tensor<8xf32>, %u: tensor<?x?x8xf32>, %y: tensor<?x?x8xf32>,
    %s: tensor<?x8xf32>) -> (tensor<?x?x8xf32>, tensor<?x?x8xf32>) {
  %0:2 = ssm.scan ins(%u : tensor<?x?x8xf32>)
      outs(%y, %s : tensor<?x?x8xf32>, tensor<?x8xf32>)
      maps {ins = [#bte], state = affine_map<(b, t, e) -> (b, e)>, output = #bte}
      coefficients {
  ^bb0(%uv: f32):
    ssm.coefficients decay(%uv : f32) write(%uv : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } attributes {schedule = #ssm.schedule<mode = chunk, chunk = 4>}
      -> tensor<?x?x8xf32>, tensor<?x8xf32>
  %1:2 = ssm.scan ins(%a, %u : tensor<8xf32>, tensor<?x?x8xf32>)
      outs(%y, %s : tensor<?x?x8xf32>, tensor<?x8xf32>)
      maps {ins = [#e, #bte], state = affine_map<(b, t, e) -> (b, e)>, output = #bte}
      coefficients {
  ^bb0(%av: f32, %uv: f32):
    ssm.coefficients decay(%av : f32) write(%uv : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } attributes {schedule = #ssm.schedule<mode = scan>}
      -> tensor<?x?x8xf32>, tensor<?x8xf32>
  return %0#0, %1#0 : tensor<?x?x8xf32>, tensor<?x?x8xf32>
}
