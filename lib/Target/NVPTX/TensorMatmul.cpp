//===- TensorMatmul.cpp - Products by tensor cores: operands, the choice --===//

#include "Target/NVPTX/TensorMatmul.h"
#include "Target/NVPTX/Buffers.h"
#include "Target/NVPTX/Lowering.h"
#include "Target/NVPTX/TensorCores.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::nvptx;

static constexpr int64_t kMaxGridY = 65535; // of the hardware

//===----------------------------------------------------------------------===//
// Operands
//===----------------------------------------------------------------------===//

/// Whether all rows of `value` begin at multiples of 16 bytes.
static bool hasAlignedRows(Value value) {
  while (Operation *def = value.getDefiningOp()) {
    if (!isa<memref::CollapseShapeOp, memref::ExpandShapeOp>(def))
      break;
    value = def->getOperand(0);
  }
  int64_t bits = cast<MemRefType>(value.getType()).getElementTypeBitWidth();
  // Temporaries are aligned; who calls says nothing of tensors.
  return getBuffer(value).getDefiningOp<memref::ViewOp>() &&
         getRowUnit(value) * bits % (8 * kVectorBytes) == 0;
}

bool TensorMatmul::fits() {
  if (!op.hasPureBufferSemantics() || width != 1 ||
      weightType.getElementTypeBitWidth() != 16 || !type.isF32() ||
      ShapedType::isDynamic(depth) || depth <= 0 || ShapedType::isDynamic(panels) ||
      panels > kMaxGridY * kColumns)
    return false;
  if ((norm && !canNorm()) || (conv && !canConvolve()))
    return false;
  if (!op.getRoundInput() && inputType.getElementType() != element)
    return false;
  auto [strides, offset] = weightType.getStridesAndOffset();
  return weightType.getShape()[1] * 2 % kVector == 0 && strides[1] == 2 &&
         !ShapedType::isDynamic(strides[0]) && strides[0] % kVector == 0;
}

Value TensorMatmul::loadVector(Value memref, ArrayRef<Value> indices, MemRefType type) {
  return vector::LoadOp::create(b, loc, VectorType::get(kVector, type.getElementType()), memref,
                                indices, /*nontemporal=*/false, llvm::MaybeAlign(kVectorBytes));
}

Value TensorMatmul::guard(Value k, int64_t end, bool isGuarded,
                          function_ref<Value(Value)> load) {
  if (!isGuarded)
    return load(k);
  Value numbers = load(least(k, loops.index(end - kVector)));
  Value zero = arith::ConstantOp::create(b, loc, b.getZeroAttr(numbers.getType()));
  return loops.select(loops.less(k, loops.index(end)), numbers, zero);
}

Value TensorMatmul::loadWeight(Value column, Value k, bool isGuarded) {
  Value zero = loops.index(0);
  return guard(k, weightType.getShape()[1] * 2, isGuarded, [&](Value k) {
    return loadVector(op.getWeight(), {column, div(k, 2), zero, zero}, weightType);
  });
}

bool TensorMatmul::canCopyTokens() {
  return inputType.getElementType() == element && depth % kVector == 0 &&
         hasAlignedRows(op.getInput());
}

Value TensorMatmul::loadToken(ArrayRef<Value> leading, Value k, bool isGuarded) {
  SmallVector<Value> indices(leading);
  indices.push_back(k);
  if (depth % kVector == 0 && hasAlignedRows(op.getInput()))
    return guard(k, depth, isGuarded, [&](Value k) {
      indices.back() = k;
      return loadVector(op.getInput(), indices, inputType);
    });
  // One by one: nothing is known of the address, or the end is within.
  Type number = inputType.getElementType();
  Value zero = loops.constant(number, 0.0), last = loops.index(depth - 1);
  bool isRagged = isGuarded || depth % kVector != 0;
  SmallVector<Value> values;
  for (int64_t i = 0; i < kVector; ++i) {
    Value at = loops.add(k, loops.index(i));
    indices.back() = isRagged ? least(at, last) : at;
    Value value = loops.load(op.getInput(), indices);
    values.push_back(isRagged ? loops.select(loops.less(at, loops.index(depth)), value, zero)
                              : value);
  }
  return vector::FromElementsOp::create(b, loc, VectorType::get(kVector, number), values);
}

Value TensorMatmul::round(Value numbers) {
  if (numbers.getType() == vectorType)
    return numbers;
  return arith::TruncFOp::create(b, loc, vectorType, numbers);
}

