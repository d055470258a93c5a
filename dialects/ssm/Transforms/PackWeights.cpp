//===- PackWeights.cpp - Products by weights as ssm.matmul ----------------===//
//
// ssm-pack-weights: a contraction of tokens with a weight becomes ssm.pack (of
// the weight, which later moves to @prepare) and ssm.matmul. A sum of products,
// as complex numbers need, becomes one matmul for each; all but the first
// continue from the previous one's result in their epilogue.
//
//===----------------------------------------------------------------------===//

#include "PreparedValues.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
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
/// How an operand's dimensions merge into two: `first` of them into the first.
struct Matrix {
  unsigned leading = 0;
  bool transposed = false;
};

/// One product of the sum: operand numbers of the generic.
struct Product {
  unsigned input, weight;
  bool negative;
  Matrix inputShape, weightShape;
};

struct Contraction {
  SmallVector<Product> products;
  unsigned numTokenDims = 0;   // leading dimensions of the output
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
  products.push_back({*lhs, *rhs, negative, {}, {}});
  return true;
}

/// The dimensions that one result of a map walks, outermost first: a dimension,
/// or several merged in row-major order. None if it is anything else.
static std::optional<SmallVector<unsigned>>
getWalkedDims(AffineExpr expr, ArrayRef<int64_t> sizes) {
  SmallVector<std::pair<int64_t, unsigned>> strides;
  SmallVector<AffineExpr> pending = {expr};
  while (!pending.empty()) {
    AffineExpr next = pending.pop_back_val();
    if (auto dim = dyn_cast<AffineDimExpr>(next)) {
      strides.push_back({1, dim.getPosition()});
      continue;
    }
    auto binary = dyn_cast<AffineBinaryOpExpr>(next);
    if (!binary)
      return std::nullopt;
    if (next.getKind() == AffineExprKind::Add) {
      pending.append({binary.getLHS(), binary.getRHS()});
      continue;
    }
    auto dim = dyn_cast<AffineDimExpr>(binary.getLHS());
    auto factor = dyn_cast<AffineConstantExpr>(binary.getRHS());
    if (next.getKind() != AffineExprKind::Mul || !dim || !factor)
      return std::nullopt;
    strides.push_back({factor.getValue(), dim.getPosition()});
  }
  llvm::sort(strides, std::greater<>());
  int64_t stride = 1;
  for (auto [factor, dim] : llvm::reverse(strides)) {
    if (factor != stride)
      return std::nullopt;
    // The outermost extent does not matter for the strides.
    if (dim == strides.front().second)
      break;
    if (ShapedType::isDynamic(sizes[dim]))
      return std::nullopt;
    stride *= sizes[dim];
  }
  SmallVector<unsigned> dims;
  for (auto [factor, dim] : strides)
    dims.push_back(dim);
  return dims;
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
    std::optional<SmallVector<unsigned>> dims = getWalkedDims(expr, sizes);
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

  // Output dimensions of the weight are columns, all others tokens.
  llvm::SmallBitVector isColumn(sizes.size());
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
    AffineMap map =
        op.getMatchingIndexingMap(op.getDpsInputOperand(product.weight));
    for (unsigned dim = 0; dim < sizes.size(); ++dim)
      if (map.isFunctionOfDim(dim))
        isColumn.set(dim);
  }
  SmallVector<unsigned> tokens, columns;
  for (AffineExpr expr : outputMap.getResults()) {
    unsigned dim = cast<AffineDimExpr>(expr).getPosition();
    if (isColumn[dim]) {
      columns.push_back(dim);
      contraction.columns *= sizes[dim];
      continue;
    }
    if (!columns.empty())
      return refuse("a dimension of the tokens follows one of the weight");
    tokens.push_back(dim);
  }
  contraction.numTokenDims = tokens.size();
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
    OpOperand *weight = op.getDpsInputOperand(product.weight);
    AffineMap inputMap = op.getMatchingIndexingMap(input);
    AffineMap weightMap = op.getMatchingIndexingMap(weight);
    if (llvm::any_of(columns,
                     [&](unsigned dim) { return inputMap.isFunctionOfDim(dim); }))
      return refuse("the weight is block-diagonal");
    // The order of the sum is that of the input.
    SmallVector<unsigned> depth;
    for (AffineExpr expr : inputMap.getResults())
      if (std::optional<SmallVector<unsigned>> dims = getWalkedDims(expr, sizes))
        for (unsigned dim : *dims)
          if (llvm::is_contained(reduced, dim))
            depth.push_back(dim);
    if (depth.size() != reduced.size())
      return refuse("the input does not have all dimensions of the sum");
    std::optional<unsigned> leading =
        matchMatrix(inputMap, tokens, depth, sizes);
    if (!leading || *leading != tokens.size())
      return refuse("the input's rows are not contiguous");
    product.inputShape = {*leading, false};
    if (std::optional<unsigned> rows =
            matchMatrix(weightMap, columns, depth, sizes))
      product.weightShape = {*rows, false};
    else if (std::optional<unsigned> rows =
                 matchMatrix(weightMap, depth, columns, sizes))
      product.weightShape = {*rows, true};
    else
      return refuse("the weight is no matrix of columns and depth");
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

