//===- AMXTile.cpp - Sums of a tile of a product in matrix registers ------===//
//
// Registers are numbered here, not by LLVM's allocator: all have the same shape
// for a whole task, so that nothing is configured or spilled in the loops.
//
//===----------------------------------------------------------------------===//

#include "Target/CPU/AMXTile.h"

#include "Target/CPU/IndexMath.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace ssmc::cpu;

/// Bytes of a row of a register.
static constexpr int64_t rowBytes = 64;
static constexpr int64_t numRegisters = 8;

static void call(ImplicitLocOpBuilder &b, StringRef name, ValueRange args) {
  LLVM::CallIntrinsicOp::create(b, b.getStringAttr(name), args);
}

static Value toPointer(ImplicitLocOpBuilder &b, Value address) {
  Value bits = arith::IndexCastOp::create(b, b.getI64Type(), address);
  return LLVM::IntToPtrOp::create(
      b, LLVM::LLVMPointerType::get(b.getContext()), bits);
}

/// The address of the first element.
static Value getAddress(ImplicitLocOpBuilder &b, Value memref) {
  IndexMath index(b);
  auto type = cast<MemRefType>(memref.getType());
  Value address = memref::ExtractAlignedPointerAsIndexOp::create(b, memref);
  SmallVector<int64_t> strides;
  int64_t offset;
  if (succeeded(type.getStridesAndOffset(strides, offset)) && offset == 0)
    return address;
  auto metadata = memref::ExtractStridedMetadataOp::create(b, memref);
  return index.add(address, index.mul(metadata.getOffset(),
                                      type.getElementTypeBitWidth() / 8));
}

Value ssmc::cpu::emitAMXRequest(ImplicitLocOpBuilder &b) {
  // arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA): 0, or a negative error.
  Type i64 = b.getI64Type();
  auto constant = [&](int64_t value) -> Value {
    return arith::ConstantOp::create(b, b.getI64IntegerAttr(value));
  };
  Value status =
      LLVM::InlineAsmOp::create(
          b, i64, ValueRange{constant(158), constant(0x1023), constant(18)},
          "syscall", "={rax},{rax},{rdi},{rsi},~{rcx},~{r11},~{memory}",
          /*has_side_effects=*/true, /*is_align_stack=*/false,
          LLVM::tailcallkind::TailCallKind::None,
          LLVM::AsmDialectAttr::get(b.getContext(), LLVM::AsmDialect::AD_ATT),
          /*operand_attrs=*/ArrayAttr())
          .getRes();
  return arith::CmpIOp::create(b, arith::CmpIPredicate::eq, status,
                               constant(0));
}

void ssmc::cpu::emitAMXBegin(ImplicitLocOpBuilder &b, Value memory) {
  // Palette 1; bytes of a row from byte 16 on, rows from byte 48 on.
  SmallVector<int8_t> bytes(64, 0);
  bytes[0] = 1;
  for (int64_t i = 0; i != numRegisters; ++i) {
    bytes[16 + 2 * i] = rowBytes;
    bytes[48 + i] = amxRows;
  }
  auto type = VectorType::get(64, b.getI8Type());
  Value shapes = arith::ConstantOp::create(
      b, DenseElementsAttr::get(type, ArrayRef<int8_t>(bytes)));
  IndexMath index(b);
  vector::StoreOp::create(b, shapes, memory, ValueRange{index.constant(0)});
  call(b, "llvm.x86.ldtilecfg", toPointer(b, getAddress(b, memory)));
}

void ssmc::cpu::emitAMXEnd(ImplicitLocOpBuilder &b) {
  call(b, "llvm.x86.tilerelease", {});
}

namespace {
class AMXEmitter {
public:
  AMXEmitter(ImplicitLocOpBuilder &b, const MatmulTile &tile)
      : b(b), index(b), tile(tile), rows(tile.rows / amxRows),
        columns(tile.width / amxRows) {}

