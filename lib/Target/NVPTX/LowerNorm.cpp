//===- LowerNorm.cpp - A norm with a block of threads a row ---------------===//

#include "Target/NVPTX/Launch.h"
#include "Target/NVPTX/Lowering.h"
#include "Target/NVPTX/NormRow.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::detail;
using namespace ssmc::nvptx;

/// Threads of a block, elements of a row that a thread has, operands of the epilogue that
/// it loads with them, and blocks at most.
static constexpr int64_t kWarp = 32, kMaxThreads = 1024, kMaxElements = 64, kMaxAhead = 32,
                         kMaxBlocks = 1 << 20;

/// Short rows get few elements a thread; up to 256 threads stay on one processor with
/// those of other rows.
static int64_t chooseThreads(int64_t size) {
  auto threadsFor = [&](int64_t elements) {
    return int64_t(llvm::PowerOf2Ceil(llvm::divideCeil(size, elements)));
  };
  int64_t threads = std::min<int64_t>(threadsFor(4), 256);
  return std::clamp(std::max(threads, threadsFor(8)), kWarp, kMaxThreads);
}

NormRow::NormRow(NormOp op, OpBuilder &b, int64_t numThreads)
    : op(op), loops(b, op.getLoc()), size(getSize(op)), numThreads(numThreads),
      type(getAccumulatorType(
          {getElementTypeOrSelf(op.getInput()), getElementTypeOrSelf(op.getOutput())})) {}

int64_t NormRow::getSize(NormOp op) {
  return cast<MemRefType>(op.getInput().getType()).getShape().back() /
         int64_t(op.getGroups());
}

bool NormRow::fits() const {
  return int64_t(llvm::divideCeil(size, numThreads)) <= kMaxElements;
}

void NormRow::load(ArrayRef<Value> leading, Value begin, Value thread) {
  SmallVector<Value> point(leading);
  point.push_back(begin);
  elements.clear();
  places.clear();
  exist.clear();
  for (int64_t i = 0; i * numThreads < size; ++i) {
    Value place = loops.add(thread, loops.index(i * numThreads));
    bool isWhole = (i + 1) * numThreads <= size;
    exist.push_back(isWhole ? Value() : loops.less(place, loops.index(size)));
    if (!isWhole) // any element that is there
      place =
          arith::MinUIOp::create(loops.builder, loops.loc, place, loops.index(size - 1));
    places.push_back(loops.add(begin, place));
    point.back() = places.back();
    elements.push_back(loops.convert(loops.load(op.getInput(), point), type));
  }
}

Value NormRow::sum(function_ref<Value(Value)> term) {
  Value zero = loops.constant(type, 0.0), partial = zero;
  for (auto [element, exists] : llvm::zip_equal(elements, exist)) {
    Value value = term(element);
    partial = loops.add(partial, exists ? loops.select(exists, value, zero) : value);
  }
  auto add = gpu::AllReduceOperationAttr::get(loops.builder.getContext(),
                                              gpu::AllReduceOperation::ADD);
  return gpu::AllReduceOp::create(loops.builder, loops.loc, type, partial, add,
                                  /*uniform=*/true);
}

void NormRow::reduce() {
  OpBuilder &b = loops.builder;
  Location loc = loops.loc;
  Value count = loops.constant(type, double(size));
  mean = Value();
  if (op.getKind() == NormKind::layer) {
    Value total = sum([](Value element) { return element; });
    mean = arith::DivFOp::create(b, loc, total, count);
  }
  Value square = sum([&](Value element) {
    Value centred = mean ? loops.sub(element, mean) : element;
    return loops.mul(centred, centred);
  });
  if (op.getKind() != NormKind::l2)
    square = arith::DivFOp::create(b, loc, square, count);
  Value eps = loops.constant(type, op.getEps().convertToDouble());
  // A quotient for each element would be a branch, over which no load is moved.
  scale = arith::DivFOp::create(b, loc, loops.constant(type, 1.0),
                                math::SqrtOp::create(b, loc, loops.add(square, eps)));
}

Value NormRow::apply(Value x) {
  return loops.mul(mean ? loops.sub(x, mean) : x, scale);
}

LogicalResult nvptx::lowerNorm(RewriterBase &rewriter, NormOp op) {
  if (!op.hasPureBufferSemantics())
    return failure();
  Location loc = op.getLoc();
  Loops loops(rewriter, loc);
  unsigned rank = cast<MemRefType>(op.getInput().getType()).getRank();
  int64_t size = NormRow::getSize(op), numThreads = chooseThreads(size);
  NormRow row(op, rewriter, numThreads);
  if (!row.fits())
    return failure();

  // Rows of the grid: those of the tensor, by groups.
  SmallVector<Value> sizes;
  for (unsigned dim = 0; dim + 1 < rank; ++dim)
    sizes.push_back(loops.size(op.getInput(), dim));
  Value groups = loops.index(op.getGroups());
  Value rows = groups;
  for (Value extent : sizes)
    rows = loops.mul(rows, extent);
  Value blocks =
      arith::MinSIOp::create(rewriter, loc, rows, loops.index(kMaxBlocks));
  OpBuilder::InsertionGuard guard(rewriter);
  gpu::LaunchOp launch =
      nvptx::startLaunch(rewriter, loc, blocks, loops.index(1), numThreads);
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
  row.load(ArrayRef<Value>(point).drop_back(), begin, launch.getThreadIds().x);

  // What the epilogue reads: with the elements while there are registers, or else when
  // the sums are known, but before anything is stored.
  int64_t numElements = row.elements.size();
  SmallVector<SmallVector<Value>> operands(numElements);
  auto loadOperands = [&] {
    for (auto [place, loaded] : llvm::zip_equal(row.places, operands)) {
      point.back() = place;
      for (auto [operand, map] :
           llvm::zip_equal(op.getEpilogueIns(),
                           op.getEpilogueMaps().getAsValueRange<AffineMapAttr>()))
        loaded.push_back(loops.load(operand, loops.apply(map, point)));
    }
  };
  bool isAhead = numElements * int64_t(op.getEpilogueIns().size()) <= kMaxAhead;
  if (isAhead)
    loadOperands();
  row.reduce();
  if (!isAhead)
    loadOperands();
  Block &epilogue = op.getEpilogue().front();
  for (auto [element, loaded] : llvm::zip_equal(row.elements, operands)) {
    Value y = row.apply(element);
    element = loops.inlineSlice(epilogue, epilogue.getTerminator()->getOperands(),
                                [&, &loaded = loaded](unsigned argument) {
                                  return argument > 0
                                             ? loaded[argument - 1]
                                             : loops.convert(y, epilogue.getArgument(0).getType());
                                })
                  .front();
  }
  for (auto [element, place, exists] : llvm::zip_equal(row.elements, row.places, row.exist)) {
    OpBuilder::InsertionGuard inner(rewriter);
    if (exists) {
      auto branch = scf::IfOp::create(rewriter, loc, exists, /*withElseRegion=*/false);
      rewriter.setInsertionPointToStart(branch.thenBlock());
    }
    point.back() = place;
    loops.store(element, op.getOutput(), point);
  }
  // The next row's sums go where this one's are read.
  gpu::BarrierOp::create(rewriter, loc);
  rewriter.eraseOp(op);
  return success();
}