Value TensorMatmul::loadNormed(NormRow &row, ArrayRef<Value> leading, Value k,
                               bool isGuarded, Value *squares) {
  Value input = norm.getInput();
  Value isThere;
  if (isGuarded) { // what is not there meets weights that are zero
    isThere = loops.less(k, loops.index(depth));
    k = least(k, loops.index(depth - kVector));
  }
  SmallVector<Value> at(leading);
  at.push_back(k);
  // Eight numbers that follow each other; null where nothing is known of the
  // address.
  auto loadWide = [&](Value memref, ArrayRef<Value> indices, bool isAligned) {
    return isAligned
               ? loadVector(memref, indices, cast<MemRefType>(memref.getType()))
               : Value();
  };
  Value wide = loadWide(input, at, hasAlignedRows(input));
  SmallVector<Value> wideOperands;
  for (auto [operand, map] :
       llvm::zip_equal(norm.getEpilogueIns(),
                       norm.getEpilogueMaps().getAsValueRange<AffineMapAttr>()))
    wideOperands.push_back(
        loadWide(operand, loops.apply(map, at),
                 isTable(operand) &&
                     getNeighbours(operand, map, rank - 1, /*ofSlices=*/true) %
                             kVector ==
                         0));
  SmallVector<Value> values;
  for (int64_t i = 0; i < kVector; ++i) {
    at.back() = loops.add(k, loops.index(i));
    Value x = wide ? Value(vector::ExtractOp::create(b, loc, wide, i)) : loops.load(input, at);
    x = loops.convert(x, type);
    if (squares) {
      Value square = loops.mul(x, x);
      if (isThere)
        square = loops.select(isThere, square, loops.constant(type, 0.0));
      *squares = loops.add(*squares, square);
    }
    Value y = squares ? x : row.apply(x);
    auto loadOperand = [&](unsigned number) -> Value {
      if (Value loaded = wideOperands[number])
        return vector::ExtractOp::create(b, loc, loaded, i);
      auto map = cast<AffineMapAttr>(norm.getEpilogueMaps()[number]);
      return loops.load(norm.getEpilogueIns()[number],
                        loops.apply(map.getValue(), at));
    };
    y = loops.inlineEpilogue(norm.getEpilogue(), y, loadOperand).front();
    values.push_back(loops.convert(y, element));
  }
  return vector::FromElementsOp::create(b, loc, vectorType, values);
}

//===----------------------------------------------------------------------===//
// Copies
//===----------------------------------------------------------------------===//

Value TensorMatmul::makePointer(Value memref, ArrayRef<Value> indices) {
  auto global = LLVM::LLVMPointerType::get(b.getContext(),
                                           unsigned(NVVM::NVVMMemorySpace::Global));
  return LLVM::IntToPtrOp::create(b, loc, global, addressOf(b, loc, memref, indices));
}

Value TensorMatmul::at(Value base, Value bytes) {
  return LLVM::GEPOp::create(b, loc, base.getType(), b.getI8Type(), base,
                             ArrayRef<LLVM::GEPArg>{bytes});
}

Value TensorMatmul::at(Value base, int64_t bytes) {
  return LLVM::GEPOp::create(b, loc, base.getType(), b.getI8Type(), base,
                             ArrayRef<LLVM::GEPArg>{int32_t(bytes)});
}

void TensorMatmul::copyPiece(Value target, Value source, Value k, int64_t end,
                             bool isGuarded) {
  Value from = at(source, arith::IndexCastOp::create(b, loc, b.getI64Type(),
                                                     loops.mul(k, loops.index(2))));
  Value bytes;
  if (isGuarded) { // zeros beyond the end, where nothing is read
    auto count = [&](int64_t value) -> Value {
      return arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(int32_t(value)));
    };
    Value isThere = loops.less(k, loops.index(end));
    from = loops.select(isThere, from, source);
    bytes = loops.select(isThere, count(kVectorBytes), count(0));
  }
  NVVM::CpAsyncOp::create(b, loc, target, from, kVectorBytes,
                          NVVM::LoadCacheModifierKind::CG, bytes);
}

//===----------------------------------------------------------------------===//
// Instructions
//===----------------------------------------------------------------------===//

SmallVector<Value> TensorMatmul::registersOf(Value vector) {
  Type word = b.getI32Type();
  Value words = vector::BitCastOp::create(b, loc, VectorType::get(4, word), vector);
  SmallVector<Value> registers;
  for (int64_t i = 0; i < 4; ++i) {
    Value one = vector::ExtractOp::create(b, loc, words, i);
    if (element.isF16())
      one = LLVM::BitcastOp::create(b, loc, VectorType::get(2, element), one);
    registers.push_back(one);
  }
  return registers;
}

void TensorMatmul::multiply(ArrayRef<Value> left, ArrayRef<Value> right,
                            MutableArrayRef<Value> sums) {
  emitMma(b, loc, left, right, sums,
          element.isBF16() ? NVVM::MMATypes::bf16 : NVVM::MMATypes::f16);
}

