//===- Passes.td - ssm to ssm ------------------------------*- tablegen -*-===//

#ifndef SSM_TRANSFORMS_PASSES_TD
#define SSM_TRANSFORMS_PASSES_TD

include "mlir/Pass/PassBase.td"
include "ssm/Transforms/FusionPasses.td"

def ExpandQuadraticPass : Pass<"ssm-expand-quadratic", "mlir::func::FuncOp"> {
  let summary = "Rewrites recurrences as sums over earlier tokens";
  let description = [{
    An `ssm.scan` whose schedule is `quadratic` becomes `ssm.attend`: the read is the
    query, the factors of the write with the keys in them are the key, the others the
    value, and the decays multiply the scores. The state before the first token
    becomes as many earlier tokens as it has keys; a second `ssm.attend`, with the
    keys as queries one by one, gives the state after the last one. A write of
    several products makes one pair of ops for each. Example:

    ```mlir
    func.func @retention(%q: tensor<?x?x4xf32>, %k: tensor<?x?x4xf32>,
        %v: tensor<?x?x8xf32>, %s0: tensor<?x4x8xf32>, %y0: tensor<?x?x8xf32>)
        -> (tensor<?x?x8xf32>, tensor<?x4x8xf32>) {
      %y, %s = ssm.scan
          ins(%q, %k, %v : tensor<?x?x4xf32>, tensor<?x?x4xf32>, tensor<?x?x8xf32>)
          initial(%s0 : tensor<?x4x8xf32>)
          outs(%y0, %s0 : tensor<?x?x8xf32>, tensor<?x4x8xf32>)
          maps {ins = [affine_map<(b, t, i, j) -> (b, t, i)>,
                       affine_map<(b, t, i, j) -> (b, t, i)>,
                       affine_map<(b, t, i, j) -> (b, t, j)>], epilogue = [],
                state = affine_map<(b, t, i, j) -> (b, i, j)>,
                output = affine_map<(b, t, i, j) -> (b, t, j)>}
          coefficients {
      ^bb0(%qv: f32, %kv: f32, %vv: f32):
        %gamma = arith.constant 0.9 : f32
        %write = arith.mulf %kv, %vv : f32
        ssm.coefficients decay(%gamma : f32) write(%write : f32) read(%qv : f32)
      } epilogue {
      ^bb0(%o: f32):
        ssm.yield %o : f32
      } attributes {schedule = #ssm.schedule<mode = quadratic>}
          -> tensor<?x?x8xf32>, tensor<?x4x8xf32>
      return %y, %s : tensor<?x?x8xf32>, tensor<?x4x8xf32>
    }
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::linalg::LinalgDialect",
                           "::mlir::ssm::SSMDialect",
                           "::mlir::tensor::TensorDialect"];
}

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

def HoistInvariantsPass : Pass<"ssm-hoist-invariants", "mlir::func::FuncOp"> {
  let summary = "Computes what does not depend on time once";
  let description = [{
    A part of a scan's coefficients that depends neither on time nor on the
    batch becomes a `linalg.generic` before the scan, over the dimensions it
    depends on, if it takes costly math, combines two operands, or depends on
    weights alone; in the last case `ssm-split-prepare` moves it out of
    `@forward`. A factor that changes over time is taken out of sums before:
    `a (b u) - c (d u)` is `(a b - c d) u`. Of an elementwise `linalg.generic`,
    costly parts that depend on weights and indices alone are hoisted the same
    way. Example: the coefficients

    ```mlir
    func.func @decay(%a: tensor<8xf32> {ssm.weight = "a"}, %u: tensor<?x?x8xf32>,
        %s: tensor<?x8xf32>, %y: tensor<?x?x8xf32>)
        -> (tensor<?x?x8xf32>, tensor<?x8xf32>) {
      %0:2 = ssm.scan ins(%a, %u : tensor<8xf32>, tensor<?x?x8xf32>)
          initial(%s : tensor<?x8xf32>)
          outs(%y, %s : tensor<?x?x8xf32>, tensor<?x8xf32>)
          maps {ins = [affine_map<(b, t, e) -> (e)>,
                       affine_map<(b, t, e) -> (b, t, e)>],
                state = affine_map<(b, t, e) -> (b, e)>,
                output = affine_map<(b, t, e) -> (b, t, e)>}
          coefficients {
      ^bb0(%v: f32, %w: f32):
        %1 = math.exp %v : f32
        ssm.coefficients decay(%1 : f32) write(%w : f32)
      } epilogue {
      ^bb0(%v: f32):
        ssm.yield %v : f32
      } -> tensor<?x?x8xf32>, tensor<?x8xf32>
      return %0#0, %0#1 : tensor<?x?x8xf32>, tensor<?x8xf32>
    }
    ```

    read a `tensor<8xf32>` of exponentials afterwards.
  }];
  let dependentDialects = ["mlir::arith::ArithDialect",
                           "mlir::linalg::LinalgDialect",
                           "mlir::tensor::TensorDialect"];
}

def RoundOperandsPass : Pass<"ssm-round-operands", "mlir::func::FuncOp"> {
  let summary = "Stores operands of products as the products round them";
  let description = [{
    An output of `ssm.norm` or `ssm.scan` that nothing reads but products with
    `round_input`, of weights of one type, is stored in that type: the epilogue
    rounds. It is read several times, so this moves fewer bytes, and products can
    copy it as it is. Results stay the same. Example:

    ```mlir
    func.func @project(%x: tensor<4x16xf32>, %w: tensor<32x8x1x2xbf16>,
                       %y: tensor<4x32xf32>) -> tensor<4x32xf32> {
      %e = tensor.empty() : tensor<4x16xf32>
      %0 = ssm.norm rms eps 1.000000e-05 input(%x : tensor<4x16xf32>)
          outs(%e : tensor<4x16xf32>) maps [] epilogue {
      ^bb0(%v: f32):
        ssm.yield %v : f32
      } -> tensor<4x16xf32>
      %1 = ssm.matmul round_input input(%0 : tensor<4x16xf32>)
          weight(%w : tensor<32x8x1x2xbf16>)
          outs(%y : tensor<4x32xf32>) maps [] epilogue {
      ^bb0(%v: f32):
        ssm.yield %v : f32
      } -> tensor<4x32xf32>
      return %1 : tensor<4x32xf32>
    }
    ```

    becomes a norm whose epilogue ends with `arith.truncf` to bf16, and a product
    of `tensor<4x16xbf16>`.
  }];
  let dependentDialects = ["mlir::arith::ArithDialect", "mlir::tensor::TensorDialect"];
}

def PackWeightsPass : Pass<"ssm-pack-weights", "mlir::func::FuncOp"> {
  let summary = "Products of tokens by weights as ssm.matmul";
  let description = [{
    A `linalg.generic` that sums products of tokens `x[b, t, ..k]` by a weight
    `W[..n, ..k]` (or `W[..k, ..n]`) becomes `ssm.pack` of the weight and
    `ssm.matmul`. A weight is what depends on weights, constants and the index
    of a loop over depth only, so `ssm-split-prepare` moves the packing out.
    Panels keep the type in which the weight is stored, unless `operand-type`
    gives one for both operands; inputs are rounded to it. Each further product of
    a sum of products is a matmul that continues from the one before it, in
    place. A block-diagonal weight, which shares dimensions of the result with
    the tokens, becomes a loop over its blocks. Weights of fewer than 64 elements
    or 4 columns stay as they are.
    Example:

    ```mlir
    func.func @linear(%w: tensor<64x8xf32> {ssm.weight = "w"},
                      %x: tensor<?x?x8xf32>, %y: tensor<?x?x64xf32>)
        -> tensor<?x?x64xf32> {
      %zero = arith.constant 0.0 : f32
      %0 = linalg.fill ins(%zero : f32) outs(%y : tensor<?x?x64xf32>)
          -> tensor<?x?x64xf32>
      %1 = linalg.generic {
          indexing_maps = [affine_map<(b, t, n, k) -> (n, k)>,
                           affine_map<(b, t, n, k) -> (b, t, k)>,
                           affine_map<(b, t, n, k) -> (b, t, n)>],
          iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
          ins(%w, %x : tensor<64x8xf32>, tensor<?x?x8xf32>)
          outs(%0 : tensor<?x?x64xf32>) {
      ^bb0(%a: f32, %b: f32, %o: f32):
        %2 = arith.mulf %a, %b : f32
        %3 = arith.addf %o, %2 : f32
        linalg.yield %3 : f32
      } -> tensor<?x?x64xf32>
      return %1 : tensor<?x?x64xf32>
    }
    ```

    becomes

    ```mlir
    func.func @linear(%w: tensor<64x8xf32> {ssm.weight = "w"},
                      %x: tensor<?x?x8xf32>, %y: tensor<?x?x64xf32>)
        -> tensor<?x?x64xf32> {
      %e = tensor.empty() : tensor<2x8x32xf32>
      %p = ssm.pack weight(%w : tensor<64x8xf32>)
          outs(%e : tensor<2x8x32xf32>) -> tensor<2x8x32xf32>
      %1 = ssm.matmul input(%x : tensor<?x?x8xf32>)
          weight(%p : tensor<2x8x32xf32>) outs(%y : tensor<?x?x64xf32>)
          maps [] epilogue {
      ^bb0(%v: f32):
        ssm.yield %v : f32
      } -> tensor<?x?x64xf32>
      return %1 : tensor<?x?x64xf32>
    }
    ```
  }];
  let options = [
    Option<"panelColumns", "panel-columns", "int64_t", "32",
           "Most columns of a panel: 32 or 16, by the registers of the target">,
    Option<"operandType", "operand-type", "std::string", "",
           "Type of both operands of f32 products: bf16, f16, or empty: as stored">,
    Option<"depthMultiple", "depth-multiple", "int64_t", "2",
           "Pad the depth of bf16 operands to this multiple where that adds no "
           "more than a third">,
  ];
  let dependentDialects = ["mlir::arith::ArithDialect",
                           "mlir::scf::SCFDialect",
                           "mlir::tensor::TensorDialect", "mlir::ssm::SSMDialect"];
}

def ReadPackedWeightsPass
    : Pass<"ssm-read-packed-weights", "mlir::func::FuncOp"> {
  let summary = "Reads rows of a weight from its panels, so that it is stored once";
  let description = [{
    Where a weight is packed for a product and everything else reads single
    elements of it (an embedding that is also the head of a model), these reads
    go to the panels and the plain weight needs no table. The packing must keep
    the type of the elements. Runs after `ssm-pack-weights`. Example:

    ```mlir
    func.func @embed(%w: tensor<64x8xf32> {ssm.weight = "w"}, %i: index,
                     %k: index) -> (f32, tensor<2x8x32xf32>) {
      %e = tensor.empty() : tensor<2x8x32xf32>
      %p = ssm.pack weight(%w : tensor<64x8xf32>)
          outs(%e : tensor<2x8x32xf32>) -> tensor<2x8x32xf32>
      %x = tensor.extract %w[%i, %k] : tensor<64x8xf32>
      return %x, %p : f32, tensor<2x8x32xf32>
    }
    ```

    becomes

    ```mlir
    func.func @embed(%w: tensor<64x8xf32> {ssm.weight = "w"}, %i: index,
                     %k: index) -> (f32, tensor<2x8x32xf32>) {
      %e = tensor.empty() : tensor<2x8x32xf32>
      %p = ssm.pack weight(%w : tensor<64x8xf32>)
          outs(%e : tensor<2x8x32xf32>) -> tensor<2x8x32xf32>
      %c32 = arith.constant 32 : index
      %panel = arith.divui %i, %c32 : index
      %n = arith.remui %i, %c32 : index
      %x = tensor.extract %p[%panel, %k, %n] : tensor<2x8x32xf32>
      return %x, %p : f32, tensor<2x8x32xf32>
    }
    ```
  }];
  let dependentDialects = ["mlir::arith::ArithDialect",
                           "mlir::tensor::TensorDialect"];
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

def PrepareSpectraPass : Pass<"ssm-prepare-spectra", "::mlir::func::FuncOp"> {
  let summary = "Transforms of long kernels, made once";
  let description = [{
    A convolution with `shortest_fft` (which `ssm-select-modes` sets) whose kernel
    follows from weights and the prepared length gets an `ssm.spectrum` of it,
    the `ssm.roots` that transforms need, and memory for those of its input. Both
    tables move to `@prepare` later. Convolutions that documents cut stay as they
    are, and those without a channel that is last in input and output. Example:

    ```mlir
    func.func @forward(%x: tensor<?x?x16xf32>,
                       %k: tensor<100x16xf32> {ssm.weight = "k"},
                       %y: tensor<?x?x16xf32>) -> tensor<?x?x16xf32> {
      %0 = ssm.conv
          input(%x : tensor<?x?x16xf32>) kernel(%k : tensor<100x16xf32>)
          outs(%y : tensor<?x?x16xf32>)
          maps {input = affine_map<(b, t, c, j) -> (b, t, c)>,
                kernel = affine_map<(b, t, c, j) -> (j, c)>,
                output = affine_map<(b, t, c, j) -> (b, t, c)>} lags 100
          epilogue {
      ^bb0(%acc: f32):
        ssm.yield %acc : f32
      } attributes {shortest_fft = 128 : i64} -> tensor<?x?x16xf32>
      return %0 : tensor<?x?x16xf32>
    }
    ```

    has `spectrum`, `roots` and a second of `outs` afterwards.

    With `block`, transforms are of that many points alone, in f32, one channel after
    the other, and laid out for as many threads as `threads` says; what calls pass on
    besides the history stays out of it, and f64 stays as it is.
  }];
  let options = [
    Option<"vectorBits", "vector-bits", "int64_t", "512",
           "Bits of a vector register: channels of a tile are as many as fit">,
    Option<"block", "block", "int64_t", "0",
           "Tokens of all blocks; 0: several sizes, with channels in vectors">,
    Option<"threads", "threads", "int64_t", "1", "Threads that share a block">,
  ];
  let dependentDialects = ["mlir::arith::ArithDialect",
                           "mlir::tensor::TensorDialect"];
}

def SelectModesPass : Pass<"ssm-select-modes", "mlir::func::FuncOp"> {
  let summary = "Decides how each recurrence is executed";
  let description = [{
    Sets the schedule of every `ssm.scan`. `auto` takes what the cost model
    (`ssm/Analysis/CostModel.h`) predicts to be cheapest for the figures of the
    machine, which are read from the module's `dlti.target_system_spec` (see
    `ssm/Analysis/Machine.def`): the sequential form, or from a length on the one by
    matrix products; a time-invariant one gets `shortest_conv` besides, and
    `ssm.longest_conv`, where a convolution is predicted to be cheaper between two lengths
    or from one on. A schedule that is there already stays. `scan` and `step` ask for the sequential form, `chunk` for products
    at every length. A mode that the mathematics does not allow for a block is an error
    that names the axis in the way (see `ssm/Analysis/RecurrenceClass.h`); `step` is an
    error where a part of the layer looks ahead. `chunk-tokens`, `lanes`, `segments` and
    `crossover` replace what the model chose. A recurrence that weights determine is
    prepared: it runs once, sequentially, and has no part in the mode.

    Each choice is a remark, each rejected form a missed one. With `explain`, the
    class of each block, the choice, the predicted clocks of every form and the reason
    against every other mode go to stderr; those of several functions are in order
    only where the context has no threads.

    ```mlir
    func.func @sum(%x: tensor<?x?x8xf32>, %y: tensor<?x?x8xf32>,
                   %s: tensor<?x8xf32>) -> (tensor<?x?x8xf32>, tensor<?x8xf32>) {
      %0:2 = ssm.scan ins(%x : tensor<?x?x8xf32>)
          outs(%y, %s : tensor<?x?x8xf32>, tensor<?x8xf32>)
          maps {ins = [affine_map<(b, t, d) -> (b, t, d)>], epilogue = [],
                state = affine_map<(b, t, d) -> (b, d)>,
                output = affine_map<(b, t, d) -> (b, t, d)>}
          coefficients {
      ^bb0(%u: f32):
        ssm.coefficients write(%u : f32)
      } epilogue {
      ^bb0(%o: f32):
        ssm.yield %o : f32
      } -> tensor<?x?x8xf32>, tensor<?x8xf32>
      return %0#0, %0#1 : tensor<?x?x8xf32>, tensor<?x8xf32>
    }
    ```
    gets `schedule = #ssm.schedule<mode = scan>`.
  }];
  let options = [
    Option<"mode", "mode", "std::string", "\"auto\"",
           "auto, step, scan, chunk, conv or quadratic">,
    Option<"explain", "explain", "bool", "false", "Print choice, costs and reasons">,
    Option<"chunk", "chunk-tokens", "int64_t", "0",
           "Tokens of a chunk, or of a tile of the sequential form">,
    Option<"lanes", "lanes", "int64_t", "0", "Lanes that a task owns">,
    Option<"segments", "segments", "int64_t", "0", "Pieces the sequence is split into">,
    Option<"crossover", "crossover", "int64_t", "-1",
           "Shortest length that is executed in chunks">,
    Option<"convolution", "convolution", "std::string", "\"auto\"",
           "How long kernels are convolved: auto, fft or direct">,
  ];
}

def ConvolveScansPass : Pass<"ssm-convolve-scans", "mlir::func::FuncOp"> {
  let summary = "Time-invariant recurrences as convolutions";
  let description = [{
    A time-invariant `ssm.scan` whose schedule asks for `conv`, or that has
    `shortest_conv`, becomes an `ssm.conv` with its impulse response, one for each
    input of the state and each part of the output, and the scan's epilogue over their
    sum. The response, `ssm.impulse_response`, is computed in f64 and as long as the
    longest sequence that is prepared for; it depends on weights alone, so that
    `ssm-split-prepare` moves it out of `@forward`. Dimensions on which no coefficient
    depends are none of the kernel. The convolutions get `shortest_fft` from their own
    cost model, unless `convolution` decides.

    The recurrence stays as the other branch of an `scf.if`, in its own schedule, for
    calls that a convolution does not answer: with a state before the first token that
    is not all zero, with one after the last that the caller keeps (an argument
    `ssm.keeps_state` of the layer says so), shorter than `shortest_conv`, or longer
    than `ssm.longest_conv` or what is prepared for. Final states that the layer itself reads are computed
    by the recurrence besides. With `by-position` states are not looked at: a sequence is
    convolved from its first token on, where a caller has no way to set its state. Example: of

    ```mlir
    func.func @average(%a: tensor<8xf32> {ssm.weight = "a"}, %u: tensor<?x?x8xf32>,
        %s: tensor<?x8xf32>, %y: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
      %0:2 = ssm.scan ins(%a, %u : tensor<8xf32>, tensor<?x?x8xf32>)
          outs(%y, %s : tensor<?x?x8xf32>, tensor<?x8xf32>)
          maps {ins = [affine_map<(b, t, e) -> (e)>,
                       affine_map<(b, t, e) -> (b, t, e)>],
                state = affine_map<(b, t, e) -> (b, e)>,
                output = affine_map<(b, t, e) -> (b, t, e)>}
          coefficients {
      ^bb0(%decay: f32, %x: f32):
        ssm.coefficients decay(%decay : f32) write(%x : f32)
      } epilogue {
      ^bb0(%o: f32):
        ssm.yield %o : f32
      } attributes {schedule = #ssm.schedule<mode = conv>}
          -> tensor<?x?x8xf32>, tensor<?x8xf32>
      return %0#0 : tensor<?x?x8xf32>
    }
    ```

    the kernel is `a^j`.
  }];
  let options = [
    Option<"vectorBits", "vector-bits", "int64_t", "512",
           "Bits of a vector register, for lanes of the response">,
    Option<"convolution", "convolution", "std::string", "\"auto\"",
           "How they are convolved: auto, fft or direct">,
    Option<"byPosition", "by-position", "bool", "false",
           "States are not looked at: zero before the first token of a sequence">,
  ];
  let dependentDialects = ["mlir::arith::ArithDialect", "mlir::linalg::LinalgDialect",
                           "mlir::scf::SCFDialect", "mlir::tensor::TensorDialect"];
}

def TabulateChunksPass : Pass<"ssm-tabulate-chunks", "mlir::func::FuncOp"> {
  let summary = "Computes the matrices of a time-invariant recurrence's chunks";
  let description = [{
    A time-invariant `ssm.scan` whose schedule asks for chunks gets its tables (see
    `ssm.scan`): powers of the transition times what is written and read, and the
    kernel of a chunk, computed in f64, with `vector-bits` of lanes side by side, where
    the machine's figures say that there is code for them. The
    coefficients then name the inputs that the tables are multiplied with. Where the
    coefficients depend on weights alone `ssm-split-prepare` moves the tables out of
    `@forward`. Example: the scan of

    ```mlir
    func.func @average(%a: tensor<8xf32> {ssm.weight = "a"}, %u: tensor<?x?x8xf32>,
        %s: tensor<?x8xf32>, %y: tensor<?x?x8xf32>)
        -> (tensor<?x?x8xf32>, tensor<?x8xf32>) {
      %0:2 = ssm.scan ins(%a, %u : tensor<8xf32>, tensor<?x?x8xf32>)
          initial(%s : tensor<?x8xf32>)
          outs(%y, %s : tensor<?x?x8xf32>, tensor<?x8xf32>)
          maps {ins = [affine_map<(b, t, e) -> (e)>,
                       affine_map<(b, t, e) -> (b, t, e)>],
                state = affine_map<(b, t, e) -> (b, e)>,
                output = affine_map<(b, t, e) -> (b, t, e)>}
          coefficients {
      ^bb0(%v: f32, %w: f32):
        ssm.coefficients decay(%v : f32) write(%w : f32)
      } epilogue {
      ^bb0(%v: f32):
        ssm.yield %v : f32
      } attributes {schedule = #ssm.schedule<mode = chunk, chunk = 16>}
          -> tensor<?x?x8xf32>, tensor<?x8xf32>
      return %0#0, %0#1 : tensor<?x?x8xf32>, tensor<?x8xf32>
    }
    ```

    gets `tables(... : tensor<1x1x1x16x1x8xf32>, tensor<1x1x1x16x1x1x8xf32>,
    tensor<1x1x1x1x1x16x8xf32>, tensor<1x1x2x1x8xf32>)` and `inputs(%w : f32)`.
  }];
  let options = [Option<"vectorBits", "vector-bits", "int64_t", "512",
                        "Bits of a vector register">];
  let dependentDialects = ["mlir::arith::ArithDialect", "mlir::linalg::LinalgDialect",
                           "mlir::math::MathDialect", "mlir::tensor::TensorDialect"];
}

#endif // SSM_TRANSFORMS_PASSES_TD
