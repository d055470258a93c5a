// RUN: ssm-opt %s -ssm-lower-matmul -split-input-file -verify-diagnostics

func.func @dynamic_depth(%x: memref<?x?xf32>, %w: memref<3x64x16xf32>,
                         %y: memref<?x48xf32>) {
  // expected-error @+1 {{found 'memref<?x?xf32>', wanted a static last dimension}}
  ssm.matmul input(%x : memref<?x?xf32>) weight(%w : memref<3x64x16xf32>)
      outs(%y : memref<?x48xf32>) maps [] epilogue {
  ^bb0(%acc: f32):
    ssm.yield %acc : f32
  }
  return
}

// -----

func.func @gaps_in_weights(%x: memref<?x64xf32>,
    %w: memref<3x64x16xf32, strided<[2048, 32, 1]>>, %y: memref<?x48xf32>) {
  // expected-error @+1 {{wanted a static shape without gaps}}
  ssm.matmul input(%x : memref<?x64xf32>)
      weight(%w : memref<3x64x16xf32, strided<[2048, 32, 1]>>)
      outs(%y : memref<?x48xf32>) maps [] epilogue {
  ^bb0(%acc: f32):
    ssm.yield %acc : f32
  }
  return
}

// -----

func.func @tensors(%w: tensor<48x64xf32>, %p: tensor<3x64x16xf32>)
    -> tensor<3x64x16xf32> {
  // expected-error @+1 {{found tensors, wanted memrefs}}
  %r = ssm.pack weight(%w : tensor<48x64xf32>)
      outs(%p : tensor<3x64x16xf32>) -> tensor<3x64x16xf32>
  return %r : tensor<3x64x16xf32>
}
