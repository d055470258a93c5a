//===- MatmulEmitter.cpp - What both forms of a product share -------------===//

#include "Target/CPU/MatmulEmitter.h"

#include "Target/CPU/VectorEmitter.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace ssmc::cpu;

MatmulEmitter::MatmulEmitter(ImplicitLocOpBuilder &b, const PackedMatmul &matmul,
                             const KernelTarget &target, Type accumulator,
                             BF16Unit unit)
    : b(b), index(b), matmul(matmul), target(target), unit(unit),
      accumulator(accumulator), s(matmul, target, accumulator, unit) {
  inputElement = unit == BF16Unit::None ? accumulator : Type(b.getBF16Type());
  auto type = cast<MemRefType>(matmul.output.getType());
  outputElement = type.getElementType();
  rank = type.getRank();
  weight = matmul.weight;
  if (cast<MemRefType>(weight.getType()).getRank() == 4)
    weight = memref::CollapseShapeOp::create(
        b, weight, ArrayRef<ReassociationIndices>{{0}, {1}, {2, 3}});
  for (int64_t d = 0; d + 1 < rank; ++d)
    tokenSizes.push_back(index.dim(matmul.output, d));
  tokens = getTokens(index, matmul.output);
}

Value ssmc::cpu::getTokens(IndexMath &index, Value output) {
  Value tokens = index.constant(1);
  int64_t rank = cast<MemRefType>(output.getType()).getRank();
  for (int64_t d = 0; d + 1 < rank; ++d)
    tokens = index.mul(tokens, index.dim(output, d));
  return tokens;
}

//===----------------------------------------------------------------------===//
// Loops
//===----------------------------------------------------------------------===//

void MatmulEmitter::forRange(Value begin, Value end, int64_t step,
                             llvm::function_ref<void(Value)> body) {
  scf::ForOp::create(b, begin, end, index.constant(step), ValueRange{},
                     [&](OpBuilder &, Location, Value i, ValueRange) {
                       body(i);
                       scf::YieldOp::create(b);
                     });
}

void MatmulEmitter::forTokens(
    Value row, Value rows, llvm::function_ref<void(Value, ValueRange)> body) {
  // One division for the first token, then counting.
  SmallVector<Value> first(tokenSizes.size());
  Value rest = row;
  for (unsigned d = tokenSizes.size(); d-- > 1;) {
    first[d] = index.rem(rest, tokenSizes[d]);
    rest = index.div(rest, tokenSizes[d]);
  }
  if (!first.empty())
    first[0] = rest;
  scf::ForOp::create(
      b, index.constant(0), rows, index.constant(1), first,
      [&](OpBuilder &, Location, Value i, ValueRange token) {
        body(i, token);
        SmallVector<Value> next(token);
        Value carry = index.constant(1);
        for (unsigned d = next.size(); d-- > 0;) {
          Value sum = index.add(next[d], carry);
          if (d == 0) {
            next[0] = sum;
            break;
          }
          Value wraps = index.equal(sum, tokenSizes[d]);
          next[d] = index.select(wraps, index.constant(0), sum);
          carry = index.select(wraps, index.constant(1), index.constant(0));
        }
        scf::YieldOp::create(b, next);
      });
}

void MatmulEmitter::switchRows(Value rows, ArrayRef<int64_t> sizes,
                               llvm::function_ref<void(int64_t)> body) {
  if (sizes.size() == 1)
    return body(sizes[0]);
  // The default is the first.
  auto choice = scf::IndexSwitchOp::create(
      b, TypeRange{}, rows, sizes.drop_front(), sizes.size() - 1);
  for (auto [size, region] : llvm::zip_equal(sizes, choice->getRegions())) {
    OpBuilder::InsertionGuard guard(b);
    b.createBlock(&region);
    body(size);
    scf::YieldOp::create(b);
  }
}

void MatmulEmitter::forTasks(Value tasks, llvm::function_ref<void(Value)> body) {
  auto parallel = scf::ParallelOp::create(
      b, ValueRange{index.constant(0)}, ValueRange{tasks},
      ValueRange{index.constant(1)},
      [&](OpBuilder &, Location, ValueRange task) { body(task[0]); });
  parallel->setAttr("ssm.cost", b.getI64IntegerAttr(s.cost));
}

//===----------------------------------------------------------------------===//
// Inputs
//===----------------------------------------------------------------------===//

MemRefType MatmulEmitter::getInputsType(int64_t rows, int64_t depth) const {
  // An odd number of cache lines, so that rows do not compete for a set.
  int64_t line = 64 / (inputElement.getIntOrFloatBitWidth() / 8);
  int64_t stride = llvm::alignTo(llvm::alignTo(depth + 1, s.inputPadding), line);
  if (stride / line % 2 == 0)
    stride += line;
  return MemRefType::get({rows, stride}, inputElement);
}

Value MatmulEmitter::allocate(MemRefType type) {
  return memref::AllocaOp::create(b, type, b.getI64IntegerAttr(64));
}

Value MatmulEmitter::convert(Value value, Type element) {
  return convertFloat(b, b.getLoc(), value, element);
}

Value MatmulEmitter::convertInput(Value value) {
  if (!matmul.roundInput)
    return convert(value, accumulator);
  Type narrow = getElementTypeOrSelf(matmul.weight.getType());
  auto vector = dyn_cast<VectorType>(value.getType());
  bool hasInstruction = target.bf16 != BF16Unit::None && narrow.isBF16() &&
                        vector && vector.getNumElements() == 16 &&
                        vector.getElementType().isF32();
  if (hasInstruction)
    value = LLVM::CallIntrinsicOp::create(
                b, vector.clone(narrow),
                b.getStringAttr("llvm.x86.avx512bf16.cvtneps2bf16.512"), value)
                .getResults();
  else
    value = convert(value, narrow);
  return convert(value, inputElement);
}

