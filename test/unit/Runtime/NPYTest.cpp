//===- NPYTest.cpp - .npy files -------------------------------------------===//

#include "FakeModule.h"
#include "Files.h"

#include <sys/resource.h>
#include <csignal>

using namespace ssmrt_test;

namespace {

std::string pack(const std::string &header, size_t bytes, int major = 1,
                 int minor = 0) {
  std::string result = "\x93NUMPY";
  result += static_cast<char>(major);
  result += static_cast<char>(minor);
  for (int i = 0; i < (major == 1 ? 2 : 4); ++i)
    result += static_cast<char>(header.size() >> (8 * i));
  return result + header + std::string(bytes, '\0');
}

std::string dictionary(const std::string &descr, const std::string &shape,
                       const std::string &fortran = "False") {
  return "{'descr': '" + descr + "', 'fortran_order': " + fortran +
         ", 'shape': " + shape + ", }";
}

class NPY : public WithFiles {
protected:
  ~NPY() override { ssmrt_array_free(array); }

  ssmrt_status open(const std::string &name) {
    ssmrt_array_free(array);
    array = nullptr;
    return ssmrt_npy_read(path(name).c_str(), &array, &tensor);
  }
  std::string errorOf(const std::string &content) {
    write("a.npy", content);
    EXPECT_EQ(open("a.npy"), SSMRT_BAD_FILE) << content;
    EXPECT_EQ(array, nullptr);
    return shorten(ssmrt_last_error());
  }

  ssmrt_array *array = nullptr;
  ssmrt_tensor tensor = {};
};

TEST_F(NPY, Versions) {
  for (int major : {1, 2, 3}) {
    write("a.npy", pack(dictionary("<f4", "(2, 3)"), 24, major));
    ASSERT_EQ(open("a.npy"), SSMRT_OK) << ssmrt_last_error();
    EXPECT_EQ(tensor.ndim, 2);
    EXPECT_EQ(tensor.shape[0], 2);
    EXPECT_EQ(tensor.shape[1], 3);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.data) % 64, 0u);
  }
  EXPECT_EQ(errorOf(pack(dictionary("<f4", "(2, 3)"), 24, 4)),
            "a.npy: .npy version 4.0; wanted 1.0, 2.0 or 3.0");
  errorOf(pack(dictionary("<f4", "(2, 3)"), 24, 1, 1));
  errorOf(pack(dictionary("<f4", "(2, 3)"), 24, 0));
}

TEST_F(NPY, DTypes) {
  const std::tuple<const char *, const char *, size_t, int> dtypes[] = {
      {"<f2", "f16", 2, 1}, {"<f4", "f32", 4, 1}, {"<f8", "f64", 8, 1},
      {"|i1", "i8", 1, 1},  {"<i2", "i16", 2, 1}, {"<i4", "i32", 4, 1},
      {"<i8", "i64", 8, 1}, {"|u1", "u8", 1, 1},  {"<u2", "u16", 2, 1},
      {"<u4", "u32", 4, 1}, {"<u8", "u64", 8, 1}, {"|b1", "bool", 1, 1},
      {"<c8", "f32", 8, 2}, {"<c16", "f64", 16, 2}};
  for (auto [descr, name, size, ndim] : dtypes) {
    write("a.npy", pack(dictionary(descr, "(3,)"), 3 * size));
    ASSERT_EQ(open("a.npy"), SSMRT_OK) << ssmrt_last_error();
    EXPECT_STREQ(ssmrt_dtype_name(tensor.dtype), name);
    EXPECT_EQ(tensor.ndim, ndim);
    EXPECT_EQ(tensor.shape[ndim - 1], ndim == 2 ? 2 : 3);
  }
  for (const char *descr :
       {">f4", "=f4", "|f4", "f4", "<f3", "<f16", "<V2", "|V2", "|S3", "|O",
        "<U8", "<M8[ns]", "<", "", "<b1x", "<f4 "})
    EXPECT_EQ(errorOf(pack(dictionary(descr, "(1,)"), 4))
                  .rfind(std::string("a.npy: dtype '") + descr + "'; wanted", 0),
              0u)
        << shorten(ssmrt_last_error());
}

