//===- Limits.cpp - What a machine gives, and what a layer asks -----------===//

#include "Limits.h"
#include "Tensor.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "ssm/Analysis/CostModel.h"
#include "ssm/IR/SSM.h"
#include "ssm/Transforms/Passes.h"
#include <algorithm>
#include <chrono>
#include <cstring>
#include <limits>

using namespace ssmc;

//===----------------------------------------------------------------------===//
// Probes
//===----------------------------------------------------------------------===//

#if defined(__x86_64__)
#define CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CLONES
#endif

#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif

// Eight chains of 64 bytes hide the latency of two units. The result is written so
// that nothing can be left out.
#define MULTIPLY_ADD(NAME, TYPE)                                                         \
  CLONES static void NAME(TYPE *out, int64_t count) {                                    \
    typedef TYPE Vector __attribute__((vector_size(64)));                                \
    Vector x[8], scale = {}, shift = {};                                                 \
    scale += (TYPE)0.999;                                                                \
    shift += (TYPE)0.001;                                                                \
    for (int j = 0; j < 8; ++j)                                                          \
      x[j] = shift * (TYPE)j;                                                            \
    for (int64_t i = 0; i < count; ++i)                                                  \
      UNROLL for (int j = 0; j < 8; ++j) x[j] = x[j] * scale + shift;                    \
    for (int j = 1; j < 8; ++j)                                                          \
      x[0] += x[j];                                                                      \
    std::memcpy(out, &x[0], sizeof(Vector));                                             \
  }
MULTIPLY_ADD(multiplyAddF32, float)
MULTIPLY_ADD(multiplyAddF64, double)

// Vectors are spelled out: left to itself, clang gathers strided words here.
CLONES static uint64_t sumOf(const uint64_t *words, int64_t count) {
  typedef uint64_t Vector __attribute__((vector_size(64), aligned(8), may_alias));
  Vector sums[8] = {};
  auto *vectors = reinterpret_cast<const Vector *>(words);
  for (int64_t i = 0; i + 8 <= count / 8; i += 8)
    UNROLL for (int j = 0; j < 8; ++j) sums[j] += vectors[i + j];
  for (int j = 1; j < 8; ++j)
    sums[0] += sums[j];
  uint64_t sum = 0;
  for (int j = 0; j < 8; ++j)
    sum += sums[0][j];
  return sum;
}

namespace {
struct Probe {
  const uint64_t *words;
  int64_t wordsPerPiece;
  uint64_t results[64];
  bool doublePrecision;
};
} // namespace

static constexpr int64_t pieces = 64;
static constexpr int64_t multiplyAdds = 200000;

static void readPieces(void *closure, int64_t begin, int64_t end) {
  auto *probe = static_cast<Probe *>(closure);
  for (int64_t i = begin; i < end; ++i)
    probe->results[i] =
        sumOf(probe->words + i * probe->wordsPerPiece, probe->wordsPerPiece);
}

static void computePieces(void *closure, int64_t begin, int64_t end) {
  auto *probe = static_cast<Probe *>(closure);
  for (int64_t i = begin; i < end; ++i) {
    alignas(64) char out[64];
    if (probe->doublePrecision)
      multiplyAddF64(reinterpret_cast<double *>(out), multiplyAdds);
    else
      multiplyAddF32(reinterpret_cast<float *>(out), multiplyAdds);
    std::memcpy(&probe->results[i], out, 8);
  }
}

/// The fastest of a few runs: the others were disturbed.
static double fastest(ssmrt_context *context, ssmrt_body body, Probe &probe) {
  double best = 1e30;
  for (int run = 0; run < 4; ++run) {
    auto start = std::chrono::steady_clock::now();
    context->parallel_for(context, body, &probe, pieces, /*cost=*/1000000);
    std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
    best = std::min(best, time.count());
  }
  return best;
}

