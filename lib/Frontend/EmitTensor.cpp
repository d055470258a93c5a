//===- EmitTensor.cpp - Terms become linalg ops on tensors ----------------===//
//
// A term over index variables becomes one `linalg.generic` whose operands are
// the tensors the term reads. What depends on indices alone is computed in f64
// and rounded once, so that positions are exact at any length.
//
//===----------------------------------------------------------------------===//

#include "Elaborator.h"
#include "TermEmitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/MapVector.h"

using namespace mlir;
using namespace ssmc;

//===----------------------------------------------------------------------===//
// Tensors
//===----------------------------------------------------------------------===//

static bool isCostly(Operator op) {
  switch (op) {
  case Operator::Pow: case Operator::Exp: case Operator::Expm1: case Operator::Log: case Operator::Log1p:
  case Operator::Sin: case Operator::Cos: case Operator::Tanh: case Operator::Erf: case Operator::Sqrt:
  case Operator::Rsqrt: case Operator::Div: case Operator::Mod:
    return true;
  default:
    return false;
  }
}

/// Gives a term a tensor of its own over the variables it depends on.
TermRef Elaborator::materializeTerm(const TermRef &term) {
  SmallVector<IndexId> variables;
  for (unsigned id : term->indices.set_bits())
    variables.push_back(id);
  // The sequence comes first in every tensor.
  llvm::sort(variables, [&](IndexId a, IndexId b) {
    bool first = indexAxis(a).sequence, second = indexAxis(b).sequence;
    return first != second ? first : a < b;
  });
  SmallVector<Value> values;
  emitGeneric(term, variables, {}, Operator::Add, values);
  bool batched = cast<RankedTensorType>(values[0].getType()).getRank() !=
                 int64_t(variables.size());
  SmallVector<AffineExpr> at;
  for (IndexId id : variables)
    at.push_back(dim(id));
  return element(values[0], at, batched, false, term->boolean);
}

/// Elements at positions that contain the prepared length are no operands of an
/// op with affine maps: they are looked up.
TermRef Elaborator::gatherUnmapped(const TermRef &term) {
  bool any = false;
  walk(term, [&](const TermRef &node) {
    for (AffineExpr at : node->at)
      any |= at.isFunctionOfSymbol(0);
  });
  if (!any)
    return term;
  bool changed = false;
  SmallVector<TermRef> operands;
  for (const TermRef &operand : term->operands) {
    operands.push_back(gatherUnmapped(operand));
    changed |= operands.back() != operand;
  }
  if (term->kind == Term::Element && llvm::any_of(term->at, [](AffineExpr at) {
        return at.isFunctionOfSymbol(0);
      })) {
    for (AffineExpr at : term->at)
      operands.push_back(indexTerm(at));
    return gather(term->tensor, operands, term->batched, term->integer);
  }
  if (!changed)
    return term;
  auto copy = std::make_shared<Term>(*term);
  copy->operands = operands;
  return copy;
}

/// Replaces the largest subterms of indices alone that are costly (or all that
/// are not numbers, with `always`) by tensors computed once over their own axes.
TermRef Elaborator::hoistFixed(const TermRef &term, bool always) {
  if (term->kind == Term::Constant)
    return term;
  if (term->fixed) {
    bool costly = always;
    walk(term, [&](const TermRef &node) {
      costly |= node->kind == Term::Operation && isCostly(node->op);
    });
    return costly ? materializeTerm(term) : term;
  }
  if (term->operands.empty())
    return term;
  if (always && term->kind == Term::Gather)
    return materializeTerm(term);
  SmallVector<TermRef> operands;
  bool changed = false;
  for (const TermRef &operand : term->operands) {
    operands.push_back(hoistFixed(operand, always));
    changed |= operands.back() != operand;
  }
  if (!changed)
    return term;
  auto copy = std::make_shared<Term>(*term);
  copy->operands = operands;
  copy->exact = term->exact && llvm::all_of(operands, [](const TermRef &t) {
                  return t->exact;
                });
  return copy;
}

