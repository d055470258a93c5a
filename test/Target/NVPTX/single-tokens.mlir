// RUN: ssm-opt --nvptx-lower-ops --canonicalize --cse %s | FileCheck %s

// Of a few single tokens four launches remain. The norm scales the sums of the product,
// whose blocks also convolve; of the convolution what no kernel writes is loaded before the
// kernel waits for those before it.
// CHECK-LABEL: func.func @token(
// CHECK: scf.if
// CHECK: gpu.launch
// CHECK: vector.load {{.*}} : memref<128x64x1x2xbf16>, vector<8xbf16>
// CHECK: prefetch.L2
// CHECK-COUNT-4: memref.load %{{.*}} : memref<64x4xf32>
// CHECK: griddepcontrol.wait
// CHECK-COUNT-3: memref.load %{{.*}} : memref<?x3x64xf32>
// CHECK: nvvm.mma.sync
// CHECK: gpu.barrier
// CHECK: memref.store %{{.*}} : memref<?x?x128xf32>
// CHECK: scf.if
// CHECK: memref.store %{{.*}} : memref<?x?x64xf32>
// CHECK-COUNT-3: memref.store %{{.*}} : memref<?x3x64xf32>
// CHECK: else
// CHECK: gpu.launch
// The next product follows, after all forms of the first.
// CHECK: vector.load {{.*}} : memref<40x32x1x2xbf16>, vector<8xbf16>

