//===- Launch.cpp - Launches whose threads work together ------------------===//

#include "Target/NVPTX/Launch.h"
#include "Target/NVPTX/Passes.h"
#include "Target/NVPTX/TensorCores.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include <numeric>

using namespace mlir;
using namespace ssmc;

MemRefType nvptx::sharedType(ArrayRef<int64_t> shape, Type element) {
  auto space = gpu::AddressSpaceAttr::get(element.getContext(),
                                          gpu::AddressSpace::Workgroup);
  return MemRefType::get(shape, element, MemRefLayoutAttrInterface(), space);
}

gpu::LaunchOp nvptx::startLaunch(OpBuilder &b, Location loc, Value gridX, Value gridY,
                                 int64_t threads, ArrayRef<MemRefType> shared,
                                 Value fewer) {
  Value one = arith::ConstantIndexOp::create(b, loc, 1);
  Value size = fewer ? fewer : arith::ConstantIndexOp::create(b, loc, threads);
  SmallVector<Type> types(shared.begin(), shared.end());
  auto launch = gpu::LaunchOp::create(b, loc, gridX, gridY, one, size, one, one, Value(),
                                      Type(), ValueRange(), types);
  launch->setAttr(kBlockAttr, b.getI64IntegerAttr(threads));
  b.setInsertionPointToStart(&launch.getBody().front());
  gpu::TerminatorOp::create(b, loc);
  b.setInsertionPointToStart(&launch.getBody().front());
  return launch;
}

int64_t nvptx::getRowUnit(Value memref, bool ofSlices) {
  auto type = cast<MemRefType>(memref.getType());
  if (type.getRank() == 0)
    return 1;
  if (auto view = memref.getDefiningOp<memref::SubViewOp>()) {
    int64_t offset = view.getStaticOffsets().back(), size = view.getStaticSizes().back();
    bool isPlain = llvm::all_of(view.getStaticStrides(), [](int64_t s) { return s == 1; });
    llvm::SmallBitVector dropped = view.getDroppedDims();
    bool isSlice = dropped.any() && !dropped.test(dropped.size() - 1);
    if (!isPlain || (dropped.any() && !(isSlice && ofSlices)) ||
        ShapedType::isDynamic(offset) || ShapedType::isDynamic(size))
      return 1;
    return std::gcd(std::gcd(getRowUnit(view.getSource(), ofSlices), offset),
                    size);
  }
  int64_t extent = type.getShape().back();
  return !type.getLayout().isIdentity() || ShapedType::isDynamic(extent) ? 1 : extent;
}

int64_t nvptx::getNeighbours(Value memref, AffineMap map, unsigned dim,
                             bool ofSlices) {
  if (map.getNumResults() == 0)
    return 1;
  auto last = dyn_cast<AffineDimExpr>(map.getResults().back());
  if (!last || last.getPosition() != dim)
    return 1;
  for (AffineExpr other : map.getResults().drop_back())
    if (other.isFunctionOfDim(dim))
      return 1;
  return getRowUnit(memref, ofSlices);
}

Value nvptx::areAligned(OpBuilder &b, Location loc, ValueRange memrefs, int64_t bytes) {
  Value bits = arith::ConstantIndexOp::create(b, loc, 0);
  for (Value memref : memrefs)
    bits = arith::OrIOp::create(
        b, loc, bits, memref::ExtractAlignedPointerAsIndexOp::create(b, loc, memref));
  Value rest = arith::RemUIOp::create(b, loc, bits,
                                      arith::ConstantIndexOp::create(b, loc, bytes));
  return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, rest,
                               arith::ConstantIndexOp::create(b, loc, 0));
}

/// Neighbours of one access.
static VectorType vectorOf(Value memref, int64_t count) {
  return VectorType::get({count}, cast<MemRefType>(memref.getType()).getElementType());
}

static llvm::Align alignOf(VectorType type) {
  return llvm::Align(type.getNumElements() * type.getElementTypeBitWidth() / 8);
}

Value nvptx::loadNeighbours(OpBuilder &b, Location loc, Value memref, ValueRange indices,
                            int64_t count) {
  VectorType type = vectorOf(memref, count);
  return vector::LoadOp::create(b, loc, type, memref, indices, /*nontemporal=*/false,
                                alignOf(type));
}