/// Emits one generic op that computes `results` over `parallel` (and sums or
/// takes the maximum over `reduced`).
Value Elaborator::emitGeneric(ArrayRef<TermRef> terms,
                              ArrayRef<IndexId> parallel,
                              ArrayRef<IndexId> reduced, Operator combine,
                              SmallVectorImpl<Value> &values, bool forceBatch) {
  SmallVector<TermRef> results;
  for (const TermRef &term : terms) {
    // A term that is fixed as a whole is computed right here.
    bool whole = term->fixed && reduced.empty();
    results.push_back(gatherUnmapped(whole ? term : hoistFixed(term, false)));
  }
  // What has lags is a kernel, and a kernel knows the length it is prepared for.
  bool isKernel = inKernel;
  for (IndexId id : llvm::concat<const IndexId>(parallel, reduced))
    isKernel |= isRunTimeExtent(indexAxis(id).size) && !indexAxis(id).sequence;
  bool batched = forceBatch;
  llvm::MapVector<std::pair<Value, AffineMap>, unsigned> operands;
  SmallVector<const Term *> leaves;
  for (const TermRef &term : results)
    walk(term, [&](const TermRef &node) {
      batched |= (node->kind == Term::Element || node->kind == Term::Gather) &&
                 node->batched;
    });

  // Loop dimensions: the batch, the parallel variables, the reduced ones.
  unsigned numDims = batched + parallel.size() + reduced.size();
  llvm::DenseMap<IndexId, AffineExpr> loopDim;
  SmallVector<int64_t> sizes;
  unsigned next = batched;
  for (IndexId id : llvm::concat<const IndexId>(parallel, reduced)) {
    loopDim[id] = getAffineDimExpr(next++, &context);
    sizes.push_back(indexAxis(id).size);
  }
  auto remap = [&](AffineExpr expr) {
    return expr.replace([&]() {
      llvm::DenseMap<AffineExpr, AffineExpr> map;
      expr.walk([&](AffineExpr e) {
        if (auto d = dyn_cast<AffineDimExpr>(e))
          map[e] = loopDim.lookup(d.getPosition());
      });
      return map;
    }());
  };
  auto mapOf = [&](const Term &node) {
    SmallVector<AffineExpr> exprs;
    if (node.batched)
      exprs.push_back(getAffineDimExpr(0, &context));
    for (AffineExpr expr : node.at)
      exprs.push_back(remap(expr));
    return AffineMap::get(numDims, 0, exprs, &context);
  };
  for (const TermRef &term : results)
    walk(term, [&](const TermRef &node) {
      if (node->kind == Term::Element)
        operands.insert({{node->tensor, mapOf(*node)}, unsigned(operands.size())});
    });

  // Every reduced dimension must appear alone in some operand.
  llvm::SmallBitVector covered(numDims);
  SmallVector<Value> inputs;
  SmallVector<AffineMap> maps;
  for (auto &[key, number] : operands) {
    auto [input, map] = readPart(key.first, key.second, batched, sizes);
    inputs.push_back(input);
    maps.push_back(map);
    for (AffineExpr expr : map.getResults())
      if (auto d = dyn_cast<AffineDimExpr>(expr))
        covered.set(d.getPosition());
  }
  unsigned realInputs = inputs.size();
  for (auto [i, id] : llvm::enumerate(reduced)) {
    unsigned d = batched + parallel.size() + i;
    if (covered[d])
      continue;
    inputs.push_back(emptyTensor(indexAxis(id).size, false, scalarType));
    maps.push_back(AffineMap::get(numDims, 0, getAffineDimExpr(d, &context)));
  }

  SmallVector<int64_t> outSizes(sizes.begin(), sizes.begin() + parallel.size());
  SmallVector<AffineExpr> outExprs;
  for (unsigned d = 0; d < batched + parallel.size(); ++d)
    outExprs.push_back(getAffineDimExpr(d, &context));
  AffineMap outMap = AffineMap::get(numDims, 0, outExprs, &context);
  SmallVector<Value> inits;
  SmallVector<Type> types;
  for (const TermRef &term : results) {
    Type type = term->boolean ? Type(builder.getI1Type()) : scalarType;
    Value init = emptyTensor(outSizes, batched, type);
    if (!reduced.empty()) {
      double start = combine == Operator::Max ? -INFINITY
                     : combine == Operator::Min ? INFINITY
                     : combine == Operator::Mul ? 1 : 0;
      Value value = arith::ConstantOp::create(builder, loc,
                                              FloatAttr::get(type, start));
      init = linalg::FillOp::create(builder, loc, value, init).getResult(0);
    }
    inits.push_back(init);
    types.push_back(init.getType());
    maps.push_back(outMap);
  }
  SmallVector<utils::IteratorType> iterators(batched + parallel.size(),
                                             utils::IteratorType::parallel);
  iterators.append(reduced.size(), utils::IteratorType::reduction);

  auto generic = linalg::GenericOp::create(
      builder, loc, types, inputs, inits, maps, iterators,
      [&](OpBuilder &b, Location l, ValueRange args) {
        TermEmitter emitter(b, l, scalarType);
        emitter.elementOf = [&](const Term &node) -> Value {
          return args[operands.find({node.tensor, mapOf(node)})->second];
        };
        emitter.indexOf = [&](IndexId id) -> Value {
          auto d = cast<AffineDimExpr>(loopDim.lookup(id));
          Value index = linalg::IndexOp::create(b, l, d.getPosition());
          if (indexAxis(id).sequence)
            index = arith::AddIOp::create(b, l, index, position);
          return index;
        };
        emitter.batchIndex = [&]() -> Value {
          return linalg::IndexOp::create(b, l, 0);
        };
        emitter.length = [&](unsigned sequence) -> Value {
          if (!isKernel)
            return sizeOfLength(sequence);
          exactLength = true;
          return prepared;
        };
        emitter.preparedLength = [&]() { return prepared; };
        SmallVector<Value> yields;
        for (auto [i, term] : llvm::enumerate(results)) {
          Value value = emitter.emit(term, scalarType);
          if (!reduced.empty()) {
            Value acc = args[inputs.size() + i];
            switch (combine) {
            case Operator::Max:
              value = arith::MaximumFOp::create(b, l, acc, value);
              break;
            case Operator::Min:
              value = arith::MinimumFOp::create(b, l, acc, value);
              break;
            case Operator::Mul:
              value = arith::MulFOp::create(b, l, acc, value);
              break;
            default:
              value = arith::AddFOp::create(b, l, acc, value);
            }
          }
          yields.push_back(value);
        }
        linalg::YieldOp::create(b, l, yields);
      });
  (void)realInputs;
  values.append(generic.result_begin(), generic.result_end());
  return values.front();
}

