//===- ElaborateTransition.cpp - Transitions that mix a state -------------===//
//
// `sum(m) A[n, m] * s[m]` in the line of a state. Where each sum is the same for all
// rows, the transition is a diagonal and a few rank-one terms, and stays that when it
// is discretised: by the identity of Sherman, Morrison and Woodbury the inverse of
// 1 - p d A is a diagonal with as many rank-one terms. Otherwise it becomes a matrix.
//
//===----------------------------------------------------------------------===//

#include "StateBlock.h"

using namespace ssmc;
using namespace mlir;

/// Rank-one terms beyond these are cheaper as a matrix.
constexpr size_t kMaxSums = 4;

/// Rules of discretisation, as Term::rule numbers them.
enum Rule { Zoh, Bilinear, Euler, Backward };

static TermRef orZero(const TermRef &term) { return term ? term : constant(0); }

static TermRef addTo(const TermRef &sum, const TermRef &term) {
  if (!term)
    return sum;
  return sum ? add(sum, term) : term;
}

/// Splits a line into its diagonal, its sums and what does not contain the state.
std::optional<Elaborator::Mixing>
Elaborator::findMixing(const Number &value, StateBlock &block, llvm::SMRange range) {
  auto fail = [&](const llvm::Twine &message) {
    diagnostics.error(range, message);
    return std::nullopt;
  };
  if (value.im && !block.isComplex())
    return fail("a complex value for a real state; declare it `: complex`");
  Mixing mixing;
  std::optional<unsigned> mixed;
  std::vector<TermRef> known; // the sums, to find them in both parts
  for (unsigned part = 0; part < (block.isComplex() ? 2u : 1u); ++part) {
    RealForm form = realForm(part ? imag(value) : value.re, block.at);
    if (!form.failure.empty())
      return fail(form.failure);
    for (unsigned from = 0; from < 2; ++from)
      mixing.diagonal[part][from] = form.coefficient[from];
    (part ? mixing.write.im : mixing.write.re) = form.rest;
    for (RealForm::Erase &erase : form.erase) {
      std::optional<unsigned> axis;
      IndexId inner = 0;
      for (auto [i, own, at] : llvm::enumerate(block.at, erase.at)) {
        if (at == own)
          continue;
        auto d = llvm::dyn_cast<AffineDimExpr>(at);
        if (!d || !llvm::is_contained(erase.keys, d.getPosition()))
          return fail("a sum in the update of a state goes over whole axes of it");
        if (axis)
          return fail("a sum in the update of a state goes over one axis of it, here "
                      "over '" + block.axes[*axis].name + "' and '" +
                      block.axes[i].name + "'");
        axis = i;
        inner = d.getPosition();
      }
      if (!axis || erase.keys.size() != 1)
        return fail("a sum in the update of a state goes over one axis of it and "
                    "nothing else; write other sums outside");
      if (mixed && *mixed != *axis)
        return fail("the update mixes the state along two axes, '" +
                    block.axes[*mixed].name + "' and '" + block.axes[*axis].name +
                    "'; one is possible");
      if (!mixed) {
        mixed = axis;
        mixing.axis = *axis;
        mixing.source = newIndex(block.axes[*axis]);
      }
      size_t at = 0;
      while (at < known.size() && !isSame(known[at], erase.sum))
        ++at;
      if (at == known.size()) {
        known.push_back(erase.sum);
        Mixing::Sum sum;
        for (unsigned from = 0; from < 2; ++from)
          if (erase.left[from]) {
            mixing.isSeparable &= !erase.left[from]->dependsOn(block.ids[*axis]);
            sum.left[from] = substitute(
                erase.left[from],
                [&](IndexId id) {
                  return id == inner ? dim(mixing.source) : AffineExpr();
                },
                &context);
          }
        mixing.sums.push_back(std::move(sum));
      }
      TermRef &right = mixing.sums[at].right[part];
      right = addTo(right, erase.right);
    }
  }
  if (block.isComplex() && (mixing.write.re || mixing.write.im))
    mixing.write = {orZero(mixing.write.re), orZero(mixing.write.im)};
  return mixing;
}

/// Whether the diagonal multiplies by a complex (or real) number.
static bool isDiagonalANumber(const TermRef diagonal[2][2], bool isComplex) {
  if (!isComplex)
    return true;
  const TermRef &re = diagonal[0][0], &im = diagonal[1][0];
  bool sameReal = (!re && !diagonal[1][1]) || isSame(re, diagonal[1][1]);
  bool sameImaginary = (!im && !diagonal[0][1]) ||
                       (im && diagonal[0][1] && isSame(negate(im), diagonal[0][1]));
  return sameReal && sameImaginary;
}

