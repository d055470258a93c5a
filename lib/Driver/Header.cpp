//===- Header.cpp - The C header of a layer -------------------------------===//

#include "Error.h"
#include "Help.h"
#include "Link.h"
#include "Tensor.h"

#include "llvm/ADT/StringExtras.h"
#include "ssmrt/ssmrt.h"

using namespace ssmc;

static llvm::ArrayRef<mlir::Attribute> listOf(mlir::DictionaryAttr description,
                                              llvm::StringRef field) {
  auto list = description.getAs<mlir::ArrayAttr>(field);
  return list ? list.getValue() : llvm::ArrayRef<mlir::Attribute>();
}

static std::string shapeOf(mlir::DictionaryAttr value) {
  auto dims = value.getAs<mlir::DenseI64ArrayAttr>("dims");
  return shapeText(dims ? dims.asArrayRef() : llvm::ArrayRef<int64_t>());
}

static std::string constantOf(llvm::StringRef name, llvm::StringRef role,
                              llvm::StringRef value) {
  // The value keeps its case: inputs may be called `b` and `B`.
  std::string text = (name.upper() + "_" + role + "_" + value).str();
  for (char &c : text)
    if (!llvm::isAlnum(c))
      c = '_';
  return text;
}

/// One line a value: its index as a constant, its dtype and shape as a comment.
static void printValues(llvm::raw_ostream &os, llvm::StringRef name,
                        mlir::DictionaryAttr description, llvm::StringRef field,
                        llvm::StringRef role) {
  auto values = listOf(description, field);
  // Weights are bound by name; a constant for each would be noise.
  bool isWeight = field == "weights";
  if (values.empty())
    return;
  os << (isWeight ? "/* Weights, by the names in a checkpoint:\n" : "enum {\n");
  for (auto [i, attribute] : llvm::enumerate(values)) {
    auto value = llvm::cast<mlir::DictionaryAttr>(attribute);
    llvm::StringRef valueName = value.getAs<mlir::StringAttr>("name").getValue();
    std::string text = (value.getAs<mlir::StringAttr>("dtype").getValue() + " " +
                        shapeOf(value))
                           .str();
    auto flags = value.getAs<mlir::IntegerAttr>("flags");
    if (flags && (flags.getInt() & SSMRT_OPTIONAL))
      text += ", optional";
    if (isWeight)
      os << " *   " << printable(valueName) << " " << text << '\n';
    else
      os << "  " << constantOf(name, role, valueName) << " = " << i << ", /* " << text
         << " */\n";
  }
  if (isWeight)
    os << " */\n\n";
  else
    os << "  " << constantOf(name, "NUM", field) << " = " << values.size() << "\n};\n\n";
}

llvm::Expected<std::string> ssmc::makeHeader(Build &build, llvm::StringRef name,
                                             bool hasWeights) {
  if (llvm::Error error = build.lower(Phase::Buffers))
    return std::move(error);
  auto description =
      build.module()->getAttrOfType<mlir::DictionaryAttr>("ssm.module");
  if (!description)
    return failure("the module has no description: wanted a .ssm file, or .mlir of an "
                   "earlier phase");
  std::string text, guard = constantOf(name, "LAYER", "H");
  llvm::raw_string_ostream os(text);
  os << "/* Layer '" << build.layer() << "', compiled by " << versionText() << ". */\n"
     << "#ifndef " << guard << "\n#define " << guard << "\n\n#include <ssmrt/ssmrt.h>\n\n"
     << "#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n"
     << "/* Describes the layer and holds its code; see ssmrt.h for the calls. */\n"
     << "const ssmrt_module *" << name << "_module(void);\n\n";
  printValues(os, name, description, "inputs", "INPUT");
  printValues(os, name, description, "outputs", "OUTPUT");
  printValues(os, name, description, "states", "STATE");
  printValues(os, name, description, "weights", "WEIGHT");
  if (hasWeights)
    os << "/* They are embedded: ssmrt_prepare takes NULL and 0 in their place. */\n\n";
  os << "#ifdef __cplusplus\n}\n#endif\n\n#endif /* " << guard << " */\n";
  return text;
}
