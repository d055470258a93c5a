//===- model_benchmark.cpp - A compiled model as a program would use it ---===//
//
//   model_benchmark MODEL.so WEIGHTS [options of Google Benchmark]
//     --threads=N        threads of the context, the probes and OpenBLAS
//     --wall-clock       also with one thread, whose own time counts otherwise
//     --length=N         tokens of a prompt (512)
//     --products=A,B     weights whose names contain A or B multiply every token
//     --last-product=A   these multiply the last token alone
//
// Through ssmrt alone: no compiler in this process. Every sample of a model stands
// between samples of what bounds it: reading as many bytes as the weights have
// (decode), or OpenBLAS with the same products (prompt). Counters relate the best
// of both, so that what else the machine does meanwhile counts for neither.
//
//===----------------------------------------------------------------------===//

#include "benchmark/benchmark.h"
#include "compiled.h"

#include <chrono>
#include <ctime>
#include <fcntl.h>
#include <string>
#include <thread>
#include <unistd.h>

#ifdef SSMC_HAS_OPENBLAS
#include <cblas.h>
extern "C" void openblas_set_num_threads(int);
#endif

using namespace ssmc::benchmarks;

namespace {
struct Options {
  std::string model, weights;
  int threads = 1;
  bool wallClock = false;
  int64_t length = 512;
  std::vector<std::string> products, lastProducts;
};

/// What every benchmark of the process works on.
struct Model {
  const ssmrt_module *module = nullptr;
  ssmrt_context *context = nullptr;
  Block prepared;
  int64_t preparedBytes = 0, weightBytes = 0;
  double prepareSeconds = 0;
  int64_t startBytes = 0; // resident before anything was loaded
};
} // namespace

static Options options;
static Model model;

/// With one thread its own time: what else runs on the machine then counts only
/// through caches and memory.
static double now() {
  timespec time;
  bool isOwn = options.threads == 1 && !options.wallClock;
  clock_gettime(isOwn ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &time);
  return double(time.tv_sec) + 1e-9 * double(time.tv_nsec);
}

//===----------------------------------------------------------------------===//
// Memory of the process
//===----------------------------------------------------------------------===//

/// A line of /proc/self/status in bytes; -1 where there is none.
static int64_t statusOf(const char *name) {
  std::FILE *file = std::fopen("/proc/self/status", "r");
  char line[256];
  int64_t bytes = -1;
  size_t size = std::strlen(name);
  while (file && std::fgets(line, sizeof(line), file))
    if (!std::strncmp(line, name, size) && line[size] == ':')
      bytes = std::atoll(line + size + 1) * 1024;
  if (file)
    std::fclose(file);
  return bytes;
}

static bool resetPeak() {
  int file = open("/proc/self/clear_refs", O_WRONLY);
  bool done = file >= 0 && write(file, "5", 1) == 1;
  if (file >= 0)
    close(file);
  return done;
}

//===----------------------------------------------------------------------===//
// Probe
//===----------------------------------------------------------------------===//

namespace {
struct Reading {
  const char *data;
  int64_t bytes;
  uint64_t sums[64];
};
} // namespace

static constexpr int64_t pieces = 64;

static void readPieces(void *closure, int64_t begin, int64_t end) {
  auto *reading = static_cast<Reading *>(closure);
  typedef uint64_t Vector __attribute__((vector_size(64), aligned(64)));
  int64_t count = reading->bytes / pieces / 512;
  for (int64_t piece = begin; piece < end; ++piece) {
    auto *vectors =
        reinterpret_cast<const Vector *>(reading->data + piece * count * 512);
    Vector sums[8] = {};
    for (int64_t i = 0; i < count * 8; i += 8)
      for (int j = 0; j < 8; ++j)
        sums[j] += vectors[i + j];
    for (int j = 1; j < 8; ++j)
      sums[0] += sums[j];
    std::memcpy(&reading->sums[piece], &sums[0], 8);
  }
}

/// Bytes per second at which the threads read the prepared tables: the same memory
/// in the same caches as the model's.
static double measureReading() {
  static Reading reading;
  reading.data = model.prepared.get();
  reading.bytes = std::min(model.preparedBytes, model.weightBytes);
  int64_t times = std::max<int64_t>(1, (int64_t(64) << 20) / reading.bytes);
  double start = now();
  for (int64_t i = 0; i < times; ++i)
    model.context->parallel_for(model.context, readPieces, &reading, pieces,
                                /*cost=*/1 + reading.bytes / pieces / 16);
  double seconds = now() - start;
  benchmark::DoNotOptimize(reading.sums[0]);
  return double(reading.bytes / pieces / 512 * 512 * pieces) * double(times) / seconds;
}

