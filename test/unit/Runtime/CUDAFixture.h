//===- CUDAFixture.h - Layers over a driver that is a fake ------------------===//

#ifndef SSMRT_UNIT_CUDAFIXTURE_H
#define SSMRT_UNIT_CUDAFIXTURE_H

#include "FakeCUDAModule.h"
#include "FakeModule.h"

#include <cstdlib>
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <string>

namespace ssmrt_test {


/// The functions of the fake driver that steer it.
inline const fake_cuda &driver() {
  static const fake_cuda *functions = [] {
    void *library = dlopen(SSMRT_FAKE_CUDA_DRIVER, RTLD_NOW);
    auto get = reinterpret_cast<const fake_cuda *(*)()>(
        dlsym(library, "fake_cuda_functions"));
    return get();
  }();
  return *functions;
}

class CUDA : public testing::Test {
protected:
  void SetUp() override {
    // What cannot be tried once a driver is loaded comes first.
    static bool isFirst = true;
    if (isFirst)
      loadDriver();
    isFirst = false;
    driver().reset();
    driver().add_kernel("decaying_sum", 9, fake_decaying_sum, 1024, 16);
    driver().add_kernel("nothing", 0, nullptr, 1024, 0);
    ASSERT_EQ(ssmrt_cuda_context_create(0, nullptr, &context), SSMRT_OK)
        << ssmrt_last_error();
  }
  void TearDown() override {
    for (void *block : blocks)
      EXPECT_EQ(ssmrt_cuda_free(context, block), SSMRT_OK);
    ssmrt_context_destroy(context);
    EXPECT_EQ(driver().live_memory(), 0);
    EXPECT_EQ(driver().live_modules(), 0);
    EXPECT_EQ(driver().live_contexts(), 0);
  }

  static void loadDriver() {
    int count = 7;
    setenv("SSMRT_CUDA_DRIVER", "/nowhere/libcuda.so.1", 1);
    EXPECT_EQ(ssmrt_cuda_device_count(&count), SSMRT_NO_DEVICE);
    EXPECT_EQ(count, 0);
    EXPECT_EQ(std::string(ssmrt_last_error()).substr(0, 37),
              "no CUDA driver: /nowhere/libcuda.so.1");
    setenv("SSMRT_CUDA_DRIVER", "libm.so.6", 1);
    EXPECT_EQ(ssmrt_cuda_device_count(&count), SSMRT_NO_DEVICE);
    EXPECT_STREQ(ssmrt_last_error(),
                 "the CUDA driver libm.so.6 has no function 'cuInit'; wanted a "
                 "driver for CUDA 11 or later");
    setenv("SSMRT_CUDA_DRIVER", SSMRT_FAKE_CUDA_DRIVER, 1);
    driver().fail("cuInit", 803, 0);
    EXPECT_EQ(ssmrt_cuda_device_count(&count), SSMRT_NO_DEVICE);
    EXPECT_NE(strstr(ssmrt_last_error(),
                     "does not start: CUDA_ERROR_SYSTEM_DRIVER_MISMATCH (803): "
                     "system has unsupported"),
              nullptr);
    driver().fail("cuInit", 100, 0);
    EXPECT_EQ(ssmrt_cuda_device_count(&count), SSMRT_NO_DEVICE);
    EXPECT_NE(strstr(ssmrt_last_error(), "finds no GPU"), nullptr);
  }

  /// Device memory of the context, freed at the end.
  void *allocate(int64_t bytes) { return allocate(context, bytes); }
  void *allocate(ssmrt_context *where, int64_t bytes) {
    void *block = nullptr;
    EXPECT_EQ(ssmrt_cuda_alloc(where, bytes, &block), SSMRT_OK)
        << ssmrt_last_error();
    if (where == context)
      blocks.push_back(block);
    return block;
  }
  void *upload(const void *from, int64_t bytes) {
    void *block = allocate(bytes);
    EXPECT_EQ(ssmrt_cuda_copy_to_device(context, block, from, bytes), SSMRT_OK)
        << ssmrt_last_error();
    return block;
  }
  template <typename T> ssmrt_tensor upload(const Array<T> &array) {
    ssmrt_tensor tensor = array.tensor;
    tensor.data = upload(array.values.data(), array.values.size() * sizeof(T));
    tensor.device = {SSMRT_CUDA, 0};
    return tensor;
  }
  std::vector<float> download(const ssmrt_tensor &tensor, int64_t count) {
    std::vector<float> values(count);
    EXPECT_EQ(
        ssmrt_cuda_copy_to_host(context, values.data(), tensor.data, count * 4),
        SSMRT_OK)
        << ssmrt_last_error();
    return values;
  }

  /// Tables with decay 0.5, scale 2.
  void prepare() {
    Array<float> decay(f32, {3}, {0.5f, 0.5f, 0.5f});
    Array<float> scale(f32, {3}, {2, 2, 2});
    ssmrt_tensor weights[] = {decay.tensor, scale.tensor, {}};
    ASSERT_EQ(
        ssmrt_prepare(module, nullptr, weights, 3, hostTables, 16, nullptr),
        SSMRT_OK)
        << ssmrt_last_error();
    void *payload = allocate(ssmrt_cuda_prepared_bytes(module, 16));
    ASSERT_EQ(ssmrt_cuda_upload(module, context, hostTables, tables, payload),
              SSMRT_OK)
        << ssmrt_last_error();
  }
  void *reset(void *state, int64_t batch) {
    void *payload = allocate(ssmrt_cuda_state_bytes(module, batch, 16));
    EXPECT_EQ(
        ssmrt_cuda_state_reset(module, context, state, payload, batch, 16),
        SSMRT_OK)
        << ssmrt_last_error();
    return payload;
  }

  ssmrt_status forward(const ssmrt_tensor &u, ssmrt_tensor y,
                       void *state = nullptr, bool isStep = false) {
    ssmrt_tensor inputs[] = {u, {}};
    return (isStep ? ssmrt_step : ssmrt_forward)(
        called ? called : module, context, tables, inputs, 2, &y, 1, state,
        workspace ? workspace
                  : workspace = allocate(ssmrt_workspace_bytes(module, 4, 16)));
  }

  const ssmrt_module *module = fake_cuda_module(), *called = nullptr;
  ssmrt_context *context = nullptr;
  std::vector<void *> blocks;
  Block hostTables{1024}, tables{64}, state{64}, other{64};
  void *workspace = nullptr;
};

/// A module whose code a test may change.
struct Code {
  Code() {
    code = *fake_cuda_module()->cuda_code;
    module = *fake_cuda_module();
    module.cuda_code = &code;
  }
  ssmrt_cuda_code code;
  ssmrt_module module;
};

} // namespace ssmrt_test

#endif // SSMRT_UNIT_CUDAFIXTURE_H
