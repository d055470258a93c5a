//===- FakeModule.h - A compiled layer and memory for it ------------------===//
//
// The layer of FakeModule.c, and owners of tensors and blocks.
//
//===----------------------------------------------------------------------===//

#ifndef SSMRT_UNIT_FAKEMODULE_H
#define SSMRT_UNIT_FAKEMODULE_H

#include "ssmrt/ssmrt.h"

#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <vector>

extern "C" const ssmrt_module *fake_module(void);

namespace ssmrt_test {

constexpr int64_t numChannels = 3;
constexpr ssmrt_dtype f32 = {SSMRT_FLOAT, 32, 1};
constexpr ssmrt_dtype f64 = {SSMRT_FLOAT, 64, 1};
constexpr ssmrt_dtype f16 = {SSMRT_FLOAT, 16, 1};
constexpr ssmrt_dtype bf16 = {SSMRT_BFLOAT, 16, 1};
constexpr ssmrt_dtype i64 = {SSMRT_INT, 64, 1};
constexpr ssmrt_dtype i32 = {SSMRT_INT, 32, 1};
constexpr ssmrt_dtype u8 = {SSMRT_UINT, 8, 1};
constexpr ssmrt_dtype boolean = {SSMRT_BOOL, 8, 1};

/// Memory aligned as blocks have to be.
class Block {
public:
  explicit Block(int64_t bytes)
      : data(std::aligned_alloc(64, (bytes + 127) / 64 * 64)) {
    std::memset(data, 0xA5, (bytes + 127) / 64 * 64);
  }
  ~Block() { std::free(data); }
  Block(const Block &) = delete;
  Block &operator=(const Block &) = delete;
  operator void *() const { return data; }
  char *bytes() const { return static_cast<char *>(data); }

private:
  void *data;
};

/// A tensor over memory of its own.
template <typename T>
struct Array {
  Array(ssmrt_dtype dtype, std::vector<int64_t> extents,
        std::vector<T> elements = {})
      : shape(std::move(extents)), values(std::move(elements)) {
    int64_t count = 1;
    for (int64_t extent : shape)
      count *= extent;
    values.resize(count);
    std::memset(&tensor, 0, sizeof(tensor));
    tensor.data = values.data();
    tensor.device.device_type = 1;
    tensor.ndim = static_cast<int32_t>(shape.size());
    tensor.dtype = dtype;
    tensor.shape = shape.data();
  }
  Array(const Array &) = delete;
  Array &operator=(const Array &) = delete;

  std::vector<int64_t> shape;
  std::vector<T> values;
  ssmrt_tensor tensor;
};

/// The module; a copy that a test may spoil.
inline ssmrt_module makeModule() { return *fake_module(); }

} // namespace ssmrt_test

#endif // SSMRT_UNIT_FAKEMODULE_H
