//===- CUDACallTest.cpp - Calls of layers on GPUs -------------------------===//
//
// Over a driver that is a fake: what is launched and with what, and what is refused.
//
//===----------------------------------------------------------------------===//

#include "CUDAFixture.h"

#include <thread>

using namespace ssmrt_test;

namespace {

//===----------------------------------------------------------------------===//
// Calls
//===----------------------------------------------------------------------===//

TEST_F(CUDA, Forward) {
  prepare();
  Array<float> u(f32, {1, 2, 3}, {1, 2, 3, 4, 5, 6});
  Array<float> y(f32, {1, 2, 3});
  ssmrt_tensor input = upload(u), output = upload(y);
  ASSERT_EQ(forward(input, output), SSMRT_OK) << ssmrt_last_error();
  EXPECT_EQ(download(output, 6), (std::vector<float>{2, 4, 6, 9, 12, 15}));
  ASSERT_EQ(driver().launches(), 2);
  const fake_launch *launch = driver().launch(0);
  EXPECT_STREQ(launch->kernel, "decaying_sum");
  EXPECT_EQ(launch->grid[0], 1u);
  EXPECT_EQ(launch->block[0], 32u);
  EXPECT_EQ(launch->block[1], 2u);
  EXPECT_EQ(launch->shared_bytes, 50000u);
  EXPECT_STREQ(driver().launch(1)->kernel, "nothing");
  EXPECT_EQ(driver().calls("cuStreamSynchronize"), 1); // of the download
  // Nothing is done for no tokens, but what needs no grid of them.
  Array<float> none(f32, {1, 0, 3});
  ssmrt_tensor empty = none.tensor;
  empty.device = {SSMRT_CUDA, 0};
  EXPECT_EQ(forward(empty, empty), SSMRT_OK) << ssmrt_last_error();
  EXPECT_EQ(driver().launches(), 3);
}

TEST_F(CUDA, StreamAndOffset) {
  void *stream = driver().make_stream(0);
  ssmrt_context_destroy(context);
  ASSERT_EQ(ssmrt_cuda_context_create(0, stream, &context), SSMRT_OK);
  prepare();
  Array<float> u(f32, {1, 2, 3}, {0, 0, 0, 4, 5, 6});
  Array<float> y(f32, {1, 1, 3});
  ssmrt_tensor input = upload(u), output = upload(y);
  input.shape = y.shape.data();
  input.byte_offset = 12;
  ASSERT_EQ(forward(input, output), SSMRT_OK) << ssmrt_last_error();
  EXPECT_EQ(download(output, 3), (std::vector<float>{8, 10, 12}));
  EXPECT_EQ(driver().launch(0)->stream, stream);
}

TEST_F(CUDA, SegmentsAndSteps) {
  prepare();
  reset(state, 1);
  Array<float> u(f32, {1, 1, 3}, {1, 1, 1}), y(f32, {1, 1, 3});
  ssmrt_tensor input = upload(u), output = upload(y);
  ASSERT_EQ(forward(input, output, state), SSMRT_OK) << ssmrt_last_error();
  ASSERT_EQ(forward(input, output, state, /*isStep=*/true), SSMRT_OK);
  EXPECT_EQ(download(output, 3), (std::vector<float>{3, 3, 3}));
  // Copied, and chosen by rows.
  void *payload = allocate(ssmrt_cuda_state_bytes(module, 1, 16));
  ASSERT_EQ(ssmrt_cuda_state_copy(module, context, other, payload, state),
            SSMRT_OK);
  ASSERT_EQ(forward(input, output, state, true), SSMRT_OK);
  EXPECT_EQ(download(output, 3), (std::vector<float>{3.5, 3.5, 3.5}));
  ASSERT_EQ(forward(input, output, other, true), SSMRT_OK);
  EXPECT_EQ(download(output, 3), (std::vector<float>{3.5, 3.5, 3.5}));
  Block rows(64), host(1024);
  int64_t twice[] = {0, 0};
  void *both = allocate(ssmrt_cuda_state_bytes(module, 2, 16));
  ASSERT_EQ(
      ssmrt_cuda_state_select(module, context, rows, both, state, twice, 2),
      SSMRT_OK)
      << ssmrt_last_error();
  ASSERT_EQ(ssmrt_cuda_download(module, context, rows, host), SSMRT_OK);
  int64_t shape[SSMRT_MAX_DIMS];
  ssmrt_tensor view;
  ASSERT_EQ(ssmrt_state_view(module, host, 1, shape, &view), SSMRT_OK);
  EXPECT_EQ(view.device.device_type, SSMRT_CPU);
  EXPECT_EQ(static_cast<int64_t *>(view.data)[3], 3);
  ASSERT_EQ(ssmrt_state_view(module, rows, 0, shape, &view), SSMRT_OK);
  EXPECT_EQ(view.device.device_type, SSMRT_CUDA);
  EXPECT_EQ(view.data, both);
  EXPECT_EQ(download(view, 6), (std::vector<float>(6, 1.75f)));
  // And back, from where it was.
  ASSERT_EQ(ssmrt_cuda_upload(module, context, host, rows, both), SSMRT_OK);
  ASSERT_EQ(ssmrt_state_view(module, rows, 0, shape, &view), SSMRT_OK);
  EXPECT_EQ(download(view, 6), (std::vector<float>(6, 1.75f)));

  int64_t beyond[] = {1};
  EXPECT_EQ(ssmrt_cuda_state_select(module, context, other, payload, state,
                                    beyond, 1),
            SSMRT_BAD_ARGUMENT);
  EXPECT_EQ(ssmrt_cuda_state_select(module, context, other, view.data, rows,
                                    twice, 1),
            SSMRT_BAD_ARGUMENT);
  EXPECT_STREQ(ssmrt_last_error(),
               "fake: rows are selected into the block they come from");
  EXPECT_EQ(ssmrt_cuda_state_copy(module, context, other,
                                  static_cast<char *>(both) + 64, rows),
            SSMRT_BAD_ARGUMENT);
  for (const char *function : {"cuMemcpyDtoDAsync", "cuMemsetD8Async"}) {
    driver().fail(function, 700, 0);
    EXPECT_EQ(ssmrt_cuda_state_select(module, context, other, payload, state,
                                      twice, 1),
              SSMRT_DEVICE_FAILED);
  }
}

TEST_F(CUDA, InitialAndFinalStates) {
  std::vector<ssmrt_value_info> inputs(module->inputs, module->inputs + 2);
  inputs.push_back(module->states[0]);
  inputs[2].flags = SSMRT_OPTIONAL | SSMRT_INITIAL;
  std::vector<ssmrt_value_info> outputs(module->outputs, module->outputs + 1);
  outputs.push_back(module->states[0]);
  outputs[1].flags = SSMRT_FINAL;
  ssmrt_module states = *module;
  states.inputs = inputs.data();
  states.outputs = outputs.data();
  states.num_inputs = 3;
  states.num_outputs = 2;
  ASSERT_EQ(ssmrt_module_check(&states), SSMRT_OK) << ssmrt_last_error();
  prepare();
  Array<float> u(f32, {1, 1, 3}, {1, 1, 1}), y(f32, {1, 1, 3});
  Array<float> first(f32, {1, 3}, {4, 8, 12}), last(f32, {1, 3});
  ssmrt_tensor given[] = {upload(u), {}, upload(first)};
  ssmrt_tensor wanted[] = {upload(y), upload(last)};
  workspace = allocate(ssmrt_workspace_bytes(module, 1, 1));
  ASSERT_EQ(ssmrt_forward(&states, context, tables, given, 3, wanted, 2,
                          nullptr, workspace),
            SSMRT_OK)
      << ssmrt_last_error();
  EXPECT_EQ(download(wanted[1], 3), (std::vector<float>{3, 5, 7}));
  outputs[1].dtype = bf16;
  EXPECT_EQ(ssmrt_module_check(&states), SSMRT_BAD_VERSION);
  EXPECT_STREQ(ssmrt_last_error(),
               "fake: 's' is bf16 and its state 's' is f32; "
               "wanted one dtype on a GPU");
}

//===----------------------------------------------------------------------===//
// Mistakes
//===----------------------------------------------------------------------===//

TEST_F(CUDA, WrongPlace) {
  prepare();
  Array<float> u(f32, {1, 1, 3}, {1, 1, 1}), y(f32, {1, 1, 3});
  ssmrt_tensor input = upload(u), output = upload(y);
  EXPECT_EQ(forward(u.tensor, output), SSMRT_BAD_ARGUMENT);
  EXPECT_STREQ(
      ssmrt_last_error(),
      "fake: input 'u' is in host memory; wanted memory of GPU 0, which "
      "the context is for");
  EXPECT_EQ(forward(input, y.tensor), SSMRT_BAD_ARGUMENT);
  EXPECT_STREQ(
      ssmrt_last_error(),
      "fake: output 'y' is in host memory; wanted memory of GPU 0, which "
      "the context is for");
  ssmrt_tensor elsewhere = input;
  elsewhere.device.device_id = 1;
  EXPECT_EQ(forward(elsewhere, output), SSMRT_BAD_ARGUMENT);
  EXPECT_STREQ(ssmrt_last_error(),
               "fake: input 'u' is in memory of GPU 1; wanted memory of GPU 0, "
               "which the context is for");
  // The blocks.
  ssmrt_tensor inputs[] = {input, {}};
  EXPECT_EQ(ssmrt_forward(module, context, hostTables, inputs, 2, &output, 1,
                          nullptr, workspace),
            SSMRT_BAD_ARGUMENT);
  EXPECT_STREQ(
      ssmrt_last_error(),
      "fake: the payload of the prepared tables is in host memory; wanted "
      "it in memory of GPU 0: ssmrt_cuda_upload brings it there");
  Block host(1024);
  ASSERT_EQ(ssmrt_state_reset(module, host, 1, 16), SSMRT_OK);
  EXPECT_EQ(forward(input, output, host), SSMRT_BAD_STATE);
  reset(state, 1);
  EXPECT_EQ(ssmrt_state_copy(module, host, state), SSMRT_BAD_STATE);
  EXPECT_NE(strstr(ssmrt_last_error(), "ssmrt_cuda_download brings it there"),
            nullptr);
  EXPECT_EQ(ssmrt_cuda_upload(module, context, tables, other, workspace),
            SSMRT_BAD_ARGUMENT);
  EXPECT_EQ(ssmrt_cuda_download(module, context, host, host), SSMRT_BAD_STATE);
  // A context of threads; of another device.
  EXPECT_EQ(ssmrt_forward(module, nullptr, tables, inputs, 2, &output, 1,
                          nullptr, workspace),
            SSMRT_BAD_ARGUMENT);
  EXPECT_STREQ(ssmrt_last_error(),
               "fake: the context is a null pointer; wanted "
               "one of ssmrt_cuda_context_create");
  ssmrt_context *second;
  ASSERT_EQ(ssmrt_cuda_context_create(1, nullptr, &second), SSMRT_OK);
  EXPECT_EQ(ssmrt_forward(module, second, tables, inputs, 2, &output, 1,
                          nullptr, workspace),
            SSMRT_BAD_ARGUMENT);
  inputs[0] = elsewhere;
  output.device.device_id = 1;
  EXPECT_EQ(ssmrt_forward(module, second, tables, inputs, 2, &output, 1,
                          nullptr, workspace),
            SSMRT_BAD_ARGUMENT);
  EXPECT_STREQ(
      ssmrt_last_error(),
      "fake: the payload of the prepared tables is in memory of GPU 0; "
      "wanted it in memory of GPU 1");
  EXPECT_EQ(ssmrt_cuda_state_copy(module, second, other, workspace, state),
            SSMRT_BAD_STATE);
  ssmrt_context_destroy(second);
  EXPECT_EQ(driver().launches(), 0);
}

TEST_F(CUDA, Memories) {
  prepare();
  Array<float> u(f32, {1, 1, 3}, {1, 1, 1}), y(f32, {1, 1, 3});
  ssmrt_tensor input = upload(u), output = upload(y);
  EXPECT_EQ(forward(input, input), SSMRT_BAD_ARGUMENT);
  EXPECT_STREQ(ssmrt_last_error(),
               "fake: output 'y' overlaps input 'u'; wanted memory apart");
  void *payload = reset(state, 1);
  ssmrt_tensor inside = output;
  inside.data = payload;
  EXPECT_EQ(forward(input, inside, state), SSMRT_BAD_ARGUMENT);
  EXPECT_STREQ(ssmrt_last_error(),
               "fake: output 'y' overlaps the state; wanted memory apart");
  ssmrt_tensor odd = input;
  odd.data = static_cast<char *>(odd.data) + 2;
  EXPECT_EQ(forward(odd, output), SSMRT_BAD_ARGUMENT);
  int64_t strides[] = {3, 1, 3};
  ssmrt_tensor strided = input;
  strided.strides = strides;
  EXPECT_EQ(forward(strided, output), SSMRT_BAD_ARGUMENT);
  workspace = nullptr;
  void *askew = allocate(1024);
  ssmrt_tensor inputs[] = {input, {}};
  EXPECT_EQ(ssmrt_forward(module, context, tables, inputs, 2, &output, 1,
                          nullptr, static_cast<char *>(askew) + 32),
            SSMRT_BAD_ARGUMENT);
  EXPECT_EQ(ssmrt_cuda_state_reset(module, context, state, nullptr, 1, 16),
            SSMRT_BAD_ARGUMENT);
  EXPECT_STREQ(ssmrt_last_error(), "the payload is a null pointer");
  // A header that is damaged.
  EXPECT_EQ(ssmrt_cuda_state_reset(module, context, state, payload, 1, 16),
            SSMRT_OK);
  state.bytes()[56] += 1;
  EXPECT_EQ(forward(input, output, state), SSMRT_BAD_STATE);
  EXPECT_NE(strstr(ssmrt_last_error(), "header is damaged"), nullptr);
}

TEST_F(CUDA, ModulesOfBothKinds) {
  ssmrt_module both = *fake_module();
  both.cuda = module;
  std::vector<ssmrt_value_info> weights(both.weights, both.weights + 3);
  ASSERT_EQ(ssmrt_module_check(&both), SSMRT_OK) << ssmrt_last_error();
  prepare();
  called = &both;
  Array<float> u(f32, {1, 1, 3}, {1, 2, 3}), y(f32, {1, 1, 3});
  ssmrt_tensor input = upload(u), output = upload(y);
  ASSERT_EQ(forward(input, output), SSMRT_OK) << ssmrt_last_error();
  EXPECT_EQ(download(output, 3), (std::vector<float>{2, 4, 6}));
  EXPECT_EQ(ssmrt_cuda_load(&both, context), SSMRT_OK);
  // The first value decides, and the others have to follow.
  EXPECT_EQ(forward(input, y.tensor), SSMRT_BAD_ARGUMENT);
  EXPECT_STREQ(
      ssmrt_last_error(),
      "fake: output 'y' is in host memory; wanted memory of GPU 0, which "
      "the context is for");
  Block hostWorkspace(1024);
  workspace = hostWorkspace;
  EXPECT_EQ(forward(u.tensor, output), SSMRT_BAD_ARGUMENT);
  EXPECT_STREQ(ssmrt_last_error(),
               "fake: output 'y' is in memory of GPU 0; wanted "
               "host memory, where the values before it are");
  EXPECT_EQ(forward(u.tensor, y.tensor), SSMRT_BAD_ARGUMENT);
  EXPECT_NE(strstr(ssmrt_last_error(), "the prepared tables"), nullptr);
  both.cuda = nullptr;
  EXPECT_EQ(forward(input, output), SSMRT_BAD_ARGUMENT);
  EXPECT_STREQ(
      ssmrt_last_error(),
      "fake: input 'u' is in memory of GPU 0; wanted host memory, for "
      "which the layer was compiled (--target cuda, or cpu,cuda, makes "
      "one for GPUs)");

  auto spoil = [&](auto change) {
    ssmrt_module cuda = *fake_cuda_module(), cpu = *fake_module();
    cpu.cuda = &cuda;
    change(cpu, cuda);
    return ssmrt_module_check(&cpu);
  };
  EXPECT_EQ(spoil([](auto &, auto &c) { c.cuda_code = nullptr; }),
            SSMRT_BAD_VERSION);
  EXPECT_EQ(spoil([](auto &, auto &c) { c.num_inputs = 1; }),
            SSMRT_BAD_VERSION);
  EXPECT_EQ(spoil([](auto &m, auto &) { m.cuda = fake_module(); }),
            SSMRT_BAD_VERSION);
  EXPECT_EQ(spoil([](auto &m, auto &) { m.device_type = 3; }),
            SSMRT_BAD_VERSION);
  EXPECT_EQ(spoil([](auto &m, auto &c) { m.cuda_code = c.cuda_code; }),
            SSMRT_BAD_VERSION);
  weights[1].flags = SSMRT_BORROWED;
  EXPECT_EQ(spoil([&](auto &, auto &c) { c.weights = weights.data(); }),
            SSMRT_BAD_VERSION);
  EXPECT_STREQ(ssmrt_last_error(),
               "fake: weight 'scale' is used in place, in host "
               "memory, which kernels do not see");
}

//===----------------------------------------------------------------------===//
// Launches
//===----------------------------------------------------------------------===//

TEST_F(CUDA, FailedLaunch) {
  prepare();
  reset(state, 1);
  Array<float> u(f32, {1, 1, 3}, {1, 1, 1}), y(f32, {1, 1, 3});
  ssmrt_tensor input = upload(u), output = upload(y);
  driver().fail("cuLaunchKernel", 700, 0);
  EXPECT_EQ(forward(input, output, state), SSMRT_DEVICE_FAILED);
  EXPECT_STREQ(
      ssmrt_last_error(),
      "launching kernel 'decaying_sum' (or running one before it), grid "
      "1 x 1 x 1, block 32 x 2 x 1, 50000 bytes shared: "
      "CUDA_ERROR_ILLEGAL_ADDRESS (700): an illegal memory access");
  EXPECT_EQ(driver().launches(), 0); // the second was skipped
  int64_t shape[SSMRT_MAX_DIMS];
  EXPECT_EQ(ssmrt_cuda_state_advance(module, state, -1), SSMRT_BAD_ARGUMENT);
  // Forgotten with the call.
  EXPECT_EQ(forward(input, output, state), SSMRT_OK);
  (void)shape;
  EXPECT_EQ(driver().launches(), 2);
  driver().fail("cuCtxPushCurrent", 201, 0);
  EXPECT_EQ(forward(input, output, state), SSMRT_DEVICE_FAILED);
  driver().fail("cuMemsetD8Async", 700, 0);
  EXPECT_EQ(forward(input, output), SSMRT_DEVICE_FAILED);
}

/// Launches by hand, and takes the message from the call that follows.
TEST_F(CUDA, Geometry) {
  driver().add_kernel("small", 0, nullptr, 256, 0);
  const char *names[] = {"small"};
  Code layer;
  layer.code.kernels = names;
  layer.code.num_kernels = 1;
  layer.code.kernel_max_shared = nullptr;
  static const ssmrt_cuda_code *code;
  static ssmrt_cuda_geometry geometry;
  static int32_t kernel;
  code = &layer.code;
  layer.module.forward = [](const ssmrt_frame *frame) {
    frame->context->launch(frame->context, code, kernel, &geometry, nullptr);
  };
  prepare();
  Array<float> u(f32, {1, 1, 3}, {1, 1, 1}), y(f32, {1, 1, 3});
  ssmrt_tensor input = upload(u), output = upload(y);
  called = &layer.module;
  auto launch = [&](ssmrt_cuda_geometry wanted, int32_t index = 0) {
    geometry = wanted;
    kernel = index;
    return forward(input, output) == SSMRT_OK ? "" : ssmrt_last_error();
  };
  EXPECT_STREQ(launch({{2147483647, 65535, 65535}, {256, 1, 1}, 49152, 0}), "");
  EXPECT_STREQ(launch({{0, 1, 1}, {999999, 0, 1}, 0, 0}), "");
  EXPECT_STREQ(
      launch({{1, 65536, 1}, {1, 1, 1}, 0, 0}),
      "kernel 'small' has a grid of 65536 blocks along y; GPU 0 takes at "
      "most 65535");
  EXPECT_STREQ(
      launch({{1, 1, 1}, {1, 1, 65}, 0, 0}),
      "kernel 'small' has blocks of 65 threads along z; GPU 0 takes 1 to "
      "64");
  EXPECT_STREQ(
      launch({{1, 1, 1}, {0, 1, 1}, 0, 0}),
      "kernel 'small' has blocks of 0 threads along x; GPU 0 takes 1 to "
      "1024");
  EXPECT_STREQ(
      launch({{1, 1, 1}, {16, 32, 1}, 0, 0}),
      "kernel 'small' has blocks of 512 threads; GPU 0 takes at most 256 "
      "of this kernel");
  EXPECT_STREQ(
      launch({{1, 1, 1}, {1, 1, 1}, 49153, 0}),
      "kernel 'small' has 49153 bytes of dynamic shared memory; wanted at "
      "most 49152");
  EXPECT_STREQ(launch({{1, 1, 1}, {1, 1, 1}, 0, 0}, 1),
               "kernel 1; wanted 0 to 0");
  EXPECT_EQ(driver().launches(), 1);
}

TEST_F(CUDA, WaitsForKernels) {
  setenv("SSMRT_CUDA_WAIT", "1", 1);
  ssmrt_context_destroy(context);
  ASSERT_EQ(ssmrt_cuda_context_create(0, nullptr, &context), SSMRT_OK);
  unsetenv("SSMRT_CUDA_WAIT");
  prepare();
  Array<float> u(f32, {1, 1, 3}, {1, 1, 1}), y(f32, {1, 1, 3});
  ssmrt_tensor input = upload(u), output = upload(y);
  driver().fail("cuStreamSynchronize", 700, 1);
  EXPECT_EQ(forward(input, output), SSMRT_DEVICE_FAILED);
  EXPECT_STREQ(ssmrt_last_error(),
               "running kernel 'nothing': CUDA_ERROR_ILLEGAL_ADDRESS (700): an "
               "illegal memory access");
}

/// Code at the same address may be another's, once a library is closed.
TEST_F(CUDA, ClosedLibrary) {
  void *library;
  const ssmrt_module *loaded;
  ASSERT_EQ(ssmrt_library_open(SSMRT_FAKE_CUDA_LAYER, &library), SSMRT_OK)
      << ssmrt_last_error();
  ASSERT_EQ(ssmrt_library_module(library, nullptr, &loaded), SSMRT_OK);
  EXPECT_EQ(ssmrt_cuda_load(loaded, context), SSMRT_OK);
  EXPECT_EQ(ssmrt_cuda_load(module, context), SSMRT_OK);
  ssmrt_library_close(library);
  EXPECT_EQ(ssmrt_cuda_load(module, context), SSMRT_OK);
  EXPECT_EQ(driver().calls("cuModuleLoadDataEx"), 2);
  ASSERT_EQ(ssmrt_library_open(SSMRT_FAKE_CUDA_LAYER, &library), SSMRT_OK);
  ASSERT_EQ(ssmrt_library_module(library, nullptr, &loaded), SSMRT_OK);
  EXPECT_EQ(ssmrt_cuda_load(loaded, context), SSMRT_OK);
  EXPECT_EQ(driver().calls("cuModuleLoadDataEx"), 3);
  ssmrt_library_close(library);
}

TEST_F(CUDA, Capture) {
  void *stream = driver().make_stream(0);
  ssmrt_context_destroy(context);
  ASSERT_EQ(ssmrt_cuda_context_create(0, stream, &context), SSMRT_OK);
  prepare();
  reset(state, 1);
  Array<float> u(f32, {1, 1, 3}, {1, 1, 1}), y(f32, {1, 1, 3});
  ssmrt_tensor input = upload(u), output = upload(y);
  workspace = allocate(ssmrt_workspace_bytes(module, 1, 1));
  driver().begin_capture(stream);
  EXPECT_EQ(forward(input, output, state, true), SSMRT_BAD_ARGUMENT);
  EXPECT_STREQ(ssmrt_last_error(),
               "the layer: its kernels are not loaded, and the stream is being "
               "captured; wanted ssmrt_cuda_load before");
  driver().end_capture(stream);
  ASSERT_EQ(ssmrt_cuda_load(module, context), SSMRT_OK);
  driver().begin_capture(stream);
  ASSERT_EQ(forward(input, output, state, true), SSMRT_OK)
      << ssmrt_last_error();
  // Without a state, too: it is zeroed by the graph.
  ASSERT_EQ(forward(input, output), SSMRT_OK) << ssmrt_last_error();
  driver().end_capture(stream);
  EXPECT_EQ(driver().launches(), 0);
  ASSERT_EQ(ssmrt_cuda_state_advance(module, state, -1), SSMRT_OK);
  driver().replay(stream);
  EXPECT_EQ(download(output, 3), (std::vector<float>{2, 2, 2}));
  driver().replay(stream);
  ASSERT_EQ(ssmrt_cuda_state_advance(module, state, 2), SSMRT_OK);
  ASSERT_EQ(forward(input, output, state, true), SSMRT_OK);
  EXPECT_EQ(download(output, 3), (std::vector<float>{3.5, 3.5, 3.5}));
  EXPECT_EQ(ssmrt_cuda_state_advance(module, state, -4), SSMRT_BAD_ARGUMENT);
  EXPECT_STREQ(ssmrt_last_error(),
               "fake: position 3 and -4 tokens more; wanted at least 0");
  ssmrt_module positioned = *module;
  positioned.flags = SSMRT_READS_POSITION;
  EXPECT_EQ(ssmrt_cuda_state_advance(&positioned, state, 1),
            SSMRT_BAD_ARGUMENT);
  EXPECT_NE(strstr(ssmrt_last_error(), "depend on the position"), nullptr);
}

// On the device's own stream, which the context has.
TEST_F(CUDA, Graph) {
  prepare();
  reset(state, 1);
  Array<float> u(f32, {1, 1, 3}, {1, 1, 1}), y(f32, {1, 1, 3});
  ssmrt_tensor input = upload(u), output = upload(y);
  workspace = allocate(ssmrt_workspace_bytes(module, 1, 1));
  ASSERT_EQ(ssmrt_cuda_load(module, context), SSMRT_OK);
  ssmrt_cuda_graph *graph = nullptr;
  EXPECT_EQ(ssmrt_cuda_graph_end(context, &graph), SSMRT_BAD_ARGUMENT);
  EXPECT_STREQ(ssmrt_last_error(), "ssmrt_cuda_graph_end: no graph has begun");
  ASSERT_EQ(ssmrt_cuda_graph_begin(context), SSMRT_OK) << ssmrt_last_error();
  EXPECT_EQ(ssmrt_cuda_graph_begin(context), SSMRT_BAD_ARGUMENT);
  ASSERT_EQ(forward(input, output, state, true), SSMRT_OK)
      << ssmrt_last_error();
  ASSERT_EQ(ssmrt_cuda_graph_end(context, &graph), SSMRT_OK);
  EXPECT_EQ(driver().launches(), 0);
  ASSERT_EQ(ssmrt_cuda_graph_launch(context, graph), SSMRT_OK);
  ASSERT_EQ(ssmrt_cuda_graph_launch(context, graph), SSMRT_OK);
  ASSERT_EQ(ssmrt_cuda_state_advance(module, state, 1), SSMRT_OK);
  ASSERT_EQ(forward(input, output, state, true), SSMRT_OK);
  EXPECT_EQ(download(output, 3), (std::vector<float>{3.5, 3.5, 3.5}));
  ssmrt_cuda_graph_destroy(context, graph);
  ssmrt_cuda_graph_destroy(context, nullptr);
  driver().fail("cuStreamBeginCapture", 900, 0);
  EXPECT_EQ(ssmrt_cuda_graph_begin(context), SSMRT_DEVICE_FAILED);
}

// What prepare leaves to the device is made of what is there already.
TEST_F(CUDA, PrepareOnDevice) {
  prepare();
  static ssmrt_frame seen;
  static std::vector<char> found;
  ssmrt_module other = *module;
  other.prepare_on_device = [](const ssmrt_frame *frame) {
    seen = *frame;
    auto *bytes = static_cast<const char *>(frame->prepared);
    found.assign(bytes, bytes + found.size());
  };
  int64_t size = ssmrt_cuda_prepared_bytes(module, 16);
  found.assign(size, 0);
  void *payload = allocate(size);
  Block header(SSMRT_HEADER_BYTES);
  ASSERT_EQ(ssmrt_cuda_upload(&other, context, hostTables, header, payload), SSMRT_OK)
      << ssmrt_last_error();
  EXPECT_EQ(seen.context, context);
  EXPECT_EQ(seen.prepared, payload);
  EXPECT_EQ(seen.prepared_length, 16);
  auto *given = static_cast<const char *>(static_cast<void *>(hostTables));
  EXPECT_EQ(memcmp(found.data(), given + SSMRT_HEADER_BYTES, size), 0);
}

// Kernels whose image says that they wait by themselves may begin early.
TEST_F(CUDA, Overlap) {
  driver().set_overlaps(true);
  prepare();
  Array<float> u(f32, {1, 1, 3}, {1, 2, 3}), y(f32, {1, 1, 3});
  ssmrt_tensor input = upload(u), output = upload(y);
  workspace = allocate(ssmrt_workspace_bytes(module, 1, 1));
  ASSERT_EQ(forward(input, output), SSMRT_OK) << ssmrt_last_error();
  EXPECT_GT(driver().launches(), 0);
  EXPECT_EQ(driver().calls("cuLaunchKernelEx"), driver().launches());
}

TEST_F(CUDA, TwoDevicesAtOnce) {
  prepare();
  Array<float> u(f32, {1, 1, 3}, {1, 2, 3}), y(f32, {1, 1, 3});
  ssmrt_tensor input = upload(u), output = upload(y);
  std::thread([&] {
    ssmrt_context *second;
    ASSERT_EQ(ssmrt_cuda_context_create(1, driver().make_stream(1), &second),
              SSMRT_OK);
    void *memory = allocate(second, 4096);
    auto at = [&](int offset) { return static_cast<char *>(memory) + offset; };
    Block there(64);
    ASSERT_EQ(ssmrt_cuda_upload(module, second, hostTables, there, at(0)),
              SSMRT_OK);
    ssmrt_tensor inputs[] = {input, {}}, result = output;
    inputs[0].data = at(1024);
    result.data = at(2048);
    inputs[0].device.device_id = result.device.device_id = 1;
    ASSERT_EQ(ssmrt_cuda_copy_to_device(second, at(1024), u.values.data(), 12),
              SSMRT_OK);
    ASSERT_EQ(ssmrt_forward(module, second, there, inputs, 2, &result, 1,
                            nullptr, at(3072)),
              SSMRT_OK)
        << ssmrt_last_error();
    float back[3];
    ASSERT_EQ(ssmrt_cuda_copy_to_host(second, back, at(2048), 12), SSMRT_OK);
    EXPECT_EQ(back[2], 6);
    EXPECT_EQ(driver().launch(0)->device, 1);
    ASSERT_EQ(ssmrt_cuda_free(second, memory), SSMRT_OK);
    ssmrt_context_destroy(second);
  }).join();
  ASSERT_EQ(forward(input, output), SSMRT_OK) << ssmrt_last_error();
  EXPECT_EQ(driver().launch(2)->device, 0);
}

} // namespace
