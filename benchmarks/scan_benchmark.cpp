//===- scan_benchmark.cpp - Recurrences on vectors ------------------------===//
//
// One thread. The counter `clocks` is for each token and channel, or each token
// and head where a head has a matrix as its state; the clocks are those of a
// core with two full 512-bit units: time times the fused multiply-adds per
// second measured beside each sample, over two. `times` says how often the time
// fits into that of the plain loop (reference_loops.h) on the same data, and
// `GB/s` what memory gives meanwhile. Time is that of the thread, so that other
// work on the machine counts only through the caches and units that it shares.
//
//===----------------------------------------------------------------------===//

#include "KernelJIT.h"
#include "Target/CPU/Passes.h"
#include "benchmark/benchmark.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "reference_loops.h"
#include "ssm/IR/SSM.h"
#include "llvm/TargetParser/Host.h"
#include <cmath>
#include <cstdlib>

using namespace mlir;
using namespace ssmc;
using namespace ssmc::test;
using namespace ssmc::benchmarks;

namespace {
struct Sizes {
  int64_t batch, tokens, channels, keys;
};

struct Buffer {
  std::vector<float> data;
  std::vector<int64_t> descriptor;

  Buffer(ArrayRef<int64_t> shape, float low, float high) {
    int64_t size = 1;
    for (int64_t extent : shape)
      size *= extent;
    data.resize(size + 16);
    for (float &x : data)
      x = low + (high - low) * (std::rand() / float(RAND_MAX));
    // Rows on boundaries of cache lines, as the memory planner has them.
    auto address = reinterpret_cast<uintptr_t>(data.data());
    auto aligned = static_cast<int64_t>((address + 63) / 64 * 64);
    descriptor = {aligned, aligned, 0};
    descriptor.insert(descriptor.end(), shape.begin(), shape.end());
    int64_t stride = size;
    for (int64_t extent : shape) {
      stride = extent ? stride / extent : stride;
      descriptor.push_back(stride);
    }
  }
};

class Kernel {
public:
  Kernel(std::string text, ArrayRef<std::pair<StringRef, int64_t>> names) {
    for (auto [name, value] : names)
      for (size_t at; (at = text.find(name)) != std::string::npos;)
        text.replace(at, name.size(), std::to_string(value));
    context = createKernelContext();
    context->getOrLoadDialect<linalg::LinalgDialect>();
    context->getOrLoadDialect<ssm::SSMDialect>();
    module = parseSourceString<ModuleOp>(text, context.get());
    auto features = llvm::sys::getHostCPUFeatures();
    bool avx512 = features.lookup("avx512f");
    PassManager pm(context.get());
    cpu::LowerToCPUPassOptions options;
    options.vectorBits = avx512 ? 512 : 256;
    pm.addNestedPass<func::FuncOp>(cpu::createLowerToCPUPass(options));
    cpu::ExpandMathPassOptions math;
    math.avx512 = avx512;
    pm.addPass(cpu::createExpandMathPass(math));
    if (failed(pm.run(*module)))
      std::abort();
    jit = std::make_unique<KernelJIT>(*module);
    function = reinterpret_cast<Function>(jit->lookup("f"));
  }

  void call(std::vector<Buffer> &buffers) {
    void *p[12] = {};
    for (size_t i = 0; i < buffers.size(); ++i)
      p[i] = buffers[i].descriptor.data();
    function(p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7], p[8], p[9], p[10],
             p[11]);
  }

private:
  using Function = void (*)(void *, void *, void *, void *, void *, void *,
                            void *, void *, void *, void *, void *, void *);
  std::unique_ptr<MLIRContext> context;
  OwningOpRef<ModuleOp> module;
  std::unique_ptr<KernelJIT> jit;
  Function function;
};
} // namespace

static void run(benchmark::State &state, Kernel &kernel,
                std::vector<Buffer> &buffers, double points,
                llvm::function_ref<void(ArrayRef<float *>)> loop) {
  kernel.call(buffers);
  double best = 1e18, reference = 1e18, copy = 0;
  int64_t samples = 0;
  SmallVector<float *> arrays;
  for (Buffer &buffer : buffers)
    arrays.push_back(reinterpret_cast<float *>(buffer.descriptor[0]));
  // Short cases many times in one sample.
  double start = getThreadTime();
  kernel.call(buffers);
  int calls = std::max(1.0, 200e-6 / (getThreadTime() - start));
  for (auto _ : state) {
    auto [clocks, time] = sample([&] {
      for (int i = 0; i < calls; ++i)
        kernel.call(buffers);
    });
    best = std::min(best, clocks / calls);
    state.SetIterationTime(time / calls);
    // The memory's rate and the plain loop now and then.
    if ((samples & (samples - 1)) == 0 && samples < 16) {
      copy = std::max(copy, measureCopy());
      reference = std::min(reference, sample([&] { loop(arrays); }).first);
    }
    ++samples;
  }
  state.counters["clocks"] = best / points;
  state.counters["times"] = reference / best;
  state.counters["GB/s"] = copy * 1e-9;
}

