//===- OutlineKernels.cpp - Launches as kernels of one module -------------===//

#include "Target/NVPTX/Passes.h"

#include "mlir/Conversion/LLVMCommon/MemRefBuilder.h"
#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include "mlir/Transforms/RegionUtils.h"
#include "ssm/IR/SSM.h"
#include "ssmc/Transforms/EqualFunctions.h"
#include "llvm/ADT/SetVector.h"

namespace ssmc::nvptx {
#define GEN_PASS_DEF_OUTLINEKERNELSPASS
#include "Target/NVPTX/Passes.h.inc"
} // namespace ssmc::nvptx

using namespace mlir;
using namespace ssmc;

namespace {
struct OutlineKernelsPass
    : ssmc::nvptx::impl::OutlineKernelsPassBase<OutlineKernelsPass> {
  void runOnOperation() override;

private:
  LogicalResult outline(gpu::LaunchOp launch, StringRef name);
  /// Makes `value` again in a kernel where it needs nothing but constants, of which
  /// tables are the module's; null otherwise.
  Value remake(Value value, OpBuilder &device, IRMapping &mapping);

  gpu::GPUModuleOp kernels;
  EqualFunctions<gpu::GPUFuncOp> known;
};

/// Passes values to a kernel: on the host it appends arguments, in the kernel it makes
/// the values again from parameters.
class Passing {
public:
  Passing(OpBuilder &host, OpBuilder &device, Location loc, Block *entry)
      : host(host), device(device), loc(loc), entry(entry),
        pointer(LLVM::LLVMPointerType::get(host.getContext())), i64(host.getI64Type()) {}

  /// The value in the kernel; null if its type cannot be passed.
  Value pass(Value value);

  SmallVector<Value> arguments;

private:
  Value passScalar(Value value);
  Value passMemref(Value value);
  /// A parameter that holds `argument`.
  Value parameter(Value argument) {
    arguments.push_back(argument);
    // Shared memory comes after the parameters.
    return entry->insertArgument(unsigned(arguments.size() - 1), argument.getType(), loc);
  }
  /// A size or stride as an i64 of the kernel.
  Value passIndex(OpFoldResult index);

  OpBuilder &host, &device;
  Location loc;
  Block *entry;
  Type pointer, i64;
};
} // namespace

Value Passing::passScalar(Value value) {
  Type type = value.getType();
  if (type.isIndex())
    return arith::IndexCastOp::create(
        device, loc, type, parameter(arith::IndexCastOp::create(host, loc, i64, value)));
  if (type.isInteger(1)) // a byte in memory, of which one bit counts
    return arith::TruncIOp::create(
        device, loc, type,
        parameter(arith::ExtUIOp::create(host, loc, host.getI32Type(), value)));
  return parameter(value);
}

Value Passing::passIndex(OpFoldResult index) {
  if (auto known = getConstantIntValue(index))
    return LLVM::ConstantOp::create(device, loc, i64, device.getI64IntegerAttr(*known));
  return parameter(arith::IndexCastOp::create(host, loc, i64, cast<Value>(index)));
}

