//===- SSMConvOps.td - Convolutions of the ssm dialect -----*- tablegen -*-===//

#ifndef SSM_IR_SSMCONVOPS_TD
#define SSM_IR_SSMCONVOPS_TD

include "ssm/IR/SSMAttrs.td"

def SSM_ConvOp : SSM_DestinationOp<"conv", [AttrSizedOperandSegments]> {
  let summary = "Convolution along the sequence";
  let description = [{
    Over the iteration space `(b, t, d2, ..., dk, i)`, the last dimension being
    the place `0 <= i < lags` in the kernel, whose lag is `j = first + i`:

    ```
    y[output] = epilogue(sum_i kernel[kernel_map] * input[b, t - j, ...])
    ```

    `input_map` gives the input's indices at lag 0 (without `i`); the op reads
    the token `t - j`. `lags 4` has the lags 0 to 3. `lags 7 from -3` looks
    ahead too, with the lags -3 to 3. `lags ?` has as many lags as the kernel,
    for a kernel that is prepared for the longest sequence; `from` may then be
    an index value, `from %first`. Tokens at or after the end of the sequence
    are zero, so a kernel may be longer than the sequence.

    Tokens before this call are read from `history`, whose second dimension
    counts tokens, without it they are zero. It holds the last tokens, the most
    recent last. With `position`, the number of tokens before this call, it is
    a ring: the token `q` of the sequence is at `q mod H`, where H is the number
    of tokens it holds, and older ones are zero; what stands at places of no
    token yet does not matter. Where `cut`
    (`tensor<B x T x i1>`) is true at some token between the one that is read and
    `t` (the earlier of the two aside), the tap is zero: a document starts there.

    The last `outs` receives the history for a later call, if wanted: that of
    history and input together, zero before a cut.

    Constraints:
    * (C1) the maps have the same number of dimensions, at least three;
    * (C2) `output_map` starts with `d0, d1` and is made of all dimensions but
      the lag, once each;
    * (C3) `input_map` starts with `d0, d1` and does not contain the lag; only
      the kernel's map does;
    * (C4) `history` and the final history are `B x H x ...` with the input's
      remaining dimensions and one element type, `cut` is `B x T x i1`; without
      `position` and with a known number of lags, H is the largest lag;
    * (C5) epilogue arguments are the output's element type, then those of
      `epilogue_ins`;
    * (C6) there is at least one lag, shapes agree wherever two operands name
      the same dimension alone, and other indices stay inside their operand;
    * (C7) with `lags ?`, one index of the kernel is the lag alone; `from` is a
      number or a value, not both;
    * (C8) `position` goes with a history, and a history with a lag above 0.

    ```mlir
    func.func @short_conv(%u: tensor<?x?x8xf32>, %k: tensor<8x4xf32>,
        %h: tensor<?x3x8xf32>, %bias: tensor<8xf32>, %y0: tensor<?x?x8xf32>)
        -> (tensor<?x?x8xf32>, tensor<?x3x8xf32>) {
      %y, %h1 = ssm.conv
          input(%u : tensor<?x?x8xf32>) kernel(%k : tensor<8x4xf32>)
          history(%h : tensor<?x3x8xf32>)
          epilogue_ins(%bias : tensor<8xf32>)
          outs(%y0, %h : tensor<?x?x8xf32>, tensor<?x3x8xf32>)
          maps {input = affine_map<(b, t, c, j) -> (b, t, c)>,
                kernel = affine_map<(b, t, c, j) -> (c, -j + 3)>,
                epilogue = [affine_map<(b, t, c, j) -> (c)>],
                output = affine_map<(b, t, c, j) -> (b, t, c)>} lags 4
          epilogue {
      ^bb0(%acc: f32, %bv: f32):
        %out = arith.addf %acc, %bv : f32
        ssm.yield %out : f32
      } -> tensor<?x?x8xf32>, tensor<?x3x8xf32>
      return %y, %h1 : tensor<?x?x8xf32>, tensor<?x3x8xf32>
    }
    ```

    A kernel as long as the sequence, with two outputs a channel, and all tokens
    so far as the history:

    ```mlir
    func.func @long_conv(%u: tensor<?x?x8xf32>, %k: tensor<?x2x8xf32>,
        %h: tensor<?x?x8xf32>, %position: index, %y0: tensor<?x?x2x8xf32>)
        -> (tensor<?x?x2x8xf32>, tensor<?x?x8xf32>) {
      %y, %h1 = ssm.conv
          input(%u : tensor<?x?x8xf32>) kernel(%k : tensor<?x2x8xf32>)
          history(%h : tensor<?x?x8xf32>) position(%position : index)
          outs(%y0, %h : tensor<?x?x2x8xf32>, tensor<?x?x8xf32>)
          maps {input = affine_map<(b, t, c, d, j) -> (b, t, d)>,
                kernel = affine_map<(b, t, c, d, j) -> (j, c, d)>,
                output = affine_map<(b, t, c, d, j) -> (b, t, c, d)>} lags ?
          epilogue {
      ^bb0(%acc: f32):
        ssm.yield %acc : f32
      } -> tensor<?x?x2x8xf32>, tensor<?x?x8xf32>
      return %y, %h1 : tensor<?x?x2x8xf32>, tensor<?x?x8xf32>
    }
    ```

    A kernel of two sides:

    ```mlir
    func.func @two_sided(%u: tensor<?x?x8xf32>, %k: tensor<?x8xf32>,
        %first: index, %y0: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
      %y = ssm.conv
          input(%u : tensor<?x?x8xf32>) kernel(%k : tensor<?x8xf32>)
          outs(%y0 : tensor<?x?x8xf32>)
          maps {input = affine_map<(b, t, c, j) -> (b, t, c)>,
                kernel = affine_map<(b, t, c, j) -> (j, c)>,
                output = affine_map<(b, t, c, j) -> (b, t, c)>}
          lags ? from %first
          epilogue {
      ^bb0(%acc: f32):
        ssm.yield %acc : f32
      } -> tensor<?x?x8xf32>
      return %y : tensor<?x?x8xf32>
    }
    ```
  }];
  let arguments = (ins SSM_Shaped:$input, SSM_Shaped:$kernel,
                       Optional<SSM_Shaped>:$history, Optional<Index>:$position,
                       Optional<SSM_Shaped>:$cut,
                       Variadic<SSM_Shaped>:$epilogue_ins,
                       Optional<Index>:$first,
                       Variadic<SSM_Init>:$outs,
                       AffineMapAttr:$input_map, AffineMapAttr:$kernel_map,
                       AffineMapArrayAttr:$epilogue_maps,
                       AffineMapAttr:$output_map, I64Attr:$lags,
                       DefaultValuedAttr<I64Attr, "0">:$static_first);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let regions = (region SizedRegion<1>:$epilogue);
  let hasCustomAssemblyFormat = 1;
  let hasCanonicalizer = 1;
  let hasVerifier = 1;
  let hasRegionVerifier = 1;
  let extraClassDeclaration = dpsDeclaration # [{
    unsigned getNumDims() { return getOutputMap().getNumDims(); }
    ::mlir::AffineMap getEpilogueMap(unsigned i) {
      return ::llvm::cast<::mlir::AffineMapAttr>(getEpilogueMaps()[i])
          .getValue();
    }
    ::mlir::Value getOutput() { return getOuts().front(); }
    /// Destination of the final history, or null.
    ::mlir::Value getFinalHistory() {
      return getOuts().size() > 1 ? getOuts()[1] : ::mlir::Value();
    }
    ::mlir::ssm::YieldOp getEpilogueYield();
    /// As many lags as the kernel has at run time.
    bool hasDynamicLags() {
      return ::mlir::ShapedType::isDynamic(getLags());
    }
    /// The dimension of the kernel that is the lag alone, or nothing.
    std::optional<unsigned> getLagAxis();
    /// The largest lag, if it is known.
    std::optional<int64_t> getReach() {
      if (hasDynamicLags() || getFirst())
        return std::nullopt;
      return static_cast<int64_t>(getStaticFirst()) +
             static_cast<int64_t>(getLags()) - 1;
    }
    /// More than a few taps: a kernel to which modes of execution apply.
    bool isLong() {
      return hasDynamicLags() || static_cast<int64_t>(getLags()) > kShortLags;
    }
    /// Kernels of at most so many lags are short convolutions.
    static constexpr int64_t kShortLags = 8;
  }];
}

