//===- LowerFFTConv.cpp - Long convolution by Fourier transforms ----------===//
//
// Tokens are cut into blocks; each is transformed, the pieces of the kernel are
// there as transforms already, and what ends in a block of the output is
// multiplied, summed and transformed back (ssm.spectrum has the formula). A
// unit of work is a tile of channels of a sequence, or of a part of a very long
// one. Its transforms need memory that no cache may be too small for: the first
// pass makes eight nodes of each block, and all that follows, until the last
// pass back, goes node by node, over all blocks of the unit. Nodes of long
// blocks are split once more.
//
// The memory comes in slots, one for each tile of each sequence. A task takes
// the first that is free, so that a few threads use few of them, again and
// again.
//
//===----------------------------------------------------------------------===//

#include "ConvEmitter.h"
#include "FFTEmitter.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "ssm/IR/SpectrumBlocks.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::cpu;

/// Nanoseconds of a token of a tile, for the size of tasks.
static constexpr double tokenCost = 20;
/// Blocks of output of a unit where there are more than eight, and the most
/// blocks of input that they need.
static constexpr int64_t segmentBlocks = 5, maxInputBlocks = 14;
/// Points whose products are summed at a time.
static constexpr int64_t productPoints = 4;
/// Tokens from a load to the prefetch beside it.
static constexpr int64_t prefetchTokens = 4;
/// Shortest blocks whose nodes are split once more.
static constexpr int64_t longBlock = 4096;

namespace {
class FFTConvLowering : public ConvEmitter {
public:
  using ConvEmitter::ConvEmitter;
  LogicalResult check();
  void emit();

private:
  void chooseBlock(Value lags, Value first);
  void prepareSlots();
  Value takeSlot();
  void freeSlot(Value slot);
  void emitTile(RegionEmitter &emitter, Value tile);
  void readBlock(RegionEmitter &emitter, Value number, bool isWhole);
  void writeBlock(RegionEmitter &emitter, Value number);
  void emitNode(RegionEmitter &emitter, Value node, Value size, Value root);
  void emitProducts(RegionEmitter &emitter, Value nodeBase, Value size);
  void forBlocks(Value begin, Value end, llvm::function_ref<void(Value)> body) {
    emitFor(builder, loc, index(0), sub(end, begin), 1, body);
  }
  FFTNode getNode(Value number, Value node, Value size, Value root) {
    return {slots, add(slotPoint, add(mul(number, stride), mul(node, size))),
            size, root};
  }

  Value add(Value a, Value b) { return addIndex(builder, loc, a, b); }
  Value sub(Value a, Value b) { return subIndex(builder, loc, a, b); }
  Value mul(Value a, Value b) { return mulIndex(builder, loc, a, b); }
  Value min(Value a, Value b) { return minIndex(builder, loc, a, b); }
  Value max(Value a, Value b) {
    return builder.createOrFold<arith::MaxSIOp>(loc, a, b);
  }
  Value compare(arith::CmpIPredicate predicate, Value a, Value b) {
    return builder.createOrFold<arith::CmpIOp>(loc, predicate, a, b);
  }

  std::optional<FFTEmitter> fft;
  Value batches, tokens, numSlots;
  Value stride; ///< from block to block, and from piece to piece
  Value block, firstPiece, lastPiece, spectrumPlace; ///< of the size chosen
  Value slots, flagStride;
  Value slotPoint, products;                          ///< of the task
  Value blocks;                                       ///< of the sequence
  Value firstInput, endInput, firstOutput, endOutput; ///< of the unit
  SmallVector<Value> spectrumIndices; ///< of the unit, up to the place
};
} // namespace

LogicalResult FFTConvLowering::check() {
  if (!op.getSpectrum() || op.getCut() || failed(prepare()))
    return failure();
  auto type = dyn_cast<MemRefType>(op.getSpectrum().getType());
  auto memory = dyn_cast<MemRefType>(op.getWorkspace().getType());
  if (!type || !memory || !memory.getLayout().isIdentity() || !lane ||
      lane != op.getSpectrumLane() || type.getShape().back() != width ||
      type.getElementType() != element ||
      cast<MemRefType>(op.getRoots().getType()).getElementType() != element)
    return failure();
  return success();
}

