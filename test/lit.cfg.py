# Configuration of the test suite. Features:
#   asserts          our code checks its assertions (the dev and asan presets)
#   sanitizers       our code is instrumented
# Substitutions:
#   %lower_to_llvm   passes from loops over memory to LLVM, for mlir-runner
#   %run             mlir-runner with its support libraries
#   %python          the interpreter that runs lit
import os
import sys

import lit.formats
import lit.llvm

lit.llvm.initialize(lit_config, config)

config.name = "ssmc"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".ssm", ".test"]
config.excludes = ["Inputs", "lit.cfg.py", "lit.site.cfg.py"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = config.ssmc_test_dir

config.environment["PATH"] = os.pathsep.join(
    [config.ssmc_tools_dir, config.llvm_tools_dir, config.environment.get("PATH", "")]
)
# A variable not marked $ belongs to its CHECK-LABEL block.
config.environment["FILECHECK_OPTS"] = "-enable-var-scope"

if config.ssmc_assertions:
    config.available_features.add("asserts")
if config.ssmc_sanitizers:
    config.available_features.add("sanitizers")

libraries = ",".join(
    os.path.join(config.llvm_lib_dir, name)
    for name in ("libmlir_runner_utils.so", "libmlir_c_runner_utils.so")
)
config.substitutions += [
    ("%python", sys.executable),
    (
        "%lower_to_llvm",
        "--expand-strided-metadata --lower-affine --convert-scf-to-cf "
        "--convert-math-to-llvm --convert-math-to-libm --convert-arith-to-llvm "
        "--convert-index-to-llvm --finalize-memref-to-llvm --convert-func-to-llvm "
        "--convert-cf-to-llvm --reconcile-unrealized-casts",
    ),
    (
        "%run",
        "mlir-runner --entry-point-result=void --shared-libs=" + libraries + " -e",
    ),
    ("%ssmc_source", config.ssmc_source_dir),
    ("%ssmc_build", config.ssmc_build_dir),
]