llvm::Expected<Limits> ssmc::measureLimits(ssmrt_context *context,
                                           bool doublePrecision) {
  // Larger than the caches of most machines, small enough for a test.
  constexpr int64_t bytes = 192 << 20;
  auto block = Block::create(bytes, "memory to measure");
  if (!block)
    return block.takeError();
  std::memset(block->get(), 1, bytes);
  Probe probe = {static_cast<const uint64_t *>(block->get()), bytes / 8 / pieces, {},
                 doublePrecision};
  Limits limits;
  limits.threads = context->threads;
  limits.bytesPerSecond = double(bytes) / fastest(context, readPieces, probe);
  double lanes = 64.0 / (doublePrecision ? 8 : 4);
  limits.flopPerSecond = double(pieces) * multiplyAdds * 8 * lanes * 2 /
                         fastest(context, computePieces, probe);
  return limits;
}

//===----------------------------------------------------------------------===//
// Operations of a layer
//===----------------------------------------------------------------------===//

static bool computesFloat(mlir::Operation *op) {
  llvm::StringRef dialect = op->getName().getDialectNamespace();
  return (dialect == "arith" || dialect == "math" ||
          llvm::isa<mlir::ssm::DiscretizeOp>(op)) &&
         op->getNumResults() && llvm::isa<mlir::FloatType>(op->getResult(0).getType()) &&
         !op->hasTrait<mlir::OpTrait::ConstantLike>();
}

static double floatOps(mlir::Block &block) {
  double count = 0;
  block.walk([&](mlir::Operation *op) { count += computesFloat(op); });
  return count;
}

namespace {
/// An op's points: static ones, for each token if `dynamic`.
struct Points {
  double count = 1;
  bool dynamic = false;
  void add(int64_t extent) {
    if (mlir::ShapedType::isDynamic(extent))
      dynamic = true;
    else
      count *= double(extent);
  }
};
} // namespace

static Points pointsOf(mlir::Value shaped) {
  Points points;
  for (int64_t extent : llvm::cast<mlir::ShapedType>(shaped.getType()).getShape())
    points.add(extent);
  return points;
}

/// Operations for one token of a row; without those of the state with `isQuadratic`.
static double flopOf(mlir::ssm::ScanOp scan, bool isQuadratic) {
  auto pointsOn = [&](const llvm::SmallBitVector &dims) {
    double count = 1;
    for (unsigned dim : dims.set_bits())
      if (dim >= 2 && !mlir::ShapedType::isDynamic(scan.getDimSize(dim)))
        count *= double(scan.getDimSize(dim));
    return count;
  };
  llvm::SmallBitVector keys(scan.getNumDims()), read(scan.getNumDims());
  for (unsigned dim : scan.getKeyDims())
    keys.set(dim);
  for (mlir::Value value : scan.getCoefficientsOp().getRead())
    read |= scan.getDependentDims(value);
  // A coefficient is made once for the dimensions it depends on. Sums over tokens do not
  // multiply keys and values.
  double flop = 0;
  for (mlir::Operation &inner : scan.getCoefficients().front()) {
    if (!computesFloat(&inner))
      continue;
    llvm::SmallBitVector dims = scan.getDependentDims(inner.getResult(0)), lanes = dims;
    lanes.reset(read);
    if (!isQuadratic || !dims.anyCommon(keys) || lanes.none())
      flop += pointsOn(dims);
  }
  llvm::SmallBitVector state(scan.getNumDims()), output(scan.getNumDims());
  for (unsigned dim : scan.getStateDims())
    state.set(dim);
  for (unsigned dim : scan.getOutputDims())
    output.set(dim);
  flop += floatOps(scan.getEpilogue().front()) * pointsOn(output);
  if (isQuadratic)
    return flop;
  // A product and a sum for the decay, as many for the read of each copy and for each
  // half of an erase pair; complex products take four times that, of which a real
  // output needs half.
  mlir::ssm::CoefficientsOp roles = scan.getCoefficientsOp();
  double parts = scan.getNumStates();
  double updates = parts * parts *
                   (double(!roles.getDecay().empty()) +
                    double(roles.getErase().size()) / parts);
  flop += 2 * updates * pointsOn(state);
  if (!roles.getRead().empty())
    flop += 2 * parts * double(scan.getNumOutputs()) * pointsOn(state | output);
  if (auto source = scan.getDenseSource())
    flop += 2 * parts * parts * pointsOn(state) * double(scan.getDimSize(*source));
  return flop;
}

