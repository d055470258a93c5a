//===- ModuleDescription.cpp - Constants of the C ABI ---------------------===//
//
// Everything a caller can ask of a compiled layer, as constant data beside its code.
// The layouts mirror ssmrt.h, whose static assertions a test compares.
//
//===----------------------------------------------------------------------===//

#include "Target/CPU/ModuleDescription.h"

#include "mlir/IR/BuiltinAttributes.h"
#include "ssmrt/ssmrt.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/IRBuilder.h"

using namespace ssmc;
using mlir::ArrayAttr;
using mlir::DenseI64ArrayAttr;
using mlir::DictionaryAttr;
using mlir::IntegerAttr;
using mlir::StringAttr;

namespace {
class Emitter {
public:
  Emitter(llvm::Module &module)
      : module(module), context(module.getContext()),
        pointer(llvm::PointerType::getUnqual(context)),
        i32(llvm::Type::getInt32Ty(context)), i64(llvm::Type::getInt64Ty(context)),
        i8(llvm::Type::getInt8Ty(context)), i16(llvm::Type::getInt16Ty(context)) {}

  void run(DictionaryAttr description);

private:
  llvm::Constant *global(llvm::Constant *init, const llvm::Twine &name) {
    return new llvm::GlobalVariable(module, init->getType(), /*isConstant=*/true,
                                    llvm::GlobalValue::PrivateLinkage, init, name);
  }
  llvm::Constant *text(llvm::StringRef value) {
    return global(llvm::ConstantDataArray::getString(context, value), "text");
  }
  llvm::Constant *int64(int64_t v) { return llvm::ConstantInt::getSigned(i64, v); }
  llvm::Constant *int32(int64_t v) { return llvm::ConstantInt::getSigned(i32, v); }
  llvm::Constant *dtype(llvm::StringRef name);
  llvm::Constant *values(ArrayAttr list, llvm::StringRef name);
  /// `k[0] + k[1]*a + k[2]*b + k[3]*a*b` as a function of `arity` i64 arguments.
  llvm::Constant *size(llvm::ArrayRef<int64_t> k, unsigned arity, llvm::StringRef name);
  llvm::Constant *functionOrNull(llvm::StringRef name);

  llvm::Module &module;
  llvm::LLVMContext &context;
  llvm::PointerType *pointer;
  llvm::IntegerType *i32, *i64, *i8, *i16;
};
} // namespace

llvm::Constant *Emitter::dtype(llvm::StringRef name) {
  unsigned code = name.starts_with("bf") ? SSMRT_BFLOAT
                  : name.starts_with("f") ? SSMRT_FLOAT
                  : name == "bool"        ? SSMRT_BOOL
                                          : SSMRT_INT;
  unsigned bits = 8;
  if (name != "bool")
    name.drop_while([](char c) { return !llvm::isDigit(c); }).getAsInteger(10, bits);
  return llvm::ConstantStruct::getAnon(
      {llvm::ConstantInt::get(i8, code), llvm::ConstantInt::get(i8, bits),
       llvm::ConstantInt::get(i16, 1)});
}

llvm::Constant *Emitter::values(ArrayAttr list, llvm::StringRef name) {
  if (list.empty())
    return llvm::ConstantPointerNull::get(pointer);
  llvm::SmallVector<llvm::Constant *> entries;
  for (mlir::Attribute attr : list) {
    auto entry = llvm::cast<DictionaryAttr>(attr);
    auto dims = entry.getAs<DenseI64ArrayAttr>("dims").asArrayRef();
    auto integer = [&](llvm::StringRef key) -> int64_t {
      auto value = entry.getAs<IntegerAttr>(key);
      return value ? value.getInt() : 0;
    };
    llvm::Constant *shape =
        dims.empty() ? llvm::ConstantPointerNull::get(pointer)
                     : global(llvm::ConstantDataArray::get(
                                  context, llvm::ArrayRef<uint64_t>(
                                               reinterpret_cast<const uint64_t *>(
                                                   dims.data()),
                                               dims.size())),
                              "shape");
    // ssmrt_value_info
    entries.push_back(llvm::ConstantStruct::getAnon(
        {text(entry.getAs<StringAttr>("name").getValue()),
         dtype(entry.getAs<StringAttr>("dtype").getValue()), int32(dims.size()), shape,
         int32(integer("flags")), int32(integer("state")), int64(integer("limit"))}));
  }
  auto *array = llvm::ArrayType::get(entries[0]->getType(), entries.size());
  return global(llvm::ConstantArray::get(array, entries), name);
}

