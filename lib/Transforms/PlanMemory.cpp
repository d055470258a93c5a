//===- PlanMemory.cpp - Put every temporary into one arena ----------------===//
//
// Extents are constants, the batch, the lengths of the sequence axes (in @prepare the
// length that is prepared) and products of these, so the plan is made once at compile
// time for all of them: offsets are coefficients of B, L and B*L; with a second axis
// also of M, B*M, L*M and B*L*M.
//
//===----------------------------------------------------------------------===//

#include "ssmc/Transforms/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/Transforms/BufferViewFlowAnalysis.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

namespace ssmc {
#define GEN_PASS_DEF_PLANMEMORYPASS
#include "ssmc/Transforms/Passes.h.inc"
} // namespace ssmc

using namespace mlir;

namespace {
constexpr int64_t kAlignment = 64;

/// One temporary: `bytes` times the product that `kind` stands for, alive from
/// op `begin` to op `end`.
struct Buffer {
  memref::AllocOp op;
  unsigned kind; // bit 0: times B, bit 1: times L, and so on
  int64_t bytes;
  unsigned begin, end;
  int64_t offset = -1;
};

struct PlanMemoryPass : ssmc::impl::PlanMemoryPassBase<PlanMemoryPass> {
  void runOnOperation() override;

private:
  /// A dynamic extent as a product of a number and some of the batch and the lengths.
  struct Extent {
    unsigned kind = 0; // as of a buffer; 0 if it is none
    int64_t scale = 1;
  };
  Extent extentOf(Value size);
  Extent factor(unsigned bit, Value value) {
    factors[bit] = value;
    return {1u << bit, 1};
  }
  static constexpr unsigned kMaxFactors = 5;
  Value factors[kMaxFactors]; // the batch and the lengths, where one was met
};
} // namespace

PlanMemoryPass::Extent PlanMemoryPass::extentOf(Value size) {
  if (auto product = size.getDefiningOp<arith::MulIOp>()) {
    Extent left = extentOf(product.getLhs());
    auto scale = getConstantIntValue(product.getRhs());
    if (scale && *scale > 0)
      return {left.kind, left.scale * *scale};
    Extent right = extentOf(product.getRhs());
    bool isProduct = left.kind && right.kind && !(left.kind & right.kind);
    return isProduct ? Extent{left.kind | right.kind, left.scale * right.scale} : Extent();
  }
  if (auto argument = dyn_cast<BlockArgument>(size)) {
    bool isLength = argument.getOwner() == &getOperation().front() &&
                    getOperation().getName() == "prepare" &&
                    getOperation().getArgAttr(argument.getArgNumber(),
                                              "ssm.prepared_length");
    return isLength ? factor(1, size) : Extent();
  }
  auto dim = size.getDefiningOp<memref::DimOp>();
  if (!dim)
    return {};
  auto index = getConstantIntValue(dim.getIndex());
  auto argument = dyn_cast<BlockArgument>(dim.getSource());
  if (!index || !argument || argument.getOwner() != &getOperation().front())
    return {};
  unsigned number = argument.getArgNumber();
  auto dims =
      getOperation().getArgAttrOfType<DenseI64ArrayAttr>(number, "ssm.dims");
  if (!dims || *index >= int64_t(dims.size()))
    return {};
  // What grows with a state is not as long as this call.
  if (dims[*index] == -2 && getOperation().getArgAttr(number, "ssm.state"))
    return {};
  unsigned bit = -1 - dims[*index];
  return dims[*index] < 0 && bit < kMaxFactors ? factor(bit, size) : Extent();
}

/// Places buffers of one kind: the largest first, each at the lowest offset where
/// nothing that is alive with it lies. Returns the total.
static int64_t place(MutableArrayRef<Buffer *> buffers) {
  llvm::stable_sort(buffers, [](Buffer *a, Buffer *b) { return a->bytes > b->bytes; });
  int64_t total = 0;
  SmallVector<Buffer *> placed;
  for (Buffer *buffer : buffers) {
    SmallVector<std::pair<int64_t, int64_t>> taken;
    for (Buffer *other : placed)
      if (other->begin <= buffer->end && buffer->begin <= other->end)
        taken.push_back({other->offset, other->offset + other->bytes});
    llvm::sort(taken);
    int64_t offset = 0;
    for (auto [from, to] : taken) {
      if (offset + buffer->bytes <= from)
        break;
      offset = std::max(offset, to);
    }
    buffer->offset = offset;
    total = std::max(total, offset + buffer->bytes);
    placed.push_back(buffer);
  }
  return total;
}