// The small product is computed by the threads of the recurrence, which have four states of
// the sixteen each.
// CHECK: %[[LANES:.*]] = arith.muli %{{.*}}, %c64 : index
// CHECK: scf.if
// CHECK: gpu.launch {{.*}} threads({{.*}}) in ({{.*}} = %c128,
// CHECK: vector.load {{.*}} : memref<64x16xf32>, vector<4xf32>
// CHECK: vector.load {{.*}} : memref<64x4x1x2xbf16>, vector<2xbf16>
// CHECK: griddepcontrol.wait
// CHECK: vector.load {{.*}} : memref<?x64x16xf32>, vector<4xf32>
// CHECK-COUNT-2: gpu.shuffle xor
// CHECK: math.exp
// CHECK-COUNT-2: gpu.shuffle xor
// CHECK: vector.store {{.*}} : memref<?x64x16xf32>, vector<4xf32>
// CHECK: else
// CHECK: vector.load {{.*}} : memref<64x4x1x2xbf16>
#token = affine_map<(b, t, e) -> (b, t, e)>
#channel = affine_map<(b, t, e, n) -> (b, t, e)>
#key = affine_map<(b, t, e, n) -> (b, t, n)>
func.func @token(%memory: memref<?xi8>, %at: index, %b: index, %t: index,
    %x: memref<?x?x128xf32>, %g: memref<128xf32> {ssm.table = 0 : i64},
    %v: memref<128x64x1x2xbf16> {ssm.table = 1 : i64},
    %k: memref<64x4xf32> {ssm.table = 2 : i64}, %h: memref<?x3x64xf32>,
    %p: memref<40x32x1x2xbf16> {ssm.table = 3 : i64},
    %w: memref<64x4x1x2xbf16> {ssm.table = 4 : i64},
    %a: memref<64x16xf32> {ssm.table = 5 : i64}, %s: memref<?x64x16xf32>,
    %o: memref<128x32x1x2xbf16> {ssm.table = 6 : i64}) attributes {nvptx.host} {
  %n = memref.view %memory[%at][%b, %t] : memref<?xi8> to memref<?x?x128xbf16>
  %uz = memref.view %memory[%at][%b, %t] : memref<?xi8> to memref<?x?x128xf32>
  %u = memref.view %memory[%at][%b, %t] : memref<?xi8> to memref<?x?x64xf32>
  %qbc = memref.view %memory[%at][%b, %t] : memref<?xi8> to memref<?x?x40xf32>
  %d = memref.view %memory[%at][%b, %t] : memref<?xi8> to memref<?x?x64xf32>
  %y = memref.view %memory[%at][%b, %t] : memref<?xi8> to memref<?x?x64xbf16>
  ssm.norm rms eps 1.0e-05 input(%x : memref<?x?x128xf32>)
      epilogue_ins(%g : memref<128xf32>) outs(%n : memref<?x?x128xbf16>)
      maps [affine_map<(b, t, e) -> (e)>] epilogue {
  ^bb0(%value: f32, %scale: f32):
    %0 = arith.mulf %scale, %value : f32
    %1 = arith.truncf %0 : f32 to bf16
    ssm.yield %1 : bf16
  }
  ssm.matmul input(%n : memref<?x?x128xbf16>) weight(%v : memref<128x64x1x2xbf16>)
      outs(%uz : memref<?x?x128xf32>) maps [] epilogue {
  ^bb0(%value: f32):
    ssm.yield %value : f32
  }
  %first = memref.subview %uz[0, 0, 0] [%b, %t, 64] [1, 1, 1]
      : memref<?x?x128xf32> to memref<?x?x64xf32, strided<[?, 128, 1]>>
  ssm.conv input(%first : memref<?x?x64xf32, strided<[?, 128, 1]>>)
      kernel(%k : memref<64x4xf32>) history(%h : memref<?x3x64xf32>)
      outs(%u, %h : memref<?x?x64xf32>, memref<?x3x64xf32>)
      maps {input = #channel, kernel = affine_map<(b, t, e, j) -> (e, -j + 3)>,
            epilogue = [], output = #channel} lags 4 epilogue {
  ^bb0(%value: f32):
    ssm.yield %value : f32
  }
  ssm.matmul round_input input(%u : memref<?x?x64xf32>) weight(%p : memref<40x32x1x2xbf16>)
      outs(%qbc : memref<?x?x40xf32>) maps [] epilogue {
  ^bb0(%value: f32):
    ssm.yield %value : f32
  }
  %q = memref.subview %qbc[0, 0, 0] [%b, %t, 8] [1, 1, 1]
      : memref<?x?x40xf32> to memref<?x?x8xf32, strided<[?, 40, 1]>>
  %in = memref.subview %qbc[0, 0, 8] [%b, %t, 16] [1, 1, 1]
      : memref<?x?x40xf32> to memref<?x?x16xf32, strided<[?, 40, 1], offset: 8>>
  %out = memref.subview %qbc[0, 0, 24] [%b, %t, 16] [1, 1, 1]
      : memref<?x?x40xf32> to memref<?x?x16xf32, strided<[?, 40, 1], offset: 24>>
  ssm.matmul round_input input(%q : memref<?x?x8xf32, strided<[?, 40, 1]>>)
      weight(%w : memref<64x4x1x2xbf16>) outs(%d : memref<?x?x64xf32>) maps [] epilogue {
  ^bb0(%value: f32):
    ssm.yield %value : f32
  }
  ssm.scan ins(%in, %u, %out, %a, %d : memref<?x?x16xf32, strided<[?, 40, 1], offset: 8>>,
               memref<?x?x64xf32>, memref<?x?x16xf32, strided<[?, 40, 1], offset: 24>>,
               memref<64x16xf32>, memref<?x?x64xf32>)
      initial(%s : memref<?x64x16xf32>)
      outs(%y, %s : memref<?x?x64xbf16>, memref<?x64x16xf32>)
      maps {ins = [#key, #channel, #key, affine_map<(b, t, e, n) -> (e, n)>, #channel],
            epilogue = [], state = affine_map<(b, t, e, n) -> (b, e, n)>,
            output = #channel} coefficients {
  ^bb0(%bn: f32, %un: f32, %cn: f32, %an: f32, %dn: f32):
    %0 = arith.mulf %an, %dn : f32
    %1 = math.exp %0 : f32
    %2 = arith.mulf %bn, %un : f32
    %3 = arith.mulf %dn, %2 : f32
    ssm.coefficients decay(%1 : f32) write(%3 : f32) read(%cn : f32)
  } epilogue {
  ^bb0(%value: f32):
    %0 = arith.truncf %value : f32 to bf16
    ssm.yield %0 : bf16
  }
  ssm.matmul input(%y : memref<?x?x64xbf16>) weight(%o : memref<128x32x1x2xbf16>)
      epilogue_ins(%x : memref<?x?x128xf32>)
      outs(%x : memref<?x?x128xf32>)
      maps [#token] epilogue {
  ^bb0(%value: f32, %old: f32):
    %0 = arith.addf %old, %value : f32
    ssm.yield %0 : f32
  }
  return
}
