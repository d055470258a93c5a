//===- ConvertTest.cpp - Conversion between dtypes ------------------------===//

#include "FakeModule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

using namespace ssmrt_test;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

template <typename To, typename From>
std::vector<To> convert(ssmrt_dtype from, ssmrt_dtype to,
                        std::vector<From> values) {
  int64_t count = static_cast<int64_t>(values.size());
  Array<From> source(from, {count}, values);
  Array<To> target(to, {count});
  EXPECT_EQ(ssmrt_convert(&source.tensor, &target.tensor), SSMRT_OK)
      << ssmrt_last_error();
  return target.values;
}

template <typename To, typename From>
std::string convertError(ssmrt_dtype from, ssmrt_dtype to, From value) {
  Array<From> source(from, {1}, {value});
  Array<To> target(to, {1});
  EXPECT_EQ(ssmrt_convert(&source.tensor, &target.tensor), SSMRT_BAD_ARGUMENT);
  return ssmrt_last_error();
}

TEST(Convert, BF16RoundsToNearestEven) {
  EXPECT_EQ((convert<uint16_t, float>(
                f32, bf16,
                {1.0f, 1.00390625f, 1.01171875f, 1.003907f, -0.0f, infinity,
                 3.4e38f, 1e-45f})),
            (std::vector<uint16_t>{0x3F80, 0x3F80, 0x3F82, 0x3F81, 0x8000,
                                   0x7F80, 0x7F80, 0x0000}));
  std::vector<uint16_t> nan = convert<uint16_t, float>(
      f32, bf16, {std::numeric_limits<float>::quiet_NaN()});
  EXPECT_GT(nan[0] & 0x7FFF, 0x7F80);
}

TEST(Convert, F16) {
  EXPECT_EQ((convert<uint16_t, float>(
                f32, f16,
                {1.0f, -2.0f, 65504.0f, 65519.9f, 65520.0f, 6.1035156e-5f,
                 5.9604645e-8f, 2.9802322e-8f, 2.9802326e-8f, 1e-10f,
                 1.0004883f, 1.0014648f})),
            (std::vector<uint16_t>{0x3C00, 0xC000, 0x7BFF, 0x7BFF, 0x7C00,
                                   0x0400, 0x0001, 0x0000, 0x0001, 0x0000,
                                   0x3C00, 0x3C02}));
}

// Every 16-bit float goes to f32 and f64 and comes back as it was.
TEST(Convert, SixteenBitsThereAndBack) {
  std::vector<uint16_t> all(65536);
  for (size_t i = 0; i < all.size(); ++i)
    all[i] = static_cast<uint16_t>(i);
  for (ssmrt_dtype dtype : {f16, bf16}) {
    std::vector<float> singles = convert<float>(dtype, f32, all);
    std::vector<double> doubles = convert<double>(dtype, f64, all);
    std::vector<uint16_t> fromSingles = convert<uint16_t>(f32, dtype, singles);
    std::vector<uint16_t> fromDoubles = convert<uint16_t>(f64, dtype, doubles);
    for (size_t i = 0; i < all.size(); ++i) {
      if (std::isnan(singles[i])) {
        EXPECT_TRUE(std::isnan(doubles[i]));
        continue;
      }
      EXPECT_EQ(singles[i], doubles[i]);
      ASSERT_EQ(fromSingles[i], i);
      ASSERT_EQ(fromDoubles[i], i);
    }
  }
}

// 1 + 2^-8 + 2^-40 is above the middle between two bf16 values, but its f32 is
// the middle: rounding twice would go to even, which is down.
TEST(Convert, F64IsRoundedOnce) {
  EXPECT_EQ((convert<uint16_t, double>(
                f64, bf16, {1 + 0x1p-8 + 0x1p-40, 1 + 0x1p-8 - 0x1p-40})),
            (std::vector<uint16_t>{0x3F81, 0x3F80}));
  EXPECT_EQ((convert<uint16_t, double>(
                f64, f16, {1 + 0x1p-11 + 0x1p-40, 1 + 0x1p-11 - 0x1p-40, 1e-300,
                           -1e300})),
            (std::vector<uint16_t>{0x3C01, 0x3C00, 0x0000, 0xFC00}));
}

