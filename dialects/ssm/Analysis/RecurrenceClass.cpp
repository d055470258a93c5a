//===- RecurrenceClass.cpp - Class and legal modes of a scan --------------===//

#include "ssm/Analysis/RecurrenceClass.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace mlir::ssm;

StringRef mlir::ssm::stringifyRecurrenceClass(RecurrenceClass value) {
  switch (value) {
  case RecurrenceClass::D0:
    return "D0";
  case RecurrenceClass::D1:
    return "D1";
  case RecurrenceClass::D2:
    return "D2";
  case RecurrenceClass::D3:
    return "D3";
  case RecurrenceClass::D0d:
    return "D0d";
  case RecurrenceClass::D1d:
    return "D1d";
  case RecurrenceClass::D2d:
    return "D2d";
  case RecurrenceClass::D3d:
    return "D3d";
  case RecurrenceClass::I:
    return "I";
  case RecurrenceClass::Id:
    return "Id";
  case RecurrenceClass::Ld:
    return "Ld";
  }
  llvm_unreachable("all classes are covered");
}

StringRef mlir::ssm::stringifyExecutionMode(ExecutionMode value) {
  switch (value) {
  case ExecutionMode::Step:
    return "step";
  case ExecutionMode::Scan:
    return "scan";
  case ExecutionMode::Chunk:
    return "chunk";
  case ExecutionMode::Conv:
    return "conv";
  case ExecutionMode::Quadratic:
    return "quadratic";
  }
  llvm_unreachable("all modes are covered");
}

namespace {
constexpr unsigned timeDim = 1;

class RecurrenceAnalysis {
public:
  RecurrenceAnalysis(ScanOp op, function_ref<bool(OpOperand &)> isTimeInvariant)
      : op(op), isTimeInvariant(isTimeInvariant), roles(op.getCoefficientsOp()),
        keys(op.getNumDims()) {
    for (unsigned dim : op.getKeyDims())
      keys.set(dim);
  }

  RecurrenceInfo run();

private:
  /// Dimensions on which `values` depend; time only where an operand varies.
  llvm::SmallBitVector getDims(ValueRange values);
  llvm::SmallBitVector getDims(Value value);
  /// Whether `value` is a sum of factors that are the same at every token times
  /// inputs that are the same for all keys.
  bool isSeparable(Value value);
  RecurrenceClass getClass();
  void explainModes();
  std::string nameDims(const llvm::SmallBitVector &dims);

  ScanOp op;
  function_ref<bool(OpOperand &)> isTimeInvariant;
  CoefficientsOp roles;
  llvm::SmallBitVector keys;

  llvm::SmallBitVector decay;
  llvm::SmallBitVector dense;
  llvm::SmallBitVector erase;
  llvm::SmallBitVector read;
  llvm::SmallBitVector write;
  llvm::SmallBitVector reset;
  /// Dimensions of the decay, besides batch and time, that are neither keys nor
  /// dimensions of read or erase terms.
  llvm::SmallBitVector decayOnly;
  RecurrenceInfo info;
};
} // namespace

llvm::SmallBitVector RecurrenceAnalysis::getDims(Value value) {
  return op.getDependentDims(value, isTimeInvariant);
}

llvm::SmallBitVector RecurrenceAnalysis::getDims(ValueRange values) {
  llvm::SmallBitVector dims(op.getNumDims());
  for (Value value : values)
    dims |= getDims(value);
  return dims;
}

bool RecurrenceAnalysis::isSeparable(Value value) {
  llvm::SmallBitVector dims = getDims(value);
  if (!dims.test(timeDim) || !dims.anyCommon(keys))
    return true;
  Operation *definition = value.getDefiningOp();
  if (!definition)
    return false;
  // A quotient of factors is one as well; a sum makes a sum of convolutions.
  if (isa<arith::MulFOp, arith::AddFOp, arith::SubFOp, arith::DivFOp,
          arith::NegFOp, arith::ExtFOp, arith::TruncFOp>(definition))
    return llvm::all_of(definition->getOperands(),
                        [&](Value operand) { return isSeparable(operand); });
  return false;
}

std::string RecurrenceAnalysis::nameDims(const llvm::SmallBitVector &dims) {
  SmallVector<std::string> names;
  for (unsigned dim : dims.set_bits())
    names.push_back("'" + op.getDimName(dim) + "'");
  if (names.size() < 2)
    return llvm::join(names, "");
  return llvm::join(ArrayRef(names).drop_back(), ", ") + " and " + names.back();
}

RecurrenceClass RecurrenceAnalysis::getClass() {
  if (op.getDense())
    return info.hasConstantTransition ? RecurrenceClass::Id
                                      : RecurrenceClass::Ld;
  bool hasErase = info.numErasePairs > 0;
  if (info.hasConstantTransition && !op.getPeriod() && !read.test(timeDim) &&
      llvm::all_of(roles.getWrite(),
                   [&](Value value) { return isSeparable(value); }))
    return hasErase ? RecurrenceClass::Id : RecurrenceClass::I;

  // A reset is a decay of zero, for all keys alike.
  bool hasTime = decay.test(timeDim) || reset.test(timeDim);
  bool hasKeys = decay.anyCommon(keys) || reset.anyCommon(keys);
  if (keys.none() || (hasKeys && (decayOnly.any() || info.values.empty())))
    return hasErase ? RecurrenceClass::D3d : RecurrenceClass::D3;
  if (hasKeys)
    return hasErase ? RecurrenceClass::D2d : RecurrenceClass::D2;
  if (hasTime)
    return hasErase ? RecurrenceClass::D1d : RecurrenceClass::D1;
  return hasErase ? RecurrenceClass::D0d : RecurrenceClass::D0;
}

