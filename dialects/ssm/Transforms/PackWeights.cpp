//===- PackWeights.cpp - Products by weights as ssm.matmul ----------------===//
//
// ssm-pack-weights: a contraction of tokens with a weight becomes ssm.pack (of
// the weight, which later moves to @prepare) and ssm.matmul. A sum of products,
// as complex numbers need, becomes one matmul for each; all but the first
// continue from the previous one's result in their epilogue. A block-diagonal
// weight becomes a loop of matmuls over its blocks.
//
//===----------------------------------------------------------------------===//

#include "ElementwiseBody.h"
#include "PreparedValues.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/Remarks.h"
#include "ssm/IR/SSM.h"
#include "ssm/Transforms/Passes.h"
#include "llvm/Support/MathExtras.h"

namespace mlir::ssm {
#define GEN_PASS_DEF_PACKWEIGHTSPASS
#include "ssm/Transforms/Passes.h.inc"
} // namespace mlir::ssm

using namespace mlir;

static remark::RemarkOpts remarkNamed(StringRef name) {
  return remark::RemarkOpts::name(name).category("ssm-pack-weights");
}

//===----------------------------------------------------------------------===//
// Matching
//===----------------------------------------------------------------------===//

namespace {
/// How a weight's dimensions merge: first those of the blocks, if any, then
/// those of the rows, the rest are the columns.
struct Matrix {
  unsigned block = 0, rows = 0;
  bool transposed = false;
};

/// One product of the sum: operand numbers of the generic.
struct Product {
  unsigned input, weight;
  bool negative;
  Matrix weightShape;
};

struct Contraction {
  SmallVector<Product> products;
  unsigned numTokenDims = 0;   // leading dimensions of the output
  int64_t blocks = 1;          // of a block-diagonal weight, by itself a matrix
  bool isBlocked = false;
  int64_t columns = 1, depth = 1;
  Value previous;              // what the sum starts from, unless it is zero
};
} // namespace

/// The operand whose element `value` is, through widening; none otherwise.
static std::optional<unsigned> getOperandNumber(linalg::GenericOp op,
                                                Value value) {
  while (auto widen = value.getDefiningOp<arith::ExtFOp>())
    value = widen.getIn();
  auto argument = dyn_cast<BlockArgument>(value);
  if (!argument || argument.getOwner() != op.getBody() ||
      argument.getArgNumber() >= op.getNumDpsInputs())
    return std::nullopt;
  return argument.getArgNumber();
}

/// Splits the sum `value` into products of two operands and, once, the partial
/// sum `accumulator`.
static bool collectProducts(linalg::GenericOp op, Value value, bool negative,
                            Value accumulator, bool &sawAccumulator,
                            SmallVectorImpl<Product> &products) {
  if (value == accumulator) {
    bool isFirst = !sawAccumulator && !negative;
    sawAccumulator = true;
    return isFirst;
  }
  auto both = [&](Value lhs, Value rhs, bool negateRhs) {
    return collectProducts(op, lhs, negative, accumulator, sawAccumulator,
                           products) &&
           collectProducts(op, rhs, negative != negateRhs, accumulator,
                           sawAccumulator, products);
  };
  if (auto add = value.getDefiningOp<arith::AddFOp>())
    return both(add.getLhs(), add.getRhs(), false);
  if (auto sub = value.getDefiningOp<arith::SubFOp>())
    return both(sub.getLhs(), sub.getRhs(), true);
  if (auto negate = value.getDefiningOp<arith::NegFOp>())
    return collectProducts(op, negate.getOperand(), !negative, accumulator,
                           sawAccumulator, products);
  auto multiply = value.getDefiningOp<arith::MulFOp>();
  if (!multiply)
    return false;
  std::optional<unsigned> lhs = getOperandNumber(op, multiply.getLhs());
  std::optional<unsigned> rhs = getOperandNumber(op, multiply.getRhs());
  if (!lhs || !rhs)
    return false;
  products.push_back({*lhs, *rhs, negative, {}});
  return true;
}