TEST(Convert, Integers) {
  EXPECT_EQ((convert<float, int64_t>(i64, f32, {0, -5, 1 << 24, INT64_MIN})),
            (std::vector<float>{0, -5, 16777216, -0x1p63f}));
  EXPECT_EQ((convert<int64_t, float>(f32, i64, {-3, 0x1p62f})),
            (std::vector<int64_t>{-3, INT64_C(1) << 62}));
  EXPECT_EQ((convert<int32_t, int64_t>(i64, i32, {INT32_MIN, INT32_MAX})),
            (std::vector<int32_t>{INT32_MIN, INT32_MAX}));
  EXPECT_EQ((convert<int64_t, uint8_t>(u8, i64, {0, 255})),
            (std::vector<int64_t>{0, 255}));
  EXPECT_EQ((convert<float, uint8_t>(boolean, f32, {0, 1})),
            (std::vector<float>{0, 1}));
  EXPECT_EQ((convert<uint8_t, int64_t>(i64, boolean, {0, 1})),
            (std::vector<uint8_t>{0, 1}));
}

TEST(Convert, LosingIntegersIsRefused) {
  EXPECT_EQ((convertError<float, int64_t>(i64, f32, (1 << 24) + 1)),
            "element 0 of a conversion from i64 to f32 is 16777217, which f32 "
            "cannot hold exactly");
  EXPECT_EQ((convertError<uint16_t, int64_t>(i64, bf16, -257)),
            "element 0 of a conversion from i64 to bf16 is -257, which bf16 "
            "cannot hold exactly");
  EXPECT_NE((convertError<uint16_t, int64_t>(i64, f16, 65536)), "");
  EXPECT_NE((convertError<double, int64_t>(i64, f64, (1LL << 53) + 1)), "");
  EXPECT_NE((convertError<int32_t, int64_t>(i64, i32, 1LL << 31)), "");
  EXPECT_NE((convertError<uint8_t, int64_t>(i64, u8, -1)), "");
  EXPECT_NE((convertError<uint8_t, int64_t>(i64, u8, 256)), "");
  EXPECT_NE((convertError<uint8_t, int64_t>(i64, boolean, 2)), "");
  EXPECT_EQ((convertError<int64_t, float>(f32, i64, 0.5f)),
            "element 0 of a conversion from f32 to i64 is 0.5, which i64 cannot "
            "hold exactly");
  EXPECT_NE((convertError<int64_t, float>(f32, i64, NAN)), "");
  EXPECT_NE((convertError<int64_t, float>(f32, i64, infinity)), "");
  EXPECT_NE((convertError<int64_t, float>(f32, i64, 0x1p63f)), "");
}

TEST(Convert, MisalignedSource) {
  std::vector<char> bytes(70001 * 4 + 1);
  for (int i = 0; i < 70001; ++i) {
    float value = static_cast<float>(i);
    std::memcpy(&bytes[1 + 4 * i], &value, 4);
  }
  Array<float> shape(f32, {70001});
  ssmrt_tensor source = shape.tensor;
  source.data = bytes.data();
  source.byte_offset = 1;
  Array<double> target(f64, {70001});
  ASSERT_EQ(ssmrt_convert(&source, &target.tensor), SSMRT_OK);
  for (int i = 0; i < 70001; ++i)
    ASSERT_EQ(target.values[i], i);
}

TEST(Convert, Shapes) {
  Array<float> a(f32, {2, 3}), b(f32, {3, 2}), empty(f32, {2, 0});
  Array<double> none(f64, {2, 0});
  EXPECT_EQ(ssmrt_convert(&a.tensor, &b.tensor), SSMRT_BAD_ARGUMENT);
  EXPECT_STREQ(ssmrt_last_error(),
               "conversion of shape [2, 3] to [3, 2]; wanted the same shape");
  EXPECT_EQ(ssmrt_convert(&empty.tensor, &none.tensor), SSMRT_OK);
  int64_t strides[] = {1, 2};
  b.tensor.strides = strides;
  EXPECT_EQ(ssmrt_convert(&b.tensor, &b.tensor), SSMRT_BAD_ARGUMENT);
  EXPECT_STREQ(ssmrt_last_error(),
               "tensor 'from' has strides [1, 2] with shape [3, 2]; wanted C "
               "order without gaps");
  EXPECT_EQ(ssmrt_convert(nullptr, &b.tensor), SSMRT_BAD_ARGUMENT);
}

TEST(Convert, DTypes) {
  EXPECT_STREQ(ssmrt_dtype_name(bf16), "bf16");
  EXPECT_EQ(ssmrt_dtype_size(bf16), 2u);
  EXPECT_STREQ(ssmrt_dtype_name({SSMRT_FLOAT, 32, 4}), "?");
  EXPECT_EQ(ssmrt_dtype_size({SSMRT_FLOAT, 31, 1}), 0u);
  EXPECT_EQ(ssmrt_dtype_size({5, 64, 1}), 0u);
}

} // namespace
