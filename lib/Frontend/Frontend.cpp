//===- Frontend.cpp - Modules, imports and initialisers -------------------===//

#include "ssmc/Frontend/Frontend.h"
#include "Elaborator.h"
#include "Parser.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "ssm/IR/SSM.h"
#include <cmath>
#include <random>

using namespace ssmc;

namespace {
struct Shipped {
  llvm::StringRef name, text;
};
} // namespace

static llvm::ArrayRef<Shipped> shipped() {
  static const Shipped modules[] = {
#define MODULE(NAME, TEXT) {NAME, TEXT},
#include "ShippedModules.inc"
#undef MODULE
  };
  return modules;
}

std::optional<llvm::StringRef> ssmc::findShippedModule(llvm::StringRef name) {
  for (const Shipped &module : shipped())
    if (module.name == name)
      return module.text;
  return std::nullopt;
}

std::vector<llvm::StringRef> ssmc::shippedModules() {
  std::vector<llvm::StringRef> names;
  for (const Shipped &module : shipped())
    names.push_back(module.name);
  llvm::sort(names);
  return names;
}

std::optional<std::pair<std::string, std::string>>
ssmc::findModelFor(llvm::StringRef modelType) {
  for (const Shipped &module : shipped()) {
    if (!module.text.contains("\"" + modelType.str() + "\""))
      continue;
    llvm::SourceMgr sources;
    unsigned id = sources.AddNewSourceBuffer(
        llvm::MemoryBuffer::getMemBuffer(module.text, module.name), {});
    Diagnostics diagnostics(sources, llvm::nulls());
    auto tree = parse(diagnostics, id, module.name);
    if (!tree)
      continue;
    for (const auto &layer : tree->layers)
      if (layer->isModel && layer->modelType == modelType)
        return std::make_pair(module.name.str(), layer->name.name);
  }
  return std::nullopt;
}

namespace {
/// Parses a module and what it imports, each once.
class Loader {
public:
  Loader(Diagnostics &diagnostics) : diagnostics(diagnostics) {}
  std::vector<std::unique_ptr<ast::Module>> modules;

  ast::Module *load(unsigned buffer, llvm::StringRef name) {
    auto tree = parse(diagnostics, buffer, name);
    if (!tree)
      return nullptr;
    ast::Module *result = tree.get();
    modules.push_back(std::move(tree));
    loaded.insert(name.str());
    for (const ast::ImportDecl &import : result->imports)
      if (!loadByName(import.module.name, import.module.range))
        return nullptr;
    return result;
  }

  bool loadByName(llvm::StringRef name, llvm::SMRange range) {
    if (!loaded.insert(name.str()).second)
      return true;
    auto text = findShippedModule(name);
    if (!text) {
      std::string names;
      for (llvm::StringRef known : shippedModules())
        names += (names.empty() ? "" : ", ") + known.str();
      return diagnostics.error(range, "there is no module '" + name +
                                          "'; shipped are " + names);
    }
    unsigned id = diagnostics.getSources().AddNewSourceBuffer(
        llvm::MemoryBuffer::getMemBuffer(*text, (name + ".ssm").str()), {});
    return load(id, name) != nullptr;
  }

private:
  Diagnostics &diagnostics;
  std::set<std::string> loaded;
};
} // namespace

/// Values of a weight: its initialiser, or a uniform draw over +-1/sqrt(last axis).
static std::vector<double> initialValues(const WeightInfo &info, uint64_t seed) {
  int64_t count = 1;
  for (int64_t extent : info.shape)
    count *= extent;
  uint64_t mixed = seed;
  for (char c : info.name)
    mixed = mixed * 1099511628211ull + uint8_t(c);
  std::mt19937_64 engine(mixed);
  std::normal_distribution<double> gaussian;
  std::uniform_real_distribution<double> uniform;
  auto drawGaussian = [&] { return gaussian(engine); };
  auto drawUniform = [&] { return uniform(engine); };
  double range = info.shape.empty() ? 1 : 1 / std::sqrt(double(std::max<int64_t>(
                                                   info.shape.back(), 1)));
  std::vector<double> values;
  for (int64_t member = 0; member < std::max<int64_t>(info.family, 1); ++member) {
    llvm::SmallVector<int64_t> point(info.shape.size(), 0);
    for (int64_t i = 0; i < count; ++i) {
      values.push_back(info.init ? evaluate(info.init, point, drawGaussian, drawUniform)
                                 : range * (2 * drawUniform() - 1));
      for (size_t d = point.size(); d-- > 0;) {
        if (++point[d] < info.shape[d])
          break;
        point[d] = 0;
      }
    }
  }
  return values;
}

