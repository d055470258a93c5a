//===- LinearTerm.cpp - Terms as linear functions of the state ------------===//

#include "Term.h"

using namespace ssmc;
using mlir::AffineExpr;

namespace {
class Linearizer {
public:
  Linearizer(llvm::ArrayRef<AffineExpr> at) : at(at) {}
  std::string failure;

  RealForm run(const TermRef &term) {
    RealForm form;
    if (!term->hasState) {
      form.rest = term;
      return form;
    }
    if (term->kind == Term::State) {
      if (llvm::ArrayRef<AffineExpr>(term->at) != at) {
        failure = "the state at other indices than its own needs a sum over them";
        return form;
      }
      form.coefficient[term->part] = constant(1);
      return form;
    }
    if (term->kind == Term::Reduce)
      return runReduce(term);
    switch (term->op) {
    case Operator::Add:
      return combine(run(term->operands[0]), run(term->operands[1]), false);
    case Operator::Sub:
      return combine(run(term->operands[0]), run(term->operands[1]), true);
    case Operator::Neg:
      return scale(run(term->operands[0]), constant(-1), false);
    case Operator::Mul: {
      const TermRef &a = term->operands[0], &b = term->operands[1];
      if (a->hasState && b->hasState) {
        failure = "a product of the state with itself is not linear";
        return form;
      }
      return a->hasState ? scale(run(a), b, false) : scale(run(b), a, false);
    }
    case Operator::Div:
      if (term->operands[1]->hasState) {
        failure = "a division by the state is not linear";
        return form;
      }
      return scale(run(term->operands[0]), term->operands[1], true);
    case Operator::Select: {
      if (term->operands[0]->hasState) {
        failure = "a condition on the state is not linear";
        return form;
      }
      return choose(term->operands[0], run(term->operands[1]),
                    run(term->operands[2]));
    }
    default:
      failure = "a function of the state that is not linear";
      return form;
    }
  }

private:
  llvm::ArrayRef<AffineExpr> at;

  static TermRef plus(TermRef a, TermRef b, bool minus) {
    if (!b)
      return a;
    if (!a)
      return minus ? negate(b) : b;
    return minus ? subtract(a, b) : add(a, b);
  }

  RealForm combine(RealForm a, RealForm b, bool minus) {
    for (unsigned i = 0; i < 2; ++i)
      a.coefficient[i] = plus(a.coefficient[i], b.coefficient[i], minus);
    a.rest = plus(a.rest, b.rest, minus);
    for (RealForm::Erase &erase : b.erase) {
      if (minus)
        erase.right = negate(erase.right);
      a.erase.push_back(std::move(erase));
    }
    return a;
  }

  static TermRef times(const TermRef &a, const TermRef &factor, bool divides) {
    if (!a)
      return nullptr;
    return divides ? divide(a, factor) : multiply(a, factor);
  }

  RealForm scale(RealForm form, const TermRef &factor, bool divides) {
    for (TermRef &c : form.coefficient)
      c = times(c, factor, divides);
    form.rest = times(form.rest, factor, divides);
    for (RealForm::Erase &erase : form.erase)
      erase.right = times(erase.right, factor, divides);
    return form;
  }

  RealForm choose(const TermRef &condition, RealForm a, RealForm b) {
    auto pick = [&](TermRef x, TermRef y) -> TermRef {
      if (!x && !y)
        return nullptr;
      return operation(Operator::Select, {condition, x ? x : constant(0),
                                    y ? y : constant(0)});
    };
    RealForm form;
    for (unsigned i = 0; i < 2; ++i)
      form.coefficient[i] = pick(a.coefficient[i], b.coefficient[i]);
    form.rest = pick(a.rest, b.rest);
    for (RealForm::Erase &erase : a.erase) {
      erase.right = pick(erase.right, nullptr);
      form.erase.push_back(std::move(erase));
    }
    for (RealForm::Erase &erase : b.erase) {
      erase.right = pick(nullptr, erase.right);
      form.erase.push_back(std::move(erase));
    }
    return form;
  }

