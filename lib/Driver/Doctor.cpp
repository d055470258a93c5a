//===- Doctor.cpp - ssmc doctor -------------------------------------------===//

#include "Cache.h"
#include "Error.h"
#include "Help.h"
#include "Link.h"
#include "Table.h"
#include "Verbs.h"

#include "Target/NVPTX/Assembler.h"
#include "ssmrt/ssmrt.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/Program.h"
#include "llvm/TargetParser/Host.h"
#include <thread>

using namespace ssmc;

namespace {
struct Finding {
  std::string what, state, found, advice;
};
} // namespace

static Finding findFeatures() {
  llvm::StringMap<bool> features = llvm::sys::getHostCPUFeatures();
  std::string found, missing;
  for (const char *name : {"avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512vl",
                           "avx512bf16", "avx512fp16", "amx-bf16"})
    (features.lookup(name) ? found : missing) += std::string(" ") + name;
  if (llvm::sys::getProcessTriple().substr(0, 6) != "x86_64")
    return {"vector units", "ok", llvm::sys::getProcessTriple(), ""};
  bool isFast = features.lookup("avx2") && features.lookup("fma");
  return {"vector units", isFast ? "ok" : "slow", "has" + found + "; lacks" + missing,
          isFast ? "" : "kernels are tuned for AVX2 with FMA, or AVX-512"};
}

static Finding findTool(const char *what, const std::string &path, const char *advice) {
  return {what, path.empty() ? "missing" : "ok", path, path.empty() ? advice : ""};
}

static Finding findProgram(const char *what, llvm::ArrayRef<const char *> names,
                           const char *advice) {
  for (const char *name : names)
    if (auto path = llvm::sys::findProgramByName(name))
      return findTool(what, *path, advice);
  return findTool(what, "", advice);
}

/// The driver, and a line for each GPU.
static std::vector<Finding> findCUDA() {
  int count;
  if (ssmrt_cuda_device_count(&count) != SSMRT_OK)
    return {{"CUDA driver", "missing", "",
             (llvm::Twine(ssmrt_last_error()) + "; for --target cuda, to run").str()}};
  std::vector<Finding> findings;
  for (int i = 0; i < count; ++i) {
    ssmrt_cuda_device device;
    std::string what = "GPU " + std::to_string(i);
    if (ssmrt_cuda_device_info(i, &device) != SSMRT_OK) {
      findings.push_back({what, "broken", "", ssmrt_last_error()});
      continue;
    }
    if (findings.empty())
      findings.push_back({"CUDA driver", "ok",
                          llvm::formatv("for CUDA {0}.{1}", device.driver_version / 1000,
                                        device.driver_version % 1000 / 10)
                              .str(),
                          ""});
    bool isNew = device.arch >= 80;
    findings.push_back({what, isNew ? "ok" : "too old",
                        llvm::formatv("{0}, sm_{1}, {2} GiB", device.name, device.arch,
                                      device.memory_bytes >> 30)
                            .str(),
                        isNew ? "" : "kernels are for sm_80 and later"});
  }
  if (count == 0)
    findings.push_back({"CUDA driver", "ok", "no GPU", ""});
  return findings;
}

static Finding findCache() {
  std::string directory = cacheDirectory();
  if (directory.empty())
    return {"cache", "missing", "", "set HOME, XDG_CACHE_HOME or SSMC_CACHE_DIR"};
  bool works = !llvm::sys::fs::create_directories(directory) &&
               !llvm::sys::fs::access(directory, llvm::sys::fs::AccessMode::Write);
  return {"cache", works ? "ok" : "broken", directory,
          works ? "" : "cannot be written to: every run compiles again"};
}

llvm::Error ssmc::runDoctor(const Options &options) {
  std::vector<Finding> findings = {
      {"compiler", "ok", versionText(), ""},
      {"CPU", "ok", llvm::sys::getHostCPUName().str(), ""},
      findFeatures(),
      {"threads", "ok",
       std::to_string(std::max(1u, std::thread::hardware_concurrency())) +
           ", of the runtime's own pool",
       ""},
      findTool("linker for .so", findLinker(), "apt-get install lld-22"),
      findTool("libssmrt.a", findRuntimeArchive(),
               "wanted in the lib directory beside the program's"),
      findProgram("C compiler", {"cc", "gcc", "clang-22", "clang"},
                  "apt-get install gcc, for programs that use compiled layers"),
      findProgram("emulator for AArch64", {"qemu-aarch64", "qemu-aarch64-static"},
                  "apt-get install qemu-user, to run code for AArch64")};
  llvm::append_range(findings, findCUDA());
  findings.push_back(findTool("ptxas", nvptx::findAssembler(),
                              "for --gpu and .cubin: wanted on the PATH, or in the folder "
                              "bin of CUDA_HOME"));
  findings.push_back(findCache());
  if (options.json) {
    llvm::json::Array list;
    for (const Finding &finding : findings)
      list.push_back(llvm::json::Object{{"what", finding.what},
                                        {"state", finding.state},
                                        {"found", finding.found},
                                        {"advice", finding.advice}});
    llvm::outs() << llvm::formatv("{0:2}\n", llvm::json::Value(std::move(list)));
    return llvm::Error::success();
  }
  Table table({"", "", "", ""});
  for (const Finding &finding : findings)
    table.add({finding.what, finding.state,
               finding.found.empty() ? finding.advice : finding.found,
               finding.found.empty() ? "" : finding.advice});
  table.print(llvm::outs());
  return llvm::Error::success();
}