/// Checks that `map` walks `first` and then `second`, and that no result of it
/// mixes the two. Returns the number of results for `first`.
static std::optional<unsigned> matchMatrix(AffineMap map,
                                           ArrayRef<unsigned> first,
                                           ArrayRef<unsigned> second,
                                           ArrayRef<int64_t> sizes) {
  SmallVector<unsigned> walked;
  std::optional<unsigned> leading;
  for (auto [position, expr] : llvm::enumerate(map.getResults())) {
    if (walked.size() == first.size() && !leading)
      leading = position;
    std::optional<SmallVector<unsigned>> dims =
        ssm::getWalkedDims(expr, sizes);
    if (!dims)
      return std::nullopt;
    llvm::append_range(walked, *dims);
  }
  SmallVector<unsigned> wanted(first);
  llvm::append_range(wanted, second);
  if (walked != wanted || !leading)
    return std::nullopt;
  return leading;
}

/// True if `value` is a tensor filled with zero.
static bool isZeroFill(Value value) {
  auto fill = value.getDefiningOp<linalg::FillOp>();
  return fill && matchPattern(fill.getInputs().front(), m_AnyZeroFloat());
}

static FailureOr<Contraction>
matchContraction(linalg::GenericOp op, const ssm::PreparedValues &prepared,
                 function_ref<LogicalResult(const Twine &)> refuse) {
  if (op.getNumDpsInits() != 1 || op.getNumReductionLoops() == 0)
    return failure();
  Contraction contraction;
  Block *body = op.getBody();
  Value yielded = body->getTerminator()->getOperand(0);
  bool sawAccumulator = false;
  if (!collectProducts(op, yielded, false, body->getArguments().back(),
                       sawAccumulator, contraction.products) ||
      !sawAccumulator || contraction.products.empty())
    return refuse("the body is no sum of products of two operands");

  SmallVector<int64_t> sizes = op.getStaticLoopRanges();
  SmallVector<unsigned> reduced;
  op.getReductionDims(reduced);
  AffineMap outputMap = op.getMatchingIndexingMap(op.getDpsInitOperand(0));
  if (!outputMap.isProjectedPermutation())
    return refuse("the result's map is no permutation");

  // Output dimensions of the input alone are tokens, of the weight alone
  // columns, of both blocks.
  llvm::SmallBitVector ofInput(sizes.size()), ofWeight(sizes.size());
  for (Product &product : contraction.products) {
    auto isWeight = [&](unsigned number) {
      return prepared.isWorthy(op.getDpsInputOperand(number)->get());
    };
    if (isWeight(product.input) == isWeight(product.weight))
      return refuse(isWeight(product.input)
                        ? "both factors depend on weights alone"
                        : "neither factor depends on weights alone");
    if (isWeight(product.input))
      std::swap(product.input, product.weight);
    auto mark = [&](unsigned number, llvm::SmallBitVector &dims) {
      AffineMap map = op.getMatchingIndexingMap(op.getDpsInputOperand(number));
      for (unsigned dim = 0; dim < sizes.size(); ++dim)
        if (map.isFunctionOfDim(dim))
          dims.set(dim);
    };
    mark(product.input, ofInput);
    mark(product.weight, ofWeight);
  }
  SmallVector<unsigned> tokens, blocks, columns;
  for (AffineExpr expr : outputMap.getResults()) {
    unsigned dim = cast<AffineDimExpr>(expr).getPosition();
    bool isColumn = ofWeight[dim] && !ofInput[dim];
    bool isBlock = ofWeight[dim] && ofInput[dim];
    if ((!isColumn && !columns.empty()) ||
        (!isColumn && !isBlock && !blocks.empty()))
      return refuse("tokens, blocks and columns are in another order");
    (isColumn ? columns : isBlock ? blocks : tokens).push_back(dim);
    if (isColumn)
      contraction.columns *= sizes[dim];
    if (isBlock)
      contraction.blocks *= sizes[dim];
  }
  contraction.numTokenDims = tokens.size();
  contraction.isBlocked = !blocks.empty();
  for (unsigned dim : reduced)
    contraction.depth *= sizes[dim];
  if (tokens.empty())
    return refuse("the result has no tokens");
  // Dimensions that the weight reads are static: it is a weight.
  if (contraction.columns < 4 ||
      contraction.columns * contraction.depth < 64)
    return refuse("the weight has " + Twine(contraction.columns) + " x " +
                  Twine(contraction.depth) + " elements, too few to pack");

  auto outputType = cast<RankedTensorType>(op.getResult(0).getType());
  if (!outputType.getElementType().isF32() &&
      !outputType.getElementType().isF64())
    return refuse("sums are neither f32 nor f64");
  for (Product &product : contraction.products) {
    OpOperand *input = op.getDpsInputOperand(product.input);
    AffineMap inputMap = op.getMatchingIndexingMap(input);
    AffineMap weightMap =
        op.getMatchingIndexingMap(op.getDpsInputOperand(product.weight));
    // The order of the sum is that of the input.
    SmallVector<unsigned> depth;
    for (AffineExpr expr : inputMap.getResults())
      if (std::optional<SmallVector<unsigned>> dims =
              ssm::getWalkedDims(expr, sizes))
        for (unsigned dim : *dims)
          if (llvm::is_contained(reduced, dim))
            depth.push_back(dim);
    if (depth.size() != reduced.size())
      return refuse("the input does not have all dimensions of the sum");
    auto join = [](ArrayRef<unsigned> a, ArrayRef<unsigned> b) {
      SmallVector<unsigned> both(a);
      llvm::append_range(both, b);
      return both;
    };
    std::optional<unsigned> leading =
        matchMatrix(inputMap, tokens, join(blocks, depth), sizes);
    if (!leading || *leading != tokens.size())
      return refuse("the input's rows are not contiguous");
    auto matchWeight = [&](ArrayRef<unsigned> rows, ArrayRef<unsigned> rest) {
      std::optional<unsigned> block =
          matchMatrix(weightMap, blocks, join(rows, rest), sizes);
      std::optional<unsigned> both =
          matchMatrix(weightMap, join(blocks, rows), rest, sizes);
      if (!block || !both)
        return false;
      product.weightShape.block = *block;
      product.weightShape.rows = *both - *block;
      return true;
    };
    if (!matchWeight(columns, depth)) {
      product.weightShape.transposed = true;
      if (!matchWeight(depth, columns))
        return refuse("the weight is no matrix of columns and depth");
    }
    if (getElementTypeOrSelf(input->get()) != outputType.getElementType())
      return refuse("the input is not of the type of the sum");
  }
  Value init = op.getDpsInitOperand(0)->get();
  if (!isZeroFill(init))
    contraction.previous = init;
  return contraction;
}

