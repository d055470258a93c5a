//===- VerifyCases.cpp - The data that a layer is judged on ---------------===//

#include "VerifyLayer.h"
#include "Error.h"
#include "Parallel.h"
#include "Progress.h"
#include "RandomData.h"

#include <algorithm>
#include <cstring>
#include <set>

using namespace ssmc;

/// Nothing, one token, two, a prime, whole tiles and chunks with a token more or less,
/// both sides of where another form takes over, and several chunks. Of several sequence
/// axes each gets the long ones while the others are short.
std::vector<Lengths> LayerVerifier::chooseLengths() const {
  const ssmrt_module *module = oracle.layer.get();
  bool hasSequence = false;
  for (int64_t i = 0; i < module->num_inputs; ++i)
    hasSequence |= lengthDimension(module->inputs[i]) >= 0;
  if (!hasSequence)
    return {{0}}; // there is only one case
  if (!options.lengths.empty())
    return options.lengths;
  if (int64_t fixed = fixedLength(*module))
    return {{0}, {fixed}};
  std::set<int64_t> lengths = {0, 1, 2, 7};
  int64_t longest = 0;
  for (const ModeChoice &choice : choices)
    for (int64_t tile : choice.tiles) {
      lengths.insert({tile - 1, tile, tile + 1});
      longest = std::max(longest, tile);
    }
  lengths.insert(2 * longest + 5);
  lengths.erase(-1);
  if (int64_t limit = longestLength(*module)) {
    lengths.erase(lengths.upper_bound(limit), lengths.end());
    lengths.insert(limit);
  }
  std::vector<Lengths> all;
  for (int64_t length : lengths)
    for (int64_t axis = 0; axis < module->num_axes; ++axis) {
      Lengths one(module->num_axes, 3);
      one[axis] = length;
      all.push_back(one);
    }
  if (module->num_axes > 1)
    all.insert(all.end(), {{1}, {11, 7, 5, 3}});
  return all;
}

void ssmc::forTokens(const ssmrt_value_info &info, const Tensor &tensor, int64_t begin,
                     int64_t end, llvm::function_ref<void(int64_t, int64_t)> visit,
                     int axis) {
  int dimension = lengthDimension(info, axis);
  llvm::ArrayRef<int64_t> shape = tensor.getShape();
  int64_t outer = 1, inner = int64_t(ssmrt_dtype_size(tensor.getDType()));
  for (int i = 0; i < int(shape.size()); ++i)
    if (i != dimension)
      (i < dimension ? outer : inner) *= shape[i];
  for (int64_t i = 0; i < outer; ++i)
    visit((i * shape[dimension] + begin) * inner, (end - begin) * inner);
}

/// The dtype of a name, if it has 16 bits.
static std::optional<ssmrt_dtype> narrowOf(llvm::StringRef name) {
  if (name == "bf16")
    return ssmrt_dtype{SSMRT_BFLOAT, 16, 1};
  if (name == "f16")
    return ssmrt_dtype{SSMRT_FLOAT, 16, 1};
  return std::nullopt;
}

/// Gives inputs the values that their dtype in memory (--io-dtype, --state-dtype) has: the
/// literal form must see the same.
llvm::Error LayerVerifier::roundInputs(std::vector<Tensor> &inputs) {
  for (auto [number, tensor] : llvm::enumerate(inputs)) {
    bool isState = oracle.layer.get()->inputs[number].flags & SSMRT_INITIAL;
    auto narrow = narrowOf(isState ? options.stateDType : options.ioDType);
    if (!narrow || !isFloat(tensor.getDType()))
      continue;
    auto rounded = convertTo(tensor, *narrow);
    if (!rounded)
      return rounded.takeError();
    auto copy = convertTo(*rounded, tensor.getDType());
    if (!copy)
      return copy.takeError();
    tensor = std::move(*copy);
  }
  return llvm::Error::success();
}

