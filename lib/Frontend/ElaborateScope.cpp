//===- ElaborateScope.cpp - Scopes, axes and their extents ----------------===//
//
// Names are looked up from the inside out. An axis gets its extent where it first appears.
//
//===----------------------------------------------------------------------===//

#include "Elaborator.h"

#include "llvm/Support/Format.h"
#include <cmath>

using namespace ssmc;
using namespace mlir;

static std::string text(double number) {
  return Constant::of(number, std::isfinite(number)).str();
}

std::string Constant::str() const {
  if (kind == Name)
    return name;
  if (kind == Boolean)
    return number != 0 ? "true" : "false";
  if (kind == Integer && std::fabs(number) < 1e18)
    return std::to_string(int64_t(number));
  std::string text;
  llvm::raw_string_ostream(text) << llvm::format("%g", number);
  return text;
}

Entity *Scope::findValue(llvm::StringRef name) {
  for (Scope *s = this; s; s = s->parent.get()) {
    auto found = s->values.find(name.str());
    if (found != s->values.end()) {
      if (found->second.kind == Entity::Wrong)
        *found->second.used = true;
      return &found->second;
    }
    if (s->constants.count(name.str()))
      return nullptr;
  }
  return nullptr;
}

Constant *Scope::findConstant(llvm::StringRef name) {
  for (Scope *s = this; s; s = s->parent.get()) {
    auto found = s->constants.find(name.str());
    if (found != s->constants.end())
      return &found->second;
  }
  return nullptr;
}

std::pair<Axis, llvm::SMRange> *Scope::findAxis(llvm::StringRef name) {
  for (Scope *s = this; s; s = s->parent.get()) {
    auto found = s->axes.find(name.str());
    if (found != s->axes.end())
      return &found->second;
  }
  return nullptr;
}

const TensorValue *Scope::findCut(int64_t sequence) {
  for (Scope *s = this; s; s = s->parent.get())
    if (auto found = s->cuts.find(sequence); found != s->cuts.end())
      return &found->second;
  return nullptr;
}

void Scope::inheritCuts(Scope &caller) {
  for (Scope *s = &caller; s; s = s->parent.get())
    for (const auto &[sequence, cut] : s->cuts)
      if (!findCut(sequence))
        cuts.insert({sequence, cut});
}

bool Scope::isLoopIndex(llvm::StringRef name) {
  for (Scope *s = this; s; s = s->parent.get())
    if (!s->loopIndex.empty() && s->loopIndex == name)
      return true;
  return false;
}

IndexId Elaborator::newIndex(Axis axis) {
  indexAxes.push_back(std::move(axis));
  return indexAxes.size() - 1;
}

AffineExpr Elaborator::dim(IndexId id) { return getAffineDimExpr(id, &context); }

/// The index at place 0 of an axis.
AffineExpr Elaborator::firstOf(const Axis &axis) {
  return getAffineSymbolExpr(0, &context) * axis.firstScale + axis.first;
}

/// The index that a variable, which counts places from 0, stands for.
AffineExpr Elaborator::indexOf(IndexId id) { return dim(id) + firstOf(indexAxis(id)); }

/// An index variable and an axis it walks must have the same extent.
bool Elaborator::unify(IndexId id, int64_t size, llvm::SMRange range) {
  Axis &axis = indexAxis(id);
  if (axis.size == kUnknownExtent) {
    axis.size = size;
    axis.sequence = isSequenceExtent(size);
    return true;
  }
  if (size == kUnknownExtent || axis.size == size)
    return true;
  diagnostics.error(range, "axis '" + axis.name + "' has extent " +
                               extentText(axis.size) +
                               ", here it walks an axis of extent " + extentText(size));
  if (axis.range.isValid())
    diagnostics.note(axis.range, "the axis is declared here");
  return false;
}

