//===- InvariantForm.cpp - Time-invariant recurrences as matrices ---------===//

#include "ssm/Analysis/InvariantForm.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/ADT/STLExtras.h"

using namespace mlir;
using namespace mlir::ssm;

/// Products into which a write may expand.
static constexpr unsigned maximumTerms = 64;

namespace {
/// A product of constants and of factors of the input.
struct Term {
  bool negative = false;
  SmallVector<WriteFactor> fixed, moving;
};
using Terms = SmallVector<Term>;

class FormAnalysis {
public:
  FormAnalysis(ScanOp op, std::string &reason)
      : op(op), reason(reason), roles(op.getCoefficientsOp()),
        rows(op.getNumDims()), matrices(op.getNumDims()) {}
  std::optional<InvariantForm> run();
  std::optional<InvariantForm> getDims();

private:
  bool chooseDims();
  bool chooseInputs();
  std::optional<Terms> expand(Value value, bool inverse, bool isWhole = true);
  std::optional<Terms> expandInput(Value value, bool inverse);
  bool depends(Value value, ArrayRef<unsigned> dims);
  bool changes(Value value) { return depends(value, {0, 1}); }
  bool refuse(const Twine &why) {
    reason = why.str();
    return false;
  }

  ScanOp op;
  std::string &reason;
  CoefficientsOp roles;
  llvm::SmallBitVector rows;
  llvm::SmallBitVector matrices; ///< dimensions of what is the same at every token
  InvariantForm form;
};
} // namespace

int64_t InvariantForm::getExtent(ScanOp op, ArrayRef<unsigned> dims) {
  int64_t extent = 1;
  for (unsigned dim : dims)
    extent *= op.getDimSize(dim);
  return extent;
}

bool FormAnalysis::depends(Value value, ArrayRef<unsigned> dims) {
  llvm::SmallBitVector found = op.getDependentDims(value);
  return llvm::any_of(dims, [&](unsigned dim) { return found.test(dim); });
}

bool FormAnalysis::chooseDims() {
  for (unsigned dim = 2; dim < op.getNumDims(); ++dim)
    if (ShapedType::isDynamic(op.getDimSize(dim)) || op.getDimSize(dim) < 1)
      return refuse("the extent of '" + op.getDimName(dim) + "' is not known");
  for (unsigned dim : op.getKeyDims())
    rows.set(dim);
  if (std::optional<unsigned> target = op.getDenseTarget())
    rows.set(*target);
  form.copies = op.getCopyDims();
  SmallVector<unsigned> shared;
  for (unsigned dim : op.getStateDims()) {
    if (!rows.test(dim)) {
      shared.push_back(dim);
      continue;
    }
    form.rows.push_back(dim);
    if (op.getOutputMap().isFunctionOfDim(dim))
      form.copies.push_back(dim);
  }
  // The last dimension of the output is contiguous in memory.
  for (unsigned dim : shared)
    if (!form.lane || op.getDimSize(dim) > op.getDimSize(*form.lane))
      form.lane = dim;
  SmallVector<unsigned> outputs = op.getOutputDims();
  if (form.lane && llvm::is_contained(shared, outputs.back()) &&
      4 * op.getDimSize(outputs.back()) >= op.getDimSize(*form.lane))
    form.lane = outputs.back();
  if (form.lane && op.getDimSize(*form.lane) == 1)
    form.lane.reset();
  for (unsigned dim : shared)
    if (dim != form.lane)
      form.outer.push_back(dim);
  return true;
}

/// Expands a product of sums into products of factors that are the same at every token
/// and factors that are the same for all keys.
std::optional<Terms> FormAnalysis::expand(Value value, bool inverse, bool isWhole) {
  llvm::SmallBitVector dims = op.getDependentDims(value);
  if (!dims.test(0) && !dims.test(1))
    return Terms{Term{false, {{value, inverse}}, {}}};
  if (isWhole && !dims.anyCommon(rows))
    return expandInput(value, inverse);
  Operation *definition = value.getDefiningOp();
  if (!definition)
    return std::nullopt;
  auto expandOperand = [&](unsigned number, bool inverted) {
    Value operand = definition->getOperand(number);
    std::optional<Terms> terms = expand(operand, inverted, isWhole);
    // Of an input: what is no product or sum is a factor as it is.
    if (!terms && !isWhole)
      return std::optional(Terms{Term{false, {}, {{operand, inverted}}}});
    return terms;
  };
  // The state is at least as wide as what is converted.
  if (isa<arith::ExtFOp, arith::TruncFOp, arith::NegFOp>(definition)) {
    std::optional<Terms> terms = expandOperand(0, inverse);
    if (terms && isa<arith::NegFOp>(definition))
      for (Term &term : *terms)
        term.negative = !term.negative;
    return terms;
  }
  bool isSum = isa<arith::AddFOp, arith::SubFOp>(definition);
  if (isSum && inverse)
    return std::nullopt;
  if (!isSum && !isa<arith::MulFOp, arith::DivFOp>(definition))
    return std::nullopt;
  std::optional<Terms> left = expandOperand(0, inverse);
  std::optional<Terms> right =
      expandOperand(1, inverse != isa<arith::DivFOp>(definition));
  if (!left || !right)
    return std::nullopt;
  Terms result;
  if (isSum) {
    result = *left;
    for (Term &term : *right) {
      term.negative ^= isa<arith::SubFOp>(definition);
      result.push_back(std::move(term));
    }
  } else {
    for (const Term &a : *left)
      for (const Term &b : *right) {
        Term product = a;
        product.negative ^= b.negative;
        llvm::append_range(product.fixed, b.fixed);
        llvm::append_range(product.moving, b.moving);
        result.push_back(std::move(product));
      }
  }
  if (result.size() > maximumTerms)
    return std::nullopt;
  return result;
}

