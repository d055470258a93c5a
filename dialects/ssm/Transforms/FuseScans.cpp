//===- FuseScans.cpp - Elementwise producers into scans -------------------===//
//
// ssm-fuse-scans: what computes an operand of ssm.scan element by element moves
// into its coefficients, or into its epilogue, and is never stored.
//
//===----------------------------------------------------------------------===//

#include "Costs.h"
#include "ElementwiseBody.h"
#include "PreparedValues.h"
#include "ssm/IR/SSM.h"
#include "ssm/Transforms/Passes.h"

namespace mlir::ssm {
#define GEN_PASS_DEF_FUSESCANSPASS
#include "ssm/Transforms/Passes.h.inc"
} // namespace mlir::ssm

using namespace mlir;

static remark::RemarkOpts remarkNamed(StringRef name) {
  return remark::RemarkOpts::name(name).category("ssm-fuse-scans");
}

namespace {
/// One of the two lists of operands that a region of the scan reads.
struct OperandList {
  SmallVector<Value> operands;
  SmallVector<AffineMap> maps;
  Block *body;
  unsigned firstArgument; // of the body, for operand 0
};
} // namespace

static OperandList getOperandList(ssm::ScanOp scan, bool isEpilogue) {
  OperandList list;
  list.operands = isEpilogue ? SmallVector<Value>(scan.getEpilogueIns())
                             : SmallVector<Value>(scan.getIns());
  for (unsigned i = 0; i < list.operands.size(); ++i)
    list.maps.push_back(isEpilogue ? scan.getEpilogueMap(i)
                                   : scan.getInsMap(i));
  list.body =
      isEpilogue ? &scan.getEpilogue().front() : &scan.getCoefficients().front();
  list.firstArgument = isEpilogue ? scan.getNumOutputs() : 0;
  return list;
}

static void setOperandList(RewriterBase &rewriter, ssm::ScanOp scan,
                           bool isEpilogue, const OperandList &list) {
  rewriter.modifyOpInPlace(scan, [&] {
    ArrayAttr maps = rewriter.getAffineMapArrayAttr(list.maps);
    if (isEpilogue) {
      scan.getEpilogueInsMutable().assign(list.operands);
      scan.setEpilogueMapsAttr(maps);
    } else {
      scan.getInsMutable().assign(list.operands);
      scan.setInsMapsAttr(maps);
    }
  });
}

/// Whether every element that `map` reads is read at one point of those
/// dimensions that it names.
static bool visitsOnce(AffineMap map) {
  llvm::SmallBitVector seen(map.getNumDims());
  for (AffineExpr expr : map.getResults()) {
    if (isa<AffineConstantExpr>(expr))
      continue;
    auto dim = dyn_cast<AffineDimExpr>(expr);
    if (!dim || seen.test(dim.getPosition()))
      return false;
    seen.set(dim.getPosition());
  }
  return true;
}

/// Whether two maps read different elements: some index is a constant in both,
/// but not the same.
static bool areDisjoint(AffineMap a, AffineMap b) {
  for (auto [x, y] : llvm::zip_equal(a.getResults(), b.getResults()))
    if (isa<AffineConstantExpr>(x) && isa<AffineConstantExpr>(y) && x != y)
      return true;
  return false;
}

/// Why the producer of operand `number` stays outside; null if it moves.
static ssm::Refusal refuse(ssm::ScanOp scan, bool isEpilogue, unsigned number,
                           linalg::GenericOp producer,
                           const ssm::PreparedValues &prepared) {
  if (ssm::Refusal why = ssm::refuseElementwise(producer))
    return why;
  if (prepared.isWorthy(producer.getResult(0)))
    return "it depends on weights alone and is computed once";
  bool isCostly = ssm::containsCostlyScalar(producer);
  for (OpOperand &use : producer->getUses()) {
    if (use.getOwner() != scan)
      return "another op reads its result as well";
    unsigned operand = use.getOperandNumber();
    unsigned numIns = scan.getIns().size(), numInitial = scan.getInitial().size();
    bool isIns = operand < numIns;
    bool isEpilogueIns =
        operand >= numIns + numInitial &&
        operand < numIns + numInitial + scan.getEpilogueIns().size();
    if (!isIns && !isEpilogueIns)
      return "the scan carries or overwrites its result";
    if (isCostly && isEpilogueIns != isEpilogue)
      return "coefficients and epilogue would both compute it";
  }
  if (!isCostly)
    return nullptr;
  AffineMap map =
      isEpilogue ? scan.getEpilogueMap(number) : scan.getInsMap(number);
  if (!visitsOnce(map))
    return "several points of the scan read one element of costly math";
  // Operands that take different members of a dimension (real and imaginary
  // part, say) share nothing.
  for (OpOperand &use : producer->getUses()) {
    unsigned other = use.getOperandNumber() -
                     (isEpilogue ? scan.getIns().size() + scan.getInitial().size()
                                 : 0);
    AffineMap otherMap =
        isEpilogue ? scan.getEpilogueMap(other) : scan.getInsMap(other);
    if (other != number && !areDisjoint(map, otherMap))
      return "two operands read the same elements of costly math";
  }
  return nullptr;
}