//===----------------------------------------------------------------------===//
// Rewriting
//===----------------------------------------------------------------------===//

/// Merges the dimensions of `value` after the first `kept` into one.
static Value mergeTrailing(OpBuilder &builder, Location loc, Value value,
                           unsigned kept) {
  int64_t rank = cast<RankedTensorType>(value.getType()).getRank();
  if (rank == kept + 1)
    return value;
  SmallVector<ReassociationIndices> groups;
  for (unsigned dim = 0; dim < kept; ++dim)
    groups.push_back({dim});
  groups.push_back(llvm::to_vector(llvm::seq<int64_t>(kept, rank)));
  return tensor::CollapseShapeOp::create(builder, loc, value, groups);
}

/// Makes a matrix of a weight, or a stack of matrices, one for each block.
static Value makeMatrix(OpBuilder &builder, Location loc, Value value,
                        const Matrix &shape, bool isBlocked) {
  int64_t rank = cast<RankedTensorType>(value.getType()).getRank();
  if (rank == (isBlocked ? 3 : 2))
    return value;
  SmallVector<ReassociationIndices> groups(isBlocked ? 3 : 2);
  for (int64_t dim = 0; dim < rank; ++dim) {
    unsigned group = dim < shape.block                ? 0
                     : dim < shape.block + shape.rows ? 1
                                                      : 2;
    groups[isBlocked ? group : group - 1].push_back(dim);
  }
  return tensor::CollapseShapeOp::create(builder, loc, value, groups);
}

namespace {
/// How panels are laid out, and what they hold.
struct PanelOptions {
  int64_t columns;
  Type operandType; // of both operands; null: inputs and weights as they are
  int64_t depthMultiple = 2;
};
} // namespace

