//===- ElaborateBinding.cpp - Values under the names of a pattern ---------===//
//
// The axes of a parameter, or of a left side, against those of the value.
//
//===----------------------------------------------------------------------===//

#include "Elaborator.h"

using namespace ssmc;
using namespace mlir;

/// `(h, k)` in a parameter's axes: one axis of the argument becomes several.
std::optional<TensorValue> Elaborator::splitAxes(const ast::Pattern &pattern,
                                                 const TensorValue &value,
                                                 Scope &scope, llvm::SMRange where) {
  llvm::SmallVector<IndexId> variables;
  llvm::SmallVector<Axis> axes;
  llvm::SmallVector<AffineExpr> at;
  size_t named = 0;
  for (const ast::AxisPattern &axis : pattern.axes)
    named += axis.kind != ast::AxisPattern::Rest;
  bool hasRest = named != pattern.axes.size();
  if (named > value.axes.size() || (!hasRest && named != value.axes.size())) {
    diagnostics.error(where, "'" + pattern.name.name + "' has " + llvm::Twine(named) +
                                 " axes, the value has " +
                                 llvm::Twine(value.axes.size()) + ", " +
                                 shapeText(value.axes));
    diagnostics.note(pattern.range, "declared here");
    return std::nullopt;
  }
  size_t position = 0;
  auto keep = [&](Axis axis) {
    variables.push_back(newIndex(axis));
    axes.push_back(axis);
    at.push_back(dim(variables.back()));
    ++position;
  };
  Axis rest;
  for (const ast::AxisPattern &axisPattern : pattern.axes) {
    if (axisPattern.kind == ast::AxisPattern::Rest) {
      for (size_t n = value.axes.size() - named; n > 0; --n) {
        rest.members.push_back(value.axes[position]);
        keep(value.axes[position]);
      }
      scope.axes[".."] = {rest, axisPattern.range};
      continue;
    }
    if (axisPattern.kind != ast::AxisPattern::Merged) {
      Axis axis = value.axes[position];
      if (axisPattern.kind == ast::AxisPattern::Name) {
        axis.name = axisPattern.name.name;
        if (!scope.findAxis(axis.name))
          scope.axes[axis.name] = {axis, axisPattern.range};
      }
      keep(axis);
      continue;
    }
    int64_t total = value.axes[position].size, known = 1;
    llvm::SmallVector<Axis> members;
    int open = -1; // the member whose extent the value decides
    for (const ast::AxisPattern &member : axisPattern.members) {
      bool fresh = member.kind == ast::AxisPattern::Name && !member.size &&
                   !scope.findAxis(member.name.name) &&
                   !scope.findConstant(member.name.name);
      if (fresh) {
        if (open >= 0) {
          diagnostics.error(member.range, "only one of the axes stored as one may take "
                                          "its extent from the value");
          return std::nullopt;
        }
        open = members.size();
        Axis axis;
        axis.name = member.name.name;
        axis.range = member.range;
        members.push_back(axis);
        continue;
      }
      auto axis = resolveAxis(member, scope, true);
      if (!axis)
        return std::nullopt;
      known *= axis->size;
      members.push_back(*axis);
    }
    if (open >= 0 && known > 0 && total % known == 0) {
      members[open].size = total / known;
      known = total;
      scope.axes[members[open].name] = {members[open], members[open].range};
    }
    if (known != total) {
      diagnostics.error(where, "an axis of extent " + llvm::Twine(total) +
                                   " does not split into parts of " +
                                   llvm::Twine(known) + " elements");
      diagnostics.note(axisPattern.range, "declared here");
      return std::nullopt;
    }
    AffineExpr merged;
    for (const Axis &member : members) {
      variables.push_back(newIndex(member));
      axes.push_back(member);
      AffineExpr d = dim(variables.back());
      merged = merged ? merged * member.size + d : d;
    }
    at.push_back(merged);
    ++position;
  }
  PointContext none;
  auto number = access(value, at, {}, where, scope, none);
  if (!number)
    return std::nullopt;
  return materialize(*number, variables, axes, false);
}