TEST_F(NPY, Shapes) {
  const std::tuple<const char *, size_t, int> shapes[] = {
      {"()", 4, 0},          {"(1,)", 4, 1},     {"(2L, 1L)", 8, 2},
      {"(0, 5)", 0, 2},      {"( 1 , 2 ,)", 8, 2}, {"(1, 2)", 8, 2},
      {"(1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1)", 4, 16}};
  for (auto [shape, bytes, ndim] : shapes) {
    write("a.npy", pack(dictionary("<f4", shape), bytes));
    ASSERT_EQ(open("a.npy"), SSMRT_OK) << ssmrt_last_error();
    EXPECT_EQ(tensor.ndim, ndim);
  }
  for (const char *shape :
       {"(", ")", "(1", "(1)", "(,)", "(1,,)", "(-1,)", "(1.0,)", "(1 2)",
        "(9223372036854775808,)", "[1]", "1", "(1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1)",
        "(a,)", "(0x1,)"})
    errorOf(pack(dictionary("<f4", shape), 4));
  EXPECT_EQ(errorOf(pack(dictionary("<c8", "(1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1)"),
                         8)),
            "a.npy: a complex array of 16 dimensions; wanted fewer");
  EXPECT_EQ(errorOf(pack(dictionary("<f4", "(2, 3)"), 23)),
            "a.npy: 23 bytes of data; wanted as many as shape [2, 3] of '<f4' "
            "has");
  errorOf(pack(dictionary("<f4", "(2, 3)"), 25));
  errorOf(pack(dictionary("<f4", "(4294967296, 4294967296)"), 0));
  errorOf(pack(dictionary("<f8", "(1152921504606846976, 2)"), 0));
}

TEST_F(NPY, Order) {
  EXPECT_EQ(errorOf(pack(dictionary("<f4", "(2, 3)", "True"), 24)),
            "a.npy: the array is in Fortran order; wanted C order "
            "(numpy.ascontiguousarray)");
  write("a.npy", pack(dictionary("<f4", "(6,)", "True"), 24));
  EXPECT_EQ(open("a.npy"), SSMRT_OK) << ssmrt_last_error();
}

TEST_F(NPY, Headers) {
  write("a.npy",
        pack("{\"shape\":(1,),\"fortran_order\":False,\"descr\":\"<f4\"}  \n",
             4));
  EXPECT_EQ(open("a.npy"), SSMRT_OK) << ssmrt_last_error();
  for (const char *header :
       {"", "{", "{}", "}", "{'descr': '<f4'}",
        "{'descr': '<f4', 'fortran_order': False}",
        "{'descr': '<f4', 'fortran_order': 0, 'shape': (1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} x",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': 1}",
        "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': ()}",
        "{'descr': '<f4' 'fortran_order': False, 'shape': (1,)}",
        "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f4, 'fortran_order': False, 'shape': (1,)}",
        "{'de\\scr': '<f4', 'fortran_order': False, 'shape': (1,)}",
        "{descr: '<f4', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f4444444444444444444444444444444444444444444444444',"
        "'fortran_order': False, 'shape': (1,)}"})
    errorOf(pack(header, 4));
  EXPECT_EQ(errorOf("PK\x03\x04 an archive"),
            "a.npy: not a .npy file: it does not begin with '\\x93NUMPY' and a "
            "version");
  errorOf("");
  errorOf("\x93NUMPY");
  EXPECT_EQ(errorOf(std::string("\x93NUMPY\x01\x00\x10", 9)),
            "a.npy: the file ends within its header");
  EXPECT_EQ(errorOf(std::string("\x93NUMPY\x02\x00\xFF\xFF\xFF\xFF{}", 14)),
            "a.npy: a header of 4294967295 bytes; the file has 2 left");
  EXPECT_EQ(open("missing.npy"), SSMRT_BAD_FILE);
  EXPECT_EQ(open(""), SSMRT_BAD_FILE);
}

