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

    The second of `outs` receives the history for a later call, if wanted: that
    of history and input together, zero before a cut.

    With `spectrum`, what `ssm.spectrum` makes of the kernel, and the `roots` that
    belong to it, a lowering may convolve by Fourier transforms where that is
    cheaper: from `shortest_fft` tokens on. The values are the same up to
    rounding. The last of `outs` is then memory for transforms, whose contents
    mean nothing afterwards; dimension `spectrum_lane` of the iteration space is
    the one that the spectrum has in tiles.

    With `relaxed`, two more of `outs` pass from call to call what the tokens so
    far add to outputs that are still to come: numbers, and for each sequence the
    position at which they were left. A lowering may read them where that is the
    position of this call, and otherwise makes them anew from the history; both
    are zero before the first token. The values do not depend on them, and a
    lowering that adds up all taps leaves them alone.

    Constraints:
    * (C1) the maps have the same number of dimensions, at least three;
    * (C2) `output_map` starts with `d0, d1` and is made of all dimensions but
      the lag, once each;
    * (C3) `input_map` starts with `d0, d1` and does not contain the lag; only
      the kernel's map does;
    * (C4) `history` and the final history are `B x H x ...` with the input's
      remaining dimensions and one element type, `cut` is `B x T x i1`; without
      `position` and with a known number of lags, H is the largest lag;
    * (C5) epilogue arguments are the output's element type, or a wider
      floating-point type for an epilogue that narrows it, then those of
      `epilogue_ins`;
    * (C6) there is at least one lag, shapes agree wherever two operands name
      the same dimension alone, and other indices stay inside their operand;
    * (C7) with `lags ?`, one index of the kernel is the lag alone; `from` is a
      number or a value, not both;
    * (C8) `position` goes with a history, and a history with a lag above 0;
    * (C9) a spectrum goes with roots, `spectrum_lane` and the memory for
      transforms, `B x T x n` with at least four elements of each output channel,
      tiles filled up, or, where the spectrum has blocks of one size, three, five
      unless the first lag is a number from 0 to the size of a block; every index
      of its kernel is a dimension alone;
    * (C10) `relaxed` goes with a spectrum, a position, a history and its
      destination, with no lag below 0, and the last two of `outs`: `B x n x m`
      of the spectrum's elements, and `B` 64-bit integers.

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
                       Optional<SSM_Shaped>:$spectrum,
                       Optional<SSM_Shaped>:$roots,
                       Variadic<SSM_Init>:$outs,
                       AffineMapAttr:$input_map, AffineMapAttr:$kernel_map,
                       AffineMapArrayAttr:$epilogue_maps,
                       AffineMapAttr:$output_map, I64Attr:$lags,
                       DefaultValuedAttr<I64Attr, "0">:$static_first,
                       OptionalAttr<I64Attr>:$spectrum_lane,
                       OptionalAttr<I64Attr>:$shortest_fft,
                       UnitAttr:$relaxed);
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
    /// How many of `outs` come after output and final history.
    unsigned getNumExtraOuts() {
      return (getSpectrum() ? 1 : 0) + (getRelaxed() ? 2 : 0);
    }
    /// Destination of the final history, or null.
    ::mlir::Value getFinalHistory() {
      return getOuts().size() > 1 + getNumExtraOuts() ? getOuts()[1]
                                                      : ::mlir::Value();
    }
    /// Memory for transforms, or null.
    ::mlir::Value getWorkspace() {
      return getSpectrum() ? getOuts().drop_back(getRelaxed() ? 2 : 0).back()
                           : ::mlir::Value();
    }
    /// What tokens so far add to later outputs, or null.
    ::mlir::Value getPartialSums() {
      return getRelaxed() ? getOuts().drop_back().back() : ::mlir::Value();
    }
    /// The position at which these sums were left, or null.
    ::mlir::Value getPartialSumsPosition() {
      return getRelaxed() ? getOuts().back() : ::mlir::Value();
    }
    /// Whether `out`, one of `outs`, is read before it is written.
    bool isUpdated(::mlir::OpOperand &out) {
      return getRelaxed() && out.getOperandNumber() + 2 >= (*this)->getNumOperands();
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

def SSM_RootsOp : SSM_DestinationOp<"roots"> {
  let summary = "Roots of unity in the order of a Fourier transform";
  let description = [{
    ```
    roots[r] = exp(pi i f(r)),   f(1) = 1/4,   f(2 r + c) = (f(r) + c) / 2
    ```

    as pairs of real and imaginary part; `roots[0]` is 1. The tree of `r` is that
    of polynomials modulo `X^N - i`: node `r`, which is modulo `X^n - exp(2 pi i
    f(r))`, splits into nodes `2 r` and `2 r + 1`, modulo `X^(n/2) -+ roots[r]`.
    So one table serves transforms of every length. Runs in `prepare`, in double
    precision.

    Constraints:
    * (C1) the output is `? x 2`.

    ```mlir
    func.func @roots(%r0: tensor<64x2xf32>) -> tensor<64x2xf32> {
      %r = ssm.roots outs(%r0 : tensor<64x2xf32>) -> tensor<64x2xf32>
      return %r : tensor<64x2xf32>
    }
    ```
  }];
  let arguments = (ins Variadic<SSM_Init>:$outs);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = [{
    `outs` `(` $outs `:` type($outs) `)` attr-dict (`->` type($results)^)?
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = dpsDeclaration;
}

def SSM_SpectrumOp : SSM_DestinationOp<"spectrum", [AttrSizedOperandSegments]> {
  let summary = "Fourier transforms of the pieces of a long kernel";
  let description = [{
    Sequence and kernel are cut into blocks of `N` tokens and lags. `K_j` are the
    taps of the lags `j N` to `j N + N - 1`, `X_m` the tokens `m N` to `m N + N -
    1`, zero where there are none. Their product modulo `X^N - i` has the low half
    of the coefficients in its real part and the high half in its imaginary
    part, so that the block `o` of the output is

    ```
    real part of the sum over m of  X_m * G_{o-m},   G_j = K_j - i K_{j-1}
    ```

    The spectrum holds the values of `G_j / N` at the `N` roots of `X^N - i`, the
    root number `k` being `exp(2 pi i f(N + k))` with the `f` of `ssm.roots`.

    There are several sizes of blocks, `N = 64, 256, 1024, ...`, for calls of
    several lengths: up to the first of which eight blocks hold all lags. That
    one has all pieces, from `floor(first / N)` to `floor(last / N) + 1`;
    smaller ones only those from -7 to 7. The pieces of a size follow each
    other, the sizes too; four places after every piece stay free, so that the
    same place of all pieces fits a cache. The output may be longer than what
    they take.

    With `block`, there are blocks of that size alone, with all pieces, and
    nothing lies between them. With `threads` as well, the values of a piece are
    for `S` threads that have `R = N / S` consecutive ones each, an even number,
    and read two at a time, all threads beside each other: the value `t R + 2 i
    + j` of the thread `t`, `j` being 0 or 1, is at place `2 (i S + t) + j`.

    The output has the kernel's dimensions in order but for the lag and `lane`,
    then `ceil(lanes / W) x places x 2 x W`: channels along `lane` in tiles of
    `W`, filled up with zeros, real and imaginary parts apart. The first lag is
    `first` or the number `static_first`. Runs in `prepare`.

    Constraints:
    * (C1) `lag` and `lane` are two dimensions of the kernel;
    * (C2) the output has the shape above, with a known `W`;
    * (C3) the roots are `? x 2`, as many as the largest `N`;
    * (C4) `block` is a power of two from 8 on, `threads` one that leaves each
      thread at least two values, and goes with a block.

    ```mlir
    func.func @spectrum(%k: tensor<100x8xf32>, %r: tensor<64x2xf32>,
                        %s0: tensor<1x256x2x16xf32>) -> tensor<1x256x2x16xf32> {
      %s = ssm.spectrum kernel(%k : tensor<100x8xf32>)
          roots(%r : tensor<64x2xf32>) lag 0 lane 1
          outs(%s0 : tensor<1x256x2x16xf32>) -> tensor<1x256x2x16xf32>
      return %s : tensor<1x256x2x16xf32>
    }
    ```
  }];
  let arguments = (ins SSM_Shaped:$kernel, SSM_Shaped:$roots,
                       Optional<Index>:$first, Variadic<SSM_Init>:$outs,
                       I64Attr:$lag, I64Attr:$lane,
                       DefaultValuedAttr<I64Attr, "0">:$static_first,
                       OptionalAttr<I64Attr>:$block,
                       OptionalAttr<I64Attr>:$threads);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = [{
    `kernel` `(` $kernel `:` type($kernel) `)`
    `roots` `(` $roots `:` type($roots) `)` (`from` $first^)?
    `lag` $lag `lane` $lane
    `outs` `(` $outs `:` type($outs) `)` attr-dict (`->` type($results)^)?
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = dpsDeclaration;
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
