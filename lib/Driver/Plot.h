//===- Plot.h - Curves as SVG ----------------------------------*- C++ -*-===//

#ifndef SSMC_LIB_DRIVER_PLOT_H
#define SSMC_LIB_DRIVER_PLOT_H

#include "llvm/ADT/ArrayRef.h"
#include <string>
#include <utility>
#include <vector>

namespace ssmc {

struct Curve {
  std::string name;
  std::vector<std::pair<double, double>> points; // length, seconds
};

/// Time over length, both axes logarithmic, as the text of an SVG file. Points that a
/// logarithmic axis cannot have are left out; at least one must be left.
std::string plotTimes(const std::string &title, llvm::ArrayRef<Curve> curves);
/// Whether there is anything to draw.
bool hasPoints(llvm::ArrayRef<Curve> curves);

} // namespace ssmc

#endif // SSMC_LIB_DRIVER_PLOT_H