//===----------------------------------------------------------------------===//
// Benchmarks
//===----------------------------------------------------------------------===//

/// One forward in a process that has done nothing else.
static void memory(benchmark::State &state) {
  Call call(model.module, model.context, model.prepared.get(), state.range(0));
  bool measured = resetPeak();
  for (auto _ : state)
    call.forward(nullptr);
  int64_t peak = statusOf("VmHWM");
  int64_t beyond = peak - model.startBytes - model.weightBytes - call.outputBytes;
  state.counters["beyond_bytes"] = measured && peak > 0 ? double(beyond) : -1;
  state.counters["workspace_bytes"] = double(call.workspaceBytes);
  state.counters["prepared_bytes"] = double(model.preparedBytes);
  state.counters["weight_bytes"] = double(model.weightBytes);
  state.counters["prepare_seconds"] = model.prepareSeconds;
}

static void decode(benchmark::State &state) {
  Call call(model.module, model.context, model.prepared.get(), /*length=*/1);
  Block kept = allocate(ssmrt_state_bytes(model.module, 1, 1 << 20));
  check(ssmrt_state_reset(model.module, kept.get(), 1, 1 << 20), "state");
  call.step(kept.get());
  // Long enough for a clock; short, so that some samples are not disturbed.
  double start = now();
  call.step(kept.get());
  int tokens = int(std::clamp(2e-3 / (now() - start), 1.0, 200.0));
  double best = 1e30, rate = measureReading();
  for (auto _ : state) {
    start = now();
    for (int i = 0; i < tokens; ++i)
      call.step(kept.get());
    double seconds = (now() - start) / tokens;
    state.SetIterationTime(seconds);
    best = std::min(best, seconds);
    rate = std::max(rate, measureReading());
  }
  state.counters["seconds"] = best;
  state.counters["bytes_per_second"] = rate;
  state.counters["ratio"] = best * rate / double(model.weightBytes);
}

#ifdef SSMC_HAS_OPENBLAS
namespace {
struct Product {
  int64_t tokens, columns, depth;
};

/// The same products as the model's, alone.
class Products {
public:
  explicit Products(int64_t length) {
    int64_t largestWeight = 0, largestInput = 0, largestOutput = 0;
    for (int64_t i = 0; i < model.module->num_weights; ++i) {
      const ssmrt_value_info &info = model.module->weights[i];
      bool isLast = contains(info.name, options.lastProducts);
      if (info.ndim != 2 || (!isLast && !contains(info.name, options.products)))
        continue;
      Product p = {isLast ? 1 : length, info.shape[0], info.shape[1]};
      products.push_back(p);
      largestWeight += p.columns * p.depth;
      largestInput = std::max(largestInput, p.tokens * p.depth);
      largestOutput = std::max(largestOutput, p.tokens * p.columns);
    }
    for (auto [vector, size] : {std::pair(&weights, largestWeight),
                                std::pair(&input, largestInput),
                                std::pair(&output, largestOutput)})
      for (int64_t i = 0; i < size; ++i)
        vector->push_back(float(i % 17) * 0.01f - 0.08f);
  }

  void run() {
    const float *w = weights.data();
    for (const Product &p : products) {
      if (p.tokens == 1)
        cblas_sgemv(CblasRowMajor, CblasNoTrans, p.columns, p.depth, 1, w, p.depth,
                    input.data(), 1, 0, output.data(), 1);
      else
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, p.tokens, p.columns,
                    p.depth, 1, input.data(), p.depth, w, p.depth, 0, output.data(),
                    p.columns);
      w += p.columns * p.depth;
    }
  }

  bool empty() const { return products.empty(); }

private:
  static bool contains(const std::string &name, const std::vector<std::string> &parts) {
    return std::any_of(parts.begin(), parts.end(), [&](const std::string &part) {
      return name.find(part) != std::string::npos;
    });
  }

  std::vector<Product> products;
  std::vector<float> weights, input, output;
};
} // namespace
#endif

