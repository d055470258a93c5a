//===- ssmc.cpp - The compiler's command line -----------------------------===//

#include "ssmc/Driver/Driver.h"

int main(int argc, char **argv) { return ssmc::driverMain(argc, argv); }
