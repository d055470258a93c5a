//===- Inspect.cpp - ssmc inspect -----------------------------------------===//
//
// What a layer needs and gives. Everything is collected as JSON once; the text is
// printed from that.
//
//===----------------------------------------------------------------------===//

#include "Error.h"
#include "Load.h"
#include "Progress.h"
#include "Session.h"
#include "Table.h"
#include "Verbs.h"

#include "ssm/Analysis/RecurrenceClass.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"

using namespace ssmc;
namespace json = llvm::json;

//===----------------------------------------------------------------------===//
// Collecting
//===----------------------------------------------------------------------===//

/// Bytes of one row of the batch; of one token where the sequence is an axis.
static int64_t bytesOf(const ssmrt_value_info &info) {
  int64_t bytes = int64_t(ssmrt_dtype_size(info.dtype));
  for (int64_t extent : shapeOf(info))
    bytes *= extent >= 0 ? extent : 1;
  return bytes;
}

static json::Array collectValues(const ssmrt_value_info *infos, int64_t count) {
  json::Array values;
  for (int64_t i = 0; i < count; ++i) {
    const ssmrt_value_info &info = infos[i];
    json::Array shape;
    for (int64_t extent : shapeOf(info))
      if (int axis = ssmrt_sequence_axis(extent); axis > 0)
        shape.push_back("length " + std::to_string(axis + 1));
      else if (extent == SSMRT_BATCH || axis == 0)
        shape.push_back(axis == 0 ? "length" : "batch");
      else
        shape.push_back(extent);
    json::Object value{{"name", json::fixUTF8(info.name)},
                       {"dtype", ssmrt_dtype_name(info.dtype)},
                       {"shape", std::move(shape)},
                       {"bytes", bytesOf(info)}};
    if (info.flags & SSMRT_OPTIONAL)
      value["optional"] = true;
    if (info.flags & (SSMRT_INITIAL | SSMRT_FINAL))
      value["state"] = info.state;
    if (info.limit > 0)
      value[info.flags & SSMRT_FIXED_LENGTH     ? "length"
            : info.flags & SSMRT_LIMITED_LENGTH ? "longest"
                                                : "limit"] = info.limit;
    values.push_back(std::move(value));
  }
  return values;
}

static json::Array collectRecurrences(mlir::ModuleOp module) {
  json::Array recurrences;
  module.walk([&](mlir::ssm::ScanOp scan) {
    mlir::ssm::RecurrenceInfo info = mlir::ssm::analyzeRecurrence(scan);
    json::Array legal;
    json::Object refused;
    for (mlir::ssm::ExecutionMode mode : mlir::ssm::allExecutionModes) {
      llvm::StringRef name = mlir::ssm::stringifyExecutionMode(mode);
      if (info.isLegal(mode))
        legal.push_back(name);
      else
        refused[name] = info.getReason(mode).str();
    }
    json::Object entry{{"class", mlir::ssm::stringifyRecurrenceClass(info.kind)},
                       {"modes", std::move(legal)},
                       {"refused", std::move(refused)}};
    if (!info.isSplittable())
      entry["not_split_in_time"] = info.splitReason;
    if (auto where = scan.getLoc()->findInstanceOf<mlir::FileLineColLoc>())
      entry["where"] = llvm::formatv("{0}:{1}", where.getFilename().getValue(),
                                     where.getLine())
                           .str();
    recurrences.push_back(std::move(entry));
  });
  return recurrences;
}

static llvm::Expected<json::Object> collect(const Options &options) {
  auto source = readSource(options);
  if (!source)
    return source.takeError();
  auto files = WeightFiles::open(source->weightFiles, options.prefix);
  if (!files)
    return files.takeError();
  BuildRequest request(options);
  request.needsInitializers = true; // and with them the module to analyse
  Build build(*source, *files, options, request);
  if (llvm::Error error = build.runFrontend())
    return std::move(error);
  json::Object result;
  result["recurrences"] = collectRecurrences(build.module());
  json::Object parameters;
  for (const auto &[name, value] : build.parameters())
    parameters[name] = value;
  result["parameters"] = std::move(parameters);
  if (source->kind == Source::Text)
    result["layers"] = json::Array(layersOf(source->text));
  auto object = [&] {
    Progress progress("compiling " + source->name);
    return build.makeObject();
  }();
  if (!object)
    return object.takeError();
  auto loaded = LoadedLayer::load(std::move(*object), request.name);
  if (!loaded)
    return loaded.takeError();
  const ssmrt_module *module = loaded->get();
  result["source"] = source->name;
  // The names live in the code, which goes: JSON must own them.
  result["layer"] = std::string(module->layer);
  result["target"] = std::string(module->target);
  result["step"] = module->step != nullptr;
  result["weights"] = collectValues(module->weights, module->num_weights);
  result["inputs"] = collectValues(module->inputs, module->num_inputs);
  result["outputs"] = collectValues(module->outputs, module->num_outputs);
  result["states"] = collectValues(module->states, module->num_states);
  json::Array unread;
  for (const std::string &name : files->unused(module))
    unread.push_back(json::fixUTF8(name));
  result["unread"] = std::move(unread);
  // Along each axis.
  int64_t length = module->num_axes > 1 ? 64 : 1024;
  result["sequence_axes"] = module->num_axes;
  result["sizes"] = json::Object{
      {"length", length},
      {"prepared_bytes", ssmrt_prepared_bytes(module, length)},
      {"state_bytes", ssmrt_state_bytes(module, 1, length)},
      {"workspace_bytes", ssmrt_workspace_bytes(module, 1, length)}};
  return std::move(result);
}

