//===- TensorConvolution.cpp - Long convolutions by tensor cores ----------===//

#include "Target/NVPTX/TensorConvolution.h"
#include "Target/NVPTX/Launch.h"
#include "Target/NVPTX/Passes.h"
#include "Target/NVPTX/TensorCores.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace ssmc;
using namespace ssmc::nvptx;

TensorConvolution::TensorConvolution(OpBuilder &builder, Location loc,
                                     Sequences given)
    : KernelEmitter(builder, loc), sequences(std::move(given)),
      f32(builder.getF32Type()), i32(builder.getI32Type()) {
  groups = ceilQuotient(sequences.batches, kRows);
  jobs = loops.mul(groups, sequences.channels);
  slots = min(jobs, loops.index(sequences.cores));
  // Tokens, then the kernel's pieces and transforms that are kept, which blocks
  // of threads have one after the other, and scales.
  Value rows = loops.mul(sequences.batches, sequences.channels);
  kernelPlace = loops.mul(rows, times(sequences.blocks, kPoints / 2));
  Value pieces = min(sequences.numPieces, sequences.blocks);
  keptPlace = loops.add(kernelPlace,
                        loops.mul(slots, times(pieces, kNodes * kKernelWords)));
  tokenScalePlace = loops.add(
      keptPlace,
      loops.mul(slots, times(plus(sequences.blocks, -1), kRows * kPoints)));
  scalePlace = loops.add(
      tokenScalePlace,
      loops.mul(rows, times(sequences.blocks, kPoints / kScaledTokens)));
}

Value TensorConvolution::getNumWords() {
  Value rows = loops.mul(sequences.batches, sequences.channels);
  return loops.add(scalePlace, loops.mul(rows, sequences.blocks));
}

Value TensorConvolution::getTokenPlace(Value batch, Value number, Value token) {
  Value ofRow = loops.add(loops.mul(batch, sequences.channels), number);
  return loops.add(loops.mul(ofRow, times(sequences.blocks, kPoints / 2)),
                   quotient(token, 2));
}

Value TensorConvolution::getScalePlace(Value batch, Value number, Value block) {
  Value ofRow = loops.add(loops.mul(batch, sequences.channels), number);
  return loops.add(scalePlace,
                   loops.add(loops.mul(ofRow, sequences.blocks), block));
}

Value TensorConvolution::getTokenScalePlace(Value batch, Value number,
                                            Value token) {
  Value ofRow = loops.add(loops.mul(batch, sequences.channels), number);
  Value first =
      loops.mul(ofRow, times(sequences.blocks, kPoints / kScaledTokens));
  return loops.add(tokenScalePlace,
                   loops.add(first, quotient(token, kScaledTokens)));
}

//===----------------------------------------------------------------------===//
// Words
//===----------------------------------------------------------------------===//

Value TensorConvolution::word(int64_t value) {
  return arith::ConstantOp::create(
      loops.builder, loops.loc,
      loops.builder.getI32IntegerAttr(int32_t(value)));
}

Value TensorConvolution::number(double value) {
  return loops.constant(f32, value);
}

Value TensorConvolution::bitcast(Value value, Type type) {
  return value.getType() == type
             ? value
             : LLVM::BitcastOp::create(loops.builder, loops.loc, type, value)
                   .getResult();
}

/// Two f16 in a word.
Value TensorConvolution::pack(Value low, Value high) {
  OpBuilder &b = loops.builder;
  Value pair =
      LLVM::CallIntrinsicOp::create(
          b, loops.loc, VectorType::get(2, b.getF16Type()),
          b.getStringAttr("llvm.nvvm.ff2f16x2.rn"), ValueRange{high, low})
          ->getResult(0);
  return bitcast(pair, i32);
}

Value TensorConvolution::permute(Value low, Value high, int64_t selector) {
  return LLVM::CallIntrinsicOp::create(
             loops.builder, loops.loc, i32,
             loops.builder.getStringAttr("llvm.nvvm.prmt"),
             ValueRange{low, high, word(selector)})
      ->getResult(0);
}

void TensorConvolution::product(ArrayRef<Value> left, ArrayRef<Value> right,
                                MutableArrayRef<Value> sums) {
  OpBuilder &b = loops.builder;
  auto pairs = [&](ArrayRef<Value> words) {
    SmallVector<Value> values;
    for (Value value : words)
      values.push_back(bitcast(value, VectorType::get(2, b.getF16Type())));
    return values;
  };
  emitMma(b, loops.loc, pairs(left), pairs(right), sums, NVVM::MMATypes::f16);
}

/// Four words of shared or other memory.
Value TensorConvolution::loadVector(Value from, Value place) {
  Type element = getElementTypeOrSelf(from.getType());
  Value vector = vector::LoadOp::create(
      loops.builder, loops.loc, VectorType::get(kVector, element), from, place,
      /*nontemporal=*/false, llvm::MaybeAlign(kVectorBytes));
  return bitcast(vector, VectorType::get(kVector, i32));
}

