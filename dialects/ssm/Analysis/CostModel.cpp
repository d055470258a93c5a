//===- CostModel.cpp - Clocks of the ways to execute a scan ---------------===//
//
// The counts follow from the algorithms; the constants at the top are what the code
// generator adds to them, fitted to measurements (docs/Performance.md says how).
//
//===----------------------------------------------------------------------===//

#include "ssm/Analysis/CostModel.h"
#include "ssm/Analysis/ConvCostModel.h"
#include "ssm/Analysis/InvariantForm.h"
#include "ssm/Analysis/ProductForm.h"
#include "ssm/IR/SpectrumBlocks.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include <cmath>

using namespace mlir;
using namespace mlir::ssm;

/// Tokens for which the sequential lowering keeps states in registers.
static constexpr double timeTile = 32;
/// Tokens that a chunk is padded to, and the longest chunk.
static constexpr int64_t tokenMultiple = 16, longestChunk = 128;
/// Chunks for which a vector of a table is loaded at least.
static constexpr double tabulatedChunks = 6;
/// Of what is loaded again from a near cache, the part that arithmetic waits for.
static constexpr double waitingShare = 0.5;
/// Queries of a block, and keys of a tile, of a sum over earlier tokens.
static constexpr double sumBlock = 64;
/// Lengths beyond which nothing changes any more; of transforms, lengths up to which
/// they are compared.
static constexpr int64_t longLength = 4096, longestTransformed = 65536;
/// What a convolution may take of the time of another form: it has tables of some 30
/// bytes a lag and channel, which have to be prepared and kept.
static constexpr double convolutionShare = 0.8;
/// The lengths for which it is worth that: the longest is so many times the shortest.
static constexpr int64_t convolutionSpan = 4;
/// What chunks with tables may take of the time of a form that has none.
static constexpr double tableShare = 0.9;
/// Bytes of a spectrum over those of the kernel: two parts, and a piece more than lags.
static constexpr double spectrumShare = 2.25;

// Clocks that are no arithmetic of the recurrence.
static constexpr double unitOverhead = 300;  // start of an independent recurrence
static constexpr double tokenOverhead = 6;   // of a unit in a chunk: loops, addresses
static constexpr double stagedVector = 2;    // to scratch memory and back
static constexpr double pairSlots = 8;   // of a vector of pairs of tokens: decays, masks
static constexpr double sumOverhead = 2000; // of a block of queries
/// Shares of the units for multiply-adds that are kept busy: by products of small blocks,
/// and by the recurrence, where each instruction waits for a broadcast.
static constexpr double productEfficiency = 0.95, scanEfficiency = 0.85;
/// Vector instructions for an element of the state that is loaded, scaled and stored.
static constexpr double boundarySlots = 4;

OperationCount &OperationCount::operator+=(const OperationCount &other) {
  simple += other.simple;
  functions += other.functions;
  divisions += other.divisions;
  return *this;
}

//===----------------------------------------------------------------------===//
// Work
//===----------------------------------------------------------------------===//

static OperationCount countOf(Operation *op) {
  if (isa<arith::DivFOp, arith::RemFOp, math::SqrtOp, math::RsqrtOp>(op))
    return {0, 0, 1};
  if (isa<math::AbsFOp, math::CopySignOp, math::FmaOp, math::FloorOp, math::CeilOp,
          math::RoundOp, math::RoundEvenOp, math::TruncOp>(op))
    return {1, 0, 0};
  if (isa_and_nonnull<math::MathDialect>(op->getDialect()))
    return {0, 1, 0};
  if (isa<DiscretizeOp>(op)) // an exponential and a quotient, if it is not expanded yet
    return {3, 1, 1};
  return {double(isa_and_nonnull<arith::ArithDialect>(op->getDialect())), 0, 0};
}

static double bytesOf(Value shaped) {
  unsigned bits = getElementTypeOrSelf(shaped.getType()).getIntOrFloatBitWidth();
  return llvm::divideCeil(bits, 8);
}

