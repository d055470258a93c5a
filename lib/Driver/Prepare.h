//===- Prepare.h - From the command line to a callable layer ---*- C++ -*-===//

#ifndef SSMC_LIB_DRIVER_PREPARE_H
#define SSMC_LIB_DRIVER_PREPARE_H

#include "Session.h"

namespace ssmc {

/// What the verbs that execute have in common: source, weights, threads, code.
class PreparedLayer {
public:
  static llvm::Expected<std::unique_ptr<PreparedLayer>> build(const Options &options);

  const ssmrt_module *module() const { return loaded.get(); }
  const Source &getSource() const { return source; }
  /// Binds the weights and prepares for sequences up to a length. Once: the files
  /// of weights are closed afterwards.
  llvm::Expected<Session> prepare(int64_t maxLength);

private:
  std::optional<uint64_t> seed;
  Source source;
  WeightFiles files;
  std::unique_ptr<Build> compiled; // where weights are drawn
  LoadedLayer loaded;
  Context context;
  BoundWeights borrowed; // weights that are read in place
};

} // namespace ssmc

#endif // SSMC_LIB_DRIVER_PREPARE_H
