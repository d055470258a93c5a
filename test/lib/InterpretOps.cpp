//===- InterpretOps.cpp - What the ops of `ssm` mean, in doubles ----------===//

#include "InterpreterImpl.h"

#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include <cmath>
#include <complex>

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc::test;

void Interpreter::runScan(ScanOp op) {
  unsigned numDims = op.getNumDims(), parts = op.getNumStates();
  Point extents(numDims, 0), point(numDims, 0);
  for (auto [i, operand] : llvm::enumerate(op.getIns()))
    noteExtents(extents, op.getInsMap(i), array(operand));
  for (Value output : op.getOutputInits())
    noteExtents(extents, op.getOutputMap(), array(output));
  for (Value state : op.getFinalStates())
    noteExtents(extents, op.getStateMap(), array(state));

  // The state works in arrays of its own: finals may share memory with inputs.
  SmallVector<Array> state;
  for (unsigned part = 0; part < parts; ++part) {
    Array start = array(op.getFinalStates()[part]);
    if (op.getInitial().empty())
      std::fill(start.data.begin(), start.data.end(), 0);
    else
      start.data = array(op.getInitial()[part]).data;
    state.push_back(start);
  }
  using Complex = std::complex<double>;
  auto readState = [&] {
    Point indices(op.getStateMap().compose(point));
    return Complex(state[0].at(indices),
                   parts == 2 ? state[1].at(indices) : 0.0);
  };
  auto writeState = [&](Complex value) {
    Point indices(op.getStateMap().compose(point));
    state[0].at(indices) = value.real();
    if (parts == 2)
      state[1].at(indices) = value.imag();
  };
  CoefficientsOp roles = op.getCoefficientsOp();
  Values values;
  auto evaluateCoefficients = [&] {
    values.clear();
    for (auto [i, operand] : llvm::enumerate(op.getIns()))
      values[op.getCoefficients().front().getArgument(i)] =
          at(operand, op.getInsMap(i), point);
    evaluate(op.getCoefficients().front(), point, values);
  };
  auto role = [&](OperandRange range, unsigned first) {
    return Complex(values.lookup(range[first]),
                   parts == 2 ? values.lookup(range[first + 1]) : 0.0);
  };
  SmallVector<unsigned> stateDims = op.getStateDims(), keys = op.getKeyDims();
  SmallVector<unsigned> freeDims, outputDims;
  for (unsigned dim : stateDims)
    if (!llvm::is_contained(keys, dim))
      freeDims.push_back(dim);
  for (AffineExpr expr : op.getOutputMap().getResults().drop_front(2))
    outputDims.push_back(cast<AffineDimExpr>(expr).getPosition());
  unsigned pairs = roles.getErase().size() / (2 * parts);

  forEach({0}, extents, point, [&] {
    for (int64_t step = 0; step < extents[1]; ++step) {
      point[1] = op.getReverse() ? extents[1] - 1 - step : step;
      forEach(freeDims, extents, point, [&] {
        std::vector<Complex> sums(pairs);
        forEach(keys, extents, point, [&] {
          evaluateCoefficients();
          if (roles.getReset() && values.lookup(roles.getReset()))
            writeState(0);
          for (unsigned pair = 0; pair < pairs; ++pair)
            sums[pair] +=
                role(roles.getErase(), 2 * parts * pair) * readState();
        });
        if (op.getRealSums())
          for (Complex &sum : sums)
            sum = sum.real();
        forEach(keys, extents, point, [&] {
          evaluateCoefficients();
          Complex next = readState();
          if (!roles.getDecay().empty())
            next *= role(roles.getDecay(), 0);
          for (unsigned pair = 0; pair < pairs; ++pair)
            next +=
                role(roles.getErase(), 2 * parts * pair + parts) * sums[pair];
          if (!roles.getWrite().empty())
            next += role(roles.getWrite(), 0);
          if (op.getPeriod()) {
            double period = op.getPeriod()->convertToDouble();
            next -= period * std::floor(next.real() / period);
          }
          writeState(next);
        });
      });
      forEach(outputDims, extents, point, [&] {
        Complex sum = 0;
        if (roles.getRead().empty()) {
          sum = readState();
        } else {
          forEach(keys, extents, point, [&] {
            evaluateCoefficients();
            sum += role(roles.getRead(), 0) * readState();
          });
        }
        Values after;
        Block &body = op.getEpilogue().front();
        after[body.getArgument(0)] = sum.real();
        if (op.getNumOutputs() == 2)
          after[body.getArgument(1)] = sum.imag();
        for (auto [i, operand] : llvm::enumerate(op.getEpilogueIns()))
          after[body.getArgument(op.getNumOutputs() + i)] =
              at(operand, op.getEpilogueMap(i), point);
        evaluate(body, point, after);
        for (auto [output, yielded] :
             llvm::zip(op.getOutputInits(), op.getEpilogueYield().getValues()))
          at(output, op.getOutputMap(), point) = after.lookup(yielded);
      });
    }
    point[1] = 0;
  });
  for (unsigned part = 0; part < parts; ++part)
    array(op.getFinalStates()[part]).data = state[part].data;
}

