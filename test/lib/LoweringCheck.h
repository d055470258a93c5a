//===- LoweringCheck.h - Lowered code against the interpreter --*- C++ -*-===//

#ifndef SSMC_TEST_LIB_LOWERINGCHECK_H
#define SSMC_TEST_LIB_LOWERINGCHECK_H

#include "llvm/ADT/StringRef.h"
#include <map>
#include <string>

namespace ssmc::test {

/// Sizes of a case: what `$NAME` (capitals) stands for in its text, and the run
/// time's batch and length.
struct Sizes {
  std::map<std::string, int64_t> named;
  int64_t batch = 2, tokens = 7;
  int64_t vectorBits = 512;
};

/// Lowers the function `f` of `text` with `ssm-lower-to-cpu`, runs it on random
/// data, and expects the interpreter's results in every argument. Arguments are
/// memrefs: the first dynamic extent is the batch, the second the length; with
/// a strided layout rows are padded. Integers are below the argument attribute
/// `test.max` (default 2); floats are in [-1, 1), and one of `test.nan` is NaN.
void checkLowering(llvm::StringRef text, const Sizes &sizes,
                   double tolerance = 3e-5);

} // namespace ssmc::test

#endif // SSMC_TEST_LIB_LOWERINGCHECK_H
