//===- StateTest.cpp - State blocks ---------------------------------------===//

#include "FakeModule.h"

#include <gtest/gtest.h>

using namespace ssmrt_test;

namespace {

constexpr int64_t headerBytes = 64;

void fill(const ssmrt_module &module, void *state) {
  for (int64_t i = 0; i < module.num_states; ++i) {
    int64_t shape[SSMRT_MAX_DIMS];
    ssmrt_tensor view;
    ASSERT_EQ(ssmrt_state_view(&module, state, i, shape, &view), SSMRT_OK);
    for (int64_t j = 0; j < shape[0] * shape[1]; ++j)
      if (i == 0)
        static_cast<float *>(view.data)[j] = static_cast<float>(j);
      else
        static_cast<int64_t *>(view.data)[j] = 100 + j;
  }
}

template <typename T>
std::vector<T> read(const ssmrt_module &module, void *state, int64_t index) {
  int64_t shape[SSMRT_MAX_DIMS];
  ssmrt_tensor view;
  EXPECT_EQ(ssmrt_state_view(&module, state, index, shape, &view), SSMRT_OK);
  const T *data = static_cast<const T *>(view.data);
  return std::vector<T>(data, data + shape[0] * shape[1]);
}

TEST(State, Sizes) {
  ssmrt_module module = makeModule();
  EXPECT_EQ(ssmrt_state_bytes(&module, 0, 0), headerBytes);
  EXPECT_EQ(ssmrt_state_bytes(&module, 1, 0), headerBytes + 64 + 64);
  EXPECT_EQ(ssmrt_state_bytes(&module, 6, 100), headerBytes + 128 + 128);
  EXPECT_EQ(ssmrt_state_bytes(&module, -1, 0), -1);
  EXPECT_EQ(ssmrt_state_bytes(&module, INT64_MAX / 2, 0), -1);
  EXPECT_STREQ(ssmrt_last_error(),
               "fake: the state of batch 4611686018427387903 and length 0 does "
               "not fit into memory");
  module.state_bytes = nullptr;
  EXPECT_EQ(ssmrt_state_bytes(&module, 6, 100), headerBytes + 128 + 128);
}

TEST(State, ResetAndView) {
  ssmrt_module module = makeModule();
  Block state(ssmrt_state_bytes(&module, 2, 10));
  ASSERT_EQ(ssmrt_state_reset(&module, state, 2, 10), SSMRT_OK);
  EXPECT_EQ(read<float>(module, state, 0), std::vector<float>(6, 0.0f));
  EXPECT_EQ(read<int64_t>(module, state, 1), std::vector<int64_t>(4, 0));
  int64_t shape[SSMRT_MAX_DIMS];
  ssmrt_tensor view;
  ASSERT_EQ(ssmrt_state_view(&module, state, 1, shape, &view), SSMRT_OK);
  EXPECT_EQ(view.ndim, 2);
  EXPECT_EQ(shape[0], 2);
  EXPECT_EQ(shape[1], 2);
  EXPECT_EQ(static_cast<char *>(view.data), state.bytes() + headerBytes + 64);
  EXPECT_EQ(ssmrt_state_view(&module, state, 2, shape, &view),
            SSMRT_BAD_ARGUMENT);
  EXPECT_STREQ(ssmrt_last_error(), "fake: state variable 2; wanted 0 to 1");
}

TEST(State, CopyAndSelect) {
  ssmrt_module module = makeModule();
  Block from(ssmrt_state_bytes(&module, 2, 0));
  ASSERT_EQ(ssmrt_state_reset(&module, from, 2, 0), SSMRT_OK);
  fill(module, from);
  Block copy(ssmrt_state_bytes(&module, 2, 0));
  ASSERT_EQ(ssmrt_state_copy(&module, copy, from), SSMRT_OK);
  EXPECT_EQ(std::memcmp(copy, from, ssmrt_state_bytes(&module, 2, 0)), 0);

  Block to(ssmrt_state_bytes(&module, 3, 0));
  const int64_t rows[] = {1, 0, 1};
  ASSERT_EQ(ssmrt_state_select(&module, to, from, rows, 3), SSMRT_OK);
  EXPECT_EQ(read<float>(module, to, 0),
            (std::vector<float>{3, 4, 5, 0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(read<int64_t>(module, to, 1),
            (std::vector<int64_t>{101, 100, 101, 103, 102, 103}));
  ASSERT_EQ(ssmrt_state_select(&module, to, from, nullptr, 0), SSMRT_OK);
  EXPECT_TRUE(read<float>(module, to, 0).empty());
}

TEST(State, SelectErrors) {
  ssmrt_module module = makeModule();
  Block from(ssmrt_state_bytes(&module, 2, 0));
  Block to(ssmrt_state_bytes(&module, 2, 0));
  ASSERT_EQ(ssmrt_state_reset(&module, from, 2, 0), SSMRT_OK);
  const int64_t beyond[] = {0, 2}, negative[] = {-1}, first[] = {0};
  EXPECT_EQ(ssmrt_state_select(&module, to, from, beyond, 2),
            SSMRT_BAD_ARGUMENT);
  EXPECT_STREQ(ssmrt_last_error(),
               "fake: row 1 of the selection is 2; wanted 0 to 1, the batch of "
               "the state");
  EXPECT_EQ(ssmrt_state_select(&module, to, from, negative, 1),
            SSMRT_BAD_ARGUMENT);
  EXPECT_EQ(ssmrt_state_select(&module, to, from, nullptr, 1),
            SSMRT_BAD_ARGUMENT);
  EXPECT_EQ(ssmrt_state_select(&module, from, from, first, 1),
            SSMRT_BAD_ARGUMENT);
  module.state_bytes = [](int64_t batch, int64_t) { return batch * 4096; };
  Block large(ssmrt_state_bytes(&module, 2, 0));
  ASSERT_EQ(ssmrt_state_reset(&module, large, 2, 0), SSMRT_OK);
  EXPECT_EQ(ssmrt_state_select(&module, to, large, first, 1),
            SSMRT_BAD_VERSION);
}

TEST(State, WrongBlocks) {
  ssmrt_module module = makeModule();
  int64_t bytes = ssmrt_state_bytes(&module, 2, 0);
  Block state(bytes), to(bytes);
  EXPECT_EQ(ssmrt_state_copy(&module, to, state), SSMRT_BAD_STATE);
  EXPECT_EQ(ssmrt_state_copy(&module, to, nullptr), SSMRT_BAD_ARGUMENT);
  EXPECT_STREQ(ssmrt_last_error(), "the state is a null pointer");
  EXPECT_EQ(ssmrt_state_reset(&module, state.bytes() + 8, 1, 0),
            SSMRT_BAD_ARGUMENT);
  EXPECT_EQ(ssmrt_state_reset(&module, state, -1, 0), SSMRT_BAD_ARGUMENT);
  ASSERT_EQ(ssmrt_state_reset(&module, state, 2, 0), SSMRT_OK);
  ssmrt_module other = module;
  other.hash = 0x9999;
  EXPECT_EQ(ssmrt_state_copy(&other, to, state), SSMRT_BAD_STATE);
  EXPECT_STREQ(ssmrt_last_error(),
               "fake: the state block is of another layer, or of this one "
               "compiled with other parameters or options (hash "
               "0000000000001234; wanted 0000000000009999)");
  // A header that lies about its sizes must not direct a copy.
  for (int64_t field = 3; field <= 6; ++field) {
    ASSERT_EQ(ssmrt_state_reset(&module, state, 2, 0), SSMRT_OK);
    reinterpret_cast<int64_t *>(state.bytes())[field] = -7;
    EXPECT_EQ(ssmrt_state_copy(&module, to, state), SSMRT_BAD_STATE) << field;
  }
  ASSERT_EQ(ssmrt_state_reset(&module, state, 2, 0), SSMRT_OK);
  reinterpret_cast<int64_t *>(state.bytes())[3] = 1 << 20;
  EXPECT_EQ(ssmrt_state_copy(&module, to, state), SSMRT_BAD_STATE);
}

} // namespace