void Interpreter::runConv(ConvOp op) {
  unsigned numDims = op.getNumDims(), lag = numDims - 1;
  auto numberOf = [](Value value) {
    return *getConstantIntValue(OpFoldResult(value));
  };
  int64_t lags = op.hasDynamicLags()
                     ? array(op.getKernel()).shape[*op.getLagAxis()]
                     : static_cast<int64_t>(op.getLags());
  int64_t first = op.getFirst() ? numberOf(op.getFirst())
                                : static_cast<int64_t>(op.getStaticFirst());
  Point extents(numDims, 0), point(numDims, 0);
  noteExtents(extents, op.getInputMap(), array(op.getInput()));
  noteExtents(extents, op.getOutputMap(), array(op.getOutput()));
  noteExtents(extents, op.getKernelMap(), array(op.getKernel()));
  extents[lag] = lags;
  Array input = array(op.getInput());
  Array history;
  if (op.getHistory())
    history = array(op.getHistory());
  auto isCut = [&](int64_t batch, int64_t from, int64_t to) {
    for (int64_t t = std::max<int64_t>(from, 0); op.getCut() && t <= to; ++t)
      if (array(op.getCut()).at({batch, t}))
        return true;
    return false;
  };
  int64_t tokens = input.shape[1];
  int64_t numKept = op.getFinalHistory() ? array(op.getFinalHistory()).shape[1]
                    : op.getHistory()    ? history.shape[1]
                                         : 0;
  int64_t position = op.getPosition() ? numberOf(op.getPosition()) : 0;
  // Index -1 is the last token of the history.
  auto read = [&](Point indices) {
    if (indices[1] >= tokens)
      return 0.0;
    if (indices[1] >= 0)
      return input.at(indices);
    if (!op.getHistory() || indices[1] < -numKept)
      return 0.0;
    if (op.getPosition()) {
      if (indices[1] < -position)
        return 0.0;
      indices[1] = (position + indices[1]) % numKept;
    } else {
      indices[1] += numKept;
    }
    return history.at(indices);
  };
  SmallVector<unsigned> outputDims;
  for (AffineExpr expr : op.getOutputMap().getResults())
    outputDims.push_back(cast<AffineDimExpr>(expr).getPosition());
  SmallVector<unsigned> sums;
  for (unsigned dim = 2; dim < numDims; ++dim)
    if (!llvm::is_contained(outputDims, dim))
      sums.push_back(dim);
  forEach(outputDims, extents, point, [&] {
    double sum = 0;
    forEach(sums, extents, point, [&] {
      Point indices(op.getInputMap().compose(point));
      int64_t j = first + point[lag];
      if (isCut(indices[0], std::min(indices[1] - j, indices[1]) + 1,
                std::min(std::max(indices[1] - j, indices[1]), tokens - 1)))
        return;
      indices[1] -= j;
      sum += at(op.getKernel(), op.getKernelMap(), point) * read(indices);
    });
    Values values;
    Block &body = op.getEpilogue().front();
    values[body.getArgument(0)] = sum;
    for (auto [i, operand] : llvm::enumerate(op.getEpilogueIns()))
      values[body.getArgument(1 + i)] =
          at(operand, op.getEpilogueMap(i), point);
    evaluate(body, point, values);
    at(op.getOutput(), op.getOutputMap(), point) =
        values.lookup(op.getEpilogueYield().getValues()[0]);
  });
  if (!op.getFinalHistory())
    return;
  Array &last = array(op.getFinalHistory());
  Point shape(last.shape), index(last.shape.size(), 0);
  SmallVector<unsigned> axes =
      llvm::to_vector(llvm::seq<unsigned>(0, shape.size()));
  forEach(axes, shape, index, [&] {
    Point source = index;
    source[1] = tokens - numKept + index[1];
    if (op.getPosition())
      source[1] = tokens - 1 -
                  (position + tokens - 1 - index[1] + numKept) % numKept;
    if (op.getPosition() && source[1] < -position)
      return; // a place of no token yet
    bool cut = isCut(index[0], source[1] + 1, tokens - 1);
    last.at(index) = cut ? 0 : read(source);
  });
}

