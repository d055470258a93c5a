//===- ScanSingle.cpp - A recurrence of a single token --------------------===//
//
// A step reads and writes all states and computes next to nothing, so what counts is how
// many bytes are on their way. Where several threads share a lane, they share as many of its
// neighbours: operands over keys, indices and decays are there once for all of them, and in
// the end each thread has the sum, and computes the output, of a lane of its own. The states
// of all lanes are copied to shared memory at once (cp.async): the assembler moves loads to
// registers down to where they are used, so that few of them would be on their way. A thread
// reads what it has copied itself, and waits for nothing else.
//
//===----------------------------------------------------------------------===//

#include "Target/NVPTX/Passes.h"
#include "Target/NVPTX/ScanKernel.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::nvptx;

/// Bytes of states that a thread asks for at once, and threads of a block.
static constexpr int64_t kStateBytes = 256, kThreads = 64;

bool ScanKernel::hasOwnLanes() {
  if (!split || !readsVectors || !defersOutputs() || op.getDense() || laneDims.empty() ||
      op.getInitial().empty())
    return false;
  int64_t extent = op.getDimSize(laneDims.back());
  Value initial = op.getInitial().front();
  // Complex decays and writes take twice the registers as well.
  int64_t bytes = numSharing * numInner * width * width * bytesOf(initial);
  return !ShapedType::isDynamic(extent) && extent % numSharing == 0 && bytes <= kStateBytes &&
         canCopyAhead(vectorWidth(initial, op.getStateMap()) * bytesOf(initial));
}

void ScanKernel::copyInitial(Value buffer, Value thread, int64_t lane) {
  OpBuilder &b = loops.builder;
  int64_t together = cast<MemRefType>(buffer.getType()).getShape().back(), piece = 0;
  int64_t numPieces = numInner * width / together;
  for (int64_t i = 0; i < numInner; i += together) {
    moveTo(innerDims, i);
    for (Value initial : op.getInitial()) {
      int64_t bytes = together * bytesOf(initial);
      Value to = loops.add(loops.index((lane * numPieces + piece++) * kThreads), thread);
      copyAhead(b, loops.loc, buffer, loops.mul(to, loops.index(bytes)),
                addressOf(b, loops.loc, initial, loops.apply(op.getStateMap(), point)), bytes);
    }
  }
  NVVM::CpAsyncCommitGroupOp::create(b, loops.loc);
}

SmallVector<Value> ScanKernel::loadCopied(Value buffer, Value thread, int64_t lane) {
  OpBuilder &b = loops.builder;
  int64_t together = cast<MemRefType>(buffer.getType()).getShape().back(), piece = 0;
  SmallVector<Value> states;
  for (int64_t i = 0; i < numInner; i += together) {
    SmallVector<SmallVector<Value>> parts;
    for (unsigned part = 0; part < width; ++part)
      parts.push_back(extractElements(
          b, loops.loc,
          loadNeighbours(b, loops.loc, buffer,
                         {loops.index(lane), loops.index(piece++), thread, loops.index(0)},
                         together)));
    for (int64_t j = 0; j < together; ++j)
      for (ArrayRef<Value> elements : parts)
        states.push_back(loops.convert(elements[j], type));
  }
  return states;
}

void ScanKernel::runSingle() {
  if (hasOwnLanes())
    return runOwnLanes();
  isSingle = true;
  run();
  isSingle = false;
}

void ScanKernel::runOwnLanes() {
  bindOp();
  OpBuilder &b = loops.builder;
  unsigned lane = laneDims.back();
  ownLanes = numSharing;
  SmallVector<Value> extents = threadSizes();
  extents[laneDims.size()] = loops.index(op.getDimSize(lane) / ownLanes);
  Value threads = loops.index(1);
  for (Value extent : extents)
    threads = loops.mul(threads, extent);
  Value initial = op.getInitial().front();
  int64_t together = vectorWidth(initial, op.getStateMap());
  MemRefType copied = sharedType({ownLanes, numInner * width / together, kThreads, together},
                                 getElementTypeOrSelf(initial));
  OpBuilder::InsertionGuard guard(b);
  Value blocks =
      arith::CeilDivUIOp::create(b, loops.loc, threads, loops.index(kThreads));
  gpu::LaunchOp launch = startLaunch(b, loops.loc, blocks, loops.index(1), kThreads, copied);
  Value buffer = launch.getWorkgroupAttributions()[0], thread = launch.getThreadIds().x;
  Value number = loops.add(loops.mul(launch.getBlockIds().x, loops.index(kThreads)), thread);
  loops.when(loops.less(number, threads), [&] {
    bindNumber(number, extents);
    emitOwnLanes(buffer, thread);
  });
  ownLanes = 1;
}

void ScanKernel::emitOwnLanes(Value buffer, Value thread) {
  unsigned lane = laneDims.back();
  Value first = loops.mul(point[lane], loops.index(ownLanes));
  auto forLanes = [&](function_ref<void(int64_t)> visit) {
    for (int64_t i = 0; i < ownLanes; ++i) {
      point[lane] = loops.add(first, loops.index(i));
      visit(i);
    }
  };
  forLanes([&](int64_t i) { copyInitial(buffer, thread, i); });
  forLanes([&](int64_t i) {
    for (auto [number, operand] : llvm::enumerate(op.getIns()))
      loadAll(operand, op.getInsMap(number), i);
  });
  Value ownLane = loops.add(first, rank);
  point[lane] = ownLane;
  for (auto [number, operand] : llvm::enumerate(op.getEpilogueIns()))
    if (!isInner(op.getEpilogueMap(number)))
      load(operand, op.getEpilogueMap(number), kOwnStep);

  SmallVector<SmallVector<Parts>> sums(numOutputs);
  forLanes([&](int64_t i) {
    NVVM::CpAsyncWaitGroupOp::create(loops.builder, loops.loc, uint32_t(ownLanes - 1 - i));
    SmallVector<Value> after = update(loadCopied(buffer, thread, i), i);
    for (int64_t place = 0; place < numOutputs; ++place) {
      moveTo(outputDims, place);
      sums[place].push_back(read(after, place, i));
    }
    storeFinal(after);
  });
  point[lane] = ownLane;
  for (int64_t place = 0; place < numOutputs; ++place)
    write(sumOwn(sums[place]), place, kOwnStep);
}
