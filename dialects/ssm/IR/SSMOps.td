//===- SSMOps.td - Ops of the ssm dialect ------------------*- tablegen -*-===//

#ifndef SSM_IR_SSMOPS_TD
#define SSM_IR_SSMOPS_TD

include "ssm/IR/SSMAttendOp.td"
include "ssm/IR/SSMConvOps.td"
include "ssm/IR/SSMMatrixOps.td"

//===----------------------------------------------------------------------===//
// Recurrences
//===----------------------------------------------------------------------===//

def SSM_ScanOp : SSM_DestinationOp<"scan", [AttrSizedOperandSegments]> {
  let summary = "A recurrence that is linear in its state";
  let description = [{
    For every point of the iteration space `(b, t, d2, ..., dk)`, in increasing
    `t` (decreasing if `reverse`):

    ```
    S_t = decay * S_(t-1) + sum_r right_r * (sum_keys left_r * S_(t-1)) + write
    o_t = sum_keys read * S_t
    y_t = epilogue(o_t, ...)
    ```

    `decay`, `write`, `read`, `left_r` and `right_r` are scalars computed by the
    `coefficients` region from the operands `ins` at that point; the state
    never enters the region, so the recurrence is linear by construction. Where
    `reset` is true, `S_(t-1)` is taken as zero.

    **Dimensions.** `state_map` lists the dimensions of the state: the batch
    `d0`, then those over which it extends. `output_map` lists `d0, d1`, then
    the dimensions of the output. State dimensions that are not output
    dimensions are the *keys*: the read sums over them. Output dimensions that
    are not state dimensions are *copies*: only `read` and the epilogue may
    depend on them. Without `read` the state itself is the output, and there are
    no keys unless an erase pair names them: `keys` then lists them.

    **Dense transitions.** `dense [n, m]` names a state dimension `n` and a
    dimension `m` of its own, of the same extent, that no result has; the role
    `dense` takes the place of `decay`, which becomes a matrix:
    `sum_m dense * S_(t-1)[m]` at the point `n`.

    **Complex.** With `complex` every coefficient is two values (real,
    imaginary), so is the state, and products are complex. One output holds the
    real part of the read; two outputs hold real and imaginary parts. With
    `real_sums` as well, the real part of what an erase pair sums takes the
    place of the sum: so a state that stands for itself and its conjugate is
    erased.

    **Remainders.** With a `period` p each state is kept as `S_t - p floor(S_t / p)`:
    an angle that runs over all tokens keeps its digits.

    **Epilogue.** Its arguments are the outputs' values, then the operands
    `epilogue_ins` at the point; it yields what is stored.

    **Chunk tables.** A chunk of C tokens of a time-invariant recurrence, whose
    write is a sum of constants times the scalars `inputs` of the coefficients,
    is a matrix product with tables of weights alone, which the pass
    `ssm-tabulate-chunks` makes. With `A` the transition, `F_r` what the state
    takes of input `r` and G the read, they are, in this order,

    | table  | element                      | shape                              |
    |--------|------------------------------|------------------------------------|
    | write  | `A^(C-1-j) F_r`              | outer, tiles, rows, C, R, width    |
    | read   | `G A^(i+1)`                  | outer, tiles, Q, C, P, rows, width |
    | kernel | `G A^d F_r`                  | outer, tiles, Q, P, R, C, width    |
    | decay  | `A` and `A^C`                | outer, tiles, 2, rows, width       |

    where `rows` counts the parts (real, imaginary) of the keys, P those of the
    output, Q the copies, and `tiles` of `width` lanes cover a dimension of state
    and output (1 and 1 if nothing depends on it); `outer` is the product of the
    others, or 1. The decay of a dense transition, and of one that erases, is a matrix,
    `rows, rows`. Products
    of complex numbers are written out: the tables are real matrices. They say
    nothing that the coefficients do not, so a lowering may ignore them.

    **Convolutions.** From `shortest_conv` tokens on a time-invariant recurrence is
    cheaper as a convolution with its impulse response, where no state is carried:
    `ssm-convolve-scans` gives it that form as well. The schedule is that of the rest.

    **Carry.** `initial` (optional) is the state before the first token, of the
    shape given by `state_map`; the last `outs` receive the state after the last
    token. A sequence of length 0 copies one to the other.

    Constraints:
    * (C1) each map has as many dimensions as the others, and as many results as
      its operand has dimensions;
    * (C2) `state_map` and `output_map` are made of distinct dimensions, the
      state's first is `d0`, the output's first two are `d0, d1`; together they
      name all dimensions but `m` of `dense [n, m]`;
    * (C3) the state does not extend over time: `d1` is not in `state_map`;
    * (C4) coefficient arguments are the element types of `ins`, epilogue
      arguments those of the outputs, or wider floating-point types for an
      epilogue that narrows them, and of `epilogue_ins`;
    * (C5) `initial` and the final state agree with `state_map`: one operand
      each, two when `complex`, all of one floating-point type;
    * (C6) coefficients other than `read` do not depend on copies;
    * (C7) shapes agree wherever two operands name the same dimension alone, and
      other indices stay inside their operand;
    * (C8) `keys` lists dimensions of the state beyond the batch: with a read,
      those that the output lacks; without one the output lacks none;
    * (C9) `dense [n, m]` goes with the role of that name and without `decay`;
      only that role depends on `m`, which no result has;
    * (C10) `real_sums` goes with `complex` and an erase pair;
    * (C11) there are four `tables` or none, of the state's element type and the
      shapes above; they go with `inputs`, and without resets;
    * (C12) `period` is finite and above 0; it goes with a real state that nothing
      multiplies: without decay, dense transition and erase pairs.

    `dim_names`, if present, names the dimensions for messages.

    Example: the selective scan of Mamba (arXiv:2312.00752, equation 2), where
    `d2` is the channel and `d3` the state.

    ```mlir
    func.func @selective_scan(
        %dt: tensor<?x?x8xf32>, %a: tensor<8x4xf32>, %u: tensor<?x?x8xf32>,
        %bt: tensor<?x?x4xf32>, %ct: tensor<?x?x4xf32>, %s0: tensor<?x8x4xf32>,
        %y0: tensor<?x?x8xf32>) -> (tensor<?x?x8xf32>, tensor<?x8x4xf32>) {
      %y, %s = ssm.scan
          ins(%dt, %a, %u, %bt, %ct : tensor<?x?x8xf32>, tensor<8x4xf32>,
              tensor<?x?x8xf32>, tensor<?x?x4xf32>, tensor<?x?x4xf32>)
          initial(%s0 : tensor<?x8x4xf32>)
          epilogue_ins(%u : tensor<?x?x8xf32>)
          outs(%y0, %s0 : tensor<?x?x8xf32>, tensor<?x8x4xf32>)
          maps {ins = [affine_map<(b, t, e, n) -> (b, t, e)>,
                       affine_map<(b, t, e, n) -> (e, n)>,
                       affine_map<(b, t, e, n) -> (b, t, e)>,
                       affine_map<(b, t, e, n) -> (b, t, n)>,
                       affine_map<(b, t, e, n) -> (b, t, n)>],
                epilogue = [affine_map<(b, t, e, n) -> (b, t, e)>],
                state = affine_map<(b, t, e, n) -> (b, e, n)>,
                output = affine_map<(b, t, e, n) -> (b, t, e)>}
          coefficients {
      ^bb0(%d: f32, %av: f32, %uv: f32, %bv: f32, %cv: f32):
        %x = arith.mulf %d, %av : f32
        %decay = math.exp %x : f32
        %du = arith.mulf %d, %uv : f32
        %write = arith.mulf %du, %bv : f32
        ssm.coefficients decay(%decay : f32) write(%write : f32) read(%cv : f32)
      } epilogue {
      ^bb0(%o: f32, %uv: f32):
        %out = arith.addf %o, %uv : f32
        ssm.yield %out : f32
      } -> tensor<?x?x8xf32>, tensor<?x8x4xf32>
      return %y, %s : tensor<?x?x8xf32>, tensor<?x8x4xf32>
    }
    ```

    Example: a dense transition, the same at every token, and the state as
    output.

    ```mlir
    func.func @dense(%a: tensor<4x4xf32>, %bu: tensor<?x?x4xf32>,
        %y0: tensor<?x?x4xf32>, %s0: tensor<?x4xf32>) -> tensor<?x?x4xf32> {
      %y, %s = ssm.scan ins(%a, %bu : tensor<4x4xf32>, tensor<?x?x4xf32>)
          outs(%y0, %s0 : tensor<?x?x4xf32>, tensor<?x4xf32>)
          maps {ins = [affine_map<(b, t, n, m) -> (n, m)>,
                       affine_map<(b, t, n, m) -> (b, t, n)>],
                state = affine_map<(b, t, n, m) -> (b, n)>,
                output = affine_map<(b, t, n, m) -> (b, t, n)>} dense [2, 3]
          coefficients {
      ^bb0(%av: f32, %buv: f32):
        ssm.coefficients write(%buv : f32) dense(%av : f32)
      } epilogue {
      ^bb0(%o: f32):
        ssm.yield %o : f32
      } attributes {dim_names = ["b", "t", "n", "m"]}
          -> tensor<?x?x4xf32>, tensor<?x4xf32>
      return %y : tensor<?x?x4xf32>
    }
    ```
  }];
  let arguments = (ins Variadic<SSM_Shaped>:$ins,
                       Variadic<SSM_Shaped>:$initial,
                       Variadic<SSM_Shaped>:$epilogue_ins,
                       Variadic<SSM_Shaped>:$tables,
                       Variadic<SSM_Init>:$outs,
                       AffineMapArrayAttr:$ins_maps,
                       AffineMapArrayAttr:$epilogue_maps,
                       AffineMapAttr:$state_map,
                       AffineMapAttr:$output_map,
                       DefaultValuedAttr<DenseI64ArrayAttr, "{}">:$keys,
                       UnitAttr:$reverse,
                       UnitAttr:$complex,
                       OptionalAttr<SSM_ScheduleAttr>:$schedule,
                       OptionalAttr<StrArrayAttr>:$dim_names,
                       OptionalAttr<DenseI64ArrayAttr>:$dense,
                       UnitAttr:$real_sums,
                       OptionalAttr<I64Attr>:$shortest_conv,
                       OptionalAttr<F64Attr>:$period);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let regions = (region SizedRegion<1>:$coefficients, SizedRegion<1>:$epilogue);
  let hasCustomAssemblyFormat = 1;
  let hasCanonicalizer = 1;
  let hasVerifier = 1;
  let hasRegionVerifier = 1;
  let extraClassDeclaration = dpsDeclaration # [{
    /// Number of state tensors: 1, or 2 when complex.
    unsigned getNumStates() { return getComplex() ? 2 : 1; }
    /// Number of outputs before the final states in `outs`.
    unsigned getNumOutputs() { return getOuts().size() - getNumStates(); }
    unsigned getNumDims() { return getStateMap().getNumDims(); }
    ::mlir::OperandRange getOutputInits() {
      return getOuts().take_front(getNumOutputs());
    }
    ::mlir::OperandRange getFinalStates() {
      return getOuts().take_back(getNumStates());
    }
    /// The type of a state while it is computed with: that of its elements in memory, f32
    /// if those have fewer bits.
    ::mlir::Type getStateType();
    ::mlir::AffineMap getInsMap(unsigned i) {
      return ::llvm::cast<::mlir::AffineMapAttr>(getInsMaps()[i]).getValue();
    }
    ::mlir::AffineMap getEpilogueMap(unsigned i) {
      return ::llvm::cast<::mlir::AffineMapAttr>(getEpilogueMaps()[i])
          .getValue();
    }
    /// The terminator that names the coefficients' roles.
    ::mlir::ssm::CoefficientsOp getCoefficientsOp();
    /// The terminator of the epilogue.
    ::mlir::ssm::YieldOp getEpilogueYield();
    /// Dimensions of the state beyond the batch, in the state's order.
    ::llvm::SmallVector<unsigned> getStateDims();
    /// Dimensions of the output beyond batch and time, in the output's order.
    ::llvm::SmallVector<unsigned> getOutputDims();
    /// State dimensions the read (or an erase pair) sums over.
    ::llvm::SmallVector<unsigned> getKeyDims();
    /// Output dimensions beyond batch and time that the state lacks.
    ::llvm::SmallVector<unsigned> getCopyDims();
    /// Dimension that the transition matrix sums over, and the state dimension
    /// of the same extent; none without a matrix.
    std::optional<unsigned> getDenseSource() {
      if (!getDense())
        return std::nullopt;
      return static_cast<unsigned>((*getDense())[1]);
    }
    std::optional<unsigned> getDenseTarget() {
      if (!getDense())
        return std::nullopt;
      return static_cast<unsigned>((*getDense())[0]);
    }
    /// `state`, or where the recurrence has a period its remainder.
    ::mlir::Value createRemainder(::mlir::OpBuilder &builder, ::mlir::Location loc,
                                  ::mlir::Value state);
    /// Leaves the coefficients as the only description of the recurrence.
    void dropTables();
    /// Name of dimension `dim` for messages: that of `dim_names`, or `d2`.
    std::string getDimName(unsigned dim);
    /// Static extent of dimension `dim` (>= 2), or kDynamic.
    int64_t getDimSize(unsigned dim);
    /// Dimensions on which a value of the coefficients region depends. Time is
    /// left out for operands of `ins` that `isTimeInvariant` says are the same
    /// at every token although their maps mention it.
    ::llvm::SmallBitVector getDependentDims(
        ::mlir::Value value,
        ::llvm::function_ref<bool(::mlir::OpOperand &)> isTimeInvariant =
            nullptr);
  }];
}

