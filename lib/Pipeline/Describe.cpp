//===- Describe.cpp - Layout and description of a compiled layer ----------===//

#include "Describe.h"

#include "Target/CPU/BindFrame.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/PatternMatch.h"
#include "ssm/Analysis/CostModel.h"
#include "ssm/IR/SSM.h"
#include "ssmrt/ssmrt.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace ssmc;

static std::string dtypeName(Type type) {
  if (type.isBF16())
    return "bf16";
  if (isa<FloatType>(type))
    return "f" + std::to_string(type.getIntOrFloatBitWidth());
  if (type.isInteger(1))
    return "bool";
  return "i" + std::to_string(type.getIntOrFloatBitWidth());
}

/// A token alone takes the recurrence where longer sequences may be convolved.
static void dropConvolutions(func::FuncOp step) {
  SmallVector<scf::IfOp> branches;
  step.walk([&](scf::IfOp branch) {
    auto shortest = branch->getAttrOfType<IntegerAttr>(ssm::kShortestConvAttr);
    if (shortest && shortest.getInt() > 1)
      branches.push_back(branch);
  });
  IRRewriter rewriter(step.getContext());
  for (scf::IfOp branch : branches) {
    scf::YieldOp yield = branch.elseYield();
    SmallVector<Value> results(yield.getResults());
    rewriter.eraseOp(yield);
    rewriter.inlineBlockBefore(branch.elseBlock(), branch);
    rewriter.replaceOp(branch, results);
  }
}

