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

def SSM_ImpulseResponseOp : SSM_DestinationOp<"impulse_response"> {
  let summary = "The kernel of a time-invariant linear system";
  let description = [{
    For every lag `j` from 0 on what a system with the transition `A` answers to
    an impulse:

    ```
    out_p[j, o, q, i W + l] = sum over the rows of read[o, i, p, q] (A[o, i]^j input[o, i])
    ```

    where `o` counts independent systems, `i` the vectors of `W` lanes `l` in
    which systems lie side by side, `p` the outs and `q` what is read of one
    state besides. The state has `N` rows, real numbers all. `A` is a matrix with
    `dense`; otherwise `N / P` numbers of `P` parts, a real or a complex one
    each, whose parts are rows that follow each other. With `reverse` the lag of
    the last place is 0, that of the first one the largest.

    States are f64, and so is the sum, which is rounded once; a magnitude below
    the smallest normal number of the out is zero. A lowering may compute the
    states of a block of lags and, from block to block, what is read of them, so
    that the kernel is the product of two matrices.

    Constraints:
    * (C1) operands are f64, `input` is `O x T x N x W`, known extents all;
    * (C2) `transition` is `O x T x N x N x W` with `dense`, otherwise
      `O x T x N/P x P x W` with one part or two;
    * (C3) `read` is `O x T x outs x Q x N x W`;
    * (C4) the outs are `? x O x Q x T*W`, as many lags in each.

    ```mlir
    func.func @vandermonde(%a: tensor<1x2x4x2x8xf64>, %b: tensor<1x2x8x8xf64>,
        %c: tensor<1x2x1x1x8x8xf64>, %k0: tensor<?x1x1x16xf32>)
        -> tensor<?x1x1x16xf32> {
      %k = ssm.impulse_response transition(%a : tensor<1x2x4x2x8xf64>)
          input(%b : tensor<1x2x8x8xf64>) read(%c : tensor<1x2x1x1x8x8xf64>)
          outs(%k0 : tensor<?x1x1x16xf32>) -> tensor<?x1x1x16xf32>
      return %k : tensor<?x1x1x16xf32>
    }
    ```
  }];
  let arguments = (ins UnitAttr:$dense, UnitAttr:$reverse, SSM_Shaped:$transition,
                       SSM_Shaped:$input, SSM_Shaped:$read,
                       Variadic<SSM_Init>:$outs);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = [{
    (`reverse` $reverse^)? (`dense` $dense^)?
    `transition` `(` $transition `:` type($transition) `)`
    `input` `(` $input `:` type($input) `)` `read` `(` $read `:` type($read) `)`
    `outs` `(` $outs `:` type($outs) `)` attr-dict (`->` type($results)^)?
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = dpsDeclaration # [{
    /// Rows of a state, lanes of a vector, and numbers read of a state in each out.
    int64_t getRows();
    int64_t getWidth();
    int64_t getReads();
    /// 1, or 2 where the transition is of complex numbers; 1 if it is dense.
    int64_t getParts();
  }];
}

#endif // SSM_IR_SSMMATRIXOPS_TD
