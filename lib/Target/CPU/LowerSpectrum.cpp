//===- LowerSpectrum.cpp - Transforms of a kernel's pieces ----------------===//

#include "CPULowering.h"
#include "FFTEmitter.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "ssm/IR/SpectrumBlocks.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::cpu;

/// Channels that are transformed together where each has a transform of its own.
static constexpr int64_t togetherBits = 128;

namespace {
class SpectrumLowering {
public:
  SpectrumLowering(RewriterBase &builder, SpectrumOp op)
      : builder(builder), op(op), loc(op.getLoc()) {}
  LogicalResult run();

private:
  void emitTile(Value unit);
  void emitPiece(RegionEmitter &emitter, Value number);
  void storeForThreads(Value block, Value offset);
  Value loadTap(RegionEmitter &emitter, Value place);

  Value index(int64_t value) { return indexConstant(builder, loc, value); }
  Value add(Value a, Value b) { return addIndex(builder, loc, a, b); }
  Value sub(Value a, Value b) { return subIndex(builder, loc, a, b); }
  Value mul(Value a, Value b) { return mulIndex(builder, loc, a, b); }
  Value select(Value condition, Value a, Value b) {
    return builder.createOrFold<arith::SelectOp>(loc, condition, a, b);
  }
  Value compare(arith::CmpIPredicate predicate, Value a, Value b) {
    return builder.createOrFold<arith::CmpIOp>(loc, predicate, a, b);
  }

  RewriterBase &builder;
  SpectrumOp op;
  Location loc;
  unsigned lag = 0, lane = 0;
  int64_t width = 1;
  Type element;
  Access kernel;
  Value lags, first, flat, tilePoint;
  Value places; ///< of a tile
  /// For threads: a piece of the tile's channels, the tile, its channels' number.
  Value staged, tile, tileChannels;
  SmallVector<unsigned> outer;
  SmallVector<int64_t> extents; ///< of `outer`, then tiles
  SmallVector<SpectrumBlocks> sizes;
};
} // namespace

LogicalResult SpectrumLowering::run() {
  auto type = dyn_cast<MemRefType>(op.getOuts().front().getType());
  auto kernelType = dyn_cast<MemRefType>(op.getKernel().getType());
  if (!type || !kernelType || !type.getLayout().isIdentity())
    return failure();
  element = type.getElementType();
  if (cast<MemRefType>(op.getRoots().getType()).getElementType() != element)
    return failure();
  lag = op.getLag();
  lane = op.getLane();
  width = op.getThreads() ? togetherBits / element.getIntOrFloatBitWidth()
                          : type.getShape().back();
  int64_t rank = kernelType.getRank();
  for (int64_t axis = 0; axis < rank; ++axis)
    if (axis != lag && kernelType.isDynamicDim(axis))
      return failure();
  for (int64_t axis = 0; axis < rank; ++axis)
    if (axis != lag && axis != lane) {
      outer.push_back(axis);
      extents.push_back(kernelType.getDimSize(axis));
    }
  extents.push_back(llvm::divideCeil(kernelType.getDimSize(lane), width));
  builder.setInsertionPoint(op);
  kernel = {op.getKernel(), builder.getMultiDimIdentityMap(rank)};
  lags =
      kernelType.isDynamicDim(lag)
          ? memref::DimOp::create(builder, loc, op.getKernel(), lag).getResult()
          : index(kernelType.getDimSize(lag));
  first = op.getFirst() ? op.getFirst()
                        : index(static_cast<int64_t>(op.getStaticFirst()));
  sizes = getSpectrumBlocks(builder, loc, lags, first, op.getBlock());
  ReassociationIndices all;
  for (int64_t axis = 0; axis < type.getRank(); ++axis)
    all.push_back(axis);
  flat = memref::CollapseShapeOp::create(
      builder, loc,
      MemRefType::get({type.hasStaticShape() ? type.getNumElements()
                                             : ShapedType::kDynamic},
                      element),
      op.getOuts().front(), ArrayRef<ReassociationIndices>{all});
  places = type.isDynamicDim(type.getRank() - 3)
               ? memref::DimOp::create(builder, loc, op.getOuts().front(),
                                       type.getRank() - 3)
                     .getResult()
               : index(type.getDimSize(type.getRank() - 3));
  int64_t units = 1;
  for (int64_t extent : extents)
    units *= extent;
  emitTasks(builder, loc, index(units), index(1), std::nullopt,
            [&](Value begin, Value) {
              if (op.getThreads())
                staged = memref::AllocaOp::create(
                    builder, loc,
                    MemRefType::get({static_cast<int64_t>(*op.getBlock()) * 2 * width},
                                    element),
                    builder.getI64IntegerAttr(64));
              emitTile(begin);
            });
  builder.eraseOp(op);
  return success();
}

void SpectrumLowering::emitTile(Value unit) {
  tilePoint = mul(unit, places);
  SmallVector<Value> counts;
  for (int64_t extent : extents)
    counts.push_back(index(extent));
  SmallVector<Value> digits = delinearize(builder, loc, unit, counts);
  auto kernelType = cast<MemRefType>(op.getKernel().getType());
  RegionEmitter emitter(builder, loc, kernelType.getRank());
  for (auto [axis, digit] : llvm::zip(outer, digits))
    emitter.bindDim(axis, digit);
  Value numPieces = index(0);
  for (const SpectrumBlocks &size : sizes)
    numPieces = add(numPieces, size.numPieces);
  int64_t channels = kernelType.getDimSize(lane);
  Value begin = channels <= width ? index(0) : mul(digits.back(), index(width));
  Value end =
      channels <= width
          ? index(channels)
          : minIndex(builder, loc, add(begin, index(width)), index(channels));
  tile = unit;
  tileChannels = sub(end, begin);
  emitLaneLoops(emitter, loc, lane, begin, end, width, 1, channels,
                [&](RegionEmitter &inner, int64_t) {
                  emitFor(builder, loc, index(0), numPieces, 1,
                          [&](Value number) { emitPiece(inner, number); });
                });
}