  /// sum(m) left * s[.., m]: the body is linear in one state at other indices.
  RealForm runReduce(const TermRef &term) {
    RealForm form;
    llvm::SmallVector<AffineExpr> inner;
    walk(term->operands[0], [&](const TermRef &node) {
      if (node->kind == Term::State && inner.empty())
        inner.assign(node->at.begin(), node->at.end());
    });
    Linearizer body(inner);
    RealForm bodyForm = body.run(term->operands[0]);
    if (!body.failure.empty()) {
      failure = body.failure;
      return form;
    }
    if (bodyForm.rest) {
      failure = "a sum over the state together with a term without it: write two "
                "sums";
      return form;
    }
    if (!bodyForm.erase.empty()) {
      failure = "a sum of the state inside a sum over it";
      return form;
    }
    form.erase.push_back({term->over, inner,
                          {bodyForm.coefficient[0], bodyForm.coefficient[1]},
                          constant(1), term});
    return form;
  }
};
} // namespace

RealForm ssmc::realForm(const TermRef &term, llvm::ArrayRef<AffineExpr> at) {
  Linearizer linearizer(at);
  RealForm form = linearizer.run(term);
  form.failure = linearizer.failure;
  return form;
}

bool ssmc::isSame(const TermRef &a, const TermRef &b) {
  if (a == b)
    return true;
  if (!a || !b || a->kind != b->kind || a->value != b->value ||
      a->sequence != b->sequence ||
      a->index != b->index || a->tensor != b->tensor || a->at != b->at ||
      a->op != b->op || a->over != b->over || a->part != b->part ||
      a->rule != b->rule || a->inputRule != b->inputRule ||
      a->operands.size() != b->operands.size())
    return false;
  return llvm::all_of(llvm::zip(a->operands, b->operands), [](auto pair) {
    return isSame(std::get<0>(pair), std::get<1>(pair));
  });
}

LinearForm ssmc::linearForm(const Number &number,
                            llvm::ArrayRef<AffineExpr> at, bool complexState) {
  LinearForm result;
  Linearizer linearizer(at);
  RealForm re = linearizer.run(number.re);
  if (!linearizer.failure.empty()) {
    result.failure = linearizer.failure;
    return result;
  }
  if (!complexState) {
    if (number.im) {
      result.failure = "a complex value for a real state; declare it `: complex`";
      return result;
    }
    if (re.coefficient[0])
      result.decay = real(re.coefficient[0]);
    if (re.rest)
      result.write = real(re.rest);
    for (RealForm::Erase &erase : re.erase)
      result.erase.push_back(
          {erase.keys, erase.at, real(erase.left[0]), real(erase.right)});
    return result;
  }
  RealForm im = linearizer.run(imag(number));
  if (!linearizer.failure.empty()) {
    result.failure = linearizer.failure;
    return result;
  }
  if (!re.erase.empty() || !im.erase.empty()) {
    result.failure = "a sum over a complex state in its own update";
    return result;
  }
  auto orZero = [](TermRef term) { return term ? term : constant(0); };
  // (a + ib)(x + iy) is a x - b y + i (b x + a y). What treats x and y otherwise, as
  // re() or conj() of the state does, is no product of the state.
  TermRef negated = im.coefficient[0] ? negate(im.coefficient[0]) : nullptr;
  if (!isEqual(re.coefficient[0], im.coefficient[1]) ||
      !isEqual(re.coefficient[1], negated)) {
    result.failure = "re, im or conj of the state in its own update: only complex "
                     "multiples of the state itself are possible";
    return result;
  }
  if (re.coefficient[0] || im.coefficient[0])
    result.decay = {orZero(re.coefficient[0]), orZero(im.coefficient[0])};
  if (re.rest || im.rest)
    result.write = {orZero(re.rest), orZero(im.rest)};
  return result;
}