/// Whether consecutive elements of the last dimension are neighbours.
static bool hasUnitStride(Value memref) {
  SmallVector<int64_t> strides;
  int64_t offset;
  return succeeded(cast<MemRefType>(memref.getType())
                       .getStridesAndOffset(strides, offset)) &&
         strides.back() == 1;
}

void MatmulEmitter::copyInputs(Value row, Value rows, Value depthBegin,
                               Value depth) {
  forTokens(row, rows, [&](Value i, ValueRange token) {
    copyInput(i, token, depthBegin, depth);
  });
}

void MatmulEmitter::copyInput(Value i, ValueRange token, Value depthBegin,
                              Value depth) {
  auto inputType = cast<MemRefType>(matmul.input.getType());
  auto at = [&](Value k) {
    SmallVector<Value> indices(token);
    indices.push_back(index.add(depthBegin, k));
    return indices;
  };
  Value main = index.constant(0);
  if (hasUnitStride(matmul.input)) {
    auto vector = VectorType::get(s.lanes, inputType.getElementType());
    main = index.roundDown(depth, s.lanes);
    forRange(index.constant(0), main, s.lanes, [&](Value k) {
      Value x = vector::LoadOp::create(b, vector, matmul.input, at(k));
      vector::StoreOp::create(b, convertInput(x), inputs,
                              ValueRange{i, k});
    });
  }
  forRange(main, depth, 1, [&](Value k) {
    Value x = memref::LoadOp::create(b, matmul.input, at(k));
    memref::StoreOp::create(b, convertInput(x), inputs, ValueRange{i, k});
  });
  if (s.depth % s.inputPadding) {
    Value zero = arith::ConstantOp::create(
        b, b.getFloatAttr(cast<FloatType>(inputElement), 0.0));
    forRange(depth, index.roundUp(depth, s.inputPadding), 1, [&](Value k) {
      memref::StoreOp::create(b, zero, inputs, ValueRange{i, k});
    });
  }
}

//===----------------------------------------------------------------------===//
// Sums and results
//===----------------------------------------------------------------------===//

MatmulTile MatmulEmitter::getTile(int64_t rows, Value panel) {
  MatmulTile tile;
  tile.input = inputs;
  tile.weight = weight;
  tile.panel = panel;
  tile.depthBegin = index.constant(0);
  tile.depth = index.constant(s.depth);
  tile.depthDivisor = s.depth;
  tile.sums = sums;
  tile.sumsRow = index.constant(0);
  tile.rows = rows;
  tile.width = s.width;
  tile.lanes = s.lanes;
  tile.accumulator = accumulator;
  return tile;
}

void MatmulEmitter::emitResult(ValueRange token, Value column, Value sumsRow,
                               Value offset, Value columnsEnd) {
  unsigned columnDim = rank - 1;
  RegionEmitter emitter(b, b.getLoc(), rank);
  for (auto [dim, index] : llvm::enumerate(token))
    emitter.bindDim(dim, index);
  Lanes lanes;
  lanes.dim = columnDim;
  lanes.width = s.lanes;
  if (columnsEnd) {
    lanes.mask = vector::CreateMaskOp::create(
        b, VectorType::get(s.lanes, b.getI1Type()),
        ValueRange{index.sub(columnsEnd, column)});
    lanes.last = index.sub(columnsEnd, index.constant(1));
  }
  emitter.setLanes(lanes);
  emitter.bindDim(columnDim, column);

  // Sums have all the panel's columns.
  Value sum = vector::LoadOp::create(b, VectorType::get(s.lanes, accumulator),
                                     sums, ValueRange{sumsRow, offset});
  Value result = convert(sum, outputElement);
  if (matmul.epilogue) {
    Block &block = matmul.epilogue->front();
    llvm::SmallBitVector columnOnly(rank + 1);
    columnOnly.set(columnDim);
    emitter.addBody(block);
    emitter.bindSource(
        block.getArgument(0), [result](const Offsets &) { return result; },
        columnOnly);
    for (unsigned i = 0, e = matmul.epilogueInputs.size(); i != e; ++i)
      emitter.bindAccess(block.getArgument(i + 1),
                         {matmul.epilogueInputs[i], matmul.epilogueMaps[i]});
    result = emitter.getVector(block.getTerminator()->getOperand(0),
                               emitter.zeroOffsets());
  }
  emitter.store({matmul.output, b.getMultiDimIdentityMap(rank)}, result,
                emitter.zeroOffsets());
}

void MatmulEmitter::emitResults(Value row, Value rows, Value panel,
                                Value sumsRow) {
  Value firstColumn = index.mul(panel, s.width);
  Value width = index.constant(s.width);
  if (s.columns % s.width)
    width = index.min(width, index.sub(index.constant(s.columns), firstColumn));
  Value main = index.roundDown(width, s.lanes);
  forTokens(row, rows, [&](Value i, ValueRange token) {
    Value position = index.add(sumsRow, i);
    forRange(index.constant(0), main, s.lanes, [&](Value offset) {
      emitResult(token, index.add(firstColumn, offset), position, offset,
                 Value());
    });
    if (s.columns % s.lanes)
      forRange(main, width, s.lanes, [&](Value offset) {
        emitResult(token, index.add(firstColumn, offset), position, offset,
                   index.constant(s.columns));
      });
  });
}