//===----------------------------------------------------------------------===//
// What is the same for all units
//===----------------------------------------------------------------------===//

/// The smallest blocks of which eight hold all tokens, or the largest.
void FFTConvLowering::chooseBlock(Value lags, Value first) {
  SmallVector<SpectrumBlocks> sizes =
      getSpectrumBlocks(builder, loc, lags, first);
  Value found = arith::ConstantIntOp::create(builder, loc, 0, 1);
  auto choose = [&](Value &current, Value condition, Value next) {
    current = current ? builder.createOrFold<arith::SelectOp>(loc, condition,
                                                              next, current)
                      : next;
  };
  Value pieces;
  for (const SpectrumBlocks &size : sizes) {
    Value fits = compare(arith::CmpIPredicate::sle, tokens,
                         index(size.block * kMaxBlocks));
    Value isIt = builder.createOrFold<arith::OrIOp>(loc, fits, size.isComplete);
    // The first one stays.
    Value yes = arith::ConstantIntOp::create(builder, loc, 1, 1);
    Value isNew = builder.createOrFold<arith::AndIOp>(
        loc, isIt, builder.createOrFold<arith::XOrIOp>(loc, found, yes));
    choose(block, isNew, index(size.block));
    choose(firstPiece, isNew, size.firstPiece);
    choose(pieces, isNew, size.numPieces);
    choose(spectrumPlace, isNew, size.offset);
    found = builder.createOrFold<arith::OrIOp>(loc, found, isIt);
  }
  stride = add(block, index(kPiecePadding));
  lastPiece = sub(add(firstPiece, pieces), index(1));
  blocks = builder.createOrFold<arith::DivUIOp>(
      loc, add(tokens, sub(block, index(1))), block);
}

void FFTConvLowering::prepareSlots() {
  auto flat = MemRefType::get({ShapedType::kDynamic}, element);
  slots = memref::CollapseShapeOp::create(
      builder, loc, flat, op.getWorkspace(),
      ArrayRef<ReassociationIndices>{{0, 1, 2}});
  // The last element of a slot says whether it is taken: no transform is as
  // long as twice the tokens.
  Value tiles = index(llvm::divideCeil(getSize(*lane), width));
  numSlots = mul(batches, tiles);
  flagStride = mul(tokens, index(4 * width));
  Value free =
      arith::ConstantOp::create(builder, loc, builder.getZeroAttr(element));
  emitFor(builder, loc, index(1), add(numSlots, index(1)), 1, [&](Value slot) {
    memref::StoreOp::create(builder, loc, free, slots,
                            sub(mul(slot, flagStride), index(1)));
  });
}

Value FFTConvLowering::takeSlot() {
  Value taken = arith::ConstantOp::create(builder, loc,
                                          builder.getFloatAttr(element, 1.0));
  Value free =
      arith::ConstantOp::create(builder, loc, builder.getZeroAttr(element));
  Type indexType = builder.getIndexType();
  auto loop = scf::WhileOp::create(
      builder, loc, TypeRange(indexType), ValueRange(index(0)),
      [&](OpBuilder &, Location, ValueRange state) {
        OpBuilder::InsertionGuard guard(builder);
        builder.setInsertionPointToEnd(
            cast<BlockArgument>(state[0]).getOwner());
        Value flag = sub(mul(add(state[0], index(1)), flagStride), index(1));
        Value was = memref::AtomicRMWOp::create(
            builder, loc, arith::AtomicRMWKind::assign, taken, slots, flag);
        Value isTaken = arith::CmpFOp::create(
            builder, loc, arith::CmpFPredicate::UNE, was, free);
        scf::ConditionOp::create(builder, loc, isTaken, state);
      },
      [&](OpBuilder &, Location, ValueRange state) {
        OpBuilder::InsertionGuard guard(builder);
        builder.setInsertionPointToEnd(
            cast<BlockArgument>(state[0]).getOwner());
        Value next = add(state[0], index(1));
        Value isLast = compare(arith::CmpIPredicate::eq, next, numSlots);
        next = arith::SelectOp::create(builder, loc, isLast, index(0), next);
        scf::YieldOp::create(builder, loc, next);
      });
  return loop.getResult(0);
}

