//===- EmitMatrix.cpp - Transition matrices and functions of matrices -----===//
//
// The matrix ops are over real numbers. A matrix that is complex, or that mixes real
// and imaginary parts, becomes a real one twice as large, whose rows and columns hold
// both parts of each element in turn.
//
//===----------------------------------------------------------------------===//

#include "StateBlock.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "ssm/IR/SSM.h"
#include "llvm/ADT/StringSwitch.h"
#include <cmath>

using namespace ssmc;
using namespace mlir;

static bool isTensorBatched(Value tensor, size_t numAxes) {
  return cast<RankedTensorType>(tensor.getType()).getRank() != int64_t(numAxes);
}

/// `... x N x 2 x N x 2` as `... x 2N x 2N`.
static Value collapseParts(OpBuilder &builder, Location loc, Value matrix) {
  SmallVector<ReassociationIndices> groups;
  int64_t leading = cast<RankedTensorType>(matrix.getType()).getRank() - 4;
  for (int64_t d = 0; d < leading; ++d)
    groups.push_back({d});
  groups.push_back({leading, leading + 1});
  groups.push_back({leading + 2, leading + 3});
  return tensor::CollapseShapeOp::create(builder, loc, matrix, groups);
}

/// Transition and gain for matrices in the last two dimensions of `rate`.
std::array<Value, 2> Elaborator::discretizeMatrix(int rule, int inputRule, Value rate,
                                                  Value step) {
  int64_t extent = cast<RankedTensorType>(rate.getType()).getShape().back();
  SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(builder, loc, step);
  sizes.append(2, builder.getIndexAttr(extent));
  SmallVector<Value> outs;
  SmallVector<Type> types;
  for (unsigned i = 0; i < 2; ++i) {
    outs.push_back(tensor::EmptyOp::create(builder, loc, sizes, scalarType));
    types.push_back(outs.back().getType());
  }
  auto ruleAttr = [&](int number) {
    return ssm::DiscretizationAttr::get(&context, ssm::Discretization(number));
  };
  auto op = ssm::DiscretizeMatrixOp::create(
      builder, loc, types, ruleAttr(rule),
      inputRule >= 0 ? ruleAttr(inputRule) : ssm::DiscretizationAttr(), rate, step,
      outs);
  return {op.getResult(0), op.getResult(1)};
}

/// A term over an index of twice the extent: `even` at 2n, `odd` at 2n + 1.
TermRef Elaborator::interleave(const TermRef &even, const TermRef &odd, IndexId index,
                               IndexId interleaved) {
  auto at = [&](const TermRef &term) {
    return substitute(
        term ? term : constant(0),
        [&](IndexId id) {
          return id == index ? dim(interleaved).floorDiv(2) : AffineExpr();
        },
        &context);
  };
  TermRef isEven = operation(Operator::Eq, indexTerm(dim(interleaved) % 2), constant(0));
  return operation(Operator::Select, {isEven, at(even), at(odd)});
}

//===----------------------------------------------------------------------===//
// Transitions
//===----------------------------------------------------------------------===//