static void fuse(RewriterBase &rewriter, ssm::ScanOp scan, bool isEpilogue,
                 unsigned number, linalg::GenericOp producer) {
  OperandList list = getOperandList(scan, isEpilogue);
  unsigned result = cast<OpResult>(list.operands[number]).getResultNumber();
  AffineMap loops =
      ssm::getLoopsOfResult(producer, result).compose(list.maps[number]);

  // An operand of the producer that the scan has already is read once.
  SmallVector<Value> arguments;
  auto addOperand = [&](OpOperand &operand) {
    unsigned before = list.operands.size();
    AffineMap map = simplifyAffineMap(
        producer.getMatchingIndexingMap(&operand).compose(loops));
    unsigned at =
        ssm::findOrAddOperand(list.operands, list.maps, operand.get(), map);
    if (at == before)
      list.body->addArgument(getElementTypeOrSelf(operand.get()),
                             producer.getLoc());
    arguments.push_back(list.body->getArgument(list.firstArgument + at));
  };
  for (OpOperand *operand : producer.getDpsInputOperands())
    addOperand(*operand);
  for (unsigned i = 0; i < producer.getNumDpsInits(); ++i) {
    if (ssm::readsInit(producer, i))
      addOperand(*producer.getDpsInitOperand(i));
    else // stands for an argument without uses
      arguments.push_back(
          list.body->getArgument(list.firstArgument + number));
  }
  rewriter.setInsertionPointToStart(list.body);
  SmallVector<Value> values = ssm::inlineBody(rewriter, producer, arguments);
  BlockArgument old = list.body->getArgument(list.firstArgument + number);
  rewriter.replaceAllUsesWith(old, values[result]);
  list.body->eraseArgument(old.getArgNumber());
  list.operands.erase(list.operands.begin() + number);
  list.maps.erase(list.maps.begin() + number);
  setOperandList(rewriter, scan, isEpilogue, list);
  remark::passed(producer.getLoc(), remarkNamed("Fused"))
      << remark::add("{0}", isEpilogue ? "into the epilogue"
                                       : "into the coefficients");
  if (producer->use_empty())
    rewriter.eraseOp(producer);
}

/// Fuses one producer. If none is left, says why those that remain stay.
static bool fuseOne(RewriterBase &rewriter, ssm::ScanOp scan,
                    const ssm::PreparedValues &prepared) {
  SmallVector<std::pair<linalg::GenericOp, ssm::Refusal>> refused;
  for (bool isEpilogue : {false, true}) {
    OperandList list = getOperandList(scan, isEpilogue);
    for (auto [number, operand] : llvm::enumerate(list.operands)) {
      auto producer = operand.getDefiningOp<linalg::GenericOp>();
      if (!producer)
        continue;
      ssm::Refusal why = refuse(scan, isEpilogue, number, producer, prepared);
      if (!why) {
        fuse(rewriter, scan, isEpilogue, number, producer);
        return true;
      }
      refused.push_back({producer, why});
    }
  }
  for (auto [producer, why] : refused) {
    remark::missed(producer.getLoc(), remarkNamed("Kept"))
        << remark::reason("{0}", why);
    (void)rewriter.notifyMatchFailure(producer, why);
  }
  return false;
}

namespace {
class FuseScansPass : public ssm::impl::FuseScansPassBase<FuseScansPass> {
  void runOnOperation() override {
    func::FuncOp function = getOperation();
    if (function.isDeclaration())
      return;
    ssm::PreparedValues prepared(function);
    SmallVector<ssm::ScanOp> scans;
    function.walk([&](ssm::ScanOp scan) {
      if (scan.hasPureTensorSemantics())
        scans.push_back(scan);
    });
    IRRewriter rewriter(&getContext());
    for (ssm::ScanOp scan : scans)
      while (fuseOne(rewriter, scan, prepared)) {
      }
  }
};
} // namespace
