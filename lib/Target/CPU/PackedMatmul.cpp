//===- PackedMatmul.cpp - Products by packed weights as loops -------------===//
//
// The loops around the register tile: partition into tasks, copies of inputs,
// epilogue. See the header for the order of the loops.
//
//===----------------------------------------------------------------------===//

#include "Target/CPU/PackedMatmul.h"

#include "Target/CPU/AMXTile.h"
#include "Target/CPU/IndexMath.h"
#include "Target/CPU/MatmulBlocking.h"
#include "Target/CPU/MatmulTile.h"
#include "Target/CPU/VectorEmitter.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace ssmc::cpu;

/// Tasks wanted of large products.
static constexpr int64_t wantedTasks = 16;

namespace {
class MatmulEmitter {
public:
  MatmulEmitter(ImplicitLocOpBuilder &b, const PackedMatmul &matmul,
                const KernelTarget &target, Type accumulator, BF16Unit unit)
      : b(b), index(b), matmul(matmul), target(target), unit(unit),
        accumulator(accumulator), s(matmul, target, accumulator, unit) {
    inputElement =
        unit == BF16Unit::None ? accumulator : Type(b.getBF16Type());
    auto type = cast<MemRefType>(matmul.output.getType());
    outputElement = type.getElementType();
    rank = type.getRank();
  }

  void emit();

private:
  void emitTask();
  void emitTiles();
  void emitDepthBlock(Value depthBegin);
  /// A tile of `rows` tokens (a value of `tileSizes`) from token `row` on.
  void emitTile(Value row, Value rows, Value depthBegin, Value depth);
  /// `count` panels from `panel` on.
  void emitSums(Value panel, Value count, Value rows, Value sumsRow,
                Value depthBegin, Value depth);
  /// Panels that a tile of `rows` tokens reads side by side.
  int64_t panelsAtOnce(int64_t rows) const;
  /// Rows of the sums from one panel to the next.
  int64_t sumsPanelStride() const {
    return isBlocked() ? s.maxRows : MatmulBlocking::maxStreamedRows;
  }
  void copyInputs(Value row, Value rows, Value depthBegin, Value depth);
  void copyInput(Value i, ValueRange token, Value depthBegin, Value depth);
  /// Epilogue and stores for `rows` tokens from `row` on, one panel.
  void emitResults(Value row, Value rows, Value panel, Value sumsRow);
  /// A vector of columns from `column` on, of which those before `columnsEnd`
  /// exist (null: all).
  void emitResult(ValueRange token, Value column, Value sumsRow, Value offset,
                  Value columnsEnd);

  /// Calls `body` for every one of `rows` tokens with its number and its
  /// indices in the leading dimensions.
  void forTokens(Value row, Value rows,
                 llvm::function_ref<void(Value, ValueRange)> body);
  void forRange(Value begin, Value end, int64_t step,
                llvm::function_ref<void(Value)> body);
  SmallVector<int64_t> tileSizes() const;
  Value convert(Value value, Type element) {
    return convertFloat(b, b.getLoc(), value, element);
  }
  /// An input, or a vector of inputs, as the tile wants it.
  Value convertInput(Value value);
  bool isBlocked() const { return s.depthBlocks > 1; }

  ImplicitLocOpBuilder &b;
  IndexMath index;
  const PackedMatmul &matmul;
  const KernelTarget &target;
  BF16Unit unit; // that this code uses
  Type accumulator, inputElement, outputElement;
  int64_t rank;
  MatmulBlocking s;

  Value weight;                  // pairs and columns as one dimension
  SmallVector<Value> tokenSizes; // the leading dimensions
  Value inputs, sums;            // buffers of a task
  Value rowBegin, rowEnd, panelBegin, panelEnd;
};
} // namespace

//===----------------------------------------------------------------------===//
// Helpers
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

