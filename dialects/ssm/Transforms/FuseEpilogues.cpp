//===- FuseEpilogues.cpp - Elementwise consumers into epilogues -----------===//
//
// ssm-fuse-epilogues: what an elementwise op makes of the result of ssm.conv,
// ssm.norm, ssm.scan or ssm.matmul is computed before that result is stored.
// A copy into a destination becomes the destination.
//
//===----------------------------------------------------------------------===//

#include "ElementwiseBody.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Dominance.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Transforms/RegionUtils.h"
#include "ssm/IR/SSM.h"
#include "ssm/Transforms/Passes.h"
#include "llvm/ADT/TypeSwitch.h"

namespace mlir::ssm {
#define GEN_PASS_DEF_FUSEEPILOGUESPASS
#include "ssm/Transforms/Passes.h.inc"
} // namespace mlir::ssm

using namespace mlir;

static remark::RemarkOpts remarkNamed(StringRef name) {
  return remark::RemarkOpts::name(name).category("ssm-fuse-epilogues");
}

namespace {
/// What the four ops with an epilogue have in common.
struct EpilogueOp {
  Operation *op = nullptr;
  unsigned numOutputs = 1;
  MutableOperandRange operands; // of the epilogue
  SmallVector<AffineMap> maps;  // of those operands
  AffineMap outputMap;          // from the op's dimensions to the output
  Region *epilogue = nullptr;
  MutableOperandRange outs;

  static std::optional<EpilogueOp> get(Operation *op);
  void setMaps(Builder &builder);
};
} // namespace

std::optional<EpilogueOp> EpilogueOp::get(Operation *op) {
  auto describe = [](auto typed, AffineMap outputMap, unsigned numOutputs) {
    EpilogueOp result{typed, numOutputs, typed.getEpilogueInsMutable(),
                      {},    outputMap,  &typed.getEpilogue(),
                      typed.getOutsMutable()};
    for (unsigned i = 0; i < typed.getEpilogueIns().size(); ++i)
      result.maps.push_back(typed.getEpilogueMap(i));
    return std::optional<EpilogueOp>(result);
  };
  auto identity = [](Value output) {
    return AffineMap::getMultiDimIdentityMap(
        cast<ShapedType>(output.getType()).getRank(), output.getContext());
  };
  if (!op || op->getNumResults() == 0)
    return std::nullopt;
  return TypeSwitch<Operation *, std::optional<EpilogueOp>>(op)
      .Case([&](ssm::ScanOp scan) {
        return describe(scan, scan.getOutputMap(), scan.getNumOutputs());
      })
      .Case([&](ssm::ConvOp conv) {
        return describe(conv, conv.getOutputMap(), 1);
      })
      .Case<ssm::NormOp, ssm::MatmulOp>([&](auto typed) {
        return describe(typed, identity(typed.getOutput()), 1);
      })
      .Default([](Operation *) { return std::nullopt; });
}

void EpilogueOp::setMaps(Builder &builder) {
  ArrayAttr attr = builder.getAffineMapArrayAttr(maps);
  TypeSwitch<Operation *>(op)
      .Case<ssm::ScanOp, ssm::ConvOp, ssm::NormOp, ssm::MatmulOp>(
          [&](auto typed) { typed.setEpilogueMapsAttr(attr); });
}

/// Makes room for `consumer` at the place of `producer`, or tells by `moves`
/// that the producer has to move down to the consumer. Says why neither works,
/// or null.
static ssm::Refusal refusePlace(RewriterBase &rewriter, Operation *producer,
                                Operation *consumer, DominanceInfo &dominance,
                                bool &moves) {
  if (producer->getBlock() != consumer->getBlock())
    return "the consumer is in another block";
  SmallVector<Value> others;
  for (Value operand : consumer->getOperands())
    if (operand.getDefiningOp() != producer)
      others.push_back(operand);
  moves = !llvm::all_of(others, [&](Value operand) {
    return dominance.properlyDominates(operand, producer);
  });
  if (!moves)
    return nullptr;
  // Other results, such as final states, must not be needed before.
  bool isFree = llvm::all_of(producer->getUsers(), [&](Operation *user) {
    return user == consumer ||
           dominance.properlyDominates(consumer, user,
                                       /*enclosingOpOk=*/false);
  });
  if (isFree)
    return nullptr;
  moves = false;
  if (succeeded(moveValueDefinitions(rewriter, others, producer, dominance)))
    return nullptr;
  return "another result is needed before the consumer";
}

/// Whether `consumer` may make another element type of the output: a scan computes its
/// outputs in registers, whatever they are stored as, others do where the target says so.
static bool mayNarrow(const EpilogueOp &producer, Operation *consumer, bool narrows) {
  return isa<linalg::GenericOp>(consumer) &&
         (isa<ssm::ScanOp>(producer.op) ||
          (narrows && isa<ssm::ConvOp, ssm::NormOp>(producer.op)));
}