static bool isQuadratic(mlir::ssm::ScanOp scan) {
  return mlir::ssm::reasonAgainst(scan, mlir::ssm::analyzeRecurrence(scan),
                                  mlir::ssm::ExecutionMode::Quadratic)
      .empty();
}

/// What a recurrence computes for a pair of tokens: scores, their decays, and sums.
static double flopOfPair(mlir::ssm::ScanOp scan) {
  mlir::ssm::CoefficientsOp roles = scan.getCoefficientsOp();
  llvm::SmallBitVector dims(scan.getNumDims());
  for (mlir::Value value : roles.getRead())
    dims |= scan.getDependentDims(value);
  for (mlir::Value value : roles.getDecay())
    dims |= scan.getDependentDims(value);
  double scores = 1, keys = 1, outputs = 1;
  for (unsigned dim : dims.set_bits())
    if (dim >= 2 && !llvm::is_contained(scan.getKeyDims(), dim))
      scores *= double(scan.getDimSize(dim));
  for (unsigned dim : scan.getKeyDims())
    keys *= double(scan.getDimSize(dim));
  for (unsigned dim : scan.getOutputDims())
    outputs *= double(scan.getDimSize(dim));
  return mlir::ssm::ScanWork(scan, mlir::ssm::analyzeRecurrence(scan)).terms *
         (scores * (2 * keys + double(!roles.getDecay().empty())) + 2 * outputs);
}

/// The same for a sum over a second index. A softmax subtracts, takes an exponential
/// and adds.
static double flopOfPair(mlir::ssm::AttendOp attend) {
  llvm::SmallVector<int64_t> sizes(attend.getNumDims(), 1);
  auto note = [&](mlir::AffineMap map, mlir::Value operand) {
    auto type = llvm::cast<mlir::ShapedType>(operand.getType());
    for (auto [axis, expr] : llvm::enumerate(map.getResults()))
      if (auto dim = llvm::dyn_cast<mlir::AffineDimExpr>(expr))
        if (!type.isDynamicDim(axis))
          sizes[dim.getPosition()] = type.getDimSize(axis);
  };
  note(attend.getOutputMap(), attend.getOutput());
  double score = floatOps(attend.getScore().front()) +
                 double(bool(attend.getDecays())) + 3 * double(attend.getSoftmax());
  for (unsigned i = 0; i < attend.getNumPairs(); ++i) {
    note(attend.getQueryMap(i), attend.getQueries()[i]);
    note(attend.getKeyMap(i), attend.getKeys()[i]);
    double depth = 1;
    for (unsigned dim : attend.getContracted(i))
      depth *= double(sizes[dim]);
    score += 2 * depth;
  }
  double scores = 1, outputs = 1;
  for (unsigned dim : attend.getScoreLanes())
    scores *= double(sizes[dim]);
  for (unsigned lane = 0; lane < attend.getNumLanes(); ++lane)
    outputs *= double(sizes[lane + 3]);
  return scores * score + 2 * outputs;
}

static double flopOf(mlir::Operation *op, Points &points, bool quadratic) {
  if (auto generic = llvm::dyn_cast<mlir::linalg::LinalgOp>(op)) {
    for (int64_t extent : generic.getStaticLoopRanges())
      points.add(extent);
    return floatOps(*generic.getBlock());
  }
  if (auto scan = llvm::dyn_cast<mlir::ssm::ScanOp>(op)) {
    points.dynamic = true;
    return flopOf(scan, quadratic && isQuadratic(scan));
  }
  if (auto conv = llvm::dyn_cast<mlir::ssm::ConvOp>(op)) {
    points = pointsOf(conv.getOutput());
    return conv.isLong() ? 0 : 2 * double(conv.getLags());
  }
  return 0;
}

