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

/// Neighbours that a thread loads and stores at once where they have 16 bits, at most.
static constexpr int64_t kGroup = 4;

/// Short rows get few elements a thread; up to 256 threads stay on one processor with
/// those of other rows.
static int64_t chooseThreads(int64_t size) {
  auto threadsFor = [&](int64_t elements) {
    return int64_t(llvm::PowerOf2Ceil(llvm::divideCeil(size, elements)));
  };
  int64_t threads = std::min<int64_t>(threadsFor(4), 256);
  return std::clamp(std::max(threads, threadsFor(8)), kWarp, kMaxThreads);
}

NormRow::NormRow(NormOp op, OpBuilder &b, int64_t numThreads, int64_t together)
    : op(op), loops(b, op.getLoc()), size(getSize(op)), numThreads(numThreads),
      together(together), type(getAccumulatorType(
          {getElementTypeOrSelf(op.getInput()), getElementTypeOrSelf(op.getOutput())})) {}

int64_t NormRow::getSize(NormOp op) {
  return cast<MemRefType>(op.getInput().getType()).getShape().back() /
         int64_t(op.getGroups());
}

bool NormRow::fits() const {
  return int64_t(llvm::divideCeil(size, numThreads)) <= kMaxElements;
}

/// `count` neighbours, the first at `indices`.
static SmallVector<Value> loadGroup(Loops &loops, Value memref, ValueRange indices,
                                    int64_t count) {
  if (count == 1)
    return {loops.load(memref, indices)};
  return extractElements(loops.builder, loops.loc,
                         loadNeighbours(loops.builder, loops.loc, memref, indices, count));
}

