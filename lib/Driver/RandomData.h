//===- RandomData.h - Seeded inputs ----------------------------*- C++ -*-===//

#ifndef SSMC_LIB_DRIVER_RANDOMDATA_H
#define SSMC_LIB_DRIVER_RANDOMDATA_H

#include "Tensor.h"

namespace ssmc {

/// Inputs of the described shapes: floats from a normal distribution of deviation
/// 1/2, integers below their limit. A value depends on the seed, the input, the row
/// and its place in the row, not on the batch: rows are the same in any batch.
llvm::Expected<std::vector<Tensor>> drawInputs(const ssmrt_module *module,
                                               int64_t batch,
                                               llvm::ArrayRef<int64_t> lengths,
                                               uint64_t seed);

/// The same values in the dtypes of another module of the same layer.
llvm::Expected<std::vector<Tensor>> convertAll(llvm::ArrayRef<Tensor> tensors,
                                               const ssmrt_value_info *infos);
std::vector<ssmrt_tensor> viewAll(llvm::ArrayRef<Tensor> tensors);

/// One row of a batch: of tensors that have a batch their row, of others all.
llvm::Expected<std::vector<Tensor>> takeRow(llvm::ArrayRef<Tensor> tensors,
                                            const ssmrt_value_info *infos,
                                            int64_t row);

} // namespace ssmc

#endif // SSMC_LIB_DRIVER_RANDOMDATA_H
