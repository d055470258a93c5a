//===- FusionPasses.td - ssm to ssm: what is joined --------*- tablegen -*-===//

#ifndef SSM_TRANSFORMS_FUSIONPASSES_TD
#define SSM_TRANSFORMS_FUSIONPASSES_TD

include "mlir/Pass/PassBase.td"

def FuseElementwisePass : Pass<"ssm-fuse-elementwise", "mlir::func::FuncOp"> {
  let summary = "Joins elementwise ops, without reshapes between them";
  let description = [{
    An elementwise `linalg.generic` moves into the elementwise one that alone
    reads its result. Costly math (exp, a division, ...) does not move to where
    it would be repeated; nothing moves into a sum; what depends on weights alone
    stays apart. On the way reshapes move through elementwise ops towards the
    shapes of scans and norms, and unit dimensions of norms and elementwise ops
    are dropped. Example:

    ```mlir
    func.func @both(%x: tensor<?x8xf32>, %y: tensor<?x8xf32>, %e: tensor<?x8xf32>)
        -> tensor<?x8xf32> {
      %0 = linalg.generic {
          indexing_maps = [affine_map<(t, d) -> (t, d)>,
                           affine_map<(t, d) -> (t, d)>],
          iterator_types = ["parallel", "parallel"]}
          ins(%x : tensor<?x8xf32>) outs(%e : tensor<?x8xf32>) {
      ^bb0(%v: f32, %o: f32):
        %2 = math.exp %v : f32
        linalg.yield %2 : f32
      } -> tensor<?x8xf32>
      %1 = linalg.generic {
          indexing_maps = [affine_map<(t, d) -> (t, d)>,
                           affine_map<(t, d) -> (t, d)>,
                           affine_map<(t, d) -> (t, d)>],
          iterator_types = ["parallel", "parallel"]}
          ins(%0, %y : tensor<?x8xf32>, tensor<?x8xf32>)
          outs(%e : tensor<?x8xf32>) {
      ^bb0(%v: f32, %w: f32, %o: f32):
        %2 = arith.mulf %v, %w : f32
        linalg.yield %2 : f32
      } -> tensor<?x8xf32>
      return %1 : tensor<?x8xf32>
    }
    ```

    becomes one `linalg.generic` of `%x` and `%y`.
  }];
  let options = [
    Option<"narrows", "narrows", "bool", "false",
           "Convolutions and norms read what is only widened for them as it is.">,
  ];
  let dependentDialects = ["mlir::affine::AffineDialect",
                           "mlir::arith::ArithDialect",
                           "mlir::linalg::LinalgDialect",
                           "mlir::tensor::TensorDialect"];
}

def FuseStatesPass : Pass<"ssm-fuse-states", "mlir::func::FuncOp"> {
  let summary = "Moves conversions of states into the scans beside them";
  let description = [{
    Where the initial state of an `ssm.scan` is a state in 16 bits, widened to f32, and the
    final one is only rounded back to that type, the scan reads and writes the narrow state
    itself: it computes in f32, rounds once at its end, and no state in f32 is in memory.
    Example:

    ```mlir
    func.func @sum(%d: tensor<2x8x4xf32>, %s: tensor<2x4xbf16>, %y: tensor<2x8x4xf32>)
        -> (tensor<2x8x4xf32>, tensor<2x4xbf16>) {
      %e = tensor.empty() : tensor<2x4xf32>
      %0 = linalg.generic {
          indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>],
          iterator_types = ["parallel", "parallel"]}
          ins(%s : tensor<2x4xbf16>) outs(%e : tensor<2x4xf32>) {
      ^bb0(%in: bf16, %out: f32):
        %w = arith.extf %in : bf16 to f32
        linalg.yield %w : f32
      } -> tensor<2x4xf32>
      %1:2 = ssm.scan ins(%d : tensor<2x8x4xf32>) initial(%0 : tensor<2x4xf32>)
          outs(%y, %0 : tensor<2x8x4xf32>, tensor<2x4xf32>)
          maps {ins = [affine_map<(d0, d1, d2) -> (d0, d1, d2)>],
                state = affine_map<(d0, d1, d2) -> (d0, d2)>,
                output = affine_map<(d0, d1, d2) -> (d0, d1, d2)>} coefficients {
      ^bb0(%a: f32):
        ssm.coefficients decay(%a : f32)
      } epilogue {
      ^bb0(%v: f32):
        ssm.yield %v : f32
      } -> tensor<2x8x4xf32>, tensor<2x4xf32>
      %f = tensor.empty() : tensor<2x4xbf16>
      %2 = linalg.generic {
          indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>],
          iterator_types = ["parallel", "parallel"]}
          ins(%1#1 : tensor<2x4xf32>) outs(%f : tensor<2x4xbf16>) {
      ^bb0(%in: f32, %out: bf16):
        %n = arith.truncf %in : f32 to bf16
        linalg.yield %n : bf16
      } -> tensor<2x4xbf16>
      return %1#0, %2 : tensor<2x8x4xf32>, tensor<2x4xbf16>
    }
    ```

    becomes a scan with `initial(%s)` and `outs(%y, %s)`.
  }];
  let options = [
    Option<"histories", "histories", "bool", "false",
           "Convolutions read and write their histories so, too.">,
  ];
}