/// The transition as the role `dense`.
bool Elaborator::mixByMatrix(StateBlock &block, const Mixing &mixing,
                             const std::optional<Discretization> &discretization,
                             Scope &scope) {
  bool isComplex = block.isComplex();
  unsigned numParts = isComplex ? 2 : 1;
  IndexId row = block.ids[mixing.axis], column = mixing.source;
  int64_t extent = block.axes[mixing.axis].size;
  if (isComplex && mixing.axis + 1 != block.axes.size())
    return diagnostics.error(block.stmt.state.axes[mixing.axis].range,
                             "the axis along which the update mixes a complex state, '" +
                                 block.axes[mixing.axis].name +
                                 "', must be the last of the state");
  TermRef isDiagonal = operation(Operator::Eq, indexTerm(dim(row)), indexTerm(dim(column)));
  auto entryOf = [&](unsigned part, unsigned from) {
    TermRef sum = constant(0);
    for (const Mixing::Sum &one : mixing.sums)
      if (one.right[part] && one.left[from])
        sum = add(sum, multiply(one.right[part], one.left[from]));
    if (const TermRef &diagonal = mixing.diagonal[part][from])
      sum = add(sum, operation(Operator::Select, {isDiagonal, diagonal, constant(0)}));
    return sum;
  };
  TermRef entry = entryOf(0, 0);
  llvm::SmallVector<IndexId> square = {row, column};
  if (isComplex) {
    Axis both;
    both.size = 2;
    IndexId part = newIndex(both), from = newIndex(both);
    auto choose = [&](IndexId which, TermRef first, TermRef second) {
      TermRef isFirst = operation(Operator::Eq, indexTerm(dim(which)), constant(0));
      return operation(Operator::Select, {isFirst, first, second});
    };
    entry = choose(part, choose(from, entry, entryOf(0, 1)),
                   choose(from, entryOf(1, 0), entryOf(1, 1)));
    square = {row, part, column, from};
  }

  // Dimensions before those of the matrix; the step may have more of them.
  auto isTimed = [&](const TermRef &term) {
    bool timed = term->dependsOn(block.time) ||
                 llvm::any_of(block.others, [&](IndexId id) { return term->dependsOn(id); });
    walk(term, [&](const TermRef &node) { timed |= node->batched; });
    return timed;
  };
  auto isBatched = [](const TermRef &term) {
    bool batched = false;
    walk(term, [&](const TermRef &node) { batched |= node->batched; });
    return batched;
  };
  TermRef step = discretization ? discretization->step : TermRef();
  bool entryTimed = isTimed(entry), stepTimed = step && isTimed(step);
  llvm::SmallVector<IndexId> own, more; // of the entry; of the step alone
  for (IndexId id : block.ids)
    if (id != row && entry->dependsOn(id))
      own.push_back(id);
    else if (id != row && step && step->dependsOn(id))
      more.push_back(id);
  llvm::SmallVector<IndexId> tokens = {block.time};
  for (IndexId id : block.others)
    if (entry->dependsOn(id) || (step && step->dependsOn(id)))
      tokens.push_back(id);
  if (entryTimed) {
    own.insert(own.begin(), more.begin(), more.end());
    own.insert(own.begin(), tokens.begin(), tokens.end());
    more.clear();
  } else if (stepTimed) {
    more.insert(more.begin(), tokens.begin(), tokens.end());
  }
  bool batched = isBatched(entry) || (step && isBatched(step));
  llvm::SmallVector<IndexId> leading(more);
  llvm::append_range(leading, own);

  llvm::SmallVector<IndexId> variables(own);
  llvm::append_range(variables, square);
  llvm::SmallVector<Value> values;
  emitGeneric(entry, variables, {}, Operator::Add, values, batched && entryTimed);
  Value matrix = values[0];
  if (isComplex)
    matrix = collapseParts(builder, loc, matrix);
  Value gain;
  if (discretization) {
    llvm::SmallVector<Value> steps;
    emitGeneric(step, leading, {}, Operator::Add, steps, batched);
    auto [transition, input] = discretizeMatrix(
        discretization->rule, discretization->inputRule, matrix, steps[0]);
    matrix = transition;
    gain = input;
  }

  // The elements that the scan reads.
  block.target = row;
  block.source = column;
  if (isComplex) {
    Axis twice = block.axes[mixing.axis];
    twice.size = 2 * extent;
    twice.pairs = false;
    block.isReal = true;
    block.interleaved = block.target = newIndex(twice);
    block.source = newIndex(twice);
  }
  auto elementOf = [&](Value tensor, AffineExpr from) {
    llvm::SmallVector<AffineExpr> at;
    for (IndexId id : leading)
      at.push_back(dim(id));
    at.append({dim(block.target), from});
    return element(tensor, at, isTensorBatched(tensor, at.size()), false, false);
  };
  block.dense = ssmc::real(elementOf(matrix, dim(block.source)));
  if (!mixing.write)
    return true;
  Number write = mixing.write;
  constexpr int euler = 2;
  bool byMatrix = discretization && (discretization->inputRule >= 0
                                         ? discretization->inputRule
                                         : discretization->rule) != euler;
  if (byMatrix) {
    TermRef left[2];
    for (unsigned part = 0; part < numParts; ++part)
      left[part] = elementOf(gain, isComplex ? dim(column) * 2 + part : dim(column));
    auto total = sumOverState(block, row, column, left, write, scope);
    if (!total)
      return false;
    block.write = ssmc::real(*total);
    return true;
  }
  if (discretization)
    write = multiply(ssmc::real(step), write);
  block.write =
      isComplex ? ssmc::real(interleave(write.re, imag(write), row, block.target)) : write;
  return true;
}

//===----------------------------------------------------------------------===//
// Functions of matrices
//===----------------------------------------------------------------------===//