  void emit();

private:
  Value number(int64_t i) {
    return arith::ConstantOp::create(b, b.getI8IntegerAttr(i));
  }
  Value bytes(int64_t i) {
    return arith::ConstantOp::create(b, b.getI64IntegerAttr(i));
  }
  // Sums in the first registers, then inputs, then weights.
  Value sum(int64_t r, int64_t c) { return number(r * columns + c); }
  Value input(int64_t r) { return number(4 + r); }
  Value weight(int64_t c) { return number(6 + c); }
  /// Applies `name` (a load or store) to every register of sums.
  void moveSums(StringRef name);
  void step(Value k);

  ImplicitLocOpBuilder &b;
  IndexMath index;
  const MatmulTile &tile;
  int64_t rows, columns;
  Value inputAddress, weightAddress, sumsAddress;
  int64_t inputStride = 0; // bytes from one token to the next
};
} // namespace

void AMXEmitter::moveSums(StringRef name) {
  int64_t stride = tile.width * 4;
  for (int64_t r = 0; r != rows; ++r)
    for (int64_t c = 0; c != columns; ++c) {
      Value address =
          index.add(sumsAddress, r * amxRows * stride + c * rowBytes);
      call(b, name, {sum(r, c), toPointer(b, address), bytes(stride)});
    }
}

void AMXEmitter::step(Value k) {
  Value inputs = index.add(inputAddress, index.mul(k, 2));
  for (int64_t r = 0; r != rows; ++r) {
    Value address = index.add(inputs, r * amxRows * inputStride);
    call(b, "llvm.x86.tileloadd64",
         {input(r), toPointer(b, address), bytes(inputStride)});
  }
  // A row of the panel is a pair of the depth.
  Value weights = index.add(weightAddress, index.mul(k, 2 * tile.width));
  for (int64_t c = 0; c != columns; ++c) {
    Value address = index.add(weights, c * rowBytes);
    call(b, "llvm.x86.tileloadd64",
         {weight(c), toPointer(b, address), bytes(4 * tile.width)});
  }
  for (int64_t r = 0; r != rows; ++r)
    for (int64_t c = 0; c != columns; ++c)
      call(b, "llvm.x86.tdpbf16ps", {sum(r, c), input(r), weight(c)});
}

void AMXEmitter::emit() {
  auto weightType = cast<MemRefType>(tile.weight.getType());
  inputStride = cast<MemRefType>(tile.input.getType()).getDimSize(1) * 2;
  inputAddress = getAddress(b, tile.input);
  Value pairs = index.add(
      index.mul(tile.panel, weightType.getDimSize(1)),
      index.div(tile.depthBegin, index.constant(2)));
  weightAddress = index.add(getAddress(b, tile.weight),
                            index.mul(pairs, 4 * tile.width));
  sumsAddress = index.add(getAddress(b, tile.sums),
                          index.mul(tile.sumsRow, 4 * tile.width));

  auto clear = [&] {
    for (int64_t r = 0; r != rows; ++r)
      for (int64_t c = 0; c != columns; ++c)
        call(b, "llvm.x86.tilezero", sum(r, c));
  };
  if (tile.resume) {
    scf::IfOp::create(
        b, tile.resume,
        [&](OpBuilder &, Location) {
          moveSums("llvm.x86.tileloadd64");
          scf::YieldOp::create(b);
        },
        [&](OpBuilder &, Location) {
          clear();
          scf::YieldOp::create(b);
        });
  } else {
    clear();
  }
  scf::ForOp::create(b, index.constant(0), tile.depth, index.constant(amxDepth),
                     ValueRange{},
                     [&](OpBuilder &, Location, Value k, ValueRange) {
                       step(k);
                       scf::YieldOp::create(b);
                     });
  moveSums("llvm.x86.tilestored64");
}

void ssmc::cpu::emitAMXTile(ImplicitLocOpBuilder &b, const MatmulTile &tile) {
  AMXEmitter(b, tile).emit();
}
