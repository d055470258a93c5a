//===- SplitPrepare.cpp - Tables that are made on the device --------------===//
//
// nvptx-split-prepare: kernels of recurrences and transforms of kernels, which are long,
// go from @prepare, code of the CPU, to @prepare_on_device. What they are made of is a
// table of @prepare besides.
//
//===----------------------------------------------------------------------===//

#include "Target/CPU/BindFrame.h"
#include "Target/NVPTX/Lowering.h"
#include "Target/NVPTX/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/SetVector.h"

namespace ssmc::nvptx {
#define GEN_PASS_DEF_SPLITPREPAREPASS
#include "Target/NVPTX/Passes.h.inc"
} // namespace ssmc::nvptx

using namespace mlir;
using namespace ssmc;

namespace {
class Mover {
public:
  explicit Mover(func::FuncOp prepare)
      : prepare(prepare), end(cast<func::ReturnOp>(prepare.front().getTerminator())) {}

  /// Adds `op`, and what is made of it, to what goes to the device, unless the CPU reads
  /// it.
  void consider(Operation *op);
  void run();

private:
  bool canGo(Operation *op);
  Value require(Value value);

  func::FuncOp prepare, onDevice;
  func::ReturnOp end;
  llvm::SetVector<Operation *> moved;
  SmallVector<Value> tables; ///< by number, but for those on the device
  OpBuilder builder{prepare.getContext()};
  IRMapping mapping;
};
} // namespace

/// Whether `op` has a form on the device that pays.
static bool isForDevice(Operation *op) {
  if (auto response = dyn_cast<ssm::ImpulseResponseOp>(op))
    return nvptx::canRespond(response);
  auto spectrum = dyn_cast<ssm::SpectrumOp>(op);
  return spectrum && nvptx::canTransform(spectrum);
}

/// The last ones come first: what they read may go with them.
void Mover::consider(Operation *op) {
  if (op->getBlock() != &prepare.front() || !isForDevice(op))
    return;
  llvm::SetVector<Operation *> ops;
  ops.insert(op);
  for (unsigned i = 0; i < ops.size(); ++i)
    for (Operation *user : ops[i]->getUsers())
      if (isa<tensor::CollapseShapeOp, tensor::ExpandShapeOp, tensor::CastOp>(user))
        ops.insert(user);
      else if (user != end && !moved.contains(user))
        return;
  // What is no table has no memory there.
  if (llvm::none_of(ops, [&](Operation *made) {
        return llvm::is_contained(made->getUsers(), end);
      }))
    return;
  moved.insert_range(ops);
}

/// Whether all that is read and read by is where it has to be: a table that is added has
/// a size that is known.
bool Mover::canGo(Operation *op) {
  for (Value operand : op->getOperands()) {
    auto type = dyn_cast<RankedTensorType>(operand.getType());
    Operation *made = operand.getDefiningOp();
    if (!type || moved.contains(made))
      continue;
    bool isTable = llvm::is_contained(end.getOperands(), operand);
    if (!isForDevice(op) ||
        !(isTable || type.hasStaticShape() || isa_and_nonnull<tensor::EmptyOp>(made)))
      return false;
  }
  return llvm::all_of(op->getUsers(), [&](Operation *user) {
    return user == end || moved.contains(user);
  });
}

/// `value` of @prepare on the device: lengths and memory are made anew, tensors are read
/// from tables.
Value Mover::require(Value value) {
  if (Value known = mapping.lookupOrNull(value))
    return known;
  Operation *op = value.getDefiningOp();
  bool isTensor = isa<RankedTensorType>(value.getType());
  if (op && (!isTensor || isa<tensor::EmptyOp>(op))) {
    for (Value operand : op->getOperands())
      require(operand);
    builder.clone(*op, mapping);
    return mapping.lookup(value);
  }
  NamedAttrList attributes;
  if (isTensor) {
    auto *known = llvm::find(tables, value);
    attributes.set(kTableAttr, builder.getI64IntegerAttr(known - tables.begin()));
    if (known == tables.end())
      tables.push_back(value);
  } else {
    attributes = prepare.getArgAttrDict(cast<BlockArgument>(value).getArgNumber());
  }
  unsigned number = onDevice.getNumArguments();
  (void)onDevice.insertArgument(number, value.getType(),
                                attributes.getDictionary(builder.getContext()),
                                value.getLoc());
  mapping.map(value, onDevice.getArgument(number));
  return mapping.lookup(value);
}

void Mover::run() {
  while (moved.remove_if([&](Operation *op) { return !canGo(op); }))
    continue;
  if (moved.empty())
    return;
  Location loc = prepare.getLoc();
  builder.setInsertionPointAfter(prepare);
  onDevice = func::FuncOp::create(builder, loc, "prepare_on_device",
                                  builder.getFunctionType({}, {}));
  builder.setInsertionPointToStart(onDevice.addEntryBlock());
  tables.assign(end.getOperands().begin(), end.getOperands().end());
  for (Operation &op : prepare.front()) {
    if (!moved.contains(&op))
      continue;
    for (Value operand : op.getOperands())
      require(operand);
    builder.clone(op, mapping);
  }
  SmallVector<Value> here, there;
  SmallVector<Attribute> attributesHere, attributesThere;
  for (auto [number, table] : llvm::enumerate(tables)) {
    bool isMoved = moved.contains(table.getDefiningOp());
    (isMoved ? there : here).push_back(isMoved ? mapping.lookup(table) : table);
    NamedAttrList attributes;
    if (number < prepare.getNumResults())
      attributes = prepare.getResultAttrDict(number);
    attributes.set(kTableAttr, builder.getI64IntegerAttr(number));
    (isMoved ? attributesThere : attributesHere)
        .push_back(attributes.getDictionary(builder.getContext()));
  }
  func::ReturnOp::create(builder, loc, there);
  end->setOperands(here);
  auto settle = [&](func::FuncOp function, ValueRange results, ArrayRef<Attribute> all) {
    function.setType(
        builder.getFunctionType(function.getArgumentTypes(), results.getTypes()));
    function.setResAttrsAttr(builder.getArrayAttr(all));
  };
  settle(onDevice, there, attributesThere);
  settle(prepare, here, attributesHere);
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(prepare.front())))
    if (moved.contains(&op))
      op.erase();
}

namespace {
struct SplitPreparePass : ssmc::nvptx::impl::SplitPreparePassBase<SplitPreparePass> {
  using SplitPreparePassBase::SplitPreparePassBase;

  void runOnOperation() override {
    auto prepare = getOperation().lookupSymbol<func::FuncOp>("prepare");
    if (!prepare)
      return;
    Mover mover(prepare);
    for (Operation &op : llvm::reverse(prepare.front()))
      mover.consider(&op);
    mover.run();
  }
};
} // namespace