ScanWork::ScanWork(ScanOp op, const RecurrenceInfo &info) {
  hasInitial = !op.getInitial().empty();
  parts = op.getNumStates();
  dense = op.getDense().has_value();
  erasePairs = info.numErasePairs;
  auto function = op->getParentOfType<FunctionOpInterface>();
  sharesTables = function && function->hasAttr("ssm.sequence_axes");
  CoefficientsOp roles = op.getCoefficientsOp();
  reads = !roles.getRead().empty();
  outputs = op.getNumOutputs();
  if (info.kind == RecurrenceClass::I || info.kind == RecurrenceClass::Id) {
    std::string reason;
    if (std::optional<InvariantForm> form = getInvariantForm(op, reason))
      inputs = form->inputs.size();
  }
  // An extent that is not known counts as a vector's worth.
  auto extent = [&](unsigned dim) {
    int64_t size = op.getDimSize(dim);
    return ShapedType::isDynamic(size) ? 16.0 : double(size);
  };
  SmallVector<unsigned> keyDims = op.getKeyDims();
  // The matrix product of a dense transition sums over its source as a read does.
  std::optional<unsigned> lane;
  for (unsigned dim : op.getStateDims()) {
    if (llvm::is_contained(keyDims, dim)) {
      keys *= extent(dim);
      continue;
    }
    outer *= extent(dim);
    if (!lane || extent(dim) >= extent(*lane))
      lane = dim;
  }
  if (lane) {
    terms = countTerms(op, *lane);
    lanes = extent(*lane);
    outer /= std::max(lanes, 1.0);
  }
  for (unsigned dim : op.getCopyDims())
    copies *= extent(dim);
  auto onKeys = [&](const llvm::SmallBitVector &dims) {
    return llvm::any_of(keyDims, [&](unsigned dim) { return dims[dim]; });
  };
  for (Value decay : roles.getDecay())
    keyDecay |= onKeys(op.getDependentDims(decay));

  for (Operation &inner : op.getCoefficients().front().without_terminator()) {
    if (inner.getNumResults() == 0 || inner.hasTrait<OpTrait::ConstantLike>())
      continue;
    llvm::SmallBitVector dims = op.getDependentDims(inner.getResult(0));
    if (!dims[1])
      continue;
    bool atLane = lane && dims[*lane], atKey = onKeys(dims);
    OperationCount &place = atLane && atKey ? atStates
                            : atLane        ? atLanes
                            : atKey         ? atKeys
                                            : atTokens;
    place += countOf(&inner);
  }

  Value state = op.getFinalStates().front();
  bits = op.getStateType().getIntOrFloatBitWidth();
  stateBytes = keys * lanes * outer * parts * bytesOf(state);
  auto stream = [&](Value operand, AffineMap map) {
    double bytes = bytesOf(operand);
    bool overTime = map.isFunctionOfDim(1);
    for (int64_t size : cast<ShapedType>(operand.getType()).getShape())
      bytes *= ShapedType::isDynamic(size) ? 1 : double(size);
    if (overTime)
      streamedBytes += bytes;
  };
  for (auto [i, operand] : llvm::enumerate(op.getIns()))
    stream(operand, op.getInsMap(i));
  for (auto [i, operand] : llvm::enumerate(op.getEpilogueIns()))
    stream(operand, op.getEpilogueMap(i));
  for (Value output : op.getOutputInits())
    stream(output, op.getOutputMap());
}

//===----------------------------------------------------------------------===//
// Clocks
//===----------------------------------------------------------------------===//

double CostModel::getCoefficientClocks(const OperationCount &count) const {
  return count.simple / machine.fmaPerClock + count.functions * machine.functionClocks +
         count.divisions * machine.divideClocks;
}

/// Nothing runs faster than its data arrive.
double CostModel::getMemoryClocks(double length) const {
  double bytes = length * work.streamedBytes;
  return bytes / machine.getBytesPerClock(bytes + work.stateBytes);
}

/// The state is read before the first token and written after the last.
static double getStateClocks(const ScanWork &work, const Machine &machine) {
  return 2 * work.stateBytes / machine.getBytesPerClock(work.stateBytes);
}

