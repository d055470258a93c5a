//===- FakeModule.cpp - A compiled layer, written by hand -----------------===//

#include "FakeModule.h"

using namespace ssmrt_test;

namespace {

/// What prepare writes: the packed decay and a pointer to the borrowed scale.
struct Tables {
  float decay[numChannels];
  float offset;
  const float *scale;
};

struct Scan {
  const ssmrt_frame *frame;
};

int64_t tableBytes(int64_t) { return sizeof(Tables); }
int64_t stateBytes(int64_t batch, int64_t) {
  int64_t sums = (batch * numChannels * 4 + 63) / 64 * 64;
  return sums + (2 * batch * 8 + 63) / 64 * 64;
}
int64_t forwardBytes(int64_t batch, int64_t) { return batch * 64; }
int64_t stepBytes(int64_t batch) { return batch * 64; }

void prepare(const ssmrt_frame *frame) {
  Tables tables = {};
  std::memcpy(tables.decay, frame->inputs[0], sizeof(tables.decay));
  tables.scale = static_cast<const float *>(frame->inputs[1]);
  if (frame->inputs[2])
    tables.offset = *static_cast<const float *>(frame->inputs[2]);
  std::memcpy(frame->prepared, &tables, sizeof(tables));
}

/// Rows [begin, end) of the batch. The sums go through the workspace, so that
/// a workspace that is too small or shared shows.
void scanRows(void *closure, int64_t begin, int64_t end) {
  const ssmrt_frame &frame = *static_cast<Scan *>(closure)->frame;
  const Tables &tables = *static_cast<const Tables *>(frame.prepared);
  const float *u = static_cast<const float *>(frame.inputs[0]);
  const float *gain = static_cast<const float *>(frame.inputs[1]);
  float *y = static_cast<float *>(frame.outputs[0]);
  float *sums = static_cast<float *>(frame.state);
  int64_t *counts = reinterpret_cast<int64_t *>(
      static_cast<char *>(frame.state) +
      (frame.batch * numChannels * 4 + 63) / 64 * 64);
  for (int64_t b = begin; b < end; ++b) {
    float *local = reinterpret_cast<float *>(
        static_cast<char *>(frame.workspace) + b * 64);
    std::memcpy(local, sums + b * numChannels, numChannels * sizeof(float));
    for (int64_t t = 0; t < frame.length; ++t) {
      for (int64_t c = 0; c < numChannels; ++c) {
        int64_t at = (b * frame.length + t) * numChannels + c;
        local[c] = tables.decay[c] * local[c] + u[at];
        y[at] = local[c] * tables.scale[c] * (gain ? gain[b] : 1) +
                tables.offset;
      }
    }
    std::memcpy(sums + b * numChannels, local, numChannels * sizeof(float));
    counts[b] += frame.length;
    counts[frame.batch + b] = frame.position + frame.length;
  }
}

void forward(const ssmrt_frame *frame) {
  Scan scan = {frame};
  frame->context->parallel_for(frame->context, scanRows, &scan, frame->batch,
                               /*cost=*/0);
}

const int64_t channels[] = {numChannels};
const int64_t sequence[] = {SSMRT_BATCH, SSMRT_LENGTH, numChannels};
const int64_t rows[] = {SSMRT_BATCH};
const int64_t rowsOfChannels[] = {SSMRT_BATCH, numChannels};
const int64_t countsOfRows[] = {2, SSMRT_BATCH};

const ssmrt_value_info weights[] = {
    {"decay", f32, 1, channels, 0, 0, 0},
    {"scale", f32, 1, channels, SSMRT_BORROWED, 0, 0},
    {"offset", f32, 0, nullptr, SSMRT_OPTIONAL, 0, 0},
};
const ssmrt_value_info inputs[] = {
    {"u", f32, 3, sequence, 0, 0, 0},
    {"gain", f32, 1, rows, SSMRT_OPTIONAL, 0, 0},
};
const ssmrt_value_info outputs[] = {{"y", f32, 3, sequence, 0, 0, 0}};
const ssmrt_value_info states[] = {
    {"s", f32, 2, rowsOfChannels, 0, 0, 0},
    {"count", i64, 2, countsOfRows, 0, 0, 0},
};

} // namespace

ssmrt_module ssmrt_test::makeModule() {
  ssmrt_module module = {};
  module.magic = SSMRT_MAGIC;
  module.abi_version = SSMRT_ABI_VERSION;
  module.struct_size = sizeof(module);
  module.name = "fake";
  module.layer = "Fake";
  module.target = "cpu generic";
  module.compiler = "by hand";
  module.hash = 0x1234;
  module.num_weights = 3;
  module.num_inputs = 2;
  module.num_outputs = 1;
  module.num_states = 2;
  module.weights = weights;
  module.inputs = inputs;
  module.outputs = outputs;
  module.states = states;
  module.prepared_bytes = tableBytes;
  module.state_bytes = stateBytes;
  module.forward_workspace_bytes = forwardBytes;
  module.step_workspace_bytes = stepBytes;
  module.prepare = prepare;
  module.forward = forward;
  module.step = forward;
  return module;
}