def FuseScansPass : Pass<"ssm-fuse-scans", "mlir::func::FuncOp"> {
  let summary = "Moves elementwise producers into the scans that read them";
  let description = [{
    A `linalg.generic` that computes an operand of `ssm.scan` element by element,
    and whose result nothing else reads, moves into the `coefficients` region, or
    into the epilogue; its operands become operands of the scan with composed
    maps. The scan evaluates a coefficient once for the dimensions it depends on,
    so nothing is computed more often, except by a map that visits elements
    repeatedly: costly math stays outside then, as does what depends on weights
    alone. Example:

    ```mlir
    func.func @gate(%g: tensor<?x?x8xf32>, %b: tensor<8xf32>,
        %u: tensor<?x?x8xf32>, %s: tensor<?x8xf32>, %e: tensor<?x?x8xf32>,
        %y: tensor<?x?x8xf32>) -> (tensor<?x?x8xf32>, tensor<?x8xf32>) {
      %0 = linalg.generic {
          indexing_maps = [affine_map<(b, t, e) -> (b, t, e)>,
                           affine_map<(b, t, e) -> (e)>,
                           affine_map<(b, t, e) -> (b, t, e)>],
          iterator_types = ["parallel", "parallel", "parallel"]}
          ins(%g, %b : tensor<?x?x8xf32>, tensor<8xf32>)
          outs(%e : tensor<?x?x8xf32>) {
      ^bb0(%v: f32, %w: f32, %o: f32):
        %2 = arith.addf %v, %w : f32
        linalg.yield %2 : f32
      } -> tensor<?x?x8xf32>
      %1:2 = ssm.scan ins(%0, %u : tensor<?x?x8xf32>, tensor<?x?x8xf32>)
          initial(%s : tensor<?x8xf32>)
          outs(%y, %s : tensor<?x?x8xf32>, tensor<?x8xf32>)
          maps {ins = [affine_map<(b, t, e) -> (b, t, e)>,
                       affine_map<(b, t, e) -> (b, t, e)>],
                state = affine_map<(b, t, e) -> (b, e)>,
                output = affine_map<(b, t, e) -> (b, t, e)>}
          coefficients {
      ^bb0(%v: f32, %w: f32):
        ssm.coefficients decay(%v : f32) write(%w : f32)
      } epilogue {
      ^bb0(%v: f32):
        ssm.yield %v : f32
      } -> tensor<?x?x8xf32>, tensor<?x8xf32>
      return %1#0, %1#1 : tensor<?x?x8xf32>, tensor<?x8xf32>
    }
    ```

    becomes a scan of `%u`, `%g` and `%b` with the addition in its coefficients.
  }];
  let dependentDialects = ["mlir::arith::ArithDialect"];
}

def FuseEpiloguesPass : Pass<"ssm-fuse-epilogues", "mlir::func::FuncOp"> {
  let summary = "Moves elementwise consumers into epilogues";
  let description = [{
    A `linalg.generic` that reads the output of `ssm.conv`, `ssm.norm`,
    `ssm.scan` or `ssm.matmul` element by element, and alone, moves into the
    epilogue of that op: a bias, an activation, a gate, a residual. Its other
    operands become operands of the epilogue with composed maps. A `linalg.copy`
    of the output makes its destination that of the op, so a residual is added
    where it is. Of several producers the last one takes the consumer. A consumer of
    what two branches yield moves into both. Example:

    ```mlir
    func.func @scale(%x: tensor<?x8xf32>, %w: tensor<8xf32>,
                     %y: tensor<?x8xf32>) -> tensor<?x8xf32> {
      %0 = ssm.norm rms eps 1.000000e-05 input(%x : tensor<?x8xf32>)
          outs(%y : tensor<?x8xf32>) maps [] epilogue {
      ^bb0(%v: f32):
        ssm.yield %v : f32
      } -> tensor<?x8xf32>
      %1 = linalg.generic {
          indexing_maps = [affine_map<(t, d) -> (t, d)>,
                           affine_map<(t, d) -> (d)>,
                           affine_map<(t, d) -> (t, d)>],
          iterator_types = ["parallel", "parallel"]}
          ins(%0, %w : tensor<?x8xf32>, tensor<8xf32>)
          outs(%y : tensor<?x8xf32>) {
      ^bb0(%v: f32, %s: f32, %o: f32):
        %2 = arith.mulf %v, %s : f32
        linalg.yield %2 : f32
      } -> tensor<?x8xf32>
      return %1 : tensor<?x8xf32>
    }
    ```

    becomes

    ```mlir
    func.func @scale(%x: tensor<?x8xf32>, %w: tensor<8xf32>,
                     %y: tensor<?x8xf32>) -> tensor<?x8xf32> {
      %0 = ssm.norm rms eps 1.000000e-05 input(%x : tensor<?x8xf32>)
          epilogue_ins(%w : tensor<8xf32>) outs(%y : tensor<?x8xf32>)
          maps [affine_map<(t, d) -> (d)>] epilogue {
      ^bb0(%v: f32, %s: f32):
        %2 = arith.mulf %v, %s : f32
        ssm.yield %2 : f32
      } -> tensor<?x8xf32>
      return %0 : tensor<?x8xf32>
    }
    ```
  }];
  let options = [
    Option<"narrows", "narrows", "bool", "false",
           "Convolutions and norms may store results in a narrower type, as scans do.">,
  ];
  let dependentDialects = ["mlir::arith::ArithDialect"];
}

#endif // SSM_TRANSFORMS_FUSIONPASSES_TD
