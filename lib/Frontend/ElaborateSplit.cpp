//===- ElaborateSplit.cpp - split and concat ------------------------------===//
//
// Pieces of the last axis.
//
//===----------------------------------------------------------------------===//

#include "Elaborator.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/ADT/StringExtras.h"

using namespace ssmc;
using namespace mlir;

/// combinations(s, p): all choices of p of the numbers below s, each ascending, in
/// lexicographic order; a table of whole numbers.
std::optional<Entity> Elaborator::combinations(const ast::CallExpr &call,
                                               std::shared_ptr<Scope> scope) {
  constexpr double maxElements = 1 << 24;
  if (call.args.size() != 2) {
    diagnostics.error(call.range, "'combinations' takes 2 arguments, found " +
                                      llvm::Twine(call.args.size()));
    return std::nullopt;
  }
  auto total = requireInteger(*call.args[0].value, *scope, "how many there are");
  auto chosen = requireInteger(*call.args[1].value, *scope, "how many are chosen");
  if (!total || !chosen)
    return std::nullopt;
  if (*total < 0 || *chosen < 1 || *chosen > 64 ||
      binomial(*total, *chosen) * *chosen > maxElements) {
    diagnostics.error(call.range, "a table of combinations has at most 2^24 elements "
                                  "and chooses 1 to 64; here " + llvm::Twine(*chosen) +
                                  " of " + llvm::Twine(*total));
    return std::nullopt;
  }
  llvm::SmallVector<int64_t> table, current;
  for (int64_t i = 0; i < *chosen; ++i)
    current.push_back(i);
  int64_t rows = int64_t(binomial(*total, *chosen));
  for (int64_t row = 0; row < rows; ++row) {
    table.append(current.begin(), current.end());
    // The last number that can grow does; those behind it follow at once.
    int64_t at = *chosen - 1;
    while (at >= 0 && current[at] == *total - *chosen + at)
      --at;
    if (at < 0)
      break;
    for (int64_t next = current[at] + 1; at < *chosen; ++at, ++next)
      current[at] = next;
  }
  auto type = RankedTensorType::get({rows, *chosen}, builder.getI64Type());
  TensorValue result;
  for (int64_t size : {rows, *chosen}) {
    Axis axis;
    axis.size = size;
    result.dimension.push_back(result.axes.size());
    result.axes.push_back(axis);
  }
  result.re = arith::ConstantOp::create(
      builder, loc, DenseIntElementsAttr::get(type, llvm::ArrayRef<int64_t>(table)));
  result.integer = true;
  return Entity::of(std::move(result), call.range);
}

