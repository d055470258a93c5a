// RUN: ssm-opt %s --pass-pipeline='builtin.module(func.func(ssm-convolve-scans))' --verify-roundtrip | FileCheck %s

// The impulse response, in f64 over an impulse of one row, is the kernel.
// CHECK-LABEL: func.func @average
// CHECK: %[[RESPONSE:.*]]:2 = ssm.scan ins({{.*}} : tensor<1x?xf64>, tensor<8xf32>)
// CHECK: arith.extf
// CHECK: ssm.coefficients decay({{.*}} : f64) write({{.*}} : f64)
// CHECK: arith.truncf
// CHECK: ssm.conv input({{.*}}) kernel({{.*}} : tensor<?x8xf32>)
// CHECK-SAME: lags ?
// CHECK-NOT: ssm.scan
func.func @average(%a: tensor<8xf32> {ssm.weight = "a"}, %u: tensor<?x?x8xf32>,
    %s: tensor<?x8xf32>, %y: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
  %0:2 = ssm.scan ins(%a, %u : tensor<8xf32>, tensor<?x?x8xf32>)
      outs(%y, %s : tensor<?x?x8xf32>, tensor<?x8xf32>)
      maps {ins = [affine_map<(b, t, e) -> (e)>, affine_map<(b, t, e) -> (b, t, e)>],
            state = affine_map<(b, t, e) -> (b, e)>,
            output = affine_map<(b, t, e) -> (b, t, e)>}
      coefficients {
  ^bb0(%decay: f32, %x: f32):
    ssm.coefficients decay(%decay : f32) write(%x : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } attributes {schedule = #ssm.schedule<mode = conv>}
      -> tensor<?x?x8xf32>, tensor<?x8xf32>
  return %0#0 : tensor<?x?x8xf32>
}

// What runs backward looks ahead; a state that is given and wanted keeps its recurrence.
// CHECK-LABEL: func.func @backward
// CHECK: ssm.scan reverse
// CHECK: ssm.conv
// CHECK-SAME: lags ? from
func.func @backward(%a: tensor<8xf32> {ssm.weight = "a"}, %u: tensor<?x?x8xf32>,
    %s: tensor<?x8xf32>, %y: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
  %0:2 = ssm.scan reverse ins(%a, %u : tensor<8xf32>, tensor<?x?x8xf32>)
      outs(%y, %s : tensor<?x?x8xf32>, tensor<?x8xf32>)
      maps {ins = [affine_map<(b, t, e) -> (e)>, affine_map<(b, t, e) -> (b, t, e)>],
            state = affine_map<(b, t, e) -> (b, e)>,
            output = affine_map<(b, t, e) -> (b, t, e)>}
      coefficients {
  ^bb0(%decay: f32, %x: f32):
    ssm.coefficients decay(%decay : f32) write(%x : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } attributes {schedule = #ssm.schedule<mode = conv>}
      -> tensor<?x?x8xf32>, tensor<?x8xf32>
  return %0#0 : tensor<?x?x8xf32>
}

// CHECK-LABEL: func.func @carried
// CHECK: ssm.scan {{.*}}initial
// CHECK: ssm.scan {{.*}}initial
func.func @carried(%a: tensor<8xf32> {ssm.weight = "a"}, %u: tensor<?x?x8xf32>,
    %s: tensor<?x8xf32>, %y: tensor<?x?x8xf32>) -> (tensor<?x?x8xf32>, tensor<?x8xf32>) {
  %0:2 = ssm.scan ins(%a, %u : tensor<8xf32>, tensor<?x?x8xf32>)
      initial(%s : tensor<?x8xf32>)
      outs(%y, %s : tensor<?x?x8xf32>, tensor<?x8xf32>)
      maps {ins = [affine_map<(b, t, e) -> (e)>, affine_map<(b, t, e) -> (b, t, e)>],
            state = affine_map<(b, t, e) -> (b, e)>,
            output = affine_map<(b, t, e) -> (b, t, e)>}
      coefficients {
  ^bb0(%decay: f32, %x: f32):
    ssm.coefficients decay(%decay : f32) write(%x : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } attributes {schedule = #ssm.schedule<mode = conv>}
      -> tensor<?x?x8xf32>, tensor<?x8xf32>
  return %0#0, %0#1 : tensor<?x?x8xf32>, tensor<?x8xf32>
}
