//===- StreamedMatmul.cpp - Products of few tokens ------------------------===//
//
// Few tokens wait for the weights, so these are read in the order in which they
// lie in memory, panel after panel over the whole depth, as if nothing were done
// with them. Hardware that does not look far enough ahead of one ascending stream
// is told what comes (`KernelTarget::prefetchBytes`). All tokens meet a panel at
// once. Their inputs are copied before the tasks begin, which are groups of panels.
//
//===----------------------------------------------------------------------===//

#include "Target/CPU/MatmulEmitter.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace ssmc::cpu;

namespace {
class StreamedEmitter : MatmulEmitter {
public:
  using MatmulEmitter::MatmulEmitter;
  void emit();

private:
  void emitTask(Value panelBegin, Value panelEnd);
};
} // namespace

void StreamedEmitter::emitTask(Value panelBegin, Value panelEnd) {
  Value zero = index.constant(0);
  sums = allocate(MemRefType::get({s.streamedRows, s.width}, accumulator));
  SmallVector<int64_t> sizes;
  for (int64_t size = s.streamedRows; size > 0; --size)
    sizes.push_back(size);
  forRange(panelBegin, panelEnd, 1, [&](Value panel) {
    switchRows(tokens, sizes, [&](int64_t size) {
      MatmulTile tile = getTile(size, panel);
      tile.prefetchBytes = target.prefetchBytes;
      emitMatmulTile(b, tile);
    });
    emitResults(zero, tokens, panel, zero);
  });
}

void StreamedEmitter::emit() {
  MemRefType type = getInputsType(s.streamedRows, s.depth);
  int64_t bytes = type.getNumElements() * type.getElementTypeBitWidth() / 8;
  inputs = memref::ViewOp::create(b, type, matmul.getScratch(bytes),
                                  index.constant(0), ValueRange{});
  copyInputs(index.constant(0), tokens, index.constant(0),
             index.constant(s.depth));
  int64_t groups = llvm::divideCeil(s.panels, s.smallGroup);
  forTasks(index.constant(groups), [&](Value task) {
    Value begin = index.mul(task, s.smallGroup);
    emitTask(begin, index.min(index.add(begin, s.smallGroup),
                              index.constant(s.panels)));
  });
}

void ssmc::cpu::emitStreamedMatmul(ImplicitLocOpBuilder &b,
                                   const PackedMatmul &matmul,
                                   const KernelTarget &target, Type accumulator,
                                   BF16Unit unit) {
  StreamedEmitter(b, matmul, target, accumulator, unit).emit();
}
