//===- Warpgroup.cpp - Instructions of warpgroups (sm_90a) ----------------===//

#include "Target/NVPTX/Warpgroup.h"
#include "Target/NVPTX/TensorCores.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace ssmc;
using namespace ssmc::nvptx;

static constexpr int64_t kWarpLanes = 32;
static constexpr llvm::StringLiteral kMemory = "~{memory}";

WarpgroupEmitter::WarpgroupEmitter(OpBuilder &builder, Location loc)
    : KernelEmitter(builder, loc), i32(builder.getI32Type()), i64(builder.getI64Type()),
      f32(builder.getF32Type()) {}

//===----------------------------------------------------------------------===//
// Arithmetic
//===----------------------------------------------------------------------===//

Value WarpgroupEmitter::word(int64_t value) {
  return arith::ConstantOp::create(loops.builder, loops.loc,
                                   loops.builder.getI32IntegerAttr(int32_t(value)));
}

Value WarpgroupEmitter::addWords(Value left, Value right) {
  return arith::AddIOp::create(loops.builder, loops.loc, left, right);
}

Value WarpgroupEmitter::subWords(Value left, Value right) {
  return arith::SubIOp::create(loops.builder, loops.loc, left, right);
}

Value WarpgroupEmitter::mulWords(Value left, Value right) {
  return arith::MulIOp::create(loops.builder, loops.loc, left, right);
}

Value WarpgroupEmitter::divWords(Value left, int64_t right) {
  return arith::DivUIOp::create(loops.builder, loops.loc, left, word(right));
}

Value WarpgroupEmitter::remWords(Value left, int64_t right) {
  return arith::RemUIOp::create(loops.builder, loops.loc, left, word(right));
}

Value WarpgroupEmitter::exclusiveOr(Value left, Value right) {
  return arith::XOrIOp::create(loops.builder, loops.loc, left, right);
}

Value WarpgroupEmitter::compare(arith::CmpIPredicate predicate, Value left, Value right) {
  return arith::CmpIOp::create(loops.builder, loops.loc, predicate, left, right);
}

Value WarpgroupEmitter::isBelow(Value left, Value right) {
  return compare(arith::CmpIPredicate::ult, left, right);
}

Value WarpgroupEmitter::isEqual(Value left, int64_t right) {
  return compare(arith::CmpIPredicate::eq, left, word(right));
}

Value WarpgroupEmitter::toIndex(Value value) {
  return arith::IndexCastUIOp::create(loops.builder, loops.loc,
                                      loops.builder.getIndexType(), value);
}

Value WarpgroupEmitter::toWord(Value index) {
  return arith::IndexCastOp::create(loops.builder, loops.loc, i32, index);
}

Value WarpgroupEmitter::toLong(Value index) {
  return arith::IndexCastOp::create(loops.builder, loops.loc, i64, index);
}

Value WarpgroupEmitter::exp2(Value value) {
  return LLVM::CallIntrinsicOp::create(
             loops.builder, loops.loc, f32,
             loops.builder.getStringAttr("llvm.nvvm.ex2.approx.ftz.f"), ValueRange{value})
      ->getResult(0);
}

Value WarpgroupEmitter::pack(Value low, Value high) {
  OpBuilder &b = loops.builder;
  Value pair = LLVM::CallIntrinsicOp::create(
                   b, loops.loc, VectorType::get({2}, b.getBF16Type()),
                   b.getStringAttr("llvm.nvvm.ff2bf16x2.rn"), ValueRange{high, low})
                   ->getResult(0);
  return LLVM::BitcastOp::create(b, loops.loc, i32, pair);
}

Value WarpgroupEmitter::mulPairs(Value left, Value right) {
  OpBuilder &b = loops.builder;
  auto type = VectorType::get({2}, b.getBF16Type());
  left = LLVM::BitcastOp::create(b, loops.loc, type, left);
  right = LLVM::BitcastOp::create(b, loops.loc, type, right);
  Value product = LLVM::FMulOp::create(b, loops.loc, left, right);
  return LLVM::BitcastOp::create(b, loops.loc, i32, product);
}

