//===- HoistInvariants.cpp - What does not depend on time, computed once --===//
//
// ssm-hoist-invariants: parts of a scan's coefficients that depend neither on
// time nor on the batch become a linalg.generic before the scan, over just the
// dimensions they depend on. The same for costly parts of an elementwise
// linalg.generic that depend on weights and indices alone.
//
//===----------------------------------------------------------------------===//

#include "Costs.h"
#include "PreparedValues.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/Remarks.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "ssm/IR/SSM.h"
#include "ssm/Transforms/Passes.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SetVector.h"

namespace mlir::ssm {
#define GEN_PASS_DEF_HOISTINVARIANTSPASS
#include "ssm/Transforms/Passes.h.inc"
} // namespace mlir::ssm

using namespace mlir;

static remark::RemarkOpts remarkNamed(StringRef name) {
  return remark::RemarkOpts::name(name).category("ssm-hoist-invariants");
}

namespace {
using Dims = SmallVector<unsigned>;

/// Scalar code evaluated at every point of an iteration space.
struct PointCode {
  Block *body;
  SmallVector<Value> operands;  // one for each leading argument of the body
  SmallVector<AffineMap> maps;  // of those operands
  SmallVector<int64_t> sizes;   // of the dimensions
  llvm::SmallBitVector isFixed; // operands that invariants may read
};

/// Which values of a PointCode are invariant, and on which dimensions.
class Invariants {
public:
  explicit Invariants(const PointCode &code);
  bool contains(Value value) const { return known.contains(value); }
  /// A constant: invariant, and not worth a table.
  bool isConstant(Value value) const {
    return matchPattern(value, m_Constant());
  }
  Dims getDims(Value value) const;
  /// Invariant values that other code reads, and that ops compute.
  SmallVector<Value> getFrontier() const;
  /// The ops that compute `values`, in order, and the arguments they read.
  void collect(ArrayRef<Value> values, SetVector<Operation *> &ops,
               SetVector<unsigned> &arguments) const;

private:
  void add(Value value, llvm::SmallBitVector dims);

  const PointCode &code;
  DenseMap<Value, llvm::SmallBitVector> known;
};
} // namespace

//===----------------------------------------------------------------------===//
// Analysis
//===----------------------------------------------------------------------===//

void Invariants::add(Value value, llvm::SmallBitVector dims) {
  for (unsigned dim : dims.set_bits())
    if (ShapedType::isDynamic(code.sizes[dim]))
      return;
  known[value] = std::move(dims);
}

Invariants::Invariants(const PointCode &code) : code(code) {
  unsigned numDims = code.sizes.size();
  for (unsigned i = 0; i < code.operands.size(); ++i) {
    if (!code.isFixed[i])
      continue;
    llvm::SmallBitVector dims(numDims);
    for (unsigned dim = 0; dim < numDims; ++dim)
      if (code.maps[i].isFunctionOfDim(dim))
        dims.set(dim);
    add(code.body->getArgument(i), std::move(dims));
  }
  for (Operation &op : code.body->without_terminator()) {
    if (op.getNumRegions() != 0 || !isMemoryEffectFree(&op))
      continue;
    llvm::SmallBitVector dims(numDims);
    if (auto index = dyn_cast<linalg::IndexOp>(op))
      dims.set(index.getDim());
    bool isInvariant = llvm::all_of(op.getOperands(), [&](Value operand) {
      if (isConstant(operand))
        return true;
      auto it = known.find(operand);
      if (it == known.end())
        return false;
      dims |= it->second;
      return true;
    });
    if (isInvariant && !op.hasTrait<OpTrait::ConstantLike>())
      for (Value result : op.getResults())
        add(result, dims);
  }
}

Dims Invariants::getDims(Value value) const {
  Dims dims;
  for (unsigned dim : known.find(value)->second.set_bits())
    dims.push_back(dim);
  return dims;
}

SmallVector<Value> Invariants::getFrontier() const {
  SmallVector<Value> frontier;
  for (Operation &op : code.body->without_terminator())
    for (Value result : op.getResults())
      if (contains(result) && llvm::any_of(result.getUsers(), [&](Operation *user) {
            return user->getNumResults() == 0 ||
                   !contains(user->getResult(0));
          }))
        frontier.push_back(result);
  return frontier;
}