void PlanMemoryPass::runOnOperation() {
  func::FuncOp function = getOperation();
  if (function.isExternal())
    return;
  DenseMap<Operation *, std::pair<unsigned, unsigned>> number; // first, last inside
  unsigned next = 0;
  std::function<void(Operation *)> count = [&](Operation *op) {
    unsigned first = next++;
    for (Region &region : op->getRegions())
      for (Block &block : region)
        for (Operation &inner : block)
          count(&inner);
    number[op] = {first, next++};
  };
  count(function);

  BufferViewFlowAnalysis aliases(function);
  std::vector<Buffer> buffers;
  llvm::fill(factors, Value());
  WalkResult walked = function.walk([&](memref::AllocOp alloc) {
    // What is returned lives at its destination.
    for (OpOperand &use : alloc->getUses())
      if (isa<func::ReturnOp>(use.getOwner()) &&
          !function.getResultAttr(use.getOperandNumber(), "ssm.state"))
        return WalkResult::advance();
    MemRefType type = alloc.getType();
    Buffer buffer{alloc, 0, (type.getElementTypeBitWidth() + 7) / 8, 0, 0};
    unsigned dynamic = 0;
    for (int64_t extent : type.getShape()) {
      if (!ShapedType::isDynamic(extent)) {
        buffer.bytes *= extent;
        continue;
      }
      Value size = alloc.getDynamicSizes()[dynamic++];
      Extent found = extentOf(size);
      if (!found.kind || (buffer.kind & found.kind)) {
        alloc.emitError("a temporary whose extent is neither the batch nor the "
                        "length cannot be planned");
        return WalkResult::interrupt();
      }
      buffer.kind |= found.kind;
      buffer.bytes *= found.scale;
    }
    buffer.bytes = llvm::alignTo(std::max<int64_t>(buffer.bytes, 1), kAlignment);
    Block *home = alloc->getBlock();
    buffer.begin = number[alloc].first;
    buffer.end = buffer.begin;
    for (Value alias : aliases.resolve(alloc))
      for (Operation *user : alias.getUsers()) {
        Operation *ancestor = home->findAncestorOpInBlock(*user);
        if (!ancestor) { // used outside: alive to the end
          buffer.end = next;
          continue;
        }
        buffer.end = std::max(buffer.end, number[ancestor].second);
      }
    buffers.push_back(buffer);
    return WalkResult::advance();
  });
  if (walked.wasInterrupted())
    return signalPassFailure();

  auto axes = function->getAttrOfType<ArrayAttr>("ssm.sequence_axes");
  unsigned numFactors = 1 + (axes ? axes.size() : 1), numKinds = 1u << numFactors;
  SmallVector<int64_t> totals(numKinds);
  for (unsigned kind = 0; kind < numKinds; ++kind) {
    SmallVector<Buffer *> same;
    for (Buffer &buffer : buffers)
      if (buffer.kind == kind)
        same.push_back(&buffer);
    totals[kind] = place(same);
  }
  function->setAttr("ssm.workspace",
                    DenseI64ArrayAttr::get(&getContext(), totals));

  OpBuilder builder(&function.front(), function.front().begin());
  Location loc = function.getLoc();
  auto arenaType = MemRefType::get({ShapedType::kDynamic}, builder.getI8Type());
  unsigned index = function.getNumArguments();
  (void)function.insertArgument(
      index, arenaType,
      builder.getDictionaryAttr(
          builder.getNamedAttr("ssm.workspace", builder.getUnitAttr())),
      loc);
  Value arena = function.getArgument(index);

  // The factors at the function's entry, where the offsets are computed.
  auto constant = [&](int64_t value) -> Value {
    return arith::ConstantIndexOp::create(builder, loc, value);
  };
  Value extents[kMaxFactors];
  for (unsigned bit = 0; bit < numFactors; ++bit)
    if (auto argument = dyn_cast_or_null<BlockArgument>(factors[bit])) {
      extents[bit] = argument;
    } else if (factors[bit]) {
      auto dim = factors[bit].getDefiningOp<memref::DimOp>();
      extents[bit] = memref::DimOp::create(builder, loc, dim.getSource(),
                                           *getConstantIntValue(dim.getIndex()));
    }
  auto productOf = [&](unsigned kind) {
    Value product;
    for (unsigned bit = 0; bit < numFactors; ++bit)
      if (kind >> bit & 1)
        product = product ? arith::MulIOp::create(builder, loc, product, extents[bit])
                                .getResult()
                          : extents[bit];
    return product ? product : constant(1);
  };
  SmallVector<Value> products(numKinds), bases(numKinds);
  Value base = constant(0);
  for (unsigned kind = 0; kind < numKinds; ++kind) {
    bases[kind] = base;
    if (!totals[kind])
      continue;
    products[kind] = productOf(kind);
    Value size = arith::MulIOp::create(builder, loc, products[kind],
                                       constant(totals[kind]));
    base = arith::AddIOp::create(builder, loc, base, size);
  }
  for (Buffer &buffer : buffers) {
    Value scaled = arith::MulIOp::create(builder, loc, products[buffer.kind],
                                         constant(buffer.offset));
    Value offset = arith::AddIOp::create(builder, loc, bases[buffer.kind], scaled);
    SmallVector<Value> dynamic;
    for (Value size : buffer.op.getDynamicSizes()) {
      Extent extent = extentOf(size);
      Value value = productOf(extent.kind);
      if (extent.scale != 1)
        value = arith::MulIOp::create(builder, loc, value, constant(extent.scale));
      dynamic.push_back(value);
    }
    Value view = memref::ViewOp::create(builder, loc, buffer.op.getType(), arena,
                                        offset, dynamic);
    buffer.op.replaceAllUsesWith(view);
  }
  for (Buffer &buffer : buffers) // only now: one of them may be where we insert
    buffer.op.erase();
}
