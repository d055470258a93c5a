//===- ExecuteTest.cpp - prepare, forward and step ------------------------===//

#include "FakeModule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

using namespace ssmrt_test;

namespace {

/// A prepared layer: s = 0.5 s + u, y = scale s.
class Execute : public testing::Test {
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

TEST_F(Execute, Forward) {
  Array<float> u(f32, {1, 2, 3}, {1, 2, 3, 4, 5, 6}), y(f32, {1, 2, 3});
  ASSERT_EQ(forward({u.tensor, noGain}, {y.tensor}), SSMRT_OK)
      << ssmrt_last_error();
  EXPECT_EQ(y.values, (std::vector<float>{1, 20, 300, 4.5, 60, 750}));
  Array<float> two(f32, {1}, {2});
  ASSERT_EQ(forward({u.tensor, two.tensor}, {y.tensor}), SSMRT_OK);
  EXPECT_EQ(y.values, (std::vector<float>{2, 40, 600, 9, 120, 1500}));
}

// Whole, in segments, by steps and with any number of threads: bit for bit.
TEST_F(Execute, SegmentsStepsAndThreads) {
  constexpr int64_t batch = 5, length = 6, row = numChannels;
  Array<float> u(f32, {batch, length, row}), whole(f32, {batch, length, row});
  std::iota(u.values.begin(), u.values.end(), 0.25f);
  ASSERT_EQ(forward({u.tensor, noGain}, {whole.tensor}), SSMRT_OK);
  for (uint32_t threads : {1, 2, 3, 8}) {
    ssmrt_context *context = nullptr;
    ASSERT_EQ(ssmrt_context_create(threads, &context), SSMRT_OK);
    Array<float> y(f32, {batch, length, row});
    ASSERT_EQ(forward({u.tensor, noGain}, {y.tensor}, nullptr, context),
              SSMRT_OK);
    EXPECT_EQ(y.values, whole.values);
    ssmrt_context_destroy(context);
  }
  Block state(ssmrt_state_bytes(&module, batch, 0));
  for (int64_t size : {1, 2, 3, 6}) {
    ASSERT_EQ(ssmrt_state_reset(&module, state, batch, 0), SSMRT_OK);
    for (int64_t t = 0; t < length; t += size) {
      Array<float> part(f32, {batch, size, row}), y(f32, {batch, size, row});
      for (int64_t b = 0; b < batch; ++b)
        std::memcpy(&part.values[b * size * row],
                    &u.values[(b * length + t) * row], size * row * 4);
      ssmrt_tensor inputs[] = {part.tensor, noGain};
      auto run = size == 1 ? ssmrt_step : ssmrt_forward;
      ASSERT_EQ(run(&module, nullptr, prepared, inputs, 2, &y.tensor, 1, state,
                    workspace),
                SSMRT_OK)
          << ssmrt_last_error();
      for (int64_t b = 0; b < batch; ++b)
        EXPECT_EQ(std::memcmp(&y.values[b * size * row],
                              &whole.values[(b * length + t) * row],
                              size * row * 4),
                  0);
    }
    int64_t shape[SSMRT_MAX_DIMS];
    ssmrt_tensor view;
    ASSERT_EQ(ssmrt_state_view(&module, state, 1, shape, &view), SSMRT_OK);
    EXPECT_EQ(static_cast<int64_t *>(view.data)[0], length);
    EXPECT_EQ(static_cast<int64_t *>(view.data)[batch], length);
  }
}

TEST_F(Execute, EmptyBatchAndLength) {
  Array<float> u(f32, {0, 4, 3}), y(f32, {0, 4, 3});
  u.tensor.data = y.tensor.data = nullptr;
  EXPECT_EQ(forward({u.tensor, noGain}, {y.tensor}), SSMRT_OK)
      << ssmrt_last_error();
  Array<float> v(f32, {2, 0, 3}), z(f32, {2, 0, 3});
  v.tensor.data = z.tensor.data = nullptr;
  EXPECT_EQ(forward({v.tensor, noGain}, {z.tensor}), SSMRT_OK)
      << ssmrt_last_error();
  Block state(ssmrt_state_bytes(&module, 2, 0));
  ASSERT_EQ(ssmrt_state_reset(&module, state, 2, 0), SSMRT_OK);
  EXPECT_EQ(forward({v.tensor, noGain}, {z.tensor}, state), SSMRT_OK);
}

TEST_F(Execute, ShapeErrors) {
  Array<float> u(f32, {2, 5, 3}), y(f32, {2, 5, 3}), wide(f32, {2, 5, 4});
  Array<float> longer(f32, {2, 6, 3}), flat(f32, {10, 3});
  EXPECT_EQ(forward({wide.tensor, noGain}, {y.tensor}), SSMRT_BAD_ARGUMENT);
  EXPECT_STREQ(ssmrt_last_error(),
               "fake: input 'u' has shape [2, 5, 4]; wanted [batch, length, 3]");
  EXPECT_EQ(forward({flat.tensor, noGain}, {y.tensor}), SSMRT_BAD_ARGUMENT);
  EXPECT_STREQ(ssmrt_last_error(),
               "fake: input 'u' has shape [10, 3]; wanted [batch, length, 3]");
  EXPECT_EQ(forward({u.tensor, noGain}, {longer.tensor}), SSMRT_BAD_ARGUMENT);
  EXPECT_STREQ(ssmrt_last_error(),
               "fake: output 'y' has shape [2, 6, 3]; wanted [batch, length, "
               "3], batch 2 as in input 'u', length 5 as in input 'u'");
  Array<float> three(f32, {3});
  EXPECT_EQ(forward({u.tensor, three.tensor}, {y.tensor}), SSMRT_BAD_ARGUMENT);
  EXPECT_STREQ(ssmrt_last_error(),
               "fake: input 'gain' has shape [3]; wanted [batch], batch 2 as in "
               "input 'u', length 5 as in input 'u'");
  EXPECT_EQ(forward({u.tensor}, {y.tensor}), SSMRT_BAD_ARGUMENT);
  EXPECT_STREQ(ssmrt_last_error(), "fake: 1 inputs; wanted 2");
  EXPECT_EQ(forward({u.tensor, noGain}, {}), SSMRT_BAD_ARGUMENT);
  Array<float> negative(f32, {2, 5, 3});
  negative.shape[1] = -5;
  EXPECT_EQ(forward({negative.tensor, noGain}, {y.tensor}),
            SSMRT_BAD_ARGUMENT);
  negative.shape = {INT64_MAX, INT64_MAX, 3};
  negative.tensor.shape = negative.shape.data();
  EXPECT_EQ(forward({negative.tensor, noGain}, {y.tensor}),
            SSMRT_BAD_ARGUMENT);
}

TEST_F(Execute, TensorErrors) {
  Array<float> u(f32, {1, 2, 3}), y(f32, {1, 2, 3});
  ssmrt_tensor bad = u.tensor;
  bad.dtype = i32;
  EXPECT_EQ(forward({bad, noGain}, {y.tensor}), SSMRT_BAD_ARGUMENT);
  EXPECT_STREQ(ssmrt_last_error(), "fake: input 'u' is i32; wanted f32");
  bad = u.tensor;
  bad.dtype.lanes = 2;
  EXPECT_EQ(forward({bad, noGain}, {y.tensor}), SSMRT_BAD_ARGUMENT);
  bad = u.tensor;
  bad.data = nullptr;
  EXPECT_EQ(forward({bad, noGain}, {y.tensor}), SSMRT_BAD_ARGUMENT);
  EXPECT_STREQ(ssmrt_last_error(), "input 'u' has no data: null pointer");
  bad = u.tensor;
  bad.device.device_type = 2;
  EXPECT_EQ(forward({bad, noGain}, {y.tensor}), SSMRT_BAD_ARGUMENT);
  bad = u.tensor;
  bad.byte_offset = 2;
  EXPECT_EQ(forward({bad, noGain}, {y.tensor}), SSMRT_BAD_ARGUMENT);
  bad = u.tensor;
  bad.ndim = 17;
  EXPECT_EQ(forward({bad, noGain}, {y.tensor}), SSMRT_BAD_ARGUMENT);
  bad = u.tensor;
  bad.shape = nullptr;
  EXPECT_EQ(forward({bad, noGain}, {y.tensor}), SSMRT_BAD_ARGUMENT);
  int64_t strides[] = {99, 3, 1};
  bad = u.tensor;
  bad.strides = strides;
  EXPECT_EQ(forward({bad, noGain}, {y.tensor}), SSMRT_OK)
      << "the stride of an extent of 1 says nothing";
  strides[1] = 6;
  EXPECT_EQ(forward({bad, noGain}, {y.tensor}), SSMRT_BAD_ARGUMENT);
}

TEST_F(Execute, Aliases) {
  Array<float> u(f32, {1, 2, 3});
  ssmrt_tensor shifted = u.tensor;
  EXPECT_EQ(forward({u.tensor, noGain}, {u.tensor}), SSMRT_BAD_ARGUMENT);
  EXPECT_STREQ(ssmrt_last_error(),
               "fake: output 'y' overlaps input 'u'; wanted memory apart");
  shifted.data = workspace;
  EXPECT_EQ(forward({u.tensor, noGain}, {shifted}), SSMRT_BAD_ARGUMENT);
  EXPECT_STREQ(ssmrt_last_error(),
               "fake: output 'y' overlaps the workspace; wanted memory apart");
  shifted.data = prepared.bytes() + 64;
  EXPECT_EQ(forward({u.tensor, noGain}, {shifted}), SSMRT_BAD_ARGUMENT);
  Block state(ssmrt_state_bytes(&module, 1, 0));
  ASSERT_EQ(ssmrt_state_reset(&module, state, 1, 0), SSMRT_OK);
  shifted.data = state.bytes() + 64;
  Array<float> y(f32, {1, 2, 3});
  EXPECT_EQ(forward({shifted, noGain}, {y.tensor}, state), SSMRT_BAD_ARGUMENT);
  EXPECT_STREQ(ssmrt_last_error(),
               "fake: input 'u' overlaps the state; wanted memory apart");
}

TEST_F(Execute, StateErrors) {
  Array<float> u(f32, {1, 1, 3}), y(f32, {1, 1, 3}), v(f32, {2, 1, 3});
  Block state(ssmrt_state_bytes(&module, 1, 0));
  ssmrt_tensor inputs[] = {u.tensor, noGain};
  EXPECT_EQ(ssmrt_step(&module, nullptr, prepared, inputs, 2, &y.tensor, 1,
                       nullptr, workspace),
            SSMRT_BAD_ARGUMENT);
  EXPECT_EQ(forward({u.tensor, noGain}, {y.tensor}, state), SSMRT_BAD_STATE);
  ASSERT_EQ(ssmrt_state_reset(&module, state, 1, 0), SSMRT_OK);
  EXPECT_EQ(forward({v.tensor, noGain}, {y.tensor}, state),
            SSMRT_BAD_ARGUMENT);
  EXPECT_STREQ(ssmrt_last_error(),
               "fake: input 'u' has shape [2, 1, 3]; wanted [batch, length, 3], "
               "batch 1 as in the given 'state'");
  Array<float> pair(f32, {1, 2, 3});
  inputs[0] = pair.tensor;
  EXPECT_EQ(ssmrt_step(&module, nullptr, prepared, inputs, 2, &y.tensor, 1,
                       state, workspace),
            SSMRT_BAD_ARGUMENT);
  EXPECT_STREQ(ssmrt_last_error(),
               "fake: input 'u' has shape [1, 2, 3]; wanted [batch, length, 3], "
               "batch 1 as in the given 'state', length 1 as in one 'step'");
  // A layer that needs its whole sequence takes no second segment.
  module.step = nullptr;
  EXPECT_EQ(forward({u.tensor, noGain}, {y.tensor}, state), SSMRT_OK);
  EXPECT_EQ(forward({u.tensor, noGain}, {y.tensor}, state), SSMRT_BAD_STATE);
  inputs[0] = u.tensor;
  EXPECT_EQ(ssmrt_step(&module, nullptr, prepared, inputs, 2, &y.tensor, 1,
                       state, workspace),
            SSMRT_BAD_ARGUMENT);
  EXPECT_STREQ(ssmrt_last_error(),
               "fake: the layer cannot run token by token; use forward");
}

TEST_F(Execute, GrowingState) {
  static const int64_t growing[] = {SSMRT_BATCH, SSMRT_LENGTH};
  ssmrt_value_info infos[] = {module.states[0], module.states[1],
                              {"cache", f32, 2, growing, 0, 0, 0}};
  module.states = infos;
  module.num_states = 3;
  module.state_bytes = nullptr;
  Block state(ssmrt_state_bytes(&module, 1, 3));
  ASSERT_EQ(ssmrt_state_reset(&module, state, 1, 3), SSMRT_OK);
  Array<float> u(f32, {1, 2, 3}), y(f32, {1, 2, 3});
  EXPECT_EQ(forward({u.tensor, noGain}, {y.tensor}, state), SSMRT_OK);
  EXPECT_EQ(forward({u.tensor, noGain}, {y.tensor}, state), SSMRT_BAD_STATE);
  EXPECT_STREQ(
      ssmrt_last_error(),
      "fake: position 2 and length 2; the state was made for 3 tokens");
}

TEST_F(Execute, StatesForLaterCalls) {
  static const int64_t many[] = {SSMRT_BATCH, 1000};
  ssmrt_value_info infos[] = {module.states[0], module.states[1],
                              {"sums", f32, 2, many, SSMRT_LATER, 0, 0}};
  module.state_bytes = nullptr;
  int64_t before = ssmrt_workspace_bytes(&module, 2, 3);
  int64_t stateBefore = ssmrt_state_bytes(&module, 2, 0);
  module.states = infos;
  module.num_states = 3;
  ASSERT_EQ(ssmrt_module_check(&module), SSMRT_OK) << ssmrt_last_error();
  // A call that keeps no state has no memory for them.
  EXPECT_EQ(ssmrt_workspace_bytes(&module, 2, 3), before);
  EXPECT_EQ(ssmrt_state_bytes(&module, 2, 0), stateBefore + 8000);
  Array<float> u(f32, {1, 2, 3}, {1, 1, 1, 1, 1, 1}), y(f32, {1, 2, 3});
  Array<float> kept(f32, {1, 2, 3});
  ASSERT_EQ(forward({u.tensor, noGain}, {y.tensor}), SSMRT_OK)
      << ssmrt_last_error();
  Block state(ssmrt_state_bytes(&module, 1, 0));
  ASSERT_EQ(ssmrt_state_reset(&module, state, 1, 0), SSMRT_OK);
  ASSERT_EQ(forward({u.tensor, noGain}, {kept.tensor}, state), SSMRT_OK)
      << ssmrt_last_error();
  EXPECT_EQ(y.values, kept.values);
  std::swap(infos[1], infos[2]);
  EXPECT_EQ(ssmrt_module_check(&module), SSMRT_BAD_VERSION);
  EXPECT_STREQ(ssmrt_last_error(),
               "fake: state 'sums' is for later calls alone and stands before "
               "'count'; wanted it after all others");
}

TEST_F(Execute, PreparedLength) {
  // The tables of this fixture were prepared for no token at all.
  ssmrt_value_info inputs[] = {module.inputs[0], module.inputs[1]};
  module.inputs = inputs;
  Array<float> u(f32, {1, 2, 3}), y(f32, {1, 2, 3});
  EXPECT_EQ(forward({u.tensor, noGain}, {y.tensor}), SSMRT_OK);
  inputs[0].flags = SSMRT_BOUNDED_LENGTH;
  EXPECT_EQ(forward({u.tensor, noGain}, {y.tensor}), SSMRT_BAD_ARGUMENT);
  EXPECT_STREQ(ssmrt_last_error(),
               "fake: input 'u' has length 2 at position 0; the layer's kernel "
               "was prepared for 0 tokens: prepare it for the longest sequence");
  inputs[0].flags = SSMRT_LIMITED_LENGTH;
  inputs[0].limit = 2;
  EXPECT_EQ(forward({u.tensor, noGain}, {y.tensor}), SSMRT_OK);
  inputs[0].limit = 1;
  EXPECT_EQ(forward({u.tensor, noGain}, {y.tensor}), SSMRT_BAD_ARGUMENT);
  EXPECT_STREQ(ssmrt_last_error(),
               "fake: input 'u' has length 2 at position 0; the layer takes "
               "sequences of at most 1 tokens, for which its weights were made");
  inputs[0].flags = SSMRT_EXACT_LENGTH;
  EXPECT_EQ(forward({u.tensor, noGain}, {y.tensor}), SSMRT_BAD_ARGUMENT);
  EXPECT_STREQ(ssmrt_last_error(),
               "fake: input 'u' has length 2 at position 0; the layer's kernel "
               "depends on the length and was prepared for 0: prepare it again "
               "for another length");
  Array<float> none(f32, {1, 0, 3});
  EXPECT_EQ(forward({none.tensor, noGain}, {none.tensor}), SSMRT_OK);
}

TEST_F(Execute, InitialAndFinalStates) {
  ssmrt_value_info inputs[] = {module.inputs[0], module.inputs[1],
                               module.states[0]};
  ssmrt_value_info outputs[] = {module.outputs[0], module.states[0],
                                module.states[1]};
  inputs[2].dtype = f64;
  inputs[2].flags = SSMRT_INITIAL;
  outputs[1].flags = outputs[2].flags = SSMRT_FINAL;
  outputs[2].state = 1;
  module.inputs = inputs;
  module.outputs = outputs;
  module.num_inputs = module.num_outputs = 3;
  ASSERT_EQ(ssmrt_module_check(&module), SSMRT_OK) << ssmrt_last_error();
  Array<float> u(f32, {1, 1, 3}, {1, 1, 1}), y(f32, {1, 1, 3});
  Array<double> initial(f64, {1, 3}, {8, 16, 32});
  Array<float> final(f32, {1, 3});
  Array<int64_t> count(i64, {2, 1});
  ASSERT_EQ(forward({u.tensor, noGain, initial.tensor},
                    {y.tensor, final.tensor, count.tensor}),
            SSMRT_OK)
      << ssmrt_last_error();
  EXPECT_EQ(y.values, (std::vector<float>{5, 90, 1700}));
  EXPECT_EQ(final.values, (std::vector<float>{5, 9, 17}));
  EXPECT_EQ(count.values, (std::vector<int64_t>{1, 1}));
  // Without one, and without tokens: zero in, zero out.
  Array<float> none(f32, {1, 0, 3});
  ASSERT_EQ(forward({none.tensor, noGain, noGain},
                    {none.tensor, final.tensor, count.tensor}),
            SSMRT_OK)
      << ssmrt_last_error();
  EXPECT_EQ(final.values, (std::vector<float>{0, 0, 0}));
  // Only a sequence's first call takes one.
  Block state(ssmrt_state_bytes(&module, 1, 0));
  ASSERT_EQ(ssmrt_state_reset(&module, state, 1, 0), SSMRT_OK);
  std::vector<ssmrt_tensor> results = {y.tensor, final.tensor, count.tensor};
  ASSERT_EQ(forward({u.tensor, noGain, initial.tensor}, results, state),
            SSMRT_OK);
  ASSERT_EQ(forward({u.tensor, noGain, noGain}, results, state), SSMRT_OK);
  EXPECT_EQ(final.values, (std::vector<float>{3.5, 5.5, 9.5}));
  EXPECT_EQ(forward({u.tensor, noGain, initial.tensor}, results, state),
            SSMRT_BAD_STATE);
  EXPECT_STREQ(ssmrt_last_error(),
               "fake: input 's', an initial state, is given at position 2; "
               "wanted position 0");
  outputs[2].state = 0;
  EXPECT_EQ(ssmrt_module_check(&module), SSMRT_BAD_VERSION);
  EXPECT_STREQ(ssmrt_last_error(),
               "fake: output 'count' and its state 's' differ in shape");
  outputs[2].state = 2;
  EXPECT_EQ(ssmrt_module_check(&module), SSMRT_BAD_VERSION);
}

// Code may leave the states alone where nobody reads them after the call.
TEST_F(Execute, KeepsState) {
  static int64_t kept;
  module.forward = [](const ssmrt_frame *frame) { kept = frame->keeps_state; };
  Array<float> u(f32, {1, 1, 3}), y(f32, {1, 1, 3}), final(f32, {1, 3});
  ASSERT_EQ(forward({u.tensor, noGain}, {y.tensor}), SSMRT_OK) << ssmrt_last_error();
  EXPECT_EQ(kept, 0);
  Block state(ssmrt_state_bytes(&module, 1, 0));
  ASSERT_EQ(ssmrt_state_reset(&module, state, 1, 0), SSMRT_OK);
  ASSERT_EQ(forward({u.tensor, noGain}, {y.tensor}, state), SSMRT_OK);
  EXPECT_EQ(kept, 1);
  ssmrt_value_info outputs[] = {module.outputs[0], module.states[0]};
  outputs[1].flags = SSMRT_FINAL;
  module.outputs = outputs;
  module.num_outputs = 2;
  ASSERT_EQ(forward({u.tensor, noGain}, {y.tensor, final.tensor}), SSMRT_OK)
      << ssmrt_last_error();
  EXPECT_EQ(kept, 1);
}

TEST_F(Execute, LimitsOfIntegers) {
  static const int64_t sequence[] = {SSMRT_BATCH, SSMRT_LENGTH};
  ssmrt_value_info inputs[] = {module.inputs[0], module.inputs[1],
                               {"ids", i32, 2, sequence, 0, 0, 256}};
  module.inputs = inputs;
  module.num_inputs = 3;
  Array<float> u(f32, {1, 2, 3}), y(f32, {1, 2, 3});
  Array<int32_t> ids(i32, {1, 2}, {0, 255});
  EXPECT_EQ(forward({u.tensor, noGain, ids.tensor}, {y.tensor}), SSMRT_OK);
  for (int32_t bad : {256, -1, INT32_MIN, INT32_MAX}) {
    ids.values[1] = bad;
    EXPECT_EQ(forward({u.tensor, noGain, ids.tensor}, {y.tensor}),
              SSMRT_BAD_ARGUMENT);
    EXPECT_EQ(ssmrt_last_error(), "fake: input 'ids' has the value " +
                                      std::to_string(bad) +
                                      " at element 1; wanted 0 to 255");
  }
  // On their own, for what goes to a GPU.
  ssmrt_tensor values[] = {u.tensor, noGain, ids.tensor};
  EXPECT_EQ(ssmrt_check_limits(&module, values, 3), SSMRT_BAD_ARGUMENT);
  ids.values[1] = 7;
  EXPECT_EQ(ssmrt_check_limits(&module, values, 3), SSMRT_OK);
  EXPECT_EQ(ssmrt_check_limits(&module, values, 2), SSMRT_BAD_ARGUMENT);
}

TEST_F(Execute, BlockErrors) {
  Array<float> u(f32, {1, 1, 3}), y(f32, {1, 1, 3});
  ssmrt_tensor inputs[] = {u.tensor, noGain};
  auto run = [&](void *tables, void *space) {
    return ssmrt_forward(&module, nullptr, tables, inputs, 2, &y.tensor, 1,
                         nullptr, space);
  };
  EXPECT_EQ(run(nullptr, workspace), SSMRT_BAD_ARGUMENT);
  EXPECT_EQ(run(workspace, workspace), SSMRT_BAD_ARGUMENT);
  EXPECT_STREQ(ssmrt_last_error(),
               "fake: the prepared tables were not written by ssmrt_prepare");
  EXPECT_EQ(run(prepared, nullptr), SSMRT_BAD_ARGUMENT);
  EXPECT_EQ(run(prepared, workspace.bytes() + 4), SSMRT_BAD_ARGUMENT);
  module.hash = 7;
  EXPECT_EQ(run(prepared, workspace), SSMRT_BAD_ARGUMENT);
  module.hash = 0x1234;
  module.forward_workspace_bytes = [](int64_t, const int64_t *) -> int64_t {
    return -1;
  };
  EXPECT_EQ(run(prepared, workspace), SSMRT_BAD_ARGUMENT);
  EXPECT_EQ(ssmrt_workspace_bytes(&module, 1, 1), -1);
  ssmrt_context context = {};
  EXPECT_EQ(forward({u.tensor, noGain}, {y.tensor}, nullptr, &context),
            SSMRT_BAD_ARGUMENT);
}

// Two sequence axes: each has a length of its own, on which all values agree.
TEST_F(Execute, SeveralAxes) {
  static const int64_t image[] = {SSMRT_BATCH, SSMRT_LENGTH, SSMRT_LENGTH - 1};
  static const int64_t row[] = {SSMRT_BATCH, SSMRT_LENGTH - 1};
  ssmrt_value_info ins[] = {{"u", f32, 3, image, 0, 0, 0},
                            {"v", f32, 2, row, 0, 0, 0}};
  ssmrt_value_info outs[] = {{"y", f32, 3, image, 0, 0, 0}};
  module.inputs = ins;
  module.outputs = outs;
  module.num_states = 0;
  module.state_bytes = nullptr;
  module.step = nullptr;
  module.num_axes = 2;
  module.forward_workspace_bytes = [](int64_t batch, const int64_t *lengths) {
    return 64 * batch * lengths[0] + lengths[1];
  };
  module.forward = [](const ssmrt_frame *frame) {
    float *y = static_cast<float *>(frame->outputs[0]);
    y[0] = float(frame->length);
    y[1] = float(frame->more_lengths[0]);
  };
  ASSERT_EQ(ssmrt_module_check(&module), SSMRT_OK) << ssmrt_last_error();
  int64_t lengths[] = {2, 3}, negative[] = {2, -1};
  EXPECT_EQ(ssmrt_workspace_bytes_for_axes(&module, 1, lengths), 192);
  EXPECT_EQ(ssmrt_workspace_bytes_for_axes(&module, 1, negative), -1);
  EXPECT_EQ(ssmrt_workspace_bytes(&module, 1, 3), 256);
  Array<float> u(f32, {1, 2, 3}), v(f32, {1, 3}), y(f32, {1, 2, 3});
  ASSERT_EQ(forward({u.tensor, v.tensor}, {y.tensor}), SSMRT_OK)
      << ssmrt_last_error();
  EXPECT_EQ(y.values[0], 2);
  EXPECT_EQ(y.values[1], 3);
  Array<float> longer(f32, {1, 4});
  EXPECT_EQ(forward({u.tensor, longer.tensor}, {y.tensor}), SSMRT_BAD_ARGUMENT);
  EXPECT_STREQ(ssmrt_last_error(),
               "fake: input 'v' has shape [1, 4]; wanted [batch, length 2], batch "
               "1 as in input 'u', length 2 as in input 'u', length 2 = 3 as in "
               "input 'u'");
  Array<float> turned(f32, {1, 3, 2});
  EXPECT_EQ(forward({u.tensor, v.tensor}, {turned.tensor}), SSMRT_BAD_ARGUMENT);
}

TEST_F(Execute, PrepareConverts) {
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
TEST_F(Execute, PrepareConvertsOnThreads) {
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
TEST_F(Execute, PrepareEmbedded) {
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
TEST_F(Execute, LargestDecay) {
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

TEST_F(Execute, PrepareErrors) {
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

TEST(Module, Check) {
  ssmrt_module module = makeModule();
  EXPECT_EQ(ssmrt_module_check(&module), SSMRT_OK);
  EXPECT_EQ(ssmrt_module_check(nullptr), SSMRT_BAD_ARGUMENT);
  auto spoil = [](auto change) {
    ssmrt_module module = makeModule();
    ssmrt_value_info inputs[] = {module.inputs[0], module.inputs[1]};
    module.inputs = inputs;
    change(module, inputs);
    return ssmrt_module_check(&module);
  };
  using Info = ssmrt_value_info;
  EXPECT_EQ(spoil([](ssmrt_module &m, Info *) { m.magic ^= 1; }),
            SSMRT_BAD_VERSION);
  EXPECT_EQ(spoil([](ssmrt_module &m, Info *) { m.abi_version = 9; }),
            SSMRT_BAD_VERSION);
  EXPECT_STREQ(
      ssmrt_last_error(),
      "the layer was compiled for version 9 of the runtime; wanted 3");
  EXPECT_EQ(spoil([](ssmrt_module &m, Info *) { m.struct_size -= 8; }),
            SSMRT_BAD_VERSION);
  EXPECT_EQ(spoil([](ssmrt_module &m, Info *) { m.forward = nullptr; }),
            SSMRT_BAD_VERSION);
  EXPECT_EQ(spoil([](ssmrt_module &m, Info *) { m.num_inputs = 65; }),
            SSMRT_BAD_VERSION);
  EXPECT_EQ(spoil([](ssmrt_module &m, Info *) { m.num_axes = 0; }),
            SSMRT_BAD_VERSION);
  EXPECT_EQ(spoil([](ssmrt_module &m, Info *) { m.num_axes = 5; }),
            SSMRT_BAD_VERSION);
  EXPECT_EQ(spoil([](ssmrt_module &m, Info *) { m.num_axes = 2; }),
            SSMRT_BAD_VERSION);
  EXPECT_STREQ(ssmrt_last_error(),
               "fake: a layer with 2 sequence axes has 2 states and a step; "
               "wanted neither");
  EXPECT_EQ(spoil([](ssmrt_module &m, Info *) { m.num_states = -1; }),
            SSMRT_BAD_VERSION);
  EXPECT_EQ(spoil([](ssmrt_module &m, Info *) { m.weights = nullptr; }),
            SSMRT_BAD_VERSION);
  EXPECT_EQ(spoil([](ssmrt_module &, Info *i) { i[1].name = nullptr; }),
            SSMRT_BAD_VERSION);
  EXPECT_EQ(spoil([](ssmrt_module &, Info *i) { i[0].dtype.bits = 3; }),
            SSMRT_BAD_VERSION);
  EXPECT_EQ(spoil([](ssmrt_module &, Info *i) { i[0].ndim = 17; }),
            SSMRT_BAD_VERSION);
  EXPECT_EQ(spoil([](ssmrt_module &, Info *i) { i[0].shape = nullptr; }),
            SSMRT_BAD_VERSION);
}

TEST(Library, Opens) {
  void *library = nullptr;
  ASSERT_EQ(ssmrt_library_open(SSMRT_FAKE_LAYER, &library), SSMRT_OK)
      << ssmrt_last_error();
  for (const char *name : {"fake", static_cast<const char *>(nullptr)}) {
    const ssmrt_module *module = nullptr;
    ASSERT_EQ(ssmrt_library_module(library, name, &module), SSMRT_OK)
        << ssmrt_last_error();
    EXPECT_STREQ(module->layer, "Fake");
    EXPECT_NE(module, fake_module());
  }
  const ssmrt_module *module = nullptr;
  EXPECT_EQ(ssmrt_library_module(library, "other", &module), SSMRT_NOT_FOUND);
  EXPECT_STREQ(ssmrt_last_error(),
               "no symbol 'other_module' in the library; wanted a shared "
               "object that ssmc compiled");
  std::string longName(600, 'x');
  EXPECT_EQ(ssmrt_library_module(library, longName.c_str(), &module),
            SSMRT_NOT_FOUND);
  ssmrt_library_close(library);
}

TEST(Library, Errors) {
  void *library = nullptr;
  EXPECT_EQ(ssmrt_library_open("no-such-file.so", &library), SSMRT_BAD_FILE);
  EXPECT_EQ(library, nullptr);
  EXPECT_EQ(ssmrt_library_open(nullptr, &library), SSMRT_BAD_ARGUMENT);
  const ssmrt_module *module = nullptr;
  EXPECT_EQ(ssmrt_library_module(nullptr, "x", &module), SSMRT_BAD_ARGUMENT);
  ssmrt_library_close(nullptr);
}

} // namespace