TEST_F(NPY, ThereAndBack) {
  Array<float> two(f32, {2, 3}, {1, 2, 3, 4, 5, 6});
  Array<int64_t> one(i64, {3}, {1, -2, 3}), none(i64, {0, 4}), zero(i64, {});
  for (const ssmrt_tensor *from :
       {&two.tensor, &one.tensor, &none.tensor, &zero.tensor}) {
    ASSERT_EQ(ssmrt_npy_write(path("a.npy").c_str(), from), SSMRT_OK)
        << ssmrt_last_error();
    ASSERT_EQ(open("a.npy"), SSMRT_OK) << ssmrt_last_error();
    ASSERT_EQ(tensor.ndim, from->ndim);
    int64_t bytes = from->dtype.bits / 8;
    for (int32_t i = 0; i < tensor.ndim; ++i) {
      EXPECT_EQ(tensor.shape[i], from->shape[i]);
      bytes *= tensor.shape[i];
    }
    EXPECT_EQ(bytes ? std::memcmp(tensor.data, from->data, bytes) : 0, 0);
  }
  EXPECT_EQ(ssmrt_npy_write(path("a.npy").c_str(), &two.tensor), SSMRT_OK);
  std::string text = read("a.npy");
  EXPECT_EQ(text.size(), 128u + 24u);
  EXPECT_EQ(text.substr(10, 61),
            "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }  ");
  EXPECT_EQ(text[127], '\n');
}

TEST_F(NPY, WriteErrors) {
  Array<float> array(f32, {2});
  Array<uint16_t> narrow(bf16, {2});
  EXPECT_EQ(ssmrt_npy_write(path("no/such/a.npy").c_str(), &array.tensor),
            SSMRT_BAD_FILE);
  EXPECT_EQ(shorten(ssmrt_last_error()),
            "no/such/a.npy: cannot write: No such file or directory");
  EXPECT_EQ(ssmrt_npy_write(folder.c_str(), &array.tensor), SSMRT_BAD_FILE);
  EXPECT_EQ(ssmrt_npy_write(path("a.npy").c_str(), &narrow.tensor),
            SSMRT_BAD_ARGUMENT);
  EXPECT_EQ(ssmrt_npy_write("/dev/full", &array.tensor), SSMRT_BAD_FILE);
  EXPECT_STREQ(ssmrt_last_error(),
               "/dev/full: cannot write: No space left on device");
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/full"));
  EXPECT_EQ(ssmrt_npy_write("/dev/null", &array.tensor), SSMRT_OK);
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
  EXPECT_TRUE(std::filesystem::is_empty(folder));
}

// A file that cannot be written to its end leaves neither itself nor a
// temporary one, and what was there before stays.
TEST_F(NPY, NoRoom) {
  Array<float> small(f32, {2}, {1, 2}), large(f32, {100000});
  ASSERT_EQ(ssmrt_npy_write(path("a.npy").c_str(), &small.tensor), SSMRT_OK);
  struct rlimit before, limit;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  limit = before;
  limit.rlim_cur = 4096;
  signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  ssmrt_status status = ssmrt_npy_write(path("a.npy").c_str(), &large.tensor);
  ssmrt_status other = ssmrt_npy_write(path("b.npy").c_str(), &large.tensor);
  setrlimit(RLIMIT_FSIZE, &before);
  signal(SIGXFSZ, SIG_DFL);
  EXPECT_EQ(status, SSMRT_BAD_FILE);
  EXPECT_EQ(other, SSMRT_BAD_FILE);
  EXPECT_EQ(open("a.npy"), SSMRT_OK);
  EXPECT_EQ(tensor.shape[0], 2);
  auto entries = std::filesystem::directory_iterator(folder);
  EXPECT_EQ(std::distance(begin(entries), end(entries)), 1);
}

TEST_F(NPY, KeepsSymbolicLinks) {
  Array<float> array(f32, {2}, {1, 2});
  write("real.npy", "");
  std::filesystem::create_symlink("real.npy", folder / "link.npy");
  ASSERT_EQ(ssmrt_npy_write(path("link.npy").c_str(), &array.tensor), SSMRT_OK);
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "link.npy"));
  EXPECT_EQ(open("real.npy"), SSMRT_OK);
}

} // namespace