double CostModel::getScanClocks(double length) const {
  double width = lanesOfVector();
  double laneVectors = std::ceil(work.lanes / width);
  double keyVectors = work.keys > 1 ? std::ceil(work.keys / width) : 0;
  // Multiply-adds for the decay and the read of one part of a state element. Two
  // numbers make four products, of which a real output needs half.
  double slots = work.parts == 1 ? 1 : 2;
  if (work.reads)
    slots += work.copies * work.outputs;
  slots += 2 * work.erasePairs;
  if (work.dense)
    slots += work.lanes;
  // What is written of an input is one more: its gain is computed beforehand.
  slots += work.inputs;
  OperationCount atStates = work.inputs > 0 ? OperationCount() : work.atStates;
  double perVector = (work.parts * slots / machine.fmaPerClock +
                      getCoefficientClocks(atStates)) /
                         (work.inputs > 0 ? machine.invariantShare : scanEfficiency) +
                     work.parts * boundarySlots / timeTile / machine.fmaPerClock;
  double perToken = work.keys * laneVectors * perVector +
                    laneVectors * (getCoefficientClocks(work.atLanes) + stagedVector) +
                    keyVectors * (getCoefficientClocks(work.atKeys) + 2 * stagedVector) +
                    getCoefficientClocks(work.atTokens) / width + machine.tokenClocks;
  double arithmetic = work.outer * (length * perToken + unitOverhead);
  return std::max(arithmetic, getMemoryClocks(length)) + getStateClocks(work, machine);
}

double CostModel::getOneChunkClocks(double tokens) const {
  double width = lanesOfVector();
  double rows = std::ceil(tokens / tokenMultiple) * tokenMultiple;
  double laneVectors = std::ceil(work.lanes / width);
  double keyVectors = std::ceil(work.keys / width);
  // Scores are causal in whole blocks.
  double pairs = rows * (rows + tokenMultiple) / 2;
  // What queries read, erase pairs read too, of each term.
  double sums = work.copies + work.erasePairs;
  double waiting = machine.chunkClocks;
  double products = pairs * sums * work.terms * (work.keys / width + laneVectors) +
                    rows * work.keys * laneVectors * (work.terms + sums);
  if (work.keyDecay) {
    // Within a block the decays are multiplied up for each pair and key; across blocks
    // queries and keys carry them.
    products += rows * tokenMultiple / 2 * keyVectors * 2 * sums * work.terms;
    products += rows * keyVectors * 6;
    waiting += sums * work.terms * machine.keyDecayClocks;
  } else {
    products += rows * rows / width * (1 + sums * work.terms);
  }
  double slots = products / productEfficiency + boundarySlots * work.keys * laneVectors;
  double staged =
      tokens * (laneVectors * (getCoefficientClocks(work.atLanes) + 2 * stagedVector) +
                keyVectors * (getCoefficientClocks(work.atKeys) +
                              (2 + work.copies) * stagedVector) +
                getCoefficientClocks(work.atTokens) / width + 2 * tokenOverhead);
  return slots / machine.getProductFmaPerClock() + staged + waiting;
}

bool CostModel::hasTableCode() const {
  if (machine.tableTokens <= 0)
    return true;
  return work.inputs == 1 && work.outputs == 1 && work.copies == 1 && !work.dense &&
         work.erasePairs == 0 && work.keys * work.parts <= machine.tableNumbers;
}

double CostModel::getTableBytes(double chunk) const {
  double rows = work.keys * work.parts;
  return rows * chunk * (work.inputs + work.copies * work.outputs) * lanesOfVector() *
         work.bits / 8;
}