/// Shape of the panels for `columns` columns. Narrow matrices get narrow
/// panels, which are still whole vectors. The depth is padded for units of bf16
/// where that adds little, and in panels of one column for their alignment.
static SmallVector<int64_t> getPackedShape(int64_t columns, int64_t depth,
                                           const PanelOptions &options,
                                           Type type) {
  int64_t panelColumns = options.columns;
  while (panelColumns > 16 && columns <= panelColumns / 2)
    panelColumns /= 2;
  int64_t panels = llvm::divideCeil(columns, panelColumns);
  if (type.getIntOrFloatBitWidth() == 16) {
    int64_t padded = llvm::alignTo(depth, options.depthMultiple);
    bool isWorth = type.isBF16() && options.operandType && 3 * padded <= 4 * depth;
    if (isWorth || panelColumns == 1)
      depth = padded;
    return {panels, static_cast<int64_t>(llvm::divideCeil(depth, 2)),
            panelColumns, 2};
  }
  return {panels, depth, panelColumns};
}

/// A loop over the blocks that makes `result` of `init`.
static Value emitBlockLoop(
    OpBuilder &builder, Location loc, int64_t blocks, Value init,
    function_ref<Value(OpBuilder &, Value block, Value result)> emitBody) {
  auto constant = [&](int64_t value) {
    return arith::ConstantIndexOp::create(builder, loc, value);
  };
  auto loop = scf::ForOp::create(
      builder, loc, constant(0), constant(blocks), constant(1), init,
      [&](OpBuilder &nested, Location, Value block, ValueRange results) {
        scf::YieldOp::create(nested, loc,
                             emitBody(nested, block, results.front()));
      });
  return loop.getResult(0);
}

namespace {
/// A slice of one tensor dimension, all others whole.
struct BlockSlice {
  SmallVector<OpFoldResult> offsets, sizes, strides;
  RankedTensorType type;

  /// Rows `block` of the first dimension, which goes, for a stack; `size`
  /// elements from `block * size` of the last dimension otherwise.
  static BlockSlice get(OpBuilder &builder, Location loc, Value tensor,
                        Value block, bool isStack, int64_t size) {
    BlockSlice slice;
    auto type = cast<RankedTensorType>(tensor.getType());
    slice.sizes = tensor::getMixedSizes(builder, loc, tensor);
    slice.offsets.assign(type.getRank(), builder.getIndexAttr(0));
    slice.strides.assign(type.getRank(), builder.getIndexAttr(1));
    SmallVector<int64_t> shape(type.getShape());
    if (isStack) {
      slice.offsets.front() = block;
      slice.sizes.front() = builder.getIndexAttr(1);
      shape.erase(shape.begin());
    } else {
      Value width = arith::ConstantIndexOp::create(builder, loc, size);
      slice.offsets.back() =
          arith::MulIOp::create(builder, loc, block, width).getResult();
      slice.sizes.back() = builder.getIndexAttr(size);
      shape.back() = size;
    }
    slice.type = RankedTensorType::get(shape, type.getElementType());
    return slice;
  }
  Value extract(OpBuilder &builder, Location loc, Value tensor) const {
    return tensor::ExtractSliceOp::create(builder, loc, type, tensor, offsets,
                                          sizes, strides);
  }
  Value insert(OpBuilder &builder, Location loc, Value part,
               Value tensor) const {
    return tensor::InsertSliceOp::create(builder, loc, part, tensor, offsets,
                                         sizes, strides);
  }
};
} // namespace

/// Type of the packed weight of `op`: f64 sums need f64 panels.
static Type getPanelType(linalg::GenericOp op, Value weight,
                         const PanelOptions &options) {
  Type type = getElementTypeOrSelf(op.getResult(0));
  if (type.isF64())
    return type;
  return options.operandType ? options.operandType
                             : getElementTypeOrSelf(weight);
}