/// The tap at a place of the kernel, zero outside of it.
Value SpectrumLowering::loadTap(RegionEmitter &emitter, Value place) {
  Value isInside = arith::AndIOp::create(
      builder, loc, compare(arith::CmpIPredicate::sge, place, index(0)),
      compare(arith::CmpIPredicate::slt, place, lags));
  Type type = emitter.getLanesType(element);
  return emitChoice(
      builder, loc, isInside,
      [&] {
        RegionEmitter at = emitter;
        at.bindDim(lag, place);
        return at.splat(convertFloat(
            builder, loc, at.load(kernel, at.zeroOffsets()), element));
      },
      [&]() -> Value {
        return arith::ConstantOp::create(builder, loc,
                                         builder.getZeroAttr(type));
      });
}

/// Piece `number`, counted over all sizes of blocks.
void SpectrumLowering::emitPiece(RegionEmitter &emitter, Value number) {
  Value block, piece, offset;
  Value before = index(0);
  for (const SpectrumBlocks &size : sizes) {
    Value local = sub(number, before);
    Value isIt = compare(arith::CmpIPredicate::sge, local, index(0));
    auto choose = [&](Value &current, Value next) {
      current = current ? select(isIt, next, current) : next;
    };
    // Sizes without pieces come last; they must not be chosen.
    isIt = arith::AndIOp::create(
        builder, loc, isIt,
        compare(arith::CmpIPredicate::sgt, size.numPieces, index(0)));
    choose(block, index(size.block));
    choose(piece, add(local, size.firstPiece));
    choose(offset, add(size.offset, mul(local, index(size.getStride()))));
    before = add(before, size.numPieces);
  }
  FFTEmitter fft(builder, loc, op.getRoots(), element, width);
  Value memory = staged ? staged : flat;
  Value base = staged ? index(0) : add(tilePoint, offset);
  // The place of lag `piece * block`.
  Value firstTap = sub(mul(piece, block), first);
  auto type = cast<VectorType>(emitter.getLanesType(element));
  Value one = arith::ConstantOp::create(builder, loc,
                                        builder.getFloatAttr(element, 1.0));
  Value asInteger =
      arith::IndexCastOp::create(builder, loc, builder.getI64Type(), block);
  Value scale = arith::DivFOp::create(
      builder, loc, one,
      arith::SIToFPOp::create(builder, loc, element, asInteger));
  scale = vector::BroadcastOp::create(builder, loc, type, scale);
  emitFor(builder, loc, index(0), block, 1, [&](Value position) {
    Value place = add(firstTap, position);
    Value low = loadTap(emitter, place);
    Value high = loadTap(emitter, sub(place, block));
    Value re = arith::MulFOp::create(builder, loc, low, scale);
    Value im = arith::NegFOp::create(
        builder, loc, arith::MulFOp::create(builder, loc, high, scale));
    fft.store({re, im}, memory, add(base, position));
  });
  fft.transform({memory, base, block, index(1)});
  // Kernels that decay have pieces of nothing but such numbers.
  emitFor(builder, loc, index(0), block, 1, [&](Value number) {
    Value point = add(base, number);
    ComplexLanes value = fft.load(memory, point);
    value.re = flushDenormals(builder, loc, value.re, element);
    value.im = flushDenormals(builder, loc, value.im, element);
    fft.store(value, memory, point);
  });
  if (staged)
    storeForThreads(block, offset);
}

/// The staged piece, channel by channel, in the order of `threads`.
void SpectrumLowering::storeForThreads(Value block, Value offset) {
  auto size = static_cast<int64_t>(*op.getBlock());
  auto threads = static_cast<int64_t>(*op.getThreads());
  Value tiles = index(extents.back());
  Value outerUnit = builder.createOrFold<arith::DivUIOp>(loc, tile, tiles);
  Value inRow = builder.createOrFold<arith::RemUIOp>(loc, tile, tiles);
  int64_t channels = cast<MemRefType>(op.getKernel().getType()).getDimSize(lane);
  Value firstChannel = add(mul(outerUnit, index(channels)), mul(inRow, index(width)));
  emitFor(builder, loc, index(0), tileChannels, 1, [&](Value channel) {
    Value base = add(mul(add(firstChannel, channel), places), offset);
    emitFor(builder, loc, index(0), block, 1, [&](Value number) {
      Value place =
          add(base, getPlaceForThreads(builder, loc, size, threads, number));
      for (int64_t part = 0; part < 2; ++part) {
        Value from = add(mul(number, index(2 * width)), index(part * width));
        Value value =
            memref::LoadOp::create(builder, loc, staged, ValueRange{add(from, channel)});
        memref::StoreOp::create(builder, loc, value, flat,
                                ValueRange{add(mul(place, index(2)), index(part))});
      }
    });
  });
}

LogicalResult ssmc::cpu::lowerSpectrum(RewriterBase &rewriter, SpectrumOp op) {
  return SpectrumLowering(rewriter, op).run();
}
