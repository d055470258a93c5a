//===- BindFrame.cpp - From arguments to the frame of the C ABI -----------===//
//
// After bufferization a function takes its inputs, tables, states and arena as
// memrefs and returns its outputs and states. Here it becomes a function of one
// pointer, `const ssmrt_frame *` (ssmrt.h): every memref is built from a pointer of
// the frame, results are written where the frame says.
//
//===----------------------------------------------------------------------===//

#include "Target/CPU/BindFrame.h"

#include "mlir/Conversion/LLVMCommon/MemRefBuilder.h"
#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "ssmrt/ssmrt.h"
#include "llvm/Support/MathExtras.h"

namespace ssmc::cpu {
#define GEN_PASS_DEF_BINDFRAMEPASS
#include "Target/CPU/Passes.h.inc"
} // namespace ssmc::cpu

using namespace mlir;
using namespace ssmc;

namespace {
/// Fields of ssmrt_frame, in order.
enum Field { Context, Prepared, State, Workspace, Batch, Length, Position, Inputs,
             Outputs, PreparedLength, StateLength, KeepsState, MoreLengths,
             NumFields = MoreLengths + SSMRT_MAX_AXES - 1 };

struct BindFramePass : ssmc::cpu::impl::BindFramePassBase<BindFramePass> {
  using BindFramePassBase::BindFramePassBase;
  void runOnOperation() override;
};

/// Builds the values that replace a function's arguments.
class Binder {
public:
  Binder(func::FuncOp function)
      : function(function), loc(function.getLoc()), options(function.getContext()),
        converter(function.getContext(), options),
        builder(&function.front(), function.front().begin()) {}

  LogicalResult run(bool step);

private:
  Value field(Field which);
  Value constant(int64_t value) {
    return LLVM::ConstantOp::create(builder, loc, builder.getI64Type(),
                                    builder.getI64IntegerAttr(value));
  }
  Value offsetBy(Value pointer, Value bytes) {
    return LLVM::GEPOp::create(builder, loc, pointer.getType(), builder.getI8Type(),
                               pointer, ArrayRef<LLVM::GEPArg>{bytes});
  }
  Value pointerAt(Field array, int64_t index) {
    Value slot = LLVM::GEPOp::create(builder, loc, pointerType(), pointerType(),
                                     field(array),
                                     ArrayRef<LLVM::GEPArg>{int32_t(index)});
    return LLVM::LoadOp::create(builder, loc, pointerType(), slot);
  }
  Type pointerType() { return LLVM::LLVMPointerType::get(function.getContext()); }
  /// A memref over `pointer` with the extents that `dims` describes, those of
  /// the sequence being `length`.
  Value memrefOver(Value pointer, MemRefType type, ArrayRef<int64_t> dims,
                   Field length = Length);
  Value memrefOf(Value pointer, MemRefType type, ArrayRef<Value> extents);
  /// A table: `attrOf` gives its attributes.
  Value tableOf(MemRefType type, llvm::function_ref<Attribute(StringRef)> attrOf);
  Value bytesOfState(MemRefType type, ArrayRef<int64_t> dims);
  /// Member `index` of the family of weights that starts at input `first`.
  Value memberOf(MemRefType family, int64_t first, Value index);
  Value partOfMember(memref::SubViewOp view, Value member);

  func::FuncOp function;
  Location loc;
  LowerToLLVMOptions options;
  LLVMTypeConverter converter;
  OpBuilder builder;
  Value frame;
  Value fields[NumFields];
  bool step = false;
};
} // namespace

Value Binder::field(Field which) {
  if (fields[which])
    return fields[which];
  MLIRContext *context = function.getContext();
  Type pointer = pointerType(), i64 = builder.getI64Type();
  auto type = LLVM::LLVMStructType::getLiteral(
      context, {pointer, pointer, pointer, pointer, i64, i64, i64, pointer, pointer,
                i64, i64, i64, i64, i64, i64});
  static_assert(SSMRT_MAX_AXES == 4, "lengths beside the first");
  bool isPointer = which <= Workspace || which == Inputs || which == Outputs;
  Value slot = LLVM::GEPOp::create(builder, loc, pointer, type, frame,
                                   ArrayRef<LLVM::GEPArg>{0, int32_t(which)});
  return fields[which] =
             LLVM::LoadOp::create(builder, loc, isPointer ? pointer : i64, slot);
}

