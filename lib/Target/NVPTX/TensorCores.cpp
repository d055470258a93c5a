//===- TensorCores.cpp - Products by the tensor cores of a warp -----------===//

#include "Target/NVPTX/TensorCores.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

using namespace mlir;
using namespace ssmc;
using namespace ssmc::nvptx;

namespace {
constexpr int64_t kTile = 8;
} // namespace

void nvptx::emitMma(OpBuilder &b, Location loc, ValueRange left, ValueRange right,
                    MutableArrayRef<Value> sums, NVVM::MMATypes type) {
  SmallVector<Type> types(sums.size(), b.getF32Type());
  auto result = NVVM::MmaOp::create(
      b, loc, LLVM::LLVMStructType::getLiteral(b.getContext(), types), left, right, sums,
      ArrayRef<int64_t>{16, 8, 16}, /*b1Op=*/std::nullopt, /*intOverflow=*/std::nullopt,
      std::array{type, type}, std::array{NVVM::MMALayout::row, NVVM::MMALayout::col});
  for (auto [i, sum] : llvm::enumerate(sums))
    sum = LLVM::ExtractValueOp::create(b, loc, result, i);
}

SmallVector<Value> nvptx::emitLdMatrix(OpBuilder &b, Location loc, Value pointer,
                                       bool transposed) {
  Type i32 = b.getI32Type();
  auto type = LLVM::LLVMStructType::getLiteral(b.getContext(), {i32, i32, i32, i32});
  auto layout = NVVM::MMALayoutAttr::get(b.getContext(), transposed ? NVVM::MMALayout::col
                                                                    : NVVM::MMALayout::row);
  auto shape = NVVM::LdStMatrixShapeAttr::get(b.getContext(), kTile, kTile);
  auto element =
      NVVM::LdStMatrixEltTypeAttr::get(b.getContext(), NVVM::LdStMatrixEltType::B16);
  Value tiles = NVVM::LdMatrixOp::create(b, loc, type, pointer, b.getI32IntegerAttr(4), layout,
                                         shape, element);
  SmallVector<Value> registers;
  for (int64_t i = 0; i < 4; ++i)
    registers.push_back(LLVM::ExtractValueOp::create(b, loc, tiles, i));
  return registers;
}

Value nvptx::getSharedPointer(OpBuilder &b, Location loc, Value buffer) {
  Value address = memref::ExtractAlignedPointerAsIndexOp::create(b, loc, buffer);
  address = arith::IndexCastOp::create(b, loc, b.getI64Type(), address);
  auto type = LLVM::LLVMPointerType::get(b.getContext(),
                                         unsigned(NVVM::NVVMMemorySpace::Shared));
  return LLVM::IntToPtrOp::create(b, loc, type, address);
}

static Value constantI32(OpBuilder &b, Location loc, int64_t value) {
  return arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(int32_t(value)));
}

Value TensorCores::getOffset(Order order, Value lane, int64_t stride) {
  OpBuilder &b = loops.builder;
  Location loc = loops.loc;
  Value tile = loops.index(kTile), two = loops.index(2);
  Value row = arith::RemUIOp::create(b, loc, lane, tile);
  Value first = arith::DivUIOp::create(b, loc, lane, tile);
  Value second = arith::DivUIOp::create(b, loc, first, two);
  first = arith::RemUIOp::create(b, loc, first, two);
  if (order == Order::besideFirst)
    std::swap(first, second);
  row = loops.add(row, loops.mul(first, tile));
  return loops.add(loops.mul(row, loops.index(stride)), loops.mul(second, tile));
}

SmallVector<Value> TensorCores::split(Value low, Value high) {
  OpBuilder &b = loops.builder;
  Location loc = loops.loc;
  Type pairType = VectorType::get({2}, b.getBF16Type());
  SmallVector<Value> pairs;
  for (int64_t term = 0; term < terms; ++term) {
    Value pair = LLVM::CallIntrinsicOp::create(
                     b, loc, pairType, b.getStringAttr("llvm.nvvm.ff2bf16x2.rn"),
                     ValueRange{high, low})
                     ->getResult(0);
    pairs.push_back(LLVM::BitcastOp::create(b, loc, b.getI32Type(), pair));
    if (term + 1 == terms)
      break;
    auto [roundedLow, roundedHigh] = join(pairs.back());
    low = loops.sub(low, roundedLow);
    high = loops.sub(high, roundedHigh);
  }
  return pairs;
}