/// Checks what generics and copies have in common.
static ssm::Refusal refuseConsumer(const EpilogueOp &producer, OpResult result,
                                   Operation *consumer, bool narrows) {
  if (result.getResultNumber() >= producer.numOutputs)
    return "it reads what is carried, not the output";
  for (Operation *user : result.getUsers())
    if (user != consumer)
      return "another op reads the output as well";
  if (consumer->getNumResults() != 1)
    return "it has several results";
  auto type = cast<RankedTensorType>(result.getType());
  auto wanted = cast<RankedTensorType>(consumer->getResult(0).getType());
  if (wanted != type &&
      (!mayNarrow(producer, consumer, narrows) || wanted.getShape() != type.getShape() ||
       wanted.getElementTypeBitWidth() > type.getElementTypeBitWidth()))
    return "its result is of another type";
  return nullptr;
}

static ssm::Refusal refuseGeneric(const EpilogueOp &producer, OpResult result,
                                  linalg::GenericOp consumer, bool narrows) {
  if (ssm::Refusal why = refuseConsumer(producer, result, consumer, narrows))
    return why;
  if (ssm::Refusal why = ssm::refuseElementwise(consumer))
    return why;
  AffineMap loops = ssm::getLoopsOfResult(consumer, 0);
  for (OpOperand &use : consumer->getOpOperands()) {
    if (use.get().getDefiningOp() != producer.op)
      continue;
    if (cast<OpResult>(use.get()).getResultNumber() >= producer.numOutputs)
      return "it reads what is carried as well";
    if (!consumer.getMatchingIndexingMap(&use).compose(loops).isIdentity())
      return "it reads other elements than it writes";
  }
  return nullptr;
}

static void moveAndReplace(RewriterBase &rewriter, EpilogueOp &producer,
                           OpResult result, Operation *consumer, Value init,
                           bool moves) {
  if (moves)
    rewriter.moveOpBefore(producer.op, consumer);
  rewriter.modifyOpInPlace(producer.op, [&] {
    producer.outs[result.getResultNumber()].set(init);
    result.setType(init.getType());
  });
  rewriter.replaceOp(consumer, result);
}

static void fuseGeneric(RewriterBase &rewriter, EpilogueOp &producer,
                        OpResult result, linalg::GenericOp consumer,
                        bool moves) {
  Block *body = &producer.epilogue->front();
  Operation *yield = body->getTerminator();
  // From the dimensions of the producer to the loops of the consumer.
  AffineMap loops =
      ssm::getLoopsOfResult(consumer, 0).compose(producer.outputMap);
  SmallVector<Value> operands;
  for (OpOperand &operand : producer.operands)
    operands.push_back(operand.get());
  SmallVector<Value> arguments;
  auto addOperand = [&](OpOperand &operand) {
    unsigned before = operands.size();
    AffineMap map = simplifyAffineMap(
        consumer.getMatchingIndexingMap(&operand).compose(loops));
    unsigned at =
        ssm::findOrAddOperand(operands, producer.maps, operand.get(), map);
    if (at == before)
      body->addArgument(getElementTypeOrSelf(operand.get()),
                        consumer.getLoc());
    arguments.push_back(body->getArgument(producer.numOutputs + at));
  };
  Value current = yield->getOperand(result.getResultNumber());
  for (OpOperand *operand : consumer.getDpsInputOperands()) {
    // Another output, the imaginary part say, is an argument of the epilogue too.
    auto output = dyn_cast<OpResult>(operand->get());
    if (output && output.getOwner() == producer.op)
      arguments.push_back(yield->getOperand(output.getResultNumber()));
    else
      addOperand(*operand);
  }
  OpOperand *init = consumer.getDpsInitOperand(0);
  if (init->get() == result || !ssm::readsInit(consumer, 0))
    arguments.push_back(current);
  else
    addOperand(*init);
  rewriter.setInsertionPoint(yield);
  SmallVector<Value> values = ssm::inlineBody(rewriter, consumer, arguments);
  rewriter.modifyOpInPlace(yield, [&] {
    yield->setOperand(result.getResultNumber(), values[0]);
  });
  rewriter.modifyOpInPlace(producer.op, [&] {
    producer.operands.assign(operands);
    producer.setMaps(rewriter);
  });
  // The consumer may have overwritten what it read.
  Value destination = init->get() == result
                          ? producer.outs[result.getResultNumber()].get()
                          : init->get();
  EpilogueOp changed = *EpilogueOp::get(producer.op);
  moveAndReplace(rewriter, changed, result, consumer, destination, moves);
}

/// Whether `producer` reads the value `destination`, other than where it would
/// write it: then it cannot be its destination without a copy of it.
static bool readsElsewhere(EpilogueOp &producer, OpResult result,
                           Value destination) {
  OpOperand &out = producer.outs[result.getResultNumber()];
  return llvm::any_of(producer.op->getOpOperands(), [&](OpOperand &operand) {
    return operand.get() == destination &&
           !cast<DestinationStyleOpInterface>(producer.op).isDpsInit(&operand) &&
           !(operand.get().getType() == out.get().getType() &&
             ssm::isReadWhereWritten(producer.op, operand, out));
  });
}

