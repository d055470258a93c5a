//===- ElaborateImpulse.cpp - The response of a layer to an impulse -------===//
//
// `impulse(f)` is what the layer or function `f` makes of a sequence whose first
// token is 1 in every channel and whose others are 0: the kernel of one that is linear
// and the same at every token. This sequence takes the place of the layer's own while
// `f` is run: it has a batch of one, is as long as kernels are prepared for, and no
// call continues it. So all of it depends on weights alone, and is prepared.
//
//===----------------------------------------------------------------------===//

#include "Elaborator.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/ScopeExit.h"

using namespace ssmc;
using namespace mlir;

/// The impulse, over the axes of the parameter that takes it.
std::optional<TensorValue> Elaborator::impulseFor(const ast::Pattern &pattern,
                                                  std::shared_ptr<Scope> scope) {
  llvm::SmallVector<Axis> axes;
  llvm::SmallVector<IndexId> variables;
  TermRef value;
  for (const ast::AxisPattern &axisPattern : pattern.axes) {
    if (axisPattern.kind == ast::AxisPattern::Rest && pattern.axes.size() > 1)
      continue; // axes that a caller may add
    Axis axis;
    bool isSequence = axisPattern.kind == ast::AxisPattern::Rest ||
                      axisPattern.extent == ast::AxisPattern::Seq ||
                      (axisPattern.name.name == "t" && !axisPattern.isLength);
    if (isSequence) {
      axis.name = sequences.front().name;
      axis.size = kDynamicExtent;
      axis.sequence = true;
    } else {
      auto resolved = resolveAxis(axisPattern, *scope, true);
      if (!resolved)
        return std::nullopt;
      axis = *resolved;
      axis.members.clear();
    }
    axes.push_back(axis);
    variables.push_back(newIndex(axis));
    if (isSequence && value) {
      diagnostics.error(pattern.range, "an impulse is along one sequence axis; '" +
                                           pattern.name.name + "' has several");
      return std::nullopt;
    }
    if (isSequence)
      value = operation(Operator::Select,
                        {operation(Operator::Eq, indexTerm(dim(variables.back())),
                                   constant(0)),
                         constant(1), constant(0)});
  }
  if (!value || pattern.isComplex || pattern.isInt) {
    diagnostics.error(pattern.range, "an impulse needs an argument of real numbers with "
                                     "the sequence axis t");
    return std::nullopt;
  }
  return materialize(real(value), variables, axes, true);
}

/// A result of one sequence, with the lag as its first axis and without the batch.
std::optional<Entity> Elaborator::asKernel(const TensorValue &response,
                                           llvm::SMRange range, Scope &scope) {
  llvm::SmallVector<IndexId> variables;
  llvm::SmallVector<AffineExpr> at;
  llvm::SmallVector<Axis> axes;
  for (const Axis &axis : response.axes) {
    variables.push_back(newIndex(axis));
    at.push_back(dim(variables.back()));
    axes.push_back(axis);
    axes.back().members.clear();
  }
  PointContext none;
  auto number = access(response, at, {}, range, scope, none);
  if (!number)
    return std::nullopt;
  size_t time = llvm::find_if(axes, [](const Axis &axis) { return axis.sequence; }) -
                axes.begin();
  std::rotate(axes.begin(), axes.begin() + time, axes.begin() + time + 1);
  std::rotate(variables.begin(), variables.begin() + time, variables.begin() + time + 1);
  TensorValue whole = materialize(*number, variables, axes, true);

  TensorValue kernel = whole;
  kernel.batched = false;
  Axis &lag = kernel.axes[0];
  lag = Axis();
  lag.size = kLagExtent;
  for (Axis &axis : llvm::drop_begin(kernel.axes))
    axis.name.clear();
  llvm::SmallVector<int64_t> sizes;
  for (const Axis &axis : kernel.axes)
    sizes.push_back(axis.size);
  for (Value *part : {&kernel.re, &kernel.im}) {
    if (!*part)
      continue;
    auto type = cast<RankedTensorType>(part->getType());
    llvm::SmallVector<OpFoldResult> offsets(type.getRank(), builder.getIndexAttr(0)),
        strides(type.getRank(), builder.getIndexAttr(1)), extents = mixedSizes(sizes, false);
    extents.insert(extents.begin(), builder.getIndexAttr(1));
    *part = makeSlice(*part, offsets, extents, strides,
                      RankedTensorType::get(type.getShape().drop_front(),
                                            type.getElementType()));
  }
  return Entity::of(std::move(kernel), range);
}

/// impulse(f)[lag, ..]
std::optional<Entity> Elaborator::impulse(const ast::CallExpr &call,
                                          std::shared_ptr<Scope> scope) {
  auto fail = [&](const llvm::Twine &message) {
    diagnostics.error(call.range, message);
    return std::nullopt;
  };
  auto callee = call.args.size() == 1 ? evaluate(*call.args[0].value, scope) : std::nullopt;
  if (call.args.size() == 1 && !callee)
    return std::nullopt;
  bool isPart = callee && callee->kind == Entity::Part && callee->instance;
  const ast::FnDecl *fn = isPart ? forwardOf(*callee->instance)
                          : callee && callee->kind == Entity::Function ? callee->function
                                                                       : nullptr;
  if (!fn || fn->params.empty())
    return fail("'impulse' takes a part or a function of a sequence, impulse(f)");
  if (isPart && !elaborateMembers(*callee->instance))
    return std::nullopt;

  // The sequence of the impulse, in the place of the layer's.
  Value one = arith::ConstantIndexOp::create(builder, loc, 1);
  Value zero = arith::ConstantIndexOp::create(builder, loc, 0);
  auto outerSequences = std::exchange(sequences, {Sequence{"t", prepared}});
  auto outer = std::make_tuple(batch, position, inKernel, inImpulse, reversed,
                               fixedLength, path);
  llvm::scope_exit restore([&] {
    sequences = outerSequences;
    std::tie(batch, position, inKernel, inImpulse, reversed, fixedLength, path) = outer;
  });
  batch = one;
  position = zero;
  inKernel = inImpulse = true;
  reversed = false;
  fixedLength = 0;
  if (isPart)
    path = callee->instance->path;

  auto inner = makeScope(isPart ? callee->instance->scope : callee->scope);
  if (fn->cutWhere || inner->findCut(kDynamicExtent))
    return fail("'impulse' of a function whose sequence is cut");
  auto input = impulseFor(fn->params[0].pattern, makeScope(inner));
  if (!input)
    return std::nullopt;
  auto result = callFunction(*fn, inner, {Entity::of(std::move(*input), call.range)},
                             call.range, nullptr);
  if (!result)
    return std::nullopt;
  if (fixedLength)
    return fail("'impulse' of a function that takes sequences of one length");
  if (reversed)
    return fail("'impulse' of a function in which a token needs those after it; its "
                "response to the first token is not all of its kernel");
  const TensorValue *response = nullptr;
  for (const Entity &entity : result->kind == Entity::Tuple
                                  ? llvm::ArrayRef<Entity>(result->elements)
                                  : llvm::ArrayRef<Entity>(*result))
    if (entity.kind == Entity::Tensor &&
        llvm::any_of(entity.tensor.axes, [](const Axis &axis) { return axis.sequence; })) {
      if (response)
        return fail("'impulse' of a function with several results over the sequence");
      response = &entity.tensor;
    }
  if (!response)
    return fail("'impulse' of a function without a result over the sequence");
  return asKernel(*response, call.range, *inner);
}
