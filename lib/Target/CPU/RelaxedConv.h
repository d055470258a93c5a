//===- RelaxedConv.h - Sums of later outputs, token by token ---*- C++ -*-===//
//
// A convolution whose tokens come one by one, or a few at a time, in a bounded
// time each. Tokens of the same and of the last block of 64 are added tap by tap.
// All others meet in blocks of 64, 256, 1024, ... tokens: a block of the output
// and one of the input two or more blocks earlier, by the largest blocks for which
// this is so. An input block is therefore complete a whole block before its sums
// are needed, and the work on them (transform the block, multiply and add, transform
// back) is spread evenly over the tokens in between: none takes longer than others.
//
// Between calls the state keeps, for every size of blocks, the transforms of input
// blocks that are needed again, the sums of the block of outputs that is being
// read and those of the next one, which are in the making. Where the sums were left
// at another position, the state of a sequence that began with a long call, they
// are made from the history.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_TARGET_CPU_RELAXEDCONV_H
#define SSMC_TARGET_CPU_RELAXEDCONV_H

#include "FFTEmitter.h"
#include "ssm/IR/SSM.h"
#include "ssm/IR/SpectrumBlocks.h"

namespace ssmc::cpu {

class RelaxedConv {
public:
  /// Channels of one vector of a sequence.
  struct Unit {
    Value base; ///< the first point in the sums' memory
    Value sequence;
    SmallVector<Value> spectrumIndices; ///< up to the place
  };
  /// Emits tokens `first`, `first + step`, ..., as many as asked for, counted from
  /// the sequence's beginning.
  using LoadTokens = llvm::function_ref<SmallVector<Value>(
      RegionEmitter &lanes, Value first, Value step, int64_t count)>;
  /// Emits for the lanes of a unit, all or what is left of the channels.
  using ForLanes = llvm::function_ref<void(
      llvm::function_ref<void(RegionEmitter &lanes)>)>;

  RelaxedConv(RewriterBase &builder, mlir::ssm::ConvOp op, Type element,
              int64_t width)
      : builder(builder), op(op), loc(op.getLoc()), width(width),
        type(VectorType::get({width}, element)),
        fft(builder, loc, op.getRoots(), element, width) {}

  /// What all tasks share; `units` is the number of units of a sequence.
  void prepare(Value lags, Value first, Value history, Value units);
  /// What all units of a task share.
  void beginTask();
  Unit getUnit(Value sequence, Value number,
               SmallVector<Value> spectrumIndices);
  /// Whether the sums of a sequence stand at another position.
  Value isStale(const Unit &unit);
  /// Says that all sums stand at `position` now, if they are used.
  void setPosition(Value position);

  /// Sums are used: there are tokens before this call, and the kernel reaches back
  /// over some blocks.
  Value isOn;
  /// The first token that is added tap by tap where the output is in the block of
  /// `token`; without sums one before all others.
  Value getNearBegin(Value token);
  /// `sum` with what earlier blocks add to the output `token`.
  Value addSums(const Unit &unit, Value token, Value sum);
  /// Brings the sums from position `from` to `to`, in the same block of 64 or at its
  /// end; with `isAnew`, whatever they are.
  void advance(const Unit &unit, Value from, Value to, Value isAnew,
               ForLanes forLanes, LoadTokens load);

private:
  /// A size of blocks, as the loop over them sees it.
  struct Level {
    Value shift;  ///< the block has 2^shift tokens
    Value offset; ///< of its memory in the unit
    Value slots, firstPiece, lastPiece, spectrumPlace;
    Value isLast; ///< there are no larger blocks
    Value radix8, radix4; ///< passes of a transform
    Value block, stride, passes;
  };
  enum Field { Shift, Offset, Slots, FirstPiece, LastPiece, SpectrumPlace, IsLast,
               Radix8, Radix4, NumFields };

  Level loadLevel(Value number);
  /// The first input block whose product with the output block `target` is taken
  /// in blocks of this size.
  Value getFirstInput(const Level &level, Value target);
  /// The work for the output block `target`, from `begin` to `end`: a block takes
  /// as many units of time for every pass and `productTime` for the products.
  void emitWork(const Unit &unit, const Level &level, Value target, Value begin,
                Value end, ForLanes forLanes, LoadTokens load);
  void emitRead(const Level &level, Value slot, Value firstToken, Value begin,
                Value end, ForLanes forLanes, LoadTokens load);
  /// A pass of nodes of `2^(shift - splits)` points.
  void emitPass(const Level &level, Value slot, Value splits, int64_t radix,
                bool isInverse, Value begin, Value end);
  void emitProducts(const Unit &unit, const Level &level, Value target,
                    Value begin, Value end);
  Value getInputSlot(const Unit &unit, const Level &level, Value number);
  Value getSumSlot(const Unit &unit, const Level &level, Value number);

  void emitIf(Value condition, llvm::function_ref<void()> whenTrue,
              llvm::function_ref<void()> whenFalse = nullptr) {
    cpu::emitIf(builder, loc, condition, whenTrue, whenFalse);
  }
  Value index(int64_t value) { return indexConstant(builder, loc, value); }
  Value add(Value a, Value b) { return addIndex(builder, loc, a, b); }
  Value sub(Value a, Value b) { return subIndex(builder, loc, a, b); }
  Value mul(Value a, Value b) { return mulIndex(builder, loc, a, b); }
  Value min(Value a, Value b) { return minIndex(builder, loc, a, b); }
  Value max(Value a, Value b) {
    return builder.createOrFold<arith::MaxSIOp>(loc, a, b);
  }
  Value shiftLeft(Value a, Value bits) {
    return builder.createOrFold<arith::ShLIOp>(loc, a, bits);
  }
  Value shiftRight(Value a, Value bits) {
    return builder.createOrFold<arith::ShRSIOp>(loc, a, bits);
  }
  Value select(Value condition, Value a, Value b) {
    return builder.createOrFold<arith::SelectOp>(loc, condition, a, b);
  }
  Value compare(arith::CmpIPredicate predicate, Value a, Value b) {
    return builder.createOrFold<arith::CmpIOp>(loc, predicate, a, b);
  }
  Value isLess(Value a, Value b) {
    return compare(arith::CmpIPredicate::slt, a, b);
  }

  RewriterBase &builder;
  mlir::ssm::ConvOp op;
  Location loc;
  int64_t width;
  VectorType type;
  FFTEmitter fft;
  Value lags, first, history;
  Value memory; ///< of all sums, one-dimensional
  Value rowPoints, unitPoints;
  Value table, numLevels; ///< of the levels that are used
};

} // namespace ssmc::cpu

#endif // SSMC_TARGET_CPU_RELAXEDCONV_H