/// Packs the weight of `product`, or each of its blocks.
static Value emitPack(OpBuilder &builder, linalg::GenericOp op,
                      const Product &product, const Contraction &contraction,
                      const PanelOptions &options) {
  Location loc = op.getLoc();
  Value weight = op.getDpsInputOperand(product.weight)->get();
  Type type = getPanelType(op, weight, options);
  Value matrix = makeMatrix(builder, loc, weight, product.weightShape,
                            contraction.isBlocked);
  SmallVector<int64_t> shape = getPackedShape(
      contraction.columns, contraction.depth, options, type);
  auto packInto = [&](OpBuilder &nested, Value matrix) {
    Value empty = tensor::EmptyOp::create(nested, loc, shape, type);
    return ssm::PackOp::create(nested, loc, empty.getType(), matrix, empty,
                               product.weightShape.transposed)
        .getResult(0);
  };
  if (!contraction.isBlocked)
    return packInto(builder, matrix);
  SmallVector<int64_t> stackShape(1, contraction.blocks);
  llvm::append_range(stackShape, shape);
  Value stack = tensor::EmptyOp::create(builder, loc, stackShape, type);
  return emitBlockLoop(
      builder, loc, contraction.blocks, stack,
      [&](OpBuilder &nested, Value block, Value result) {
        Value packed = packInto(
            nested, BlockSlice::get(nested, loc, matrix, block, true, 0)
                        .extract(nested, loc, matrix));
        return BlockSlice::get(nested, loc, result, block, true, 0)
            .insert(nested, loc, packed, result);
      });
}

/// Emits the product; `previous`, if any, is what it is added to, and where it
/// is stored.
static Value emitMatmul(OpBuilder &builder, Location loc, Value input,
                        Value packed, Value output, Value previous,
                        bool negative, bool roundInput) {
  auto type = cast<RankedTensorType>(output.getType());
  SmallVector<Value> operands;
  SmallVector<AffineMap> maps;
  if (previous) {
    operands.push_back(previous);
    maps.push_back(builder.getMultiDimIdentityMap(type.getRank()));
  }
  auto matmul = ssm::MatmulOp::create(
      builder, loc, TypeRange(type), input, packed, operands,
      ValueRange(output), builder.getAffineMapArrayAttr(maps), roundInput);
  OpBuilder::InsertionGuard guard(builder);
  Type element = type.getElementType();
  Block *body = builder.createBlock(
      &matmul.getEpilogue(), {}, SmallVector<Type>(operands.size() + 1, element),
      SmallVector<Location>(operands.size() + 1, loc));
  Value value = body->getArgument(0);
  if (previous && negative)
    value = arith::SubFOp::create(builder, loc, body->getArgument(1), value);
  else if (previous)
    value = arith::AddFOp::create(builder, loc, body->getArgument(1), value);
  else if (negative)
    value = arith::NegFOp::create(builder, loc, value);
  ssm::YieldOp::create(builder, loc, value);
  return matmul.getResult(0);
}

/// Emits the product of `product`, block by block if it has blocks.
static Value emitProduct(OpBuilder &builder, linalg::GenericOp op,
                         const Product &product,
                         const Contraction &contraction, Value packed,
                         Value output, bool hasPrevious, bool roundInput) {
  Location loc = op.getLoc();
  Value input =
      mergeTrailing(builder, loc, op.getDpsInputOperand(product.input)->get(),
                    contraction.numTokenDims);
  if (!contraction.isBlocked)
    return emitMatmul(builder, loc, input, packed, output,
                      hasPrevious ? output : Value(), product.negative,
                      roundInput);
  return emitBlockLoop(
      builder, loc, contraction.blocks, output,
      [&](OpBuilder &nested, Value block, Value result) {
        BlockSlice place = BlockSlice::get(nested, loc, result, block, false,
                                           contraction.columns);
        Value part = place.extract(nested, loc, result);
        Value columns = BlockSlice::get(nested, loc, input, block, false,
                                        contraction.depth)
                            .extract(nested, loc, input);
        Value weight = BlockSlice::get(nested, loc, packed, block, true, 0)
                           .extract(nested, loc, packed);
        Value sum = emitMatmul(nested, loc, columns, weight, part,
                               hasPrevious ? part : Value(), product.negative,
                               roundInput);
        return place.insert(nested, loc, sum, result);
      });
}

