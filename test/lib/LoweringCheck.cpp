//===- LoweringCheck.cpp - Lowered code against the interpreter -----------===//

#include "LoweringCheck.h"

#include "Interpreter.h"
#include "KernelJIT.h"
#include "Target/CPU/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "ssm/IR/SSM.h"
#include "gtest/gtest.h"
#include <cmath>
#include <cstring>
#include <random>

using namespace mlir;
using namespace ssmc;
using namespace ssmc::test;

namespace {

/// An argument in memory, with its descriptor as C code sees it.
struct Buffer {
  MemRefType type;
  Array values;
  std::vector<int64_t> strides;
  std::vector<char> bytes;
  std::vector<int64_t> descriptor;

  Buffer(MemRefType type, const Sizes &sizes, int64_t limit,
         std::mt19937 &random);
  void write();
  double read(int64_t element);
  int64_t position(int64_t element);
};

} // namespace

static std::string substitute(StringRef text, const Sizes &sizes) {
  std::string result;
  for (size_t i = 0; i < text.size();) {
    if (text[i] != '$') {
      result += text[i++];
      continue;
    }
    size_t end = i + 1;
    while (end < text.size() && isupper(text[end]))
      ++end;
    auto found = sizes.named.find(text.slice(i + 1, end).str());
    if (found == sizes.named.end())
      llvm::report_fatal_error("no size named " + text.slice(i + 1, end));
    result += std::to_string(found->second);
    i = end;
  }
  return result;
}

Buffer::Buffer(MemRefType type, const Sizes &sizes, int64_t limit,
               std::mt19937 &random)
    : type(type) {
  int64_t dynamic[] = {sizes.batch, sizes.tokens};
  unsigned next = 0;
  for (int64_t extent : type.getShape())
    values.shape.push_back(ShapedType::isDynamic(extent) ? dynamic[next++]
                                                         : extent);
  unsigned rank = values.shape.size();
  bool padded = !type.getLayout().isIdentity();
  strides.assign(rank, 1);
  for (int64_t i = int64_t(rank) - 2; i >= 0; --i)
    strides[i] = strides[i + 1] * values.shape[i + 1] + (padded ? 3 : 0);
  Type element = type.getElementType();
  std::uniform_real_distribution<float> real(-1, 1);
  std::uniform_int_distribution<int64_t> whole(0, limit - 1);
  // Booleans are mostly false: documents are longer than a token.
  std::uniform_int_distribution<int> rare(0, 4);
  for (int64_t i = 0, size = values.getSize(); i < size; ++i)
    values.data.push_back(isa<FloatType>(element) ? real(random)
                          : element.isInteger(1)  ? rare(random) == 0
                                                  : whole(random));
  int64_t width = std::max<int64_t>(8, element.getIntOrFloatBitWidth()) / 8;
  int64_t extent = rank ? values.shape[0] * strides[0] : 1;
  // Guard elements on both sides must survive.
  bytes.assign((extent + 32) * width, char(0x5a));
  int64_t base = reinterpret_cast<int64_t>(bytes.data());
  descriptor = {base, base, 16};
  descriptor.insert(descriptor.end(), values.shape.begin(), values.shape.end());
  descriptor.insert(descriptor.end(), strides.begin(), strides.end());
  if (!padded) {
    descriptor[1] += 16 * width;
    descriptor[2] = 0;
  }
}

int64_t Buffer::position(int64_t element) {
  int64_t linear = 16;
  for (int64_t i = int64_t(values.shape.size()) - 1; i >= 0; --i) {
    linear += element % values.shape[i] * strides[i];
    element /= values.shape[i];
  }
  return linear;
}

template <typename T>
static void put(std::vector<char> &bytes, int64_t position, double value) {
  T typed = static_cast<T>(value);
  std::memcpy(bytes.data() + position * sizeof(T), &typed, sizeof(T));
}

template <typename T>
static double take(const std::vector<char> &bytes, int64_t position) {
  T typed;
  std::memcpy(&typed, bytes.data() + position * sizeof(T), sizeof(T));
  return static_cast<double>(typed);
}

void Buffer::write() {
  Type element = type.getElementType();
  for (int64_t i = 0, size = values.getSize(); i < size; ++i) {
    int64_t at = position(i);
    double value = values.data[i];
    if (element.isF32())
      put<float>(bytes, at, value);
    else if (element.isF64())
      put<double>(bytes, at, value);
    else if (element.isInteger(64))
      put<int64_t>(bytes, at, value);
    else if (element.isInteger(32))
      put<int32_t>(bytes, at, value);
    else
      put<int8_t>(bytes, at, value);
  }
}