static void loadDialects(mlir::MLIRContext &context) {
  context.loadDialect<mlir::arith::ArithDialect, mlir::bufferization::BufferizationDialect,
                      mlir::func::FuncDialect, mlir::linalg::LinalgDialect,
                      mlir::math::MathDialect, mlir::scf::SCFDialect,
                      mlir::tensor::TensorDialect, mlir::ssm::SSMDialect>();
}

CompiledSource ssmc::compileSource(mlir::MLIRContext &context, llvm::SourceMgr &sources,
                                   std::unique_ptr<llvm::MemoryBuffer> buffer,
                                   const FrontendOptions &options,
                                   llvm::raw_ostream &os) {
  loadDialects(context);
  Diagnostics diagnostics(sources, os);
  CompiledSource result;
  unsigned id = sources.AddNewSourceBuffer(std::move(buffer), {});
  Loader loader(diagnostics);
  ast::Module *main = loader.load(id, "main");
  if (!main || !loader.loadByName("std", {}))
    return result;
  Elaborator elaborator(context, diagnostics, options);
  for (const auto &module : loader.modules)
    elaborator.addModule(*module);
  result.module = elaborator.run(*main);
  if (diagnostics.hasErrors())
    result.module = nullptr;
  if (!result.module)
    return result;
  result.parameters = std::move(elaborator.parameters);
  for (WeightInfo &info : elaborator.weights) {
    WeightInitializer initializer;
    initializer.name = info.name;
    initializer.shape.assign(info.shape.begin(), info.shape.end());
    initializer.family = info.family;
    initializer.values = [info](uint64_t seed) { return initialValues(info, seed); };
    result.weights.push_back(std::move(initializer));
  }
  return result;
}

/// Whether a layer can be elaborated without --set and without a config.json.
static bool standsAlone(const ast::LayerDecl &layer) {
  for (const ast::Param &param : layer.params) {
    if (param.testValue)
      continue;
    if (!param.defaultValue)
      return false;
    auto *config = llvm::dyn_cast<ast::ConfigExpr>(param.defaultValue.get());
    if (config && !config->fallback)
      return false;
  }
  return true;
}

unsigned ssmc::checkSource(mlir::MLIRContext &context, llvm::SourceMgr &sources,
                           std::unique_ptr<llvm::MemoryBuffer> buffer,
                           llvm::raw_ostream &os) {
  loadDialects(context);
  Diagnostics diagnostics(sources, os);
  unsigned id = sources.AddNewSourceBuffer(std::move(buffer), {});
  Loader loader(diagnostics);
  ast::Module *main = loader.load(id, "main");
  if (!main || !loader.loadByName("std", {}))
    return id;
  for (const auto &layer : main->layers) {
    if (!standsAlone(*layer))
      continue;
    FrontendOptions options;
    options.layer = layer->name.name;
    Elaborator elaborator(context, diagnostics, options);
    for (const auto &module : loader.modules)
      elaborator.addModule(*module);
    elaborator.run(*main);
    diagnostics.consequence = false;
  }
  return id;
}

mlir::LogicalResult ssmc::printTree(llvm::SourceMgr &sources,
                                    std::unique_ptr<llvm::MemoryBuffer> buffer,
                                    llvm::raw_ostream &tree, llvm::raw_ostream &os) {
  Diagnostics diagnostics(sources, os);
  unsigned id = sources.AddNewSourceBuffer(std::move(buffer), {});
  auto module = parse(diagnostics, id, "main");
  if (!module)
    return mlir::failure();
  ast::print(*module, tree);
  return mlir::success();
}

std::vector<std::string> ssmc::layersOf(llvm::StringRef text) {
  llvm::SourceMgr sources;
  unsigned id = sources.AddNewSourceBuffer(llvm::MemoryBuffer::getMemBuffer(text), {});
  Diagnostics diagnostics(sources, llvm::nulls());
  std::vector<std::string> names;
  if (auto module = parse(diagnostics, id, "main"))
    for (const auto &layer : module->layers)
      names.push_back(layer->name.name);
  return names;
}