/// Makes a matrix of `value`: its first `leading` dimensions are the rows.
static Value makeMatrix(OpBuilder &builder, Location loc, Value value,
                        unsigned leading) {
  int64_t rank = cast<RankedTensorType>(value.getType()).getRank();
  if (rank == 2)
    return value;
  SmallVector<ReassociationIndices> groups(2);
  for (int64_t dim = 0; dim < rank; ++dim)
    groups[dim < leading ? 0 : 1].push_back(dim);
  return tensor::CollapseShapeOp::create(builder, loc, value, groups);
}

/// Shape of the panels for `columns` columns. Narrow matrices get narrow
/// panels, which are still whole vectors.
static SmallVector<int64_t> getPackedShape(int64_t columns, int64_t depth,
                                           int64_t panelColumns, Type type) {
  while (panelColumns > 16 && columns <= panelColumns / 2)
    panelColumns /= 2;
  int64_t panels = llvm::divideCeil(columns, panelColumns);
  if (type.getIntOrFloatBitWidth() == 16)
    return {panels, static_cast<int64_t>(llvm::divideCeil(depth, 2)),
            panelColumns, 2};
  return {panels, depth, panelColumns};
}

/// Packs the weight of `product`; f64 sums need f64 panels.
static Value emitPack(OpBuilder &builder, linalg::GenericOp op,
                      const Product &product, const Contraction &contraction,
                      int64_t panelColumns) {
  Location loc = op.getLoc();
  Value weight = op.getDpsInputOperand(product.weight)->get();
  Type type = getElementTypeOrSelf(op.getResult(0));
  if (!type.isF64())
    type = getElementTypeOrSelf(weight);
  Value matrix =
      makeMatrix(builder, loc, weight, product.weightShape.leading);
  Value empty = tensor::EmptyOp::create(
      builder, loc,
      getPackedShape(contraction.columns, contraction.depth, panelColumns,
                     type),
      type);
  return ssm::PackOp::create(builder, loc, empty.getType(), matrix, empty,
                             product.weightShape.transposed)
      .getResult(0);
}

/// Emits the product; `previous`, if any, is what it is added to, and where it
/// is stored.
static Value emitMatmul(OpBuilder &builder, Location loc, Value input,
                        Value packed, Value output, Value previous,
                        bool negative) {
  auto type = cast<RankedTensorType>(output.getType());
  SmallVector<Value> operands;
  SmallVector<AffineMap> maps;
  if (previous) {
    operands.push_back(previous);
    maps.push_back(builder.getMultiDimIdentityMap(type.getRank()));
  }
  auto matmul = ssm::MatmulOp::create(
      builder, loc, TypeRange(type), input, packed, operands,
      ValueRange(output), builder.getAffineMapArrayAttr(maps));
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

static void rewriteContraction(RewriterBase &rewriter, linalg::GenericOp op,
                               const Contraction &contraction,
                               int64_t panelColumns) {
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
  SmallVector<OpFoldResult> mergedSizes(ArrayRef(sizes).take_front(tokens));
  mergedSizes.push_back(rewriter.getIndexAttr(contraction.columns));

  Value output;
  if (!contraction.previous)
    output = isMerged ? shape
                      : Value(tensor::EmptyOp::create(
                            rewriter, loc, mergedSizes,
                            originalType.getElementType()));
  else
    output = mergeTrailing(rewriter, loc, contraction.previous, tokens);
  Value previous = contraction.previous ? output : Value();
  for (const Product &product : contraction.products) {
    Value packed = emitPack(rewriter, op, product, contraction, panelColumns);
    Value input =
        mergeTrailing(rewriter, loc, op.getDpsInputOperand(product.input)->get(),
                      product.inputShape.leading);
    output = previous = emitMatmul(rewriter, loc, input, packed, output,
                                   previous, product.negative);
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
        rewriteContraction(rewriter, op, *contraction, panelColumns);
    }
  }
};
} // namespace