def SSM_ShiftOp : SSM_DestinationOp<"shift", [AttrSizedOperandSegments]> {
  let summary = "The sequence some tokens earlier or later";
  let description = [{
    `y[b, t, ...] = x[b, t - distance, ...]`, zero outside the sequence; a
    negative distance looks ahead. Before the first token a positive distance
    reads `history` (`B x distance x ...`, the most recent last), and the second
    of `outs` receives the history for a later call. Where `cut` is true at some
    token of `(t - distance, t]` the value is zero.

    Constraints:
    * (C1) the distance is not zero;
    * (C2) history and cut go with a positive distance, the history holds
      `distance` tokens, `cut` is `B x T x i1`;
    * (C3) the output has the input's shape.

    ```mlir
    func.func @previous(%x: tensor<?x?x8xf32>, %h: tensor<?x1x8xf32>,
        %y0: tensor<?x?x8xf32>) -> (tensor<?x?x8xf32>, tensor<?x1x8xf32>) {
      %y, %h1 = ssm.shift 1 input(%x : tensor<?x?x8xf32>)
          history(%h : tensor<?x1x8xf32>)
          outs(%y0, %h : tensor<?x?x8xf32>, tensor<?x1x8xf32>)
          -> tensor<?x?x8xf32>, tensor<?x1x8xf32>
      return %y, %h1 : tensor<?x?x8xf32>, tensor<?x1x8xf32>
    }
    ```
  }];
  let arguments = (ins I64Attr:$distance, SSM_Shaped:$input,
                       Optional<SSM_Shaped>:$history, Optional<SSM_Shaped>:$cut,
                       Variadic<SSM_Init>:$outs);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = [{
    $distance `input` `(` $input `:` type($input) `)`
    (`history` `(` $history^ `:` type($history) `)`)?
    (`cut` `(` $cut^ `:` type($cut) `)`)?
    `outs` `(` $outs `:` type($outs) `)` attr-dict (`->` type($results)^)?
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = dpsDeclaration;
}

#endif // SSM_IR_SSMCONVOPS_TD
