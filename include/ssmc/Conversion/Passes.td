//===- Passes.td - ssm to something else -------------------*- tablegen -*-===//

#ifndef SSMC_CONVERSION_PASSES_TD
#define SSMC_CONVERSION_PASSES_TD

include "mlir/Pass/PassBase.td"

def ConvertSSMToSCFPass : Pass<"convert-ssm-to-scf"> {
  let summary = "Lowers ssm ops on memory to scalar loops, literally";
  let description = [{
    Every op becomes the loops of its definition, with no attention to speed:
    the lowering against which others are checked. It takes any element type,
    strides and extents, and buffers shared by what an op carries in and out.
    Ops on tensors are an error: bufferize first. Example:

    ```mlir
    func.func @next(%x: memref<1x?x1xf64>, %y: memref<1x?x1xf64>) {
      ssm.shift -1 input(%x : memref<1x?x1xf64>) outs(%y : memref<1x?x1xf64>)
      return
    }
    ```

    becomes three loops around

    ```
    %later = arith.addi %t, %c1 : index
    %inside = arith.cmpi slt, %later, %length : index
    %value = scf.if %inside -> f64 {
      %loaded = memref.load %x[%b, %later, %c] : memref<1x?x1xf64>
      scf.yield %loaded : f64
    } else {
      scf.yield %zero : f64
    }
    memref.store %value, %y[%b, %t, %c] : memref<1x?x1xf64>
    ```
  }];
  let dependentDialects = ["mlir::affine::AffineDialect", "mlir::arith::ArithDialect",
                           "mlir::math::MathDialect", "mlir::memref::MemRefDialect",
                           "mlir::scf::SCFDialect"];
}

#endif // SSMC_CONVERSION_PASSES_TD
