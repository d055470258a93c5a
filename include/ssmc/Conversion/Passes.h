//===- Passes.h - Conversions of the ssm dialect ---------------*- C++ -*-===//

#ifndef SSMC_CONVERSION_PASSES_H
#define SSMC_CONVERSION_PASSES_H

#include "ssmc/Conversion/SSMToSCF.h"

namespace ssmc {
#define GEN_PASS_REGISTRATION
#include "ssmc/Conversion/Passes.h.inc"
} // namespace ssmc

#endif // SSMC_CONVERSION_PASSES_H
