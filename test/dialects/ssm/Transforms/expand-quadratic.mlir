// RUN: ssm-opt %s --ssm-expand-quadratic --split-input-file --verify-diagnostics | FileCheck %s
// A recurrence as a sum over earlier tokens: the keys of the initial state are four of
// them, and the queries that give the final one.

// CHECK-DAG: #[[$NONE:.*]] = affine_map<(d0) -> ()>
// CHECK-DAG: #[[$CAUSAL:.*]] = affine_map<(d0) -> (d0 + 1)>
// CHECK-LABEL: func.func @retention
// CHECK-NOT: ssm.scan
// CHECK: ssm.attend queries(%{{.*}} : tensor<?x?x4xf32>) keys(%{{.*}} : tensor<?x?x4xf32>) values(%{{.*}} : tensor<?x?x8xf32>) decays(%{{.*}} : tensor<?x?xf32>) histories(%{{.*}}, %{{.*}}, %{{.*}} : tensor<?x4x4xf32>, tensor<?x4x8xf32>, tensor<?x4xf32>) position(%c4{{[_0-9]*}})
// CHECK-SAME: from #[[$NONE]] to #[[$CAUSAL]]
// CHECK: ssm.attend queries(%{{.*}} : tensor<4x4xf32>) keys(
// CHECK-SAME: from #[[$NONE]] to #[[$NONE]]
func.func @retention(%q: tensor<?x?x4xf32>, %k: tensor<?x?x4xf32>,
    %v: tensor<?x?x8xf32>, %s0: tensor<?x4x8xf32>, %y0: tensor<?x?x8xf32>)
    -> (tensor<?x?x8xf32>, tensor<?x4x8xf32>) {
  %y, %s = ssm.scan
      ins(%q, %k, %v : tensor<?x?x4xf32>, tensor<?x?x4xf32>, tensor<?x?x8xf32>)
      initial(%s0 : tensor<?x4x8xf32>)
      outs(%y0, %s0 : tensor<?x?x8xf32>, tensor<?x4x8xf32>)
      maps {ins = [affine_map<(b, t, i, j) -> (b, t, i)>,
                   affine_map<(b, t, i, j) -> (b, t, i)>,
                   affine_map<(b, t, i, j) -> (b, t, j)>], epilogue = [],
            state = affine_map<(b, t, i, j) -> (b, i, j)>,
            output = affine_map<(b, t, i, j) -> (b, t, j)>}
      coefficients {
  ^bb0(%qv: f32, %kv: f32, %vv: f32):
    %gamma = arith.constant 0.9 : f32
    %write = arith.mulf %kv, %vv : f32
    ssm.coefficients decay(%gamma : f32) write(%write : f32) read(%qv : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } attributes {schedule = #ssm.schedule<mode = quadratic>}
      -> tensor<?x?x8xf32>, tensor<?x4x8xf32>
  return %y, %s : tensor<?x?x8xf32>, tensor<?x4x8xf32>
}

// -----

func.func @backward(%k: tensor<?x?x4xf32>, %y0: tensor<?x?xf32>, %s0: tensor<?x4xf32>) {
  // expected-error @+1 {{schedule: found quadratic, wanted it where a real recurrence of static extents runs forward with a write and a read over keys}}
  %y, %s = ssm.scan reverse ins(%k : tensor<?x?x4xf32>)
      outs(%y0, %s0 : tensor<?x?xf32>, tensor<?x4xf32>)
      maps {ins = [affine_map<(b, t, i) -> (b, t, i)>],
            state = affine_map<(b, t, i) -> (b, i)>,
            output = affine_map<(b, t, i) -> (b, t)>}
      coefficients {
  ^bb0(%v: f32):
    ssm.coefficients write(%v : f32) read(%v : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } attributes {schedule = #ssm.schedule<mode = quadratic>}
      -> tensor<?x?xf32>, tensor<?x4xf32>
  return
}