void nvptx::storeNeighbours(OpBuilder &b, Location loc, ValueRange values, Value memref,
                            ValueRange indices) {
  VectorType type = vectorOf(memref, int64_t(values.size()));
  Value vector = vector::FromElementsOp::create(b, loc, type, values);
  vector::StoreOp::create(b, loc, vector, memref, indices, /*nontemporal=*/false,
                          alignOf(type));
}

Value nvptx::addressOf(OpBuilder &b, Location loc, Value memref,
                       ValueRange indices) {
  auto metadata = memref::ExtractStridedMetadataOp::create(b, loc, memref);
  Value offset = metadata.getOffset();
  for (auto [index, step] : llvm::zip_equal(indices, metadata.getStrides()))
    offset = arith::AddIOp::create(b, loc, offset,
                                   arith::MulIOp::create(b, loc, index, step));
  int64_t bytes =
      (cast<MemRefType>(memref.getType()).getElementTypeBitWidth() + 7) / 8;
  offset = arith::MulIOp::create(b, loc, offset,
                                 arith::ConstantIndexOp::create(b, loc, bytes));
  Value address =
      memref::ExtractAlignedPointerAsIndexOp::create(b, loc, memref);
  return arith::IndexCastOp::create(
      b, loc, b.getI64Type(), arith::AddIOp::create(b, loc, address, offset));
}

void nvptx::prefetchLine(OpBuilder &b, Location loc, Value address,
                         CacheLevel level) {
  Value pointer = LLVM::IntToPtrOp::create(
      b, loc, LLVM::LLVMPointerType::get(b.getContext()), address);
  LLVM::InlineAsmOp::create(
      b, loc, TypeRange(), ValueRange{pointer},
      b.getStringAttr(level == CacheLevel::own ? "prefetch.L1 [$0];"
                                               : "prefetch.L2 [$0];"),
      b.getStringAttr("l"), /*has_side_effects=*/b.getUnitAttr(), UnitAttr(),
      LLVM::TailCallKindAttr::get(b.getContext(), LLVM::TailCallKind::None),
      LLVM::AsmDialectAttr(), ArrayAttr());
}

bool nvptx::canCopyAhead(int64_t bytes) {
  return bytes == 4 || bytes == 8 || bytes == kVectorBytes;
}

void nvptx::copyAhead(OpBuilder &b, Location loc, Value buffer, Value offset, Value address,
                      int64_t bytes) {
  MLIRContext *context = b.getContext();
  Value from =
      LLVM::IntToPtrOp::create(b, loc, LLVM::LLVMPointerType::get(context, 1), address);
  Value to = arith::IndexCastOp::create(b, loc, b.getI32Type(), offset);
  to = LLVM::GEPOp::create(b, loc, LLVM::LLVMPointerType::get(context, 3), b.getI8Type(),
                           getSharedPointer(b, loc, buffer), ValueRange{to});
  NVVM::CpAsyncOp::create(b, loc, to, from, bytes,
                          bytes == kVectorBytes ? NVVM::LoadCacheModifierKind::CG
                                                : NVVM::LoadCacheModifierKind::CA,
                          Value());
}

SmallVector<Value> nvptx::extractElements(OpBuilder &b, Location loc, Value vector) {
  auto type = cast<VectorType>(vector.getType());
  int64_t count = type.getNumElements();
  SmallVector<Value> elements;
  if (!isa<FloatType>(type.getElementType()) || type.getElementTypeBitWidth() != 16) {
    for (int64_t i = 0; i < count; ++i)
      elements.push_back(vector::ExtractOp::create(b, loc, vector, i));
    return elements;
  }
  // Halves of registers.
  Type i32 = b.getI32Type();
  Value words =
      vector::BitCastOp::create(b, loc, VectorType::get({count / 2}, i32), vector);
  Value half = arith::ConstantIntOp::create(b, loc, i32, 16);
  for (int64_t i = 0; i < count; ++i) {
    Value word = vector::ExtractOp::create(b, loc, words, i / 2);
    if (i % 2)
      word = arith::ShRUIOp::create(b, loc, word, half);
    word = arith::TruncIOp::create(b, loc, b.getI16Type(), word);
    elements.push_back(arith::BitcastOp::create(b, loc, type.getElementType(), word));
  }
  return elements;
}
