//===- LowerGeneric.cpp - Elementwise maps and contractions ---------------===//
//
// A `linalg.generic` becomes tasks over its outer parallel dimensions. The
// lanes of a vector run over the dimension that makes memory accesses
// contiguous: a parallel one if possible, else a reduction with a horizontal
// combination at the end. Reductions keep a block of rows x vectors of
// accumulators in registers.
//
//===----------------------------------------------------------------------===//

#include "GenericLowering.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include <numeric>

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::cpu;

bool GenericLowering::analyze() {
  unsigned widest = 32;
  for (OpOperand &operand : op->getOpOperands()) {
    auto type = dyn_cast<MemRefType>(operand.get().getType());
    if (!type) {
      // A scalar operand is a value of its own.
      if (!operand.get().getType().isIntOrIndexOrFloat())
        return false;
      inputs.push_back({operand.get(), AffineMap()});
      continue;
    }
    Access access{operand.get(), op.getMatchingIndexingMap(&operand)};
    (op.isDpsInit(&operand) ? outputs : inputs).push_back(access);
    if (type.getElementType().isF64())
      widest = 64;
  }
  for (Operation &inner : body)
    if (inner.getNumRegions() != 0)
      return false;
  width = target.getLanes(widest);
  sizes = op.getStaticLoopRanges();
  for (unsigned dim = 0; dim < numDims; ++dim)
    if (isReduction(dim))
      reductions.push_back(dim);
  return true;
}

/// The op that combines the accumulator of an output with a new value, or null.
Operation *GenericLowering::matchCombiner(unsigned output) {
  Value argument = op.getRegionOutputArgs()[output];
  Operation *combiner =
      body.getTerminator()->getOperand(output).getDefiningOp();
  if (!combiner || !argument.hasOneUse() || combiner->getBlock() != &body ||
      !llvm::is_contained(combiner->getOperands(), argument) ||
      !isa<arith::AddFOp, arith::MulFOp, arith::AddIOp, arith::MulIOp,
           arith::MaximumFOp, arith::MinimumFOp, arith::MaxNumFOp,
           arith::MinNumFOp, arith::MaxSIOp, arith::MinSIOp, arith::OrIOp,
           arith::AndIOp>(combiner))
    return nullptr;
  return combiner;
}

/// Memory accesses, in vectors, that one vector of points along `dim` takes, or
/// a negative number if its lanes cannot run over `dim`.
double GenericLowering::getCostPerVector(unsigned dim) {
  double cost = 0;
  for (const Access &output : outputs) {
    Stride stride = getStride(output, dim);
    if (isReduction(dim) != (stride == Stride::none))
      return -1;
    if (!isReduction(dim))
      cost += stride == Stride::unit ? 1 : 2.0 * width;
  }
  if (isReduction(dim)) {
    for (unsigned i = 0; i < outputs.size(); ++i)
      if (!matchCombiner(i))
        return -1;
    cost +=
        12.0 * outputs.size() * width / std::max<int64_t>(getAssumed(dim), 1);
  }
  for (const Access &input : inputs) {
    if (!input.map)
      continue;
    Stride stride = getStride(input, dim);
    bool transposable = llvm::any_of(reductions, [&](unsigned inner) {
      return inner != dim && getStride(input, inner) == Stride::unit &&
             getAssumed(inner) >= width;
    });
    if (stride == Stride::none)
      cost += 0.1;
    else if (stride == Stride::unit)
      cost += 1;
    else
      cost += transposable ? 5 : width;
  }
  return cost + 0.5;
}

void GenericLowering::chooseLanes() {
  double best = 0;
  for (unsigned dim = 0; dim < numDims; ++dim) {
    if (sizes[dim] == 1)
      continue;
    double cost = getCostPerVector(dim);
    if (cost < 0)
      continue;
    double size = getAssumed(dim);
    double whole = llvm::divideCeil(std::max<int64_t>(size, 1), width) * width;
    cost *= whole / std::max(size, 1.0);
    if (!lane || cost <= best) {
      lane = dim;
      best = cost;
    }
  }
  // Without contiguous memory or arithmetic to speak of, vectors gain nothing.
  bool slow = llvm::any_of(body, [](Operation &inner) {
    return isa<math::MathDialect>(inner.getDialect());
  });
  if (!slow && best >= width * double(inputs.size() + outputs.size()))
    lane.reset();
  if (!lane)
    width = 1;
}

