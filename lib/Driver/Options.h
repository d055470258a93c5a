//===- Options.h - What the command line asks for --------------*- C++ -*-===//

#ifndef SSMC_LIB_DRIVER_OPTIONS_H
#define SSMC_LIB_DRIVER_OPTIONS_H

#include "Tensor.h"
#include "ssmc/Pipeline/Pipeline.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/Support/Error.h"
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace ssmc {

enum class Verb { None, Compile, Run, Generate, Verify, Bench, Inspect, Doctor };

/// NAME=FILE of --input and --output.
struct FileBinding {
  std::string name, file;
};

struct Options {
  Verb verb = Verb::None;
  std::string source;

  // Which layer, and with which values.
  std::string layer;
  std::map<std::string, std::string> set;
  std::string configFile;

  // How it is compiled.
  std::string mode = "auto";
  std::string target = "cpu", cpu = "native", triple; // target: cpu, cuda or cpu,cuda
  std::vector<std::string> gpu; // names such as sm_90; the one that PTX is for first
  bool targetGiven = false;
  std::string dtype = "f32", ioDType = "f32", stateDType = "f32", weightsDType;
  std::string dumpDirectory, stopAfter;
  bool dtypeGiven = false, fastExp = false, explain = false, noCache = false;
  ScheduleOptions schedule;
  std::vector<std::pair<std::string, double>> machine;
  bool remarks = false;
  std::string remarksFilter;

  // Weights and execution.
  std::vector<std::string> weights;
  std::string prefix;
  std::optional<uint64_t> init;
  uint64_t threads = 0;

  // run
  std::vector<FileBinding> inputs, outputs;

  // compile
  std::string output, emit, header, name;
  bool embedWeights = false;

  // generate
  std::optional<std::string> prompt;
  std::string promptTokens, outputTokens;
  std::optional<uint64_t> count;
  double temperature = 0;
  uint64_t topK = 0, seed = 0;
  bool stopAtEnd = false;
  std::optional<std::string> stopText;

  // inspect, verify, bench
  std::string shippedSource;
  bool json = false, csv = false;
  std::vector<Lengths> lengths;
  uint64_t batch = 0;
  double seconds = 0;
  std::string svg;
  bool lastToken = false;
};

/// Reads the arguments. Where help or the version was asked for, prints it and
/// returns options with Verb::None.
llvm::Expected<Options> parseOptions(llvm::ArrayRef<const char *> arguments);

llvm::StringRef verbName(Verb verb);

/// Whether the layer is compiled for CUDA, alone or beside the CPU.
bool isForCUDA(const Options &options);

/// "4K" is 4096; suffixes K, M and G.
std::optional<uint64_t> parseCount(llvm::StringRef text);

} // namespace ssmc

#endif // SSMC_LIB_DRIVER_OPTIONS_H
