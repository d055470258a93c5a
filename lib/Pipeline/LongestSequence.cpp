//===- LongestSequence.cpp - How many tokens a sequence may have ----------===//

#include "Rewrites.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "ssm/IR/SSM.h"

using namespace mlir;

namespace {
/// The smallest and largest distance `t - s` of a token and one that it sees; none where
/// the sequence's length is the only bound.
struct Distances {
  std::optional<int64_t> least, most;
};
} // namespace

/// The smallest or largest value of a function of a token, if it is bounded.
static std::optional<int64_t> boundOf(AffineExpr expr, bool isUpper) {
  expr = simplifyAffineExpr(expr, 1, 0);
  int64_t offset = 0;
  if (auto sum = dyn_cast<AffineBinaryOpExpr>(expr);
      sum && sum.getKind() == AffineExprKind::Add)
    if (auto constant = dyn_cast<AffineConstantExpr>(sum.getRHS())) {
      offset = constant.getValue();
      expr = sum.getLHS();
    }
  std::optional<int64_t> none;
  auto bound = getBoundForAffineExpr(expr, 1, 0, {0}, {none}, isUpper);
  return bound ? std::optional(*bound + offset) : std::nullopt;
}

static Distances distancesOf(ssm::AttendOp op) {
  Distances distances;
  AffineExpr token = getAffineDimExpr(0, op.getContext());
  for (AffineExpr from : op.getFromMap().getResults())
    if (auto most = boundOf(token - from, /*isUpper=*/true))
      distances.most = std::min(distances.most.value_or(*most), *most);
  for (AffineExpr to : op.getToMap().getResults())
    if (auto least = boundOf(token - to + 1, /*isUpper=*/false))
      distances.least = std::max(distances.least.value_or(*least), *least);
  return distances;
}

/// The longest sequence of which all distances are indices below `extent`.
static std::optional<int64_t> longestOf(AffineExpr index, int64_t extent,
                                        const Distances &distances) {
  MLIRContext *context = index.getContext();
  auto at = [&](int64_t distance) -> std::optional<int64_t> {
    AffineExpr value = simplifyAffineExpr(
        index.replace({{getAffineDimExpr(1, context),
                        getAffineConstantExpr(distance, context)},
                       {getAffineDimExpr(2, context), getAffineConstantExpr(0, context)}}),
        3, 0);
    auto constant = dyn_cast<AffineConstantExpr>(value);
    return constant ? std::optional(constant.getValue()) : std::nullopt;
  };
  std::optional<int64_t> first = at(0), second = at(1), far = at(1000);
  if (!first || !second || !far)
    return std::nullopt;
  int64_t step = *second - *first;
  if ((step != 1 && step != -1) || *far != *first + 1000 * step)
    return std::nullopt;
  int64_t least = step < 0 ? *first - extent + 1 : -*first;
  int64_t most = step < 0 ? *first : extent - 1 - *first;
  std::optional<int64_t> longest;
  auto limit = [&](int64_t tokens) {
    longest = std::min(longest.value_or(tokens), tokens);
  };
  if (!distances.most || *distances.most > most)
    limit(most + 1);
  if (!distances.least || *distances.least < least)
    limit(1 - least);
  return longest;
}

LogicalResult ssmc::annotateLongest(ModuleOp module) {
  auto forward = module.lookupSymbol<func::FuncOp>("forward");
  if (!forward)
    return success();
  std::optional<int64_t> longest;
  WalkResult result = forward.walk([&](ssm::AttendOp op) {
    Distances distances = distancesOf(op);
    for (auto [i, operand] : llvm::enumerate(op.getScoreIns())) {
      auto type = cast<ShapedType>(operand.getType());
      for (auto [axis, index] : llvm::enumerate(op.getScoreMap(i).getResults()))
        if (index.isFunctionOfDim(1) && index.isFunctionOfDim(2) &&
            !type.isDynamicDim(axis))
          if (auto tokens = longestOf(index, type.getDimSize(axis), distances)) {
            // The description of a layer has one such length for all of its axes.
            if (forward->hasAttr("ssm.sequence_axes")) {
              op.emitError() << "a weight is read at the distance of two tokens, and has "
                                "elements for "
                             << *tokens << " tokens; in a layer with several sequence "
                                           "axes the condition of 'over' has to say how "
                                           "far apart they are";
              return WalkResult::interrupt();
            }
            longest = std::min(longest.value_or(*tokens), *tokens);
          }
    }
    return WalkResult::advance();
  });
  if (result.wasInterrupted())
    return failure();
  if (longest && *longest > 0)
    forward->setAttr("ssm.longest",
                     Builder(module.getContext()).getI64IntegerAttr(*longest));
  return success();
}
