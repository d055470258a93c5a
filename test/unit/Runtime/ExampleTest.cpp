//===- ExampleTest.cpp - The C example, run -------------------------------===//

#include "FakeModule.h"
#include "Files.h"

using namespace ssmrt_test;

namespace {

class Example : public WithFiles {
protected:
  /// Runs the program on the fake layer; what it prints goes to "log".
  int run(const std::string &arguments) {
    std::string command = std::string("'") + SSMRT_RUN_LAYER + "' '" +
                          SSMRT_FAKE_LAYER + "' " + arguments + " > '" +
                          path("log") + "' 2>&1";
    int status = std::system(command.c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  void writeWeights() {
    std::string header =
        R"({"m.decay":{"dtype":"F32","shape":[3],"data_offsets":[0,12]},)"
        R"("m.scale":{"dtype":"F32","shape":[3],"data_offsets":[12,24]}})";
    float values[] = {0.5f, 0.5f, 0.5f, 1, 10, 100};
    std::string content(8, '\0');
    content[0] = static_cast<char>(header.size());
    write("w.safetensors",
          content + header +
              std::string(reinterpret_cast<char *>(values), sizeof(values)));
  }
};

TEST_F(Example, Describes) {
  ASSERT_EQ(run(""), 0) << read("log");
  EXPECT_EQ(read("log"), "fake: layer Fake for cpu generic, by hand\n"
                         "  weight  decay: f32 [3]\n"
                         "  weight  scale: f32 [3]\n"
                         "  weight  offset: f32 [], optional\n"
                         "  input   u: f32 [batch, length, 3]\n"
                         "  input   gain: f32 [batch], optional\n"
                         "  output  y: f32 [batch, length, 3]\n"
                         "  state   s: f32 [batch, 3]\n"
                         "  state   count: i64 [2, batch]\n");
}

TEST_F(Example, Runs) {
  writeWeights();
  Array<double> u(f64, {1, 2, 3}, {1, 2, 3, 4, 5, 6});
  ASSERT_EQ(ssmrt_npy_write(path("u.npy").c_str(), &u.tensor), SSMRT_OK);
  ASSERT_EQ(run("--weights " + path("w.safetensors") +
                " --prefix m. --threads 2 --input u=" + path("u.npy") +
                " --output y=" + path("y.npy")),
            0)
      << read("log");
  ssmrt_array *array = nullptr;
  ssmrt_tensor y;
  ASSERT_EQ(ssmrt_npy_read(path("y.npy").c_str(), &array, &y), SSMRT_OK);
  ASSERT_EQ(y.ndim, 3);
  const float *values = static_cast<const float *>(y.data);
  EXPECT_EQ(std::vector<float>(values, values + 6),
            (std::vector<float>{1, 20, 300, 4.5, 60, 750}));
  ssmrt_array_free(array);
}

TEST_F(Example, Fails) {
  writeWeights();
  EXPECT_EQ(run("--threads 1"), 1);
  EXPECT_EQ(read("log"), "run_layer: error: the layer has weights: --weights "
                         "FILE.safetensors\n");
  EXPECT_EQ(run("--weights " + path("w.safetensors")), 1);
  EXPECT_EQ(shorten(read("log")),
            "run_layer: error: w.safetensors: no tensor 'decay' among 2; "
            "nearest: 'm.decay'\n");
}

} // namespace