Value WarpgroupEmitter::shuffle(Value value, int64_t lane) {
  return gpu::ShuffleOp::create(loops.builder, loops.loc, value, word(lane),
                                word(kWarpLanes), gpu::ShuffleMode::IDX)
      .getShuffleResult();
}

Value WarpgroupEmitter::shuffleUp(Value value, int64_t distance) {
  return gpu::ShuffleOp::create(loops.builder, loops.loc, value, word(distance),
                                word(kWarpLanes), gpu::ShuffleMode::UP)
      .getShuffleResult();
}

Value WarpgroupEmitter::renew(Value value) {
  return assembly("mov.b32 $0, $1;", "=r,r", value, i32)[0];
}

WarpgroupEmitter::Values WarpgroupEmitter::assembly(StringRef text, StringRef constraints,
                                                    ValueRange operands,
                                                    TypeRange results) {
  OpBuilder &b = loops.builder;
  SmallVector<Type> type;
  if (results.size() == 1)
    type.push_back(results[0]);
  else if (!results.empty())
    type.push_back(
        LLVM::LLVMStructType::getLiteral(b.getContext(), SmallVector<Type>(results)));
  auto op = LLVM::InlineAsmOp::create(
      b, loops.loc, type, operands, b.getStringAttr(text), b.getStringAttr(constraints),
      /*has_side_effects=*/b.getUnitAttr(), UnitAttr(),
      LLVM::TailCallKindAttr::get(b.getContext(), LLVM::TailCallKind::None),
      LLVM::AsmDialectAttr(), ArrayAttr());
  if (results.size() <= 1)
    return Values(op->getResults());
  Values values;
  for (size_t i = 0; i < results.size(); ++i)
    values.push_back(LLVM::ExtractValueOp::create(b, loops.loc, op->getResult(0), i));
  return values;
}

//===----------------------------------------------------------------------===//
// Shared memory
//===----------------------------------------------------------------------===//

Value WarpgroupEmitter::pointer(Value address) {
  OpBuilder &b = loops.builder;
  auto type =
      LLVM::LLVMPointerType::get(b.getContext(), unsigned(NVVM::NVVMMemorySpace::Shared));
  Value wide = arith::ExtUIOp::create(b, loops.loc, i64, address);
  return LLVM::IntToPtrOp::create(b, loops.loc, type, wide);
}

static Value further(OpBuilder &b, Location loc, Value pointer, int64_t offset) {
  return LLVM::GEPOp::create(b, loc, pointer.getType(), b.getI8Type(), pointer,
                             ArrayRef<LLVM::GEPArg>{int32_t(offset)});
}

Value WarpgroupEmitter::loadShared(Value address, int64_t offset, Type type) {
  OpBuilder &b = loops.builder;
  return LLVM::LoadOp::create(b, loops.loc, type,
                              further(b, loops.loc, pointer(address), offset));
}

WarpgroupEmitter::Values WarpgroupEmitter::loadPair(Value address, int64_t offset) {
  Value pair = loadShared(address, offset, VectorType::get({2}, f32));
  Values values;
  for (int64_t i = 0; i < 2; ++i)
    values.push_back(
        LLVM::ExtractElementOp::create(loops.builder, loops.loc, pair, word(i)));
  return values;
}

void WarpgroupEmitter::storeShared(Value value, Value address, int64_t offset) {
  OpBuilder &b = loops.builder;
  LLVM::StoreOp::create(b, loops.loc, value,
                        further(b, loops.loc, pointer(address), offset));
}

void WarpgroupEmitter::storePair(Value low, Value high, Value address, int64_t offset) {
  OpBuilder &b = loops.builder;
  Value pair = LLVM::UndefOp::create(b, loops.loc, VectorType::get({2}, f32));
  pair = LLVM::InsertElementOp::create(b, loops.loc, pair, low, word(0));
  pair = LLVM::InsertElementOp::create(b, loops.loc, pair, high, word(1));
  storeShared(pair, address, offset);
}

