//===- EmitScan.cpp - State blocks as scans -------------------------------===//

#include "StateBlock.h"
#include "TermEmitter.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "ssm/IR/SSM.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/STLExtras.h"

using namespace ssmc;
using namespace mlir;

/// A read whose axes are not those of the state costs a pass over the state for
/// each of them; beyond this many, a contraction behind the scan is cheaper.
constexpr int64_t kMaxCopies = 8;

/// Emits the scan. With `output`, that line is its read and epilogue; returns
/// false without a message if it does not have the form for it. Without, the
/// sequence of states is the result, under the state's name.
bool Elaborator::emitScan(StateBlock &block, std::shared_ptr<Scope> scope,
                          const ast::StateStmt::Line *output) {
  const std::string &name = block.stmt.state.name.name;
  llvm::SmallVector<IndexId> outputIds, copies; // without those of the sequences
  llvm::SmallVector<IndexId> resultIds;         // as on the left
  llvm::SmallVector<Axis> resultAxes;           // the same, some of them merged
  Number value;                       // what is stored, over the accumulators
  TermRef accumulators[2];            // terms that stand for the read
  TermRef read[2];
  bool isComplex = block.isComplex() && !block.isReal; // the scan
  unsigned numOutputs = isComplex ? 2 : 1;
  llvm::SmallVector<IndexId> stateIds = block.stateIds();

  if (output) {
    PointContext point;
    block.bindSequences(point, &context);
    auto bind = [&](const ast::AxisPattern &pattern) -> std::optional<Axis> {
      auto axis = resolveAxis(pattern, *scope, true);
      if (!axis)
        return std::nullopt;
      for (auto [own, id] : llvm::zip(block.axes, block.ids))
        if (own.name == axis->name) {
          point.bound[axis->name] = dim(id);
          point.variables.push_back(id);
          outputIds.push_back(id);
          resultIds.push_back(id);
          return axis;
        }
      IndexId id = newIndex(*axis);
      point.bound[axis->name] = dim(id);
      point.variables.push_back(id);
      outputIds.push_back(id);
      resultIds.push_back(id);
      copies.push_back(id);
      return axis;
    };
    auto addSequence = [&](IndexId id, llvm::StringRef axisName) {
      resultIds.push_back(id);
      resultAxes.push_back(indexAxis(id));
      resultAxes.back().name = axisName.str();
    };
    for (const ast::AxisPattern &pattern : output->target.axes) {
      if (pattern.kind == ast::AxisPattern::Rest && block.restIsSequences) {
        for (IndexId id : block.rest)
          addSequence(id, indexAxis(id).name);
        continue;
      }
      auto sequence = llvm::find_if(block.sequenceNames, [&](const auto &entry) {
        return pattern.kind == ast::AxisPattern::Name && entry.first == pattern.name.name;
      });
      if (sequence != block.sequenceNames.end()) {
        addSequence(sequence->second, sequence->first);
        continue;
      }
      if (resultIds.empty())
        return diagnostics.error(pattern.range, "an output of a state block starts "
                                                "with the sequence axis '" +
                                                    block.timeAxis.name + "'");
      if (pattern.kind == ast::AxisPattern::Merged) {
        Axis merged;
        merged.size = 1;
        for (const ast::AxisPattern &member : pattern.members) {
          auto axis = bind(member);
          if (!axis)
            return false;
          merged.members.push_back(*axis);
          merged.size *= axis->size;
        }
        resultAxes.push_back(merged);
        continue;
      }
      auto axis = bind(pattern);
      if (!axis)
        return false;
      resultAxes.push_back(*axis);
    }
    // A contraction along axes the output does not share is a matrix product.
    int64_t copyCount = 1;
    for (IndexId id : copies)
      copyCount *= indexAxis(id).size;
    if (copyCount > kMaxCopies ||
        (outputIds.size() == copies.size() && !block.axes.empty()))
      return false;
    point.stateAt = &block.at;
    point.stateName = name;
    point.stateComplex = block.isComplex();
    point.stateValue = ssmc::real(stateTerm(block.at, 0));
    if (block.isComplex())
      point.stateValue.im = stateTerm(block.at, 1);
    auto number = evaluatePoint(*output->value, scope, point);
    if (!number)
      return false;
    value = *number;
    // The reads it contains.
    llvm::SmallVector<TermRef> reduces;
    bool bare = false;
    auto scan = [&](const TermRef &term) {
      std::function<void(const TermRef &)> visit = [&](const TermRef &t) {
        if (!t->hasState)
          return;
        if (t->kind == Term::Reduce) {
          if (!llvm::is_contained(reduces, t))
            reduces.push_back(t);
          return;
        }
        bare |= t->kind == Term::State;
        for (const TermRef &operand : t->operands)
          visit(operand);
      };
      visit(term);
    };
    scan(value.re);
    if (value.im)
      scan(value.im);
    unsigned wanted = value.im ? 2 : 1;
    if (bare || reduces.empty() || reduces.size() > wanted)
      return false;
    for (const TermRef &term : reduces) {
      if (accumulators[term->part] || (term->part == 1 && wanted == 1))
        return false;
      accumulators[term->part] = term;
    }
    if (!accumulators[0])
      return false;
    if (block.isReal && wanted == 2)
      return false; // its read is real
    numOutputs = wanted;
    // The coefficients of the read, at the state's own key indices.
    const TermRef &body = accumulators[0]->operands[0];
    llvm::SmallVector<AffineExpr> inner;
    walk(body, [&](const TermRef &t) {
      if (t->kind == Term::State && inner.empty())
        inner.assign(t->at.begin(), t->at.end());
    });
    llvm::DenseMap<IndexId, AffineExpr> rename;
    for (auto [own, at] : llvm::zip(block.at, inner)) {
      auto d = llvm::dyn_cast<AffineDimExpr>(at);
      if (!d)
        return false;
      bool summed = llvm::is_contained(accumulators[0]->over, d.getPosition());
      if (!summed && at != own)
        return false;
      rename[d.getPosition()] = own;
    }
    RealForm linear = realForm(body, inner);
    if (!linear.failure.empty() || linear.rest || !linear.erase.empty())
      return false;
    auto renamed = [&](TermRef term) {
      return substitute(term ? term : constant(0),
                        [&](IndexId id) { return rename.lookup(id); }, &context);
    };
    read[0] = renamed(linear.coefficient[0]);
    if (isComplex)
      read[1] = negate(renamed(linear.coefficient[1]));
    if (block.isReal)
      read[0] = interleave(read[0], renamed(linear.coefficient[1]), block.ids.back(),
                           block.interleaved);
  } else {
    llvm::append_range(outputIds, stateIds);
    accumulators[0] = stateTerm(block.at, 0);
    value = ssmc::real(accumulators[0]);
    if (isComplex)
      value.im = accumulators[1] = stateTerm(block.at, 1);
  }

  // The other sequence axes that anything here depends on: rows, like the batch.
  llvm::SmallVector<IndexId> others;
  for (IndexId id : block.others) {
    bool isUsed = llvm::is_contained(resultIds, id);
    for (const Number &number : {value, block.decay, block.dense, block.write,
                                 Number{read[0], read[1]}})
      for (const TermRef &term : {number.re, number.im})
        isUsed |= term && term->dependsOn(id);
    for (const LinearForm::Erase &erase : block.erase)
      for (const Number &number : {erase.left, erase.right})
        for (const TermRef &term : {number.re, number.im})
          isUsed |= term && term->dependsOn(id);
    if (isUsed)
      others.push_back(id);
  }
  if (!output) {
    resultIds.push_back(block.time);
    llvm::append_range(resultIds, others);
    llvm::sort(resultIds, [&](IndexId a, IndexId b) {
      return indexAxis(a).size < indexAxis(b).size;
    });
    for (IndexId id : resultIds)
      resultAxes.push_back(indexAxis(id));
    llvm::append_range(resultIds, stateIds);
    llvm::append_range(resultAxes, block.axes);
  }
  for (IndexId id : others)
    if (!llvm::is_contained(resultIds, id))
      return diagnostics.error(output->target.range,
                               "the state '" + name + "' depends on the sequence axis '" +
                                   indexAxis(id).name + "', which its output '" +
                                   output->target.name.name + "' does not have");
  if (!llvm::is_contained(resultIds, block.time))
    return diagnostics.error(output->target.range,
                             "an output of a state block has the sequence axis '" +
                                 block.timeAxis.name + "', along which the state runs");

  // Dimensions: batch, time, the state's, copies, the source of a matrix.
  llvm::DenseMap<IndexId, unsigned> dimension;
  dimension[block.time] = 1;
  for (IndexId id : llvm::concat<const IndexId>(stateIds, copies))
    dimension.insert({id, dimension.size() + 1});
  if (block.dense)
    dimension.insert({block.source, dimension.size() + 1});
  unsigned numDims = dimension.size() + 1;
  auto remap = [&](AffineExpr expr) {
    llvm::DenseMap<AffineExpr, AffineExpr> map;
    expr.walk([&](AffineExpr e) {
      if (auto d = dyn_cast<AffineDimExpr>(e))
        map[e] = getAffineDimExpr(dimension.lookup(d.getPosition()), &context);
    });
    return expr.replace(map);
  };
  using Operands = llvm::MapVector<std::pair<Value, AffineMap>, unsigned>;
  auto mapOf = [&](const Term &node) {
    llvm::SmallVector<AffineExpr> exprs;
    if (node.batched)
      exprs.push_back(getAffineDimExpr(0, &context));
    for (AffineExpr expr : node.at)
      exprs.push_back(remap(expr));
    return AffineMap::get(numDims, 0, exprs, &context);
  };
  auto prepare = [&](TermRef term, Operands &operands) {
    if (!term)
      return term;
    term = termOfRows(hoistFixed(term, true), block.time, others);
    walk(term, [&](const TermRef &node) {
      if (node->kind == Term::Element)
        operands.insert({{node->tensor, mapOf(*node)}, unsigned(operands.size())});
    });
    return term;
  };

  Operands ins, epilogueIns;
  auto parts = [&](const Number &number) {
    llvm::SmallVector<TermRef, 2> terms;
    if (!number)
      return terms;
    terms.push_back(prepare(number.re, ins));
    if (isComplex)
      terms.push_back(prepare(imag(number), ins));
    return terms;
  };
  llvm::SmallVector<TermRef, 2> decay, dense, write, reads, erases;
  dense = parts(block.dense);
  if (!block.dense && (!isConstant(block.decay.re, 1) || block.decay.im))
    decay = parts(block.decay);
  write = parts(block.write);
  if (read[0]) {
    reads.push_back(prepare(read[0], ins));
    if (isComplex)
      reads.push_back(prepare(read[1], ins));
  }
  llvm::SmallVector<int64_t> keys;
  for (LinearForm::Erase &erase : block.erase) {
    // The summed indices become the state's own.
    llvm::DenseMap<IndexId, AffineExpr> rename;
    for (auto [i, own, at] : llvm::enumerate(block.at, erase.at)) {
      auto d = llvm::dyn_cast<AffineDimExpr>(at);
      if (!d)
        return diagnostics.error(block.stmt.range, "an erase term sums the state over "
                                                   "whole axes");
      if (at != own) {
        rename[d.getPosition()] = own;
        if (!llvm::is_contained(keys, int64_t(i + 2)))
          keys.push_back(i + 2);
      }
    }
    Number left = erase.left;
    for (TermRef *part : {&left.re, &left.im})
      if (*part)
        *part = substitute(*part, [&](IndexId id) { return rename.lookup(id); },
                           &context);
    for (const Number &number : {left, erase.right})
      llvm::append_range(erases, parts(number));
  }
  TermRef reset;
  if (const TensorValue *cut = scope->findCut(block.timeAxis.size))
    reset = prepare(element(cut->re, dim(block.time), cut->batched, false, true), ins);
  // The epilogue's leaves: everything but the accumulators.
  llvm::SmallVector<TermRef, 2> stored = {value.re};
  if (value.im)
    stored.push_back(value.im);
  for (TermRef &term : stored) {
    // Accumulators stay as they are.
    std::function<TermRef(const TermRef &)> hoist = [&](const TermRef &t) -> TermRef {
      if (t == accumulators[0] || t == accumulators[1])
        return t;
      if (!t->hasState)
        return prepare(t, epilogueIns);
      auto copy = std::make_shared<Term>(*t);
      for (TermRef &operand : copy->operands)
        operand = hoist(operand);
      return copy;
    };
    term = hoist(term);
  }

  llvm::SmallVector<AffineExpr> stateExprs = {getAffineDimExpr(0, &context)},
                                outputExprs = {getAffineDimExpr(0, &context),
                                               getAffineDimExpr(1, &context)};
  llvm::SmallVector<int64_t> outputSizes = {block.timeAxis.size}, stateSizes;
  for (IndexId id : stateIds) {
    stateExprs.push_back(getAffineDimExpr(dimension[id], &context));
    stateSizes.push_back(indexAxis(id).size);
  }
  for (IndexId id : outputIds) {
    outputExprs.push_back(getAffineDimExpr(dimension[id], &context));
    outputSizes.push_back(indexAxis(id).size);
  }
  auto collect = [&](Operands &operands, llvm::SmallVectorImpl<Value> &values,
                     llvm::SmallVectorImpl<AffineMap> &maps) {
    for (auto &[key, number] : operands) {
      values.push_back(key.first);
      maps.push_back(key.second);
    }
  };
  llvm::SmallVector<Value> inValues, epilogueValues, initial, outs;
  llvm::SmallVector<AffineMap> inMaps, epilogueMaps;
  collect(ins, inValues, inMaps);
  collect(epilogueIns, epilogueValues, epilogueMaps);
  llvm::SmallVector<Type> types;
  for (unsigned i = 0; i < numOutputs; ++i)
    outs.push_back(emptyRows(others, outputSizes, scalarType));
  llvm::SmallVector<ReassociationIndices> joined; // both parts in one axis
  for (int64_t d = 0; d < int64_t(stateSizes.size()); ++d)
    joined.push_back({d});
  joined.push_back({int64_t(stateSizes.size()), int64_t(stateSizes.size()) + 1});
  for (unsigned part = 0; part < (isComplex ? 2u : 1u); ++part) {
    Value start = block.initial[part];
    if (start && block.isReal)
      start = tensor::CollapseShapeOp::create(builder, loc, block.whole, joined);
    if (start)
      initial.push_back(start);
    outs.push_back(start ? start : emptyRows(others, stateSizes, scalarType));
  }
  for (Value out : outs)
    types.push_back(out.getType());
  llvm::SmallVector<Attribute> dimNames = {builder.getStringAttr("batch"),
                                           builder.getStringAttr(block.timeAxis.name)};
  for (IndexId id : llvm::concat<const IndexId>(stateIds, copies))
    dimNames.push_back(builder.getStringAttr(indexAxis(id).name));
  DenseI64ArrayAttr matrixDims;
  if (block.dense) {
    dimNames.push_back(builder.getStringAttr(indexAxis(block.target).name + "'"));
    matrixDims = builder.getDenseI64ArrayAttr(
        {int64_t(dimension[block.target]), int64_t(dimension[block.source])});
  }
  auto scan = ssm::ScanOp::create(
      builder, loc, types, inValues, initial, epilogueValues, /*tables=*/ValueRange(), outs,
      builder.getAffineMapArrayAttr(inMaps), builder.getAffineMapArrayAttr(epilogueMaps),
      AffineMap::get(numDims, 0, stateExprs, &context),
      AffineMap::get(numDims, 0, outputExprs, &context), keys, block.backward,
      isComplex, ssm::ScheduleAttr(), builder.getArrayAttr(dimNames),
      matrixDims, block.realSums && isComplex && !erases.empty(),
      /*shortest_conv=*/IntegerAttr(),
      block.period ? builder.getF64FloatAttr(*block.period) : FloatAttr());
  scan->setAttr("state_name", builder.getStringAttr(name));
  noteSequence(scan, block.timeAxis);

  OpBuilder::InsertionGuard guard(builder);
  auto typesOf = [&](llvm::ArrayRef<Value> values) {
    llvm::SmallVector<Type> elements;
    for (Value v : values)
      elements.push_back(cast<RankedTensorType>(v.getType()).getElementType());
    return elements;
  };
  {
    llvm::SmallVector<Type> argTypes = typesOf(inValues);
    Block *body = builder.createBlock(&scan.getCoefficients(), {}, argTypes,
                                      llvm::SmallVector<Location>(argTypes.size(), loc));
    TermEmitter emitter(builder, loc, scalarType);
    emitter.elementOf = [&](const Term &node) -> Value {
      return body->getArgument(ins.find({node.tensor, mapOf(node)})->second);
    };
    auto emitAll = [&](llvm::ArrayRef<TermRef> terms) {
      llvm::SmallVector<Value> values;
      for (const TermRef &term : terms)
        values.push_back(emitter.emit(term, scalarType));
      return values;
    };
    auto decayValues = emitAll(decay), denseValues = emitAll(dense),
         writeValues = emitAll(write),
         readValues = emitAll(reads), eraseValues = emitAll(erases);
    Value resetValue;
    if (reset)
      resetValue = emitter.emit(reset);
    ssm::CoefficientsOp::create(builder, loc, decayValues, writeValues, readValues,
                                eraseValues, resetValue, denseValues);
  }
  {
    llvm::SmallVector<Type> argTypes(numOutputs, scalarType);
    llvm::append_range(argTypes, typesOf(epilogueValues));
    Block *body = builder.createBlock(&scan.getEpilogue(), {}, argTypes,
                                      llvm::SmallVector<Location>(argTypes.size(), loc));
    TermEmitter emitter(builder, loc, scalarType);
    for (unsigned i = 0; i < 2; ++i)
      if (accumulators[i] && i < numOutputs)
        emitter.define(accumulators[i].get(), body->getArgument(i));
    emitter.elementOf = [&](const Term &node) -> Value {
      return body->getArgument(numOutputs +
                               epilogueIns.find({node.tensor, mapOf(node)})->second);
    };
    llvm::SmallVector<Value> yields;
    for (const TermRef &term : stored)
      yields.push_back(emitter.emit(term, scalarType));
    ssm::YieldOp::create(builder, loc, yields);
  }
  builder.setInsertionPointAfter(scan);

  Value last = scan.getResult(numOutputs);
  std::array<Value, 2> lastParts = {last, Value()};
  if (isComplex)
    lastParts[1] = scan.getResult(numOutputs + 1);
  if (block.isReal) {
    llvm::SmallVector<int64_t> shape(cast<RankedTensorType>(last.getType()).getShape());
    shape.back() /= 2;
    shape.push_back(2);
    last = tensor::ExpandShapeOp::create(
        builder, loc, RankedTensorType::get(shape, scalarType), last, joined);
    lastParts = splitComplex(last);
  }

  // The state after the segment, for the next call.
  if (!block.stmt.to.name.empty()) {
    TensorValue &final = scope->values[block.stmt.to.name].tensor;
    final.axes.assign(block.axes.begin(), block.axes.end());
    for (size_t i = 0; i < block.axes.size(); ++i)
      final.dimension.push_back(i);
    final.batched = true;
    final.re = lastParts[0];
    final.im = lastParts[1];
  }
  if (block.slot != ~0u) {
    if (!isComplex) {
      setState(block.slot, last);
    } else {
      StateSlot &slot = states[block.slot];
      Value whole = loop ? slot.inner : slot.value;
      auto type = cast<RankedTensorType>(whole.getType());
      for (unsigned part = 0; part < 2; ++part) {
        llvm::SmallVector<int64_t> sizes(stateSizes);
        sizes.push_back(1);
        llvm::SmallVector<OpFoldResult> offsets(type.getRank(),
                                                builder.getIndexAttr(0)),
            strides(type.getRank(), builder.getIndexAttr(1)),
            extents = mixedSizes(sizes, true);
        offsets.back() = builder.getIndexAttr(part);
        whole = insertSlice(builder, loc, lastParts[part], whole,
                            offsets, extents, strides);
      }
      setState(block.slot, whole);
    }
  }

  // The outcome under its name.
  llvm::SmallVector<AffineExpr> at;
  for (IndexId id : others)
    at.push_back(dim(id));
  at.push_back(dim(block.time));
  for (IndexId id : outputIds)
    at.push_back(dim(id));
  if (block.isReal && !output) {
    resultIds.back() = block.ids.back();
    at.back() = dim(block.ids.back()) * 2;
  }
  auto elementOf = [&](unsigned number) {
    return element(unfoldRows(scan.getResult(number), others), at, true, false, false);
  };
  Number result = ssmc::real(elementOf(0));
  if (block.isReal && !output) {
    at.back() = dim(block.ids.back()) * 2 + 1;
    result.im = elementOf(0);
  }
  if (numOutputs == 2)
    result.im = elementOf(1);
  Entity entity;
  entity.kind = Entity::Tensor;
  entity.tensor = materialize(result, resultIds, resultAxes, false);
  if (!output && block.initial[0]) {
    stateBefore[entity.tensor.re] = block.initial[0];
    if (block.isComplex())
      stateBefore[entity.tensor.im] = block.initial[1];
  }
  entity.range = output ? output->target.name.range : block.stmt.state.name.range;
  scope->values[output ? output->target.name.name : name] = entity;
  return true;
}