void RecurrenceAnalysis::explainModes() {
  auto refuse = [&](ExecutionMode mode, const Twine &reason) {
    std::string &text = info.reasons[static_cast<unsigned>(mode)];
    if (text.empty())
      text = reason.str();
  };
  using Class = RecurrenceClass;
  Class kind = info.kind;
  std::string time = "'" + op.getDimName(timeDim) + "'";

  if (op.getPeriod())
    for (ExecutionMode mode :
         {ExecutionMode::Chunk, ExecutionMode::Conv, ExecutionMode::Quadratic})
      refuse(mode, "the state is kept as a remainder, which is not linear in it");
  if (op.getReverse())
    refuse(ExecutionMode::Step, "the recurrence runs backwards along " + time +
                                    ", so the first token needs the last");

  if (kind == Class::D3 || kind == Class::D3d) {
    if (keys.none())
      refuse(ExecutionMode::Chunk,
             "no dimension of the state is summed by a read, so a chunk has no "
             "matrix product");
    else if (decayOnly.any())
      refuse(ExecutionMode::Chunk, "the decay depends on both the key axis " +
                                       nameDims(decay & keys) + " and " +
                                       nameDims(decayOnly) +
                                       ", which the read lacks");
    else
      refuse(ExecutionMode::Chunk,
             "the decay depends on the key axis " + nameDims(decay & keys) +
                 " and the state has no value axis, so a chunk's products have "
                 "one column");
  }
  if (kind == Class::Ld)
    refuse(ExecutionMode::Chunk, "the dense transition depends on " + time);

  if (kind != Class::I && kind != Class::Id) {
    auto blame = [&](const llvm::SmallBitVector &dims, StringRef role) {
      if (dims.test(timeDim))
        refuse(ExecutionMode::Conv, "the " + role + " depends on " + time);
    };
    blame(decay, "decay");
    blame(dense, "dense transition");
    blame(erase, "erase term");
    blame(reset, "reset");
    blame(read, "read");
    refuse(ExecutionMode::Conv,
           "the write mixes " + time + " with the key axis " +
               nameDims(write & keys) +
               ", so that it is no sum of constants times inputs");
  }

  if (kind != Class::D0 && kind != Class::D1) {
    if (kind == Class::I || kind == Class::Id)
      refuse(ExecutionMode::Quadratic,
             "nothing but the input depends on " + time +
                 ", so scores would be those of a convolution");
    else if (info.numErasePairs > 0)
      refuse(ExecutionMode::Quadratic, "erase terms mix the key axis " +
                                           nameDims(keys) + " between tokens");
    else if (op.getDense())
      refuse(ExecutionMode::Quadratic,
             "the dense transition depends on " + time);
    else if (keys.none())
      refuse(ExecutionMode::Quadratic,
             "no dimension of the state is summed by a read, so there are no "
             "scores");
    else
      refuse(ExecutionMode::Quadratic,
             "the decay depends on the key axis " + nameDims(decay & keys) +
                 ", so scores are no product times a mask");
  }

  if (op.getPeriod())
    info.splitReason = "the state is kept as a remainder";
  else if (op.getDense())
    info.splitReason = "combining two parts takes products of dense matrices";
  else if (info.numErasePairs > 0)
    info.splitReason =
        "combining two parts takes products of matrices over " + nameDims(keys);
}

RecurrenceInfo RecurrenceAnalysis::run() {
  decay = getDims(roles.getDecay());
  dense = getDims(roles.getDense());
  erase = getDims(roles.getErase());
  read = getDims(roles.getRead());
  write = getDims(roles.getWrite());
  reset = llvm::SmallBitVector(op.getNumDims());
  if (roles.getReset())
    reset = getDims(roles.getReset());

  info.numErasePairs = roles.getErase().size() / (2 * op.getNumStates());
  llvm::SmallBitVector transition = decay;
  transition |= dense;
  transition |= erase;
  transition |= reset;
  info.hasConstantTransition = !transition.test(timeDim);

  decayOnly = decay;
  decayOnly |= reset;
  decayOnly.reset(0);
  decayOnly.reset(timeDim);
  decayOnly.reset(keys);
  decayOnly.reset(read);
  decayOnly.reset(erase);

  llvm::SmallBitVector fixed = transition;
  fixed |= read;
  if (std::optional<unsigned> target = op.getDenseTarget())
    fixed.set(*target);
  for (unsigned dim : op.getStateDims()) {
    if (keys.test(dim))
      info.keys.push_back(dim);
    else if (fixed.test(dim))
      info.lanes.push_back(dim);
    else
      info.values.push_back(dim);
  }
  info.kind = getClass();
  explainModes();
  return info;
}

RecurrenceInfo
mlir::ssm::analyzeRecurrence(ScanOp op,
                             function_ref<bool(OpOperand &)> isTimeInvariant) {
  return RecurrenceAnalysis(op, isTimeInvariant).run();
}