/// Picks the rows of a block of accumulators: steps of a dimension along which
/// an operand that is loaded as a vector stays the same.
void GenericLowering::chooseRows() {
  if (reductions.empty() || !lane)
    return;
  if (lanesReduce()) {
    llvm::erase(reductions, *lane);
    reductions.push_back(*lane);
  } else {
    // Innermost the reduction along which memory is contiguous.
    SmallVector<unsigned> ordered;
    for (bool last : {false, true})
      for (unsigned dim : reductions)
        if (last == llvm::any_of(inputs, [&](const Access &input) {
              return input.map && isTransposed(input, dim);
            }))
          ordered.push_back(dim);
    reductions = ordered;
    unsigned inner = reductions.back();
    transposes = getAssumed(inner) >= width &&
                 llvm::any_of(inputs, [&](const Access &input) {
                   return input.map && isTransposed(input, inner);
                 });
  }
  int64_t registers = target.getRegisters();
  if (transposes)
    blockRows = registers == 32 ? 8 : 4;
  else if (lanesReduce())
    blockRows = 4;
  else {
    blockVectors = registers == 32 ? 4 : 2;
    blockVectors =
        std::clamp<int64_t>(getAssumed(*lane) / width, 1, blockVectors);
    blockRows = (registers == 32 ? 16 : 8) / blockVectors;
    blockRows = std::min<int64_t>(blockRows, 8);
  }
  blockRows = std::max<int64_t>(1, blockRows / outputs.size());
  for (unsigned dim = 0; dim < numDims; ++dim) {
    if (isReduction(dim) || dim == *lane || sizes[dim] == 1)
      continue;
    bool reused = llvm::any_of(inputs, [&](const Access &input) {
      return input.map && getStride(input, *lane) != Stride::none &&
             getStride(input, dim) == Stride::none;
    });
    if (reused && (!rowDim || getAssumed(dim) > getAssumed(*rowDim)))
      rowDim = dim;
  }
  if (!rowDim)
    blockRows = 1;
  else
    blockRows = std::clamp<int64_t>(getAssumed(*rowDim), 1, blockRows);
}

/// A rough time for one point, in nanoseconds.
double GenericLowering::getPointCost() {
  double perVector = inputs.size() + outputs.size();
  for (Operation &inner : body.without_terminator()) {
    bool slow = inner.getDialect()->getNamespace() ==
                math::MathDialect::getDialectNamespace();
    perVector += slow ? 8 : isa<arith::DivFOp>(inner) ? 4 : 0.5;
  }
  return 0.2 * perVector / width;
}

LogicalResult GenericLowering::run() {
  if (!analyze())
    return failure();
  builder.setInsertionPoint(op);
  for (Range loopRange :
       cast<linalg::LinalgOp>(op.getOperation()).createLoopRanges(builder, loc))
    extents.push_back(
        getValueOrCreateConstantIndexOp(builder, loc, loopRange.size));
  chooseLanes();
  chooseRows();
  emitAll();
  builder.eraseOp(op);
  return success();
}

void GenericLowering::emitAll() {
  // Parallel dimensions in the order in which the first output is stored.
  SmallVector<unsigned> parallel;
  auto add = [&](unsigned dim) {
    if (!isReduction(dim) && lane != dim && rowDim != dim &&
        !llvm::is_contained(parallel, dim))
      parallel.push_back(dim);
  };
  for (AffineExpr expr : outputs.front().map.getResults())
    if (auto dim = dyn_cast<AffineDimExpr>(expr))
      add(dim.getPosition());
  for (unsigned dim = 0; dim < numDims; ++dim)
    add(dim);
  if (rowDim)
    range = rowDim;
  else if (!parallel.empty()) {
    range = parallel[parallel.size() > 1 ? 1 : 0];
    llvm::erase(parallel, *range);
  } else if (lane && !lanesReduce())
    range = lane;
  if (!parallel.empty()) {
    outer = parallel.front();
    others.assign(parallel.begin() + 1, parallel.end());
  }

  // The range of a unit is long enough to be worth a task.
  double stepCost = getPointCost();
  for (unsigned dim = 0; dim < numDims; ++dim)
    if (outer != dim && range != dim)
      stepCost *= std::max<int64_t>(getAssumed(dim), 1);
  int64_t granule = range == lane && lane ? width * 4 : blockRows;
  rangeBlock = std::max<int64_t>(1, 2e4 / stepCost);
  rangeBlock = std::min<int64_t>(llvm::alignTo(rangeBlock, granule), 1 << 20);

  Value one = index(1);
  Value numUnits = one, blocks = one;
  Value unitsPerTask = one;
  if (range) {
    blocks = ceilDivIndex(builder, loc, extents[*range], index(rangeBlock));
    numUnits = blocks;
    if (outer) {
      Value steps = minIndex(builder, loc, extents[*range], index(rangeBlock));
      unitsPerTask = getUnitsPerTask(builder, loc, steps, stepCost);
    }
  }
  if (outer)
    numUnits = mulIndex(builder, loc, numUnits, extents[*outer]);

  RegionEmitter emitter(builder, loc, numDims);
  emitter.addBody(body);
  for (auto [i, input] : llvm::enumerate(inputs)) {
    Value argument = op.getRegionInputArgs()[i];
    if (input.map) {
      emitter.bindAccess(argument, input);
      continue;
    }
    Value scalar = input.memref;
    emitter.bindSource(
        argument, [scalar](const Offsets &) { return scalar; },
        llvm::SmallBitVector(numDims));
  }
  for (auto [i, output] : llvm::enumerate(outputs))
    if (reductions.empty())
      emitter.bindAccess(op.getRegionOutputArgs()[i], output);
  if (!reductions.empty())
    bindAccumulators(emitter, {}, 1, 1);

  std::optional<double> taskCost;
  if (getConstant(unitsPerTask))
    taskCost =
        stepCost * (range ? std::min(rangeBlock, getAssumed(*range)) : 1);
  auto emitOne = [&](Value unit) {
    RegionEmitter inner = emitter;
    Value first, last;
    Value block = unit;
    if (outer) {
      SmallVector<Value> digits =
          delinearize(builder, loc, unit, {extents[*outer], blocks});
      inner.bindDim(*outer, digits[0]);
      block = digits[1];
    }
    if (range) {
      first = mulIndex(builder, loc, block, index(rangeBlock));
      last = addIndex(builder, loc, first, index(rangeBlock));
      last = minIndex(builder, loc, last, extents[*range]);
    }
    emitUnit(inner, first, last);
  };
  // A single unit is nothing to share.
  if (getConstant(numUnits) == 1)
    return emitOne(index(0));
  bool single = getConstant(unitsPerTask) == 1;
  emitTasks(builder, loc, numUnits, unitsPerTask, taskCost,
            [&](Value begin, Value end) {
              if (single)
                return emitOne(begin);
              emitFor(builder, loc, begin, end, 1, emitOne);
            });
}