void Interpreter::runShift(ShiftOp op) {
  int64_t distance = op.getDistance();
  Array input = array(op.getInput());
  Array history;
  if (op.getHistory())
    history = array(op.getHistory());
  int64_t tokens = input.shape[1];
  auto isCut = [&](int64_t batch, int64_t from, int64_t to) {
    for (int64_t t = std::max<int64_t>(from, 0); op.getCut() && t <= to; ++t)
      if (array(op.getCut()).at({batch, t}))
        return true;
    return false;
  };
  auto read = [&](Point indices) {
    if (indices[1] >= tokens)
      return 0.0;
    if (indices[1] >= 0)
      return input.at(indices);
    indices[1] += distance;
    return op.getHistory() ? history.at(indices) : 0.0;
  };
  auto forAll = [&](Array &target, const std::function<double(Point)> &value) {
    Point shape(target.shape), index(shape.size(), 0);
    SmallVector<unsigned> axes =
        llvm::to_vector(llvm::seq<unsigned>(0, shape.size()));
    forEach(axes, shape, index, [&] { target.at(index) = value(index); });
  };
  forAll(array(op.getOuts()[0]), [&](Point index) {
    if (isCut(index[0], index[1] - distance + 1, index[1]))
      return 0.0;
    index[1] -= distance;
    return read(index);
  });
  if (op.getOuts().size() == 1)
    return;
  forAll(array(op.getOuts()[1]), [&](Point index) {
    index[1] += tokens - distance;
    bool cut = isCut(index[0], index[1] + 1, tokens - 1);
    return cut ? 0.0 : read(index);
  });
}

void Interpreter::runNorm(NormOp op) {
  Array input = array(op.getInput());
  int64_t rank = input.shape.size(), size = input.shape.back();
  int64_t groups = op.getGroups(), length = size / groups;
  Point extents(input.shape), point(rank, 0);
  SmallVector<unsigned> rows =
      llvm::to_vector(llvm::seq<unsigned>(0, rank - 1));
  double eps = op.getEps().convertToDouble();
  forEach(rows, extents, point, [&] {
    for (int64_t group = 0; group < groups; ++group) {
      double sum = 0, squares = 0;
      auto x = [&](int64_t i) {
        point[rank - 1] = group * length + i;
        return input.at(point);
      };
      for (int64_t i = 0; i < length; ++i)
        sum += x(i);
      double mean = op.getKind() == NormKind::layer ? sum / length : 0;
      for (int64_t i = 0; i < length; ++i)
        squares += (x(i) - mean) * (x(i) - mean);
      double scale =
          1 / std::sqrt(squares / (op.getKind() == NormKind::l2 ? 1 : length) +
                        eps);
      for (int64_t i = 0; i < length; ++i) {
        Values values;
        Block &body = op.getEpilogue().front();
        values[body.getArgument(0)] = (x(i) - mean) * scale;
        for (auto [n, operand] : llvm::enumerate(op.getEpilogueIns()))
          values[body.getArgument(1 + n)] =
              at(operand, op.getEpilogueMap(n), point);
        evaluate(body, point, values);
        array(op.getOutput()).at(point) =
            values.lookup(op.getEpilogueYield().getValues()[0]);
      }
      point[rank - 1] = 0;
    }
  });
}