Value Binder::memrefOver(Value pointer, MemRefType type, ArrayRef<int64_t> dims,
                         Field length) {
  SmallVector<Value> extents;
  for (auto [i, extent] : llvm::enumerate(type.getShape())) {
    if (!ShapedType::isDynamic(extent))
      extents.push_back(constant(extent));
    else if (dims[i] == kLengthDim && step && length == Length)
      extents.push_back(constant(1));
    else if (dims[i] < kLengthDim)
      extents.push_back(field(Field(MoreLengths + kLengthDim - 1 - dims[i])));
    else
      extents.push_back(field(dims[i] == kLengthDim ? length : Batch));
  }
  return memrefOf(pointer, type, extents);
}

Value Binder::memrefOf(Value pointer, MemRefType type, ArrayRef<Value> extents) {
  SmallVector<Value> strides(type.getRank());
  Value stride = constant(1);
  for (int64_t i = type.getRank() - 1; i >= 0; --i) {
    strides[i] = stride;
    stride = LLVM::MulOp::create(builder, loc, stride, extents[i]);
  }
  SmallVector<Value> values = {pointer, pointer, constant(0)};
  llvm::append_range(values, extents);
  llvm::append_range(values, strides);
  Value descriptor = MemRefDescriptor::pack(builder, loc, converter, type, values);
  return UnrealizedConversionCastOp::create(builder, loc, type, descriptor).getResult(0);
}

Value Binder::tableOf(MemRefType type,
                      llvm::function_ref<Attribute(StringRef)> attrOf) {
  auto growing = [&](int64_t scale, int64_t offset) -> Value {
    if (scale == 0)
      return constant(offset);
    Value value = LLVM::MulOp::create(builder, loc, field(PreparedLength),
                                      constant(scale));
    return LLVM::AddOp::create(builder, loc, value, constant(offset));
  };
  auto scale = dyn_cast_or_null<IntegerAttr>(attrOf("ssm.offset_scale"));
  auto extents = dyn_cast_or_null<DenseI64ArrayAttr>(attrOf("ssm.extents"));
  Value offset = growing(scale ? scale.getInt() : 0,
                         cast<IntegerAttr>(attrOf("ssm.offset")).getInt());
  SmallVector<Value> sizes;
  for (auto [i, extent] : llvm::enumerate(type.getShape()))
    sizes.push_back(ShapedType::isDynamic(extent)
                        ? growing(extents[2 * i], extents[2 * i + 1])
                        : constant(extent));
  Value table = memrefOf(offsetBy(field(Prepared), offset), type, sizes);
  table.getDefiningOp()->setAttr(kTableAttr, builder.getUnitAttr());
  return table;
}

Value Binder::memberOf(MemRefType family, int64_t first, Value index) {
  Value number = arith::IndexCastOp::create(builder, loc, builder.getI64Type(), index);
  number = LLVM::AddOp::create(builder, loc, number, constant(first));
  Value slot = LLVM::GEPOp::create(builder, loc, pointerType(), pointerType(),
                                   field(Inputs), ArrayRef<LLVM::GEPArg>{number});
  Value pointer = LLVM::LoadOp::create(builder, loc, pointerType(), slot);
  return memrefOver(
      pointer, MemRefType::get(family.getShape().drop_front(), family.getElementType()),
      {});
}

/// What `view` takes of a member of its source, which is `member`: all of it or a part, such
/// as the real numbers of complex ones, without some dimensions of extent 1.
Value Binder::partOfMember(memref::SubViewOp view, Value member) {
  SmallVector<OpFoldResult> offsets(llvm::drop_begin(view.getMixedOffsets())),
      sizes(llvm::drop_begin(view.getMixedSizes())),
      strides(llvm::drop_begin(view.getMixedStrides()));
  MemRefType type = memref::SubViewOp::inferRankReducedResultType(
      view.getType().getShape(), cast<MemRefType>(member.getType()), offsets, sizes,
      strides);
  return memref::SubViewOp::create(builder, loc, type, member, offsets, sizes, strides);
}