void TensorConvolution::storeVector(ArrayRef<Value> words, Value to,
                                    Value place) {
  OpBuilder &b = loops.builder;
  Value vector = vector::FromElementsOp::create(
      b, loops.loc, VectorType::get(int64_t(words.size()), i32), words);
  Type element = getElementTypeOrSelf(to.getType());
  vector = bitcast(vector, VectorType::get(int64_t(words.size()), element));
  vector::StoreOp::create(b, loops.loc, vector, to, place,
                          /*nontemporal=*/false,
                          llvm::MaybeAlign(4 * words.size()));
}

TensorConvolution::Words TensorConvolution::extractWords(Value vector) {
  Words words;
  for (int64_t i = 0; i < kVector; ++i)
    words.push_back(
        vector::ExtractOp::create(loops.builder, loops.loc, vector, i));
  return words;
}

Value TensorConvolution::shuffle(Value value, Value from) {
  return gpu::ShuffleOp::create(
             loops.builder, loops.loc, value,
             arith::IndexCastOp::create(loops.builder, loops.loc, i32, from),
             word(kWarp), gpu::ShuffleMode::IDX)
      .getShuffleResult();
}

/// The largest power of two up to a number that is not negative, between two of
/// them.
Value TensorConvolution::floorPower(Value value, double low, double high) {
  OpBuilder &b = loops.builder;
  value = LLVM::MaxNumOp::create(b, loops.loc, value, number(low));
  value = LLVM::MinNumOp::create(b, loops.loc, value, number(high));
  return bitcast(arith::AndIOp::create(b, loops.loc, bitcast(value, i32),
                                       word(0x7F800000)),
                 f32);
}

void TensorConvolution::barrier() {
  gpu::BarrierOp::create(loops.builder, loops.loc);
}

void TensorConvolution::syncWarp() {
  NVVM::SyncWarpOp::create(loops.builder, loops.loc, word(-1));
}

void TensorConvolution::forGroups(int64_t together,
                                  function_ref<void(Value)> body) {
  emitFor(loops.index(0), loops.index(kRadix), loops.index(together), body);
}

//===----------------------------------------------------------------------===//
// Tokens
//===----------------------------------------------------------------------===//

void TensorConvolution::copyIn(Value place, Value from, int64_t bytes) {
  OpBuilder &b = loops.builder;
  auto pointer = [&](Value memref, Value index,
                     NVVM::NVVMMemorySpace space) -> Value {
    auto type = LLVM::LLVMPointerType::get(b.getContext(), unsigned(space));
    return LLVM::IntToPtrOp::create(b, loops.loc, type,
                                    addressOf(b, loops.loc, memref, index));
  };
  NVVM::CpAsyncOp::create(
      b, loops.loc, pointer(shared, place, NVVM::NVVMMemorySpace::Shared),
      pointer(sequences.memory, from, NVVM::NVVMMemorySpace::Global),
      uint32_t(bytes),
      bytes == kVectorBytes ? NVVM::LoadCacheModifierKind::CG
                            : NVVM::LoadCacheModifierKind::CA,
      Value());
}

/// Tokens of a block, and what they are to be multiplied with: a warp copies
/// 256 of each row.
void TensorConvolution::fetch(Value job, Value block) {
  Value ofChannel = quotient(job, groups), rows = remainder(job, groups);
  Value first = times(block, kPoints);
  for (int64_t i = 0; i < kRows; ++i) {
    Value token = loops.add(first, times(thread, 2 * kVector));
    Value place = loops.add(times(warp, kTokenLine), times(lane, kVector));
    copyIn(plus(place, kTokens + i * kTokenRow),
           getTokenPlace(getRow(rows, loops.index(i)), ofChannel, token),
           kVectorBytes);
  }
  Value inGroup = quotient(thread, kRowScales),
        inRow = remainder(thread, kRowScales);
  Value place = loops.add(times(inGroup, kRowScales + 1), inRow);
  copyIn(plus(place, kScales),
         getTokenScalePlace(getRow(rows, inGroup), ofChannel,
                            loops.add(first, times(inRow, kScaledTokens))),
         4);
}

/// Those of the next block, or of the first one of the next channel.
void TensorConvolution::fetchNext(Value job, Value block) {
  Value next = plus(block, 1), nextJob = loops.add(job, slots);
  Value isInJob = loops.less(next, sequences.blocks);
  loops.when(either(isInJob, loops.less(nextJob, jobs)), [&] {
    fetch(loops.select(isInJob, job, nextJob),
          loops.select(isInJob, next, loops.index(0)));
  });
}

