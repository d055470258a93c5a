//===- Elaborator.cpp - The function of a layer ---------------------------===//
//
// Its arguments are inputs, weights and states, its results outputs and states.
//
//===----------------------------------------------------------------------===//

#include "Elaborator.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Verifier.h"

using namespace ssmc;
using namespace mlir;

/// Extents known at run time, as ssmrt.h numbers them.
constexpr int64_t kBatchCode = -1, kLengthCode = -2;
static int64_t codeOf(const Axis &axis) {
  return axis.sequence ? kLengthCode - sequenceNumber(axis.size) : axis.size;
}

//===----------------------------------------------------------------------===//
// Arguments of the function: weights and states
//===----------------------------------------------------------------------===//

Value Elaborator::addArgument(Type type, llvm::ArrayRef<NamedAttribute> attrs) {
  unsigned index = function.getNumArguments();
  (void)function.insertArgument(index, type, builder.getDictionaryAttr(attrs), loc);
  return function.getArgument(index);
}

std::string Elaborator::uniqueState(llvm::StringRef name) {
  std::string base = (path.empty() ? "" : path + ".") + name.str();
  int count = stateNames[base]++;
  return count ? base + "." + std::to_string(count) : base;
}

Elaborator::StateSlot &Elaborator::addState(llvm::StringRef name,
                                            llvm::ArrayRef<int64_t> sizes, Type type,
                                            Value &current) {
  llvm::SmallVector<int64_t> shape = {ShapedType::kDynamic};
  for (int64_t size : sizes)
    shape.push_back(isRunTimeExtent(size) ? ShapedType::kDynamic : size);
  auto whole = RankedTensorType::get(shape, type);
  auto stateAttrs = [&](llvm::StringRef stateName, llvm::ArrayRef<int64_t> extents) {
    llvm::SmallVector<int64_t> dims(extents);
    bool sawBatch = false;
    for (int64_t &extent : dims)
      if (ShapedType::isDynamic(extent)) {
        extent = sawBatch ? kLengthCode : kBatchCode;
        sawBatch = true;
      }
    return llvm::SmallVector<NamedAttribute>{
        builder.getNamedAttr("ssm.state", builder.getStringAttr(stateName)),
        builder.getNamedAttr("ssm.dims", builder.getDenseI64ArrayAttr(dims))};
  };
  StateSlot slot;
  slot.name = name.str();
  if (loop) {
    slot.family = loop->trips;
    llvm::SmallVector<int64_t> full(shape);
    full.insert(full.begin(), loop->trips);
    slot.argument = addArgument(RankedTensorType::get(full, type),
                                stateAttrs(name, full));
    llvm::SmallVector<OpFoldResult> offsets(full.size(), builder.getIndexAttr(0)),
        strides(full.size(), builder.getIndexAttr(1)), extents;
    offsets[0] = loop->op.getInductionVar();
    extents.push_back(builder.getIndexAttr(1));
    extents.push_back(sizeOfBatch());
    for (auto [i, size] : llvm::enumerate(sizes))
      extents.push_back(isRunTimeExtent(size)
                            ? OpFoldResult(tensor::DimOp::create(builder, loc, slot.argument,
                                                                 i + 2)
                                               .getResult())
                            : OpFoldResult(builder.getIndexAttr(size)));
    current = makeSlice(slot.argument, offsets, extents, strides, whole);
    slot.inner = current;
  } else {
    slot.argument = addArgument(whole, stateAttrs(name, shape));
    slot.value = current = slot.argument;
  }
  states.push_back(slot);
  return states.back();
}

void Elaborator::setState(unsigned slot, Value value) {
  (loop ? states[slot].inner : states[slot].value) = value;
}

Value Elaborator::sizeOfBatch() { return batch; }
/// Null before the inputs are declared.
Value Elaborator::sizeOfLength(unsigned sequence) {
  return sequence < sequences.size() ? sequences[sequence].length : Value();
}

//===----------------------------------------------------------------------===//
// The layer's function
//===----------------------------------------------------------------------===//

Elaborator::Elaborator(MLIRContext &context, Diagnostics &diagnostics,
                       const FrontendOptions &options)
    : context(context), diagnostics(diagnostics), options(options),
      builder(&context), loc(UnknownLoc::get(&context)) {
  scalarType = options.doublePrecision ? Type(builder.getF64Type())
                                       : Type(builder.getF32Type());
}