/// Bytes of a contiguous memref, rounded up to the alignment of blocks.
Value Binder::bytesOfState(MemRefType type, ArrayRef<int64_t> dims) {
  int64_t fixed = (type.getElementTypeBitWidth() + 7) / 8;
  Value product;
  for (auto [i, extent] : llvm::enumerate(type.getShape())) {
    if (!ShapedType::isDynamic(extent)) {
      fixed *= extent;
      continue;
    }
    Value size = field(dims[i] == kLengthDim ? StateLength : Batch);
    product = product ? LLVM::MulOp::create(builder, loc, product, size) : size;
  }
  Value bytes = constant(fixed);
  if (product)
    bytes = LLVM::MulOp::create(builder, loc, bytes, product);
  Value rounded = LLVM::AddOp::create(builder, loc, bytes, constant(kBlockAlignment - 1));
  return LLVM::AndOp::create(builder, loc, rounded, constant(-kBlockAlignment));
}

LogicalResult Binder::run(bool isStep) {
  step = isStep;
  Block &entry = function.front();
  frame = entry.insertArgument(0u, pointerType(), loc);
  for (int which = Context; which < NumFields; ++which) // all at the entry
    field(Field(which));
  auto attrOf = [&](unsigned argument, StringRef name) -> Attribute {
    return function.getArgAttr(argument, name); // before the frame was added
  };
  auto dimsOf = [&](unsigned argument) -> ArrayRef<int64_t> {
    auto dims = function.getArgAttrOfType<DenseI64ArrayAttr>(argument, "ssm.dims");
    return dims ? dims.asArrayRef() : ArrayRef<int64_t>();
  };
  llvm::DenseMap<Value, int64_t> families; // their first input
  Value stateOffset;                       // grows with the batch
  int64_t inputs = 0;
  SmallVector<Value> states;
  unsigned count = function.getNumArguments();
  for (unsigned i = 0; i < count; ++i) {
    BlockArgument argument = entry.getArgument(i + 1);
    auto type = dyn_cast<MemRefType>(argument.getType());
    Value value;
    if (attrOf(i, "ssm.position")) {
      value = arith::IndexCastOp::create(builder, loc, builder.getIndexType(),
                                         field(Position));
    } else if (attrOf(i, "ssm.keeps_state")) {
      value = LLVM::ICmpOp::create(builder, loc, LLVM::ICmpPredicate::ne,
                                   field(KeepsState), constant(0));
    } else if (attrOf(i, "ssm.prepared_length")) {
      value = arith::IndexCastOp::create(builder, loc, builder.getIndexType(),
                                         field(PreparedLength));
    } else if (attrOf(i, "ssm.workspace")) {
      // The arena's own extent is not used: views give theirs.
      Value pointer = field(Workspace);
      SmallVector<Value> values = {pointer, pointer, constant(0), constant(INT64_MAX),
                                   constant(1)};
      Value descriptor = MemRefDescriptor::pack(builder, loc, converter, type, values);
      value = UnrealizedConversionCastOp::create(builder, loc, type, descriptor)
                  .getResult(0);
    } else if (attrOf(i, "ssm.input")) {
      value = memrefOver(pointerAt(Inputs, inputs++), type, dimsOf(i));
    } else if (attrOf(i, "ssm.weight")) {
      auto family = function.getArgAttrOfType<IntegerAttr>(i, "ssm.family");
      if (!family) {
        value = memrefOver(pointerAt(Inputs, inputs++), type, dimsOf(i));
      } else {
        // Members lie apart: each view of one finds its own pointer.
        int64_t first = inputs;
        inputs += family.getInt();
        families[argument] = first;
        for (Operation *user : llvm::make_early_inc_range(argument.getUsers())) {
          if (isa<func::ReturnOp>(user))
            continue; // a table as it is stored: copied below
          auto view = dyn_cast<memref::SubViewOp>(user);
          if (!view || view.getMixedOffsets().empty())
            return user->emitError("a family of weights is used as a whole");
          OpBuilder::InsertionGuard guard(builder);
          builder.setInsertionPoint(view);
          Value whole = memberOf(type, first,
                                 getValueOrCreateConstantIndexOp(
                                     builder, loc, view.getMixedOffsets().front()));
          Value part = partOfMember(view, whole);
          if (view.getType() != part.getType())
            part = memref::CastOp::create(builder, loc, view.getType(), part);
          view.replaceAllUsesWith(part);
          view.erase();
        }
        continue;
      }
    } else if (attrOf(i, "ssm.offset")) {
      value = tableOf(type, [&](StringRef name) { return attrOf(i, name); });
    } else if (attrOf(i, "ssm.state")) {
      Value pointer = stateOffset ? offsetBy(field(State), stateOffset) : field(State);
      value = memrefOver(pointer, type, dimsOf(i), StateLength);
      Value bytes = bytesOfState(type, dimsOf(i));
      stateOffset =
          stateOffset ? LLVM::AddOp::create(builder, loc, stateOffset, bytes) : bytes;
      states.push_back(value);
    } else {
      return function.emitError("argument ") << i << " has no place in the frame";
    }
    argument.replaceAllUsesWith(value);
  }

  // Results: outputs or tables, then the states.
  auto terminator = cast<func::ReturnOp>(entry.getTerminator());
  builder.setInsertionPoint(terminator);
  int64_t outputs = 0, nextState = 0;
  for (auto [i, result] : llvm::enumerate(terminator.getOperands())) {
    auto type = cast<MemRefType>(result.getType());
    Value destination;
    // Where the value is known to live, this can be written at the entry.
    OpBuilder::InsertionGuard guard(builder);
    Operation *def = result.getDefiningOp();
    auto allocated = dyn_cast_or_null<memref::AllocOp>(def);
    auto dims = function.getResultAttrOfType<DenseI64ArrayAttr>(i, "ssm.dims");
    ArrayRef<int64_t> codes = dims ? dims.asArrayRef() : ArrayRef<int64_t>();
    auto plain = MemRefType::get(type.getShape(), type.getElementType());
    if (function.getResultAttr(i, "ssm.state")) {
      destination = states[nextState++];
    } else if (function.getResultAttr(i, "ssm.offset")) {
      if (allocated)
        builder.setInsertionPoint(allocated);
      destination = tableOf(plain, [&, i = i](StringRef name) {
        return function.getResultAttr(i, name);
      });
    } else {
      if (allocated)
        builder.setInsertionPoint(allocated);
      destination = memrefOver(pointerAt(Outputs, outputs++), plain, codes);
    }
    if (destination == result)
      continue;
    if (allocated && !function.getResultAttr(i, "ssm.state")) {
      allocated.replaceAllUsesWith(destination);
      allocated.erase();
      continue;
    }
    builder.setInsertionPoint(terminator);
    auto family = families.find(result);
    if (family == families.end()) {
      memref::CopyOp::create(builder, loc, result, destination);
      continue;
    }
    Value zero = arith::ConstantIndexOp::create(builder, loc, 0);
    Value one = arith::ConstantIndexOp::create(builder, loc, 1);
    Value members = arith::ConstantIndexOp::create(builder, loc, type.getDimSize(0));
    auto loop = scf::ForOp::create(builder, loc, zero, members, one);
    builder.setInsertionPointToStart(loop.getBody());
    Value member = memberOf(type, family->second, loop.getInductionVar());
    SmallVector<OpFoldResult> offsets(type.getRank(), builder.getIndexAttr(0)),
        strides(type.getRank(), builder.getIndexAttr(1)), sizes;
    offsets[0] = loop.getInductionVar();
    for (int64_t extent : type.getShape())
      sizes.push_back(builder.getIndexAttr(extent));
    sizes[0] = builder.getIndexAttr(1);
    auto slotType = memref::SubViewOp::inferRankReducedResultType(
        type.getShape().drop_front(), plain, offsets, sizes, strides);
    Value slot = memref::SubViewOp::create(builder, loc, cast<MemRefType>(slotType),
                                           destination, offsets, sizes, strides);
    memref::CopyOp::create(builder, loc, member, slot);
  }
  builder.setInsertionPoint(terminator);
  func::ReturnOp::create(builder, loc);
  terminator.erase();
  entry.eraseArguments(1, count);
  function.setArgAttrsAttr(ArrayAttr::get(
      function.getContext(), {DictionaryAttr::get(function.getContext(), {})}));
  function.removeResAttrsAttr();
  function.setFunctionType(builder.getFunctionType(pointerType(), {}));
  return success();
}

void BindFramePass::runOnOperation() {
  func::FuncOp function = getOperation();
  if (failed(Binder(function).run(function.getName() == "step")))
    signalPassFailure();
}
