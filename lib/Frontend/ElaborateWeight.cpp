//===- ElaborateWeight.cpp - Weights --------------------------------------===//
//
// A weight becomes an argument of the function where it is first used.
//
//===----------------------------------------------------------------------===//

#include "Elaborator.h"

using namespace ssmc;
using namespace mlir;

bool Elaborator::declareWeight(const ast::WeightStmt &weight, Instance &instance) {
  std::shared_ptr<Scope> scope = instance.scope;
  Entity entity;
  entity.weight = &weight;
  entity.scope = scope;
  entity.name = instance.prefix;
  entity.range = weight.target.name.range;
  entity.kind =
      weight.target.family.empty() ? Entity::Weight : Entity::WeightFamily;
  bool present = true;
  if (weight.condition) {
    auto holds = requireBoolean(*weight.condition, *scope, "this condition");
    if (!holds)
      return false;
    present = *holds;
  }
  // One name may be declared under several conditions.
  const std::string &name = weight.target.name.name;
  if (!present && weight.otherwise) {
    auto other = evaluate(*weight.otherwise, scope);
    if (!other)
      return false;
    scope->values[name] = *other;
    return true;
  }
  if (!present) {
    if (!scope->values.count(name)) {
      entity.kind = Entity::Absent;
      entity.range = weight.condition->range;
      scope->values[name] = entity;
    }
    return true;
  }
  // Extents are known from here on, used or not.
  bool good = true;
  for (const ast::AxisPattern &axis : weight.target.axes)
    good &= resolveAxis(axis, *scope, true).has_value();
  scope->values[name] = entity;
  return good;
}

static Type storedType(llvm::StringRef name, Type fallback, OpBuilder &builder) {
  if (name == "f32" || name == "F32")
    return builder.getF32Type();
  if (name == "f64" || name == "F64")
    return builder.getF64Type();
  if (name == "bf16" || name == "BF16")
    return builder.getBF16Type();
  if (name == "f16" || name == "F16")
    return builder.getF16Type();
  return fallback;
}

std::array<Value, 2> Elaborator::splitComplex(Value whole) {
  auto type = cast<RankedTensorType>(whole.getType());
  auto half =
      RankedTensorType::get(type.getShape().drop_back(), type.getElementType());
  llvm::SmallVector<OpFoldResult> offsets(type.getRank(), builder.getIndexAttr(0)),
      strides(type.getRank(), builder.getIndexAttr(1)),
      sizes = tensor::getMixedSizes(builder, loc, whole);
  sizes.back() = builder.getIndexAttr(1);
  std::array<Value, 2> parts;
  for (unsigned part = 0; part < 2; ++part) {
    offsets.back() = builder.getIndexAttr(part);
    parts[part] = makeSlice(whole, offsets, sizes, strides, half);
  }
  return parts;
}

std::optional<TensorValue> Elaborator::resolveWeight(const Entity &entity) {
  return weightTensor(*entity.weight, entity.scope, entity.name);
}