void TensorMatmul::multiply(Value low, Value high, Value token, Sums &first, Sums &second) {
  SmallVector<Value> l = registersOf(low), h = registersOf(high), t = registersOf(token);
  multiply({l[0], h[0], l[1], h[1]}, {t[0], t[1]}, first);
  multiply({l[2], h[2], l[3], h[3]}, {t[2], t[3]}, second);
}

//===----------------------------------------------------------------------===//
// The choice
//===----------------------------------------------------------------------===//

void TensorMatmul::emitProduct() {
  if (!norm)
    return emitMany();
  choose(
      rows, countNormed(), [&] { emitFewForms(norm, ConvOp()); },
      [&] {
        (void)lowerNorm(
            b,
            std::exchange(norm, {})); // where it does not fit, the literal form
        emitMany();
      });
}

void TensorMatmul::run() {
  OpBuilder::InsertionGuard inner(b);
  if (conv)
    b.setInsertionPoint(conv);
  countRows();
  if (!conv)
    return emitProduct();
  Value isFew =
      loops.less(rows, loops.index((norm ? countNormed() : kTokens) + 1));
  Value isSingle = loops.less(leadingSizes.back(), loops.index(2));
  auto emitSingle = [&] {
    Value tokens = std::exchange(leadingSizes.back(), loops.index(1));
    emitFewForms(norm, conv);
    leadingSizes.back() = tokens;
  };
  loops.when(both(isFew, isSingle), emitSingle, [&] {
    emitProduct();
    (void)lowerConv(b, conv);
  });
}

/// Whether what `op` reads and what `later` writes are different memory.
static bool isKeptFor(NormOp op, MatmulOp later) {
  if (getBuffer(op.getInput()) == getBuffer(later.getOutput()))
    return false;
  // What is added to was there before the norm read its input.
  return llvm::is_contained(later.getEpilogueIns(), later.getOutput()) ||
         isReadAfter(later, op.getInput());
}

static NormOp findNormOf(MatmulOp op) {
  NormOp norm;
  for (Operation *user : op.getInput().getUsers())
    if (user != op) {
      auto one = dyn_cast<NormOp>(user);
      if (!one || norm || one.getOutput() != op.getInput())
        return {};
      norm = one;
    }
  if (!norm || !norm.hasPureBufferSemantics() || !follow(norm, op) ||
      norm.getGroups() != 1 || norm.getInput() == op.getInput() ||
      llvm::is_contained(norm.getEpilogueIns(), op.getInput()) ||
      !isKeptFor(norm, op))
    return {};
  return norm;
}

std::optional<int64_t> nvptx::firstColumnOf(Value view, Value whole) {
  if (view == whole)
    return 0;
  auto part = view.getDefiningOp<memref::SubViewOp>();
  if (!part || part.getSource() != whole || part.getDroppedDims().any() ||
      !llvm::all_of(part.getStaticStrides(),
                    [](int64_t stride) { return stride == 1; }) ||
      !llvm::all_of(part.getStaticOffsets().drop_back(),
                    [](int64_t at) { return at == 0; }) ||
      ShapedType::isDynamic(part.getStaticOffsets().back()) ||
      ShapedType::isDynamic(part.getStaticSizes().back()))
    return std::nullopt;
  return part.getStaticOffsets().back();
}

/// The convolution of columns of `op`, if what other blocks still read then is
/// kept.
static ConvOp findConvOf(MatmulOp op, NormOp norm) {
  auto next = op->getNextNode();
  while (next && isMemoryEffectFree(next))
    next = next->getNextNode();
  auto conv = dyn_cast_or_null<ConvOp>(next);
  if (!conv || !ConvStep::fits(conv) ||
      conv.getInputMap().getNumResults() != 3 ||
      !firstColumnOf(conv.getInput(), op.getOutput()))
    return {};
  SmallVector<Value> read(op.getEpilogueIns());
  read.push_back(norm ? norm.getInput() : op.getInput());
  if (norm)
    llvm::append_range(read, norm.getEpilogueIns());
  for (Value memory : read)
    if (isTemporary(memory) && !isReadAfter(conv, memory))
      return {};
  return conv;
}

Neighbours nvptx::findNeighbours(RewriterBase &rewriter, MatmulOp op, Device device) {
  Neighbours found;
  auto fits = [&] { return TensorMatmul(op, found, device, rewriter).fits(); };
  if (!fits())
    return found;
  found.norm = findNormOf(op);
  if (!fits())
    found.norm = {};
  found.conv = findConvOf(op, found.norm);
  if (!fits())
    found.conv = {};
  return found;
}

LogicalResult nvptx::lowerTensorMatmul(RewriterBase &rewriter, MatmulOp op,
                                       Neighbours neighbours, Device device) {
  TensorMatmul kernels(op, neighbours, device, rewriter);
  if (!kernels.fits())
    return failure();
  kernels.run();
  rewriter.eraseOp(op);
  return success();
}
