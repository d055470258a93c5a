//===- ModuleDescription.cpp - Constants of the C ABI ---------------------===//
//
// Everything a caller can ask of a compiled layer, as constant data beside its code.
// The layouts mirror ssmrt.h, whose static assertions a test compares.
//
//===----------------------------------------------------------------------===//

#include "Target/CPU/ModuleDescription.h"

#include "mlir/IR/BuiltinAttributes.h"
#include "llvm/IR/Constants.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Bitcode/BitcodeReader.h"
#include "llvm/Bitcode/BitcodeWriter.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/Operator.h"
#include "llvm/Linker/Linker.h"

using namespace ssmc;
using mlir::ArrayAttr;
using mlir::DenseI64ArrayAttr;
using mlir::DictionaryAttr;
using mlir::IntegerAttr;
using mlir::StringAttr;

ssmrt_dtype ssmc::dtypeNamed(llvm::StringRef name) {
  uint8_t code = name.starts_with("bf") ? SSMRT_BFLOAT
                 : name.starts_with("f") ? SSMRT_FLOAT
                 : name == "bool"        ? SSMRT_BOOL
                                         : SSMRT_INT;
  uint8_t bits = 8;
  if (name != "bool")
    name.drop_while([](char c) { return !llvm::isDigit(c); }).getAsInteger(10, bits);
  return {code, bits, 1};
}

/// The fields of ssmrt_module that embedWeights and joinModules replace.
static constexpr size_t kEmbeddedWeights = 27, kCUDA = 32;

namespace {
class Emitter {
public:
  Emitter(llvm::Module &module)
      : module(module), context(module.getContext()),
        pointer(llvm::PointerType::getUnqual(context)),
        i32(llvm::Type::getInt32Ty(context)), i64(llvm::Type::getInt64Ty(context)),
        i8(llvm::Type::getInt8Ty(context)), i16(llvm::Type::getInt16Ty(context)) {}

  void run(DictionaryAttr description, const CUDACode *code);
  void embed(llvm::ArrayRef<ssmrt_tensor> weights, llvm::StringRef name);
  bool join(llvm::StringRef name, const llvm::Module &cuda, llvm::StringRef cudaName);

private:
  /// The ssmrt_module of the layer exported as NAME_module.
  llvm::GlobalVariable *tableOf(llvm::StringRef name) {
    return module.getNamedGlobal((name + "_module_data").str());
  }
  void setField(llvm::GlobalVariable *table, size_t index, llvm::Constant *value);
  llvm::Constant *global(llvm::Constant *init, const llvm::Twine &name) {
    return new llvm::GlobalVariable(module, init->getType(), /*isConstant=*/true,
                                    llvm::GlobalValue::PrivateLinkage, init, name);
  }
  llvm::Constant *text(llvm::StringRef value) {
    return global(llvm::ConstantDataArray::getString(context, value), "text");
  }
  llvm::Constant *words(llvm::ArrayRef<int64_t> values, const llvm::Twine &name) {
    return global(llvm::ConstantDataArray::get(
                      context, llvm::ArrayRef<uint64_t>(
                                   reinterpret_cast<const uint64_t *>(values.data()),
                                   values.size())),
                  name);
  }
  llvm::Constant *int64(int64_t v) { return llvm::ConstantInt::getSigned(i64, v); }
  llvm::Constant *int32(int64_t v) { return llvm::ConstantInt::getSigned(i32, v); }
  llvm::Constant *dtype(ssmrt_dtype type) {
    return llvm::ConstantStruct::getAnon({llvm::ConstantInt::get(i8, type.code),
                                          llvm::ConstantInt::get(i8, type.bits),
                                          llvm::ConstantInt::get(i16, type.lanes)});
  }
  llvm::Constant *bytes(const ssmrt_tensor &tensor);
  llvm::Constant *values(ArrayAttr list, llvm::StringRef name);
  llvm::Constant *decays(ArrayAttr list);
  /// A sum of products of the batch and the lengths as a function of the batch and a
  /// pointer to the lengths: k[i] times those whose bit is in i, the batch's the lowest.
  llvm::Constant *sizeForAxes(llvm::ArrayRef<int64_t> k, llvm::StringRef name);
  /// `k[0] + k[1]*a + k[2]*b + k[3]*a*b` as a function of `arity` i64 arguments.
  llvm::Constant *size(llvm::ArrayRef<int64_t> k, unsigned arity, llvm::StringRef name);
  llvm::Constant *stateSize(ArrayAttr states);
  llvm::Constant *functionOrNull(llvm::StringRef name);
  void defineLaunch();
  /// The constant ssmrt_cuda_code, which launches name.
  llvm::Constant *defineCode(const CUDACode &code);

