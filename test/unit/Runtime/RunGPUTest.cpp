//===- RunGPUTest.cpp - The runner of layers on GPUs, over the fake driver ===//

#include "FakeModule.h"
#include "Files.h"

using namespace ssmrt_test;

namespace {

class RunGPU : public WithFiles {
protected:
  void SetUp() override {
    WithFiles::SetUp();
    std::string header =
        R"({"decay":{"dtype":"F32","shape":[3],"data_offsets":[0,12]},)"
        R"("scale":{"dtype":"F32","shape":[3],"data_offsets":[12,24]}})";
    float values[] = {0.5f, 0.5f, 0.5f, 1, 10, 100};
    std::string content(8, '\0');
    content[0] = static_cast<char>(header.size());
    write("w.safetensors",
          content + header +
              std::string(reinterpret_cast<char *>(values), sizeof(values)));
    Array<double> u(f64, {2, 3, 3},
                    {1, 2, 3, 4, 5, 6, 0, 0, 0, 0, 0, 0, 8, 8, 8, 0, 0, 0});
    ASSERT_EQ(ssmrt_npy_write(path("u.npy").c_str(), &u.tensor), SSMRT_OK);
  }

  int run(const std::string &arguments,
          const std::string &driver = SSMRT_FAKE_CUDA_DRIVER) {
    std::string command = "SSMRT_CUDA_DRIVER='" + driver +
                          "' FAKE_CUDA_KERNELS='" SSMRT_FAKE_CUDA_LAYER
                          "' '" SSMRT_RUN_GPU "' '" SSMRT_FAKE_CUDA_LAYER "' " +
                          arguments + " > '" + path("log") + "' 2>&1";
    int status = std::system(command.c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  std::string files() const {
    return "--weights " + path("w.safetensors") +
           " --input u=" + path("u.npy") + " --output y=" + path("y.npy") + " ";
  }

  std::vector<float> result() const {
    ssmrt_array *array = nullptr;
    ssmrt_tensor y;
    EXPECT_EQ(ssmrt_npy_read(path("y.npy").c_str(), &array, &y), SSMRT_OK);
    const float *values = static_cast<const float *>(y.data);
    std::vector<float> copy(values, values + 18);
    ssmrt_array_free(array);
    return copy;
  }
};

const std::vector<float> wanted = {1, 20, 300, 4.5, 60, 750, 2.25, 30, 375,
                                   0, 0,  0,   8,   80, 800, 4,    40, 400};

TEST_F(RunGPU, ForwardStepsAndPieces) {
  for (const char *how :
       {"", "--step", "--split 1", "--split 2", "--device 1"}) {
    ASSERT_EQ(run(files() + how), 0) << how << read("log");
    EXPECT_EQ(result(), wanted) << how;
    std::filesystem::remove(path("y.npy"));
  }
}

TEST_F(RunGPU, Times) {
  for (const char *how : {"--time 3", "--time 3 --step"}) {
    ASSERT_EQ(run(files() + how), 0) << read("log");
    EXPECT_EQ(result(), wanted);
    EXPECT_EQ(read("log").rfind("Fake GPU 0, sm_90, driver for CUDA 12.4", 0),
              0u)
        << read("log");
    EXPECT_NE(read("log").find("% of copy"), std::string::npos) << read("log");
  }
  ASSERT_EQ(
      run("--weights " + path("w.safetensors") + " --random 4 16 --time 1"), 0)
      << read("log");
  EXPECT_NE(read("log").find("Fake forward batch 4 length 16: best "),
            std::string::npos)
      << read("log");
}

TEST_F(RunGPU, Fails) {
  EXPECT_EQ(run(files(), "/nowhere/libcuda.so.1"), 1);
  EXPECT_EQ(read("log").rfind(
                "run_gpu: error: /nowhere/libcuda.so.1: cannot open", 0),
            0u)
      << read("log");
  EXPECT_EQ(run("--random 1 2"), 1);
  EXPECT_NE(read("log").find("the weights are a null pointer"),
            std::string::npos);
  EXPECT_EQ(run("--random-weights --random 1 2"), 0) << read("log");
  EXPECT_EQ(run(files() + "--device 7"), 1);
  EXPECT_EQ(read("log"),
            "run_gpu: error: cuDeviceGet: CUDA_ERROR_INVALID_DEVICE (101)\n");
  EXPECT_EQ(run(files() + "--split 3"), 1);
}

} // namespace