void NormRow::load(ArrayRef<Value> leading, Value begin, Value thread) {
  SmallVector<Value> point(leading);
  point.push_back(begin);
  elements.clear();
  places.clear();
  exist.clear();
  int64_t stride = numThreads * together;
  Value offset = loops.mul(thread, loops.index(together));
  for (int64_t i = 0; i * stride < size; ++i) {
    Value first = loops.add(offset, loops.index(i * stride));
    bool isWhole = (i + 1) * stride <= size;
    Value exists = isWhole ? Value() : loops.less(first, loops.index(size));
    if (!isWhole) // any elements that are there
      first = arith::MinUIOp::create(loops.builder, loops.loc, first,
                                     loops.index(size - together));
    first = loops.add(begin, first);
    point.back() = first;
    for (auto [j, element] : llvm::enumerate(loadGroup(loops, op.getInput(), point, together))) {
      exist.push_back(exists);
      places.push_back(loops.add(first, loops.index(int64_t(j))));
      elements.push_back(loops.convert(element, type));
    }
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
  scale = scaleOf(square);
}

Value NormRow::scaleOf(Value squares) {
  OpBuilder &b = loops.builder;
  Location loc = loops.loc;
  if (op.getKind() != NormKind::l2)
    squares = arith::DivFOp::create(b, loc, squares,
                                    loops.constant(type, double(size)));
  Value eps = loops.constant(type, op.getEps().convertToDouble());
  // A quotient for each element would be a branch, over which no load is moved.
  return arith::DivFOp::create(
      b, loc, loops.constant(type, 1.0),
      math::SqrtOp::create(b, loc, loops.add(squares, eps)));
}

Value NormRow::apply(Value x) {
  return loops.mul(mean ? loops.sub(x, mean) : x, scale);
}

/// Whether `count` neighbours of a row are so in `memref`, too, and can be accessed at once.
static bool hasNeighbours(Value memref, AffineMap map, int64_t count) {
  return count > 1 && getNeighbours(memref, map, map.getNumDims() - 1) % count == 0;
}

/// Calls `visit` for the memory of a norm, with its map of the points of the output.
static void forMemory(NormOp op, function_ref<void(Value, AffineMap)> visit) {
  auto type = cast<MemRefType>(op.getOutput().getType());
  auto identity = AffineMap::getMultiDimIdentityMap(type.getRank(), op.getContext());
  visit(op.getInput(), identity);
  visit(op.getOutput(), identity);
  for (auto [operand, map] :
       llvm::zip_equal(op.getEpilogueIns(),
                       op.getEpilogueMaps().getAsValueRange<AffineMapAttr>()))
    visit(operand, map);
}

/// Emits the launch; `together`: neighbours that a thread loads and stores at once.
static void emitNorm(RewriterBase &rewriter, NormOp op, int64_t numThreads,
                     int64_t together) {
  Location loc = op.getLoc();
  Loops loops(rewriter, loc);
  unsigned rank = cast<MemRefType>(op.getInput().getType()).getRank();
  int64_t size = NormRow::getSize(op);
  NormRow row(op, rewriter, numThreads, together);

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
    for (int64_t first = 0; first < numElements; first += together)
      for (auto [operand, map] :
           llvm::zip_equal(op.getEpilogueIns(),
                           op.getEpilogueMaps().getAsValueRange<AffineMapAttr>())) {
        int64_t count = hasNeighbours(operand, map, together) ? together : 1;
        for (int64_t i = 0; i < together; i += count) {
          point.back() = row.places[first + i];
          for (auto [j, value] : llvm::enumerate(
                   loadGroup(loops, operand, loops.apply(map, point), count)))
            operands[first + i + j].push_back(value);
        }
      }
  };
  bool isAhead = numElements * int64_t(op.getEpilogueIns().size()) <= kMaxAhead;
  if (isAhead)
    loadOperands();
  row.reduce();
  if (!isAhead)
    loadOperands();
  Type result = getElementTypeOrSelf(op.getOutput());
  for (auto [element, loaded] : llvm::zip_equal(row.elements, operands)) {
    Value y = row.apply(element);
    element = loops
                  .inlineEpilogue(op.getEpilogue(), y,
                                  [&, &loaded = loaded](unsigned number) {
                                    return loaded[number];
                                  })
                  .front();
    element = loops.convert(element, result);
  }
  for (int64_t first = 0; first < numElements; first += together) {
    OpBuilder::InsertionGuard inner(rewriter);
    if (Value exists = row.exist[first]) {
      auto branch = scf::IfOp::create(rewriter, loc, exists, /*withElseRegion=*/false);
      rewriter.setInsertionPointToStart(branch.thenBlock());
    }
    point.back() = row.places[first];
    if (together == 1)
      loops.store(row.elements[first], op.getOutput(), point);
    else
      storeNeighbours(rewriter, loc, ArrayRef(row.elements).slice(first, together),
                      op.getOutput(), point);
  }
  // The next row's sums go where this one's are read.
  gpu::BarrierOp::create(rewriter, loc);
}

LogicalResult nvptx::lowerNorm(RewriterBase &rewriter, NormOp op) {
  if (!op.hasPureBufferSemantics())
    return failure();
  int64_t size = NormRow::getSize(op), numThreads = chooseThreads(size);
  if (!NormRow(op, rewriter, numThreads).fits())
    return failure();
  // Numbers of 16 bits go in groups, and what belongs to them, where memory is aligned.
  int64_t together = kGroup;
  while (size % together != 0)
    together /= 2;
  SmallVector<Value> grouped;
  int64_t bytes = 1;
  bool isNarrow = false, isGrouped = together > 1;
  forMemory(op, [&](Value memref, AffineMap map) {
    int64_t bits = cast<MemRefType>(memref.getType()).getElementTypeBitWidth();
    bool isRow = memref == op.getInput() || memref == op.getOutput();
    isNarrow |= isRow && bits == 16;
    if (hasNeighbours(memref, map, together)) {
      grouped.push_back(memref);
      bytes = std::max(bytes, together * bits / 8);
    } else {
      isGrouped &= !isRow;
    }
  });
  if (isNarrow && isGrouped && bytes <= kVectorBytes)
    Loops(rewriter, op.getLoc())
        .when(areAligned(rewriter, op.getLoc(), grouped, bytes),
              [&] { emitNorm(rewriter, op, numThreads, together); },
              [&] { emitNorm(rewriter, op, numThreads, 1); });
  else
    emitNorm(rewriter, op, numThreads, 1);
  rewriter.eraseOp(op);
  return success();
}
