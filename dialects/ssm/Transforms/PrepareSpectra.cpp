//===- PrepareSpectra.cpp - Transforms of long kernels --------------------===//
//
// ssm-prepare-spectra: gives every convolution with a long kernel that weights
// determine the transforms of that kernel, and memory for those of its input.
//
//===----------------------------------------------------------------------===//

#include "PreparedValues.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Remarks.h"
#include "ssm/IR/SSM.h"
#include "ssm/IR/SpectrumBlocks.h"
#include "ssm/Transforms/Passes.h"
#include "llvm/Support/MathExtras.h"

namespace mlir::ssm {
#define GEN_PASS_DEF_PREPARESPECTRAPASS
#include "ssm/Transforms/Passes.h.inc"
} // namespace mlir::ssm

using namespace mlir;
using namespace mlir::ssm;

static remark::RemarkOpts remarkNamed(StringRef name) {
  return remark::RemarkOpts::name(name).category("ssm-prepare-spectra");
}

/// The dimension of the iteration space that is last in input, output and
/// memory, by which vectors are loaded, if the kernel has it.
static std::optional<unsigned> getLaneDim(ConvOp conv) {
  auto last = dyn_cast<AffineDimExpr>(conv.getOutputMap().getResults().back());
  if (!last || last.getPosition() < 2 ||
      conv.getInputMap().getResults().back() != last)
    return std::nullopt;
  return last.getPosition();
}

static std::string reasonAgainst(ConvOp conv, const PreparedValues &prepared) {
  if (conv.getCut())
    return "documents start inside of the sequence";
  if (!prepared.contains(conv.getKernel()))
    return "the kernel is not known before the input is";
  std::optional<unsigned> lane = getLaneDim(conv);
  AffineMap map = conv.getKernelMap();
  if (!lane || !map.isFunctionOfDim(*lane))
    return "no channel of the kernel is the last dimension of input and output";
  for (AffineExpr expr : map.getResults())
    if (auto dim = dyn_cast<AffineDimExpr>(expr); !dim || dim.getPosition() < 2)
      return "an index of the kernel is no dimension alone";
  for (int64_t axis = 0, rank = map.getNumResults(); axis < rank; ++axis)
    if (cast<RankedTensorType>(conv.getKernel().getType()).isDynamicDim(axis) &&
        axis != int64_t(*conv.getLagAxis()))
      return "the number of channels is not known";
  return "";
}

namespace {
struct PrepareSpectraPass
    : ssm::impl::PrepareSpectraPassBase<PrepareSpectraPass> {
  using PrepareSpectraPassBase::PrepareSpectraPassBase;
  void runOnOperation() override;

private:
  void prepareSpectrum(ConvOp conv);
};
} // namespace

void PrepareSpectraPass::prepareSpectrum(ConvOp conv) {
  OpBuilder builder(conv);
  Location loc = conv.getLoc();
  auto kernelType = cast<RankedTensorType>(conv.getKernel().getType());
  Type element = getElementTypeOrSelf(conv.getOutput());
  if (element.getIntOrFloatBitWidth() < 32)
    element = builder.getF32Type();
  int64_t width = vectorBits / element.getIntOrFloatBitWidth();
  unsigned laneDim = *getLaneDim(conv), lagAxis = *conv.getLagAxis();
  unsigned laneAxis = 0;
  SmallVector<OpFoldResult> sizes;
  for (auto [axis, expr] : llvm::enumerate(conv.getKernelMap().getResults())) {
    if (expr == builder.getAffineDimExpr(laneDim))
      laneAxis = axis;
    else if (axis != lagAxis)
      sizes.push_back(builder.getIndexAttr(kernelType.getDimSize(axis)));
  }
  int64_t tiles = llvm::divideCeil(kernelType.getDimSize(laneAxis), width);
  sizes.push_back(builder.getIndexAttr(tiles));

  // Where the number of lags is known when `prepare` runs, the extents are
  // bounds: they grow in proportion to it, what is needed in steps.
  PreparedExtent lags = *getPreparedExtent(conv.getKernel(), lagAxis);
  int64_t first = conv.getStaticFirst();
  OpFoldResult places, numRoots;
  if (lags.scale == 0 && !conv.getFirst()) {
    places = builder.getIndexAttr(getSpectrumPlaces(lags.offset, first));
    numRoots = builder.getIndexAttr(getLargestBlock(lags.offset));
  } else {
    Value length = getPreparedLength(getOperation());
    bool isCausal = !conv.getFirst() && first == 0;
    int64_t scale = isCausal ? 4 : 5;
    places = emitExtent(builder, loc,
                        {scale * lags.scale,
                         scale * lags.offset + 4 * kFirstBlock},
                        length);
    numRoots = emitExtent(builder, loc,
                          {lags.scale, lags.offset + kFirstBlock}, length);
  }
  sizes.append({places, builder.getIndexAttr(2), builder.getIndexAttr(width)});
  Value rootsInit = tensor::EmptyOp::create(
      builder, loc, {numRoots, builder.getIndexAttr(2)}, element);
  Value roots =
      RootsOp::create(builder, loc, rootsInit.getType(), rootsInit).getResult(0);
  Value spectrumInit = tensor::EmptyOp::create(builder, loc, sizes, element);
  Value spectrum =
      SpectrumOp::create(builder, loc, spectrumInit.getType(), conv.getKernel(),
                         roots, conv.getFirst(), spectrumInit,
                         builder.getI64IntegerAttr(lagAxis),
                         builder.getI64IntegerAttr(laneAxis),
                         builder.getI64IntegerAttr(first))
          .getResult(0);
  SmallVector<OpFoldResult> memory = {
      tensor::getMixedSize(builder, loc, conv.getOutput(), 0),
      tensor::getMixedSize(builder, loc, conv.getOutput(), 1),
      builder.getIndexAttr(4 * tiles * width)};
  SmallVector<Value> outs(conv.getOuts());
  outs.push_back(tensor::EmptyOp::create(builder, loc, memory, element));
  auto widened = ConvOp::create(
      builder, loc, ValueRange(outs).getTypes(), conv.getInput(),
      conv.getKernel(), conv.getHistory(), conv.getPosition(), conv.getCut(),
      conv.getEpilogueIns(), conv.getFirst(), spectrum, roots, outs,
      conv.getInputMapAttr(), conv.getKernelMapAttr(),
      conv.getEpilogueMapsAttr(), conv.getOutputMapAttr(), conv.getLagsAttr(),
      conv.getStaticFirstAttr(), builder.getI64IntegerAttr(laneDim),
      conv.getShortestFftAttr());
  widened->setDiscardableAttrs(conv->getDiscardableAttrDictionary());
  widened.getEpilogue().takeBody(conv.getEpilogue());
  conv->replaceAllUsesWith(
      widened.getResults().take_front(conv->getNumResults()));
  conv.erase();
  remark::passed(loc, remarkNamed("Spectrum"))
      << remark::metric("tiles", tiles) << remark::metric("width", width);
}

void PrepareSpectraPass::runOnOperation() {
  PreparedValues prepared(getOperation());
  SmallVector<ConvOp> convs;
  getOperation().walk([&](ConvOp conv) {
    if (!conv.isLong() || !conv.getShortestFft() || conv.getSpectrum())
      return;
    std::string reason = reasonAgainst(conv, prepared);
    if (reason.empty())
      convs.push_back(conv);
    else
      remark::missed(conv.getLoc(), remarkNamed("NoSpectrum"))
          << remark::reason("{0}", reason);
  });
  for (ConvOp conv : convs)
    prepareSpectrum(conv);
}
