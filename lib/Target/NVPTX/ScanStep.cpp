//===- ScanStep.cpp - A recurrence of a single token ----------------------===//
//
// What counts is how long a thread waits for memory: there are no loops, what
// no kernel writes is loaded before this one waits for those before it, and
// states are on their way to the device's cache by then. A small product that
// only makes an operand is computed by the threads that share a lane.
//
//===----------------------------------------------------------------------===//

#include "Target/NVPTX/Buffers.h"
#include "Target/NVPTX/Overlap.h"
#include "Target/NVPTX/ScanKernel.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::nvptx;

/// Threads of a block; states of a thread, and threads of a row of the batch
/// that are enough to keep a device busy: with more, each has more states.
static constexpr int64_t kThreads = 128, kFewStates = 4, kManyStates = 16,
                         kEnoughThreads = 1 << 16;
/// Terms of a lane's sum.
static constexpr int64_t kMaxDepth = 512;

int64_t ScanKernel::getStepStates(ScanOp op) {
  int64_t states = 1;
  for (unsigned dim : op.getStateDims()) {
    if (ShapedType::isDynamic(op.getDimSize(dim)))
      return 0;
    states *= op.getDimSize(dim);
  }
  return states <= kFewStates * kEnoughThreads ? kFewStates : kManyStates;
}

int64_t ScanKernel::numbersTogether(MatmulOp product) {
  auto weight = cast<MemRefType>(product.getWeight().getType());
  int64_t bytes = weight.getElementTypeBitWidth() / 8,
          numbers = kVectorBytes / bytes;
  int64_t depth =
      cast<MemRefType>(product.getInput().getType()).getShape().back();
  while (numbers > 1 && depth % (numbers * numSharing))
    numbers /= 2;
  return numbers;
}

bool ScanKernel::canMultiply(MatmulOp product) {
  auto weight = cast<MemRefType>(product.getWeight().getType());
  auto input = cast<MemRefType>(product.getInput().getType());
  int64_t depth = input.getShape().back();
  auto [strides, offset] = weight.getStridesAndOffset();
  if (!product.hasPureBufferSemantics() ||
      weight.getElementTypeBitWidth() != 16 || weight.getShape()[2] != 1 ||
      strides[1] != 2 || !isTable(product.getWeight()) || !type.isF32() ||
      ShapedType::isDynamic(depth) || depth > kMaxDepth ||
      weight.getShape()[1] * 2 != depth || input.getRank() != 3)
    return false;
  int64_t numbers = numbersTogether(product);
  if (numbers == 1 || ShapedType::isDynamic(strides[0]) || strides[0] % numbers)
    return false;
  for (auto [i, operand] : llvm::enumerate(op.getIns())) {
    if (operand != product.getOutput())
      continue;
    // Its last dimension is of lanes.
    AffineMap map = op.getInsMap(i);
    for (AffineExpr expr : map.getResults())
      if (!isa<AffineDimExpr>(expr))
        return false;
    if (map.getDimPosition(0) != 0 || map.getDimPosition(1) != 1 ||
        !llvm::is_contained(laneDims, map.getDimPosition(2)))
      return false;
  }
  return true;
}

/// The place of a lane in the product's output.
static SmallVector<Value> indicesOf(ScanOp op, Loops &loops, MatmulOp product,
                                    ArrayRef<Value> point) {
  for (auto [i, operand] : llvm::enumerate(op.getIns()))
    if (operand == product.getOutput())
      return loops.apply(op.getInsMap(i), point);
  llvm_unreachable("no operand is the product's");
}

void ScanKernel::prefetchStates() {
  for (Value memref : op.getInitial())
    for (int64_t i = 0; i < numInner; i += kLine / bytesOf(memref)) {
      moveTo(innerDims, i);
      prefetchLine(loops.builder, loops.loc,
                   addressOf(loops.builder, loops.loc, memref,
                             loops.apply(op.getStateMap(), point)),
                   CacheLevel::device);
    }
}