/// split, concat, and functions of matrices.
std::optional<Entity>
Elaborator::callBuiltinTensor(const ast::CallExpr &call, llvm::StringRef name,
                              std::shared_ptr<Scope> scope, bool &known) {
  known = name == "inv" || name == "matpow" || name == "expm" || name == "krylov" || name == "zoh" ||
          name == "bilinear" || name == "euler" || name == "backward";
  if (known)
    return matrixFunction(call, name, scope);
  if (name == "combinations") {
    known = true;
    return combinations(call, scope);
  }
  if (name == "impulse") {
    known = true;
    return impulse(call, scope);
  }
  known = name == "split" || name == "concat";
  if (!known)
    return std::nullopt;
  if (name == "split") {
    if (call.args.size() < 2) {
      diagnostics.error(call.range, "'split' takes a tensor and the pieces of its "
                                    "last axis");
      return std::nullopt;
    }
    auto tensor = evaluateTensor(*call.args[0].value, scope);
    if (!tensor)
      return std::nullopt;
    if (tensor->axes.empty() || tensor->inlined) {
      diagnostics.error(call.args[0].value->range, "this has no axis to split");
      return std::nullopt;
    }
    unsigned last = tensor->axes.size() - 1;
    int64_t total = tensor->axes[last].size, offset = 0;
    Entity result;
    result.kind = Entity::Tuple;
    for (const ast::Arg &arg : llvm::drop_begin(call.args)) {
      // A piece is a size, an axis, or axes stored as one.
      llvm::SmallVector<Axis> axes;
      auto one = [&](const ast::Expr &expr) -> bool {
        if (auto *lag = llvm::dyn_cast<ast::LagExpr>(&expr)) {
          auto axis = resolveAxis(lag->axis, *scope, true);
          if (!axis)
            return false;
          axes.push_back(*axis);
          return true;
        }
        if (auto *axisName = llvm::dyn_cast<ast::NameExpr>(&expr))
          if (auto *axis = scope->findAxis(axisName->name);
              axis && !scope->findConstant(axisName->name)) {
            axes.push_back(axis->first);
            return true;
          }
        auto size = requireInteger(expr, *scope, "the size of a piece");
        if (!size)
          return false;
        Axis axis;
        axis.size = *size;
        axes.push_back(axis);
        return true;
      };
      auto *tuple = llvm::dyn_cast<ast::TupleExpr>(arg.value.get());
      if (tuple) {
        for (auto [i, element] : llvm::enumerate(tuple->elements)) {
          const ast::Expr *size = i < tuple->sizes.size() ? tuple->sizes[i].get()
                                                          : nullptr;
          auto *plain = llvm::dyn_cast<ast::NameExpr>(element.get());
          if (!size || !plain) {
            if (!one(*element))
              return std::nullopt;
            continue;
          }
          auto extent = requireInteger(*size, *scope, "the extent of an axis");
          if (!extent)
            return std::nullopt;
          Axis axis;
          axis.name = plain->name;
          axis.size = *extent;
          axis.range = plain->range;
          if (!scope->findAxis(axis.name))
            scope->axes[axis.name] = {axis, plain->range};
          axes.push_back(axis);
        }
      } else if (!one(*arg.value)) {
        return std::nullopt;
      }
      Axis piece;
      piece.size = 1;
      for (const Axis &axis : axes)
        piece.size *= axis.size;
      if (axes.size() == 1)
        piece = axes[0];
      if (piece.size < 0 || offset + piece.size > total) {
        diagnostics.error(arg.value->range, "the pieces up to here have " +
                                                llvm::Twine(offset + piece.size) +
                                                " elements, the axis " +
                                                llvm::Twine(total));
        return std::nullopt;
      }
      TensorValue part = slice(*tensor, last, offset, piece);
      offset += piece.size;
      if (axes.size() > 1) {
        // Give the merged axes dimensions of their own.
        llvm::SmallVector<IndexId> variables;
        llvm::SmallVector<Axis> all;
        llvm::SmallVector<AffineExpr> at;
        for (const Axis &axis : llvm::ArrayRef<Axis>(part.axes).drop_back()) {
          variables.push_back(newIndex(axis));
          all.push_back(axis);
          at.push_back(dim(variables.back()));
        }
        AffineExpr merged;
        for (const Axis &axis : axes) {
          variables.push_back(newIndex(axis));
          all.push_back(axis);
          AffineExpr d = dim(variables.back());
          merged = merged ? merged * axis.size + d : d;
        }
        at.push_back(merged);
        PointContext none;
        auto value = access(part, at, {}, arg.value->range, *scope, none);
        if (!value)
          return std::nullopt;
        part = materialize(*value, variables, all, false);
      }
      result.elements.push_back(Entity::of(std::move(part), call.range));
    }
    if (offset != total) {
      diagnostics.error(call.range, "the pieces have " + llvm::Twine(offset) +
                                        " elements together, the axis has " +
                                        llvm::Twine(total));
      return std::nullopt;
    }
    return result;
  }

  // concat along the last axis.
  std::vector<TensorValue> parts;
  int64_t total = 0;
  bool isComplex = false;
  for (const ast::Arg &arg : call.args) {
    auto tensor = evaluateTensor(*arg.value, scope);
    if (!tensor)
      return std::nullopt;
    if (tensor->axes.empty()) {
      diagnostics.error(arg.value->range, "'concat' joins the last axes of tensors; "
                                          "this has none");
      return std::nullopt;
    }
    // Full tensors over equal leading axes.
    PointContext point;
    llvm::SmallVector<IndexId> variables;
    llvm::SmallVector<AffineExpr> at;
    for (const Axis &axis : tensor->axes) {
      variables.push_back(newIndex(axis));
      at.push_back(dim(variables.back()));
    }
    bool whole = tensor->re && llvm::all_of(tensor->dimension,
                                            [](int d) { return d >= 0; });
    if (!whole) {
      auto value = access(*tensor, at, {}, arg.value->range, *scope, point);
      if (!value)
        return std::nullopt;
      tensor = materialize(*value, variables, tensor->axes, true);
    }
    auto sizesBeforeLast = [](const TensorValue &part) {
      llvm::SmallVector<int64_t> sizes;
      for (const Axis &axis : llvm::ArrayRef(part.axes).drop_back())
        sizes.push_back(axis.size);
      return sizes;
    };
    if (!parts.empty() && sizesBeforeLast(parts[0]) != sizesBeforeLast(*tensor)) {
      diagnostics.error(arg.value->range, "'concat' needs equal axes before the last, found " +
                                              shapeText(parts[0].axes) + " and " +
                                              shapeText(tensor->axes));
      return std::nullopt;
    }
    isComplex |= tensor->isComplex();
    total += tensor->axes.back().size;
    parts.push_back(*tensor);
  }
  TensorValue result = parts[0];
  Axis joined;
  joined.size = total;
  result.axes.back() = joined;
  auto join = [&](bool imaginary) -> Value {
    llvm::SmallVector<int64_t> sizes;
    for (const Axis &axis : result.axes)
      sizes.push_back(axis.size);
    Value whole = emptyTensor(sizes, result.batched, scalarType);
    int64_t offset = 0;
    for (TensorValue &part : parts) {
      Value value = imaginary ? part.im : part.re;
      auto type = llvm::cast<RankedTensorType>(whole.getType());
      llvm::SmallVector<int64_t> partSizes;
      for (const Axis &axis : part.axes)
        partSizes.push_back(axis.size);
      llvm::SmallVector<OpFoldResult> offsets(type.getRank(),
                                              builder.getIndexAttr(0)),
          strides(type.getRank(), builder.getIndexAttr(1)),
          extents = mixedSizes(partSizes, result.batched);
      offsets.back() = builder.getIndexAttr(offset);
      whole = insertSlice(builder, loc, value, whole, offsets, extents, strides);
      offset += part.axes.back().size;
    }
    return whole;
  };
  if (isComplex)
    for (auto [part, arg] : llvm::zip(parts, call.args))
      if (!part.im) {
        diagnostics.error(arg.value->range, "'concat' joins real with complex");
        return std::nullopt;
      }
  result.re = join(false);
  result.im = isComplex ? join(true) : Value();
  return Entity::of(std::move(result), call.range);
}