/// The value under the axis names of a parameter (or of a left side).
std::optional<TensorValue> Elaborator::bindParameter(const ast::Pattern &pattern,
                                                     TensorValue value, Scope &scope,
                                                     llvm::SMRange where,
                                                     bool splits) {
  auto isMerged = [](const ast::AxisPattern &axis) {
    return axis.kind == ast::AxisPattern::Merged;
  };
  if (splits && llvm::any_of(pattern.axes, isMerged))
    return splitAxes(pattern, value, scope, where);
  auto sizeText = [&](int64_t size) {
    if (!isSequenceExtent(size))
      return std::to_string(size);
    return sequences.size() < 2 ? std::string("those of the sequence")
                                : "those of the sequence axis '" +
                                      sequences[sequenceNumber(size)].name + "'";
  };
  size_t named = 0;
  bool hasRest = false;
  for (const ast::AxisPattern &axis : pattern.axes)
    axis.kind == ast::AxisPattern::Rest ? void(hasRest = true) : void(++named);
  size_t rank = value.axes.size();
  if (hasRest ? rank < named : rank != named) {
    // A number is constant along every axis.
    if (rank == 0 && value.inlined && !hasRest) {
      TensorValue result = value;
      for (const ast::AxisPattern &axisPattern : pattern.axes) {
        auto axis = resolveAxis(axisPattern, scope, true);
        if (!axis)
          return std::nullopt;
        result.axes.push_back(*axis);
        result.dimension.push_back(-1);
        result.variables.push_back(newIndex(*axis));
      }
      return result;
    }
    diagnostics.error(where, "'" + pattern.name.name + "' has " +
                                 llvm::Twine(named) + " axes, the value has " +
                                 llvm::Twine(rank) + ", " + shapeText(value.axes));
    diagnostics.note(pattern.range, "declared here");
    return std::nullopt;
  }
  size_t position = 0;
  for (const ast::AxisPattern &axisPattern : pattern.axes) {
    if (axisPattern.kind == ast::AxisPattern::Rest) {
      Axis rest;
      for (size_t count = rank - named; count > 0; --count)
        rest.members.push_back(value.axes[position++]);
      scope.axes[".."] = {rest, axisPattern.range};
      continue;
    }
    Axis &have = value.axes[position++];
    if (axisPattern.kind == ast::AxisPattern::Name && !axisPattern.size &&
        !scope.findConstant(axisPattern.name.name)) {
      // An axis by name: known in this layer, or met here.
      auto *known = scope.findAxis(axisPattern.name.name);
      if (axisPattern.extent == ast::AxisPattern::Seq && !have.sequence) {
        diagnostics.error(where, "'" + pattern.name.name + "' wants a sequence axis '" +
                                     axisPattern.name.name + "', this value has " +
                                     sizeText(have.size) + " elements there");
        diagnostics.note(axisPattern.range, "declared here");
        return std::nullopt;
      }
      if (known && known->first.size != have.size) {
        diagnostics.error(where, "axis '" + axisPattern.name.name + "' of '" +
                                     pattern.name.name + "' has " +
                                     sizeText(known->first.size) +
                                     " elements, this value has " + sizeText(have.size));
        diagnostics.note(known->second, "the axis is declared here");
        return std::nullopt;
      }
      Axis axis = known ? known->first : have;
      axis.name = axisPattern.name.name;
      axis.members.clear();
      axis.sequence = have.sequence;
      axis.size = have.size;
      if (!known)
        scope.axes[axis.name] = {axis, axisPattern.range};
      have = axis;
      continue;
    }
    auto axis = resolveAxis(axisPattern, scope, true);
    if (!axis)
      return std::nullopt;
    if (axis->size != have.size) {
      diagnostics.error(where, "'" + pattern.name.name + "' wants " +
                                   sizeText(axis->size) + " elements here, the value has " +
                                   sizeText(have.size));
      diagnostics.note(axisPattern.range, "declared here");
      return std::nullopt;
    }
    axis->sequence = have.sequence;
    have = *axis;
  }
  return value;
}