void Invariants::collect(ArrayRef<Value> values, SetVector<Operation *> &ops,
                         SetVector<unsigned> &arguments) const {
  llvm::SmallPtrSet<Operation *, 16> needed;
  SmallVector<Value> pending(values);
  while (!pending.empty()) {
    Value value = pending.pop_back_val();
    if (auto argument = dyn_cast<BlockArgument>(value)) {
      if (argument.getOwner() == code.body)
        arguments.insert(argument.getArgNumber());
      continue;
    }
    Operation *op = value.getDefiningOp();
    if (op->getBlock() == code.body && needed.insert(op).second)
      llvm::append_range(pending, op->getOperands());
  }
  for (Operation &op : *code.body)
    if (needed.contains(&op))
      ops.insert(&op);
}

//===----------------------------------------------------------------------===//
// Rewriting
//===----------------------------------------------------------------------===//

/// Emits a linalg.generic over `dims` that computes `values`.
static linalg::GenericOp emitTables(OpBuilder &builder, Location loc,
                                    const PointCode &code,
                                    const Invariants &invariants,
                                    ArrayRef<Value> values, const Dims &dims) {
  SetVector<Operation *> ops;
  SetVector<unsigned> arguments;
  invariants.collect(values, ops, arguments);

  // Other dimensions do not occur.
  SmallVector<AffineExpr> positions(code.sizes.size(),
                                    builder.getAffineConstantExpr(0));
  SmallVector<int64_t> shape;
  for (auto [position, dim] : llvm::enumerate(dims)) {
    positions[dim] = builder.getAffineDimExpr(position);
    shape.push_back(code.sizes[dim]);
  }
  SmallVector<Value> inputs, inits;
  SmallVector<AffineMap> maps;
  for (unsigned argument : arguments) {
    inputs.push_back(code.operands[argument]);
    maps.push_back(code.maps[argument].replaceDimsAndSymbols(
        positions, {}, dims.size(), 0));
  }
  SmallVector<Type> types;
  for (Value value : values) {
    inits.push_back(
        tensor::EmptyOp::create(builder, loc, shape, value.getType()));
    types.push_back(inits.back().getType());
    maps.push_back(builder.getMultiDimIdentityMap(dims.size()));
  }
  SmallVector<utils::IteratorType> iterators(dims.size(),
                                             utils::IteratorType::parallel);
  auto emitBody = [&](OpBuilder &nested, Location, ValueRange blockArguments) {
    IRMapping mapping;
    for (auto [position, argument] : llvm::enumerate(arguments))
      mapping.map(code.body->getArgument(argument), blockArguments[position]);
    for (Operation *op : ops) {
      if (auto index = dyn_cast<linalg::IndexOp>(op)) {
        unsigned position =
            std::distance(dims.begin(), llvm::find(dims, index.getDim()));
        mapping.map(index.getResult(),
                    linalg::IndexOp::create(nested, op->getLoc(), position)
                        .getResult());
        continue;
      }
      nested.clone(*op, mapping);
    }
    SmallVector<Value> yielded;
    for (Value value : values)
      yielded.push_back(mapping.lookup(value));
    linalg::YieldOp::create(nested, loc, yielded);
  };
  return linalg::GenericOp::create(builder, loc, types, inputs, inits, maps,
                                   iterators, emitBody);
}

static void eraseDead(Block *body) {
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(*body)))
    if (isOpTriviallyDead(&op))
      op.erase();
}

/// Whether a table of `value` saves more than reading it costs.
static bool isWorthTable(Value value, const PointCode &code,
                         const Invariants &invariants,
                         const ssm::PreparedValues &prepared, bool onlyCostly) {
  if (!isa<FloatType>(value.getType()))
    return false;
  SetVector<Operation *> ops;
  SetVector<unsigned> arguments;
  invariants.collect(value, ops, arguments);
  if (llvm::any_of(ops, ssm::isCostlyScalar))
    return true;
  // Widening a stored number is free where it is read.
  bool isArithmetic = llvm::any_of(
      ops, [](Operation *op) { return !isa<arith::ExtFOp>(op); });
  if (onlyCostly || !isArithmetic || arguments.empty())
    return false;
  return arguments.size() >= 2 ||
         llvm::all_of(arguments, [&](unsigned argument) {
           return prepared.isWorthy(code.operands[argument]);
         });
}