def SSM_CoefficientsOp : SSM_Op<"coefficients",
    [Terminator, Pure, AttrSizedOperandSegments, HasParent<"ScanOp">]> {
  let summary = "Names the roles of a recurrence's coefficients";
  let description = [{
    Terminates the `coefficients` region of `ssm.scan`. An absent `decay` is 1,
    an absent `write` is 0, an absent `read` makes the state the output. `erase`
    holds pairs `left, right` (quadruples when complex). `dense` is an element of
    the transition matrix, which takes the place of the decay. Complex roles are
    two operands, real part first; `reset` is a boolean. `inputs` are the numbers
    of which the write is a sum with constant weights, if `ssm.scan` has tables for
    them.
  }];
  let arguments = (ins Variadic<AnyFloat>:$decay, Variadic<AnyFloat>:$write,
                       Variadic<AnyFloat>:$read, Variadic<AnyFloat>:$erase,
                       Optional<I1>:$reset, Variadic<AnyFloat>:$dense,
                       Variadic<AnyFloat>:$inputs);
  let builders = [
    OpBuilder<(ins "::mlir::ValueRange":$decay, "::mlir::ValueRange":$write,
                   "::mlir::ValueRange":$read, "::mlir::ValueRange":$erase,
                   "::mlir::Value":$reset), [{
      build($_builder, $_state, decay, write, read, erase, reset,
            ::mlir::ValueRange());
    }]>,
    OpBuilder<(ins "::mlir::ValueRange":$decay, "::mlir::ValueRange":$write,
                   "::mlir::ValueRange":$read, "::mlir::ValueRange":$erase,
                   "::mlir::Value":$reset, "::mlir::ValueRange":$dense), [{
      build($_builder, $_state, decay, write, read, erase, reset, dense,
            ::mlir::ValueRange());
    }]>];
  let assemblyFormat = [{
    oilist(`decay` `(` $decay `:` type($decay) `)`
         | `write` `(` $write `:` type($write) `)`
         | `read` `(` $read `:` type($read) `)`
         | `erase` `(` $erase `:` type($erase) `)`
         | `dense` `(` $dense `:` type($dense) `)`
         | `inputs` `(` $inputs `:` type($inputs) `)`
         | `reset` `(` $reset `)`) attr-dict
  }];
}

