//===- OutlineTasks.cpp - Parallel loops through the caller's threads -----===//

#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Transforms/RegionUtils.h"
#include "ssmc/Transforms/EqualFunctions.h"
#include "llvm/ADT/SetVector.h"
#include <cmath>

namespace ssmc::cpu {
#define GEN_PASS_DEF_OUTLINETASKSPASS
#include "Target/CPU/Passes.h.inc"
} // namespace ssmc::cpu

using namespace mlir;

namespace {
struct OutlineTasksPass : ssmc::cpu::impl::OutlineTasksPassBase<OutlineTasksPass> {
  void runOnOperation() override;

private:
  void outline(scf::ParallelOp parallel, unsigned number);
  void shareTasks();

  SmallVector<func::FuncOp> tasks;
};
} // namespace

/// Constants are made again in the task; everything else is captured.
static bool isRemade(Value value) {
  Operation *def = value.getDefiningOp();
  return def && def->hasTrait<OpTrait::ConstantLike>();
}

/// Nanoseconds an iteration, at least 1; 0 if unknown.
static int64_t getCost(scf::ParallelOp parallel) {
  Attribute cost = parallel->getAttr("ssm.cost");
  if (auto integer = dyn_cast_or_null<IntegerAttr>(cost))
    return integer.getInt();
  if (auto real = dyn_cast_or_null<FloatAttr>(cost))
    return std::max<int64_t>(1, std::llround(real.getValueAsDouble()));
  return 0;
}