void FFTConvLowering::freeSlot(Value slot) {
  Value free =
      arith::ConstantOp::create(builder, loc, builder.getZeroAttr(element));
  memref::AtomicRMWOp::create(
      builder, loc, arith::AtomicRMWKind::assign, free, slots,
      ValueRange{sub(mul(add(slot, index(1)), flagStride), index(1))});
}

void FFTConvLowering::emit() {
  batches = getExtent(op.getOutput(), 0);
  tokens = getExtent(op.getOutput(), 1);
  Value lags = op.hasDynamicLags() ? getExtent(op.getKernel(), *op.getLagAxis())
                                   : index(op.getLags());
  Value first = op.getFirst()
                    ? op.getFirst()
                    : index(static_cast<int64_t>(op.getStaticFirst()));
  fft.emplace(builder, loc, op.getRoots(), element, width);
  chooseBlock(lags, first);
  prepareSlots();
  Value tiles = index(llvm::divideCeil(getSize(*lane), width));
  Value isShort = compare(arith::CmpIPredicate::sle, blocks, index(kMaxBlocks));
  Value perSegment = builder.createOrFold<arith::SelectOp>(
      loc, isShort, max(blocks, index(1)), index(segmentBlocks));
  Value segments = builder.createOrFold<arith::DivUIOp>(
      loc, add(blocks, sub(perSegment, index(1))), perSegment);
  // Sequences are next to each other: they share the spectrum.
  Value units = mul(mul(tiles, segments), batches);
  auto emitUnit = [&](Value unit) {
    SmallVector<Value> digits =
        delinearize(builder, loc, unit, {tiles, segments, batches});
    firstOutput = mul(digits[1], perSegment);
    endOutput = min(add(firstOutput, perSegment), blocks);
    firstInput = max(sub(firstOutput, lastPiece), index(0));
    endInput = min(sub(endOutput, firstPiece), blocks);
    endInput = max(endInput, firstInput);
    RegionEmitter emitter = epilogueBase;
    emitter.bindDim(0, digits[2]);
    forChannels(emitter,
                [&](RegionEmitter &inner) { emitTile(inner, digits[0]); });
  };
  Value unitTokens = min(tokens, mul(perSegment, block));
  emitTasks(builder, loc, units,
            getUnitsPerTask(builder, loc, unitTokens, tokenCost), std::nullopt,
            [&](Value begin, Value end) {
              products = memref::AllocaOp::create(
                  builder, loc,
                  MemRefType::get({maxInputBlocks * productPoints * 2 * width},
                                  element),
                  builder.getI64IntegerAttr(64));
              Value slot = takeSlot();
              slotPoint = mul(slot, mul(tokens, index(2)));
              emitFor(builder, loc, begin, end, 1, emitUnit);
              freeSlot(slot);
            });
}

//===----------------------------------------------------------------------===//
// A unit
//===----------------------------------------------------------------------===//