Value Passing::passMemref(Value value) {
  auto type = cast<MemRefType>(value.getType());
  int64_t rank = type.getRank();
  auto [typeStrides, typeOffset] = type.getStridesAndOffset();
  auto metadata = memref::ExtractStridedMetadataOp::create(host, loc, value);
  Value address = memref::ExtractAlignedPointerAsIndexOp::create(host, loc, value);
  bool isOpen = ShapedType::isDynamic(typeOffset);
  if (isOpen) {
    Value bytes = arith::ConstantIndexOp::create(
        host, loc, (type.getElementTypeBitWidth() + 7) / 8);
    Value offset = arith::MulIOp::create(host, loc, metadata.getOffset(), bytes);
    address = arith::AddIOp::create(host, loc, address, offset);
  }
  address = arith::IndexCastOp::create(host, loc, i64, address);
  Value base = parameter(LLVM::IntToPtrOp::create(host, loc, pointer, address));
  auto number = [&](int64_t known) -> Value {
    return LLVM::ConstantOp::create(device, loc, i64, device.getI64IntegerAttr(known));
  };
  SmallVector<Value> sizes(rank), strides(rank);
  for (int64_t dim = 0; dim < rank; ++dim)
    sizes[dim] = type.isDynamicDim(dim) ? passIndex(metadata.getSizes()[dim])
                                        : number(type.getDimSize(dim));
  Value product = number(1);
  for (int64_t dim = rank - 1; dim >= 0; --dim) {
    if (type.getLayout().isIdentity()) {
      strides[dim] = product;
      if (dim > 0)
        product = LLVM::MulOp::create(device, loc, product, sizes[dim]);
    } else {
      strides[dim] = ShapedType::isDynamic(typeStrides[dim])
                         ? passIndex(metadata.getStrides()[dim])
                         : number(typeStrides[dim]);
    }
  }
  LowerToLLVMOptions options(host.getContext());
  LLVMTypeConverter converter(host.getContext(), options);
  SmallVector<Value> values = {base, base, number(isOpen ? 0 : typeOffset)};
  llvm::append_range(values, sizes);
  llvm::append_range(values, strides);
  Value descriptor = MemRefDescriptor::pack(device, loc, converter, type, values);
  return UnrealizedConversionCastOp::create(device, loc, type, descriptor).getResult(0);
}

Value Passing::pass(Value value) {
  Type type = value.getType();
  if (isa<MemRefType>(type))
    return passMemref(value);
  if (type.isIntOrIndexOrFloat() || isa<LLVM::LLVMPointerType>(type))
    return passScalar(value);
  return {};
}

Value OutlineKernelsPass::remake(Value value, OpBuilder &device, IRMapping &mapping) {
  if (Value found = mapping.lookupOrNull(value))
    return found;
  Operation *def = value.getDefiningOp();
  if (!def)
    return {};
  auto table = dyn_cast<memref::GetGlobalOp>(def);
  if (table && !kernels.lookupSymbol(table.getName())) {
    auto global = SymbolTable::lookupNearestSymbolFrom<memref::GlobalOp>(
        getOperation(), table.getNameAttr());
    OpBuilder::atBlockBegin(kernels.getBody()).clone(*global);
  }
  if (!table && !def->hasTrait<OpTrait::ConstantLike>()) {
    // A view of a table.
    if (!isa<ViewLikeOpInterface>(def))
      return {};
    for (Value operand : def->getOperands())
      if (!remake(operand, device, mapping))
        return {};
  }
  return device.clone(*def, mapping)->getResult(0);
}