/// If the term only renames or splits a tensor's axes, the tensor itself or a
/// view of it; else null.
Value Elaborator::view(Value tensor, const TermRef &term,
                       ArrayRef<IndexId> variables) {
  if (term->kind != Term::Element || term->integer)
    return {};
  auto type = cast<RankedTensorType>(tensor.getType());
  if (type.getElementType() != scalarType && !term->boolean)
    return {};
  SmallVector<ReassociationIndices> groups;
  SmallVector<int64_t> shape;
  unsigned offset = term->batched;
  if (term->batched) {
    groups.push_back({0});
    shape.push_back(ShapedType::kDynamic);
  }
  size_t next = 0;
  bool splits = false;
  for (auto [i, expr] : llvm::enumerate(term->at)) {
    // expr must be ((v0 * s1 + v1) * s2 + v2 ...) of the next variables.
    AffineExpr built;
    ReassociationIndices group;
    int64_t covered = 1, extent = type.getDimSize(i + offset);
    bool dynamic = ShapedType::isDynamic(extent);
    while (next < variables.size()) {
      Axis &axis = indexAxis(variables[next]);
      AffineExpr d = dim(variables[next]);
      if (isRunTimeExtent(axis.size)) {
        if (!dynamic || built)
          return {};
        built = d;
      } else {
        built = built ? built * axis.size + d : d;
        covered *= axis.size;
      }
      group.push_back(shape.size());
      shape.push_back(isRunTimeExtent(axis.size) ? ShapedType::kDynamic
                                                 : axis.size);
      ++next;
      if (dynamic || covered >= extent)
        break;
    }
    if (!built || built != expr || (!dynamic && covered != extent))
      return {};
    splits |= group.size() > 1;
    groups.push_back(group);
  }
  if (next != variables.size())
    return {};
  if (!splits)
    return tensor;
  return tensor::ExpandShapeOp::create(
      builder, loc, RankedTensorType::get(shape, type.getElementType()), tensor,
      groups);
}