static const char *selective = R"(
  #bte = affine_map<(b, t, e, n) -> (b, t, e)>
  #btn = affine_map<(b, t, e, n) -> (b, t, n)>
  #e = affine_map<(b, t, e, n) -> (e)>
  func.func @f(%dt: memref<?x?x$Exf32>, %bias: memref<$Exf32>,
               %a: memref<$Ex$Nxf32>, %u: memref<?x?x$Exf32>,
               %bt: memref<?x?x$Nxf32>, %ct: memref<?x?x$Nxf32>,
               %d: memref<$Exf32>, %z: memref<?x?x$Exf32>,
               %s: memref<?x$Ex$Nxf32>, %y: memref<?x?x$Exf32>) {
    ssm.scan
        ins(%dt, %bias, %a, %u, %bt, %ct : memref<?x?x$Exf32>, memref<$Exf32>,
            memref<$Ex$Nxf32>, memref<?x?x$Exf32>, memref<?x?x$Nxf32>,
            memref<?x?x$Nxf32>)
        initial(%s : memref<?x$Ex$Nxf32>)
        epilogue_ins(%u, %d, %z : memref<?x?x$Exf32>, memref<$Exf32>,
            memref<?x?x$Exf32>)
        outs(%y, %s : memref<?x?x$Exf32>, memref<?x$Ex$Nxf32>)
        maps {ins = [#bte, #e, affine_map<(b, t, e, n) -> (e, n)>, #bte, #btn,
                     #btn],
              epilogue = [#bte, #e, #bte],
              state = affine_map<(b, t, e, n) -> (b, e, n)>, output = #bte}
        coefficients {
    ^bb0(%p: f32, %pb: f32, %av: f32, %uv: f32, %bv: f32, %cv: f32):
      %sum = arith.addf %p, %pb : f32
      %z0 = arith.constant 0.0 : f32
      %abs = math.absf %sum : f32
      %nabs = arith.negf %abs : f32
      %ex = math.exp %nabs : f32
      %l = math.log1p %ex : f32
      %m = arith.maximumf %sum, %z0 : f32
      %step = arith.addf %m, %l : f32
      %x = arith.mulf %step, %av : f32
      %decay = math.exp %x : f32
      %du = arith.mulf %step, %uv : f32
      %write = arith.mulf %du, %bv : f32
      ssm.coefficients decay(%decay : f32) write(%write : f32) read(%cv : f32)
    } epilogue {
    ^bb0(%o: f32, %uv: f32, %dv: f32, %zv: f32):
      %one = arith.constant 1.0 : f32
      %skip = arith.mulf %uv, %dv : f32
      %v = arith.addf %o, %skip : f32
      %neg = arith.negf %zv : f32
      %ez = math.exp %neg : f32
      %den = arith.addf %ez, %one : f32
      %gate = arith.divf %zv, %den : f32
      %out = arith.mulf %v, %gate : f32
      ssm.yield %out : f32
    }
    return
  })";

static void selectiveScan(benchmark::State &state) {
  int64_t b = state.range(0), l = state.range(1), e = state.range(2),
          n = state.range(3);
  Kernel kernel(selective, {{"$E", e}, {"$N", n}});
  std::vector<Buffer> buffers;
  buffers.emplace_back(ArrayRef<int64_t>{b, l, e}, -4, 1);
  buffers.emplace_back(ArrayRef<int64_t>{e}, -1, 1);
  buffers.emplace_back(ArrayRef<int64_t>{e, n}, -16, -0.5);
  buffers.emplace_back(ArrayRef<int64_t>{b, l, e}, -1, 1);
  buffers.emplace_back(ArrayRef<int64_t>{b, l, n}, -1, 1);
  buffers.emplace_back(ArrayRef<int64_t>{b, l, n}, -1, 1);
  buffers.emplace_back(ArrayRef<int64_t>{e}, -1, 1);
  buffers.emplace_back(ArrayRef<int64_t>{b, l, e}, -1, 1);
  buffers.emplace_back(ArrayRef<int64_t>{b, e, n}, -1, 1);
  buffers.emplace_back(ArrayRef<int64_t>{b, l, e}, -1, 1);
  run(state, kernel, buffers, double(b) * l * e, [&](ArrayRef<float *> p) {
    selectiveScanLoop(l, e, n, p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7],
                      p[8], p[9]);
  });
}

static const char *heads = R"(
  #bth = affine_map<(b, t, h, p, n) -> (b, t, h)>
  #bthp = affine_map<(b, t, h, p, n) -> (b, t, h, p)>
  #btn = affine_map<(b, t, h, p, n) -> (b, t, n)>
  #h = affine_map<(b, t, h, p, n) -> (h)>
  func.func @f(%dt: memref<?x?x$Hxf32>, %a: memref<$Hxf32>,
               %x: memref<?x?x$Hx$Pxf32>, %bt: memref<?x?x$Nxf32>,
               %ct: memref<?x?x$Nxf32>, %d: memref<$Hxf32>,
               %s: memref<?x$Hx$Px$Nxf32>, %y: memref<?x?x$Hx$Pxf32>) {
    ssm.scan
        ins(%dt, %a, %x, %bt, %ct : memref<?x?x$Hxf32>, memref<$Hxf32>,
            memref<?x?x$Hx$Pxf32>, memref<?x?x$Nxf32>, memref<?x?x$Nxf32>)
        initial(%s : memref<?x$Hx$Px$Nxf32>)
        epilogue_ins(%x, %d : memref<?x?x$Hx$Pxf32>, memref<$Hxf32>)
        outs(%y, %s : memref<?x?x$Hx$Pxf32>, memref<?x$Hx$Px$Nxf32>)
        maps {ins = [#bth, #h, #bthp, #btn, #btn], epilogue = [#bthp, #h],
              state = affine_map<(b, t, h, p, n) -> (b, h, p, n)>,
              output = #bthp}
        coefficients {
    ^bb0(%step: f32, %av: f32, %xv: f32, %bv: f32, %cv: f32):
      %e = arith.mulf %step, %av : f32
      %decay = math.exp %e : f32
      %du = arith.mulf %step, %xv : f32
      %write = arith.mulf %du, %bv : f32
      ssm.coefficients decay(%decay : f32) write(%write : f32) read(%cv : f32)
    } epilogue {
    ^bb0(%o: f32, %xv: f32, %dv: f32):
      %skip = arith.mulf %xv, %dv : f32
      %v = arith.addf %o, %skip : f32
      ssm.yield %v : f32
    }
    return
  })";

static void runHeads(benchmark::State &state, const std::string &text) {
  int64_t b = state.range(0), l = state.range(1), h = state.range(2),
          p = state.range(3), n = state.range(4);
  Kernel kernel(text, {{"$H", h}, {"$P", p}, {"$N", n}});
  std::vector<Buffer> buffers;
  buffers.emplace_back(ArrayRef<int64_t>{b, l, h}, 0.01, 1);
  buffers.emplace_back(ArrayRef<int64_t>{h}, -1, -0.1);
  buffers.emplace_back(ArrayRef<int64_t>{b, l, h, p}, -1, 1);
  buffers.emplace_back(ArrayRef<int64_t>{b, l, n}, -1, 1);
  buffers.emplace_back(ArrayRef<int64_t>{b, l, n}, -1, 1);
  buffers.emplace_back(ArrayRef<int64_t>{h}, -1, 1);
  buffers.emplace_back(ArrayRef<int64_t>{b, h, p, n}, -1, 1);
  buffers.emplace_back(ArrayRef<int64_t>{b, l, h, p}, -1, 1);
  run(state, kernel, buffers, double(b) * l * h, [&](ArrayRef<float *> q) {
    headScanLoop(l, h, p, n, q[0], q[1], q[2], q[3], q[4], q[5], q[6], q[7]);
  });
}

static void headScan(benchmark::State &state) { runHeads(state, heads); }

/// The same by products of matrices over chunks of tokens.
static void headChunks(benchmark::State &state) {
  std::string text = heads;
  text.insert(text.rfind("\n    return"),
              " attributes {schedule = #ssm.schedule<mode = chunk, chunk = " +
                  std::to_string(state.range(5)) + ">}");
  runHeads(state, text);
}

/// Gated delta rule: what a key holds is erased before it is written.
static const char *delta = R"(
  #bthk = affine_map<(b, t, h, k, v) -> (b, t, h, k)>
  #bthv = affine_map<(b, t, h, k, v) -> (b, t, h, v)>
  #bth = affine_map<(b, t, h, k, v) -> (b, t, h)>
  func.func @f(%q: memref<?x?x$Hx$Kxf32>, %k: memref<?x?x$Hx$Kxf32>,
               %v: memref<?x?x$Hx$Vxf32>, %beta: memref<?x?x$Hxf32>,
               %g: memref<?x?x$Hxf32>, %s: memref<?x$Hx$Kx$Vxf32>,
               %y: memref<?x?x$Hx$Vxf32>) {
    ssm.scan
        ins(%q, %k, %v, %beta, %g : memref<?x?x$Hx$Kxf32>,
            memref<?x?x$Hx$Kxf32>, memref<?x?x$Hx$Vxf32>, memref<?x?x$Hxf32>,
            memref<?x?x$Hxf32>)
        initial(%s : memref<?x$Hx$Kx$Vxf32>)
        outs(%y, %s : memref<?x?x$Hx$Vxf32>, memref<?x$Hx$Kx$Vxf32>)
        maps {ins = [#bthk, #bthk, #bthv, #bth, #bth], epilogue = [],
              state = affine_map<(b, t, h, k, v) -> (b, h, k, v)>,
              output = #bthv}
        coefficients {
    ^bb0(%qv: f32, %kv: f32, %vv: f32, %bv: f32, %gv: f32):
      %decay = math.exp %gv : f32
      %bk = arith.mulf %bv, %kv : f32
      %right = arith.negf %bk : f32
      %write = arith.mulf %bk, %vv : f32
      %left = arith.mulf %decay, %kv : f32
      ssm.coefficients decay(%decay : f32) write(%write : f32) read(%qv : f32)
          erase(%left, %right : f32, f32)
    } epilogue {
    ^bb0(%o: f32):
      ssm.yield %o : f32
    } attributes {schedule = #ssm.schedule<mode = $MODE>}
    return
  })";

static void runDelta(benchmark::State &state, const std::string &mode) {
  int64_t b = state.range(0), l = state.range(1), h = state.range(2),
          k = state.range(3), v = state.range(4);
  std::string text = delta;
  text.replace(text.find("$MODE"), 5, mode);
  Kernel kernel(text, {{"$H", h}, {"$K", k}, {"$V", v}});
  std::vector<Buffer> buffers;
  float unit = 1 / std::sqrt(float(k));
  buffers.emplace_back(ArrayRef<int64_t>{b, l, h, k}, -1, 1);
  buffers.emplace_back(ArrayRef<int64_t>{b, l, h, k}, -unit, unit);
  buffers.emplace_back(ArrayRef<int64_t>{b, l, h, v}, -1, 1);
  buffers.emplace_back(ArrayRef<int64_t>{b, l, h}, 0.1, 1);
  buffers.emplace_back(ArrayRef<int64_t>{b, l, h}, -1, -0.01);
  buffers.emplace_back(ArrayRef<int64_t>{b, h, k, v}, -1, 1);
  buffers.emplace_back(ArrayRef<int64_t>{b, l, h, v}, -1, 1);
  run(state, kernel, buffers, double(b) * l * h, [&](ArrayRef<float *> p) {
    deltaLoop(l, h, k, v, p[0], p[1], p[2], p[3], p[4], p[5], p[6]);
  });
}

static void deltaScan(benchmark::State &state) { runDelta(state, "scan"); }
static void deltaChunks(benchmark::State &state) { runDelta(state, "chunk"); }

BENCHMARK(selectiveScan)
    ->ArgNames({"B", "L", "D", "N"})
    ->Args({1, 64, 256, 16})
    ->Args({1, 512, 1536, 16})
    ->Args({1, 512, 5120, 16})
    ->Args({1, 2048, 1536, 16})
    ->Args({1, 2048, 5120, 16})
    ->Args({1, 1, 1536, 16})
    ->UseManualTime()
    ->MinTime(0.2)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK(headScan)
    ->ArgNames({"B", "L", "H", "P", "N"})
    ->Args({1, 2048, 24, 64, 128})
    ->Args({1, 512, 24, 64, 128})
    ->Args({1, 1, 24, 64, 128})
    ->UseManualTime()
    ->MinTime(0.2)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK(headChunks)
    ->ArgNames({"B", "L", "H", "P", "N", "Q"})
    ->Args({1, 2048, 24, 64, 128, 32})
    ->Args({1, 2048, 24, 64, 128, 64})
    ->Args({1, 512, 24, 64, 128, 64})
    ->Args({1, 16, 24, 64, 128, 64})
    ->UseManualTime()
    ->MinTime(0.2)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK(deltaScan)
    ->ArgNames({"B", "L", "H", "K", "V"})
    ->Args({1, 512, 16, 128, 128})
    ->Args({1, 512, 16, 64, 64})
    ->UseManualTime()
    ->MinTime(0.2)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK(deltaChunks)
    ->ArgNames({"B", "L", "H", "K", "V"})
    ->Args({1, 512, 16, 128, 128})
    ->Args({1, 512, 2, 128, 128})
    ->Args({1, 512, 16, 64, 64})
    ->UseManualTime()
    ->MinTime(0.2)
    ->Unit(benchmark::kMicrosecond);

BENCHMARK_MAIN();
