// RUN: ssm-opt %s | ssm-opt | FileCheck %s
// RUN: ssm-opt %s --mlir-print-op-generic | ssm-opt | FileCheck %s

// CHECK-DAG: #[[$NONE:.*]] = affine_map<(d0) -> ()>
// CHECK-DAG: #[[$CAUSAL:.*]] = affine_map<(d0) -> (d0 + 1)>
// CHECK-LABEL: func.func @causal
// CHECK: ssm.attend softmax queries({{.*}}) keys({{.*}}) values({{.*}}) histories({{.*}}) position({{.*}}) outs({{.*}})
// CHECK-SAME: from #[[$NONE]] to #[[$CAUSAL]] score {
func.func @causal(%q: tensor<?x?x4x8xf32>, %k: tensor<?x?x4x8xf32>,
    %v: tensor<?x?x4x16xf32>, %hk: tensor<?x?x4x8xf32>,
    %hv: tensor<?x?x4x16xf32>, %position: index, %y0: tensor<?x?x4x16xf32>)
    -> (tensor<?x?x4x16xf32>, tensor<?x?x4x8xf32>, tensor<?x?x4x16xf32>) {
  %y, %hk1, %hv1 = ssm.attend softmax
      queries(%q : tensor<?x?x4x8xf32>) keys(%k : tensor<?x?x4x8xf32>)
      values(%v : tensor<?x?x4x16xf32>)
      histories(%hk, %hv : tensor<?x?x4x8xf32>, tensor<?x?x4x16xf32>)
      position(%position)
      outs(%y0, %hk, %hv : tensor<?x?x4x16xf32>, tensor<?x?x4x8xf32>,
                           tensor<?x?x4x16xf32>)
      from affine_map<(t) -> ()> to affine_map<(t) -> (t + 1)>
      score {
  ^bb0(%dot: f32, %t: index, %s: index, %h: index, %e: index):
    ssm.yield %dot : f32
  } attributes {
      query_maps = [affine_map<(b, t, s, h, e, z) -> (b, t, h, z)>],
      key_maps = [affine_map<(b, t, s, h, e, z) -> (b, s, h, z)>],
      score_maps = [],
      value_map = affine_map<(b, t, s, h, e, z) -> (b, s, h, e)>,
      output_map = affine_map<(b, t, s, h, e, z) -> (b, t, h, e)>}
      -> tensor<?x?x4x16xf32>, tensor<?x?x4x8xf32>, tensor<?x?x4x16xf32>
  return %y, %hk1, %hv1
      : tensor<?x?x4x16xf32>, tensor<?x?x4x8xf32>, tensor<?x?x4x16xf32>
}
