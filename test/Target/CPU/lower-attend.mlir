// RUN: ssm-opt %s --pass-pipeline='builtin.module(func.func(ssm-lower-to-cpu{vector-bits=512}))' | FileCheck %s
// RUN: ssm-opt %s --pass-pipeline='builtin.module(func.func(ssm-lower-to-cpu))' --remarks-filter='ssm-lower-to-cpu' --remark-format=emitRemark -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK --implicit-check-not=remark:

#query = affine_map<(b, t, s, h, e, z) -> (b, t, h, z)>
#key = affine_map<(b, t, s, h, e, z) -> (b, s, h, z)>
#value = affine_map<(b, t, s, h, e, z) -> (b, s, h, e)>
#decay = affine_map<(b, t, s, h, e, z) -> (b, s, h)>
#output = affine_map<(b, t, s, h, e, z) -> (b, t, h, e)>
#distance = affine_map<(b, t, s, h, e, z) -> (s - t + 99)>

// A block of 64 queries meets tiles of 64 keys; scores are as large as both. Whole tiles
// are not masked, the others are.
// CHECK-LABEL: func @softmax
// CHECK-NOT: ssm.attend
// CHECK: scf.parallel
// CHECK: memref.alloca() {{.*}} : memref<32x64xf32>
// CHECK: memref.alloca() {{.*}} : memref<64x32xf32>
// CHECK: memref.alloca() {{.*}} : memref<64x64xf32>
// CHECK: scf.if
// CHECK: arith.maximumf {{.*}} : vector<16xf32>
// CHECK: math.exp {{.*}} : vector<16xf32>
// CHECK: else
// CHECK: arith.cmpi sge, {{.*}} : vector<16xi64>
// CHECK: arith.divf
func.func @softmax(%q: memref<?x?x4x32xf32>, %k: memref<?x?x4x32xf32>,
                   %v: memref<?x?x4x48xf32>, %y: memref<?x?x4x48xf32>) {
  %c0 = arith.constant 0 : index
  ssm.attend softmax queries(%q : memref<?x?x4x32xf32>)
      keys(%k : memref<?x?x4x32xf32>) values(%v : memref<?x?x4x48xf32>)
      position(%c0) outs(%y : memref<?x?x4x48xf32>)
      from affine_map<(t) -> ()> to affine_map<(t) -> (t + 1)>
      score {
  ^bb0(%dot: f32, %t: index, %s: index, %h: index, %e: index):
    ssm.yield %dot : f32
  } attributes {query_maps = [#query], key_maps = [#key], score_maps = [],
                value_map = #value, output_map = #output}
  return
}

// An operand at the distance of two tokens is read once for a tile. Without a softmax
// there are no exponentials; decays are carried from key to key.
// CHECK-LABEL: func @decays
// CHECK-NOT: ssm.attend
// CHECK: memref.alloca() {{.*}} : memref<128xf32>
// CHECK-NOT: math.exp
// CHECK: return
func.func @decays(%q: memref<?x?x4x32xf32>, %k: memref<?x?x4x32xf32>,
                  %v: memref<?x?x4x48xf32>, %a: memref<?x?x4xf32>,
                  %bias: memref<199xf32>, %y: memref<?x?x4x48xf32>) {
  %c0 = arith.constant 0 : index
  ssm.attend queries(%q : memref<?x?x4x32xf32>) keys(%k : memref<?x?x4x32xf32>)
      score_ins(%bias : memref<199xf32>) values(%v : memref<?x?x4x48xf32>)
      decays(%a : memref<?x?x4xf32>)
      position(%c0) outs(%y : memref<?x?x4x48xf32>)
      from affine_map<(t) -> ()> to affine_map<(t) -> (t + 1)>
      score {
  ^bb0(%dot: f32, %b: f32, %t: index, %s: index, %h: index, %e: index):
    %0 = arith.addf %dot, %b : f32
    ssm.yield %0 : f32
  } attributes {query_maps = [#query], key_maps = [#key], score_maps = [#distance],
                value_map = #value, decay_map = #decay, output_map = #output}
  return
}

// CHECK-LABEL: func @branches
// CHECK: ssm.attend
func.func @branches(%q: memref<?x?x4x32xf32>, %k: memref<?x?x4x32xf32>,
                    %v: memref<?x?x4x48xf32>, %y: memref<?x?x4x48xf32>) {
  %c0 = arith.constant 0 : index
  // REMARK: remark: {{.*}}Literal{{.*}}the score computes scf.if, which has no form for vectors{{.*}}ssm.attend runs as scalar loops
  ssm.attend queries(%q : memref<?x?x4x32xf32>) keys(%k : memref<?x?x4x32xf32>)
      values(%v : memref<?x?x4x48xf32>)
      position(%c0) outs(%y : memref<?x?x4x48xf32>)
      from affine_map<(t) -> ()> to affine_map<(t) -> (t + 1)>
      score {
  ^bb0(%dot: f32, %t: index, %s: index, %h: index, %e: index):
    %same = arith.cmpi eq, %t, %s : index
    %0 = scf.if %same -> f32 {
      %1 = math.sqrt %dot : f32
      scf.yield %1 : f32
    } else {
      scf.yield %dot : f32
    }
    ssm.yield %0 : f32
  } attributes {query_maps = [#query], key_maps = [#key], score_maps = [],
                value_map = #value, output_map = #output}
  return
}

// CHECK-LABEL: func @dynamic
// CHECK: ssm.attend
func.func @dynamic(%q: memref<?x?x4x?xf32>, %k: memref<?x?x4x?xf32>,
                   %v: memref<?x?x4x48xf32>, %y: memref<?x?x4x48xf32>) {
  %c0 = arith.constant 0 : index
  // REMARK: remark: {{.*}}an extent besides batch and sequence is known at run time only
  ssm.attend queries(%q : memref<?x?x4x?xf32>) keys(%k : memref<?x?x4x?xf32>)
      values(%v : memref<?x?x4x48xf32>)
      position(%c0) outs(%y : memref<?x?x4x48xf32>)
      from affine_map<(t) -> ()> to affine_map<(t) -> (t + 1)>
      score {
  ^bb0(%dot: f32, %t: index, %s: index, %h: index, %e: index):
    ssm.yield %dot : f32
  } attributes {query_maps = [#query], key_maps = [#key], score_maps = [],
                value_map = #value, output_map = #output}
  return
}

// CHECK-LABEL: func @wide
// CHECK: ssm.attend
func.func @wide(%q: memref<?x?x4x32xf32>, %k: memref<?x?x4x32xf32>,
                %v: memref<?x?x4x9000xf32>, %y: memref<?x?x4x9000xf32>) {
  %c0 = arith.constant 0 : index
  // REMARK: remark: {{.*}}a block of queries and a tile of keys take more than 512 KB
  ssm.attend queries(%q : memref<?x?x4x32xf32>) keys(%k : memref<?x?x4x32xf32>)
      values(%v : memref<?x?x4x9000xf32>)
      position(%c0) outs(%y : memref<?x?x4x9000xf32>)
      from affine_map<(t) -> ()> to affine_map<(t) -> (t + 1)>
      score {
  ^bb0(%dot: f32, %t: index, %s: index, %h: index, %e: index):
    ssm.yield %dot : f32
  } attributes {query_maps = [#query], key_maps = [#key], score_maps = [],
                value_map = #value, output_map = #output}
  return
}

// The ring that is written is another one than is read.
// CHECK-LABEL: func @moved
// CHECK: ssm.attend
func.func @moved(%v: memref<?x?x48xf32>, %h: memref<?x8x48xf32>,
                 %g: memref<?x8x48xf32>, %y: memref<?x?x48xf32>) {
  %c0 = arith.constant 0 : index
  // REMARK: remark: {{.*}}the histories are not written where they are read
  ssm.attend values(%v : memref<?x?x48xf32>) histories(%h : memref<?x8x48xf32>)
      position(%c0) outs(%y, %g : memref<?x?x48xf32>, memref<?x8x48xf32>)
      from affine_map<(t) -> (t - 7)> to affine_map<(t) -> (t + 1)>
      score {
  ^bb0(%t: index, %s: index, %e: index):
    %one = arith.constant 1.0 : f32
    ssm.yield %one : f32
  } attributes {query_maps = [], key_maps = [], score_maps = [],
                value_map = affine_map<(b, t, s, e) -> (b, s, e)>,
                output_map = affine_map<(b, t, s, e) -> (b, t, e)>}
  return
}
