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
  if (norm && !canNorm())
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

Value TensorMatmul::loadNormed(NormRow &row, ArrayRef<Value> leading, Value k) {
  Value input = norm.getInput();
  auto type = cast<MemRefType>(input.getType());
  SmallVector<Value> at(leading);
  at.push_back(k);
  Value wide;
  if (hasAlignedRows(input))
    wide = loadVector(input, at, type);
  SmallVector<Value> values;
  for (int64_t i = 0; i < kVector; ++i) {
    at.back() = loops.add(k, loops.index(i));
    Value x = wide ? Value(vector::ExtractOp::create(b, loc, wide, i)) : loops.load(input, at);
    Value y = loops
                  .inlineEpilogue(norm.getEpilogue(), row.apply(loops.convert(x, type)),
                                  norm.getEpilogueIns(), norm.getEpilogueMaps(), at)
                  .front();
    values.push_back(loops.convert(y, element));
  }
  return vector::FromElementsOp::create(b, loc, vectorType, values);
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

void TensorMatmul::run() {
  countRows();
  OpBuilder::InsertionGuard inner(b);
  if (!norm)
    return emitMany();
  choose(rows, kTokens, [&] { emitFew(norm); }, [&] {
    (void)lowerNorm(b, norm); // takes the literal form where it does not fit
    emitMany();
  });
}

/// Whether what `op` reads and what `later` writes are different memory, by who else reads
/// them: the planner of memory keeps what is still to be read.
static bool isKeptFor(NormOp op, MatmulOp later) {
  if (getBuffer(op.getInput()) == getBuffer(later.getOutput()))
    return false;
  // What is added to was there before the norm read its input.
  if (llvm::is_contained(later.getEpilogueIns(), later.getOutput()))
    return true;
  for (Operation *user : op.getInput().getUsers())
    if (auto reader = dyn_cast<MatmulOp>(user);
        reader && reader->getBlock() == later->getBlock() && later->isBeforeInBlock(reader) &&
        (reader.getInput() == op.getInput() ||
         llvm::is_contained(reader.getEpilogueIns(), op.getInput())))
      return true;
  return false;
}

NormOp nvptx::findNormOf(RewriterBase &rewriter, MatmulOp op) {
  NormOp norm;
  for (Operation *user : op.getInput().getUsers())
    if (user != op) {
      auto one = dyn_cast<NormOp>(user);
      if (!one || norm || one.getOutput() != op.getInput())
        return {};
      norm = one;
    }
  if (!norm || !norm.hasPureBufferSemantics() || norm->getBlock() != op->getBlock() ||
      !norm->isBeforeInBlock(op) || norm.getGroups() != 1 || norm.getInput() == op.getInput() ||
      llvm::is_contained(norm.getEpilogueIns(), op.getInput()) || !isKeptFor(norm, op))
    return {};
  for (Operation *between = norm->getNextNode(); between != op; between = between->getNextNode())
    if (!isMemoryEffectFree(between))
      return {};
  return TensorMatmul(op, norm, rewriter).fits() ? norm : NormOp();
}

LogicalResult nvptx::lowerTensorMatmul(RewriterBase &rewriter, MatmulOp op, NormOp norm) {
  TensorMatmul kernels(op, norm, rewriter);
  if (!kernels.fits())
    return failure();
  kernels.run();
  rewriter.eraseOp(op);
  return success();
}