/// Emits tables for the invariants of `code` that are worth it, and calls
/// `addOperand` with each table and its map; that returns the new argument.
static void hoist(OpBuilder &builder, Location loc, const PointCode &code,
                  const ssm::PreparedValues &prepared, bool onlyCostly,
                  function_ref<Value(Value, AffineMap)> addOperand) {
  Invariants invariants(code);
  llvm::MapVector<Dims, SmallVector<Value>> tables;
  for (Value value : invariants.getFrontier()) {
    Dims dims = invariants.getDims(value);
    bool isWhole = dims.size() == code.sizes.size();
    if (!isWhole && isWorthTable(value, code, invariants, prepared, onlyCostly))
      tables[dims].push_back(value);
    else if (!isWhole)
      remark::missed(value.getLoc(), remarkNamed("Kept"))
          << remark::reason("as cheap to compute as to read");
  }
  for (auto &[dims, values] : tables) {
    linalg::GenericOp generic =
        emitTables(builder, loc, code, invariants, values, dims);
    SmallVector<AffineExpr> exprs;
    for (unsigned dim : dims)
      exprs.push_back(builder.getAffineDimExpr(dim));
    auto map = AffineMap::get(code.sizes.size(), 0, exprs, builder.getContext());
    remark::passed(loc, remarkNamed("Hoisted"))
        << remark::metric("values", values.size())
        << remark::metric("dimensions", dims.size());
    for (auto [value, table] : llvm::zip_equal(values, generic.getResults()))
      value.replaceUsesWithIf(addOperand(table, map), [&](OpOperand &use) {
        Operation *user = use.getOwner();
        return user->getBlock() == code.body &&
               (user->getNumResults() == 0 ||
                !invariants.contains(user->getResult(0)));
      });
  }
  eraseDead(code.body);
}

//===----------------------------------------------------------------------===//
// Common factors
//===----------------------------------------------------------------------===//

namespace {
struct Term {
  bool negative;
  SmallVector<Value> fixed, moving;
};
} // namespace

/// Splits a product into factors that are invariant and factors that are not.
static void collectFactors(Value value, const Invariants &invariants,
                           Term &term) {
  if (invariants.contains(value) || invariants.isConstant(value)) {
    term.fixed.push_back(value);
    return;
  }
  if (auto multiply = value.getDefiningOp<arith::MulFOp>()) {
    collectFactors(multiply.getLhs(), invariants, term);
    collectFactors(multiply.getRhs(), invariants, term);
  } else if (auto negate = value.getDefiningOp<arith::NegFOp>()) {
    term.negative = !term.negative;
    collectFactors(negate.getOperand(), invariants, term);
  } else {
    term.moving.push_back(value);
  }
}

static void collectTerms(Value value, bool negative,
                         const Invariants &invariants,
                         SmallVectorImpl<Term> &terms) {
  if (!invariants.contains(value)) {
    if (auto add = value.getDefiningOp<arith::AddFOp>()) {
      collectTerms(add.getLhs(), negative, invariants, terms);
      return collectTerms(add.getRhs(), negative, invariants, terms);
    }
    if (auto sub = value.getDefiningOp<arith::SubFOp>()) {
      collectTerms(sub.getLhs(), negative, invariants, terms);
      return collectTerms(sub.getRhs(), !negative, invariants, terms);
    }
  }
  Term term{negative, {}, {}};
  collectFactors(value, invariants, term);
  terms.push_back(std::move(term));
}

/// Rewrites `a (b u) - c (d u)` as `(a b - c d) u` where only `u` changes over
/// time: an input's gain, so that the sum can be hoisted.
static Value factorOut(OpBuilder &builder, Value value,
                       const Invariants &invariants) {
  SmallVector<Term> terms;
  collectTerms(value, false, invariants, terms);
  unsigned numFixed = 0;
  for (Term &term : terms) {
    // The order of factors does not matter, but how often each occurs does.
    SmallVector<Value> moving = term.moving, common = terms.front().moving;
    auto order = [](Value a, Value b) {
      return a.getAsOpaquePointer() < b.getAsOpaquePointer();
    };
    llvm::sort(moving, order);
    llvm::sort(common, order);
    if (moving != common || moving.empty() || term.fixed.empty())
      return value;
    numFixed += term.fixed.size();
  }
  if (numFixed < 2)
    return value;
  Location loc = value.getLoc();
  Value sum;
  for (Term &term : terms) {
    Value product = term.fixed.front();
    for (Value factor : ArrayRef(term.fixed).drop_front())
      product = arith::MulFOp::create(builder, loc, product, factor);
    if (!sum && term.negative)
      sum = arith::NegFOp::create(builder, loc, product);
    else if (!sum)
      sum = product;
    else if (term.negative)
      sum = arith::SubFOp::create(builder, loc, sum, product);
    else
      sum = arith::AddFOp::create(builder, loc, sum, product);
  }
  for (Value factor : terms.front().moving)
    sum = arith::MulFOp::create(builder, loc, sum, factor);
  return sum;
}