WarpgroupEmitter::Values WarpgroupEmitter::loadMatrices(Value address, int64_t offset,
                                                        bool transposed) {
  OpBuilder &b = loops.builder;
  return emitLdMatrix(b, loops.loc, further(b, loops.loc, pointer(address), offset),
                      transposed);
}

void WarpgroupEmitter::storeMatrices(ArrayRef<Value> registers, Value address,
                                     int64_t offset, bool transposed) {
  OpBuilder &b = loops.builder;
  MLIRContext *context = b.getContext();
  auto layout = NVVM::MMALayoutAttr::get(context, transposed ? NVVM::MMALayout::col
                                                             : NVVM::MMALayout::row);
  auto shape = NVVM::LdStMatrixShapeAttr::get(context, 8, 8);
  auto element = NVVM::LdStMatrixEltTypeAttr::get(context, NVVM::LdStMatrixEltType::B16);
  NVVM::StMatrixOp::create(b, loops.loc, further(b, loops.loc, pointer(address), offset),
                           registers, layout, shape, element);
}

void WarpgroupEmitter::publish() {
  assembly("fence.proxy.async.shared::cta;", kMemory, {}, {});
}

//===----------------------------------------------------------------------===//
// Barriers
//===----------------------------------------------------------------------===//

void WarpgroupEmitter::initBarrier(Value address, int64_t offset, int64_t count) {
  std::string text = "mbarrier.init.shared::cta.b64 [$0+" + std::to_string(offset) +
                     "], " + std::to_string(count) + ";";
  assembly(text, "r,~{memory}", address, {});
}

void WarpgroupEmitter::publishBarriers() {
  assembly("fence.mbarrier_init.release.cluster;", kMemory, {}, {});
}

void WarpgroupEmitter::arrive(Value address, int64_t offset) {
  assembly("mbarrier.arrive.shared::cta.b64 _, [$0+" + std::to_string(offset) + "];",
           "r,~{memory}", address, {});
}

void WarpgroupEmitter::wait(Value address, int64_t offset, Value parity) {
  std::string text = "{ .reg .pred done; AGAIN: mbarrier.try_wait.parity.shared::cta.b64 "
                     "done, [$0+" +
                     std::to_string(offset) + "], $1; @!done bra AGAIN; }";
  assembly(text, "r,r,~{memory}", {address, parity}, {});
}

void WarpgroupEmitter::meet(Value number, int64_t threads) {
  NVVM::BarrierOp::create(loops.builder, loops.loc, TypeRange(), number, word(threads),
                          {}, Value());
}

void WarpgroupEmitter::setRegisters(int64_t count, bool increase) {
  std::string text = std::string("setmaxnreg.") + (increase ? "inc" : "dec") +
                     ".sync.aligned.u32 " + std::to_string(count) + ";";
  assembly(text, kMemory, {}, {});
}

//===----------------------------------------------------------------------===//
// Global memory
//===----------------------------------------------------------------------===//

void WarpgroupEmitter::copyIn(Value shared, int64_t sharedOffset, Value global,
                              int64_t globalOffset, Value bytes) {
  std::string text = "cp.async.cg.shared.global [$0+" + std::to_string(sharedOffset) +
                     "], [$1+" + std::to_string(globalOffset) + "], 16, $2;";
  assembly(text, "r,l,r,~{memory}", {shared, global, bytes}, {});
}

void WarpgroupEmitter::waitForCopiesIn() {
  assembly("cp.async.wait_all;", kMemory, {}, {});
}

void WarpgroupEmitter::waitForFlag(Value address) {
  assembly("{ .reg .pred raised; .reg .b32 flag; AGAIN: ld.acquire.gpu.global.u32 flag, "
           "[$0]; setp.eq.u32 raised, flag, 1; @!raised bra AGAIN; }",
           "l,~{memory}", address, {});
}