void FFTConvLowering::emitTile(RegionEmitter &emitter, Value tile) {
  spectrumIndices.clear();
  for (AffineExpr expr : op.getKernelMap().getResults()) {
    unsigned dim = cast<AffineDimExpr>(expr).getPosition();
    if (dim != lag && dim != *lane)
      spectrumIndices.push_back(emitter.getDim(dim));
  }
  spectrumIndices.push_back(tile);
  auto emitLanes = [&](RegionEmitter &inner, int64_t) {
    Value whole = builder.createOrFold<arith::DivUIOp>(loc, tokens, block);
    Value wholeEnd = max(min(whole, endInput), firstInput);
    forBlocks(firstInput, wholeEnd,
              [&](Value number) { readBlock(inner, number, true); });
    emitFor(builder, loc, sub(wholeEnd, firstInput), sub(endInput, firstInput),
            1, [&](Value number) { readBlock(inner, number, false); });
    Value isLong = compare(arith::CmpIPredicate::sge, block, index(longBlock));
    Value parts =
        arith::SelectOp::create(builder, loc, isLong, index(8), index(1));
    Value nodeSize = builder.createOrFold<arith::ShRUIOp>(loc, block, index(3));
    Value leafSize = builder.createOrFold<arith::DivUIOp>(loc, nodeSize, parts);
    auto ifLong = [&](llvm::function_ref<void()> body) {
      emitIf(builder, loc, isLong, body);
    };
    emitFor(builder, loc, index(0), index(8), 1, [&](Value node) {
      Value root = add(index(8), node);
      ifLong([&] {
        forBlocks(firstInput, endInput, [&](Value number) {
          fft->splitNode(getNode(number, node, nodeSize, root), 8);
        });
      });
      emitFor(builder, loc, index(0), parts, 1, [&](Value part) {
        Value leaf = add(mul(node, parts), part);
        emitNode(inner, leaf, leafSize, add(mul(index(8), parts), leaf));
      });
      ifLong([&] {
        forBlocks(firstOutput, endOutput, [&](Value number) {
          fft->joinNode(getNode(number, node, nodeSize, root), 8);
        });
      });
    });
    forBlocks(firstOutput, endOutput,
              [&](Value number) { writeBlock(inner, number); });
  };
  // One tile: whole, or what is left of the channels.
  int64_t size = getSize(*lane);
  Value begin = size <= width ? index(0) : mul(tile, index(width));
  Value end =
      size <= width ? index(size) : min(add(begin, index(width)), index(size));
  emitLaneLoops(emitter, loc, *lane, begin, end, width, 1, size, emitLanes);
}

/// Reads a block of tokens, counted from the unit's first, and makes the first
/// pass over it.
void FFTConvLowering::readBlock(RegionEmitter &emitter, Value number,
                                bool isWhole) {
  SmallVector<ComplexLanes> twiddles = fft->loadTwiddles(index(1), 8);
  Value step = builder.createOrFold<arith::ShRUIOp>(loc, block, index(3));
  Value firstToken = mul(add(firstInput, number), block);
  Value base = add(slotPoint, mul(number, stride));
  emitFor(builder, loc, index(0), step, 1, [&](Value position) {
    SmallVector<ComplexLanes> points;
    for (int64_t i = 0; i < 8; ++i) {
      Value place = add(position, mul(step, index(i)));
      Value token = add(firstToken, place);
      auto read = [&] {
        RegionEmitter at = emitter;
        at.bindDim(1, token);
        return load(at, input);
      };
      if (isWhole) {
        points.push_back({read(), Value()});
        // Rows of other channels lie between: nothing else sees it coming.
        RegionEmitter later = emitter;
        later.bindDim(1, add(token, index(prefetchTokens)));
        memref::PrefetchOp::create(builder, loc, input.memref,
                                   later.getIndices(input, later.zeroOffsets()),
                                   /*isWrite=*/false,
                                   /*localityHint=*/3, /*isDataCache=*/true);
        continue;
      }
      Value isInside = compare(arith::CmpIPredicate::slt, token, tokens);
      Value point = emitChoice(builder, loc, isInside, read,
                               [&] { return zero(emitter); });
      points.push_back({point, Value()});
    }
    fft->split(points, twiddles);
    for (int64_t i = 0; i < 8; ++i)
      fft->store(points[i], slots,
                 add(base, add(position, mul(step, index(i)))));
  });
}

/// The last pass over a block of outputs, of which the real part is the sum.
void FFTConvLowering::writeBlock(RegionEmitter &emitter, Value number) {
  SmallVector<ComplexLanes> twiddles = fft->loadTwiddles(index(1), 8);
  Value step = builder.createOrFold<arith::ShRUIOp>(loc, block, index(3));
  Value firstToken = mul(add(firstOutput, number), block);
  Value base = add(slotPoint, mul(number, stride));
  auto vectorType = cast<VectorType>(emitter.getLanesType(element));
  emitFor(builder, loc, index(0), step, 1, [&](Value position) {
    SmallVector<ComplexLanes> points;
    for (int64_t i = 0; i < 8; ++i)
      points.push_back(
          fft->load(slots, add(base, add(position, mul(step, index(i))))));
    fft->join(points, twiddles);
    // Through memory, so that there is one epilogue.
    for (int64_t i = 0; i < 8; ++i)
      vector::StoreOp::create(builder, loc, points[i].re, products,
                              index(i * width));
    Value left = sub(sub(tokens, add(firstToken, position)), index(1));
    Value count = builder.createOrFold<arith::DivSIOp>(
        loc, add(max(left, index(-1)), step), step);
    count = builder.createOrFold<arith::SelectOp>(
        loc, compare(arith::CmpIPredicate::slt, left, index(0)), index(0),
        count);
    emitFor(builder, loc, index(0), min(count, index(8)), 1, [&](Value i) {
      Value sum = vector::LoadOp::create(builder, loc, vectorType, products,
                                         mul(i, index(width)));
      RegionEmitter at = emitter;
      at.bindDim(1, add(firstToken, add(position, mul(step, i))));
      storeResult(at, sum, {at.zeroOffsets()});
    });
  });
}