void OutlineTasksPass::outline(scf::ParallelOp parallel, unsigned number) {
  auto function = parallel->getParentOfType<func::FuncOp>();
  MLIRContext *context = &getContext();
  Location loc = parallel.getLoc();
  LowerToLLVMOptions options(context);
  LLVMTypeConverter converter(context, options);
  Type pointer = LLVM::LLVMPointerType::get(context);
  OpBuilder builder(parallel);
  Type i64 = builder.getI64Type();

  llvm::SetVector<Value> used;
  getUsedValuesDefinedAbove(parallel.getRegion(), used);
  Value lower = parallel.getLowerBound()[0], upper = parallel.getUpperBound()[0],
        step = parallel.getStep()[0];
  used.insert(lower);
  used.insert(step);
  SmallVector<Value> captured, remade;
  SmallVector<Type> types;
  for (Value value : used) {
    if (isRemade(value)) {
      remade.push_back(value);
      continue;
    }
    captured.push_back(value);
    types.push_back(converter.convertType(value.getType()));
  }
  auto closureType = LLVM::LLVMStructType::getLiteral(context, types);

  // The task.
  OpBuilder moduleBuilder(function);
  auto taskType = builder.getFunctionType({pointer, i64, i64}, {});
  std::string name = (function.getName() + "_task" + std::to_string(number)).str();
  auto task = func::FuncOp::create(moduleBuilder, loc, name, taskType);
  task.setPrivate();
  tasks.push_back(task);
  Block *entry = task.addEntryBlock();
  OpBuilder body = OpBuilder::atBlockBegin(entry);
  IRMapping mapping;
  for (Value value : remade)
    mapping.map(value, body.clone(*value.getDefiningOp())->getResult(0));
  for (auto [i, value] : llvm::enumerate(captured)) {
    Value slot = LLVM::GEPOp::create(body, loc, pointer, closureType,
                                     entry->getArgument(0),
                                     ArrayRef<LLVM::GEPArg>{0, int32_t(i)});
    Value loaded = LLVM::LoadOp::create(body, loc, types[i], slot);
    if (loaded.getType() != value.getType())
      loaded = UnrealizedConversionCastOp::create(body, loc, value.getType(), loaded)
                   .getResult(0);
    mapping.map(value, loaded);
  }
  Type index = builder.getIndexType();
  Value begin = arith::IndexCastOp::create(body, loc, index, entry->getArgument(1));
  Value end = arith::IndexCastOp::create(body, loc, index, entry->getArgument(2));
  Value one = arith::ConstantIndexOp::create(body, loc, 1);
  auto loop = scf::ForOp::create(body, loc, begin, end, one);
  func::ReturnOp::create(body, loc);
  body.setInsertionPointToStart(loop.getBody());
  Value scaled = arith::MulIOp::create(body, loc, loop.getInductionVar(),
                                       mapping.lookup(step));
  Value iteration = arith::AddIOp::create(body, loc, scaled, mapping.lookup(lower));
  mapping.map(parallel.getInductionVars()[0], iteration);
  for (Operation &op : parallel.getBody()->without_terminator()) {
    // The stack of a task serves the next one too; in the loop it would grow.
    if (auto alloca = dyn_cast<memref::AllocaOp>(op);
        alloca && alloca->getNumOperands() == 0)
      OpBuilder(loop).clone(op, mapping);
    else
      body.clone(op, mapping);
  }

  // The call.
  OpBuilder entryBuilder = OpBuilder::atBlockBegin(&function.front());
  Value count = LLVM::ConstantOp::create(entryBuilder, loc, i64,
                                         entryBuilder.getI64IntegerAttr(1));
  Value closure = LLVM::AllocaOp::create(entryBuilder, loc, pointer, closureType, count,
                                         /*alignment=*/16);
  for (auto [i, value] : llvm::enumerate(captured)) {
    Value stored = value;
    if (stored.getType() != types[i])
      stored = UnrealizedConversionCastOp::create(builder, loc, types[i], stored)
                   .getResult(0);
    Value slot = LLVM::GEPOp::create(builder, loc, pointer, closureType, closure,
                                     ArrayRef<LLVM::GEPArg>{0, int32_t(i)});
    LLVM::StoreOp::create(builder, loc, stored, slot);
  }
  Value extent = arith::SubIOp::create(builder, loc, upper, lower);
  Value tasks = arith::CeilDivSIOp::create(builder, loc, extent, step);
  Value tasks64 = arith::IndexCastOp::create(builder, loc, i64, tasks);
  Value cost64 = LLVM::ConstantOp::create(
      builder, loc, i64, builder.getI64IntegerAttr(getCost(parallel)));
  Value runtimeContext =
      LLVM::LoadOp::create(builder, loc, pointer, function.getArgument(0));
  // ssmrt_context: two 32-bit fields, then parallel_for.
  Value slot = LLVM::GEPOp::create(builder, loc, pointer, builder.getI8Type(),
                                   runtimeContext, ArrayRef<LLVM::GEPArg>{8});
  Value parallelFor = LLVM::LoadOp::create(builder, loc, pointer, slot);
  Value taskValue = func::ConstantOp::create(builder, loc, taskType, name);
  Value taskPointer =
      UnrealizedConversionCastOp::create(builder, loc, pointer, taskValue).getResult(0);
  auto calleeType = LLVM::LLVMFunctionType::get(
      LLVM::LLVMVoidType::get(context), {pointer, pointer, pointer, i64, i64});
  LLVM::CallOp::create(builder, loc, calleeType,
                       ValueRange{parallelFor, runtimeContext, taskPointer, closure,
                                  tasks64, cost64});
  parallel.erase();
}

/// Tasks with the same body become one. What differs comes through the closure.
void OutlineTasksPass::shareTasks() {
  ssmc::EqualFunctions<func::FuncOp> kept;
  llvm::StringMap<StringRef> replaced;
  for (func::FuncOp task : tasks)
    if (func::FuncOp same = kept.find(task))
      replaced[task.getName()] = same.getName();
  getOperation().walk([&](func::ConstantOp constant) {
    auto found = replaced.find(constant.getValue());
    if (found != replaced.end())
      constant.setValue(found->second);
  });
  for (func::FuncOp task : tasks)
    if (replaced.contains(task.getName()))
      task.erase();
}

void OutlineTasksPass::runOnOperation() {
  for (auto function : llvm::make_early_inc_range(
           getOperation().getOps<func::FuncOp>())) {
    SmallVector<scf::ParallelOp> loops;
    function.walk<WalkOrder::PreOrder>([&](scf::ParallelOp parallel) {
      loops.push_back(parallel);
      return WalkResult::skip(); // inner ones run inside their task
    });
    for (auto [number, parallel] : llvm::enumerate(loops)) {
      if (parallel.getNumLoops() != 1 || parallel.getNumReductions()) {
        parallel.emitError("a parallel loop over tasks has one dimension and no "
                           "reduction");
        return signalPassFailure();
      }
      outline(parallel, number);
    }
  }
  shareTasks();
}