llvm::Constant *Emitter::size(llvm::ArrayRef<int64_t> k, unsigned arity,
                              llvm::StringRef name) {
  llvm::SmallVector<llvm::Type *> params(arity, i64);
  auto *function = llvm::Function::Create(
      llvm::FunctionType::get(i64, params, false), llvm::GlobalValue::InternalLinkage,
      name, module);
  llvm::IRBuilder<> builder(llvm::BasicBlock::Create(context, "", function));
  llvm::Value *a = arity > 0 ? function->getArg(0) : nullptr;
  llvm::Value *b = arity > 1 ? function->getArg(1) : nullptr;
  llvm::Value *sum = int64(k[0]);
  auto addTerm = [&](int64_t coefficient, llvm::Value *factor) {
    if (coefficient && factor)
      sum = builder.CreateAdd(sum, builder.CreateMul(int64(coefficient), factor));
  };
  addTerm(k[1], a);
  addTerm(k[2], b);
  if (a && b && k[3])
    addTerm(k[3], builder.CreateMul(a, b));
  builder.CreateRet(sum);
  return function;
}

llvm::Constant *Emitter::functionOrNull(llvm::StringRef name) {
  if (llvm::Function *function = module.getFunction(name)) {
    function->setLinkage(llvm::GlobalValue::InternalLinkage);
    return function;
  }
  return llvm::ConstantPointerNull::get(pointer);
}

void Emitter::run(DictionaryAttr description) {
  auto string = [&](llvm::StringRef key) {
    return description.getAs<StringAttr>(key).getValue();
  };
  auto list = [&](llvm::StringRef key) { return description.getAs<ArrayAttr>(key); };
  auto numbers = [&](llvm::StringRef key) {
    return description.getAs<DenseI64ArrayAttr>(key).asArrayRef();
  };
  llvm::StringRef name = string("name");

  // The step's length is 1: its arena is an affine function of the batch alone.
  llvm::ArrayRef<int64_t> step = numbers("step_workspace");
  int64_t stepSizes[4] = {step[0] + step[2], step[1] + step[3], 0, 0};
  // There is no batch in prepare.
  llvm::ArrayRef<int64_t> prepare = numbers("prepare_workspace");
  int64_t prepareSizes[4] = {prepare[0], prepare[2], 0, 0};

  llvm::Constant *fields[] = {
      llvm::ConstantInt::get(i64, SSMRT_MAGIC),
      int32(SSMRT_ABI_VERSION),
      int32(sizeof(ssmrt_module)),
      text(name),
      text(string("layer")),
      text(string("target")),
      text(string("compiler")),
      llvm::ConstantInt::get(i64, description.getAs<IntegerAttr>("hash").getInt()),
      int64(list("weights").size()),
      int64(list("inputs").size()),
      int64(list("outputs").size()),
      int64(list("states").size()),
      values(list("weights"), "weights"),
      values(list("inputs"), "inputs"),
      values(list("outputs"), "outputs"),
      values(list("states"), "states"),
      size(numbers("prepared"), 1, "prepared_bytes"),
      size(numbers("state"), 2, "state_bytes"),
      size(prepareSizes, 1, "prepare_workspace_bytes"),
      size(numbers("forward_workspace"), 2, "forward_workspace_bytes"),
      size(stepSizes, 1, "step_workspace_bytes"),
      functionOrNull("prepare"),
      functionOrNull("forward"),
      functionOrNull("step"),
      llvm::ConstantPointerNull::get(pointer)};
  static_assert(sizeof(ssmrt_module) == 8 * (std::size(fields) - 1),
                "one word a field but for the two versions");
  auto *table = llvm::cast<llvm::GlobalVariable>(
      global(llvm::ConstantStruct::getAnon(fields), name + "_module_data"));

  auto *getter = llvm::Function::Create(llvm::FunctionType::get(pointer, false),
                                        llvm::GlobalValue::ExternalLinkage,
                                        name + "_module", module);
  llvm::IRBuilder<> builder(llvm::BasicBlock::Create(context, "", getter));
  builder.CreateRet(table);
}

void ssmc::emitModuleDescription(llvm::Module &module, DictionaryAttr description) {
  Emitter(module).run(description);
}