/// All that happens to one node of every block.
void FFTConvLowering::emitNode(RegionEmitter &emitter, Value node, Value size,
                               Value root) {
  forBlocks(firstInput, endInput, [&](Value number) {
    fft->transform(getNode(number, node, size, root));
  });
  emitProducts(emitter, mul(node, size), size);
  forBlocks(firstOutput, endOutput, [&](Value number) {
    fft->invert(getNode(number, node, size, root));
  });
}

void FFTConvLowering::emitProducts(RegionEmitter &emitter, Value nodeBase,
                                   Value size) {
  auto vectorType = cast<VectorType>(emitter.getLanesType(element));
  auto loadSpectrum = [&](Value place) {
    ComplexLanes value;
    for (int64_t part = 0; part < 2; ++part) {
      SmallVector<Value> indices(spectrumIndices);
      indices.append({place, index(part), index(0)});
      (part ? value.im : value.re) = vector::LoadOp::create(
          builder, loc, vectorType, op.getSpectrum(), indices);
    }
    return value;
  };
  Value spectrumBase = add(spectrumPlace, nodeBase);
  emitFor(builder, loc, index(0), size, productPoints, [&](Value position) {
    Value base = add(slotPoint, add(nodeBase, position));
    // Sums go where the inputs are, which therefore are copied first.
    forBlocks(firstInput, endInput, [&](Value number) {
      Value from = add(base, mul(number, stride));
      Value to = mul(number, index(productPoints));
      for (int64_t i = 0; i < productPoints; ++i)
        fft->store(fft->load(slots, add(from, index(i))), products,
                   add(to, index(i)));
    });
    emitFor(builder, loc, firstOutput, endOutput, 1, [&](Value output) {
      Value begin = max(firstInput, sub(output, lastPiece));
      Value end = min(endInput, add(sub(output, firstPiece), index(1)));
      SmallVector<Value> sums(2 * productPoints, zero(emitter));
      sums = emitFor(
          builder, loc, begin, end, 1, sums,
          [&](Value number, ValueRange partial) {
            Value piece = sub(sub(output, number), firstPiece);
            Value place = add(add(spectrumBase, position), mul(piece, stride));
            Value from = mul(sub(number, firstInput), index(productPoints));
            SmallVector<Value> next;
            for (int64_t i = 0; i < productPoints; ++i) {
              ComplexLanes sum =
                  fft->multiplyAdd(fft->load(products, add(from, index(i))),
                                   loadSpectrum(add(place, index(i))),
                                   {partial[2 * i], partial[2 * i + 1]});
              next.append({sum.re, sum.im});
            }
            return next;
          });
      Value to = add(base, mul(sub(output, firstOutput), stride));
      for (int64_t i = 0; i < productPoints; ++i)
        fft->store({sums[2 * i], sums[2 * i + 1]}, slots, add(to, index(i)));
    });
  });
}

//===----------------------------------------------------------------------===//
// Entry points
//===----------------------------------------------------------------------===//

bool ssmc::cpu::canUseFFT(RewriterBase &rewriter, ConvOp op,
                          const VectorTarget &target) {
  return succeeded(FFTConvLowering(rewriter, op, target).check());
}

void ssmc::cpu::emitFFTConv(RewriterBase &rewriter, ConvOp op,
                            const VectorTarget &target) {
  FFTConvLowering lowering(rewriter, op, target);
  LogicalResult possible = lowering.check();
  assert(succeeded(possible) && "asked before");
  (void)possible;
  lowering.emit();
}