/// The largest one of the thread's row so far.
Value TensorConvolution::findScale(Value before) {
  OpBuilder &b = loops.builder;
  Value place = loops.add(times(laneRow, kRowScales + 1),
                          times(laneColumn, kRowScales / 4));
  Value largest = number(kLeastScale);
  for (int64_t i = 0; i < kRowScales / 4; ++i)
    largest = LLVM::MaxNumOp::create(
        b, loops.loc, largest,
        bitcast(loops.load(shared, plus(place, kScales + i)), f32));
  for (int64_t distance : {1, 2}) {
    Value other =
        gpu::ShuffleOp::create(b, loops.loc, largest, int32_t(distance), kWarp,
                               gpu::ShuffleMode::XOR)
            .getShuffleResult();
    largest = LLVM::MaxNumOp::create(b, loops.loc, largest, other);
  }
  return LLVM::MaxNumOp::create(b, loops.loc, before, largest);
}

/// To where the tokens were.
void TensorConvolution::storeSums(Value block) {
  Value place =
      loops.add(loops.add(times(warp, kNode), times(quotient(lane, 2), kLine)),
                times(remainder(lane, 2), kHalfLine));
  Value token = loops.add(times(block, kPoints), times(thread, 2 * kVector));
  for (int64_t i = 0; i < kRows; ++i) {
    Value batch = plus(times(group, kRows), i);
    loops.when(loops.less(batch, sequences.batches), [&] {
      Value sums = loadVector(shared, plus(place, i * kVector));
      storeVector(extractWords(sums), sequences.memory,
                  getTokenPlace(batch, channel, token));
    });
  }
}

//===----------------------------------------------------------------------===//
// The launch
//===----------------------------------------------------------------------===//

/// A row of a group, or the batch's last.
Value TensorConvolution::getRow(Value rows, Value inGroup) {
  return min(loops.add(times(rows, kRows), inGroup),
             plus(sequences.batches, -1));
}

void TensorConvolution::emit() {
  OpBuilder &b = loops.builder;
  OpBuilder::InsertionGuard guard(b);
  gpu::LaunchOp launch =
      startLaunch(b, loops.loc, slots, loops.index(1), kThreads);
  launch->setAttr(kMinBlocksAttr, b.getI64IntegerAttr(1));
  launch->setAttr(kSharedBytesAttr, b.getI64IntegerAttr(4 * kSharedWords));
  Value bytes = gpu::DynamicSharedMemoryOp::create(
      b, loops.loc, sharedType({ShapedType::kDynamic}, b.getI8Type()));
  shared = memref::ViewOp::create(b, loops.loc, sharedType({kSharedWords}, i32),
                                  bytes, loops.index(0), ValueRange());
  thread = launch.getThreadIds().x;
  warp = quotient(thread, kWarp);
  lane = remainder(thread, kWarp);
  laneRow = quotient(lane, 4);
  laneColumn = remainder(lane, 4);
  slot = launch.getBlockIds().x;

  fetch(slot, loops.index(0));
  NVVM::CpAsyncCommitGroupOp::create(b, loops.loc);
  storeInnerFactors();
  loops.when(loops.less(warp, loops.index(1)), [&] {
    storeFactors(makeOuterFactors(), kOuterFactors);
    storeFactors(makeOuterInverse(), kOuterInverse);
  });
  emitFor(slot, jobs, slots, [&](Value job) { emitJob(job); });
}

/// A channel of eight rows.
void TensorConvolution::emitJob(Value job) {
  channel = quotient(job, groups);
  group = remainder(job, groups);
  emitKernel();
  loops.reduce(
      loops.index(0), sequences.blocks, number(kLeastScale),
      [&](Value block, ValueRange before) -> SmallVector<Value> {
        // Tokens are there, and the sums of the block before gone.
        NVVM::CpAsyncWaitGroupOp::create(loops.builder, loops.loc, 0);
        barrier();
        Value scale = findScale(before.front());
        splitOuter(scale);
        barrier();
        fetchNext(job, block);
        NVVM::CpAsyncCommitGroupOp::create(loops.builder, loops.loc);
        transformNode(loadInnerFactors());
        Value scales[] = {shuffle(scale, times(laneColumn, 8)),
                          shuffle(scale, plus(times(laneColumn, 8), 4))};
        multiplyNode(block, scales);
        transformNode(loadInnerInverse());
        Value batch = loops.add(times(group, kRows), laneRow);
        Value isFirst = loops.less(loops.add(warp, laneColumn), loops.index(1));
        loops.when(both(loops.less(batch, sequences.batches), isFirst), [&] {
          loops.store(loops.mul(loops.mul(scale, kernelScale), number(kRadix)),
                      sequences.memory, getScalePlace(batch, channel, block));
        });
        barrier();
        joinOuter();
        barrier();
        storeSums(block);
        return {scale};
      });
}