/// inv(A), matpow(A, k), expm(A), krylov(A, v, count), and transition matrices: zoh(A, d),
/// bilinear(A, d), euler(A, d), backward(A, d). The matrix is in the last two axes.
std::optional<Entity> Elaborator::matrixFunction(const ast::CallExpr &call,
                                                 llvm::StringRef name,
                                                 std::shared_ptr<Scope> scope) {
  int rule = llvm::StringSwitch<int>(name)
                 .Case("zoh", 0).Case("bilinear", 1).Case("euler", 2).Case("backward", 3)
                 .Default(-1);
  size_t wanted = name == "krylov" ? 3 : rule >= 0 || name == "matpow" ? 2 : 1;
  if (call.args.size() != wanted) {
    diagnostics.error(call.range, "'" + name + "' takes " + llvm::Twine(wanted) +
                                      (wanted == 1 ? " argument" : " arguments") +
                                      ", found " + llvm::Twine(call.args.size()));
    return std::nullopt;
  }
  const ast::Expr &operand = *call.args[0].value;
  auto tensor = evaluateTensor(operand, scope);
  if (!tensor)
    return std::nullopt;
  size_t rank = tensor->axes.size();
  int64_t extent = rank ? tensor->axes.back().size : 0;
  auto isRunTime = [](const Axis &axis) { return isRunTimeExtent(axis.size); };
  if (rank < 2 || isRunTimeExtent(extent) || tensor->axes[rank - 2].size != extent) {
    diagnostics.error(operand.range, "'" + name + "' needs a matrix, two last axes of "
                                     "the same extent; found " +
                                         shapeText(tensor->axes));
    return std::nullopt;
  }
  if (llvm::any_of(tensor->axes, isRunTime) || tensor->batched) {
    diagnostics.error(operand.range, "'" + name + "' of a matrix that depends on the "
                                     "sequence is not available in this version");
    return std::nullopt;
  }
  int64_t exponent = -1, count = 0;
  std::optional<TensorValue> step, vector;
  if (name == "krylov") {
    const ast::Expr &operand = *call.args[1].value;
    auto number = requireInteger(*call.args[2].value, *scope, "the number of images");
    vector = evaluateTensor(operand, scope);
    if (!number || !vector)
      return std::nullopt;
    if (*number < 1) {
      diagnostics.error(call.args[2].value->range,
                        "the number of images is at least 1, found " +
                            llvm::Twine(*number));
      return std::nullopt;
    }
    count = *number;
    bool fits = vector->axes.size() + 1 == rank && !vector->batched;
    for (size_t i = 0; fits && i + 1 < rank; ++i)
      fits = vector->axes[i].size == tensor->axes[i].size;
    if (!fits) {
      diagnostics.error(operand.range, "'krylov' needs a vector with the axes of the "
                                       "matrix but the last, " +
                                           shapeText(tensor->axes) + "; found " +
                                           shapeText(vector->axes));
      return std::nullopt;
    }
  }
  if (name == "matpow") {
    auto number = requireInteger(*call.args[1].value, *scope, "the exponent");
    if (!number)
      return std::nullopt;
    exponent = *number;
  } else if (rule >= 0) {
    step = evaluateTensor(*call.args[1].value, scope);
    if (!step)
      return std::nullopt;
    if (step->isComplex() || step->batched || llvm::any_of(step->axes, isRunTime)) {
      diagnostics.error(call.args[1].value->range,
                        "a step is a real number that does not depend on the sequence");
      return std::nullopt;
    }
  }

  // The axes before the matrix, those of the step that it lacks first.
  PointContext point;
  llvm::SmallVector<IndexId> more, own;
  llvm::SmallVector<AffineExpr> at, stepAt;
  llvm::SmallVector<Axis> axes;
  for (const Axis &axis : tensor->axes) {
    own.push_back(newIndex(axis));
    at.push_back(dim(own.back()));
  }
  IndexId row = own[rank - 2], column = own[rank - 1];
  if (step)
    for (const Axis &axis : step->axes) {
      IndexId found = ~0u;
      for (size_t i = 0; i + 2 < rank; ++i)
        if (!axis.name.empty() && tensor->axes[i].name == axis.name)
          found = own[i];
      if (found == ~0u) {
        found = newIndex(axis);
        more.push_back(found);
        axes.push_back(axis);
      }
      stepAt.push_back(dim(found));
    }
  auto number = access(*tensor, at, {}, operand.range, *scope, point);
  if (!number)
    return std::nullopt;
  llvm::append_range(axes, tensor->axes);
  TermRef entry = number->re;
  llvm::SmallVector<IndexId> variables(own);
  bool isComplex = number->isComplex();
  if (isComplex) {
    Axis both;
    both.size = 2;
    IndexId part = newIndex(both), from = newIndex(both);
    TermRef same = operation(Operator::Eq, indexTerm(dim(part)), indexTerm(dim(from)));
    TermRef upper = operation(Operator::Eq, indexTerm(dim(part)), constant(0));
    entry = operation(
        Operator::Select,
        {same, entry,
         operation(Operator::Select, {upper, negate(number->im), number->im})});
    variables.pop_back();
    variables.append({part, column, from});
  }
  llvm::SmallVector<Value> values;
  emitGeneric(entry, variables, {}, Operator::Add, values);
  Value matrix = values[0];
  if (isComplex)
    matrix = collapseParts(builder, loc, matrix);
  if (vector) {
    llvm::SmallVector<IndexId> places(own.begin(), own.end() - 1);
    auto value = access(*vector, llvm::ArrayRef<AffineExpr>(at).drop_back(), {},
                        call.range, *scope, point);
    if (!value)
      return std::nullopt;
    TermRef part = value->re;
    if (isComplex) {
      part = operation(Operator::Select,
                       {operation(Operator::Eq, indexTerm(dim(variables[rank - 1])),
                                  constant(0)),
                        part, imag(*value)});
      places.push_back(variables[rank - 1]);
    } else if (value->im) {
      diagnostics.error(call.args[1].value->range,
                        "'krylov' of a real matrix needs a real vector");
      return std::nullopt;
    }
    llvm::SmallVector<Value> vectors;
    emitGeneric(part, places, {}, Operator::Add, vectors);
    Value start = vectors[0];
    if (isComplex) {
      llvm::SmallVector<ReassociationIndices> groups;
      for (int64_t d = 0; d < int64_t(rank) - 2; ++d)
        groups.push_back({d});
      groups.push_back({int64_t(rank) - 2, int64_t(rank) - 1});
      start = tensor::CollapseShapeOp::create(builder, loc, start, groups);
    }
    llvm::SmallVector<int64_t> shape(cast<RankedTensorType>(start.getType()).getShape());
    shape.insert(shape.end() - 1, count);
    Value init = tensor::EmptyOp::create(builder, loc, shape, scalarType);
    matrix = ssm::KrylovOp::create(builder, loc, init.getType(), matrix, start, init)
                 .getResult(0);
    // The images stand where the rows were, the elements where the columns.
    Axis images;
    images.size = count;
    axes[rank - 1] = tensor->axes[rank - 2];
    axes[rank - 2] = images;
    own[rank - 2] = newIndex(images);
  } else if (name == "inv" || name == "matpow") {
    Value init = tensor::EmptyOp::create(
        builder, loc, cast<RankedTensorType>(matrix.getType()).getShape(), scalarType);
    matrix = ssm::MatrixPowerOp::create(builder, loc, init.getType(),
                                        builder.getI64IntegerAttr(exponent), matrix, init)
                 .getResult(0);
  } else {
    TermRef stepTerm = constant(1);
    if (step) {
      auto value = access(*step, stepAt, {}, call.range, *scope, point);
      if (!value)
        return std::nullopt;
      stepTerm = value->re;
    }
    llvm::SmallVector<IndexId> leading(more);
    leading.append(own.begin(), own.end() - 2);
    llvm::SmallVector<Value> steps;
    emitGeneric(stepTerm, leading, {}, Operator::Add, steps);
    matrix = discretizeMatrix(std::max(rule, 0), -1, matrix, steps[0])[0];
  }
  // Back to the axes of the matrix.
  TensorValue result;
  result.axes = axes;
  for (size_t i = 0; i < axes.size(); ++i)
    result.dimension.push_back(i);
  result.re = matrix;
  if (isComplex) {
    llvm::SmallVector<AffineExpr> positions;
    llvm::SmallVector<IndexId> all(more);
    llvm::append_range(all, own);
    for (IndexId id : llvm::ArrayRef<IndexId>(all).drop_back(2))
      positions.push_back(dim(id));
    // The first column of a pair holds both parts; of images the elements do.
    AffineExpr second = dim(column) * 2;
    AffineExpr first = vector ? dim(own[rank - 2]) : dim(row) * 2;
    positions.append({first, second});
    TermRef re = element(matrix, positions, false, false, false);
    positions[positions.size() - (vector ? 1 : 2)] = (vector ? second : first) + 1;
    TermRef im = element(matrix, positions, false, false, false);
    result = materialize({re, im}, all, axes, true);
  }
  return Entity::of(std::move(result), call.range);
}