void WarpgroupEmitter::raiseFlag(Value address) {
  assembly("st.release.gpu.global.u32 [$0], 1;", "l,~{memory}", address, {});
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

/// Of descriptors, in units of 16 bytes: from eight rows to the next, and, where the sum
/// runs along columns, from a tile to the one beside it. 128 bytes are swizzled.
static constexpr int64_t kUnit = 16, kEightRows = 1024 / kUnit, kSwizzle = 1 << 30;

Value WarpgroupEmitter::describe(Value address, Along along) {
  OpBuilder &b = loops.builder;
  Value unit = arith::AndIOp::create(b, loops.loc, address, word(0x3FFFF));
  unit = arith::ShRUIOp::create(b, loops.loc, unit, word(4));
  int64_t leading = along == Along::rows ? 1 : kTileBytes / kUnit;
  return arith::OrIOp::create(b, loops.loc, unit, word(leading << 16));
}

/// From the descriptor of a right operand to that of its terms from `part` times 16 on.
static int64_t offsetOfPart(int64_t part, bool alongRows) {
  constexpr int64_t tile = 64 * 128, partsOfTile = 4;
  if (!alongRows)
    return part * 16 * 128 / kUnit;
  return part / partsOfTile * tile / kUnit + part % partsOfTile * 32 / kUnit;
}

/// In one piece of assembly, so that nothing comes between the products.
WarpgroupEmitter::Values WarpgroupEmitter::multiply(int64_t columns, Values sums,
                                                    ArrayRef<Values> left, Value right,
                                                    Along along) {
  int64_t count = columns / 2, parts = int64_t(left.size());
  Values operands;
  for (const Values &part : left)
    llvm::append_range(operands, part);
  operands.push_back(right);
  auto registers = [](int64_t first, int64_t number) {
    std::string list;
    for (int64_t i = first; i < first + number; ++i)
      list += (i == first ? "$" : ", $") + std::to_string(i);
    return "{" + list + "}";
  };
  std::string text = "{ .reg .pred zero, add; .reg .b32 low; .reg .b64 r; "
                     "setp.ne.b32 zero, 0, 0; setp.eq.b32 add, 0, 0; "
                     "wgmma.fence.sync.aligned;";
  bool alongRows = along == Along::rows;
  for (int64_t part = 0; part < parts; ++part) {
    llvm::raw_string_ostream os(text);
    os << " add.s32 low, $" << count + 4 * parts << ", " << offsetOfPart(part, alongRows)
       << "; mov.b64 r, {low, " << (kSwizzle | kEightRows)
       << "}; wgmma.mma_async.sync.aligned.m64n" << columns << "k16.f32.bf16.bf16 "
       << registers(0, count) << ", " << registers(count + 4 * part, 4) << ", r, "
       << (sums.empty() && part == 0 ? "zero" : "add") << ", 1, 1, " << !alongRows << ";";
  }
  text += " wgmma.commit_group.sync.aligned; }";
  std::string constraints;
  for (int64_t i = 0; i < count; ++i)
    constraints += "=f,";
  for (size_t i = 0; i < operands.size(); ++i)
    constraints += "r,";
  for (size_t i = 0; i < sums.size(); ++i)
    constraints += std::to_string(i) + ",";
  llvm::append_range(operands, sums);
  return assembly(text, constraints + kMemory.str(), operands,
                  SmallVector<Type>(count, f32));
}

/// Sums pass through, or they would be read before.
WarpgroupEmitter::Values WarpgroupEmitter::waitForProducts(int64_t others, Values sums) {
  std::string constraints;
  for (size_t i = 0; i < sums.size(); ++i)
    constraints += "=f,";
  for (size_t i = 0; i < sums.size(); ++i)
    constraints += std::to_string(i) + ",";
  return assembly("wgmma.wait_group.sync.aligned " + std::to_string(others) + ";",
                  constraints + kMemory.str(), sums, SmallVector<Type>(sums.size(), f32));
}

SmallVector<WarpgroupEmitter::Values> WarpgroupEmitter::toLeft(ArrayRef<Value> sums) {
  SmallVector<Values> parts(sums.size() / 8);
  for (size_t i = 0; i < sums.size(); i += 2)
    parts[i / 8].push_back(pack(sums[i], sums[i + 1]));
  return parts;
}
