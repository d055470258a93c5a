//===- Passes.td - ssm to ssm ------------------------------*- tablegen -*-===//

#ifndef SSM_TRANSFORMS_PASSES_TD
#define SSM_TRANSFORMS_PASSES_TD

include "mlir/Pass/PassBase.td"

def ExpandDiscretizePass : Pass<"ssm-expand-discretize"> {
  let summary = "Rewrites ssm.discretize as scalar arithmetic";
  let description = [{
    Complex rates become arithmetic on real and imaginary parts. The zoh gain is
    `dt * expm1(x)/x` with `x = rate * dt`, which is `dt` at `x = 0` and loses no
    digits near it; the complex `expm1(a + bi)` is
    `expm1(a) cos(b) - 2 sin(b/2)^2 + i exp(a) sin(b)`. Example:

    ```mlir
    func.func @euler(%rate: f32, %dt: f32) -> (f32, f32) {
      %decay, %gain = ssm.discretize euler rate(%rate : f32) step(%dt : f32)
          -> decay(f32) gain(f32)
      return %decay, %gain : f32, f32
    }
    ```

    becomes

    ```mlir
    func.func @euler(%rate: f32, %dt: f32) -> (f32, f32) {
      %x = arith.mulf %rate, %dt : f32
      %one = arith.constant 1.0 : f32
      %decay = arith.addf %one, %x : f32
      return %decay, %dt : f32, f32
    }
    ```
  }];
  let dependentDialects = ["mlir::arith::ArithDialect", "mlir::math::MathDialect"];
}

def SplitPreparePass : Pass<"ssm-split-prepare", "mlir::ModuleOp"> {
  let summary = "Moves what depends on weights alone to @prepare";
  let description = [{
    Every largest value of `@forward` that depends only on weights (arguments
    with `ssm.weight`) and constants becomes a result of `@prepare` and an
    argument of `@forward`, both marked `ssm.table` with the table's number.
    Values inside a loop of constant trip count that depend on its index as well
    become one table with a leading dimension, a member for each trip. Constants
    are worth a table only if they take costly math. Afterwards `@forward` has no
    weights. Example:

    ```mlir
    func.func @forward(%w: tensor<4xf32> {ssm.weight = "w"},
                       %x: tensor<?x4xf32> {ssm.input = "x"}, %y: tensor<?x4xf32>)
        -> tensor<?x4xf32> {
      %e = tensor.empty() : tensor<4xf32>
      %0 = linalg.exp ins(%w : tensor<4xf32>) outs(%e : tensor<4xf32>)
          -> tensor<4xf32>
      %1 = linalg.generic {
          indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>,
                           affine_map<(d0, d1) -> (d1)>,
                           affine_map<(d0, d1) -> (d0, d1)>],
          iterator_types = ["parallel", "parallel"]}
          ins(%x, %0 : tensor<?x4xf32>, tensor<4xf32>)
          outs(%y : tensor<?x4xf32>) {
      ^bb0(%a: f32, %b: f32, %o: f32):
        %2 = arith.mulf %a, %b : f32
        linalg.yield %2 : f32
      } -> tensor<?x4xf32>
      return %1 : tensor<?x4xf32>
    }
    ```

    leaves the `linalg.generic` in `@forward`, which takes
    `%t: tensor<4xf32> {ssm.table = 0 : i64}` in place of `%0`, and

    ```mlir
    func.func @prepare(%w: tensor<4xf32> {ssm.weight = "w"})
        -> (tensor<4xf32> {ssm.table = 0 : i64}) {
      %e = tensor.empty() : tensor<4xf32>
      %0 = linalg.exp ins(%w : tensor<4xf32>) outs(%e : tensor<4xf32>)
          -> tensor<4xf32>
      return %0 : tensor<4xf32>
    }
    ```
  }];
  let dependentDialects = ["mlir::arith::ArithDialect", "mlir::scf::SCFDialect",
                           "mlir::tensor::TensorDialect"];
}

#endif // SSM_TRANSFORMS_PASSES_TD
