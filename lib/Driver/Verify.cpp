//===- Verify.cpp - ssmc verify -------------------------------------------===//
//
// A line for each layer, mode and dtype.
//
//===----------------------------------------------------------------------===//

#include "Error.h"
#include "Table.h"
#include "Verbs.h"
#include "VerifyLayer.h"

#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"

using namespace ssmc;

/// A failure is one line of the table, not the end of it.
static std::string messageOf(llvm::Error error) {
  std::string message = "does not compile"; // which was reported
  llvm::handleAllErrors(
      std::move(error), [](const ReportedError &) {},
      [&](const llvm::ErrorInfoBase &other) { message = other.message(); });
  return message;
}

llvm::Error ssmc::runVerify(const Options &options) {
  if (llvm::Error error = checkTarget(options))
    return error;
  auto source = readSource(options);
  if (!source)
    return source.takeError();
  auto files = WeightFiles::open(source->weightFiles, options.prefix);
  if (!files)
    return files.takeError();
  std::vector<std::string> layers = {source->layer};
  if (source->layer.empty() && source->kind == Source::Text) {
    layers = layersOf(source->text);
    // A source with a mistake: the front end says which.
    if (layers.empty())
      layers = {""};
  }
  Table table({"layer", "mode", "dtype", ">error", "where", "result"});
  llvm::json::Array list;
  bool disagrees = false;
  auto fail = [&](llvm::StringRef layer, llvm::Error error) {
    disagrees = true;
    std::string result = "FAILED: " + messageOf(std::move(error));
    table.add({layer.str(), "", "", "", "", result});
    list.push_back(llvm::json::Object{{"layer", layer}, {"result", result}});
  };
  for (const std::string &layer : layers) {
    source->layer = layer;
    LayerVerifier verifier(options, *source, *files);
    if (llvm::Error error = verifier.compile()) {
      fail(layer, std::move(error));
      continue;
    }
    std::string name = verifier.layer().str();
    auto verdicts = verifier.run();
    if (!verdicts) {
      fail(name, verdicts.takeError());
      continue;
    }
    for (const Verdict &verdict : *verdicts) {
      // A mode that was asked for has to be possible.
      disagrees |= !verdict.failure.empty() ||
                   (!verdict.refusal.empty() && options.mode != "auto");
      bool compared = verdict.comparisons > 0;
      std::string result = !verdict.refusal.empty() ? "refused: " + verdict.refusal
                           : verdict.failure.empty() ? "ok"
                                                     : "FAILED: " + verdict.failure;
      table.add({name, verdict.mode, verdict.dtype,
                 compared ? numberText(verdict.worst) : "", verdict.where, result});
      llvm::json::Object entry{
          {"layer", name}, {"mode", verdict.mode}, {"result", result}};
      if (!verdict.dtype.empty())
        entry["dtype"] = verdict.dtype;
      if (compared) {
        entry["error"] = verdict.worst;
        entry["where"] = verdict.where;
        entry["tolerance"] = verdict.tolerance;
        entry["comparisons"] = verdict.comparisons;
      }
      list.push_back(std::move(entry));
    }
  }
  if (options.json)
    llvm::outs() << llvm::formatv("{0:2}\n", llvm::json::Value(std::move(list)));
  else
    table.print(llvm::outs());
  return disagrees ? reportedFailure() : llvm::Error::success();
}