/// A value of indices alone stays a term where it is short: each use copies it, so one
/// that is made of several uses of the one before would grow without end.
static bool isShort(const Number &number) {
  constexpr size_t maxNodes = 200;
  size_t nodes = 0;
  for (const TermRef &term : {number.re, number.im})
    if (term)
      walk(term, [&](const TermRef &) { ++nodes; });
  return nodes <= maxNodes;
}

TensorValue Elaborator::materialize(const Number &number,
                                    ArrayRef<IndexId> variables,
                                    ArrayRef<Axis> axes, bool force) {
  TensorValue result;
  result.axes.assign(axes.begin(), axes.end());
  result.boolean = number.re->boolean;
  result.integer = number.re->integer && number.re->kind == Term::Element;
  bool symbolic = number.re->fixed && (!number.im || number.im->fixed);
  // Nothing over two tokens is stored.
  const Axis *second = llvm::find_if(axes, [](const Axis &axis) { return axis.second; });
  if (second != axes.end() && force)
    diagnostics.error(second->range, "a value over '" + second->name +
                                         "' is not stored; it can be summed over '" +
                                         second->name + "', not passed on");
  if ((symbolic && !force && isShort(number)) || second != axes.end()) {
    result.inlined = number;
    result.variables.assign(variables.begin(), variables.end());
    result.dimension.assign(axes.size(), -1);
    return result;
  }

  // Axes the value does not depend on are left out; those of a merged group stay
  // together.
  llvm::SmallBitVector used = number.re->indices;
  if (number.im) {
    used.resize(std::max(used.size(), number.im->indices.size()));
    used |= number.im->indices;
  }
  auto isUsed = [&](IndexId id) { return force || (id < used.size() && used[id]); };
  SmallVector<IndexId> kept;
  SmallVector<int64_t> merged; // sizes after merging
  SmallVector<ReassociationIndices> groups;
  unsigned variable = 0;
  bool anyMerged = false;
  for (const Axis &axis : axes) {
    unsigned count = std::max<size_t>(axis.members.size(), 1);
    bool present = false;
    for (unsigned i = 0; i < count; ++i)
      present |= isUsed(variables[variable + i]);
    result.dimension.push_back(present ? int(merged.size()) : -1);
    if (present) {
      ReassociationIndices group;
      for (unsigned i = 0; i < count; ++i) {
        group.push_back(kept.size());
        kept.push_back(variables[variable + i]);
      }
      groups.push_back(group);
      merged.push_back(axis.size);
      anyMerged |= count > 1;
    }
    variable += count;
  }

  SmallVector<Value> values;
  SmallVector<TermRef> terms = {number.re};
  if (number.im)
    terms.push_back(number.im);
  if (!force) {
    bool views = true;
    for (const TermRef &term : terms) {
      values.push_back(term->kind == Term::Element
                           ? (result.integer ? Value()
                                             : view(term->tensor, term, kept))
                           : Value());
      views &= bool(values.back());
    }
    if (views && terms.size() == 2)
      views = terms[0]->batched == terms[1]->batched;
    if (!views) {
      values.clear();
    } else if (!anyMerged) {
      result.re = values[0];
      result.im = terms.size() > 1 ? values[1] : Value();
      result.batched = terms[0]->batched;
      return result;
    }
  }
  if (values.empty()) {
    bool needsBatch = false;
    if (force)
      for (IndexId id : kept)
        needsBatch |= indexAxis(id).sequence;
    emitGeneric(terms, kept, {}, Operator::Add, values, needsBatch);
    result.integer = false;
  }
  auto type = cast<RankedTensorType>(values[0].getType());
  result.batched = type.getRank() != int64_t(kept.size());
  if (anyMerged) {
    SmallVector<ReassociationIndices> reassociation;
    unsigned shiftBy = result.batched;
    if (result.batched)
      reassociation.push_back({0});
    for (ReassociationIndices &group : groups) {
      for (int64_t &i : group)
        i += shiftBy;
      reassociation.push_back(group);
    }
    for (Value &value : values)
      value = tensor::CollapseShapeOp::create(builder, loc, value, reassociation);
  }
  result.re = values[0];
  if (number.im)
    result.im = values[1];
  return result;
}
