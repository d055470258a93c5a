//===- SpectrumBlocks.cpp - Layout of a kernel's transforms ---------------===//

#include "ssm/IR/SpectrumBlocks.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mlir::ssm;

SmallVector<SpectrumBlocks>
ssm::getSpectrumBlocks(OpBuilder &builder, Location loc, Value lags, Value first,
                       std::optional<int64_t> block) {
  if (block)
    return {getBlocksOfSize(builder, loc, *block, lags, first)};
  auto index = [&](int64_t value) -> Value {
    return arith::ConstantIndexOp::create(builder, loc, value);
  };
  auto add = [&](Value a, Value b) {
    return builder.createOrFold<arith::AddIOp>(loc, a, b);
  };
  auto select = [&](Value condition, Value a, Value b) {
    return builder.createOrFold<arith::SelectOp>(loc, condition, a, b);
  };
  auto floorDiv = [&](Value a, int64_t size) {
    return builder.createOrFold<arith::ShRSIOp>(loc, a,
                                                index(llvm::Log2_64(size)));
  };
  auto isPositive = [&](Value a) {
    return builder.createOrFold<arith::CmpIOp>(loc, arith::CmpIPredicate::sgt,
                                               a, index(0));
  };
  SmallVector<SpectrumBlocks> sizes;
  Value offset = index(0);
  Value exists = arith::ConstantIntOp::create(builder, loc, 1, 1);
  Value last = add(add(first, lags), index(-1));
  for (int64_t i = 0; i < kNumBlockSizes; ++i) {
    SpectrumBlocks &blocks = sizes.emplace_back();
    blocks.block = kFirstBlock << (2 * i);
    Value more = isPositive(add(lags, index(-kMaxBlocks * blocks.block)));
    if (i + 1 == kNumBlockSizes)
      more = arith::ConstantIntOp::create(builder, loc, 0, 1);
    Value begin = floorDiv(first, blocks.block);
    Value end = add(floorDiv(last, blocks.block), index(1));
    begin = select(more,
                   builder.createOrFold<arith::MaxSIOp>(
                       loc, begin, index(1 - kMaxBlocks)),
                   begin);
    end = select(more,
                 builder.createOrFold<arith::MinSIOp>(loc, end,
                                                      index(kMaxBlocks - 1)),
                 end);
    Value count = builder.createOrFold<arith::SubIOp>(loc, end, begin);
    count = builder.createOrFold<arith::MaxSIOp>(loc, add(count, index(1)),
                                                 index(0));
    blocks.firstPiece = begin;
    blocks.numPieces = select(exists, count, index(0));
    blocks.offset = offset;
    offset = add(offset, builder.createOrFold<arith::MulIOp>(
                             loc, blocks.numPieces, index(blocks.getStride())));
    Value no = arith::ConstantIntOp::create(builder, loc, 0, 1);
    Value yes = arith::ConstantIntOp::create(builder, loc, 1, 1);
    blocks.isComplete = select(exists, select(more, no, yes), no);
    exists = select(exists, more, no);
  }
  return sizes;
}

SpectrumBlocks ssm::getBlocksOfSize(OpBuilder &builder, Location loc, int64_t block,
                                    Value lags, Value first) {
  auto index = [&](int64_t value) -> Value {
    return arith::ConstantIndexOp::create(builder, loc, value);
  };
  auto add = [&](Value a, Value b) {
    return builder.createOrFold<arith::AddIOp>(loc, a, b);
  };
  Value shift = index(llvm::Log2_64(block));
  SpectrumBlocks blocks;
  blocks.block = block;
  blocks.padding = 0;
  blocks.firstPiece = builder.createOrFold<arith::ShRSIOp>(loc, first, shift);
  Value last = builder.createOrFold<arith::ShRSIOp>(
      loc, add(add(first, lags), index(-1)), shift);
  // The last lags reach into one piece more.
  blocks.numPieces = add(
      builder.createOrFold<arith::SubIOp>(loc, last, blocks.firstPiece), index(2));
  blocks.offset = index(0);
  blocks.isComplete = arith::ConstantIntOp::create(builder, loc, 1, 1);
  return blocks;
}

int64_t ssm::getPlacesOfSize(int64_t block, int64_t lags, int64_t first) {
  return (llvm::divideFloorSigned(first + lags - 1, block) -
          llvm::divideFloorSigned(first, block) + 2) *
         block;
}