/// Makes the roles of the scan from a line that mixes.
bool Elaborator::mix(StateBlock &block, const Mixing &mixing,
                     const std::optional<Discretization> &discretization,
                     Scope &scope) {
  bool inTerms = mixing.isSeparable && mixing.sums.size() <= kMaxSums &&
                 isDiagonalANumber(mixing.diagonal, block.isComplex());
  if (discretization) {
    if (discretization->step->dependsOn(block.ids[mixing.axis]))
      return diagnostics.error(block.stmt.step->range,
                               "the step depends on '" + block.axes[mixing.axis].name +
                                   "', the axis along which the equation mixes the "
                                   "state");
    inTerms &= discretization->rule != Zoh && discretization->inputRule != Zoh;
  }
  return inTerms ? mixByTerms(block, mixing, discretization, scope)
                 : mixByMatrix(block, mixing, discretization, scope);
}

/// sum(source) left[0] * re(value) + left[1] * im(value), `value` being a function of
/// the row. Terms are summed one by one, so that inputs stay outside of the sums.
std::optional<TermRef> Elaborator::sumOverState(const StateBlock &block, IndexId row,
                                                IndexId source, const TermRef left[2],
                                                const Number &value, Scope &scope) {
  std::function<std::optional<TermRef>(const TermRef &, const TermRef &)> sum =
      [&](const TermRef &factor, const TermRef &term) -> std::optional<TermRef> {
    if (!factor || !term || isConstant(factor, 0) || isConstant(term, 0))
      return constant(0);
    if (term->kind == Term::Operation &&
        (term->op == Operator::Add || term->op == Operator::Sub)) {
      auto a = sum(factor, term->operands[0]), b = sum(factor, term->operands[1]);
      if (!a || !b)
        return std::nullopt;
      return term->op == Operator::Add ? add(*a, *b) : subtract(*a, *b);
    }
    if (term->kind == Term::Operation && term->op == Operator::Neg) {
      auto a = sum(factor, term->operands[0]);
      return a ? std::optional(negate(*a)) : std::nullopt;
    }
    auto result = sumOver(source, ssmc::real(multiply(factor, term)),
                          block.stmt.range, scope);
    return result ? std::optional(result->re) : std::nullopt;
  };
  auto atSource = [&](const TermRef &term) {
    return term ? substitute(
                      term,
                      [&](IndexId id) {
                        return id == row ? dim(source) : AffineExpr();
                      },
                      &context)
                : term;
  };
  auto re = sum(left[0], atSource(value.re));
  auto im = sum(left[1], atSource(value.im));
  if (!re || !im)
    return std::nullopt;
  return add(*re, *im);
}

/// The inverse of 1 - part * step * A as `inverse * s + sum_r right_r * f_r(inverse *
/// s)`, the f_r being the sums of `mixing`.
bool Elaborator::solveMixing(const Mixing &mixing, const StateBlock &block,
                             const TermRef &step, double part,
                             std::vector<std::array<TermRef, 2>> &right,
                             Number &inverse, Scope &scope) {
  size_t rank = mixing.sums.size();
  Number one = ssmc::real(constant(1));
  TermRef scaled = multiply(constant(part), step);
  Number rate = ssmc::real(orZero(mixing.diagonal[0][0]));
  if (mixing.diagonal[1][0])
    rate.im = mixing.diagonal[1][0];
  inverse = divide(one, subtract(one, multiply(ssmc::real(scaled), rate)));
  auto rightOf = [&](size_t r) {
    Number number = ssmc::real(orZero(mixing.sums[r].right[0]));
    if (block.isComplex())
      number.im = orZero(mixing.sums[r].right[1]);
    return multiply(inverse, number);
  };
  // [1 / scaled - f_r(inverse * right_s) | 1], eliminated to [1 | its inverse].
  std::vector<std::vector<TermRef>> rows(rank, std::vector<TermRef>(2 * rank));
  auto settle = [&](const TermRef &term) {
    return term->kind == Term::Operation && term->indices.any() ? materializeTerm(term)
                                                                : term;
  };
  for (size_t r = 0; r < rank; ++r)
    for (size_t s = 0; s < rank; ++s) {
      auto overlap = sumOverState(block, block.ids[mixing.axis], mixing.source,
                                  mixing.sums[r].left, rightOf(s), scope);
      if (!overlap)
        return false;
      TermRef own = r == s ? divide(constant(1), scaled) : constant(0);
      rows[r][s] = settle(subtract(own, *overlap));
      rows[r][rank + s] = constant(r == s ? 1 : 0);
    }
  for (size_t k = 0; k < rank; ++k) {
    TermRef pivot = divide(constant(1), rows[k][k]);
    for (TermRef &entry : rows[k])
      entry = settle(multiply(pivot, entry));
    for (size_t r = 0; r < rank; ++r) {
      TermRef multiple = rows[r][k];
      for (size_t s = 0; s < 2 * rank && r != k; ++s)
        rows[r][s] = settle(subtract(rows[r][s], multiply(multiple, rows[k][s])));
    }
  }
  for (size_t k = 0; k < rank; ++k) {
    Number sum = ssmc::real(constant(0));
    for (size_t r = 0; r < rank; ++r)
      sum = add(sum, multiply(ssmc::real(rows[r][rank + k]), rightOf(r)));
    right.push_back({sum.re, block.isComplex() ? imag(sum) : TermRef()});
  }
  return true;
}