/// Functions live in the scope that they see, as indices over the sequence do: circles,
/// which are opened here.
Elaborator::~Elaborator() {
  for (const std::weak_ptr<Scope> &weak : scopes)
    if (std::shared_ptr<Scope> scope = weak.lock()) {
      auto values = std::move(scope->values); // go after the scope is empty
      auto overs = std::move(scope->overs);
      scope->values.clear();
      scope->overs.clear();
    }
}

std::shared_ptr<Scope> Elaborator::makeScope(std::shared_ptr<Scope> parent) {
  auto scope = std::make_shared<Scope>(std::move(parent));
  scopes.push_back(scope);
  return scope;
}

/// Whether a pattern names a sequence axis.
static bool namesSequence(const ast::Pattern &pattern) {
  return llvm::any_of(pattern.axes, [](const ast::AxisPattern &axis) {
    return axis.kind == ast::AxisPattern::Name &&
           (axis.extent == ast::AxisPattern::Seq || axis.name.name == "t");
  });
}

/// Declares the inputs as arguments, runs the body, returns results and states.
bool Elaborator::emitForward(Instance &instance) {
  const ast::FnDecl *forward = forwardOf(instance);
  if (!forward)
    return diagnostics.error(instance.layer->range, "layer '" + instance.layer->name.name +
                                                        "' has no fn forward");
  function->setLoc(locationOf(forward->name.range));
  // Which inputs and results are states.
  std::map<std::string, bool> initials;
  for (const ast::StmtPtr &stmt : forward->body)
    if (auto *state = llvm::dyn_cast<ast::StateStmt>(stmt.get()))
      if (auto *from = state->from ? llvm::dyn_cast<ast::NameExpr>(state->from.get())
                                   : nullptr)
        initials[from->name] = true;

  position = addArgument(builder.getIndexType(),
                         {builder.getNamedAttr("ssm.position", builder.getUnitAttr())});
  prepared = addArgument(
      builder.getIndexType(),
      {builder.getNamedAttr("ssm.prepared_length", builder.getUnitAttr())});
  // Axes get their extents from the weights.
  bool good = elaborateMembers(instance);
  auto scope = makeScope(instance.scope);
  std::vector<Entity> args;
  ast::AxisPattern token;
  token.name.name = "t";
  for (const ast::FnDecl::Param &param : forward->params) {
    const ast::Pattern &pattern = param.pattern;
    const std::string &name = pattern.name.name;
    if (param.condition) {
      auto present = requireBoolean(*param.condition, *instance.scope, "this condition");
      if (!present)
        return false;
      if (!*present)
        continue;
    }
    Entity entity;
    entity.range = pattern.name.range;
    if (initials.count(name)) {
      for (const ast::AxisPattern &axis : pattern.axes)
        if (axis.name.name == "t")
          return diagnostics.error(axis.range,
                                   "a state starts from '" + name +
                                       "', its value before the first token, which "
                                       "has no sequence axis");
      entity.kind = Entity::InitialState;
      entity.name = name;
      args.push_back(entity);
      continue;
    }
    TensorValue tensor;
    llvm::SmallVector<int64_t> shape;
    bool hasSequence = false;
    for (const ast::AxisPattern &axisPattern : pattern.axes) {
      // No layer around this one gives `..` its axes: it stands for the sequence, or
      // for nothing beside it.
      bool isRest = axisPattern.kind == ast::AxisPattern::Rest;
      if (isRest && pattern.axes.size() > 1 && namesSequence(pattern))
        continue;
      if (axisPattern.name.name == "t" && axisPattern.size && !axisPattern.isLength)
        return diagnostics.error(axisPattern.range,
                                 "t is the sequence, as long as the input that is given: "
                                 "it takes no extent; a kernel may have one, j: lag(SIZE)");
      declaresInputs = true;
      auto axis = resolveAxis(isRest ? token : axisPattern, *scope, true);
      declaresInputs = false;
      if (!axis)
        return false;
      hasSequence |= axis->sequence;
      tensor.dimension.push_back(shape.size());
      tensor.axes.push_back(*axis);
      shape.push_back(axis->sequence ? ShapedType::kDynamic : axis->size);
    }
    tensor.batched = (hasSequence && !param.shared) || param.batched;
    if (tensor.batched)
      shape.insert(shape.begin(), ShapedType::kDynamic);
    tensor.integer = pattern.isInt;
    Type element = pattern.isInt ? Type(builder.getI64Type()) : scalarType;
    if (pattern.isComplex)
      shape.push_back(2);
    llvm::SmallVector<int64_t> dims;
    if (tensor.batched)
      dims.push_back(kBatchCode);
    for (const Axis &axis : tensor.axes)
      dims.push_back(codeOf(axis));
    if (pattern.isComplex)
      dims.push_back(2);
    Value argument = addArgument(
        RankedTensorType::get(shape, element),
        {builder.getNamedAttr("ssm.input", builder.getStringAttr(name)),
         builder.getNamedAttr("ssm.dims", builder.getDenseI64ArrayAttr(dims))});
    if (hasSequence && tensor.batched) {
      if (!batch)
        batch = tensor::DimOp::create(builder, loc, argument, 0);
      for (auto [i, axis] : llvm::enumerate(tensor.axes))
        if (axis.sequence && !sizeOfLength(sequenceNumber(axis.size)))
          sequences[sequenceNumber(axis.size)].length =
              tensor::DimOp::create(builder, loc, argument, i + 1);
    }
    tensor.re = argument;
    if (pattern.isComplex) {
      auto [re, im] = splitComplex(argument); // pairs of reals from here on
      tensor.re = re;
      tensor.im = im;
    }
    entity.kind = Entity::Tensor;
    entity.tensor = tensor;
    args.push_back(entity);
  }
  // Without inputs the results depend on parameters and weights alone.
  if (forward->params.empty())
    reversed = true;
  else if (!batch)
    return diagnostics.error(forward->name.range, "a layer needs an input with the "
                                                  "sequence axis t");
  for (const Sequence &sequence : sequences)
    if (!sequence.length && batch)
      return diagnostics.error(forward->name.range, "no input that has a batch has the "
                                                    "sequence axis '" + sequence.name +
                                                        "'");
  if (sequences.size() > 1) {
    reversed = true; // there is no order in which tokens come
    if (fixedLength)
      return diagnostics.error(forward->name.range, "the length of the sequence is fixed "
                                                    "in layers with one sequence axis "
                                                    "alone");
    if (!states.empty())
      return diagnostics.error(forward->name.range, "a layer with several sequence axes "
                                                    "keeps no state between calls");
  }
  auto run = makeScope(instance.scope);
  auto result = callFunction(*forward, run, std::move(args), forward->name.range, nullptr);
  if (!result || !good)
    return false;
  std::vector<Entity> values;
  if (result->kind == Entity::Tuple)
    values = result->elements;
  else
    values.push_back(*result);

  // Results: outputs in their order, then every state.
  llvm::SmallVector<Value> returned;
  llvm::SmallVector<Type> types;
  llvm::SmallVector<DictionaryAttr> attrs;
  llvm::SmallVector<Attribute> signature;
  size_t next = 0;
  for (const ast::FnDecl::Result &declared : forward->results) {
    const std::string &name = declared.pattern.name.name;
    if (declared.condition) {
      auto present = evaluateConstant(*declared.condition, *instance.scope);
      if (present && present->number == 0)
        continue;
    }
    auto found = run->values.find(name);
    if (found != run->values.end() && found->second.kind == Entity::FinalState) {
      states[found->second.slot].finalOutput = name;
      ++next;
      continue;
    }
    TensorValue tensor = values[next++].tensor;
    // Outputs are whole: every axis, and the batch, is there.
    llvm::SmallVector<IndexId> variables;
    llvm::SmallVector<AffineExpr> at;
    for (const Axis &axis : tensor.axes) {
      variables.push_back(newIndex(axis));
      at.push_back(dim(variables.back()));
    }
    bool hasSequence = llvm::any_of(tensor.axes, [](const Axis &a) { return a.sequence; });
    bool whole = tensor.re && (tensor.batched || !hasSequence) &&
                 llvm::all_of(llvm::enumerate(tensor.dimension), [](auto d) {
                   return d.value() == int(d.index());
                 });
    if (!whole) {
      PointContext none;
      auto value = access(tensor, at, {}, declared.pattern.range, *run, none);
      if (!value)
        return false;
      tensor = materialize(*value, variables, tensor.axes, true);
    }
    Value value = tensor.re;
    if (tensor.im) {
      // Complex values cross the boundary with a last axis of two.
      auto type = cast<RankedTensorType>(value.getType());
      llvm::SmallVector<int64_t> sizes;
      for (const Axis &axis : tensor.axes)
        sizes.push_back(axis.size);
      sizes.push_back(2);
      Value pair = emptyTensor(sizes, tensor.batched, type.getElementType());
      sizes.back() = 1;
      for (unsigned part = 0; part < 2; ++part) {
        llvm::SmallVector<OpFoldResult> offsets(type.getRank() + 1,
                                                builder.getIndexAttr(0)),
            strides(type.getRank() + 1, builder.getIndexAttr(1)),
            extents = mixedSizes(sizes, tensor.batched);
        offsets.back() = builder.getIndexAttr(part);
        pair = insertSlice(builder, loc, part ? tensor.im : tensor.re, pair, offsets,
                           extents, strides);
      }
      value = pair;
    }
    returned.push_back(value);
    llvm::SmallVector<int64_t> dims;
    if (tensor.batched)
      dims.push_back(kBatchCode);
    for (const Axis &axis : tensor.axes)
      dims.push_back(codeOf(axis));
    if (tensor.im)
      dims.push_back(2);
    attrs.push_back(builder.getDictionaryAttr(
        {builder.getNamedAttr("ssm.output", builder.getStringAttr(name)),
         builder.getNamedAttr("ssm.dims", builder.getDenseI64ArrayAttr(dims))}));
  }
  for (auto [i, slot] : llvm::enumerate(states)) {
    unsigned argument = cast<BlockArgument>(slot.argument).getArgNumber();
    if (!slot.initialInput.empty())
      function.setArgAttr(argument, "ssm.initial", builder.getStringAttr(slot.initialInput));
    if (!slot.finalOutput.empty())
      function.setArgAttr(argument, "ssm.final", builder.getStringAttr(slot.finalOutput));
    returned.push_back(slot.value);
    attrs.push_back(builder.getDictionaryAttr(
        builder.getNamedAttr("ssm.state", builder.getStringAttr(slot.name))));
  }
  func::ReturnOp::create(builder, loc, returned);
  for (Value value : returned)
    types.push_back(value.getType());
  function.setFunctionType(
      builder.getFunctionType(function.getBody().getArgumentTypes(), types));
  function.setAllResultAttrs(attrs);
  return true;
}