//===----------------------------------------------------------------------===//
// Printing
//===----------------------------------------------------------------------===//

static std::string textOf(const json::Value &value) {
  if (auto text = value.getAsString())
    return printable(*text);
  return llvm::formatv("{0}", value).str();
}

static std::string listText(const json::Array &list) {
  std::string text;
  for (const json::Value &value : list)
    text += (text.empty() ? "" : ", ") + textOf(value);
  return text;
}

static void printValues(const json::Object &all, llvm::StringRef field,
                        llvm::StringRef bytes) {
  const json::Array &values = *all.getArray(field);
  llvm::outs() << field << ": " << values.size() << '\n';
  if (values.empty())
    return;
  Table table({"name", "dtype", "shape", (">" + bytes).str(), ""});
  for (const json::Value &entry : values) {
    const json::Object &value = *entry.getAsObject();
    std::string notes = value.get("optional") ? "optional" : "";
    if (auto length = value.getInteger("length"))
      notes += "length " + llvm::itostr(*length);
    if (auto limit = value.getInteger("limit"))
      notes += "0 to " + llvm::itostr(*limit - 1);
    table.add({textOf(*value.get("name")), textOf(*value.get("dtype")),
               "[" + listText(*value.getArray("shape")) + "]",
               textOf(*value.get("bytes")), notes});
  }
  table.print(llvm::outs(), 2);
}

static void printText(const json::Object &all) {
  auto field = [&](llvm::StringRef name) { return textOf(*all.get(name)); };
  llvm::outs() << "layer: " << field("layer") << " of " << field("source");
  if (const json::Array *layers = all.getArray("layers"); layers && layers->size() > 1)
    llvm::outs() << ", which has " << listText(*layers);
  llvm::outs() << "\ntarget: " << field("target") << "\nparameters:";
  for (const auto &[name, value] : *all.getObject("parameters"))
    llvm::outs() << " " << llvm::StringRef(name) << "=" << textOf(value);
  llvm::outs() << '\n';
  printValues(all, "weights", "bytes");
  printValues(all, "inputs", "bytes a row and token");
  printValues(all, "outputs", "bytes a row and token");
  printValues(all, "states", "bytes a row");
  const json::Object &sizes = *all.getObject("sizes");
  bool isSeveral = *all.getInteger("sequence_axes") > 1;
  llvm::outs() << "memory for batch 1, length " << *sizes.getInteger("length")
               << (isSeveral ? " along each sequence axis" : "") << ": tables "
               << bytesText(double(*sizes.getInteger("prepared_bytes")))
               << ", state " << bytesText(double(*sizes.getInteger("state_bytes")))
               << ", workspace "
               << bytesText(double(*sizes.getInteger("workspace_bytes"))) << '\n'
               << "step: "
               << (*all.getBoolean("step") ? "yes" : "no, needs its whole sequence")
               << '\n';
  for (const json::Value &entry : *all.getArray("recurrences")) {
    const json::Object &value = *entry.getAsObject();
    llvm::outs() << "recurrence";
    if (auto where = value.getString("where"))
      llvm::outs() << " at " << *where;
    llvm::outs() << ": class " << *value.getString("class") << "; modes "
                 << listText(*value.getArray("modes")) << '\n';
    for (const auto &[mode, reason] : *value.getObject("refused"))
      llvm::outs() << "  not " << llvm::StringRef(mode) << ": " << textOf(reason)
                   << '\n';
  }
  const json::Array &unread = *all.getArray("unread");
  if (!unread.empty())
    llvm::outs() << "tensors in the files that the layer does not read:\n";
  for (const json::Value &name : unread)
    llvm::outs() << "  " << textOf(name) << '\n';
}

static llvm::Error printShipped(llvm::StringRef name) {
  if (name == "all") {
    for (llvm::StringRef module : shippedModules())
      llvm::outs() << module << '\n';
    return llvm::Error::success();
  }
  if (auto text = findShippedModule(name)) {
    llvm::outs() << *text;
    return llvm::Error::success();
  }
  std::vector<std::string> names;
  for (llvm::StringRef module : shippedModules())
    names.push_back(module.str());
  return failure("there is no module '" + printable(name) + "'" +
                 didYouMean(name, names) + "; shipped are " + llvm::join(names, ", "));
}

llvm::Error ssmc::runInspect(const Options &options) {
  if (!options.shippedSource.empty())
    return printShipped(options.shippedSource);
  if (llvm::Error error = checkTarget(options))
    return error;
  auto all = collect(options);
  if (!all)
    return all.takeError();
  if (options.json)
    llvm::outs() << llvm::formatv("{0:2}\n", json::Value(std::move(*all)));
  else
    printText(*all);
  return llvm::Error::success();
}