def SSM_YieldOp : SSM_Op<"yield", [Terminator, Pure, ReturnLike]> {
  let summary = "Ends an epilogue with the values to store";
  let arguments = (ins Variadic<AnyType>:$values);
  let assemblyFormat = "attr-dict ($values^ `:` type($values))?";
}

def SSM_DiscretizeOp : SSM_Op<"discretize",
    [Pure, AttrSizedOperandSegments, AttrSizedResultSegments]> {
  let summary = "From a rate and a step to the coefficients of a recurrence";
  let description = [{
    For `ds/dt = rate * s + f` over one step `dt` gives `decay` and the `gain`
    of `f`, as scalars (complex: two operands and two results each):

    | rule     | decay                         | gain                    |
    |----------|-------------------------------|-------------------------|
    | zoh      | exp(rate dt)                  | (exp(rate dt)-1)/rate   |
    | bilinear | (1+rate dt/2)/(1-rate dt/2)   | dt/(1-rate dt/2)        |
    | euler    | 1 + rate dt                   | dt                      |
    | backward | 1/(1 - rate dt)               | dt/(1 - rate dt)        |

    With a complex rate the step is real, or two operands as well. `input` gives
    the input its own rule, as in Mamba: zoh for the state, euler for the input
    (arXiv:2312.00752, section 3.2). The zoh gain is computed as
    `dt * expm1(x)/x`, which has no pole at `x = rate dt = 0`.

    ```mlir
    func.func @zoh(%rate: f32, %dt: f32) -> (f32, f32) {
      %decay, %gain = ssm.discretize zoh rate(%rate : f32) step(%dt : f32)
          -> decay(f32) gain(f32)
      return %decay, %gain : f32, f32
    }
    ```
  }];
  let arguments = (ins SSM_DiscretizationAttr:$rule,
                       OptionalAttr<SSM_DiscretizationAttr>:$input,
                       Variadic<AnyFloat>:$rate, Variadic<AnyFloat>:$step);
  let results = (outs Variadic<AnyFloat>:$decay, Variadic<AnyFloat>:$gain);
  let assemblyFormat = [{
    `` $rule (`input` `` $input^)? `rate` `(` $rate `:` type($rate) `)`
    `step` `(` $step `:` type($step) `)`
    `->` `decay` `(` type($decay) `)` `gain` `(` type($gain) `)` attr-dict
  }];
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Composites
//===----------------------------------------------------------------------===//

def SSM_NormOp : SSM_DestinationOp<"norm", [AttrSizedOperandSegments]> {
  let summary = "Divides each row by its size";
  let description = [{
    Over the last dimension of `input`, in `groups` equal parts:

    | kind  | y                                            |
    |-------|----------------------------------------------|
    | rms   | x / sqrt(mean(x^2) + eps)                    |
    | layer | (x - mean(x)) / sqrt(var(x) + eps)           |
    | l2    | x / sqrt(sum(x^2) + eps)                     |

    The variance is that of the population. Then the epilogue is applied, whose
    arguments are `y` and the operands `epilogue_ins`, indexed by maps over the
    dimensions of `input`.

    Constraints:
    * (C1) the last dimension is static and a multiple of `groups`;
    * (C2) the output has the input's shape;
    * (C3) epilogue arguments are the output's element type, or a wider
      floating-point type for an epilogue that narrows it, then those of
      `epilogue_ins`, one map for each.

    ```mlir
    func.func @rms_norm(%x: tensor<?x?x8xf32>, %w: tensor<8xf32>,
        %y0: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
      %y = ssm.norm rms eps 1.000000e-05 input(%x : tensor<?x?x8xf32>)
          epilogue_ins(%w : tensor<8xf32>)
          outs(%y0 : tensor<?x?x8xf32>)
          maps [affine_map<(b, t, d) -> (d)>] epilogue {
      ^bb0(%v: f32, %wv: f32):
        %out = arith.mulf %v, %wv : f32
        ssm.yield %out : f32
      } -> tensor<?x?x8xf32>
      return %y : tensor<?x?x8xf32>
    }
    ```
  }];
  let arguments = (ins SSM_NormKindAttr:$kind, F64Attr:$eps, SSM_Shaped:$input,
                       Variadic<SSM_Shaped>:$epilogue_ins,
                       Variadic<SSM_Init>:$outs,
                       AffineMapArrayAttr:$epilogue_maps,
                       DefaultValuedAttr<I64Attr, "1">:$groups);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let regions = (region SizedRegion<1>:$epilogue);
  let assemblyFormat = [{
    `` $kind `eps` $eps (`groups` $groups^)? `input` `(` $input `:` type($input) `)`
    (`epilogue_ins` `(` $epilogue_ins^ `:` type($epilogue_ins) `)`)?
    `outs` `(` $outs `:` type($outs) `)` `maps` $epilogue_maps
    `epilogue` $epilogue attr-dict (`->` type($results)^)?
  }];
  let hasCanonicalizer = 1;
  let hasVerifier = 1;
  let hasRegionVerifier = 1;
  let extraClassDeclaration = dpsDeclaration # [{
    ::mlir::AffineMap getEpilogueMap(unsigned i) {
      return ::llvm::cast<::mlir::AffineMapAttr>(getEpilogueMaps()[i])
          .getValue();
    }
    ::mlir::Value getOutput() { return getOuts().front(); }
    ::mlir::ssm::YieldOp getEpilogueYield();
  }];
}

