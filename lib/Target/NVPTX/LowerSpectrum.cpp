//===- LowerSpectrum.cpp - Transforms of a kernel's pieces ----------------===//
//
// A block of threads has a channel and goes from piece to piece, as each is made of the
// taps of two.
//
//===----------------------------------------------------------------------===//

#include "Target/NVPTX/FourierBlock.h"
#include "Target/NVPTX/KernelEmitter.h"
#include "Target/NVPTX/Launch.h"
#include "Target/NVPTX/Lowering.h"

#include "ssm/IR/SpectrumBlocks.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::nvptx;

static constexpr int64_t kBlock = FourierBlock::kPoints,
                         kThreads = FourierBlock::kThreads, kOwn = FourierBlock::kOwn;

namespace {
class SpectrumKernel : KernelEmitter {
public:
  SpectrumKernel(OpBuilder &builder, SpectrumOp op)
      : KernelEmitter(builder, op.getLoc()), op(op),
        element(getElementTypeOrSelf(op.getOuts().front())) {}

  void emit();

private:
  /// The thread's taps from `first` on, of which some are none.
  SmallVector<Value> loadTaps(ArrayRef<Value> point, Value first, Value lags);

  SpectrumOp op;
  Type element;
};
} // namespace

SmallVector<Value> SpectrumKernel::loadTaps(ArrayRef<Value> point, Value first,
                                            Value lags) {
  SmallVector<Value> taps, at(point);
  for (int64_t i = 0; i < kOwn; ++i) {
    Value place = plus(first, i * kThreads);
    Value isThere = both(loops.less(loops.index(-1), place), loops.less(place, lags));
    // Without branches all loads are on their way at once.
    at[op.getLag()] = loops.max(min(place, plus(lags, -1)), loops.index(0));
    taps.push_back(loops.select(isThere, loops.load(op.getKernel(), at),
                                loops.constant(element, 0)));
  }
  return taps;
}

void SpectrumKernel::emit() {
  OpBuilder &b = loops.builder;
  auto kernelType = cast<MemRefType>(op.getKernel().getType());
  Value out = op.getOuts().front();
  int64_t outRank = cast<MemRefType>(out.getType()).getRank();
  Value lags = loops.size(op.getKernel(), op.getLag());
  Value first = op.getFirst() ? op.getFirst()
                              : loops.index(static_cast<int64_t>(op.getStaticFirst()));
  SpectrumBlocks pieces = getBlocksOfSize(b, loops.loc, kBlock, lags, first);
  Value channelNumbers = times(loops.size(out, outRank - 3), 2); // of an output channel
  Value roots = flatten(op.getRoots()), to = flatten(out);
  // Dimensions of the channels, the innermost one last.
  SmallVector<int64_t> dims;
  int64_t channels = 1;
  for (int64_t axis = 0; axis < kernelType.getRank(); ++axis)
    if (axis != int64_t(op.getLag()) && axis != int64_t(op.getLane()))
      dims.push_back(axis);
  dims.push_back(op.getLane());
  for (int64_t dim : dims)
    channels *= kernelType.getDimSize(dim);

  OpBuilder::InsertionGuard guard(b);
  gpu::LaunchOp launch = startLaunch(b, loops.loc, loops.index(channels), loops.index(1),
                                     kThreads, FourierBlock::getMemoryType(element));
  Value thread = launch.getThreadIds().x, channel = launch.getBlockIds().x,
        rest = channel;
  SmallVector<Value> point(kernelType.getRank(), loops.index(0));
  for (int64_t dim : llvm::reverse(dims)) {
    point[dim] = remainder(rest, kernelType.getDimSize(dim));
    rest = quotient(rest, kernelType.getDimSize(dim));
  }
  FourierBlock fourier(loops, launch.getWorkgroupAttributions()[0], roots, thread);
  Value base = loops.mul(channel, channelNumbers);
  Value scale = loops.constant(element, 1.0 / kBlock);
  SmallVector<Value> none(kOwn, loops.constant(element, 0));
  loops.reduce(
      loops.index(0), pieces.numPieces, none, [&](Value number, ValueRange before) {
        Value lag = times(loops.add(pieces.firstPiece, number), kBlock);
        SmallVector<Value> taps =
            loadTaps(point, loops.add(loops.sub(lag, first), thread), lags);
        SmallVector<ComplexNumber> points;
        for (auto [low, high] : llvm::zip_equal(taps, before))
          points.push_back({loops.mul(low, scale),
                            arith::NegFOp::create(b, loops.loc, loops.mul(high, scale))});
        fourier.transform(points);
        fourier.storeValues(points, to, loops.add(base, times(number, 2 * kBlock)),
                            FourierBlock::getAlignment(out));
        fourier.barrier();
        return taps;
      });
}

bool nvptx::canTransform(SpectrumOp op) {
  auto kernelType = cast<ShapedType>(op.getKernel().getType());
  for (int64_t axis = 0; axis < kernelType.getRank(); ++axis)
    if (axis != int64_t(op.getLag()) && kernelType.isDynamicDim(axis))
      return false;
  return op.getBlock() == uint64_t(kBlock) && op.getThreads() == uint64_t(kThreads) &&
         kernelType.getElementType().isF32() &&
         getElementTypeOrSelf(op.getOuts().front()).isF32() &&
         getElementTypeOrSelf(op.getRoots()).isF32() &&
         cast<ShapedType>(op.getOuts().front().getType()).getShape().back() == 1;
}

LogicalResult nvptx::lowerSpectrum(RewriterBase &rewriter, SpectrumOp op) {
  if (!canTransform(op))
    return failure();
  SpectrumKernel(rewriter, op).emit();
  rewriter.eraseOp(op);
  return success();
}
