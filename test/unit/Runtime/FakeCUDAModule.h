//===- FakeCUDAModule.h - A compiled layer for a GPU ------------------------===//
//
// The layer of FakeCUDAModule.c and its kernel, for the fake driver.
//
//===----------------------------------------------------------------------===//

#ifndef SSMRT_UNIT_FAKECUDAMODULE_H
#define SSMRT_UNIT_FAKECUDAMODULE_H

#include "FakeCUDADriver.h"
#include "ssmrt/ssmrt.h"

#ifdef __cplusplus
extern "C" {
#endif

const ssmrt_module *fake_cuda_module(void);
/* Its kernels: "decaying_sum", with 9 arguments, and "nothing", with none. */
void fake_decaying_sum(const fake_launch *launch, void **arguments);
extern const int fake_decaying_sum_arguments;

#ifdef __cplusplus
}
#endif

#endif // SSMRT_UNIT_FAKECUDAMODULE_H
