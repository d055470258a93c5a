// RUN: ssm-opt %s --pass-pipeline='builtin.module(func.func(ssm-select-modes{mode=auto}))' | FileCheck %s --check-prefix=SCAN
// RUN: ssm-opt %s --pass-pipeline='builtin.module(func.func(ssm-select-modes{mode=chunk}))' | FileCheck %s --check-prefix=CHUNK
// RUN: not ssm-opt %s --pass-pipeline='builtin.module(func.func(ssm-select-modes{mode=conv}))' 2>&1 | FileCheck %s --check-prefix=CONV
// RUN: not ssm-opt %s --pass-pipeline='builtin.module(func.func(ssm-select-modes{mode=warp}))' 2>&1 | FileCheck %s --check-prefix=UNKNOWN

// SCAN: schedule = #ssm.schedule<mode = scan
// CHUNK: schedule = #ssm.schedule<mode = chunk
// CONV: error: mode 'conv' is not possible for this recurrence
// UNKNOWN: error: there is no mode 'warp'
func.func @scalar_decay(%g: tensor<?x?x2xf32>, %k: tensor<?x?x2x4xf32>,
    %v: tensor<?x?x2x8xf32>, %y: tensor<?x?x2x8xf32>, %s: tensor<?x2x8x4xf32>)
    -> (tensor<?x?x2x8xf32>, tensor<?x2x8x4xf32>) {
  %0:2 = ssm.scan
      ins(%g, %k, %v : tensor<?x?x2xf32>, tensor<?x?x2x4xf32>, tensor<?x?x2x8xf32>)
      outs(%y, %s : tensor<?x?x2x8xf32>, tensor<?x2x8x4xf32>)
      maps {ins = [affine_map<(b, t, h, p, n) -> (b, t, h)>,
                   affine_map<(b, t, h, p, n) -> (b, t, h, n)>,
                   affine_map<(b, t, h, p, n) -> (b, t, h, p)>],
            epilogue = [],
            state = affine_map<(b, t, h, p, n) -> (b, h, p, n)>,
            output = affine_map<(b, t, h, p, n) -> (b, t, h, p)>}
      coefficients {
  ^bb0(%gv: f32, %kv: f32, %vv: f32):
    %decay = math.exp %gv : f32
    %write = arith.mulf %kv, %vv : f32
    ssm.coefficients decay(%decay : f32) write(%write : f32) read(%kv : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } -> tensor<?x?x2x8xf32>, tensor<?x2x8x4xf32>
  return %0#0, %0#1 : tensor<?x?x2x8xf32>, tensor<?x2x8x4xf32>
}
