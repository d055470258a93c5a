//===- PreparedValues.h - What weights alone determine ---------*- C++ -*-===//
//
// Which values of a function depend on weights, constants and the index of a
// loop over depth only. Such values can be computed once, before any input.
//
//===----------------------------------------------------------------------===//

#ifndef SSM_TRANSFORMS_PREPAREDVALUES_H
#define SSM_TRANSFORMS_PREPAREDVALUES_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "ssm/IR/SSM.h"
#include "llvm/ADT/SetVector.h"

namespace mlir::ssm {

/// Names of the argument attributes of weights and of prepared tables.
inline constexpr llvm::StringLiteral kWeightAttr = "ssm.weight";
inline constexpr llvm::StringLiteral kTableAttr = "ssm.table";
/// Name of an argument that calls pass on, zero before the first token, and of the
/// result that is its value afterwards; its extents; and whether it is of use to
/// later calls alone.
inline constexpr llvm::StringLiteral kStateAttr = "ssm.state";
inline constexpr llvm::StringLiteral kDimsAttr = "ssm.dims";
inline constexpr llvm::StringLiteral kLaterAttr = "ssm.later";
/// Beside a state: the name of the input from which a caller sets it.
inline constexpr llvm::StringLiteral kInitialAttr = "ssm.initial";
/// Marks the argument that is the number of tokens before this call.
inline constexpr llvm::StringLiteral kPositionAttr = "ssm.position";
/// The batch and the length among these extents.
inline constexpr int64_t kBatchCode = -1, kLengthCode = -2;
/// Marks the argument that is the length for which tables are prepared.
inline constexpr llvm::StringLiteral kPreparedLengthAttr =
    "ssm.prepared_length";
/// Beside it: tables that grow with it serve the sequences that fit, and others do
/// without.
inline constexpr llvm::StringLiteral kAnyLengthAttr = "ssm.any_length";
/// Marks the argument that says whether a caller gets the states after this call.
inline constexpr llvm::StringLiteral kKeepsStateAttr = "ssm.keeps_state";
/// The extents of a table that grows with that length: `scale, offset` for each
/// dimension.
inline constexpr llvm::StringLiteral kExtentsAttr = "ssm.extents";

/// `scale * prepared length + offset`.
struct PreparedExtent {
  int64_t scale = 0, offset = 0;
};

/// The extent that `size` is, or that dimension `dim` of `tensor` has, as a
/// function of the prepared length alone; nothing if it is not one.
std::optional<PreparedExtent> getPreparedExtent(OpFoldResult size);
std::optional<PreparedExtent> getPreparedExtent(Value tensor, unsigned dim);

/// The argument of `function` that is the prepared length, or null.
Value getPreparedLength(func::FuncOp function);
/// The value of an extent.
OpFoldResult emitExtent(OpBuilder &builder, Location loc, PreparedExtent extent,
                        Value preparedLength);

/// Whether `function` is a compiled layer, which has a length to prepare for.
bool isLayer(func::FuncOp function);

/// What is known of a value that can be prepared.
struct Prepared {
  /// The loop on whose index it depends, or null.
  scf::ForOp loop;
  /// Whether computing it again is more than rebuilding a constant: it depends
  /// on a weight or on costly math, or grows with the prepared length.
  bool worthy;
};

/// The analysis; it holds until a value that it knows is erased.
class PreparedValues {
public:
  explicit PreparedValues(func::FuncOp function);

  /// What is known of `value`, or nothing if it cannot be prepared.
  std::optional<Prepared> lookup(Value value) const {
    auto it = known.find(value);
    return it == known.end() ? std::nullopt : std::optional(it->second);
  }
  bool contains(Value value) const { return known.contains(value); }
  /// The value can be prepared and is worth it.
  bool isWorthy(Value value) const { return known.lookup(value).worthy; }
  /// The loop on whose index a prepared value depends, or null.
  scf::ForOp getLoop(Value value) const { return known.lookup(value).loop; }

private:
  void classifyBlock(Block &block, scf::ForOp loop);
  std::optional<Prepared> classify(Operation *op) const;

  DenseMap<Value, Prepared> known;
};

/// Whether `value` depends on weights, and on nothing else but constants and
/// indices of loops. Unlike the analysis it may be asked while the IR changes.
bool isDeterminedByWeights(Value value);
/// The same, or whether `value` depends on nothing at all.
bool isKnownBeforehand(Value value);

/// Whether all that a scan's coefficients need of what is the same at every token is
/// known beforehand.
bool hasPreparedCoefficients(ScanOp scan);
/// Whether nothing but a state of the layer after the call receives what `scan` leaves
/// as its last states.
bool areKeptOnly(ScanOp scan);

/// Values that `op` reads, those of its regions included.
SetVector<Value> getReadValues(Operation *op);

} // namespace mlir::ssm

#endif // SSM_TRANSFORMS_PREPAREDVALUES_H