static void prompt(benchmark::State &state) {
  Call call(model.module, model.context, model.prepared.get(), state.range(0));
  call.forward(nullptr);
  double best = 1e30, library = 1e30;
#ifdef SSMC_HAS_OPENBLAS
  openblas_set_num_threads(options.threads);
  Products products(state.range(0));
  products.run();
#endif
  for (auto _ : state) {
#ifdef SSMC_HAS_OPENBLAS
    double before = now();
    products.run();
    library = std::min(library, now() - before);
    // Its threads spin for a while after their work.
    if (options.threads > 1)
      std::this_thread::sleep_for(std::chrono::milliseconds(60));
#endif
    double start = now();
    call.forward(nullptr);
    double seconds = now() - start;
    state.SetIterationTime(seconds);
    best = std::min(best, seconds);
  }
  state.counters["seconds"] = best;
#ifdef SSMC_HAS_OPENBLAS
  if (!products.empty()) {
    state.counters["library_seconds"] = library;
    state.counters["ratio"] = best / library;
  }
#endif
  (void)library;
}

//===----------------------------------------------------------------------===//
// Set-up
//===----------------------------------------------------------------------===//

static std::vector<std::string> splitList(const std::string &text) {
  std::vector<std::string> parts;
  for (size_t at = 0; at <= text.size();) {
    size_t comma = std::min(text.find(',', at), text.size());
    if (comma > at)
      parts.push_back(text.substr(at, comma - at));
    at = comma + 1;
  }
  return parts;
}

/// Takes our options out of the list.
static void parseOptions(int &argc, char **argv) {
  std::vector<std::string> files;
  int kept = 1;
  for (int i = 1; i < argc; ++i) {
    std::string text = argv[i];
    auto value = [&](const char *name) -> const char * {
      size_t size = std::strlen(name);
      return text.compare(0, size, name) == 0 ? argv[i] + size : nullptr;
    };
    if (const char *threads = value("--threads="))
      options.threads = std::atoi(threads);
    else if (text == "--wall-clock")
      options.wallClock = true;
    else if (const char *length = value("--length="))
      options.length = std::atoll(length);
    else if (const char *names = value("--products="))
      options.products = splitList(names);
    else if (const char *last = value("--last-product="))
      options.lastProducts = splitList(last);
    else if (text[0] != '-')
      files.push_back(text);
    else
      argv[kept++] = argv[i];
  }
  argc = kept;
  if (files.size() != 2 || options.threads < 1 || options.length < 1) {
    std::fprintf(stderr, "usage: model_benchmark MODEL.so WEIGHTS [--threads=N] "
                         "[--wall-clock] [--length=N] [--products=A,B] [--last-product=A]\n");
    std::exit(2);
  }
  options.model = files[0];
  options.weights = files[1];
}

static void load() {
  model.startBytes = statusOf("VmRSS");
  model.module = openModule(options.model.c_str());
  check(ssmrt_context_create(uint32_t(options.threads), &model.context), "threads");
  ssmrt_weights *weights;
  check(ssmrt_weights_open(options.weights.c_str(), &weights), "the weights");
  std::vector<ssmrt_tensor> tensors(size_t(model.module->num_weights) + 1);
  check(ssmrt_weights_bind(weights, model.module, "", tensors.data()), "the weights");
  for (int64_t i = 0; i < model.module->num_weights; ++i) {
    int64_t bytes = int64_t(ssmrt_dtype_size(tensors[i].dtype));
    for (int32_t d = 0; d < tensors[i].ndim; ++d)
      bytes *= tensors[i].shape[d];
    model.weightBytes += bytes;
  }
  model.preparedBytes = ssmrt_prepared_bytes(model.module, 1 << 20);
  model.prepared = allocate(model.preparedBytes);
  Block workspace = allocate(ssmrt_prepare_workspace_bytes(model.module, 1 << 20));
  double start = now();
  check(ssmrt_prepare(model.module, model.context, tensors.data(),
                      model.module->num_weights, model.prepared.get(), 1 << 20,
                      workspace.get()),
        "prepare");
  model.prepareSeconds = now() - start;
  bool isBorrowed = false;
  for (int64_t i = 0; i < model.module->num_weights; ++i)
    isBorrowed |= (model.module->weights[i].flags & SSMRT_BORROWED) != 0;
  if (!isBorrowed)
    ssmrt_weights_close(weights);
}

int main(int argc, char **argv) {
  parseOptions(argc, argv);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv))
    return 2;
  load();
  // First, while the process has no memory but the model's.
  benchmark::RegisterBenchmark("memory", memory)
      ->Arg(4 * options.length)
      ->Iterations(1)
      ->Unit(benchmark::kMillisecond);
  benchmark::RegisterBenchmark("decode", decode)
      ->UseManualTime()
      ->Unit(benchmark::kMicrosecond);
  benchmark::RegisterBenchmark("prompt", prompt)
      ->Arg(options.length)
      ->UseManualTime()
      ->Unit(benchmark::kMillisecond);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