void ScanKernel::loadProductWeights() {
  int64_t numbers = numbersTogether(product);
  int64_t depth =
      cast<MemRefType>(product.getInput().getType()).getShape().back();
  Value column = indicesOf(op, loops, product, point).back(),
        zero = loops.index(0);
  Value first = split ? rank : zero;
  productWeights.clear();
  for (int64_t i = 0; i < depth / (numbers * numSharing); ++i) {
    // Neighbouring threads have neighbouring numbers.
    Value k = loops.add(loops.index(i * numSharing), first);
    Value pair = loops.mul(k, loops.index(numbers / 2));
    productWeights.push_back(
        loadNeighbours(loops.builder, loops.loc, product.getWeight(),
                       {column, pair, zero, zero}, numbers));
  }
}

void ScanKernel::loadProductTokens() {
  OpBuilder &b = loops.builder;
  Value input = product.getInput();
  int64_t numbers = numbersTogether(product);
  int64_t together = std::min(numbers, kVectorBytes / bytesOf(input));
  if (!isTemporary(input) || getRowUnit(input) % together)
    together = 1;
  SmallVector<Value> at = indicesOf(op, loops, product, point);
  Value first = split ? rank : loops.index(0);
  productTokens.clear();
  for (int64_t i = 0; i < int64_t(productWeights.size()); ++i) {
    Value k = loops.mul(loops.add(loops.index(i * numSharing), first),
                        loops.index(numbers));
    for (int64_t j = 0; j < numbers; j += together) {
      at.back() = loops.add(k, loops.index(j));
      if (together == 1)
        productTokens.push_back(loops.load(input, at));
      else
        productTokens.append(extractElements(
            b, loops.loc, loadNeighbours(b, loops.loc, input, at, together)));
    }
  }
}

Value ScanKernel::multiplyLane() {
  OpBuilder &b = loops.builder;
  SmallVector<Value> factors;
  for (Value weight : productWeights)
    factors.append(extractElements(b, loops.loc, weight));
  Type narrow = getElementTypeOrSelf(product.getWeight());
  // Four sums: an addition waits for the one before.
  SmallVector<Value, 4> sums(4, loops.constant(type, 0.0));
  for (auto [i, factor, number] : llvm::enumerate(factors, productTokens)) {
    Value token =
        product.getRoundInput() ? loops.convert(number, narrow) : number;
    Value &sum = sums[i % sums.size()];
    sum = loops.add(sum, loops.mul(loops.convert(token, type),
                                   loops.convert(factor, type)));
  }
  Parts whole = {
      loops.add(loops.add(sums[0], sums[1]), loops.add(sums[2], sums[3]))};
  sumOverThreads(whole);
  Value result =
      loops
          .inlineEpilogue(product.getEpilogue(), whole,
                          product.getEpilogueIns(), product.getEpilogueMaps(),
                          indicesOf(op, loops, product, point))
          .front();
  return loops.convert(result, getElementTypeOrSelf(product.getOutput()));
}

void ScanKernel::runStep(MatmulOp small) {
  bindOp();
  isCut = false;
  product = small;
  laneProduct = Value();
  OpBuilder &b = loops.builder;
  Value threads = loops.mul(getNumLanes(), loops.index(numSharing));
  Value blocks =
      arith::CeilDivUIOp::create(b, loops.loc, threads, loops.index(kThreads));
  OpBuilder::InsertionGuard guard(b);
  gpu::LaunchOp launch =
      startLaunch(b, loops.loc, blocks, loops.index(1), kThreads);
  Value number =
      loops.add(loops.mul(launch.getBlockIds().x, loops.index(kThreads)),
                launch.getThreadIds().x);
  loops.when(loops.less(number, threads), [&] {
    bindNumber(number);
    loadInvariants(isTable);
    point[1] = loops.index(0);
    if (product)
      loadProductWeights();
    prefetchStates();
    emitWait(b, loops.loc);
    if (product)
      loadProductTokens();
    loadInvariants([](Value operand) { return !isTable(operand); });
    storeFinal(emitBlock(loops.index(0), 1, loadInitial()));
  });
}
