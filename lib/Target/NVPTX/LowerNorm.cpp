//===- LowerNorm.cpp - A norm with a block of threads a row ---------------===//

#include "Target/NVPTX/Lowering.h"
#include "Target/NVPTX/Passes.h"

#include "Conversion/SSMToSCF/Loops.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::detail;

/// Threads of a block, elements that a thread has of a row, and blocks at most.
static constexpr int64_t kMaxThreads = 256, kWarp = 32, kElements = 4,
                         kMaxBlocks = 1 << 20;

LogicalResult nvptx::lowerNorm(RewriterBase &rewriter, NormOp op) {
  if (!op.hasPureBufferSemantics())
    return failure();
  Location loc = op.getLoc();
  Loops loops(rewriter, loc);
  auto inputType = cast<MemRefType>(op.getInput().getType());
  unsigned rank = inputType.getRank();
  Type type = getAccumulatorType(
      {inputType.getElementType(), getElementTypeOrSelf(op.getOutput())});
  int64_t size = inputType.getShape().back() / int64_t(op.getGroups());
  int64_t numThreads = std::clamp<int64_t>(
      int64_t(llvm::PowerOf2Ceil(llvm::divideCeil(size, kElements))), kWarp, kMaxThreads);

  // Rows of the grid: those of the tensor, by groups.
  SmallVector<Value> sizes;
  for (unsigned dim = 0; dim + 1 < rank; ++dim)
    sizes.push_back(loops.size(op.getInput(), dim));
  Value groups = loops.index(op.getGroups());
  Value rows = groups;
  for (Value extent : sizes)
    rows = loops.mul(rows, extent);
  Value one = loops.index(1);
  Value blocks =
      arith::MinSIOp::create(rewriter, loc, rows, loops.index(kMaxBlocks));
  auto launch = gpu::LaunchOp::create(rewriter, loc, blocks, one, one,
                                      loops.index(numThreads), one, one);
  launch->setAttr(nvptx::kBlockAttr, rewriter.getI64IntegerAttr(numThreads));
  OpBuilder::InsertionGuard guard(rewriter);
  rewriter.setInsertionPointToStart(&launch.getBody().front());
  gpu::TerminatorOp::create(rewriter, loc);
  rewriter.setInsertionPointToStart(&launch.getBody().front());
  auto loop =
      scf::ForOp::create(rewriter, loc, launch.getBlockIds().x, rows, launch.getGridSize().x);
  rewriter.setInsertionPointToStart(loop.getBody());

  SmallVector<Value> point(rank);
  Value rest = loop.getInductionVar();
  Value group = arith::RemUIOp::create(rewriter, loc, rest, groups);
  rest = arith::DivUIOp::create(rewriter, loc, rest, groups);
  for (int64_t dim = int64_t(rank) - 2; dim >= 0; --dim) {
    point[dim] = arith::RemUIOp::create(rewriter, loc, rest, sizes[dim]);
    rest = arith::DivUIOp::create(rewriter, loc, rest, sizes[dim]);
  }
  Value begin = loops.mul(group, loops.index(size));
  Value end = loops.add(begin, loops.index(size));
  Value first = loops.add(begin, launch.getThreadIds().x);
  Value stride = loops.index(numThreads);
  Value zero = loops.constant(type, 0.0), count = loops.constant(type, double(size));
  Value mean;
  auto element = [&](Value at) {
    point.back() = at;
    Value x = loops.convert(loops.load(op.getInput(), point), type);
    return mean ? loops.sub(x, mean) : x;
  };
  auto sum = [&](function_ref<Value(Value)> term) -> Value {
    auto partial = scf::ForOp::create(
        rewriter, loc, first, end, stride, zero,
        [&](OpBuilder &, Location, Value at, ValueRange carried) {
          scf::YieldOp::create(rewriter, loc, loops.add(carried[0], term(at)));
        });
    auto add = gpu::AllReduceOperationAttr::get(rewriter.getContext(),
                                                gpu::AllReduceOperation::ADD);
    return gpu::AllReduceOp::create(rewriter, loc, type, partial.getResult(0), add,
                                    /*uniform=*/true);
  };
  if (op.getKind() == NormKind::layer) {
    Value total = sum(element);
    mean = arith::DivFOp::create(rewriter, loc, total, count);
  }
  Value square = sum([&](Value at) {
    Value x = element(at);
    return loops.mul(x, x);
  });
  if (op.getKind() != NormKind::l2)
    square = arith::DivFOp::create(rewriter, loc, square, count);
  Value eps = loops.constant(type, op.getEps().convertToDouble());
  Value divisor = math::SqrtOp::create(rewriter, loc, loops.add(square, eps));
  auto write = scf::ForOp::create(rewriter, loc, first, end, stride);
  rewriter.setInsertionPointToStart(write.getBody());
  Value y = arith::DivFOp::create(rewriter, loc, element(write.getInductionVar()), divisor);
  Value result = loops
                     .inlineEpilogue(op.getEpilogue(), y, op.getEpilogueIns(),
                                     op.getEpilogueMaps(), point)
                     .front();
  loops.store(result, op.getOutput(), point);
  rewriter.eraseOp(op);
  return success();
}