  llvm::Module &module;
  llvm::LLVMContext &context;
  llvm::PointerType *pointer;
  llvm::IntegerType *i32, *i64, *i8, *i16;
};
} // namespace

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
                     : words(dims, "shape");
    // ssmrt_value_info
    entries.push_back(llvm::ConstantStruct::getAnon(
        {text(entry.getAs<StringAttr>("name").getValue()),
         dtype(dtypeNamed(entry.getAs<StringAttr>("dtype").getValue())), int32(dims.size()), shape,
         int32(integer("flags")), int32(integer("state")), int64(integer("limit"))}));
  }
  auto *array = llvm::ArrayType::get(entries[0]->getType(), entries.size());
  return global(llvm::ConstantArray::get(array, entries), name);
}

llvm::Constant *Emitter::decays(ArrayAttr list) {
  if (list.empty())
    return llvm::ConstantPointerNull::get(pointer);
  llvm::SmallVector<llvm::Constant *> entries;
  for (mlir::Attribute attr : list) {
    auto entry = llvm::cast<DictionaryAttr>(attr);
    auto offsets = entry.getAs<DenseI64ArrayAttr>("offsets").asArrayRef();
    entries.push_back(llvm::ConstantStruct::getAnon( // ssmrt_decay_info
        {text(entry.getAs<StringAttr>("state").getValue()),
         dtype(dtypeNamed(entry.getAs<StringAttr>("dtype").getValue())),
         int64(entry.getAs<IntegerAttr>("count").getInt()), int64(offsets[0]),
         int64(offsets[1])}));
  }
  auto *array = llvm::ArrayType::get(entries[0]->getType(), entries.size());
  return global(llvm::ConstantArray::get(array, entries), "decays");
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

/// Each state begins at a multiple of the alignment, whatever the batch is.
llvm::Constant *Emitter::stateSize(ArrayAttr states) {
  auto *function = llvm::Function::Create(
      llvm::FunctionType::get(i64, {i64, i64}, false),
      llvm::GlobalValue::InternalLinkage, "state_bytes", module);
  llvm::IRBuilder<> builder(llvm::BasicBlock::Create(context, "", function));
  llvm::Value *sum = int64(0);
  for (mlir::Attribute attr : states) {
    auto state = llvm::cast<DictionaryAttr>(attr);
    llvm::Value *bytes = int64(int64_t(ssmrt_dtype_size(
        dtypeNamed(state.getAs<StringAttr>("dtype").getValue()))));
    for (int64_t extent : state.getAs<DenseI64ArrayAttr>("dims").asArrayRef())
      bytes = builder.CreateMul(bytes, extent == SSMRT_BATCH ? function->getArg(0)
                                       : extent == SSMRT_LENGTH
                                           ? function->getArg(1)
                                           : static_cast<llvm::Value *>(int64(extent)));
    bytes = builder.CreateAdd(bytes, int64(SSMRT_ALIGNMENT - 1));
    sum = builder.CreateAdd(sum, builder.CreateAnd(bytes, int64(-SSMRT_ALIGNMENT)));
  }
  builder.CreateRet(sum);
  return function;
}

llvm::Constant *Emitter::sizeForAxes(llvm::ArrayRef<int64_t> k, llvm::StringRef name) {
  auto *function = llvm::Function::Create(
      llvm::FunctionType::get(i64, {i64, pointer}, false),
      llvm::GlobalValue::InternalLinkage, name, module);
  llvm::IRBuilder<> builder(llvm::BasicBlock::Create(context, "", function));
  llvm::SmallVector<llvm::Value *> factors = {function->getArg(0)};
  for (unsigned axis = 0; (2u << axis) < k.size(); ++axis)
    factors.push_back(builder.CreateLoad(
        i64, builder.CreateConstGEP1_64(i64, function->getArg(1), axis)));
  llvm::Value *sum = int64(0);
  for (auto [mask, coefficient] : llvm::enumerate(k)) {
    if (!coefficient)
      continue;
    llvm::Value *product = int64(coefficient);
    for (auto [bit, factor] : llvm::enumerate(factors))
      if (mask >> bit & 1)
        product = builder.CreateMul(product, factor);
    sum = builder.CreateAdd(sum, product);
  }
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

/// Generated code launches kernels through the context it is given, as it splits its
/// work: an artefact needs nothing of libssmrt.
void Emitter::defineLaunch() {
  llvm::Function *function = module.getFunction("ssmrt_cuda_launch");
  if (!function || !function->isDeclaration())
    return;
  function->setLinkage(llvm::GlobalValue::InternalLinkage);
  llvm::IRBuilder<> builder(llvm::BasicBlock::Create(context, "", function));
  llvm::SmallVector<llvm::Value *> arguments;
  for (llvm::Argument &argument : function->args())
    arguments.push_back(&argument);
  static_assert(offsetof(ssmrt_context, launch) == 24, "the place of launch");
  llvm::Value *launch = builder.CreateLoad(
      pointer, builder.CreateConstGEP1_64(i8, arguments[0], offsetof(ssmrt_context, launch)));
  builder.CreateCall(function->getFunctionType(), launch, arguments);
  builder.CreateRetVoid();
}

llvm::Constant *Emitter::defineCode(const CUDACode &code) {
  llvm::Constant *null = llvm::ConstantPointerNull::get(pointer);
  auto table = [&](llvm::ArrayRef<llvm::Constant *> entries,
                   const llvm::Twine &name) -> llvm::Constant * {
    if (entries.empty())
      return null;
    auto *type = llvm::ArrayType::get(entries[0]->getType(), entries.size());
    return global(llvm::ConstantArray::get(type, entries), name);
  };
  llvm::SmallVector<llvm::Constant *> names, cubins, shared;
  for (const std::string &name : code.kernels)
    names.push_back(text(name));
  if (llvm::any_of(code.sharedBytes, [](int32_t bytes) { return bytes > 0; }))
    for (int32_t bytes : code.sharedBytes)
      shared.push_back(int32(bytes));
  for (const CUDACode::Cubin &cubin : code.cubins)
    cubins.push_back(llvm::ConstantStruct::getAnon( // ssmrt_cubin
        {int32(cubin.arch), int32(cubin.variant), text(cubin.data),
         int64(cubin.data.size())}));
  llvm::Constant *fields[] = {int32(sizeof(ssmrt_cuda_code)),
                              int32(code.kernels.size()),
                              table(names, "kernel_names"),
                              text(code.ptx),
                              int64(code.ptx.size()),
                              int32(code.cubins.size()),
                              table(cubins, "cubins"),
                              table(shared, "kernel_shared")};
  static_assert(offsetof(ssmrt_cuda_code, kernel_max_shared) == 48, "order of the fields");
  llvm::Constant *result = global(llvm::ConstantStruct::getAnon(fields), "cuda_code");
  if (llvm::GlobalVariable *declared = module.getNamedGlobal("ssmrt_cuda_code")) {
    declared->replaceAllUsesWith(result);
    declared->eraseFromParent();
  }
  return result;
}

/// Whether code looks at the position in its frame, or hands the frame on.
static bool readsPosition(const llvm::Function *function, llvm::Type *pointer) {
  if (!function || function->isDeclaration())
    return false;
  const llvm::DataLayout &layout = function->getParent()->getDataLayout();
  for (const llvm::User *user : function->getArg(0)->users()) {
    if (llvm::isa<llvm::LoadInst>(user)) // the first field
      continue;
    auto *field = llvm::dyn_cast<llvm::GEPOperator>(user);
    llvm::APInt offset(layout.getIndexTypeSizeInBits(pointer), 0);
    if (!field || !field->accumulateConstantOffset(layout, offset) ||
        offset == offsetof(ssmrt_frame, position))
      return true;
  }
  return false;
}

void Emitter::run(DictionaryAttr description, const CUDACode *code) {
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

  bool isPositioned = readsPosition(module.getFunction("forward"), pointer) ||
                      readsPosition(module.getFunction("step"), pointer);
  defineLaunch();

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
      stateSize(list("states")),
      size(prepareSizes, 1, "prepare_workspace_bytes"),
      sizeForAxes(numbers("forward_workspace"), "forward_workspace_bytes"),
      size(stepSizes, 1, "step_workspace_bytes"),
      functionOrNull("prepare"),
      functionOrNull("forward"),
      functionOrNull("step"),
      llvm::ConstantPointerNull::get(pointer), // backward
      int64(list("decays").size()),
      decays(list("decays")),
      llvm::ConstantPointerNull::get(pointer), // embedded_weights
      int64(llvm::Log2_64(numbers("forward_workspace").size()) - 1),
      int32(code ? SSMRT_CUDA : SSMRT_CPU), // device_type
      int32(isPositioned ? SSMRT_READS_POSITION : 0),
      code ? defineCode(*code) : llvm::ConstantPointerNull::get(pointer),
      llvm::ConstantPointerNull::get(pointer), // cuda
      functionOrNull("prepare_on_device")};
  static_assert(sizeof(ssmrt_module) == 8 * (std::size(fields) - 2),
                "one word a field but for the two versions, and device and flags");
  static_assert(offsetof(ssmrt_module, embedded_weights) == 8 * (kEmbeddedWeights - 1) &&
                    offsetof(ssmrt_module, cuda) == 8 * (kCUDA - 2),
                "the places of what is replaced");
  auto *table = llvm::cast<llvm::GlobalVariable>(
      global(llvm::ConstantStruct::getAnon(fields), name + "_module_data"));

  auto *getter = llvm::Function::Create(llvm::FunctionType::get(pointer, false),
                                        llvm::GlobalValue::ExternalLinkage,
                                        name + "_module", module);
  llvm::IRBuilder<> builder(llvm::BasicBlock::Create(context, "", getter));
  builder.CreateRet(table);
}

/// The bytes of a tensor, on a cache line of their own.
llvm::Constant *Emitter::bytes(const ssmrt_tensor &tensor) {
  if (!tensor.data)
    return llvm::ConstantPointerNull::get(pointer);
  uint64_t size = ssmrt_dtype_size(tensor.dtype);
  for (int32_t i = 0; i < tensor.ndim; ++i)
    size *= uint64_t(tensor.shape[i]);
  llvm::StringRef raw(static_cast<const char *>(tensor.data) + tensor.byte_offset, size);
  auto *variable = llvm::cast<llvm::GlobalVariable>(
      global(llvm::ConstantDataArray::getString(context, raw, /*AddNull=*/false),
             "weight"));
  variable->setAlignment(llvm::Align(SSMRT_ALIGNMENT));
  // Gigabytes between code and data would be beyond the reach of its addresses.
  if (module.getTargetTriple().isX86_64())
    variable->setCodeModel(llvm::CodeModel::Large);
  return variable;
}

void Emitter::embed(llvm::ArrayRef<ssmrt_tensor> weights, llvm::StringRef name) {
  if (weights.empty())
    return;
  llvm::Constant *null = llvm::ConstantPointerNull::get(pointer);
  llvm::SmallVector<llvm::Constant *> entries;
  for (const ssmrt_tensor &tensor : weights) {
    llvm::ArrayRef<int64_t> shape(tensor.shape, size_t(tensor.ndim));
    entries.push_back(llvm::ConstantStruct::getAnon( // ssmrt_tensor
        {bytes(tensor), int32(tensor.device.device_type), int32(tensor.device.device_id),
         int32(tensor.ndim), dtype(tensor.dtype),
         shape.empty() ? null : words(shape, "shape"), /*strides=*/null, int64(0)}));
  }
  auto *array = llvm::ArrayType::get(entries[0]->getType(), entries.size());
  llvm::Constant *weightsTable =
      global(llvm::ConstantArray::get(array, entries), "embedded_weights");
  llvm::GlobalVariable *table = tableOf(name);
  setField(table, kEmbeddedWeights, weightsTable);
  // The layer for CUDA prepares from the same ones.
  if (auto *cuda = llvm::dyn_cast<llvm::GlobalVariable>(
          table->getInitializer()->getOperand(kCUDA)))
    setField(cuda, kEmbeddedWeights, weightsTable);
}

void Emitter::setField(llvm::GlobalVariable *table, size_t index, llvm::Constant *value) {
  llvm::SmallVector<llvm::Constant *> fields;
  for (llvm::Use &field : table->getInitializer()->operands())
    fields.push_back(llvm::cast<llvm::Constant>(field));
  fields[index] = value;
  table->setInitializer(llvm::ConstantStruct::get(
      llvm::cast<llvm::StructType>(table->getValueType()), fields));
}

/// Code of the other module refers to it, and is of another context: it goes by way of
/// its bytes.
bool Emitter::join(llvm::StringRef name, const llvm::Module &cuda,
                   llvm::StringRef cudaName) {
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream os(bytes);
  llvm::WriteBitcodeToFile(cuda, os);
  auto copy = llvm::parseBitcodeFile(
      llvm::MemoryBufferRef(llvm::StringRef(bytes.data(), bytes.size()), cudaName),
      context);
  if (!copy) {
    llvm::consumeError(copy.takeError());
    return false;
  }
  // Names of what is private may be given to another: this one is found again.
  std::string tableName = (cudaName + "_module_data").str();
  (*copy)->getNamedGlobal(tableName)->setLinkage(llvm::GlobalValue::ExternalLinkage);
  if (llvm::Linker::linkModules(module, std::move(*copy)))
    return false;
  llvm::GlobalVariable *table = module.getNamedGlobal(tableName);
  table->setLinkage(llvm::GlobalValue::PrivateLinkage);
  module.getFunction((cudaName + "_module").str())->eraseFromParent();
  setField(tableOf(name), kCUDA, table);
  return true;
}

bool ssmc::joinModules(llvm::Module &module, llvm::StringRef name,
                       const llvm::Module &cuda, llvm::StringRef cudaName) {
  return Emitter(module).join(name, cuda, cudaName);
}

void ssmc::embedWeights(llvm::Module &module, llvm::StringRef name,
                        llvm::ArrayRef<ssmrt_tensor> weights) {
  Emitter(module).embed(weights, name);
}

void ssmc::emitModuleDescription(llvm::Module &module, DictionaryAttr description,
                                 const CUDACode *code) {
  Emitter(module).run(description, code);
}
