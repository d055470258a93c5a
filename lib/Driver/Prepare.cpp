//===- Prepare.cpp - From the command line to a callable layer ------------===//

#include "Prepare.h"
#include "Error.h"
#include "Progress.h"

using namespace ssmc;

llvm::Expected<std::unique_ptr<PreparedLayer>>
PreparedLayer::build(const Options &options) {
  if (llvm::Error error = checkTarget(options))
    return std::move(error);
  auto result = std::make_unique<PreparedLayer>();
  result->seed = options.init;
  auto source = readSource(options);
  if (!source)
    return source.takeError();
  result->source = std::move(*source);
  auto files = WeightFiles::open(result->source.weightFiles, options.prefix);
  if (!files)
    return files.takeError();
  result->files = std::move(*files);
  BuildRequest request(options);
  request.needsInitializers = options.init.has_value();
  // Continuing a text takes the head once.
  request.lastToken = options.verb == Verb::Generate;
  auto build =
      std::make_unique<Build>(result->source, result->files, options, request);
  auto object = [&] {
    Progress progress("compiling " + result->source.name);
    return build->makeObject();
  }();
  if (!object)
    return object.takeError();
  // Initialisers refer to the IR's context.
  if (request.needsInitializers)
    result->compiled = std::move(build);
  auto loaded = LoadedLayer::load(std::move(*object), request.name);
  if (!loaded)
    return loaded.takeError();
  result->loaded = std::move(*loaded);
  auto context = makeContext(options.threads);
  if (!context)
    return context.takeError();
  result->context = std::move(*context);
  return std::move(result);
}

llvm::Expected<Session> PreparedLayer::prepare(int64_t maxLength) {
  Progress progress("reading weights");
  llvm::ArrayRef<WeightInitializer> initializers;
  if (compiled)
    initializers = compiled->initializers();
  auto weights = bindWeights(module(), files, initializers, seed);
  if (!weights)
    return weights.takeError();
  auto session = Session::create(module(), context.get(), weights->tensors, maxLength);
  if (session)
    for (const std::string &message : session->findGrowth())
      warn(message);
  // From here on the tables are the only copy, unless the code reads some in place.
  bool isBorrowed = false;
  for (int64_t i = 0; i < module()->num_weights; ++i)
    isBorrowed |= (module()->weights[i].flags & SSMRT_BORROWED) != 0;
  if (isBorrowed)
    borrowed = std::move(*weights);
  else
    files = WeightFiles();
  return session;
}