void GenericLowering::emitUnit(RegionEmitter &emitter, Value first,
                               Value last) {
  // Rows of accumulators are the innermost loop; otherwise the range is the
  // outermost, as it is in memory.
  if (rowDim)
    return emitOthers(emitter, 0, [&](RegionEmitter &inner) {
      emitRange(inner, first, last);
    });
  emitRange(emitter, first, last);
}

void GenericLowering::emitOthers(
    RegionEmitter &emitter, unsigned next,
    llvm::function_ref<void(RegionEmitter &)> inner) {
  if (next == others.size())
    return inner(emitter);
  unsigned dim = others[next];
  emitFor(builder, loc, index(0), extents[dim], 1, [&](Value step) {
    RegionEmitter nested = emitter;
    nested.bindDim(dim, step);
    nested.hoist(body, {nested.zeroOffsets()});
    emitOthers(nested, next + 1, inner);
  });
}

void GenericLowering::emitRange(RegionEmitter &emitter, Value first,
                                Value last) {
  if (!range || range == lane) {
    emitOthers(emitter, 0,
               [&](RegionEmitter &inner) { emitLanes(inner, 1, first, last); });
    return;
  }
  auto emitRows = [&](Value begin, Value end, int64_t rows) {
    emitFor(builder, loc, begin, end, rows, [&](Value step) {
      RegionEmitter inner = emitter;
      inner.bindDim(*range, step);
      if (rowDim)
        return emitLanes(inner, rows, Value(), Value());
      inner.hoist(body, {inner.zeroOffsets()});
      emitOthers(inner, 0, [&](RegionEmitter &nested) {
        emitLanes(nested, 1, Value(), Value());
      });
    });
  };
  if (blockRows == 1)
    return emitRows(first, last, 1);
  Value whole = last;
  bool exact =
      !ShapedType::isDynamic(sizes[*range]) && sizes[*range] % blockRows == 0;
  if (!exact) {
    Value size = index(blockRows);
    Value count = builder.createOrFold<arith::DivUIOp>(
        loc, subIndex(builder, loc, last, first), size);
    whole = addIndex(builder, loc, first, mulIndex(builder, loc, count, size));
  }
  emitRows(first, whole, blockRows);
  if (!exact)
    emitRows(whole, last, 1);
}

void GenericLowering::emitLanes(RegionEmitter &emitter, int64_t rows,
                                Value first, Value last) {
  if (!lane || lanesReduce())
    return emitTile(emitter, rows, 1);
  bool isRange = range == lane;
  int64_t multiple = ShapedType::isDynamic(sizes[*lane]) ? 1 : sizes[*lane];
  if (isRange)
    multiple = std::gcd(multiple, rangeBlock);
  emitLaneLoops(emitter, loc, *lane, isRange ? first : index(0),
                isRange ? last : extents[*lane], width, blockVectors, multiple,
                [&](RegionEmitter &inner, int64_t vectors) {
                  emitTile(inner, rows, vectors);
                });
}

LogicalResult ssmc::cpu::lowerGeneric(RewriterBase &rewriter,
                                      linalg::GenericOp op,
                                      const VectorTarget &target) {
  if (!op.hasPureBufferSemantics() || op.getNumDpsInits() == 0)
    return failure();
  return GenericLowering(rewriter, op, target).run();
}