std::pair<Value, Value> TensorCores::join(ValueRange pairs) {
  OpBuilder &b = loops.builder;
  Location loc = loops.loc;
  Value low, high;
  for (Value pair : pairs) {
    // The bits of a bf16 are the upper half of an f32's.
    Value lowBits = arith::ShLIOp::create(b, loc, pair, constantI32(b, loc, 16));
    Value highBits = arith::AndIOp::create(b, loc, pair, constantI32(b, loc, 0xFFFF0000));
    Value ofLow = arith::BitcastOp::create(b, loc, b.getF32Type(), lowBits);
    Value ofHigh = arith::BitcastOp::create(b, loc, b.getF32Type(), highBits);
    low = low ? loops.add(low, ofLow) : ofLow;
    high = high ? loops.add(high, ofHigh) : ofHigh;
  }
  return {low, high};
}

TensorCores::Fragment TensorCores::splitSums(ArrayRef<Value> sums) {
  Fragment fragment(terms);
  for (int64_t i = 0; i < int64_t(sums.size()); i += 2)
    for (auto [term, pair] : llvm::enumerate(split(sums[i], sums[i + 1])))
      fragment[term].push_back(pair);
  return fragment;
}

Value TensorCores::at(Value pointer, Value offset) {
  OpBuilder &b = loops.builder;
  if (offset.getType().isIndex())
    offset = arith::IndexCastOp::create(b, loops.loc, b.getI32Type(), offset);
  return LLVM::GEPOp::create(b, loops.loc, pointer.getType(), b.getBF16Type(), pointer,
                             ArrayRef<LLVM::GEPArg>{offset});
}

Value TensorCores::at(Value pointer, int64_t offset) {
  if (offset == 0)
    return pointer;
  OpBuilder &b = loops.builder;
  return LLVM::GEPOp::create(b, loops.loc, pointer.getType(), b.getBF16Type(), pointer,
                             ArrayRef<LLVM::GEPArg>{int32_t(offset)});
}

TensorCores::Fragment TensorCores::load(const SharedMatrix &matrix, Value lane, int64_t row,
                                        int64_t column, bool transposed) {
  Value place = at(matrix.pointer, lane);
  Fragment fragment;
  for (int64_t term = 0; term < terms; ++term) {
    int64_t offset = term * sizeOf(matrix) + row * matrix.stride + column;
    fragment.push_back(
        emitLdMatrix(loops.builder, loops.loc, at(place, offset), transposed));
  }
  return fragment;
}

void TensorCores::store(ValueRange pairs, const SharedMatrix &matrix, Value offset) {
  Value place = at(matrix.pointer, offset);
  for (auto [term, pair] : llvm::enumerate(pairs))
    LLVM::StoreOp::create(loops.builder, loops.loc, pair,
                          at(place, int64_t(term) * sizeOf(matrix)));
}

Value TensorCores::transpose(Value pair) {
  OpBuilder &b = loops.builder;
  MLIRContext *context = b.getContext();
  return LLVM::InlineAsmOp::create(
             b, loops.loc, b.getI32Type(), ValueRange{pair},
             b.getStringAttr("movmatrix.sync.aligned.m8n8.trans.b16 $0, $1;"),
             b.getStringAttr("=r,r"), /*has_side_effects=*/b.getUnitAttr(), UnitAttr(),
             LLVM::TailCallKindAttr::get(context, LLVM::TailCallKind::None),
             LLVM::AsmDialectAttr(), ArrayAttr())
      ->getResult(0);
}

void TensorCores::storeWords(ValueRange vectors, const SharedMatrix &matrix, Value offset) {
  Value place = at(matrix.pointer, offset);
  for (auto [term, vector] : llvm::enumerate(vectors)) {
    unsigned bytes = cast<VectorType>(vector.getType()).getNumElements() * 4;
    LLVM::StoreOp::create(loops.builder, loops.loc, vector,
                          at(place, int64_t(term) * sizeOf(matrix)), bytes);
  }
}

void TensorCores::storeNumber(Value number, const SharedMatrix &matrix, Value offset) {
  OpBuilder &b = loops.builder;
  Value place = at(matrix.pointer, offset);
  for (int64_t term = 0; term < terms; ++term) {
    Value rounded = loops.convert(number, b.getBF16Type());
    LLVM::StoreOp::create(b, loops.loc, rounded, at(place, term * sizeOf(matrix)));
    if (term + 1 < terms)
      number = loops.sub(number, loops.convert(rounded, number.getType()));
  }
}

void TensorCores::multiply(MutableArrayRef<Value> sums, const Fragment &left,
                           const Fragment &right, int64_t which) {
  // The smallest products first; those beyond the last term's precision are left out.
  for (int64_t both = terms - 1; both >= 0; --both)
    for (int64_t term = 0; term <= both; ++term)
      emitMma(loops.builder, loops.loc, left[term],
              ArrayRef<Value>(right[both - term]).slice(2 * which, 2), sums,
              NVVM::MMATypes::bf16);
}
