//===- CUDATest.cpp - Contexts, memory and kernels of GPUs ----------------===//
//
// Over a driver that is a fake: what it is asked for, and every failure of it.
//
//===----------------------------------------------------------------------===//

#include "CUDAFixture.h"

using namespace ssmrt_test;

namespace {

//===----------------------------------------------------------------------===//
// Contexts and memory
//===----------------------------------------------------------------------===//

TEST_F(CUDA, Devices) {
  int count;
  EXPECT_EQ(ssmrt_cuda_device_count(&count), SSMRT_OK);
  EXPECT_EQ(count, 2);
  ssmrt_cuda_device info;
  ASSERT_EQ(ssmrt_cuda_device_info(1, &info), SSMRT_OK);
  EXPECT_STREQ(info.name, "Fake GPU 1");
  EXPECT_EQ(info.arch, 90);
  EXPECT_EQ(info.driver_version, 12040);
  EXPECT_EQ(info.multiprocessors, 132);
  EXPECT_EQ(info.max_shared_bytes, 232448);
  EXPECT_EQ(ssmrt_cuda_device_info(2, &info), SSMRT_NO_DEVICE);
  EXPECT_STREQ(ssmrt_last_error(), "no GPU 2; wanted 0 to 1");
  ssmrt_context *second = nullptr;
  EXPECT_EQ(ssmrt_cuda_context_create(-1, nullptr, &second), SSMRT_NO_DEVICE);
  driver().set_count(0);
  EXPECT_EQ(ssmrt_cuda_context_create(0, nullptr, &second), SSMRT_NO_DEVICE);
  EXPECT_STREQ(ssmrt_last_error(), "the CUDA driver finds no GPU");
  EXPECT_EQ(second, nullptr);
}

TEST_F(CUDA, CreationFails) {
  for (const char *function :
       {"cuDevicePrimaryCtxRetain", "cuDeviceGetAttribute", "cuCtxPushCurrent",
        "cuStreamGetCtx"}) {
    ssmrt_context *second = nullptr;
    driver().fail(function, 2, 0);
    EXPECT_EQ(ssmrt_cuda_context_create(1, driver().make_stream(1), &second),
              SSMRT_NO_MEMORY)
        << function;
    EXPECT_NE(
        strstr(ssmrt_last_error(), "CUDA_ERROR_OUT_OF_MEMORY (2): out of"),
        nullptr)
        << ssmrt_last_error();
    EXPECT_EQ(second, nullptr);
  }
  ssmrt_context *second = nullptr;
  EXPECT_EQ(ssmrt_cuda_context_create(1, driver().make_stream(0), &second),
            SSMRT_BAD_ARGUMENT);
  EXPECT_NE(
      strstr(ssmrt_last_error(), "wanted one of the primary context of GPU 1"),
      nullptr);
}

TEST_F(CUDA, Memory) {
  void *block = &block;
  EXPECT_EQ(ssmrt_cuda_alloc(context, 0, &block), SSMRT_OK);
  EXPECT_EQ(block, nullptr);
  EXPECT_EQ(ssmrt_cuda_free(context, nullptr), SSMRT_OK);
  EXPECT_EQ(ssmrt_cuda_alloc(context, -1, &block), SSMRT_BAD_ARGUMENT);
  EXPECT_EQ(ssmrt_cuda_alloc(context, int64_t(1) << 40, &block),
            SSMRT_NO_MEMORY);
  EXPECT_STREQ(ssmrt_last_error(),
               "no memory for 1099511627776 bytes on GPU 0, where 8388608 of "
               "16777216 bytes are free");
  EXPECT_EQ(ssmrt_cuda_alloc(ssmrt_context_serial(), 1, &block),
            SSMRT_BAD_ARGUMENT);
  EXPECT_STREQ(
      ssmrt_last_error(),
      "ssmrt_cuda_alloc: the context has threads and no GPU; wanted one "
      "of ssmrt_cuda_context_create");
  EXPECT_EQ(ssmrt_cuda_alloc(nullptr, 1, &block), SSMRT_BAD_ARGUMENT);
  int number = 5, back = 0;
  void *there = upload(&number, sizeof(number));
  EXPECT_EQ(ssmrt_cuda_copy_to_host(context, &back, there, sizeof(back)),
            SSMRT_OK);
  EXPECT_EQ(back, 5);
  driver().fail("cuStreamSynchronize", 700, 0);
  EXPECT_EQ(ssmrt_cuda_copy_to_host(context, &back, there, sizeof(back)),
            SSMRT_DEVICE_FAILED);
  EXPECT_STREQ(ssmrt_last_error(),
               "copying 4 bytes from GPU 0: "
               "CUDA_ERROR_ILLEGAL_ADDRESS (700): an illegal "
               "memory access");
  driver().fail("cuMemcpyHtoDAsync", 12345, 0);
  EXPECT_EQ(ssmrt_cuda_copy_to_device(context, there, &number, 4),
            SSMRT_DEVICE_FAILED);
  EXPECT_STREQ(ssmrt_last_error(),
               "copying 4 bytes to GPU 0: an error that the "
               "driver does not name (12345): no text");
  EXPECT_EQ(ssmrt_cuda_copy_to_device(context, nullptr, &number, 4),
            SSMRT_BAD_ARGUMENT);
  void *elsewhere = allocate(sizeof(number));
  EXPECT_EQ(ssmrt_cuda_copy(context, elsewhere, there, 4), SSMRT_OK);
  back = 0;
  EXPECT_EQ(ssmrt_cuda_copy_to_host(context, &back, elsewhere, 4), SSMRT_OK);
  EXPECT_EQ(back, 5);
  EXPECT_EQ(ssmrt_cuda_copy(context, elsewhere, &number, 4),
            SSMRT_DEVICE_FAILED);
  EXPECT_EQ(ssmrt_cuda_free(context, &number), SSMRT_DEVICE_FAILED);
  EXPECT_EQ(ssmrt_cuda_synchronize(context), SSMRT_OK);
  driver().fail("cuStreamSynchronize", 700, 0);
  EXPECT_EQ(ssmrt_cuda_synchronize(context), SSMRT_DEVICE_FAILED);
}

//===----------------------------------------------------------------------===//
// Code
//===----------------------------------------------------------------------===//

TEST_F(CUDA, ImageForTheDevice) {
  Code cubin;
  EXPECT_EQ(ssmrt_cuda_load(&cubin.module, context), SSMRT_OK);
  EXPECT_STREQ(driver().last_image(), "cubin sm_90");
  // Of two cubins that run, the newer; one of another major version does not.
  Code choice;
  ssmrt_cubin cubins[] = {{80, 0, "80", 3},
                          {90, 0, "90", 3},
                          {90, 'a', "90a", 4},
                          {100, 0, "100", 4}};
  choice.code.cubins = cubins;
  choice.code.num_cubins = 4;
  EXPECT_EQ(ssmrt_cuda_load(&choice.module, context), SSMRT_OK);
  EXPECT_STREQ(driver().last_image(), "90a");
  EXPECT_EQ(driver().live_modules(), 2);
  ssmrt_context *second;
  for (auto [arch, image] : std::initializer_list<std::pair<int, const char *>>{
           {86, "80"}, {103, "100"}, {120, ".version 7.8\n.target sm_80\n"}}) {
    driver().set_device(1, arch);
    ASSERT_EQ(ssmrt_cuda_context_create(1, nullptr, &second), SSMRT_OK);
    EXPECT_EQ(ssmrt_cuda_load(&choice.module, second), SSMRT_OK);
    EXPECT_EQ(std::string(driver().last_image()).rfind(image, 0), 0u)
        << driver().last_image();
    ssmrt_context_destroy(second);
  }
  driver().set_device(1, 75);
  ASSERT_EQ(ssmrt_cuda_context_create(1, nullptr, &second), SSMRT_OK);
  EXPECT_EQ(ssmrt_cuda_load(&cubin.module, second), SSMRT_NO_DEVICE);
  EXPECT_STREQ(
      ssmrt_last_error(),
      "fake: no kernel image for GPU 1, which is sm_75; the artefact has "
      "cubin for sm_90, PTX for sm_80: compile with --gpu=sm_75");
  Code exact;
  exact.code.num_cubins = 0;
  exact.code.ptx = ".version 8.0\n.target sm_90a\n";
  EXPECT_EQ(ssmrt_cuda_load(&exact.module, second), SSMRT_NO_DEVICE);
  EXPECT_NE(strstr(ssmrt_last_error(), "has PTX for sm_90a:"), nullptr);
  exact.code.ptx = nullptr;
  EXPECT_EQ(ssmrt_cuda_load(&exact.module, second), SSMRT_NO_DEVICE);
  EXPECT_NE(strstr(ssmrt_last_error(), "the artefact has none:"), nullptr);
  ssmrt_context_destroy(second);
}

TEST_F(CUDA, LoadingFails) {
  Code ptx;
  ptx.code.num_cubins = 0;
  driver().fail("cuModuleLoadDataEx", 222, 0);
  EXPECT_EQ(ssmrt_cuda_load(&ptx.module, context), SSMRT_BAD_VERSION);
  EXPECT_STREQ(
      ssmrt_last_error(),
      "fake: the driver, of CUDA 12.4, does not know PTX 7.8; wanted a "
      "newer driver, or a cubin: compile with --gpu=sm_90 where ptxas is");
  driver().fail("cuModuleLoadDataEx", 218, 0);
  driver().set_log("ptxas application ptx input, line 3; error: no such op\n");
  EXPECT_EQ(ssmrt_cuda_load(&ptx.module, context), SSMRT_DEVICE_FAILED);
  EXPECT_STREQ(
      ssmrt_last_error(),
      "fake: loading its kernels: ptxas application ptx input, line 3; "
      "error: no such op: CUDA_ERROR_INVALID_PTX (218): a PTX JIT "
      "compilation failed");
  driver().set_log("");
  driver().fail("cuModuleLoadDataEx", 209, 0);
  EXPECT_EQ(ssmrt_cuda_load(&ptx.module, context), SSMRT_NO_DEVICE);
  for (const char *function :
       {"cuModuleGetFunction", "cuFuncGetAttribute", "cuFuncSetAttribute"}) {
    driver().fail(function, 2, 0);
    EXPECT_EQ(ssmrt_cuda_load(&ptx.module, context), SSMRT_NO_MEMORY)
        << function;
    EXPECT_NE(strstr(ssmrt_last_error(), "fake: kernel 'decaying_sum'"),
              nullptr);
    EXPECT_EQ(driver().live_modules(), 0);
  }
  // The PTX stands in for a cubin that the driver does not know.
  driver().fail("cuModuleLoadDataEx", 200, 0);
  EXPECT_EQ(ssmrt_cuda_load(module, context), SSMRT_OK);
  EXPECT_EQ(std::string(driver().last_image()).rfind(".version", 0), 0u);

  Code shared;
  int32_t sizes[] = {232448, 0};
  shared.code.kernel_max_shared = sizes;
  EXPECT_EQ(ssmrt_cuda_load(&shared.module, context), SSMRT_NO_DEVICE);
  EXPECT_STREQ(
      ssmrt_last_error(),
      "fake: kernel 'decaying_sum' wants 232448 bytes of shared memory "
      "beside its own 16; GPU 0 has 232448 for a block");
  const char *names[] = {"decaying_sum", "missing"};
  Code missing;
  missing.code.kernels = names;
  EXPECT_EQ(ssmrt_cuda_load(&missing.module, context), SSMRT_DEVICE_FAILED);
  EXPECT_NE(
      strstr(ssmrt_last_error(), "kernel 'missing': CUDA_ERROR_NOT_FOUND"),
      nullptr);
  missing.code.struct_size = 8;
  EXPECT_EQ(ssmrt_cuda_load(&missing.module, context), SSMRT_BAD_VERSION);
  EXPECT_EQ(ssmrt_cuda_load(fake_module(), context), SSMRT_NO_DEVICE);
  EXPECT_STREQ(ssmrt_last_error(),
               "fake: the layer was compiled for the CPU alone; wanted ssmc "
               "compile --target cuda, or cpu,cuda");
}

TEST_F(CUDA, LoadedOnceADevice) {
  ssmrt_context *second, *third;
  ASSERT_EQ(ssmrt_cuda_context_create(0, nullptr, &second), SSMRT_OK);
  ASSERT_EQ(ssmrt_cuda_context_create(1, nullptr, &third), SSMRT_OK);
  for (ssmrt_context *each : {context, second, third, context})
    EXPECT_EQ(ssmrt_cuda_load(module, each), SSMRT_OK);
  EXPECT_EQ(driver().calls("cuModuleLoadDataEx"), 2);
  EXPECT_EQ(driver().granted_shared_bytes("decaying_sum"), 65536);
  EXPECT_EQ(driver().granted_shared_bytes("nothing"), 0);
  ssmrt_context_destroy(second);
  EXPECT_EQ(driver().live_modules(), 2);
  ssmrt_context_destroy(third);
  EXPECT_EQ(driver().live_modules(), 1);
  EXPECT_EQ(ssmrt_cuda_unload(module, context), SSMRT_OK);
  EXPECT_EQ(ssmrt_cuda_unload(module, context), SSMRT_OK);
  EXPECT_EQ(driver().live_modules(), 0);
}

} // namespace