/// The transition as a decay and erase terms.
bool Elaborator::mixByTerms(StateBlock &block, const Mixing &mixing,
                            const std::optional<Discretization> &discretization,
                            Scope &scope) {
  bool isComplex = block.isComplex();
  block.realSums = isComplex;
  auto numberOf = [&](const TermRef &re, const TermRef &im) {
    Number number = ssmc::real(orZero(re));
    if (isComplex)
      number.im = orZero(im);
    return number;
  };
  auto addErase = [&](const TermRef left[2], const Number &right) {
    LinearForm::Erase erase;
    erase.keys = {mixing.source};
    erase.at.assign(block.at.begin(), block.at.end());
    erase.at[mixing.axis] = dim(mixing.source);
    // left[0] x + left[1] y is the real part of (left[0] - i left[1]) (x + i y).
    erase.left = ssmc::real(orZero(left[0]));
    if (isComplex)
      erase.left.im = negate(orZero(left[1]));
    erase.right = right;
    block.erase.push_back(std::move(erase));
  };
  Number rate = numberOf(mixing.diagonal[0][0], mixing.diagonal[1][0]);
  block.write = mixing.write;
  if (!discretization || discretization->rule == Euler) {
    TermRef step = discretization ? discretization->step : constant(1);
    block.decay = multiply(ssmc::real(step), rate);
    if (discretization)
      block.decay = add(ssmc::real(constant(1)), block.decay);
    for (const Mixing::Sum &sum : mixing.sums)
      addErase(sum.left,
               multiply(ssmc::real(step), numberOf(sum.right[0], sum.right[1])));
    if (!discretization)
      return true;
  }
  const TermRef &step = discretization->step;
  // f_r(inverse * s) as a sum over s.
  auto through = [&](const TermRef left[2], const Number &inverse,
                     TermRef result[2]) {
    auto at = [&](const TermRef &term) {
      return substitute(
          term,
          [&](IndexId id) {
            return id == block.ids[mixing.axis] ? dim(mixing.source) : AffineExpr();
          },
          &context);
    };
    TermRef re = at(inverse.re), im = at(imag(inverse));
    TermRef x = orZero(left[0]), y = orZero(left[1]);
    result[0] = add(multiply(x, re), multiply(y, im));
    if (isComplex)
      result[1] = subtract(multiply(y, re), multiply(x, im));
  };
  auto partOf = [](int rule) { return rule == Bilinear ? 0.5 : 1.0; };
  std::vector<std::array<TermRef, 2>> right;
  Number inverse;
  if (discretization->rule != Euler) {
    // With M = 1 - p d A the transition M^-1 (1 + (1-p) d A) is M^-1/p - (1-p)/p.
    double part = partOf(discretization->rule);
    if (!solveMixing(mixing, block, step, part, right, inverse, scope))
      return false;
    block.decay = subtract(multiply(ssmc::real(constant(1 / part)), inverse),
                           ssmc::real(constant((1 - part) / part)));
    for (auto [sum, to] : llvm::zip(mixing.sums, right)) {
      TermRef left[2];
      through(sum.left, inverse, left);
      addErase(left, multiply(ssmc::real(constant(1 / part)), numberOf(to[0], to[1])));
    }
  }
  if (!block.write)
    return true;
  int rule = discretization->inputRule >= 0 ? discretization->inputRule
                                            : discretization->rule;
  if (rule != Euler) {
    if (rule != discretization->rule) {
      right.clear();
      if (!solveMixing(mixing, block, step, partOf(rule), right, inverse, scope))
        return false;
    }
    Number solved = multiply(inverse, block.write);
    Number write = solved;
    for (auto [sum, to] : llvm::zip(mixing.sums, right)) {
      auto total = sumOverState(block, block.ids[mixing.axis], mixing.source, sum.left,
                                solved, scope);
      if (!total)
        return false;
      write = add(write, multiply(ssmc::real(*total), numberOf(to[0], to[1])));
    }
    block.write = write;
  }
  block.write = multiply(ssmc::real(step), block.write);
  return true;
}