std::optional<TensorValue>
Elaborator::weightTensor(const ast::WeightStmt &weight, std::shared_ptr<Scope> scope,
                         const std::string &prefix) {
  std::string text = weight.at ? *weight.at : weight.target.name.name;
  if (weight.group && !weight.group->empty())
    text = *weight.group + "." + text;
  auto expanded = expandName(text, *scope, weight.range);
  if (!expanded)
    return std::nullopt;
  std::string name = prefix + *expanded;
  int64_t family = llvm::StringRef(name).contains("{}") ? loop->trips : 0;

  TensorValue tensor;
  llvm::SmallVector<int64_t> stored, shape;
  for (const ast::AxisPattern &pattern : weight.target.axes) {
    auto axis = resolveAxis(pattern, *scope, true);
    if (!axis)
      return std::nullopt;
    if (isRunTimeExtent(axis->size)) {
      diagnostics.error(pattern.range, "a weight is stored, so its axes have extents; "
                                       "write lag(EXTENT)");
      return std::nullopt;
    }
    stored.push_back(axis->size);
    // A literal 1 carries no index.
    auto *literal = pattern.size ? llvm::dyn_cast<ast::NumberExpr>(pattern.size.get())
                                 : nullptr;
    if (pattern.kind == ast::AxisPattern::Size && literal && literal->value == 1)
      continue;
    tensor.dimension.push_back(shape.size());
    shape.push_back(axis->size);
    tensor.axes.push_back(*axis);
  }
  Type element = storedType(
      [&]() -> llvm::StringRef { // one that outlives the call
        std::string key = name;
        size_t at = key.find("{}");
        if (at != std::string::npos)
          key.replace(at, 2, "0");
        auto found = options.weightTypes.find(key);
        return found == options.weightTypes.end() ? options.weightType : found->second;
      }(),
      scalarType, builder);
  bool isComplex = weight.target.isComplex;
  if (isComplex) {
    stored.push_back(2);
    shape.push_back(2);
  }
  Value &argument = weightArguments[name];
  if (!argument) {
    llvm::SmallVector<int64_t> full(shape);
    if (family)
      full.insert(full.begin(), family);
    argument = addArgument(
        RankedTensorType::get(full, element),
        {builder.getNamedAttr("ssm.weight", builder.getStringAttr(name)),
         builder.getNamedAttr("ssm.shape", builder.getDenseI64ArrayAttr(stored))});
    WeightInfo info;
    info.name = name;
    info.shape.assign(stored.begin(), stored.end());
    info.family = family;
    if (weight.init) {
      PointContext point;
      unsigned position = 0;
      auto initScope = makeScope(scope);
      llvm::SmallVector<std::pair<IndexId, unsigned>> places;
      auto bind = [&](const Axis &axis, unsigned place) {
        IndexId id = newIndex(axis);
        if (!axis.name.empty())
          point.bound[axis.name] = dim(id);
        point.variables.push_back(id);
        places.push_back({id, place});
      };
      for (const ast::AxisPattern &pattern : weight.target.axes) {
        auto axis = resolveAxis(pattern, *scope, true);
        if (axis->members.empty())
          bind(*axis, position);
        ++position;
      }
      auto value = evaluatePoint(*weight.init, initScope, point);
      if (!value)
        return std::nullopt;
      llvm::DenseMap<IndexId, AffineExpr> map;
      for (auto [id, place] : places)
        map[id] = getAffineDimExpr(place, &context);
      if (!value->re->fixed) {
        diagnostics.error(weight.init->range, "an initialiser depends on indices and "
                                              "parameters only");
        return std::nullopt;
      }
      info.init = substitute(value->re, [&](IndexId id) { return map.lookup(id); },
                             &context);
    }
    weights.push_back(std::move(info));
  }
  Value whole = argument;
  if (family) {
    // One slice an iteration, shared by all its uses.
    auto &[slice, owner] = loopSlices[name];
    if (!slice) {
      OpBuilder::InsertionGuard guard(builder);
      builder.setInsertionPointToStart(loop->op.getBody());
      auto type = cast<RankedTensorType>(argument.getType());
      llvm::SmallVector<OpFoldResult> offsets(type.getRank(), builder.getIndexAttr(0)),
          strides(type.getRank(), builder.getIndexAttr(1)), sizes;
      offsets[0] = loop->op.getInductionVar();
      for (int64_t extent : type.getShape())
        sizes.push_back(builder.getIndexAttr(extent));
      sizes[0] = builder.getIndexAttr(1);
      slice = makeSlice(argument, offsets, sizes, strides,
                        RankedTensorType::get(shape, element));
    }
    whole = slice;
  }
  if (!isComplex) {
    tensor.re = whole;
    return tensor;
  }
  auto [re, im] = splitComplex(whole);
  tensor.re = re;
  tensor.im = im;
  return tensor;
}