Value ssm::getPlaceForThreads(OpBuilder &builder, Location loc, int64_t block,
                              int64_t threads, Value number) {
  auto index = [&](int64_t value) -> Value {
    return arith::ConstantIndexOp::create(builder, loc, value);
  };
  auto shiftRight = [&](Value a, int64_t size) {
    return builder.createOrFold<arith::ShRUIOp>(loc, a, index(llvm::Log2_64(size)));
  };
  auto modulo = [&](Value a, int64_t size) {
    return builder.createOrFold<arith::AndIOp>(loc, a, index(size - 1));
  };
  auto mulAdd = [&](Value a, int64_t factor, Value b) {
    Value product = builder.createOrFold<arith::MulIOp>(loc, a, index(factor));
    return builder.createOrFold<arith::AddIOp>(loc, product, b);
  };
  int64_t perThread = block / threads;
  Value pair = shiftRight(modulo(number, perThread), 2);
  return mulAdd(mulAdd(pair, threads, shiftRight(number, perThread)), 2,
                modulo(number, 2));
}

int64_t ssm::getLargestBlock(int64_t lags) {
  int64_t block = kFirstBlock;
  for (int64_t i = 1; i < kNumBlockSizes && lags > kMaxBlocks * block; ++i)
    block *= 4;
  return block;
}

int64_t ssm::getSpectrumPlaces(int64_t lags, int64_t first) {
  int64_t places = 0, largest = getLargestBlock(lags);
  for (int64_t block = kFirstBlock; block <= largest; block *= 4) {
    int64_t begin = llvm::divideFloorSigned(first, block);
    int64_t end = llvm::divideFloorSigned(first + lags - 1, block) + 1;
    if (block < largest) {
      begin = std::max(begin, 1 - kMaxBlocks);
      end = std::min(end, kMaxBlocks - 1);
    }
    places += std::max<int64_t>(end - begin + 1, 0) * (block + kPiecePadding);
  }
  return places;
}

//===----------------------------------------------------------------------===//
// Relaxed convolutions
//===----------------------------------------------------------------------===//

SmallVector<RelaxedLevel>
ssm::getRelaxedLevels(OpBuilder &builder, Location loc,
                      ArrayRef<SpectrumBlocks> pieces, Value history,
                      bool isWhole) {
  auto index = [&](int64_t value) -> Value {
    return arith::ConstantIndexOp::create(builder, loc, value);
  };
  auto add = [&](Value a, Value b) {
    return builder.createOrFold<arith::AddIOp>(loc, a, b);
  };
  SmallVector<RelaxedLevel> levels;
  Value offset = index(0);
  for (const SpectrumBlocks &size : pieces) {
    RelaxedLevel &level = levels.emplace_back();
    level.pieces = size;
    Value exists = builder.createOrFold<arith::CmpIOp>(
        loc, arith::CmpIPredicate::sgt, size.numPieces, index(0));
    Value isFar = builder.createOrFold<arith::CmpIOp>(
        loc, arith::CmpIPredicate::sge, history, index(2 * size.block));
    level.isUsed = builder.createOrFold<arith::AndIOp>(loc, exists, isFar);
    // Of the pieces 2 to the last one.
    level.slots = add(add(size.firstPiece, size.numPieces), index(-2));
    level.slots =
        builder.createOrFold<arith::MaxSIOp>(loc, level.slots, index(1));
    if (isWhole) {
      Value most = add(builder.createOrFold<arith::ShRSIOp>(
                           loc, add(history, index(-1)),
                           index(llvm::Log2_64(size.block))),
                       index(-1));
      most = builder.createOrFold<arith::MaxSIOp>(loc, most, index(1));
      level.slots =
          builder.createOrFold<arith::MinSIOp>(loc, level.slots, most);
    }
    level.offset = offset;
    Value places = builder.createOrFold<arith::MulIOp>(
        loc, add(level.slots, index(2)), index(size.getStride()));
    offset = add(offset, builder.createOrFold<arith::SelectOp>(
                             loc, level.isUsed, places, index(0)));
  }
  return levels;
}

int64_t ssm::getRelaxedPlaces(int64_t lags, int64_t first) {
  int64_t places = 0, largest = getLargestBlock(lags), last = first + lags - 1;
  for (int64_t block = kFirstBlock; block <= largest && last >= 2 * block;
       block *= 4) {
    int64_t lastPiece = block == largest ? last / block + 1 : kMaxBlocks - 1;
    places += (std::max<int64_t>(lastPiece - 1, 1) + 2) * (block + kPiecePadding);
  }
  return places;
}
