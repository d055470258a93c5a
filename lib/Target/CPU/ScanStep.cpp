//===- ScanStep.cpp - The arithmetic of one step of a recurrence ----------===//

#include "ScanLowering.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::cpu;

/// Copies handled by straight code; more of them are a loop.
static constexpr int64_t unrolledCopies = 4;

template <typename Op>
static Value createContracted(OpBuilder &builder, Location loc, Value a,
                              Value b) {
  Value result = Op::create(builder, loc, a, b);
  allowContraction(result.getDefiningOp());
  return result;
}

Value ScanLowering::multiplyReal(Value a, Value b) {
  return createContracted<arith::MulFOp>(builder, loc, a, b);
}

Value ScanLowering::addReal(Value a, Value b) {
  return createContracted<arith::AddFOp>(builder, loc, a, b);
}

Value ScanLowering::subtractReal(Value a, Value b) {
  return createContracted<arith::SubFOp>(builder, loc, a, b);
}

ScanLowering::Number ScanLowering::multiply(const Number &a, const Number &b) {
  if (parts == 1)
    return {multiplyReal(a[0], b[0])};
  return {subtractReal(multiplyReal(a[0], b[0]), multiplyReal(a[1], b[1])),
          addReal(multiplyReal(a[0], b[1]), multiplyReal(a[1], b[0]))};
}

ScanLowering::Number ScanLowering::add(const Number &a, const Number &b) {
  Number sum;
  for (auto [x, y] : llvm::zip(a, b))
    sum.push_back(addReal(x, y));
  return sum;
}

/// a * b + c, arranged so that every product can be fused with a sum.
ScanLowering::Number ScanLowering::multiplyAdd(const Number &a, const Number &b,
                                               const Number &c) {
  if (parts == 1)
    return {addReal(multiplyReal(a[0], b[0]), c[0])};
  Value real = addReal(multiplyReal(a[0], b[0]), c[0]);
  Value imaginary = addReal(multiplyReal(a[0], b[1]), c[1]);
  return {subtractReal(real, multiplyReal(a[1], b[1])),
          addReal(imaginary, multiplyReal(a[1], b[0]))};
}

ScanLowering::Number ScanLowering::zeroState(RegionEmitter &emitter) {
  Type type = emitter.getLanesType(element);
  Value zero =
      arith::ConstantOp::create(builder, loc, builder.getZeroAttr(type));
  return Number(parts, zero);
}

SmallVector<Value> ScanLowering::getStatePlace(const Offsets &offsets) {
  Value key = addIndex(builder, loc, keyBase, index(offsets[*innerKey]));
  return {getVector(tile, offsets), outerKey, key, index(0)};
}

ScanLowering::Number ScanLowering::loadState(const Offsets &offsets) {
  Number state;
  SmallVector<Value> place = getStatePlace(offsets);
  for (Value scratch : stateScratch)
    state.push_back(loadScratch(scratch, place));
  return state;
}

void ScanLowering::storeState(const Number &state, const Offsets &offsets) {
  SmallVector<Value> place = getStatePlace(offsets);
  for (auto [part, scratch] : llvm::zip(state, stateScratch))
    storeScratch(part, scratch, place);
}

ScanLowering::Number ScanLowering::getRole(RegionEmitter &emitter,
                                           OperandRange role, unsigned first,
                                           const Offsets &offsets) {
  Number number;
  for (unsigned part = 0; part < parts; ++part)
    number.push_back(emitter.splat(
        convert(emitter.get(role[first + part], offsets), element)));
  return number;
}

ScanLowering::Number ScanLowering::applyReset(RegionEmitter &emitter,
                                              Number state,
                                              const Offsets &offsets) {
  Value reset = roles.getReset();
  if (!reset)
    return state;
  Value condition = emitter.get(reset, offsets);
  Number zero = zeroState(emitter);
  for (auto [part, none] : llvm::zip(state, zero))
    part = arith::SelectOp::create(builder, loc, condition, none, part);
  return state;
}

void ScanLowering::addErased(RegionEmitter &emitter, ArrayRef<Number> states,
                             ArrayRef<Offsets> points,
                             SmallVectorImpl<Number> &sums) {
  // The step cannot go on before the sums are there: several short chains, which
  // what has been summed so far joins last.
  unsigned numChains = states.size() >= 8 ? 4 : 1;
  for (auto [pair, sum] : llvm::enumerate(sums)) {
    SmallVector<std::optional<Number>> chains(numChains);
    if (numChains == 1)
      chains[0] = sum;
    for (unsigned k = 0; k < states.size(); ++k) {
      Number left =
          getRole(emitter, roles.getErase(), 2 * parts * pair, points[k]);
      std::optional<Number> &chain = chains[k % numChains];
      chain = chain ? multiplyAdd(left, states[k], *chain)
                    : multiply(left, states[k]);
    }
    if (numChains == 1)
      sum = *chains[0];
    else
      sum = add(sum, add(add(*chains[0], *chains[1]),
                         add(*chains[2], *chains[3])));
    if (op.getRealSums())
      sum[1] = zeroState(emitter)[1];
  }
}