//===----------------------------------------------------------------------===//
// Scans and elementwise ops
//===----------------------------------------------------------------------===//

static PointCode getCode(ssm::ScanOp scan) {
  PointCode code{&scan.getCoefficients().front(), {}, {}, {}, {}};
  llvm::append_range(code.operands, scan.getIns());
  code.isFixed.resize(code.operands.size());
  for (unsigned i = 0; i < code.operands.size(); ++i) {
    code.maps.push_back(scan.getInsMap(i));
    code.isFixed[i] = !code.maps[i].isFunctionOfDim(0) &&
                      !code.maps[i].isFunctionOfDim(1);
  }
  for (unsigned dim = 0; dim < scan.getNumDims(); ++dim)
    code.sizes.push_back(dim < 2 ? ShapedType::kDynamic : scan.getDimSize(dim));
  return code;
}

static void hoistFromScan(ssm::ScanOp scan,
                          const ssm::PreparedValues &prepared) {
  PointCode code = getCode(scan);
  OpBuilder builder(scan);
  {
    Invariants invariants(code);
    Operation *roles = code.body->getTerminator();
    OpBuilder inside(roles);
    for (OpOperand &role : roles->getOpOperands())
      if (isa<FloatType>(role.get().getType()) &&
          !invariants.contains(role.get()))
        role.set(factorOut(inside, role.get(), invariants));
    eraseDead(code.body);
  }
  hoist(builder, scan.getLoc(), code, prepared, /*onlyCostly=*/false,
        [&](Value table, AffineMap map) -> Value {
          SmallVector<AffineMap> maps;
          for (unsigned i = 0; i < scan.getIns().size(); ++i)
            maps.push_back(scan.getInsMap(i));
          maps.push_back(map);
          scan.getInsMutable().append(table);
          scan.setInsMapsAttr(builder.getAffineMapArrayAttr(maps));
          return code.body->addArgument(getElementTypeOrSelf(table),
                                        scan.getLoc());
        });
}

static void hoistFromGeneric(linalg::GenericOp op,
                             const ssm::PreparedValues &prepared) {
  PointCode code{op.getBody(), {}, {}, op.getStaticLoopRanges(), {}};
  for (OpOperand *input : op.getDpsInputOperands()) {
    code.operands.push_back(input->get());
    code.maps.push_back(op.getMatchingIndexingMap(input));
    code.isFixed.resize(code.operands.size());
    code.isFixed[code.operands.size() - 1] = prepared.isWorthy(input->get());
  }
  OpBuilder builder(op);
  hoist(builder, op.getLoc(), code, prepared, /*onlyCostly=*/true,
        [&](Value table, AffineMap map) -> Value {
          unsigned at = op.getNumDpsInputs();
          SmallVector<AffineMap> maps = op.getIndexingMapsArray();
          maps.insert(maps.begin() + at, map);
          op.getInputsMutable().append(table);
          op.setIndexingMapsAttr(builder.getAffineMapArrayAttr(maps));
          return op.getBody()->insertArgument(at, getElementTypeOrSelf(table),
                                              op.getLoc());
        });
}

namespace {
class HoistInvariantsPass
    : public ssm::impl::HoistInvariantsPassBase<HoistInvariantsPass> {
  void runOnOperation() override {
    func::FuncOp function = getOperation();
    if (function.isDeclaration())
      return;
    ssm::PreparedValues prepared(function);
    SmallVector<Operation *> ops;
    function.walk([&](Operation *op) {
      if (auto scan = dyn_cast<ssm::ScanOp>(op)) {
        if (scan.hasPureTensorSemantics())
          ops.push_back(op);
      } else if (auto generic = dyn_cast<linalg::GenericOp>(op)) {
        // What can be prepared as a whole needs no part taken out.
        if (generic.hasPureTensorSemantics() &&
            generic.getNumReductionLoops() == 0 &&
            !prepared.contains(generic.getResult(0)))
          ops.push_back(op);
      }
    });
    for (Operation *op : ops) {
      if (auto scan = dyn_cast<ssm::ScanOp>(op))
        hoistFromScan(scan, prepared);
      else
        hoistFromGeneric(cast<linalg::GenericOp>(op), prepared);
    }
  }
};
} // namespace
