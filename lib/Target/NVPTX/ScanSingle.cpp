//===- ScanSingle.cpp - A recurrence of a single token --------------------===//
//
// A step reads and writes all states and computes next to nothing, so what counts is how
// many bytes are on their way: the code of a token alone leaves registers to more threads
// than that of blocks does. Where several threads share a lane, they share as many of its
// neighbours: operands over keys, indices and decays are there once for all of them, the
// states of all lanes are asked for before the first is used, and in the end each thread has
// the sum, and computes the output, of a lane of its own.
//
//===----------------------------------------------------------------------===//

#include "Target/NVPTX/Passes.h"
#include "Target/NVPTX/ScanKernel.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::nvptx;

/// Bytes of states that a thread asks for at once.
static constexpr int64_t kStateBytes = 256;

bool ScanKernel::hasOwnLanes() {
  if (!split || !readsVectors || !defersOutputs() || op.getDense() || laneDims.empty() ||
      op.getInitial().empty())
    return false;
  int64_t extent = op.getDimSize(laneDims.back());
  // Complex decays and writes take twice the registers as well.
  int64_t bytes =
      numSharing * numInner * width * width * bytesOf(op.getInitial().front());
  return !ShapedType::isDynamic(extent) && extent % numSharing == 0 && bytes <= kStateBytes;
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
  unsigned lane = laneDims.back();
  ownLanes = numSharing;
  SmallVector<Value> extents = threadSizes();
  extents[laneDims.size()] = loops.index(op.getDimSize(lane) / ownLanes);
  OpBuilder::InsertionGuard guard(loops.builder);
  startThreads(extents);
  Value first = loops.mul(point[lane], loops.index(ownLanes));
  auto forLanes = [&](function_ref<void(int64_t)> visit) {
    for (int64_t i = 0; i < ownLanes; ++i) {
      point[lane] = loops.add(first, loops.index(i));
      visit(i);
    }
  };
  // A store holds up the loads after it, so they come before.
  SmallVector<SmallVector<Value>> states;
  forLanes([&](int64_t) { states.push_back(loadInitial()); });
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
    SmallVector<Value> after = update(states[i], i);
    for (int64_t place = 0; place < numOutputs; ++place) {
      moveTo(outputDims, place);
      sums[place].push_back(read(after, place, i));
    }
    storeFinal(after);
  });
  point[lane] = ownLane;
  for (int64_t place = 0; place < numOutputs; ++place)
    write(sumOwn(sums[place]), place, kOwnStep);
  ownLanes = 1;
}
