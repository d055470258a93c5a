//===- Modes.cpp - Which modes a layer may be executed in -----------------===//

#include "Modes.h"

using namespace ssmc;

std::vector<ModeChoice> ssmc::tryModes(const Source &source, const WeightFiles &weights,
                                       const Options &options, BuildRequest request) {
  std::vector<ModeChoice> modes = {{"auto", ""}};
  request.quiet = true;
  for (const char *mode : {"step", "scan", "chunk", "conv", "quadratic"}) {
    request.mode = mode;
    Build build(source, weights, options, request);
    build.pipeline().explain = false;
    build.pipeline().dumpDirectory.clear();
    llvm::Error error = build.lower(Phase::Layer);
    std::string refusal;
    if (error) {
      llvm::consumeError(std::move(error));
      refusal = build.takeDiagnostics();
      refusal = refusal.empty() ? "refused" : refusal;
    }
    modes.push_back({mode, refusal});
  }
  return modes;
}