static void rewriteContraction(RewriterBase &rewriter, linalg::GenericOp op,
                               const Contraction &contraction,
                               const PanelOptions &options) {
  Location loc = op.getLoc();
  rewriter.setInsertionPoint(op);
  Value init = op.getDpsInitOperand(0)->get();
  // The zeros are gone: what they were written to will do.
  Value shape = contraction.previous
                    ? init
                    : init.getDefiningOp<linalg::FillOp>().getOutputs().front();
  auto originalType = cast<RankedTensorType>(op.getResult(0).getType());
  unsigned tokens = contraction.numTokenDims;
  SmallVector<OpFoldResult> sizes =
      tensor::getMixedSizes(rewriter, loc, shape);
  bool isMerged = originalType.getRank() == int64_t(tokens) + 1;
  SmallVector<OpFoldResult> mergedSizes(sizes.begin(), sizes.begin() + tokens);
  mergedSizes.push_back(
      rewriter.getIndexAttr(contraction.blocks * contraction.columns));

  Value output;
  if (contraction.previous)
    output = mergeTrailing(rewriter, loc, contraction.previous, tokens);
  else if (isMerged)
    output = shape;
  else
    output = tensor::EmptyOp::create(rewriter, loc, mergedSizes,
                                     originalType.getElementType());
  bool hasPrevious = static_cast<bool>(contraction.previous);
  for (const Product &product : contraction.products) {
    Value packed = emitPack(rewriter, op, product, contraction, options);
    bool roundInput = options.operandType == getElementTypeOrSelf(packed);
    output = emitProduct(rewriter, op, product, contraction, packed, output,
                         hasPrevious, roundInput);
    hasPrevious = true;
  }
  if (!isMerged) {
    SmallVector<ReassociationIndices> groups;
    for (unsigned dim = 0; dim < tokens; ++dim)
      groups.push_back({dim});
    groups.push_back(llvm::to_vector(
        llvm::seq<int64_t>(tokens, originalType.getRank())));
    output = tensor::ExpandShapeOp::create(rewriter, loc, originalType, output,
                                           groups, sizes);
  }
  remark::passed(loc, remarkNamed("Packed"))
      << remark::metric("blocks", contraction.blocks)
      << remark::metric("columns", contraction.columns)
      << remark::metric("depth", contraction.depth)
      << remark::metric("products", contraction.products.size());
  rewriter.replaceOp(op, output);
}

namespace {
class PackWeightsPass : public ssm::impl::PackWeightsPassBase<PackWeightsPass> {
public:
  using PackWeightsPassBase::PackWeightsPassBase;

private:
  void runOnOperation() override {
    func::FuncOp function = getOperation();
    if (function.isDeclaration())
      return;
    if (panelColumns <= 0 || !llvm::isPowerOf2_64(panelColumns)) {
      function.emitError("panel-columns must be a power of two, found ")
          << panelColumns;
      return signalPassFailure();
    }
    PanelOptions panels{panelColumns, Type(), depthMultiple};
    if (operandType == "bf16")
      panels.operandType = BFloat16Type::get(&getContext());
    else if (operandType == "f16")
      panels.operandType = Float16Type::get(&getContext());
    else if (!operandType.empty()) {
      function.emitError("operand-type must be bf16, f16 or empty, found ")
          << operandType;
      return signalPassFailure();
    }
    if (depthMultiple < 2 || depthMultiple % 2) {
      function.emitError("depth-multiple must be even, found ")
          << depthMultiple;
      return signalPassFailure();
    }
    ssm::PreparedValues prepared(function);
    SmallVector<linalg::GenericOp> generics;
    function.walk([&](linalg::GenericOp op) {
      if (op.hasPureTensorSemantics())
        generics.push_back(op);
    });
    IRRewriter rewriter(&getContext());
    for (linalg::GenericOp op : generics) {
      auto refuse = [&](const Twine &why) -> LogicalResult {
        std::string text = why.str();
        remark::missed(op.getLoc(), remarkNamed("Unpacked"))
            << remark::reason("{0}", text);
        return rewriter.notifyMatchFailure(op, why);
      };
      FailureOr<Contraction> contraction =
          matchContraction(op, prepared, refuse);
      if (succeeded(contraction))
        rewriteContraction(rewriter, op, *contraction, panels);
    }
  }
};
} // namespace
