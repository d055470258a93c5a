//===- PrepareTest.cpp - Weights become tables ----------------------------===//

#include "PreparedLayer.h"

#include <cmath>
#include <numeric>

using namespace ssmrt_test;

namespace {

using Prepare = PreparedLayer;

TEST_F(Prepare, Converts) {
  Array<uint16_t> narrow(bf16, {1, numChannels, 1}, {0x3F80, 0x4000, 0x4040});
  Array<double> offset(f64, {}, {0.125});
  ssmrt_tensor given[] = {narrow.tensor, scale.tensor, offset.tensor};
  ASSERT_EQ(ssmrt_prepare(&module, nullptr, given, 3, prepared, 0, nullptr),
            SSMRT_OK)
      << ssmrt_last_error();
  Array<float> u(f32, {1, 2, 3}, {1, 1, 1, 0, 0, 0}), y(f32, {1, 2, 3});
  ASSERT_EQ(forward({u.tensor, noGain}, {y.tensor}), SSMRT_OK);
  EXPECT_EQ(y.values, (std::vector<float>{1.125, 10.125, 100.125, 1.125, 20.125,
                                          300.125}));
}

// A weight that is large enough to be converted by several threads.
TEST_F(Prepare, ConvertsOnThreads) {
  static const int64_t large[] = {200001};
  ssmrt_value_info infos[] = {{"w", f32, 1, large, 0, 0, 0}};
  module.weights = infos;
  module.num_weights = 1;
  module.prepared_bytes = [](int64_t) -> int64_t { return 4 * large[0]; };
  module.prepare = [](const ssmrt_frame *frame) {
    std::memcpy(frame->prepared, frame->inputs[0], 4 * large[0]);
  };
  Array<double> w(f64, {large[0]});
  std::iota(w.values.begin(), w.values.end(), 0.5);
  Block tables(ssmrt_prepared_bytes(&module, 0));
  for (uint32_t threads : {1, 4}) {
    ssmrt_context *context = nullptr;
    ASSERT_EQ(ssmrt_context_create(threads, &context), SSMRT_OK);
    ASSERT_EQ(
        ssmrt_prepare(&module, context, &w.tensor, 1, tables, 0, nullptr),
        SSMRT_OK);
    ssmrt_context_destroy(context);
    const float *values = reinterpret_cast<float *>(tables.bytes() + 64);
    for (int64_t i = 0; i < large[0]; ++i)
      ASSERT_EQ(values[i], static_cast<float>(w.values[i]));
    std::memset(tables, 0, 64 + 4 * large[0]);
  }
}

// Weights that the artefact carries stand in for those that are not given.
TEST_F(Prepare, Embedded) {
  Block tables(ssmrt_prepared_bytes(&module, 0));
  EXPECT_EQ(ssmrt_prepare(&module, nullptr, nullptr, 0, tables, 0, nullptr),
            SSMRT_BAD_ARGUMENT);
  EXPECT_STREQ(ssmrt_last_error(), "fake: the weights are a null pointer, and "
                                   "none are embedded; wanted 3");
  Block given(ssmrt_prepared_bytes(&module, 0));
  ASSERT_EQ(ssmrt_prepare(&module, nullptr, weights, 3, given, 0, nullptr),
            SSMRT_OK);
  module.embedded_weights = weights;
  for (int64_t count : {0, 3}) {
    ASSERT_EQ(ssmrt_prepare(&module, nullptr, nullptr, count, tables, 0, nullptr),
              SSMRT_OK)
        << ssmrt_last_error();
    EXPECT_EQ(std::memcmp(tables, given, ssmrt_prepared_bytes(&module, 0)), 0);
  }
}

// The tables hold the decay as it is, then the scale.
TEST_F(Prepare, LargestDecay) {
  double eigenvalue[2];
  EXPECT_EQ(ssmrt_largest_decay(&module, prepared, 0, eigenvalue), -1);
  EXPECT_STREQ(ssmrt_last_error(), "fake: decay 0 of 0");
  float *tables = reinterpret_cast<float *>(prepared.bytes() + 64);
  const float values[] = {0.5f, -3.0f, 0.25f, 0.0f, 4.0f, 9.0f};
  std::memcpy(tables, values, sizeof(values));
  ssmrt_decay_info decays[] = {{"s", f32, 3, {0, -1}}, {"s", f32, 2, {0, 12}}};
  module.decays = decays;
  module.num_decays = 2;
  EXPECT_EQ(ssmrt_largest_decay(&module, prepared, 0, eigenvalue), 3);
  EXPECT_EQ(eigenvalue[0], -3);
  EXPECT_EQ(eigenvalue[1], 0);
  EXPECT_EQ(ssmrt_largest_decay(&module, prepared, 1, eigenvalue), 5);
  EXPECT_EQ(eigenvalue[1], 4);
  tables[0] = NAN;
  EXPECT_TRUE(std::isnan(ssmrt_largest_decay(&module, prepared, 0, eigenvalue)));
  EXPECT_EQ(ssmrt_largest_decay(&module, prepared, 2, eigenvalue), -1);
  EXPECT_EQ(ssmrt_largest_decay(&module, prepared, 0, nullptr), -1);
}

TEST_F(Prepare, Errors) {
  auto prepare = [&](ssmrt_tensor decay, ssmrt_tensor scale, void *tables) {
    ssmrt_tensor given[] = {decay, scale, weights[2]};
    return ssmrt_prepare(&module, nullptr, given, 3, tables, 0, nullptr);
  };
  Array<float> wide(f32, {4}), split(f32, {3, 2});
  Array<double> doubles(f64, {numChannels});
  Array<int64_t> integers(i64, {numChannels}, {1, 1 << 25 | 1, 0});
  EXPECT_EQ(prepare(wide.tensor, scale.tensor, prepared), SSMRT_BAD_ARGUMENT);
  EXPECT_STREQ(ssmrt_last_error(),
               "fake: weight 'decay' has shape [4]; wanted [3]");
  EXPECT_EQ(prepare(split.tensor, scale.tensor, prepared), SSMRT_BAD_ARGUMENT);
  EXPECT_EQ(prepare(integers.tensor, scale.tensor, prepared),
            SSMRT_BAD_ARGUMENT);
  EXPECT_STREQ(ssmrt_last_error(),
               "fake: weight 'decay': element 1 of a conversion from i64 to f32 "
               "is 33554433, which f32 cannot hold exactly");
  EXPECT_EQ(prepare(decay.tensor, doubles.tensor, prepared),
            SSMRT_BAD_ARGUMENT);
  EXPECT_NE(std::string(ssmrt_last_error()).find("it is used in place"),
            std::string::npos);
  EXPECT_EQ(prepare(decay.tensor, scale.tensor, nullptr), SSMRT_BAD_ARGUMENT);
  EXPECT_EQ(ssmrt_prepare(&module, nullptr, weights, 2, prepared, 0, nullptr),
            SSMRT_BAD_ARGUMENT);
  EXPECT_STREQ(ssmrt_last_error(), "fake: 2 weights; wanted 3");
  EXPECT_EQ(ssmrt_prepare(&module, nullptr, weights, 3, prepared, -1, nullptr),
            SSMRT_BAD_ARGUMENT);
  // What a failed call leaves behind is not taken for tables.
  Array<float> u(f32, {1, 2, 3}), y(f32, {1, 2, 3});
  EXPECT_EQ(prepare(wide.tensor, scale.tensor, prepared), SSMRT_BAD_ARGUMENT);
  EXPECT_EQ(forward({u.tensor, noGain}, {y.tensor}), SSMRT_BAD_ARGUMENT);
}

} // namespace