void Interpreter::runAttend(AttendOp op) {
  unsigned numDims = op.getNumDims(), numPairs = op.getNumPairs();
  int64_t position = *getConstantIntValue(OpFoldResult(op.getPosition()));
  Point extents(numDims, 0), point(numDims, 0);
  for (unsigned i = 0; i < numPairs; ++i) {
    noteExtents(extents, op.getQueryMap(i), array(op.getQueries()[i]));
    noteExtents(extents, op.getKeyMap(i), array(op.getKeys()[i]));
  }
  noteExtents(extents, op.getOutputMap(), array(op.getOutput()));
  int64_t keyTokens = array(op.getValues()).shape[1];
  SmallVector<Value> keyed = op.getKeyed();
  std::vector<Array> histories;
  for (Value history : op.getHistories())
    histories.push_back(array(history));
  // At the token `s` of the point, which may be before this call.
  auto readKeyed = [&](unsigned number, AffineMap map) {
    Point indices(map.compose(point));
    if (indices[1] >= 0)
      return array(keyed[number]).at(indices);
    int64_t kept = histories[number].shape[1];
    if (indices[1] < -kept)
      return 0.0;
    indices[1] = (position + indices[1]) % kept;
    return histories[number].at(indices);
  };
  SmallVector<unsigned> scoreDims = {0, 1}, valueDims;
  for (unsigned lane = 3; lane < op.getNumLanes() + 3; ++lane)
    (llvm::is_contained(op.getScoreLanes(), lane) ? scoreDims : valueDims)
        .push_back(lane);
  Block &body = op.getScore().front();
  forEach(scoreDims, extents, point, [&] {
    int64_t token = position + point[1];
    int64_t begin = histories.empty() ? position : 0, end = position + keyTokens;
    for (int64_t bound : op.getFromMap().compose({token}))
      begin = std::max(begin, bound);
    for (int64_t bound : op.getToMap().compose({token}))
      end = std::min(end, bound);
    std::vector<double> weights;
    for (int64_t s = begin; s < end; ++s) {
      point[2] = s - position;
      Values known;
      unsigned number = 0;
      for (unsigned i = 0; i < numPairs; ++i) {
        double &dot = known[body.getArgument(number++)];
        dot = 0;
        forEach(op.getContracted(i), extents, point, [&] {
          dot += at(op.getQueries()[i], op.getQueryMap(i), point) *
                 readKeyed(i, op.getKeyMap(i));
        });
      }
      for (auto [i, operand] : llvm::enumerate(op.getScoreIns())) {
        Point indices(op.getScoreMap(i).compose(point));
        bool inside = true;
        for (auto [index, extent] : llvm::zip(indices, array(operand).shape))
          inside &= index >= 0 && index < extent;
        known[body.getArgument(number++)] =
            inside ? array(operand).at(indices) : std::nan("");
      }
      known[body.getArgument(number++)] = double(token);
      known[body.getArgument(number++)] = double(s);
      for (unsigned dim = 3; number < body.getNumArguments(); ++dim)
        known[body.getArgument(number++)] = double(point[dim]);
      evaluate(body, point, known);
      weights.push_back(known.lookup(op.getScoreYield().getOperand(0)));
    }
    double total = 0, largest = -INFINITY;
    if (op.getSoftmax()) {
      for (double score : weights)
        largest = std::isnan(score) ? score : std::max(score, largest);
      for (double &weight : weights)
        total += weight = std::exp(weight - largest);
      for (double &weight : weights)
        weight /= total;
    }
    if (op.getDecays()) {
      double product = 1;
      for (int64_t s = end - 1; s >= begin; --s) {
        point[2] = s - position;
        weights[s - begin] *= product;
        product *= readKeyed(numPairs + 1, *op.getDecayMap());
      }
    }
    forEach(valueDims, extents, point, [&] {
      double sum = 0;
      for (int64_t s = begin; s < end; ++s) {
        point[2] = s - position;
        sum += weights[s - begin] * readKeyed(numPairs, op.getValueMap());
      }
      point[2] = 0;
      at(op.getOutput(), op.getOutputMap(), point) = sum;
    });
  });
  for (auto [input, ring] : llvm::zip(keyed, op.getFinalHistories())) {
    Array &last = array(ring);
    Point shape(array(input).shape), index(shape.size(), 0);
    SmallVector<unsigned> axes =
        llvm::to_vector(llvm::seq<unsigned>(0, shape.size()));
    forEach(axes, shape, index, [&, input = input] {
      if (index[1] < keyTokens - last.shape[1])
        return;
      Point place = index;
      place[1] = (position + index[1]) % last.shape[1];
      last.at(place) = array(input).at(index);
    });
  }
}

/// Lag by lag, one state after the other.
void Interpreter::runImpulseResponse(ImpulseResponseOp op) {
  Array &transition = array(op.getTransition()), &input = array(op.getInput()),
        &read = array(op.getRead());
  int64_t rows = input.shape[2], width = input.shape[3], lags = 0;
  for (int64_t o = 0; o < input.shape[0]; ++o)
    for (int64_t i = 0; i < input.shape[1]; ++i)
      for (int64_t l = 0; l < width; ++l) {
        // The transition as a matrix, whatever its form.
        std::vector<double> matrix(rows * rows, 0), state(rows);
        for (int64_t r = 0; r < rows; ++r) {
          state[r] = input.at({o, i, r, l});
          for (int64_t c = 0; c < rows; ++c) {
            int64_t parts = op.getDense() ? 1 : transition.shape[3];
            double &element = matrix[r * rows + c];
            if (op.getDense())
              element = transition.at({o, i, r, c, l});
            else if (parts == 1 && r == c)
              element = transition.at({o, i, r, 0, l});
            else if (parts == 2 && r / 2 == c / 2)
              element = (r < c ? -1 : 1) * transition.at({o, i, r / 2, int64_t(r != c), l});
          }
        }
        lags = array(op.getOuts().front()).shape[0];
        for (int64_t lag = 0; lag < lags; ++lag) {
          for (auto [p, out] : llvm::enumerate(op.getOuts()))
            for (int64_t q = 0; q < read.shape[3]; ++q) {
              double sum = 0;
              for (int64_t r = 0; r < rows; ++r)
                sum += read.at({o, i, int64_t(p), q, r, l}) * state[r];
              array(out).at({op.getReverse() ? lags - 1 - lag : lag, o, q,
                             i * width + l}) = sum;
            }
          std::vector<double> next(rows, 0);
          for (int64_t r = 0; r < rows; ++r)
            for (int64_t c = 0; c < rows; ++c)
              next[r] += matrix[r * rows + c] * state[c];
          state = next;
        }
      }
}