/// Products with tables: of the inputs and the state before a chunk with its outputs,
/// and of the inputs with the state after it. What is left of the sequence are chunks of
/// one token.
double CostModel::getTabulatedClocks(double chunk, double length) const {
  double laneVectors = std::ceil(work.lanes / lanesOfVector());
  if (machine.tableClocks > 0) {
    double perVector = machine.tableCallClocks +
                       std::ceil(length / chunk) * machine.tableClocks;
    return std::max(work.outer * laneVectors * perVector, getMemoryClocks(length)) +
           getStateClocks(work, machine);
  }
  double rows = work.keys * work.parts;
  double reads = work.copies * work.outputs;
  auto getChunk = [&](double tokens) {
    double products = tokens * rows * (work.inputs + reads) +
                      work.inputs * reads * tokens * (tokens + 1) / 2;
    // What erases is written out as a matrix.
    bool isMatrix = work.dense || work.erasePairs > 0;
    double carry = rows * (isMatrix ? rows : work.parts) + boundarySlots * rows;
    double staged = tokens * ((work.inputs + reads) * stagedVector +
                              getCoefficientClocks(work.atLanes));
    return (products / productEfficiency + carry) / machine.fmaPerClock + staged +
           tokens * tokenOverhead / 2;
  };
  double whole = std::floor(length / chunk), rest = length - whole * chunk;
  double perVector = unitOverhead + whole * getChunk(chunk) + rest * getChunk(1);
  // The tables of a vector are read for every few chunks: first from where those of all
  // vectors fit, then from where they do.
  double tables = getTableBytes(chunk), tableClocks = 0;
  double rate = machine.getBytesPerClock(tables * laneVectors * work.outer);
  if (!work.sharesTables)
    tableClocks = tables / rate;
  if (tables > machine.l1Bytes / 2)
    tableClocks += waitingShare * std::max(std::ceil(whole / tabulatedChunks) - 1, 0.0) *
                   tables /
                   (tables <= machine.l2Bytes / 2 ? machine.l2BytesPerClock : rate);
  double arithmetic = laneVectors * (perVector + tableClocks);
  return std::max(work.outer * arithmetic, getMemoryClocks(length)) +
         getStateClocks(work, machine);
}

double CostModel::getChunkClocks(double chunk, double length) const {
  if (isTabulated())
    return getTabulatedClocks(chunk, length);
  double whole = std::floor(length / chunk), rest = length - whole * chunk;
  double arithmetic = unitOverhead + whole * getOneChunkClocks(chunk) +
                      (rest > 0 ? getOneChunkClocks(rest) : 0);
  return std::max(work.outer * arithmetic, getMemoryClocks(length)) +
         getStateClocks(work, machine);
}

double CostModel::getQuadraticClocks(double length) const {
  double width = lanesOfVector();
  double laneVectors = std::ceil(work.lanes / width);
  double keyVectors = std::ceil(work.keys / width);
  // The initial state is so many tokens as it has keys, the final one so many queries.
  double earlier = work.hasInitial ? work.keys : 0;
  auto getSum = [&](double queries, bool isCausal) {
    double clocks = 0;
    for (double first = 0; first < queries; first += sumBlock) {
      double rows = std::min(sumBlock, std::ceil((queries - first) / width) * width);
      double seen = earlier + (isCausal ? std::min(first + sumBlock, length) : length);
      // On the diagonal values meet the queries that see them, in half of the pairs.
      double summed = seen - (isCausal ? std::min(sumBlock, length) / 2 : 0);
      double slots = seen * rows / width * (work.keys / productEfficiency + pairSlots) +
                     summed * rows * laneVectors / productEfficiency;
      clocks += slots / machine.fmaPerClock +
                seen * (keyVectors + laneVectors) * stagedVector +
                rows * (keyVectors + laneVectors) * 2 * stagedVector + sumOverhead;
    }
    return clocks;
  };
  // Queries, keys and values are computed beforehand, and come from memory.
  double staged = length * (2 * work.outer * keyVectors + work.outer * laneVectors) *
                  2 * stagedVector;
  double sums = work.copies * getSum(length, true) + getSum(work.keys, false);
  return work.terms * (work.outer * sums + staged) + getMemoryClocks(length) +
         getStateClocks(work, machine);
}

/// Vectors of channels one by one, directly or by transforms; the kernel, or what is
/// kept of its transforms, comes from where all of it fits.
double CostModel::getConvClocks(int64_t length) const {
  ConvCostModel model(machine);
  double clocks = model.getDirectClocks(length), share = 1;
  if (length >= kShortestTransform && model.getTransformClocks(length) < clocks) {
    clocks = model.getTransformClocks(length);
    share = spectrumShare;
  }
  double kernels = work.outer * std::ceil(work.lanes / lanesOfVector()) * work.copies *
                   work.outputs * std::max(work.inputs, 1.0);
  double bytes = kernels * share * double(length) * machine.vectorBits / 8;
  double tables = work.sharesTables ? 0 : bytes / machine.getBytesPerClock(bytes);
  double arithmetic = std::max(kernels * clocks + tables, getMemoryClocks(length));
  return work.leavesStates ? arithmetic + getScanClocks(length) : arithmetic;
}