llvm::Error LayerVerifier::makeCase(Case &sequence) {
  const ssmrt_module *module = oracle.layer.get();
  const Lengths &lengths = sequence.lengths;
  bool isImpulse = sequence.isImpulse;
  // f32 holds the data of every dtype.
  auto inputs = drawInputs(module, batch, lengths, kDataSeed);
  if (!inputs)
    return inputs.takeError();
  for (auto [number, tensor] : llvm::enumerate(*inputs)) {
    if (!isFloat(tensor.getDType()))
      continue;
    if (tensor.getDType().bits == 64)
      for (int64_t i = 0; i < tensor.count(); ++i)
        tensor.data<double>()[i] = float(tensor.data<double>()[i]);
    auto clear = [data = tensor.data()](int64_t at, int64_t bytes) {
      std::memset(data + at, 0, size_t(bytes));
    };
    const ssmrt_value_info &info = module->inputs[number];
    for (int axis = 0; isImpulse && axis < module->num_axes; ++axis) {
      if (lengthDimension(info, axis) < 0)
        continue;
      int64_t length = lengthOf(lengths, axis), impulse = impulseAt(length);
      forTokens(info, tensor, 0, impulse, clear, axis);
      forTokens(info, tensor, impulse + 1, length, clear, axis);
    }
  }
  if (llvm::Error error = roundInputs(*inputs))
    return error;
  sequence.inputs = std::move(*inputs);
  auto judge = Session::create(module, serial.get(), oracle.weights,
                               *llvm::max_element(lengths));
  if (!judge)
    return judge.takeError();
  auto wanted = judge->makeOutputs(batch, lengths);
  if (!wanted)
    return wanted.takeError();
  sequence.wanted = std::move(*wanted);
  if (llvm::Error error =
          call(*judge, sequence.inputs, sequence.wanted, batch, lengths[0], false))
    return error;
  // Where all terms of a result cancel, its magnitude is that of their rounding, which
  // says nothing about it.
  double largest = 0;
  for (const std::vector<Tensor> *tensors : {&sequence.inputs, &sequence.wanted})
    for (const Tensor &tensor : *tensors)
      if (isFloat(tensor.getDType()))
        largest = std::max(largest, magnitudeOf(tensor));
  for (const Tensor &tensor : sequence.wanted) {
    bool isZero = magnitudeOf(tensor) <= kSmallestError * largest;
    sequence.yardsticks.push_back(isZero ? largest : 0);
  }
  return llvm::Error::success();
}

llvm::Error LayerVerifier::makeCases() {
  Progress progress("running the literal form of " + layer().str());
  const ssmrt_module *module = oracle.layer.get();
  std::vector<Lengths> all = chooseLengths();
  for (const Lengths &lengths : all)
    if (lengths.size() > 1 && int64_t(lengths.size()) < module->num_axes)
      return failure("--lengths " + llvm::Twine(lengthsText(lengths)) + ": layer '" +
                     layer() + "' has " + llvm::Twine(module->num_axes) +
                     " sequence axes");
  for (const Lengths &lengths : all)
    cases.push_back({lengths, {}, {}, /*isImpulse=*/false, {}});
  // Lags to both sides show best in what one token does.
  std::vector<Lengths> some;
  for (const Lengths &lengths : all)
    if (tokensOf(lengths, *module) > 2 && !module->step)
      some.push_back(lengths);
  auto isShorter = [&](const Lengths &a, const Lengths &b) {
    return tokensOf(a, *module) < tokensOf(b, *module);
  };
  auto [shortest, longest] = std::minmax_element(some.begin(), some.end(), isShorter);
  if (!some.empty())
    for (const Lengths &lengths : std::set<Lengths>{*shortest, *longest})
      cases.push_back({lengths, {}, {}, /*isImpulse=*/true, {}});
  return runInParallel(cases.size(), [&](size_t i) { return makeCase(cases[i]); });
}
