//===- SSMMatrixOps.td - Functions of small matrices -------*- tablegen -*-===//
//
// What discretises a dense system: inverses, powers, exponentials.
//
//===----------------------------------------------------------------------===//

#ifndef SSM_IR_SSMMATRIXOPS_TD
#define SSM_IR_SSMMATRIXOPS_TD

include "ssm/IR/SSMAttrs.td"
include "ssm/IR/SSMBase.td"

def SSM_DiscretizeMatrixOp : SSM_DestinationOp<"discretize_matrix"> {
  let summary = "From a matrix of rates and a step to a transition matrix";
  let description = [{
    For `ds/dt = A s + f` over one step `d` gives the transition matrix and the
    matrix that multiplies `f`, for every step of the tensor `step`:

    | rule     | transition                      | gain                      |
    |----------|---------------------------------|---------------------------|
    | zoh      | exp(A d)                        | integral of exp(A s), 0..d |
    | bilinear | (1 - A d/2)^-1 (1 + A d/2)      | d (1 - A d/2)^-1          |
    | euler    | 1 + A d                         | d                         |
    | backward | (1 - A d)^-1                    | d (1 - A d)^-1            |

    `input` gives the gain a rule of its own. `A` may be singular: the zoh gain
    is `d` times the series of `(exp(x) - 1) / x`, not a quotient. Exponentials
    are computed by scaling and squaring, inverses by elimination with pivots,
    all in f64 whatever the element types. Where `1 - A d` is singular the
    results are not finite.

    Constraints:
    * (C1) `rate` is `... x N x N`, `N` static, of floating-point numbers, as
      are the step and the outs;
    * (C2) the leading dimensions of `rate` are the last ones of `step`: other
      dimensions of the step share the matrix;
    * (C3) there are two outs, of the shape of `step` followed by `N x N`.

    ```mlir
    func.func @legs(%a: tensor<4x4xf32>, %dt: tensor<?xf32>,
        %m0: tensor<?x4x4xf32>, %g0: tensor<?x4x4xf32>)
        -> (tensor<?x4x4xf32>, tensor<?x4x4xf32>) {
      %m, %g = ssm.discretize_matrix bilinear rate(%a : tensor<4x4xf32>)
          step(%dt : tensor<?xf32>)
          outs(%m0, %g0 : tensor<?x4x4xf32>, tensor<?x4x4xf32>)
          -> tensor<?x4x4xf32>, tensor<?x4x4xf32>
      return %m, %g : tensor<?x4x4xf32>, tensor<?x4x4xf32>
    }
    ```
  }];
  let arguments = (ins SSM_DiscretizationAttr:$rule,
                       OptionalAttr<SSM_DiscretizationAttr>:$input,
                       SSM_Shaped:$rate, SSM_Shaped:$step,
                       Variadic<SSM_Init>:$outs);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = [{
    `` $rule (`input` `` $input^)? `rate` `(` $rate `:` type($rate) `)`
    `step` `(` $step `:` type($step) `)`
    `outs` `(` $outs `:` type($outs) `)` attr-dict (`->` type($results)^)?
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = dpsDeclaration;
}

def SSM_MatrixPowerOp : SSM_DestinationOp<"matrix_power"> {
  let summary = "Whole powers of matrices, the inverse among them";
  let description = [{
    `matrix` to the power `exponent`, for every matrix in the last two
    dimensions: by repeated squaring, of the inverse if the exponent is
    negative, in f64 whatever the element types. The power 0 is the identity.
    Where the matrix has no inverse the result is not finite.

    Constraints:
    * (C1) `matrix` is `... x N x N`, `N` static, of floating-point numbers;
    * (C2) the one out has the shape of `matrix`.

    ```mlir
    func.func @inverse(%a: tensor<3x4x4xf32>, %m0: tensor<3x4x4xf32>)
        -> tensor<3x4x4xf32> {
      %m = ssm.matrix_power -1 matrix(%a : tensor<3x4x4xf32>)
          outs(%m0 : tensor<3x4x4xf32>) -> tensor<3x4x4xf32>
      return %m : tensor<3x4x4xf32>
    }
    ```
  }];
  let arguments = (ins I64Attr:$exponent, SSM_Shaped:$matrix,
                       Variadic<SSM_Init>:$outs);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = [{
    $exponent `matrix` `(` $matrix `:` type($matrix) `)`
    `outs` `(` $outs `:` type($outs) `)` attr-dict (`->` type($results)^)?
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = dpsDeclaration;
}

def SSM_KrylovOp : SSM_DestinationOp<"krylov"> {
  let summary = "A vector and its images under the powers of a matrix";
  let description = [{
    `out[..., j, :]` is `matrix` to the power `j` times `vector`, computed in f64
    whatever the element types, one image from the one before: the states that a
    time-invariant system goes through after an impulse, from which its kernel is
    read.

    Constraints:
    * (C1) `matrix` is `... x N x N`, `N` static, of floating-point numbers, as
      are the others;
    * (C2) `vector` is `... x N`, the leading dimensions of the matrix first;
      others behind them share a matrix;
    * (C3) the one out has the dimensions of `vector` with one more, the images,
      before the last.

    ```mlir
    func.func @impulse(%a: tensor<3x4x4xf32>, %b: tensor<3x4xf32>,
        %x0: tensor<3x16x4xf32>) -> tensor<3x16x4xf32> {
      %x = ssm.krylov matrix(%a : tensor<3x4x4xf32>) vector(%b : tensor<3x4xf32>)
          outs(%x0 : tensor<3x16x4xf32>) -> tensor<3x16x4xf32>
      return %x : tensor<3x16x4xf32>
    }
    ```
  }];
  let arguments = (ins SSM_Shaped:$matrix, SSM_Shaped:$vector,
                       Variadic<SSM_Init>:$outs);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = [{
    `matrix` `(` $matrix `:` type($matrix) `)`
    `vector` `(` $vector `:` type($vector) `)`
    `outs` `(` $outs `:` type($outs) `)` attr-dict (`->` type($results)^)?
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = dpsDeclaration;
}

#endif // SSM_IR_SSMMATRIXOPS_TD