double CostModel::getClocks(Execution execution, int64_t length) const {
  if (length <= 0)
    return 0;
  switch (execution.mode) {
  case ScanMode::literal:
  case ScanMode::scan:
    return getScanClocks(double(length));
  case ScanMode::quadratic:
    return getQuadraticClocks(double(length));
  case ScanMode::conv:
    return getConvClocks(length);
  case ScanMode::chunk:
    return getChunkClocks(double(std::max<int64_t>(execution.chunk, 1)), double(length));
  }
  llvm_unreachable("all modes are covered");
}

//===----------------------------------------------------------------------===//
// Choice
//===----------------------------------------------------------------------===//

int64_t CostModel::getBestChunk() const {
  int64_t best = tokenMultiple;
  if (isTabulated()) {
    if (machine.tableTokens > 0)
      return int64_t(machine.tableTokens);
    auto clocks = [&](int64_t chunk) {
      return getTabulatedClocks(double(chunk), longLength);
    };
    for (int64_t chunk = 2 * tokenMultiple; chunk <= longestChunk; chunk += tokenMultiple)
      if (longLength % chunk == 0 && clocks(chunk) < clocks(best))
        best = chunk;
    return best;
  }
  if (machine.chunkTokens > 0)
    return int64_t(machine.chunkTokens);
  for (int64_t chunk = tokenMultiple; chunk <= longestChunk; chunk += tokenMultiple) {
    // Scratch memory that leaves the second cache costs more than it saves.
    double scratch = (double(chunk) * (2 * chunk + 2 * work.lanes + 3 * work.keys) +
                      work.keys * work.lanes) *
                     work.bits / 8;
    if (scratch > machine.l2Bytes / 2)
      break;
    if (getOneChunkClocks(double(chunk)) / double(chunk) <
        getOneChunkClocks(double(best)) / double(best))
      best = chunk;
  }
  return best;
}

std::optional<int64_t> CostModel::getCrossover(Execution execution,
                                               Execution other) const {
  // From the long end: what is padded makes the difference go up and down.
  std::optional<int64_t> crossover;
  double share = execution.mode == ScanMode::chunk && isTabulated() ? tableShare : 1;
  for (int64_t length = longLength; length >= 1;
       length -= length > 512 ? 64 : 1) {
    if (!(getClocks(execution, length) < share * getClocks(other, length)))
      break;
    crossover = length;
  }
  return crossover;
}

/// A length about an eighth longer.
static int64_t getLonger(int64_t length) { return length + (length + 7) / 8; }

std::optional<LengthRange> CostModel::getConvRange(Execution other,
                                                   int64_t crossover) const {
  // With others beside it an axis is no longer than memory allows for their product.
  int64_t longest = work.sharesTables ? longLength : longestTransformed;
  // What is padded makes the cost of transforms go up and down: of all ranges that with the
  // largest saving, of lengths of every magnitude the same number.
  std::optional<LengthRange> best;
  double largest = 0, saved = 0;
  int64_t first = 0, last = 0;
  for (int64_t length = 2; length <= longest; last = length, length = getLonger(length)) {
    Execution beside = length >= crossover ? other : Execution();
    if (saved <= 0)
      saved = 0, first = length;
    saved += std::log(convolutionShare * getClocks(beside, length) /
                      getClocks({ScanMode::conv, 0}, length));
    if (saved > largest)
      largest = saved, best = {first, length};
  }
  if (best && best->last == last)
    best->last.reset();
  if (best && best->last && *best->last < convolutionSpan * best->first)
    return std::nullopt;
  return best;
}

SmallVector<CheapestFrom> CostModel::getCheapest(ArrayRef<Execution> forms) const {
  SmallVector<CheapestFrom> result;
  auto staysCheaper = [&](Execution a, Execution b, int64_t from) {
    for (int64_t length = from; length <= 2 * from; length = getLonger(length))
      if (!(getClocks(a, length) < getClocks(b, length)))
        return false;
    return true;
  };
  for (int64_t length = 1; length <= longestTransformed; length = getLonger(length)) {
    auto isCheaper = [&](Execution a, Execution b) {
      return getClocks(a, length) < getClocks(b, length);
    };
    Execution best = *llvm::min_element(forms, isCheaper);
    if (result.empty() || staysCheaper(best, result.back().execution, length))
      result.push_back({length, best});
  }
  return result;
}