SmallVector<int64_t> MatmulEmitter::tileSizes() const {
  if (unit == BF16Unit::Tiles)
    return {2 * amxRows, amxRows};
  SmallVector<int64_t> sizes = {s.tileRows};
  for (int64_t size = int64_t(1) << 10; size > 0; size /= 2)
    if (size < s.tileRows)
      sizes.push_back(size);
  return sizes;
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

//===----------------------------------------------------------------------===//
// Inputs
//===----------------------------------------------------------------------===//

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
// Results
//===----------------------------------------------------------------------===//

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

//===----------------------------------------------------------------------===//
// Loops
//===----------------------------------------------------------------------===//

int64_t MatmulEmitter::panelsAtOnce(int64_t rows) const {
  if (unit == BF16Unit::Tiles || rows > MatmulBlocking::maxStreamedRows)
    return 1;
  // Half of the registers for sums.
  int64_t fit = target.vectorRegisters / 2 / (rows * (s.width / s.lanes));
  return std::clamp<int64_t>(std::min(fit, s.streamedGroup), 1,
                             MatmulBlocking::maxStreams);
}

void MatmulEmitter::emitSums(Value panel, Value count, Value rows,
                             Value sumsRow, Value depthBegin, Value depth) {
  MatmulTile tile;
  tile.input = inputs;
  tile.weight = weight;
  tile.panel = panel;
  tile.depthBegin = depthBegin;
  tile.depth = depth;
  tile.depthDivisor =
      isBlocked() ? std::gcd(s.depth, s.depthBlock) : s.depth;
  tile.sums = sums;
  tile.sumsRow = sumsRow;
  tile.sumsPanelStride = sumsPanelStride();
  tile.width = s.width;
  tile.lanes = s.lanes;
  tile.accumulator = accumulator;
  if (isBlocked())
    tile.resume = index.less(index.constant(0), depthBegin);
  auto emitPanels = [&](Value first, int64_t panels) {
    tile.panel = index.add(panel, first);
    tile.sumsRow = index.add(sumsRow, index.mul(first, sumsPanelStride()));
    tile.panels = panels;
    if (unit == BF16Unit::Tiles)
      emitAMXTile(b, tile);
    else
      emitMatmulTile(b, tile);
  };
  auto emitSize = [&](int64_t size) {
    tile.rows = size;
    int64_t atOnce = panelsAtOnce(size);
    if (atOnce == 1)
      return emitPanels(index.constant(0), 1);
    scf::IfOp::create(
        b, index.equal(count, index.constant(atOnce)),
        [&](OpBuilder &, Location) {
          emitPanels(index.constant(0), atOnce);
          scf::YieldOp::create(b);
        },
        [&](OpBuilder &, Location) {
          forRange(index.constant(0), count, 1,
                   [&](Value first) { emitPanels(first, 1); });
          scf::YieldOp::create(b);
        });
  };
  SmallVector<int64_t> sizes = tileSizes();
  if (sizes.size() == 1) {
    emitSize(sizes[0]);
    return;
  }
  // The default is the full tile.
  auto choice = scf::IndexSwitchOp::create(
      b, TypeRange{}, rows, ArrayRef(sizes).drop_front(), sizes.size() - 1);
  for (auto [size, region] :
       llvm::zip_equal(sizes, choice->getRegions())) {
    OpBuilder::InsertionGuard guard(b);
    b.createBlock(&region);
    emitSize(size);
    scf::YieldOp::create(b);
  }
}

void MatmulEmitter::emitTile(Value row, Value rows, Value depthBegin,
                             Value depth) {
  // Vectors have tiles of exactly the tokens there are.
  Value tokens = rows;
  if (unit == BF16Unit::Tiles)
    tokens = index.min(rows, index.sub(rowEnd, row));
  copyInputs(row, tokens, depthBegin, depth);
  Value atOnce = index.constant(1);
  for (int64_t size : tileSizes())
    if (int64_t panels = panelsAtOnce(size); panels > 1)
      atOnce = index.select(index.equal(rows, index.constant(size)),
                            index.constant(panels), atOnce);
  auto emitPanels = [&](Value panel) {
    Value count = index.min(atOnce, index.sub(panelEnd, panel));
    if (isBlocked()) {
      Value sumsRow = index.add(
          index.mul(index.sub(panel, panelBegin), s.maxRows),
          index.sub(row, rowBegin));
      emitSums(panel, count, rows, sumsRow, depthBegin, depth);
      return;
    }
    emitSums(panel, count, rows, index.constant(0), depthBegin, depth);
    forRange(index.constant(0), count, 1, [&](Value i) {
      emitResults(row, tokens, index.add(panel, i),
                  index.mul(i, sumsPanelStride()));
    });
  };
  scf::ForOp::create(b, panelBegin, panelEnd, atOnce, ValueRange{},
                     [&](OpBuilder &, Location, Value panel, ValueRange) {
                       emitPanels(panel);
                       scf::YieldOp::create(b);
                     });
}

void MatmulEmitter::emitDepthBlock(Value depthBegin) {
  Value depth = index.constant(s.depth);
  if (isBlocked())
    depth = index.min(index.constant(s.depthBlock),
                      index.sub(index.constant(s.depth), depthBegin));
  auto loop = scf::WhileOp::create(
      b, TypeRange{b.getIndexType()}, ValueRange{rowBegin},
      [&](OpBuilder &, Location, ValueRange row) {
        scf::ConditionOp::create(b, index.less(row[0], rowEnd), row);
      },
      [&](OpBuilder &, Location, ValueRange row) {
        Value rest = index.sub(rowEnd, row[0]);
        SmallVector<int64_t> sizes = tileSizes();
        Value rows = index.constant(sizes.back());
        for (size_t i = sizes.size() - 1; i-- > 0;) {
          // A tile of matrix registers may have rows to spare.
          int64_t least = unit == BF16Unit::Tiles ? sizes[i + 1] + 1 : sizes[i];
          rows = index.select(index.less(rest, index.constant(least)), rows,
                              index.constant(sizes[i]));
        }
        emitTile(row[0], rows, depthBegin, depth);
        scf::YieldOp::create(b, index.add(row[0], rows));
      });
  (void)loop;
}

void MatmulEmitter::emitTask() {
  auto buffer = [&](ArrayRef<int64_t> shape, Type type) -> Value {
    return memref::AllocaOp::create(b, MemRefType::get(shape, type),
                                    b.getI64IntegerAttr(64));
  };
  // An odd number of cache lines, so that rows do not compete for a set.
  int64_t line = 64 / (inputElement.getIntOrFloatBitWidth() / 8);
  int64_t stride =
      llvm::alignTo(llvm::alignTo(s.depthBlock + 1, s.inputPadding), line);
  if (stride / line % 2 == 0)
    stride += line;
  inputs = buffer({s.tileRows, stride}, inputElement);
  int64_t sumsRows = isBlocked()
                         ? s.maxRows * s.group
                         : std::max(s.tileRows,
                                    std::min(s.streamedGroup, MatmulBlocking::maxStreams) *
                                        MatmulBlocking::maxStreamedRows);
  sums = buffer({sumsRows, s.width}, accumulator);
  if (unit == BF16Unit::Tiles)
    emitAMXBegin(b, buffer({64}, b.getI8Type()));
  emitTiles();
  if (unit == BF16Unit::Tiles)
    emitAMXEnd(b);
}

void MatmulEmitter::emitTiles() {
  if (!isBlocked()) {
    emitDepthBlock(index.constant(0));
    return;
  }
  forRange(index.constant(0), index.constant(s.depth), s.depthBlock,
           [&](Value depthBegin) { emitDepthBlock(depthBegin); });
  forRange(panelBegin, panelEnd, 1, [&](Value panel) {
    Value sumsRow =
        index.mul(index.sub(panel, panelBegin), s.maxRows);
    emitResults(rowBegin, index.sub(rowEnd, rowBegin), panel, sumsRow);
  });
}

/// The number of tokens of a product.
static Value getTokens(IndexMath &index, Value output) {
  Value tokens = index.constant(1);
  int64_t rank = cast<MemRefType>(output.getType()).getRank();
  for (int64_t d = 0; d + 1 < rank; ++d)
    tokens = index.mul(tokens, index.dim(output, d));
  return tokens;
}

void MatmulEmitter::emit() {
  weight = matmul.weight;
  auto weightType = cast<MemRefType>(weight.getType());
  if (weightType.getRank() == 4)
    weight = memref::CollapseShapeOp::create(
        b, weight, ArrayRef<ReassociationIndices>{{0}, {1}, {2, 3}});

  for (int64_t d = 0; d + 1 < rank; ++d)
    tokenSizes.push_back(index.dim(matmul.output, d));
  Value tokens = getTokens(index, matmul.output);

  // Few tokens: small groups, for the sake of tasks. Many: as many blocks of
  // tokens as the number of tasks asks for, but none too small or too large.
  Value isFew =
      index.less(tokens, index.constant(2 * s.tileRows));
  auto groupsOf = [&](int64_t group) { return (s.panels + group - 1) / group; };
  Value group = index.select(isFew, index.constant(s.streamedGroup),
                             index.constant(s.group));
  Value groups = index.select(isFew, index.constant(groupsOf(s.streamedGroup)),
                              index.constant(groupsOf(s.group)));
  int64_t wantedBlocks =
      (wantedTasks + groupsOf(s.group) - 1) / std::max<int64_t>(1, groupsOf(s.group));
  Value blocks = index.min(index.constant(wantedBlocks),
                           index.div(tokens, index.constant(s.minRows)));
  blocks =
      index.max(blocks, index.ceilDiv(tokens, index.constant(s.maxRows)));
  blocks = index.max(blocks, index.constant(1));
  Value rows = index.roundUp(index.ceilDiv(tokens, blocks), s.tileRows);
  rows = index.max(rows, index.constant(s.tileRows));
  blocks = index.ceilDiv(tokens, rows);

  auto parallel = scf::ParallelOp::create(
      b, ValueRange{index.constant(0)}, ValueRange{index.mul(blocks, groups)},
      ValueRange{index.constant(1)},
      [&](OpBuilder &, Location, ValueRange task) {
        // Block after block of tokens meets the same weights, which stay in the
        // core's own cache.
        rowBegin = index.mul(index.rem(task[0], blocks), rows);
        rowEnd = index.min(index.add(rowBegin, rows), tokens);
        panelBegin = index.mul(index.div(task[0], blocks), group);
        panelEnd = index.min(index.add(panelBegin, group),
                             index.constant(s.panels));
        emitTask();
      });
  parallel->setAttr("ssm.cost", b.getI64IntegerAttr(s.cost));
}

/// Whether panels are whole matrix registers.
static bool fitsTiles(MemRefType weight) {
  return weight.getDimSize(1) % (amxDepth / 2) == 0 &&
         (weight.getDimSize(2) == amxRows || weight.getDimSize(2) == 2 * amxRows);
}

LogicalResult ssmc::cpu::emitPackedMatmul(OpBuilder &builder, Location loc,
                                          const PackedMatmul &matmul,
                                          const KernelTarget &target) {
  auto input = cast<MemRefType>(matmul.input.getType());
  auto weight = cast<MemRefType>(matmul.weight.getType());
  auto output = cast<MemRefType>(matmul.output.getType());
  for (MemRefType type : {input, output})
    if (type.isDynamicDim(type.getRank() - 1))
      return emitError(loc) << "found " << type
                            << ", wanted a static last dimension";
  if (!weight.hasStaticShape() || !weight.areTrailingDimsContiguous(weight.getRank()))
    return emitError(loc) << "found packed weight " << weight
                          << ", wanted a static shape without gaps";
  // An empty sum of an empty product still needs its epilogue; a product
  // without columns has nothing to write.
  if (output.getShape().back() == 0)
    return success();
  Type accumulator = builder.getF32Type();
  for (MemRefType type : {input, weight, output})
    if (type.getElementType().isF64())
      accumulator = type.getElementType();
  ImplicitLocOpBuilder b(loc, builder);
  auto emit = [&](BF16Unit unit) {
    MatmulEmitter(b, matmul, target, accumulator, unit).emit();
  };
  bool isNarrow = matmul.roundInput && accumulator.isF32() &&
                  weight.getElementType().isBF16();
  if (isNarrow && target.bf16 == BF16Unit::Tiles && fitsTiles(weight)) {
    // Vectors fill the time of few tokens, which wait for memory, as well.
    IndexMath index(b);
    Value isMany = arith::CmpIOp::create(
        b, arith::CmpIPredicate::uge, getTokens(index, matmul.output),
        index.constant(amxRows / 2));
    auto request = [&](OpBuilder &, Location) {
      scf::YieldOp::create(b, emitAMXRequest(b));
    };
    auto no = [&](OpBuilder &, Location) {
      Value never = arith::ConstantOp::create(b, b.getBoolAttr(false));
      scf::YieldOp::create(b, never);
    };
    Value hasTiles = scf::IfOp::create(b, isMany, request, no).getResult(0);
    scf::IfOp::create(
        b, hasTiles,
        [&](OpBuilder &, Location) {
          emit(BF16Unit::Tiles);
          scf::YieldOp::create(b);
        },
        [&](OpBuilder &, Location) {
          emit(BF16Unit::None);
          scf::YieldOp::create(b);
        });
    return success();
  }
  emit(isNarrow && target.bf16 == BF16Unit::Dot ? BF16Unit::Dot
                                                : BF16Unit::None);
  return success();
}