/// The axis a pattern names; with `define`, `name: size` declares it.
std::optional<Axis> Elaborator::resolveAxis(const ast::AxisPattern &pattern,
                                            Scope &scope, bool define) {
  Axis axis;
  axis.range = pattern.range;
  if (pattern.kind == ast::AxisPattern::Merged) {
    axis.size = 1;
    for (const ast::AxisPattern &member : pattern.members) {
      auto one = resolveAxis(member, scope, define);
      if (!one)
        return std::nullopt;
      axis.size *= one->size;
      axis.members.push_back(*one);
    }
    return axis;
  }
  if (pattern.kind == ast::AxisPattern::Rest) {
    diagnostics.error(pattern.range, "'..' stands for the leading axes of an argument; "
                                     "there is none here");
    return std::nullopt;
  }
  auto extent = [&](const ast::Expr &expr) -> bool {
    auto size = requireInteger(expr, scope, "the extent of an axis");
    if (!size)
      return false;
    if (*size < 0)
      return diagnostics.error(expr.range, "an axis has an extent of 0 or more, found " +
                                               llvm::Twine(*size));
    if (*size > (int64_t(1) << 40))
      return diagnostics.error(expr.range, "an axis has an extent of at most 2^40, found " +
                                               llvm::Twine(*size));
    axis.size = *size;
    return true;
  };
  if (pattern.kind == ast::AxisPattern::Size) {
    if (!extent(*pattern.size))
      return std::nullopt;
    return axis;
  }
  axis.name = pattern.name.name;
  auto *known = scope.findAxis(axis.name);
  if (pattern.isLength) {
    if (axis.name != "t" || !define) {
      diagnostics.error(pattern.range, "'=' gives the length of the sequence, t = "
                                       "LENGTH, where an input declares it; an axis "
                                       "has its extent behind ':'");
      return std::nullopt;
    }
    if (!extent(*pattern.size))
      return std::nullopt;
    if (axis.size == 0) {
      diagnostics.error(pattern.size->range, "a sequence of one length has at least 1 "
                                             "token");
      return std::nullopt;
    }
    if (fixedLength && fixedLength != axis.size) {
      diagnostics.error(pattern.size->range, "the sequence already has the length " +
                                                 llvm::Twine(fixedLength));
      return std::nullopt;
    }
    fixedLength = axis.size;
    reversed = true; // what depends on the length is known for whole sequences only
    if (known)
      return known->first;
    auto size = declareSequence(pattern);
    if (!size)
      return std::nullopt;
    axis.sequence = true;
    axis.size = *size;
    scope.axes[axis.name] = {axis, pattern.range};
    return axis;
  }
  if (pattern.extent == ast::AxisPattern::Seq && known && !known->first.sequence) {
    diagnostics.error(pattern.range, "axis '" + axis.name + "' already has extent " +
                                         extentText(known->first.size) +
                                         ", it is no sequence");
    diagnostics.note(known->second, "declared here");
    return std::nullopt;
  }
  if (!known && (pattern.extent == ast::AxisPattern::Seq ||
                 (axis.name == "t" && !pattern.size))) {
    auto size = declareSequence(pattern);
    if (!size)
      return std::nullopt;
    axis.sequence = true;
    axis.size = *size;
    if (define)
      scope.axes[axis.name] = {axis, pattern.range};
    return axis;
  }
  if (pattern.extent == ast::AxisPattern::Lag) {
    if (!resolveLag(pattern, axis, scope))
      return std::nullopt;
    if (define)
      scope.axes[axis.name] = {axis, pattern.range};
    return axis;
  }
  if (pattern.size) {
    if (!extent(*pattern.size))
      return std::nullopt;
    if (pattern.extent == ast::AxisPattern::Pairs) {
      if (axis.size % 2) {
        diagnostics.error(pattern.size->range, "'pairs' needs an even extent, found " +
                                                   llvm::Twine(axis.size));
        return std::nullopt;
      }
      axis.size /= 2;
      axis.pairs = true;
    }
    if (known && known->first.size != axis.size) {
      diagnostics.error(pattern.range, "axis '" + axis.name + "' already has extent " +
                                           llvm::Twine(known->first.size) +
                                           ", here it gets " + llvm::Twine(axis.size));
      diagnostics.note(known->second, "declared here");
      return std::nullopt;
    }
    if (define && !known)
      scope.axes[axis.name] = {axis, pattern.range};
    return axis;
  }
  if (known) {
    Axis found = known->first;
    found.range = known->second;
    return found;
  }
  // A parameter as an extent makes an axis without a name.
  if (Constant *constant = scope.findConstant(axis.name)) {
    if (constant->kind != Constant::Integer) {
      diagnostics.error(pattern.range, "an extent must be an integer, '" + axis.name +
                                           "' is " + constant->str());
      return std::nullopt;
    }
    axis.name.clear();
    axis.size = int64_t(constant->number);
    return axis;
  }
  if (wrongAxes.count(axis.name))
    return std::nullopt;
  diagnostics.error(pattern.range, "axis '" + axis.name + "' has no extent: its first "
                                   "appearance must give one, " + axis.name + ": SIZE");
  return std::nullopt;
}

/// `lag` is as long as the input; `lag(M)` has the lags 0 to M - 1; in
/// `lag(a .. b)` both ends belong to it, and they may be infinite.
bool Elaborator::resolveLag(const ast::AxisPattern &pattern, Axis &axis,
                            Scope &scope) {
  double from = 0, to = INFINITY;
  auto end = [&](const ast::Expr &expr, double &value) {
    auto number = requireConstant(expr, scope, "an end of a lag");
    if (!number)
      return false;
    value = number->number;
    if (!number->isNumber() ||
        (std::isfinite(value) && value != std::floor(value)) || std::isnan(value) ||
        (std::isfinite(value) && std::fabs(value) > double(int64_t(1) << 40)))
      return diagnostics.error(expr.range, "an end of a lag is an integer, -inf or inf, "
                                           "found " + number->str());
    return true;
  };
  if (pattern.lagFrom && !end(*pattern.lagFrom, from))
    return false;
  if (pattern.lagTo && !end(*pattern.lagTo, to))
    return false;
  if (pattern.lagTo && !pattern.lagFrom)
    to -= 1;
  if (to < from)
    return diagnostics.error(pattern.range, "a lag needs at least one value; from " +
                                                text(from) + " to " + text(to) +
                                                " there is none");
  if (std::isfinite(from) && std::isfinite(to)) {
    axis.size = int64_t(to - from) + 1;
    axis.first = int64_t(from);
    return true;
  }
  if ((from < 0 && std::isfinite(from)) || (to > 0 && std::isfinite(to)))
    return diagnostics.error(pattern.range, "a lag that is infinite on one side does not "
                                            "go beyond 0 on the other; write "
                                            "lag(-inf .. inf)");
  if (from < 0 && to > 0) {
    axis.size = kTwoSidedExtent;
    axis.firstScale = -1;
  } else {
    axis.size = kLagExtent;
    axis.firstScale = from < 0 ? -1 : 0;
    axis.first = int64_t(from < 0 ? to + 1 : from);
  }
  return true;
}
