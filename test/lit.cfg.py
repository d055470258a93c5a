# Configuration of the lit suite. Tests are .mlir, .ssm and .test files that have
# RUN lines; what the build knows comes from lit.site.cfg.py. Features: `asserts`
# (our assertions are on), `sanitizers`, `aarch64` (cross compiler and emulator).

import os

import lit.formats
import lit.util
from lit.llvm import llvm_config

config.name = "ssmc"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".ssm", ".test"]
config.excludes = ["Inputs", "Numerics", "lib", "CMakeLists.txt"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = config.ssmc_binary_dir + "/test"

try:  # without psutil lit refuses a limit
    import psutil  # noqa: F401

    lit_config.maxIndividualTestTime = 900 if config.sanitizers else 120
except ImportError:
    pass

# Our tools first, then LLVM's, so that RUN lines need no paths and
# --verify-roundtrip substitutions find what they run.
llvm_config.with_environment("PATH", config.llvm_tools_dir, append_path=True)
llvm_config.with_environment("PATH", config.ssmc_binary_dir + "/bin", append_path=True)
llvm_config.with_environment("FILECHECK_OPTS", "-enable-var-scope")
llvm_config.with_system_environment(["ASAN_OPTIONS", "UBSAN_OPTIONS", "TMPDIR", "HOME"])
# Tests neither read nor fill the user's cache of compiled layers.
llvm_config.with_environment("SSMC_CACHE_DIR", config.test_exec_root + "/cache")

config.substitutions.append(("%examples", config.ssmc_source_dir + "/examples"))
config.substitutions.append(("%library", config.ssmc_source_dir + "/lib/Frontend/Library"))
config.substitutions.append(("%inputs", config.test_source_root + "/Inputs"))
config.substitutions.append(("%include", config.ssmc_source_dir + "/include"))
config.substitutions.append(("%build", config.ssmc_binary_dir))
config.substitutions.append(("%source", config.ssmc_source_dir))
# Programs link our runtime, which is instrumented when all of us is.
flags = f" -fsanitize={config.sanitizers} -fno-sanitize-recover=all" if config.sanitizers else ""
config.substitutions.append(("%cc", config.host_cc + flags))
config.substitutions.append(("%python", config.python_executable))
# From loops over memory to LLVM, and the tool that runs the result: the entry
# point's name follows, as in `%run main`. The C library comes before LLVM's
# intrinsics, which have no expm1: it would become exp(x) - 1.
config.substitutions.append((
    "%lower_to_llvm",
    "--expand-strided-metadata --lower-affine --convert-scf-to-cf"
    " --convert-math-to-libm --convert-math-to-llvm --convert-arith-to-llvm"
    " --convert-index-to-llvm --finalize-memref-to-llvm --convert-func-to-llvm"
    " --convert-cf-to-llvm --reconcile-unrealized-casts"))
runner_libraries = ["libmlir_runner_utils.so", "libmlir_c_runner_utils.so"]
config.substitutions.append((
    "%run",
    "mlir-runner --entry-point-result=void --shared-libs="
    + ",".join(config.llvm_library_dir + "/" + name for name in runner_libraries)
    + " -e"))
if os.environ.get("SSMC_VERIFY_ROUNDTRIP"):
    config.substitutions.append((r"\bssm-opt\b", "ssm-opt --verify-roundtrip"))

if config.enable_assertions:
    config.available_features.add("asserts")
if config.sanitizers:
    config.available_features.add("sanitizers")
if lit.util.which("aarch64-linux-gnu-gcc") and lit.util.which("qemu-aarch64"):
    config.available_features.add("aarch64")