LogicalResult ssmc::describeModule(ModuleOp module, const PipelineOptions &options) {
  auto forward = module.lookupSymbol<func::FuncOp>("forward");
  auto prepare = module.lookupSymbol<func::FuncOp>("prepare");
  if (!forward || !prepare)
    return module.emitError("a layer is the functions 'prepare' and 'forward'");
  OpBuilder builder(module.getContext());
  auto entry = [&](StringRef name, Type element, ArrayRef<int64_t> dims,
                   uint32_t flags = 0, int64_t state = 0, int64_t limit = 0) {
    return builder.getDictionaryAttr(
        {builder.getNamedAttr("name", builder.getStringAttr(name)),
         builder.getNamedAttr("dtype", builder.getStringAttr(dtypeName(element))),
         builder.getNamedAttr("dims", builder.getDenseI64ArrayAttr(dims)),
         builder.getNamedAttr("flags", builder.getI64IntegerAttr(flags)),
         builder.getNamedAttr("state", builder.getI64IntegerAttr(state)),
         builder.getNamedAttr("limit", builder.getI64IntegerAttr(limit))});
  };

  auto onDevice = module.lookupSymbol<func::FuncOp>("prepare_on_device");
  // What belongs to the caller, or serves many calls, is not overwritten.
  for (func::FuncOp function : {prepare, forward, onDevice})
    for (unsigned i = 0; function && i < function.getNumArguments(); ++i)
      if (isa<RankedTensorType>(function.getArgumentTypes()[i]) &&
          !function.getArgAttr(i, "ssm.state"))
        function.setArgAttr(i, bufferization::BufferizationDialect::kWritableAttrName,
                            builder.getBoolAttr(false));

  // Tables lie one behind the other: those that grow with the prepared length
  // after the others, at offsets that grow too.
  SmallVector<std::pair<func::FuncOp, unsigned>> makers; // and which of their results
  for (func::FuncOp function : {prepare, onDevice})
    for (unsigned i = 0; function && i < function.getNumResults(); ++i) {
      unsigned number =
          function.getResultAttrOfType<IntegerAttr>(i, "ssm.table").getInt();
      makers.resize(std::max<size_t>(makers.size(), number + 1));
      makers[number] = {function, i};
    }
  SmallVector<int64_t> offsets(makers.size()), scales(makers.size());
  int64_t prepared = 0, growth = 0;
  auto extentsOf = [&](unsigned i) {
    auto [function, result] = makers[i];
    return function.getResultAttrOfType<DenseI64ArrayAttr>(result, "ssm.extents");
  };
  for (bool grows : {false, true})
    for (unsigned i = 0; i < makers.size(); ++i) {
      auto extents = extentsOf(i);
      if (bool(extents) != grows)
        continue;
      offsets[i] = prepared;
      scales[i] = growth;
      auto [function, result] = makers[i];
      auto type = cast<RankedTensorType>(function.getResultTypes()[result]);
      int64_t bytes = (type.getElementTypeBitWidth() + 7) / 8, perToken = 0;
      for (int64_t dim = 0; dim < type.getRank(); ++dim) {
        if (!type.isDynamicDim(dim)) {
          bytes *= type.getDimSize(dim);
          perToken *= type.getDimSize(dim);
          continue;
        }
        if (perToken)
          return prepare.emitError("a table grows with the length twice");
        perToken = bytes * extents[2 * dim];
        bytes *= extents[2 * dim + 1];
      }
      prepared += llvm::alignTo(bytes, kBlockAlignment);
      growth += llvm::alignTo(perToken, kBlockAlignment);
    }
  auto place = [&](unsigned table, llvm::function_ref<void(StringRef, Attribute)> set) {
    set("ssm.offset", builder.getI64IntegerAttr(offsets[table]));
    if (auto extents = extentsOf(table)) {
      set("ssm.offset_scale", builder.getI64IntegerAttr(scales[table]));
      set("ssm.extents", extents);
    }
  };
  for (auto [i, maker] : llvm::enumerate(makers))
    place(i, [&, maker = maker](StringRef name, Attribute value) mutable {
      maker.first.setResultAttr(maker.second, name, value);
    });
  for (func::FuncOp function : {forward, onDevice})
    for (unsigned i = 0; function && i < function.getNumArguments(); ++i)
      if (auto table = function.getArgAttrOfType<IntegerAttr>(i, "ssm.table"))
        place(table.getInt(), [&](StringRef name, Attribute value) {
          function.setArgAttr(i, name, value);
        });
  bool isExact = forward->hasAttr("ssm.exact_length");
  bool isBounded = growth > 0;
  for (unsigned i = 0; i < forward.getNumArguments(); ++i)
    isBounded &= !forward.getArgAttr(i, "ssm.any_length");
  uint32_t lengthFlags = isExact ? SSMRT_EXACT_LENGTH : isBounded ? SSMRT_BOUNDED_LENGTH : 0;

  // Weights: the members of a family one by one.
  SmallVector<Attribute> weights, inputs, outputs, states;
  for (unsigned i = 0; i < prepare.getNumArguments(); ++i) {
    auto name = prepare.getArgAttrOfType<StringAttr>(i, "ssm.weight");
    if (!name)
      continue;
    auto shape = prepare.getArgAttrOfType<DenseI64ArrayAttr>(i, "ssm.shape");
    auto type = cast<RankedTensorType>(prepare.getArgumentTypes()[i]);
    auto [before, after] = name.getValue().split("{}");
    if (!name.getValue().contains("{}")) {
      weights.push_back(entry(name.getValue(), type.getElementType(), shape));
      continue;
    }
    prepare.setArgAttr(i, "ssm.family", builder.getI64IntegerAttr(type.getDimSize(0)));
    for (int64_t member = 0; member < type.getDimSize(0); ++member)
      weights.push_back(entry((before + std::to_string(member) + after).str(),
                              type.getElementType(), shape));
  }

  SmallVector<NamedAttribute> unused;
  for (unsigned i = 0; i < forward.getNumArguments(); ++i) {
    auto type = dyn_cast<RankedTensorType>(forward.getArgumentTypes()[i]);
    auto dims = forward.getArgAttrOfType<DenseI64ArrayAttr>(i, "ssm.dims");
    if (auto name = forward.getArgAttrOfType<StringAttr>(i, "ssm.input")) {
      auto limit = forward.getArgAttrOfType<IntegerAttr>(i, "ssm.limit");
      bool isSequence = llvm::any_of(dims.asArrayRef(), [](int64_t dim) {
        return dim <= SSMRT_LENGTH;
      });
      uint32_t flags = isSequence ? lengthFlags : 0;
      // Integers keep the limit of their values.
      auto fixed = forward->getAttrOfType<IntegerAttr>("ssm.length");
      if (isSequence && fixed && isa<FloatType>(type.getElementType())) {
        flags |= SSMRT_FIXED_LENGTH;
        limit = fixed;
      }
      auto longest = forward->getAttrOfType<IntegerAttr>("ssm.longest");
      if (isSequence && longest && !fixed && isa<FloatType>(type.getElementType())) {
        flags |= SSMRT_LIMITED_LENGTH;
        limit = longest;
      }
      inputs.push_back(entry(name.getValue(), type.getElementType(), dims, flags, 0,
                             limit ? limit.getInt() : 0));
    }
    auto name = forward.getArgAttrOfType<StringAttr>(i, "ssm.state");
    if (!name)
      continue;
    uint32_t flags = forward.getArgAttr(i, "ssm.later") ? SSMRT_LATER : 0;
    states.push_back(entry(name.getValue(), type.getElementType(), dims, flags));
  }
  // The states that the signature names come after the inputs proper.
  int64_t index = 0;
  for (unsigned i = 0; i < forward.getNumArguments(); ++i) {
    if (!forward.getArgAttr(i, "ssm.state"))
      continue;
    auto type = cast<RankedTensorType>(forward.getArgumentTypes()[i]);
    auto dims = forward.getArgAttrOfType<DenseI64ArrayAttr>(i, "ssm.dims");
    if (auto name = forward.getArgAttrOfType<StringAttr>(i, "ssm.initial"))
      inputs.push_back(entry(name.getValue(), type.getElementType(), dims,
                             SSMRT_OPTIONAL | SSMRT_INITIAL, index));
    ++index;
  }
  for (unsigned i = 0; i < forward.getNumResults(); ++i) {
    auto type = cast<RankedTensorType>(forward.getResultTypes()[i]);
    auto dims = forward.getResultAttrOfType<DenseI64ArrayAttr>(i, "ssm.dims");
    if (auto name = forward.getResultAttrOfType<StringAttr>(i, "ssm.output"))
      outputs.push_back(entry(name.getValue(), type.getElementType(), dims));
  }
  index = 0;
  for (unsigned i = 0; i < forward.getNumArguments(); ++i) {
    if (!forward.getArgAttr(i, "ssm.state"))
      continue;
    auto type = cast<RankedTensorType>(forward.getArgumentTypes()[i]);
    auto dims = forward.getArgAttrOfType<DenseI64ArrayAttr>(i, "ssm.dims");
    if (auto name = forward.getArgAttrOfType<StringAttr>(i, "ssm.final"))
      outputs.push_back(
          entry(name.getValue(), type.getElementType(), dims, SSMRT_FINAL, index));
    ++index;
  }

  // Decays that `prepare` computes: one table, or two of one shape when complex.
  SmallVector<Attribute> decays;
  forward.walk([&](ssm::ScanOp scan) {
    SmallVector<int64_t> places;
    RankedTensorType type;
    for (Value decay : scan.getCoefficientsOp().getDecay()) {
      auto inner = dyn_cast<BlockArgument>(decay);
      auto table = inner && inner.getOwner()->getParentOp() == scan
                       ? dyn_cast<BlockArgument>(scan.getIns()[inner.getArgNumber()])
                       : BlockArgument();
      if (!table || table.getOwner() != &forward.front())
        return;
      auto number = forward.getArgAttrOfType<IntegerAttr>(table.getArgNumber(), "ssm.table");
      auto tableType = cast<RankedTensorType>(table.getType());
      if (!number || !tableType.hasStaticShape() ||
          tableType.getElementTypeBitWidth() < 32 || (type && type != tableType))
        return;
      type = tableType;
      places.push_back(offsets[number.getInt()]);
    }
    if (places.empty())
      return;
    places.resize(2, -1);
    auto state = scan->getAttrOfType<StringAttr>("state_name");
    decays.push_back(builder.getDictionaryAttr(
        {builder.getNamedAttr("state", state ? state : builder.getStringAttr("")),
         builder.getNamedAttr("dtype",
                              builder.getStringAttr(dtypeName(type.getElementType()))),
         builder.getNamedAttr("count", builder.getI64IntegerAttr(type.getNumElements())),
         builder.getNamedAttr("offsets", builder.getDenseI64ArrayAttr(places))}));
  });

  auto layer = forward->getAttrOfType<StringAttr>("ssm.layer");
  auto text = [&](StringRef key, StringRef value) {
    return builder.getNamedAttr(key, builder.getStringAttr(value));
  };
  SmallVector<NamedAttribute> fields = {
      text("name", options.name),
      text("layer", layer ? layer.getValue() : "layer"),
      text("target", options.literal            ? "cpu literal"
                     : options.emulateKernels     ? "cuda emulated"
                     : options.target == "cuda" ? "cuda"
                                                  : "cpu " + options.cpu),
      text("compiler", "ssmc 0.1.0"),
      builder.getNamedAttr("hash", builder.getI64IntegerAttr(options.hash)),
      builder.getNamedAttr("weights", builder.getArrayAttr(weights)),
      builder.getNamedAttr("inputs", builder.getArrayAttr(inputs)),
      builder.getNamedAttr("outputs", builder.getArrayAttr(outputs)),
      builder.getNamedAttr("states", builder.getArrayAttr(states)),
      builder.getNamedAttr("decays", builder.getArrayAttr(decays)),
      builder.getNamedAttr("prepared",
                           builder.getDenseI64ArrayAttr({prepared, growth, 0, 0}))};
  module->setAttr("ssm.module", builder.getDictionaryAttr(fields));

  if (!forward->hasAttr("ssm.whole_sequence")) {
    auto step = cast<func::FuncOp>(forward->clone());
    step.setName("step");
    dropConvolutions(step);
    module.push_back(step);
  }
  return success();
}

void ssmc::describeWorkspaces(ModuleOp module) {
  Builder builder(module.getContext());
  SmallVector<NamedAttribute> fields(
      module->getAttrOfType<DictionaryAttr>("ssm.module").getValue());
  for (StringRef name : {"prepare", "forward", "step"}) {
    SmallVector<int64_t> sizes(4, 0);
    if (auto function = module.lookupSymbol<func::FuncOp>(name))
      if (auto found = function->getAttrOfType<DenseI64ArrayAttr>("ssm.workspace"))
        sizes.assign(found.asArrayRef().begin(), found.asArrayRef().end());
    fields.push_back(builder.getNamedAttr((name + "_workspace").str(),
                                          builder.getDenseI64ArrayAttr(sizes)));
  }
  module->setAttr("ssm.module", builder.getDictionaryAttr(fields));
}