//===----------------------------------------------------------------------===//
// Products by packed weights
//===----------------------------------------------------------------------===//

def SSM_PackOp : SSM_DestinationOp<"pack"> {
  let summary = "Rearranges a weight matrix into panels of columns";
  let description = [{
    From `weight[n, k]` (`weight[k, n]` if `transposed`) makes panels of `W`
    columns, the last one padded with zeros:

    * f32, f64: `packed[n / W, k, n % W]`, shape `ceil(N/W) x K x W`;
    * bf16, f16: `packed[n / W, k / 2, n % W, k % 2]`, shape
      `ceil(N/W) x ceil(K/2) x W x 2` or deeper, zero past `K`: the pairs that
      dot-product instructions take, and that two one-cycle operations turn into
      f32. Matrix units take whole blocks of the depth.

    The element type may narrow or widen. Runs in `prepare`.

    Constraints:
    * (C1) the weight is a matrix of floating-point numbers, and the packed one
      has the layout of its element type.

    ```mlir
    func.func @pack(%w: tensor<48x64xf32>, %p0: tensor<2x64x32xf32>)
        -> tensor<2x64x32xf32> {
      %p = ssm.pack weight(%w : tensor<48x64xf32>)
          outs(%p0 : tensor<2x64x32xf32>) -> tensor<2x64x32xf32>
      return %p : tensor<2x64x32xf32>
    }
    ```
  }];
  let arguments = (ins SSM_Shaped:$weight, Variadic<SSM_Init>:$outs,
                       UnitAttr:$transposed);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = [{
    (`transposed` $transposed^)? `weight` `(` $weight `:` type($weight) `)`
    `outs` `(` $outs `:` type($outs) `)` attr-dict (`->` type($results)^)?
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = dpsDeclaration;
}

def SSM_MatmulOp : SSM_DestinationOp<"matmul", [AttrSizedOperandSegments]> {
  let summary = "Product of tokens by a packed weight matrix";
  let description = [{
    `y[..., n] = epilogue(sum_k x[..., k] * W[n, k])`, `W` in the panel layout
    of `ssm.pack`; the leading dimensions of `input` and output agree. Products
    accumulate in f32 (f64 for f64). Epilogue maps are over the dimensions of
    the output. With `round_input`, elements of the input are rounded to the
    type of the weight before they are multiplied, so that units for products of
    narrow numbers can be used.

    Constraints:
    * (C1) the packed weight has the layout of its element type, its depth fits
      `K`, its panels cover the output's last dimension;
    * (C2) input and output agree in all dimensions but the last;
    * (C3) epilogue arguments are the output's element type, then those of
      `epilogue_ins`.

    ```mlir
    func.func @linear(%x: tensor<?x?x64xf32>, %w: tensor<2x64x32xf32>,
        %b: tensor<48xf32>, %y0: tensor<?x?x48xf32>) -> tensor<?x?x48xf32> {
      %y = ssm.matmul input(%x : tensor<?x?x64xf32>)
          weight(%w : tensor<2x64x32xf32>) epilogue_ins(%b : tensor<48xf32>)
          outs(%y0 : tensor<?x?x48xf32>)
          maps [affine_map<(b, t, n) -> (n)>] epilogue {
      ^bb0(%acc: f32, %bv: f32):
        %out = arith.addf %acc, %bv : f32
        ssm.yield %out : f32
      } -> tensor<?x?x48xf32>
      return %y : tensor<?x?x48xf32>
    }
    ```
  }];
  let arguments = (ins SSM_Shaped:$input, SSM_Shaped:$weight,
                       Variadic<SSM_Shaped>:$epilogue_ins,
                       Variadic<SSM_Init>:$outs,
                       AffineMapArrayAttr:$epilogue_maps,
                       UnitAttr:$round_input);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let regions = (region SizedRegion<1>:$epilogue);
  let assemblyFormat = [{
    (`round_input` $round_input^)?
    `input` `(` $input `:` type($input) `)`
    `weight` `(` $weight `:` type($weight) `)`
    (`epilogue_ins` `(` $epilogue_ins^ `:` type($epilogue_ins) `)`)?
    `outs` `(` $outs `:` type($outs) `)` `maps` $epilogue_maps
    `epilogue` $epilogue attr-dict (`->` type($results)^)?
  }];
  let hasCanonicalizer = 1;
  let hasVerifier = 1;
  let hasRegionVerifier = 1;
  let extraClassDeclaration = dpsDeclaration # [{
    ::mlir::AffineMap getEpilogueMap(unsigned i) {
      return ::llvm::cast<::mlir::AffineMapAttr>(getEpilogueMaps()[i])
          .getValue();
    }
    ::mlir::Value getOutput() { return getOuts().front(); }
    ::mlir::ssm::YieldOp getEpilogueYield();
  }];
}

#endif // SSM_IR_SSMOPS_TD
