//===- LibraryTest.cpp - Modules that are no modules, and their files -----===//

#include "FakeModule.h"

#include <gtest/gtest.h>

using namespace ssmrt_test;

namespace {

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