OwningOpRef<ModuleOp> Elaborator::run(const ast::Module &main) {
  const ast::LayerDecl *layer = nullptr;
  if (!options.layer.empty()) {
    for (const auto &candidate : main.layers)
      if (candidate->name.name == options.layer)
        layer = candidate.get();
    if (!layer) {
      std::string names;
      for (const auto &candidate : main.layers)
        names += (names.empty() ? "" : ", ") + candidate->name.name;
      diagnostics.error(main.layers.empty() ? SMRange() : main.layers[0]->name.range,
                        "there is no layer '" + options.layer + "'; the file has " +
                            names);
      return nullptr;
    }
  } else if (!main.layers.empty()) {
    layer = main.layers.back().get();
  }
  if (!layer) {
    const llvm::SourceMgr &sources = diagnostics.getSources();
    auto begin = llvm::SMLoc::getFromPointer(
        sources.getMemoryBuffer(sources.getMainFileID())->getBufferStart());
    diagnostics.error(SMRange(begin, begin), "the file declares no layer");
    return nullptr;
  }
  auto instance = instantiate(*layer, nullptr, makeScope(nullptr), "", "",
                              /*isCompiled=*/true);
  if (!instance || !checkSettings(*layer))
    return nullptr;
  OwningOpRef<ModuleOp> module = ModuleOp::create(loc);
  builder.setInsertionPointToEnd(module->getBody());
  function = func::FuncOp::create(builder, loc, "forward", builder.getFunctionType({}, {}));
  builder.setInsertionPointToStart(function.addEntryBlock());
  if (!emitForward(*instance))
    return nullptr;
  function->setAttr("ssm.layer", builder.getStringAttr(layer->name.name));
  if (reversed || exactLength)
    function->setAttr("ssm.whole_sequence", builder.getUnitAttr());
  if (sequences.size() > 1)
    function->setAttr("ssm.sequence_axes",
                      builder.getStrArrayAttr(llvm::to_vector_of<llvm::StringRef>(
                          llvm::map_range(sequences, [](const Sequence &sequence) {
                            return llvm::StringRef(sequence.name);
                          }))));
  if (exactLength)
    function->setAttr("ssm.exact_length", builder.getUnitAttr());
  if (fixedLength)
    function->setAttr("ssm.length", builder.getI64IntegerAttr(fixedLength));
  if (prepared.use_empty()) {
    unsigned number = cast<BlockArgument>(prepared).getArgNumber();
    (void)function.eraseArgument(number);
  }
  if (failed(verify(*module))) {
    diagnostics.error(layer->name.range, "the compiler made an invalid function of this "
                                         "layer; this is a bug of the compiler");
    return nullptr;
  }
  return module;
}
