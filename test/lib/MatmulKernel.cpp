//===- MatmulKernel.cpp - A compiled product by packed weights ------------===//

#include "MatmulKernel.h"

#include "Target/CPU/ExpandMath.h"
#include "Target/CPU/Passes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace ssmc;
using namespace ssmc::test;

static const char *const source = R"(
func.func @pack(%w: memref<{0}x{1}xf32>, %p: {2}) {{
  ssm.pack weight(%w : memref<{0}x{1}xf32>) outs(%p : {2})
  return
}
func.func @matmul(%x: {3}, %p: {2}, %y: {4}) {{
  ssm.matmul {7}input(%x : {3}) weight(%p : {2}) outs(%y : {4}) maps [] epilogue {{
  ^bb0(%acc: {5}):
    ssm.yield %acc : {5}
  }
  return
}
)";

static const char *const sourceWithEpilogue = R"(
func.func @pack(%w: memref<{0}x{1}xf32>, %p: {2}) {{
  ssm.pack weight(%w : memref<{0}x{1}xf32>) outs(%p : {2})
  return
}
func.func @matmul(%x: {3}, %p: {2}, %y: {4}, %bias: memref<{0}xf32>,
    %scale: memref<?x?xf32>, %residual: {6}, %table: memref<{0}x?xf32>) {{
  ssm.matmul {7}input(%x : {3}) weight(%p : {2})
      epilogue_ins(%bias, %scale, %residual, %table : memref<{0}xf32>,
                   memref<?x?xf32>, {6}, memref<{0}x?xf32>)
      outs(%y : {4})
      maps [affine_map<(b, t, n) -> (n)>, affine_map<(b, t, n) -> (b, t)>,
            affine_map<(b, t, n) -> (b, t, n)>,
            affine_map<(b, t, n) -> (n, b)>] epilogue {{
  ^bb0(%acc: f32, %0: f32, %1: f32, %2: f32, %3: f32):
    %4 = arith.addf %acc, %0 : f32
    %5 = arith.mulf %4, %1 : f32
    %6 = arith.addf %5, %2 : f32
    %7 = arith.addf %6, %3 : f32
    ssm.yield %7 : f32
  }
  return
}
)";

MatmulKernel::MatmulKernel(const MatmulShape &shape,
                           const cpu::KernelTarget &target, bool withEpilogue)
    : shape(shape), withEpilogue(withEpilogue),
      context(createKernelContext()) {
  isPaired = shape.weight.back() == '6';
  bool isDouble =
      shape.weight == "f64" || shape.input == "f64" || shape.output == "f64";
  width = target.getPanelWidth(isDouble
                                   ? Type(Float64Type::get(context.get()))
                                   : Type(Float32Type::get(context.get())));
  panels = (shape.columns + width - 1) / width;
  rows = isPaired ? (shape.depth + 1) / 2 : shape.depth;
  if (shape.roundInput && target.bf16 == cpu::BF16Unit::Tiles)
    rows = (rows + 15) / 16 * 16;
  std::string packed =
      llvm::formatv("memref<{0}x{1}x{2}x{3}{4}>", panels, rows, width,
                    isPaired ? "2x" : "", shape.weight);
  auto strided = [](int64_t last, StringRef element) -> std::string {
    return llvm::formatv("memref<?x?x{0}x{1}, strided<[?, ?, 1], offset: ?>>",
                         last, element);
  };
  std::string text = llvm::formatv(
      false, withEpilogue ? sourceWithEpilogue : source, shape.columns,
      shape.depth, packed, strided(shape.depth, shape.input),
      strided(shape.columns, shape.output), shape.output,
      strided(shape.columns, "f32"), shape.roundInput ? "round_input " : "");
  auto module = parseSourceString<ModuleOp>(text, context.get());
  if (!module)
    llvm::report_fatal_error("cannot parse the product");
  PassManager pm(context.get());
  cpu::LowerMatmulPassOptions options;
  options.vectorBits = target.vectorBits;
  options.vectorRegisters = target.vectorRegisters;
  options.prefetchBytes = target.prefetchBytes;
  options.bf16Unit = target.bf16 == cpu::BF16Unit::Tiles ? "tiles"
                     : target.bf16 == cpu::BF16Unit::Dot ? "dot"
                                                         : "none";
  pm.addPass(cpu::createLowerMatmulPass(options));
  pm.addPass(cpu::createExpandMathPass());
  if (failed(pm.run(*module)))
    llvm::report_fatal_error("cannot lower the product");
  jit = std::make_unique<KernelJIT>(*module);
}

int64_t MatmulKernel::getPackedBytes() const {
  int64_t bytes = shape.weight == "f64" ? 8 : isPaired ? 2 : 4;
  return panels * rows * width * (isPaired ? 2 : 1) * bytes;
}

void MatmulKernel::pack(const float *weight, void *packed) {
  auto *w = const_cast<float *>(weight);
  StridedMemRefType<float, 2> source{
      w, w, 0, {shape.columns, shape.depth}, {shape.depth, 1}};
  // The descriptors' element type does not matter: offsets are 0.
  auto *p = static_cast<float *>(packed);
  if (isPaired) {
    StridedMemRefType<float, 4> target{
        p, p, 0, {panels, rows, width, 2},
        {rows * width * 2, width * 2, 2, 1}};
    jit->call("pack", source, target);
    return;
  }
  StridedMemRefType<float, 3> target{
      p, p, 0, {panels, rows, width}, {rows * width, width, 1}};
  jit->call("pack", source, target);
}

void MatmulKernel::call(int64_t batches, int64_t tokens, void *x,
                        int64_t xStride, void *packed, void *y,
                        int64_t yStride, float *bias, float *scale,
                        float *residual, float *table) {
  auto view = [&](void *data, int64_t columns, int64_t stride) {
    auto *p = static_cast<float *>(data);
    return StridedMemRefType<float, 3>{
        p, p, 0, {batches, tokens, columns}, {tokens * stride, stride, 1}};
  };
  auto *p = static_cast<float *>(packed);
  StridedMemRefType<float, 4> packed4{
      p, p, 0, {panels, rows, width, 2}, {rows * width * 2, width * 2, 2, 1}};
  StridedMemRefType<float, 3> packed3{
      p, p, 0, {panels, rows, width}, {rows * width, width, 1}};
  auto xs = view(x, shape.depth, xStride);
  auto ys = view(y, shape.columns, yStride);
  auto rs = view(residual, shape.columns, yStride);
  StridedMemRefType<float, 1> biases{bias, bias, 0, {shape.columns}, {1}};
  StridedMemRefType<float, 2> scales{
      scale, scale, 0, {batches, tokens}, {tokens, 1}};
  StridedMemRefType<float, 2> tables{
      table, table, 0, {shape.columns, batches}, {batches, 1}};
  auto run = [&](auto &weights) {
    if (withEpilogue)
      jit->call("matmul", xs, weights, ys, biases, scales, rs, tables);
    else
      jit->call("matmul", xs, weights, ys);
  };
  if (isPaired)
    run(packed4);
  else
    run(packed3);
}
