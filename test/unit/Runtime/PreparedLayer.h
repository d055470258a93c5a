//===- PreparedLayer.h - A layer of the fake module, prepared -------------===//

#ifndef SSMRT_UNIT_PREPAREDLAYER_H
#define SSMRT_UNIT_PREPAREDLAYER_H

#include "FakeModule.h"

#include <gtest/gtest.h>

namespace ssmrt_test {

/// A prepared layer: s = 0.5 s + u, y = scale s.
class PreparedLayer : public testing::Test {
protected:
  void SetUp() override {
    weights[2].data = nullptr;
    ASSERT_EQ(ssmrt_prepare(&module, nullptr, weights, 3, prepared, 0, nullptr),
              SSMRT_OK)
        << ssmrt_last_error();
  }

  ssmrt_status forward(std::vector<ssmrt_tensor> inputs,
                       std::vector<ssmrt_tensor> outputs, void *state = nullptr,
                       ssmrt_context *context = nullptr) {
    return ssmrt_forward(&module, context, prepared, inputs.data(),
                         inputs.size(), outputs.data(), outputs.size(), state,
                         workspace);
  }

  ssmrt_module module = makeModule();
  Array<float> decay{f32, {numChannels}, {0.5f, 0.5f, 0.5f}};
  Array<float> scale{f32, {numChannels}, {1.0f, 10.0f, 100.0f}};
  ssmrt_tensor weights[3] = {decay.tensor, scale.tensor, decay.tensor};
  Block prepared{ssmrt_prepared_bytes(&module, 0)};
  Block workspace{ssmrt_workspace_bytes(&module, 8, 1000)};
  Array<float> gain{f32, {1}};
  ssmrt_tensor noGain = [] {
    ssmrt_tensor tensor = {};
    return tensor;
  }();
};

} // namespace ssmrt_test

#endif // SSMRT_UNIT_PREPAREDLAYER_H
