//===- Term.h - Scalar terms over named indices ----------------*- C++ -*-===//
//
// Between the syntax tree and MLIR stands the value of an expression at one
// point of its index space: a term. Its leaves are numbers, indices and elements
// of tensors at affine positions, so a term knows which axes it depends on, can
// be substituted into, and can be asked how it contains a state. Complex terms
// are pairs of real ones.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_FRONTEND_TERM_H
#define SSMC_FRONTEND_TERM_H

#include "mlir/IR/AffineExpr.h"
#include "mlir/IR/AffineMap.h"
#include "mlir/IR/Value.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/SmallBitVector.h"
#include "llvm/Support/SMLoc.h"
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace ssmc {

/// Extents known at run time: the lengths of the sequence axes, in the order in which
/// the inputs declare them, the first of which most layers have alone.
constexpr unsigned kMaxSequences = 4;
constexpr int64_t kDynamicExtent = INT64_MIN;
/// Extents of lags: as many as the length that kernels are prepared for, and
/// twice as many, for two directions.
constexpr int64_t kLagExtent = INT64_MIN + kMaxSequences,
                  kTwoSidedExtent = kLagExtent + 1;
inline bool isRunTimeExtent(int64_t size) { return size <= kTwoSidedExtent; }
inline bool isSequenceExtent(int64_t size) { return size < kLagExtent; }
/// Sequence axis number `sequence`, and back.
inline int64_t sequenceExtent(unsigned sequence) { return kDynamicExtent + sequence; }
inline unsigned sequenceNumber(int64_t size) { return size - kDynamicExtent; }
/// An index whose extent has not been met yet.
constexpr int64_t kUnknownExtent = -1;

/// An axis of a value: `h` of extent 4, the sequence `t`, or one without name.
struct Axis {
  std::string name;
  int64_t size = kUnknownExtent;
  bool sequence = false;
  bool second = false; // a second index over the sequence, of `over`
  bool pairs = false;   // half of a conjugate spectrum is stored
  /// The index at the axis's first place: of lags, `firstScale` times the length
  /// that kernels are prepared for, plus `first`; 0 of other axes.
  int64_t first = 0, firstScale = 0;
  std::vector<Axis> members; // axes stored as one, first slow
  llvm::SMRange range;
  bool operator==(const Axis &o) const {
    return name == o.name && size == o.size && sequence == o.sequence;
  }
};

/// An index variable: an axis bound by a left side or a reduction. Index
/// variable i is affine dimension i of the terms that use it.
using IndexId = unsigned;

enum class Operator {
  Add, Sub, Mul, Div, Neg, Min, Max, Pow, Exp, Expm1, Log, Log1p, Sqrt, Rsqrt,
  Sin, Cos, Tanh, Erf, Abs, Floor, Ceil, Mod,
  Eq, Ne, Lt, Le, And, Or, Not, Select,
  Softmax, // over the second index over the sequence on which it depends
  Discretize, // one result of ssm.discretize; Term::rule, inputRule, part
  Normal, Uniform, // random draws of initialisers
};

struct Term;
using TermRef = std::shared_ptr<const Term>;

struct Term {
  enum Kind {
    Constant, // a number
    Index,    // an affine function of index variables, as a number
    Length,   // the length of a sequence axis
    Element,  // tensor[affine positions]
    Gather,   // tensor[terms], positions computed at run time
    Operation,
    State,    // the state of the block being elaborated, at index variables
    Reduce,   // a sum over index variables of a term that contains the state, or
              // that depends on two tokens
  };
  Kind kind;
  double value = 0;                        // Constant
  unsigned sequence = 0;                   // Length: of this sequence axis
  mlir::AffineExpr index;                  // Index
  mlir::Value tensor;                      // Element, Gather
  llvm::SmallVector<mlir::AffineExpr> at;  // Element, State: positions
  Operator op = Operator::Add;                         // Operation
  llvm::SmallVector<TermRef> operands;     // Operation, Gather, Reduce (one)
  llvm::SmallVector<IndexId> over;         // Reduce
  unsigned part = 0; // State: 0 real, 1 imaginary; Discretize: which result
  int rule = 0, inputRule = -1; // Discretize
  bool boolean = false;
  bool integer = false;                    // Element, Gather of integers
  bool batched = false;                    // Element, Gather: batch comes first
  bool hasState = false;
  bool fixed = false; // no tensor inside: a function of indices alone
  bool exact = false; // of indices and integers alone: computed in f64
  llvm::SmallBitVector indices; // index variables the term depends on
  bool dependsOn(IndexId id) const { return id < indices.size() && indices[id]; }
};

/// A real or complex value at a point.
struct Number {
  TermRef re, im; // im null: real
  bool isComplex() const { return im != nullptr; }
  explicit operator bool() const { return re != nullptr; }
};

//===----------------------------------------------------------------------===//
// Construction; constants fold, 0 and 1 vanish
//===----------------------------------------------------------------------===//

TermRef constant(double value);
TermRef boolean(bool value);
TermRef indexTerm(mlir::AffineExpr expr);
TermRef lengthTerm(unsigned sequence = 0);
TermRef element(mlir::Value tensor, llvm::ArrayRef<mlir::AffineExpr> at,
                bool batched, bool integer, bool boolean);
TermRef gather(mlir::Value tensor, llvm::ArrayRef<TermRef> at, bool batched,
               bool integer);
TermRef stateTerm(llvm::ArrayRef<mlir::AffineExpr> at, unsigned part);
TermRef reduce(llvm::ArrayRef<IndexId> over, TermRef body);
TermRef operation(Operator op, llvm::ArrayRef<TermRef> operands);
inline TermRef operation(Operator op, TermRef a) {
  return operation(op, llvm::ArrayRef<TermRef>(a));
}
inline TermRef operation(Operator op, TermRef a, TermRef b) {
  return operation(op, llvm::ArrayRef<TermRef>({a, b}));
}
TermRef add(TermRef a, TermRef b);
TermRef subtract(TermRef a, TermRef b);
TermRef multiply(TermRef a, TermRef b);
TermRef divide(TermRef a, TermRef b);
TermRef negate(TermRef a);
std::optional<double> constantValue(const TermRef &term);
bool isConstant(const TermRef &term, double value);

Number add(const Number &a, const Number &b);
Number subtract(const Number &a, const Number &b);
Number multiply(const Number &a, const Number &b);
Number divide(const Number &a, const Number &b);
Number negate(const Number &a);
Number expOf(const Number &a);
/// exp(a) - 1 without the cancellation near 0.
Number expm1Of(const Number &a);
Number conj(const Number &a);
/// `if condition then a else b`.
Number select(TermRef condition, const Number &a, const Number &b);
inline Number real(TermRef re) { return {std::move(re), nullptr}; }
/// The imaginary part as a term: zero for a real number.
TermRef imag(const Number &a);

/// Results of discretising `ds/dt = rate * s + f`: decay and gain of f.
std::pair<Number, Number> discretize(int rule, int inputRule,
                                     const Number &rate, const TermRef &step);

/// The value of a term without tensors at a point; `random` draws for Normal and
/// Uniform. Used for initialisers and compile-time tables.
double evaluate(const TermRef &term, llvm::ArrayRef<int64_t> point,
                const std::function<double()> &gaussian,
                const std::function<double()> &uniform);

/// The term with index variables replaced by affine expressions.
TermRef substitute(const TermRef &term,
                   const std::function<mlir::AffineExpr(IndexId)> &map,
                   mlir::MLIRContext *context);

/// Calls `visit` on every node once, operands first.
void walk(const TermRef &term, const std::function<void(const TermRef &)> &visit);

//===----------------------------------------------------------------------===//
// Linear forms of a state
//===----------------------------------------------------------------------===//

/// What a state block's line says of the state `s` at indices `I`:
/// `decay * s + sum_r right_r * sum_keys(left_r * s) + sum_m dense * s + write`.
struct LinearForm {
  struct Erase {
    llvm::SmallVector<IndexId> keys; // summed index variables
    llvm::SmallVector<mlir::AffineExpr> at; // the state's positions inside
    Number left, right;
  };
  Number decay; // null: the state does not appear diagonally
  Number write; // null: nothing is written
  std::vector<Erase> erase;
  std::string failure; // why the term is not linear in the state
};

/// A real term as a linear function of the real and imaginary parts x, y of the
/// state at positions `at`:
/// `coefficient[0] * x + coefficient[1] * y + rest`
/// `+ sum_r right_r * sum_keys(left_r[0] * x + left_r[1] * y)`; null: zero.
struct RealForm {
  struct Erase {
    llvm::SmallVector<IndexId> keys;        // summed index variables
    llvm::SmallVector<mlir::AffineExpr> at; // the state's positions inside
    TermRef left[2], right;
    TermRef sum; // the sum as it stands in the term
  };
  TermRef coefficient[2];
  TermRef rest;
  std::vector<Erase> erase;
  std::string failure;
};
RealForm realForm(const TermRef &term, llvm::ArrayRef<mlir::AffineExpr> at);

/// Whether two terms are built alike of the same leaves.
bool isSame(const TermRef &a, const TermRef &b);

/// Whether two terms (null: zero) are one function of their leaves, however they are
/// built: both are computed for numbers that stand for the leaves.
bool isEqual(const TermRef &a, const TermRef &b);

/// Splits a number that contains the state, at positions `at`, into its linear
/// form. `complexState` says whether State terms come in pairs.
LinearForm linearForm(const Number &number, llvm::ArrayRef<mlir::AffineExpr> at,
                      bool complexState);

} // namespace ssmc

#endif // SSMC_FRONTEND_TERM_H
