//===- Driver.h - The command line ssmc ------------------------*- C++ -*-===//

#ifndef SSMC_DRIVER_DRIVER_H
#define SSMC_DRIVER_DRIVER_H

namespace ssmc {

/// Runs the command line. Returns the exit status: 0 done, 1 the user's mistake,
/// 2 an unusable command line.
int driverMain(int argc, char **argv);

} // namespace ssmc

#endif // SSMC_DRIVER_DRIVER_H