/// Fuses `consumer` into the last of the ops that produce its operands.
static bool tryFuse(RewriterBase &rewriter, Operation *consumer,
                    DominanceInfo &dominance, bool narrows) {
  SmallVector<OpResult> candidates;
  for (Value operand : consumer->getOperands())
    if (EpilogueOp::get(operand.getDefiningOp()))
      candidates.push_back(cast<OpResult>(operand));
  llvm::sort(candidates, [&](OpResult a, OpResult b) {
    return dominance.properlyDominates(b.getOwner(), a.getOwner());
  });
  for (OpResult result : candidates) {
    EpilogueOp producer = *EpilogueOp::get(result.getOwner());
    bool moves = false;
    auto generic = dyn_cast<linalg::GenericOp>(consumer);
    auto copy = dyn_cast<linalg::CopyOp>(consumer);
    ssm::Refusal why = generic ? refuseGeneric(producer, result, generic, narrows)
                               : refuseConsumer(producer, result, consumer, narrows);
    if (copy && copy.getInputs().front() != result)
      why = "it overwrites the output";
    if (!why && copy &&
        readsElsewhere(producer, result, copy.getOutputs().front()))
      why = "the producer reads what the copy overwrites";
    if (!why)
      why = refusePlace(rewriter, producer.op, consumer, dominance, moves);
    if (why) {
      remark::missed(consumer->getLoc(), remarkNamed("Kept"))
          << remark::reason("{0}", why);
      (void)rewriter.notifyMatchFailure(consumer, why);
      continue;
    }
    remark::passed(consumer->getLoc(), remarkNamed("Fused"))
        << remark::add("into {0}", producer.op->getName().getStringRef());
    if (generic)
      fuseGeneric(rewriter, producer, result, generic, moves);
    else
      moveAndReplace(rewriter, producer, result, consumer,
                     copy.getOutputs().front(), moves);
    return true;
  }
  return false;
}

/// Moves `consumer` of what comes out of two branches into both of them, where the ops
/// that produce it there may take it. Returns what has become of it.
static SmallVector<Operation *> sink(RewriterBase &rewriter, Operation *consumer,
                                     DominanceInfo &dominance) {
  auto generic = dyn_cast<linalg::GenericOp>(consumer);
  if (!generic || generic->getNumResults() != 1 || ssm::refuseElementwise(generic))
    return {};
  for (Value operand : generic->getOperands()) {
    auto branch = operand.getDefiningOp<scf::IfOp>();
    if (!branch || branch->getBlock() != generic->getBlock() ||
        operand.getType() != generic.getResult(0).getType())
      continue;
    auto result = cast<OpResult>(operand);
    bool isAlone = llvm::all_of(result.getUsers(),
                                [&](Operation *user) { return user == generic; });
    SmallVector<Value> late;
    for (Value other : generic->getOperands())
      if (other != operand && !dominance.properlyDominates(other, branch))
        late.push_back(other);
    SmallVector<scf::YieldOp> yields = {branch.thenYield(), branch.elseYield()};
    bool areProducers = llvm::all_of(yields, [&](scf::YieldOp yield) {
      auto value = dyn_cast<OpResult>(yield.getOperand(result.getResultNumber()));
      if (!value || value.getOwner()->getBlock() != yield->getBlock())
        return false;
      std::optional<EpilogueOp> producer = EpilogueOp::get(value.getOwner());
      return producer && value.getResultNumber() < producer->numOutputs &&
             value.hasOneUse();
    });
    if (!isAlone || !areProducers ||
        (!late.empty() && failed(moveValueDefinitions(rewriter, late, branch, dominance))))
      continue;
    SmallVector<Operation *> copies;
    for (scf::YieldOp yield : yields) {
      rewriter.setInsertionPoint(yield);
      IRMapping mapping;
      mapping.map(operand, yield.getOperand(result.getResultNumber()));
      copies.push_back(rewriter.clone(*generic, mapping));
      rewriter.modifyOpInPlace(yield, [&] {
        yield->setOperand(result.getResultNumber(), copies.back()->getResult(0));
      });
    }
    rewriter.replaceOp(generic, operand);
    return copies;
  }
  return {};
}

namespace {
class FuseEpiloguesPass
    : public ssm::impl::FuseEpiloguesPassBase<FuseEpiloguesPass> {
  using FuseEpiloguesPassBase::FuseEpiloguesPassBase;
  void runOnOperation() override {
    // In program order, so that a chain of consumers moves link by link.
    SmallVector<Operation *> consumers;
    getOperation().walk<WalkOrder::PreOrder>([&](Operation *op) {
      if (isa<linalg::GenericOp, linalg::CopyOp>(op) &&
          cast<linalg::LinalgOp>(op).hasPureTensorSemantics())
        consumers.push_back(op);
    });
    IRRewriter rewriter(&getContext());
    DominanceInfo dominance(getOperation());
    for (Operation *consumer : consumers)
      if (!tryFuse(rewriter, consumer, dominance, narrows))
        for (Operation *copy : sink(rewriter, consumer, dominance))
          tryFuse(rewriter, copy, dominance, narrows);
  }
};
} // namespace
