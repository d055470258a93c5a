// RUN: ssm-opt %s --pass-pipeline='builtin.module(func.func(ssm-select-modes{mode=scan}))' | FileCheck %s --check-prefix=SCAN
// RUN: ssm-opt %s --pass-pipeline='builtin.module(func.func(ssm-select-modes{mode=chunk chunk-tokens=64}))' | FileCheck %s --check-prefix=CHUNK
// RUN: not ssm-opt %s --pass-pipeline='builtin.module(func.func(ssm-select-modes{mode=conv}))' 2>&1 | FileCheck %s --check-prefix=CONV
// RUN: not ssm-opt %s --pass-pipeline='builtin.module(func.func(ssm-select-modes{mode=warp}))' 2>&1 | FileCheck %s --check-prefix=UNKNOWN
// RUN: not ssm-opt %s --pass-pipeline='builtin.module(func.func(ssm-select-modes{lanes=-1}))' 2>&1 | FileCheck %s --check-prefix=NEGATIVE
// RUN: ssm-opt %s --pass-pipeline='builtin.module(func.func(ssm-select-modes{lanes=32 segments=4 crossover=48}))' | FileCheck %s --check-prefix=OPTIONS
// RUN: ssm-opt %s --pass-pipeline='builtin.module(func.func(ssm-select-modes))' --remarks-filter='ssm-select-modes' --remark-format=emitRemark 2>&1 | FileCheck %s --check-prefix=REMARK
// RUN: ssm-opt %s --mlir-disable-threading --pass-pipeline='builtin.module(func.func(ssm-select-modes{explain=true}))' -o /dev/null 2>&1 | FileCheck %s --check-prefix=EXPLAIN
// RUN: ssm-opt %s --pass-pipeline='builtin.module(func.func(ssm-select-modes))' | ssm-opt --pass-pipeline='builtin.module(func.func(ssm-select-modes{crossover=7}))' | FileCheck %s --check-prefix=KEPT

// The figures of the machine and the shapes decide. Small heads leave chunks nothing to
// gain; large ones gain from some length on.

// SCAN-LABEL: func.func @large
// SCAN: schedule = #ssm.schedule<mode = scan
// CHUNK-LABEL: func.func @large
// CHUNK: schedule = #ssm.schedule<mode = chunk, chunk = 64
// CHUNK-NOT: crossover
// CONV: error: mode 'conv' is not possible for this recurrence
// UNKNOWN: error: there is no mode 'warp'
// NEGATIVE: error: chunk-tokens, lanes and segments are 0 or more
// OPTIONS-LABEL: func.func @large
// OPTIONS: schedule = #ssm.schedule<mode = chunk, chunk = {{[0-9]+}}, lanes = 32, segments = 4, crossover = 48>
// A schedule that is there stays.
// KEPT-NOT: crossover = 7

// REMARK: remark: [Passed] Mode | Category:ssm-select-modes{{.*}}chunk of {{[0-9]+}} tokens from length {{[0-9]+}} on, scan below
// REMARK: remark: [Missed] Rejected {{.*}}Remark=scan, clocksPerToken=
// REMARK: remark: [Missed] Impossible {{.*}}Reason="the decay depends on 'd1'", Remark=conv

// EXPLAIN: this recurrence at {{.*}}select-modes.mlir:{{[0-9]+}}: class D1, runs as chunk of [[Q:[0-9]+]] tokens from length {{[0-9]+}} on, scan below
// EXPLAIN-NEXT: predicted clocks a token, of one core for one row
// EXPLAIN-NEXT: length 1 16 64 512 2048
// EXPLAIN-NEXT: scan {{[0-9]+}}
// EXPLAIN: chunk of [[Q]] * {{[0-9]+}}
// EXPLAIN: not conv: the decay depends on
// EXPLAIN-NOT: not quadratic: it is legal
// EXPLAIN: class D1, runs as scan

#map = affine_map<(b, t, h, p, n) -> (b, t, h)>
#map1 = affine_map<(b, t, h, p, n) -> (b, t, h, n)>
#map2 = affine_map<(b, t, h, p, n) -> (b, t, h, p)>
#map3 = affine_map<(b, t, h, p, n) -> (b, h, p, n)>
module attributes {dlti.target_system_spec = #dlti.target_system_spec<
    "CPU" = #dlti.target_device_spec<"vector_bits" = 512 : i64,
        "fma_per_clock" = 2.0 : f64, "L2_cache_size_in_bytes" = 1048576 : i64>>} {
  func.func @large(%g: tensor<?x?x4xf32>, %k: tensor<?x?x4x128xf32>,
      %v: tensor<?x?x4x64xf32>, %y: tensor<?x?x4x64xf32>, %s: tensor<?x4x64x128xf32>)
      -> (tensor<?x?x4x64xf32>, tensor<?x4x64x128xf32>) {
    %0:2 = ssm.scan
        ins(%g, %k, %v : tensor<?x?x4xf32>, tensor<?x?x4x128xf32>, tensor<?x?x4x64xf32>)
        outs(%y, %s : tensor<?x?x4x64xf32>, tensor<?x4x64x128xf32>)
        maps {ins = [#map, #map1, #map2], epilogue = [], state = #map3, output = #map2}
        coefficients {
    ^bb0(%gv: f32, %kv: f32, %vv: f32):
      %decay = math.exp %gv : f32
      %write = arith.mulf %kv, %vv : f32
      ssm.coefficients decay(%decay : f32) write(%write : f32) read(%kv : f32)
    } epilogue {
    ^bb0(%o: f32):
      ssm.yield %o : f32
    } -> tensor<?x?x4x64xf32>, tensor<?x4x64x128xf32>
    return %0#0, %0#1 : tensor<?x?x4x64xf32>, tensor<?x4x64x128xf32>
  }

  func.func @small(%g: tensor<?x?x2xf32>, %k: tensor<?x?x2x4xf32>,
      %v: tensor<?x?x2x8xf32>, %y: tensor<?x?x2x8xf32>, %s: tensor<?x2x8x4xf32>)
      -> (tensor<?x?x2x8xf32>, tensor<?x2x8x4xf32>) {
    %0:2 = ssm.scan
        ins(%g, %k, %v : tensor<?x?x2xf32>, tensor<?x?x2x4xf32>, tensor<?x?x2x8xf32>)
        outs(%y, %s : tensor<?x?x2x8xf32>, tensor<?x2x8x4xf32>)
        maps {ins = [#map, #map1, #map2], epilogue = [], state = #map3, output = #map2}
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
}