ScanLowering::Number ScanLowering::getNext(RegionEmitter &emitter,
                                           const Number &state,
                                           ArrayRef<Number> erased,
                                           const Offsets &offsets) {
  std::optional<Number> added;
  if (!roles.getWrite().empty())
    added = getRole(emitter, roles.getWrite(), 0, offsets);
  for (auto [pair, sum] : llvm::enumerate(erased)) {
    Number right =
        getRole(emitter, roles.getErase(), 2 * parts * pair + parts, offsets);
    added = added ? multiplyAdd(right, sum, *added) : multiply(right, sum);
  }
  if (roles.getDecay().empty()) {
    Number next = added ? add(state, *added) : state;
    next[0] = op.createRemainder(builder, loc, next[0]);
    return next;
  }
  Number decay = getRole(emitter, roles.getDecay(), 0, offsets);
  return added ? multiplyAdd(decay, state, *added) : multiply(decay, state);
}

ScanLowering::Number ScanLowering::getRead(RegionEmitter &emitter,
                                           ArrayRef<Number> states,
                                           ArrayRef<Offsets> points,
                                           std::optional<Number> start) {
  // Two sums, for half the latency, unless they are short.
  unsigned numSums = states.size() > 2 ? 2 : 1;
  std::optional<Number> sums[2] = {std::move(start), std::nullopt};
  // A step that erases has its blocks of keys one after the other: what they
  // have read so far joins last.
  std::optional<Number> before;
  if (erases() && numSums == 2)
    std::swap(before, sums[0]);
  for (unsigned k = 0; k < states.size(); ++k) {
    Number read = getRole(emitter, roles.getRead(), 0, points[k]);
    std::optional<Number> &sum = sums[k % numSums];
    sum = sum ? multiplyAdd(read, states[k], *sum) : multiply(read, states[k]);
  }
  Number sum = sums[1] ? add(*sums[0], *sums[1]) : *sums[0];
  return before ? add(*before, sum) : sum;
}

void ScanLowering::forCopies(
    ArrayRef<RegionEmitter *> emitters,
    llvm::function_ref<void(ArrayRef<RegionEmitter *>)> body) {
  SmallVector<Value> copyExtents;
  for (unsigned dim : copyDims)
    copyExtents.push_back(index(op.getDimSize(dim)));
  auto emitCopy = [&](Value number) {
    copy = number;
    SmallVector<Value> digits = delinearize(builder, loc, number, copyExtents);
    std::vector<RegionEmitter> copied;
    for (RegionEmitter *emitter : emitters)
      copied.push_back(*emitter);
    SmallVector<RegionEmitter *> inner;
    for (RegionEmitter &emitter : copied) {
      for (auto [dim, digit] : llvm::zip(copyDims, digits))
        emitter.bindDim(dim, digit);
      inner.push_back(&emitter);
    }
    body(inner);
  };
  if (copyDims.empty()) {
    copy = index(0);
    return body(emitters);
  }
  if (copies > unrolledCopies)
    return emitFor(builder, loc, index(0), index(copies), 1, emitCopy);
  for (int64_t c = 0; c < copies; ++c)
    emitCopy(index(c));
}

void ScanLowering::storeOutputs(RegionEmitter &epilogue, const Number &read,
                                const Offsets &offsets) {
  bindOutputs(epilogue, read);
  SmallVector<Value> values;
  for (Value yielded : op.getEpilogueYield().getValues())
    values.push_back(epilogue.getVector(yielded, offsets));
  for (auto [output, value] : llvm::zip(outputs, values))
    epilogue.store(output, value, offsets, streaming);
}

/// The epilogue sees a read as its first arguments.
void ScanLowering::bindOutputs(RegionEmitter &epilogue, const Number &read) {
  llvm::SmallBitVector dims(numDims);
  dims.set(1);
  if (lane)
    dims.set(*lane);
  for (unsigned i = 0; i < outputs.size(); ++i) {
    Value value;
    if (!read.empty())
      value = convert(read[i], epilogueBody.getArgument(i).getType());
    epilogue.bindSource(
        epilogueBody.getArgument(i), [value](const Offsets &) { return value; },
        dims,
        /*varies=*/true);
  }
}

void ScanLowering::emitReads(RegionEmitter &emitter, RegionEmitter &epilogue,
                             ArrayRef<Number> states, ArrayRef<Offsets> points,
                             bool partial) {
  if (!reads()) {
    for (auto [state, point] : llvm::zip(states, points))
      storeOutputs(epilogue, state, point);
    return;
  }
  forCopies({&emitter, &epilogue}, [&](ArrayRef<RegionEmitter *> emitters) {
    if (!hasKeys())
      return storeOutputs(*emitters[1],
                          getRead(*emitters[0], states, points, std::nullopt),
                          points[0]);
    // The points of each vector of lanes in turn.
    for (unsigned first = 0; first < points.size();) {
      unsigned last = first;
      while (last < points.size() &&
             (!lane || points[last][*lane] == points[first][*lane]))
        ++last;
      SmallVector<Value> at{step, copy, getVector(vectorOfGroup, points[first]),
                            index(0)};
      std::optional<Number> start;
      if (partial) {
        start = zeroState(*emitters[0]);
        for (auto [part, scratch] : llvm::enumerate(readScratch))
          (*start)[part] = loadScratch(scratch, at);
      }
      Number read = getRead(*emitters[0], states.slice(first, last - first),
                            points.slice(first, last - first), start);
      for (auto [part, scratch] : llvm::enumerate(readScratch))
        storeScratch(read[part], scratch, at);
      first = last;
    }
  });
}
