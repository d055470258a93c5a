//===- ExecuteTest.cpp - forward and step of a prepared layer -------------===//

#include "PreparedLayer.h"

#include <numeric>

using namespace ssmrt_test;

namespace {

using Execute = PreparedLayer;

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

} // namespace
