//===- Tensor.h - Arrays that the driver owns ------------------*- C++ -*-===//

#ifndef SSMC_LIB_DRIVER_TENSOR_H
#define SSMC_LIB_DRIVER_TENSOR_H

#include "ssmrt/ssmrt.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/Support/Error.h"
#include <cstdlib>
#include <memory>
#include <string>

namespace ssmc {

/// 64-byte aligned memory.
class Block {
public:
  /// `what` is for the message of a failure. The memory is not initialised.
  static llvm::Expected<Block> create(int64_t bytes, llvm::StringRef what);
  void *get() const { return memory.get(); }
  /// Lets `other` live as long as the block.
  void keep(std::shared_ptr<void> other) { kept = std::move(other); }

private:
  struct Free {
    void operator()(void *memory) const { std::free(memory); }
  };
  std::unique_ptr<void, Free> memory;
  std::shared_ptr<void> kept;
};

/// An array in C order with its own memory.
class Tensor {
public:
  static llvm::Expected<Tensor> create(ssmrt_dtype dtype,
                                       llvm::ArrayRef<int64_t> shape);

  ssmrt_tensor view() const;
  llvm::ArrayRef<int64_t> getShape() const { return shape; }
  ssmrt_dtype getDType() const { return dtype; }
  int64_t count() const;
  int64_t bytes() const { return count() * int64_t(ssmrt_dtype_size(dtype)); }
  template <typename T = char> T *data() const { return static_cast<T *>(block.get()); }

private:
  ssmrt_dtype dtype = {};
  llvm::SmallVector<int64_t, 4> shape;
  Block block;
};

/// "[2, 3]"; run-time extents print as batch, length, length 2 (of the second sequence
/// axis) and so on.
std::string shapeText(llvm::ArrayRef<int64_t> shape);
llvm::ArrayRef<int64_t> shapeOf(const ssmrt_value_info &info);

/// The lengths of the sequence axes of a layer, of which most have one. What takes them
/// also takes fewer: the last is the length of all further axes.
using Lengths = llvm::SmallVector<int64_t, 2>;
int64_t lengthOf(llvm::ArrayRef<int64_t> lengths, int axis);
/// Tokens of a row.
int64_t tokensOf(llvm::ArrayRef<int64_t> lengths, const ssmrt_module &module);
/// "1024"; "28x30" where they differ.
std::string lengthsText(llvm::ArrayRef<int64_t> lengths);
/// The described shape with the batch and the lengths filled in.
llvm::SmallVector<int64_t, 4> shapeFor(const ssmrt_value_info &info, int64_t batch,
                                       llvm::ArrayRef<int64_t> lengths);
/// The dimension of a sequence axis, or -1.
int lengthDimension(const ssmrt_value_info &info, int axis = 0);
/// The length that the layer's sequences must have, or 0.
int64_t fixedLength(const ssmrt_module &module);
/// The most tokens that a sequence of the layer may have, or 0 if there is no such limit.
int64_t longestLength(const ssmrt_module &module);
bool isFloat(ssmrt_dtype dtype);
/// Element number `i` of a tensor of floating-point numbers.
double numberAt(const Tensor &tensor, int64_t i);
/// A copy in another dtype. Errors are the runtime's, which name no tensor.
llvm::Expected<Tensor> convertTo(const Tensor &tensor, ssmrt_dtype dtype);

} // namespace ssmc

#endif // SSMC_LIB_DRIVER_TENSOR_H
