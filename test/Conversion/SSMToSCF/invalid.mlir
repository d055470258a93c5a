// RUN: ssm-opt %s --convert-ssm-to-scf --verify-diagnostics

func.func @tensors(%x: tensor<?x?xf32>) -> tensor<?x?xf32> {
  // expected-error @+1 {{operands: found tensors, wanted memrefs; bufferize before this pass}}
  %y = ssm.shift 1 input(%x : tensor<?x?xf32>) outs(%x : tensor<?x?xf32>)
      -> tensor<?x?xf32>
  return %y : tensor<?x?xf32>
}
