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

#endif // SSM_TRANSFORMS_PASSES_TD
