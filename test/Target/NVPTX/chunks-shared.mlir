// RUN: ssm-opt --nvptx-lower-ops='operand-type=bf16' --canonicalize --cse %s | FileCheck %s
// RUN: ssm-opt --nvptx-lower-ops='operand-type=bf16 shared-bytes=49152' --canonicalize --cse %s | FileCheck %s --check-prefix=LITTLE

// Products of a chunk wait for each other with an erase pair: four chunks are staged together, whose matrices of two stages
// take more shared memory than a block has without asking.
// CHECK-LABEL: func.func @erase(
// CHECK: gpu.launch
// CHECK-SAME: workgroup({{.*}} : memref<2x64xf32, #gpu.address_space<workgroup>>
// CHECK: %[[MEMORY:.*]] = gpu.dynamic_shared_memory
// CHECK: memref.view %[[MEMORY]]{{.*}} to memref<2x1x64x136xbf16, #gpu.address_space<workgroup>>
// CHECK: memref.view %[[MEMORY]]{{.*}} to memref<2x1x64x136xbf16, #gpu.address_space<workgroup>>
// CHECK: memref.view %[[MEMORY]]{{.*}} to memref<2x1x2x64x24xbf16, #gpu.address_space<workgroup>>
// CHECK: nvptx.shared_bytes = 81920

// Where there is no more, two chunks.
// LITTLE-LABEL: func.func @erase(
// LITTLE: gpu.launch
// LITTLE-SAME: workgroup({{.*}} : memref<2x1x32x136xbf16, #gpu.address_space<workgroup>>
// LITTLE-NOT: gpu.dynamic_shared_memory
// LITTLE: return

#btk = affine_map<(b, t, p, k) -> (b, t, k)>
#btp = affine_map<(b, t, p, k) -> (b, t, p)>
#bt = affine_map<(b, t, p, k) -> (b, t)>
#state = affine_map<(b, t, p, k) -> (b, k, p)>
func.func @erase(%g: memref<?x?xf32>, %q: memref<?x?x128xbf16>, %k: memref<?x?x128xbf16>,
    %v: memref<?x?x64xbf16>, %y: memref<?x?x64xbf16>, %s: memref<?x128x64xf32>) attributes {nvptx.host} {
  ssm.scan
      ins(%g, %q, %k, %v : memref<?x?xf32>, memref<?x?x128xbf16>, memref<?x?x128xbf16>, memref<?x?x64xbf16>)
      initial(%s : memref<?x128x64xf32>)
      outs(%y, %s : memref<?x?x64xbf16>, memref<?x128x64xf32>)
      maps {ins = [#bt, #btk, #btk, #btp], state = #state, output = #btp}
      coefficients {
  ^bb0(%gv: f32, %qh: bf16, %kh: bf16, %vh: bf16):
    %qv = arith.extf %qh : bf16 to f32
    %kv = arith.extf %kh : bf16 to f32
    %vv = arith.extf %vh : bf16 to f32
    %write = arith.mulf %kv, %vv : f32
    %nk = arith.negf %kv : f32
    ssm.coefficients decay(%gv : f32) write(%write : f32) read(%qv : f32)
        erase(%kv, %nk : f32, f32)
  } epilogue {
  ^bb0(%o: f32):
    %h = arith.truncf %o : f32 to bf16
    ssm.yield %h : bf16
  } attributes {schedule = #ssm.schedule<mode = chunk, chunk = 32>}
  return
}