LogicalResult OutlineKernelsPass::outline(gpu::LaunchOp launch, StringRef name) {
  Location loc = launch.getLoc();
  MLIRContext *context = &getContext();
  llvm::SetVector<Value> used;
  getUsedValuesDefinedAbove(launch.getBody(), used);

  OpBuilder host(launch), moduleBuilder(context);
  moduleBuilder.setInsertionPointToEnd(kernels.getBody());
  SmallVector<Type> shared;
  for (BlockArgument buffer : launch.getWorkgroupAttributions())
    shared.push_back(buffer.getType());
  auto kernel = gpu::GPUFuncOp::create(moduleBuilder, loc, name,
                                       FunctionType::get(context, {}, {}), shared);
  kernel->setAttr(gpu::GPUDialect::getKernelFuncAttrName(), UnitAttr::get(context));
  Block *entry = &kernel.getBody().front();
  SmallVector<Value> buffers(entry->getArguments()); // shared memory
  // Neighbouring elements are read together, up to 16 bytes.
  for (unsigned i = 0; i < shared.size(); ++i)
    kernel.setWorkgroupAttributionAttr(i, LLVM::LLVMDialect::getAlignAttrName(),
                                       host.getI64IntegerAttr(16));
  OpBuilder device = OpBuilder::atBlockBegin(entry);

  IRMapping mapping;
  Passing passing(host, device, loc, entry);
  for (Value value : used) {
    if (remake(value, device, mapping))
      continue;
    Value passed = passing.pass(value);
    if (!passed)
      return launch.emitError("internal error: a kernel uses a value of type ")
             << value.getType() << ", expected memrefs and scalars";
    mapping.map(value, passed);
  }
  SmallVector<Type> types(ValueRange(passing.arguments).getTypes());
  kernel.setFunctionType(FunctionType::get(context, types, {}));

  // What the launch names, by the kernel's own ops.
  Type index = IndexType::get(context);
  Block &body = launch.getBody().front();
  using gpu::Dimension;
  gpu::KernelDim3 ids[] = {launch.getBlockIds(), launch.getThreadIds(),
                           launch.getGridSize(), launch.getBlockSize()};
  for (auto [kind, dims] : llvm::enumerate(ids))
    for (auto [which, value] :
         {std::make_pair(Dimension::x, dims.x), std::make_pair(Dimension::y, dims.y),
          std::make_pair(Dimension::z, dims.z)}) {
      if (value.use_empty())
        continue;
      Value made =
          kind == 0   ? Value(gpu::BlockIdOp::create(device, loc, index, which))
          : kind == 1 ? Value(gpu::ThreadIdOp::create(device, loc, index, which))
          : kind == 2 ? Value(gpu::GridDimOp::create(device, loc, index, which))
                      : Value(gpu::BlockDimOp::create(device, loc, index, which));
      mapping.map(value, made);
    }
  for (auto [from, to] : llvm::zip_equal(launch.getWorkgroupAttributions(), buffers))
    mapping.map(from, to);
  for (Operation &op : body.without_terminator())
    device.clone(op, mapping);
  gpu::ReturnOp::create(device, loc);
  StringRef bounds[] = {nvptx::kBlockAttr, nvptx::kMinBlocksAttr,
                        nvptx::kSharedBytesAttr};
  for (StringRef name : bounds)
    if (Attribute bound = launch->getAttr(name))
      kernel->setAttr(name, bound);

  // Kernels are compiled for the threads of a block.
  gpu::GPUFuncOp chosen = known.find(kernel, [&](gpu::GPUFuncOp other) {
    return llvm::all_of(bounds, [&](StringRef name) {
      return other->getAttr(name) == kernel->getAttr(name);
    });
  });
  if (chosen)
    kernel.erase();
  else
    chosen = kernel;
  gpu::KernelDim3 grid = launch.getGridSizeOperandValues(),
                  block = launch.getBlockSizeOperandValues();
  Value sharedBytes;
  if (auto bytes = launch->getAttrOfType<IntegerAttr>(nvptx::kSharedBytesAttr))
    sharedBytes =
        arith::ConstantOp::create(host, loc, host.getI32IntegerAttr(bytes.getInt()));
  gpu::LaunchFuncOp::create(host, loc, chosen, grid, block, sharedBytes,
                            passing.arguments);
  launch.erase();
  return success();
}

void OutlineKernelsPass::runOnOperation() {
  ModuleOp module = getOperation();
  SmallVector<std::pair<gpu::LaunchOp, std::string>> launches;
  for (auto function : module.getOps<func::FuncOp>()) {
    if (!function->hasAttr(nvptx::kHostAttr))
      continue;
    unsigned number = 0;
    function.walk([&](gpu::LaunchOp launch) {
      launches.push_back({launch, (function.getName() + "_" + Twine(number++)).str()});
    });
  }
  OpBuilder builder(&getContext());
  builder.setInsertionPointToEnd(module.getBody());
  kernels = gpu::GPUModuleOp::create(builder, module.getLoc(), "kernels");
  module->setAttr(gpu::GPUDialect::getContainerModuleAttrName(), builder.getUnitAttr());
  for (auto &[launch, name] : launches)
    if (failed(outline(launch, name)))
      return signalPassFailure();

  for (auto function : module.getOps<func::FuncOp>()) {
    if (!function->hasAttr(nvptx::kHostAttr))
      continue;
    WalkResult result = function.walk([](Operation *op) {
      if (!isa<memref::LoadOp, memref::StoreOp, memref::CopyOp, memref::AllocOp,
               linalg::LinalgOp>(op) &&
          !isa_and_nonnull<ssm::SSMDialect>(op->getDialect()))
        return WalkResult::advance();
      op->emitOpError("internal error: the host would touch memory of the device here; "
                      "every access must be in a kernel");
      return WalkResult::interrupt();
    });
    if (result.wasInterrupted())
      return signalPassFailure();
  }
}