/// Pairs of tokens, both in a sequence of so many, that are at most `lag` apart;
/// those ahead have a negative lag.
static double tapsUpTo(double lag, double tokens) {
  if (lag >= 0)
    return tokens * tokens - tapsUpTo(-lag - 1, tokens);
  double most = std::max(tokens + lag, 0.0);
  return most * (most + 1) / 2;
}

double FlopCount::of(int64_t batch, llvm::ArrayRef<int64_t> lengths) const {
  double tokens = 1;
  for (int axis = 0; axis < axes; ++axis)
    tokens *= double(lengthOf(lengths, axis));
  double perRow = tokens * perToken;
  for (const LongKernel &kernel : kernels) {
    double length = double(lengthOf(lengths, kernel.axis));
    double taps = tapsUpTo(kernel.lastLag, length) -
                  tapsUpTo(kernel.firstLag - 1, length);
    if (length > 0)
      perRow += 2 * taps * kernel.sumsPerToken * (tokens / length);
  }
  for (const SeenTokens &sum : seen) {
    int64_t length = lengthOf(lengths, sum.axis);
    for (int64_t token = 0; token < length; ++token) {
      int64_t begin = 0, end = length;
      for (int64_t bound : sum.from.compose({token}))
        begin = std::max(begin, bound);
      for (int64_t bound : sum.to.compose({token}))
        end = std::min(end, bound);
      perRow += sum.flopPerPair * double(std::max<int64_t>(end - begin, 0)) *
                (tokens / double(length));
    }
  }
  return fixed + double(batch) * perRow;
}

int ssmc::sequenceAxisOf(mlir::Operation *op) {
  auto axis = op->getAttrOfType<mlir::IntegerAttr>("sequence_axis");
  return axis ? int(axis.getInt()) : 0;
}

FlopCount ssmc::countFlop(mlir::ModuleOp module, bool quadratic) {
  FlopCount total;
  module.walk([&](mlir::Operation *function) {
    if (auto axes = function->getAttrOfType<mlir::ArrayAttr>("ssm.sequence_axes"))
      total.axes = int64_t(axes.size());
  });
  module.walk([&](mlir::Operation *op) {
    Points points;
    double flop = flopOf(op, points, quadratic);
    auto conv = llvm::dyn_cast<mlir::ssm::ConvOp>(op);
    bool isLong = conv && conv.isLong();
    auto scan = llvm::dyn_cast<mlir::ssm::ScanOp>(op);
    bool isSum = llvm::isa<mlir::ssm::AttendOp>(op) ||
                 (scan && quadratic && isQuadratic(scan));
    if (flop == 0 && !isLong && !isSum)
      return;
    double trips = 1;
    for (auto loop = op->getParentOfType<mlir::scf::ForOp>(); loop;
         loop = loop->getParentOfType<mlir::scf::ForOp>())
      if (auto count = loop.getStaticTripCount())
        trips *= count->getZExtValue();
    if (isLong) {
      constexpr double all = std::numeric_limits<double>::infinity();
      total.kernels.push_back(
          {points.count * trips,
           conv.getFirst() ? -all : double(int64_t(conv.getStaticFirst())),
           conv.getReach() ? double(*conv.getReach()) : all, sequenceAxisOf(op)});
      return;
    }
    (points.dynamic ? total.perToken : total.fixed) += flop * points.count * trips;
    if (auto attend = llvm::dyn_cast<mlir::ssm::AttendOp>(op))
      total.seen.push_back(
          {trips * flopOfPair(attend), attend.getFromMap(), attend.getToMap(),
           sequenceAxisOf(op)});
    else if (isSum) // the token itself and those before
      total.seen.push_back(
          {trips * flopOfPair(scan), mlir::AffineMap::get(1, 0, op->getContext()),
           mlir::AffineMap::get(
               1, 0, mlir::getAffineDimExpr(0, op->getContext()) + 1),
           sequenceAxisOf(op)});
  });
  return total;
}