static void sortFactors(SmallVectorImpl<WriteFactor> &factors) {
  // The order of factors does not matter.
  llvm::sort(factors, [](const WriteFactor &a, const WriteFactor &b) {
    return std::make_pair(a.value.getAsOpaquePointer(), a.inverse) <
           std::make_pair(b.value.getAsOpaquePointer(), b.inverse);
  });
}

/// An input that is a sum of multiples of one is that one, and the sum a gain, unless
/// the matrices do not depend on what the multiples do: they would grow.
std::optional<Terms> FormAnalysis::expandInput(Value value, bool inverse) {
  std::optional<Terms> terms = expand(value, inverse, /*isWhole=*/false);
  if (terms)
    for (Term &term : *terms)
      sortFactors(term.moving);
  bool isMultiple = terms && llvm::all_of(*terms, [&](const Term &term) {
                      return term.moving == terms->front().moving &&
                             llvm::all_of(term.fixed, [&](const WriteFactor &factor) {
                               return !op.getDependentDims(factor.value).test(matrices);
                             });
                    });
  if (isMultiple)
    return terms;
  return Terms{Term{false, {}, {{value, inverse}}}};
}

/// A real number written to a complex state: its imaginary part is a constant.
static bool isZero(const Term &term) {
  return llvm::any_of(term.fixed, [](const WriteFactor &factor) {
    return !factor.inverse && matchPattern(factor.value, m_AnyZeroFloat());
  });
}

bool FormAnalysis::chooseInputs() {
  unsigned parts = op.getNumStates();
  for (unsigned part = 0; part < parts; ++part) {
    std::optional<Terms> terms = expand(roles.getWrite()[part], false);
    if (!terms)
      return refuse("the write is no sum of constants times inputs that are the same "
                    "for all keys");
    for (Term &term : *terms) {
      if (isZero(term))
        continue;
      sortFactors(term.moving);
      auto *input = llvm::find_if(form.inputs, [&](const WriteInput &other) {
        return other.factors == term.moving;
      });
      if (input == form.inputs.end()) {
        form.inputs.push_back({term.moving, {}});
        input = std::prev(form.inputs.end());
        input->gains.resize(parts);
      }
      input->gains[part].push_back({term.negative, term.fixed});
    }
  }
  return !form.inputs.empty() || refuse("nothing is written to the state");
}

std::optional<InvariantForm> FormAnalysis::run() {
  for (Operation &inner : op.getCoefficients().front())
    if (inner.getNumRegions() != 0)
      return refuse("the coefficients contain control flow"), std::nullopt;
  if (roles.getReset())
    return refuse("it resets its state"), std::nullopt;
  if (op.getPeriod())
    return refuse("it keeps its state as a remainder"), std::nullopt;
  for (Value value : llvm::concat<Value>(SmallVector<Value>(roles.getDecay()),
                                         SmallVector<Value>(roles.getDense()),
                                         SmallVector<Value>(roles.getErase()),
                                         SmallVector<Value>(roles.getRead()))) {
    if (changes(value))
      return refuse("its matrices differ between tokens or rows of the batch"),
             std::nullopt;
    matrices |= op.getDependentDims(value);
  }
  if (!chooseDims() || !chooseInputs())
    return std::nullopt;
  auto note = [&](Value value) {
    form.onLane |= form.lane && depends(value, {*form.lane});
    form.onOuter |= depends(value, form.outer);
  };
  llvm::for_each(roles.getDecay(), note);
  llvm::for_each(roles.getDense(), note);
  llvm::for_each(roles.getErase(), note);
  llvm::for_each(roles.getRead(), note);
  for (const WriteInput &input : form.inputs)
    for (const auto &gains : input.gains)
      for (const WriteGain &gain : gains)
        for (const WriteFactor &factor : gain.factors)
          note(factor.value);
  return std::move(form);
}

std::optional<InvariantForm> FormAnalysis::getDims() {
  if (!chooseDims())
    return std::nullopt;
  return std::move(form);
}

std::optional<InvariantForm> mlir::ssm::getInvariantDims(ScanOp op) {
  std::string reason;
  return FormAnalysis(op, reason).getDims();
}

std::optional<InvariantForm> mlir::ssm::getInvariantForm(ScanOp op,
                                                         std::string &reason) {
  return FormAnalysis(op, reason).run();
}