double Buffer::read(int64_t i) {
  Type element = type.getElementType();
  int64_t at = position(i);
  return element.isF32()         ? take<float>(bytes, at)
         : element.isF64()       ? take<double>(bytes, at)
         : element.isInteger(64) ? take<int64_t>(bytes, at)
         : element.isInteger(32) ? take<int32_t>(bytes, at)
                                 : take<int8_t>(bytes, at);
}

void ssmc::test::checkLowering(llvm::StringRef text, const Sizes &sizes,
                               double tolerance) {
  std::unique_ptr<MLIRContext> context = createKernelContext();
  context->getOrLoadDialect<linalg::LinalgDialect>();
  context->getOrLoadDialect<ssm::SSMDialect>();
  std::string source = substitute(text, sizes);
  OwningOpRef<ModuleOp> module =
      parseSourceString<ModuleOp>(source, context.get());
  ASSERT_TRUE(module) << source;
  auto function = module->lookupSymbol<func::FuncOp>("f");
  std::mt19937 random(1);
  std::vector<Buffer> buffers;
  buffers.reserve(function.getNumArguments()); // Descriptors hold addresses.
  for (auto [i, type] : llvm::enumerate(function.getArgumentTypes())) {
    auto limit = function.getArgAttrOfType<IntegerAttr>(i, "test.max");
    buffers.emplace_back(cast<MemRefType>(type), sizes,
                         limit ? limit.getInt() : 2, random);
  }
  std::vector<void *> pointers(16);
  SmallVector<Array *> arrays;
  std::vector<std::vector<char>> before;
  for (auto [i, buffer] : llvm::enumerate(buffers)) {
    // Every so many elements one is NaN.
    if (auto every = function.getArgAttrOfType<IntegerAttr>(i, "test.nan"))
      for (int64_t at = every.getInt() / 2; at < buffer.values.getSize();
           at += every.getInt())
        buffer.values.data[at] = NAN;
    buffer.write();
    before.push_back(buffer.bytes);
    pointers[i] = buffer.descriptor.data();
    arrays.push_back(&buffer.values);
  }
  interpret(function, arrays);

  PassManager pm(context.get());
  cpu::LowerToCPUPassOptions options;
  options.vectorBits = sizes.vectorBits;
  pm.addNestedPass<func::FuncOp>(cpu::createLowerToCPUPass(options));
  pm.addPass(cpu::createExpandMathPass());
  ASSERT_TRUE(succeeded(pm.run(*module)));
  bool lowered = true;
  module->walk([&](Operation *op) {
    if (isa<linalg::LinalgOp>(op) || isa<ssm::SSMDialect>(op->getDialect()))
      lowered = false;
  });
  ASSERT_TRUE(lowered) << source;
  KernelJIT jit(*module);
  // Surplus arguments are ignored by the calling conventions of our machines.
  auto *call = reinterpret_cast<void (*)(
      void *, void *, void *, void *, void *, void *, void *, void *, void *,
      void *, void *, void *, void *, void *, void *, void *)>(jit.lookup("f"));
  auto &p = pointers;
  call(p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7], p[8], p[9], p[10], p[11],
       p[12], p[13], p[14], p[15]);

  for (auto [number, buffer] : llvm::enumerate(buffers)) {
    double scale = 1;
    for (double value : buffer.values.data)
      if (std::isfinite(value))
        scale = std::max(scale, std::fabs(value));
    std::vector<char> rest = buffer.bytes;
    int64_t width =
        std::max<int64_t>(8, buffer.type.getElementTypeBitWidth()) / 8;
    for (int64_t i = 0, size = buffer.values.getSize(); i < size; ++i) {
      double got = buffer.read(i), want = buffer.values.data[i];
      bool same = std::isnan(want) ? std::isnan(got)
                                   : std::fabs(got - want) <= tolerance * scale;
      if (!same) {
        ADD_FAILURE() << "argument " << number << ", element " << i << ": got "
                      << got << ", wanted " << want << "\n"
                      << source << "batch " << sizes.batch << ", tokens "
                      << sizes.tokens << ", bits " << sizes.vectorBits;
        return;
      }
      int64_t at = buffer.position(i) * width;
      std::copy_n(before[number].begin() + at, width, rest.begin() + at);
    }
    EXPECT_EQ(rest, before[number])
        << "wrote outside of argument " << number << "\n"
        << source;
  }
}
