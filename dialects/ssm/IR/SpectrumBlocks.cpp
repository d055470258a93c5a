//===- SpectrumBlocks.cpp - Layout of a kernel's transforms ---------------===//

#include "ssm/IR/SpectrumBlocks.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mlir::ssm;

SmallVector<SpectrumBlocks> ssm::getSpectrumBlocks(OpBuilder &builder,
                                                   Location loc, Value lags,
                                                   Value first) {
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
