//===- ConvEmitter.h - Shared by the lowerings of ssm.conv -----*- C++ -*-===//
//
// Channels in lanes: which dimension they are, the accesses, the epilogue.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_TARGET_CPU_CONVEMITTER_H
#define SSMC_TARGET_CPU_CONVEMITTER_H

#include "CPULowering.h"
#include "VectorEmitter.h"
#include "ssm/IR/SSM.h"

namespace ssmc::cpu {

class ConvEmitter {
public:
  /// Tokens of a unit of work: many against those before it that are read again,
  /// as many as share what they load of a long kernel.
  static constexpr int64_t tokenBlock = 64;

  ConvEmitter(RewriterBase &builder, mlir::ssm::ConvOp op,
              const VectorTarget &target)
      : builder(builder), op(op), loc(op.getLoc()), target(target),
        body(op.getEpilogue().front()), numDims(op.getNumDims()),
        lag(numDims - 1), epilogueBase(builder, loc, numDims) {}

protected:
  /// Chooses element type and lanes; fails for what has no vector form.
  LogicalResult prepare();
  void chooseLanes();
  /// Applies the epilogue and stores; without sums only declares its argument.
  void storeResult(RegionEmitter &emitter, ArrayRef<Value> sums,
                   ArrayRef<Offsets> points);
  /// Nanoseconds of a token, `cost` being the instructions of one sum.
  double getOutputCost(double cost);
  Value convert(Value value, Type type) {
    return convertFloat(builder, loc, value, type);
  }
  /// Tasks over blocks of tokens of each batch, a token costing `cost`
  /// nanoseconds. `beginTask` is emitted once a task; `emitChannel` with all
  /// dimensions of the output known but lanes and time, whose block is in
  /// `firstToken` and `endToken`.
  void emitTokenBlocks(Value batches, Value tokens, double cost,
                       llvm::function_ref<void()> beginTask,
                       llvm::function_ref<void(RegionEmitter &)> emitChannel);
  /// Loops over the output's dimensions besides batch, time and lanes.
  void forChannels(RegionEmitter &emitter,
                   llvm::function_ref<void(RegionEmitter &)> emit,
                   unsigned next = 0);
  Value getExtent(Value memref, int64_t axis);
  Value multiplyAdd(Value a, Value b, Value c);
  int64_t getSize(unsigned dim);
  Value zero(RegionEmitter &emitter);
  Value index(int64_t value) { return indexConstant(builder, loc, value); }
  Value load(RegionEmitter &emitter, const Access &access);

  RewriterBase &builder;
  mlir::ssm::ConvOp op;
  Location loc;
  const VectorTarget &target;
  Block &body;
  unsigned numDims, lag;
  RegionEmitter epilogueBase;
  Access input, history, kernel, output;
  SmallVector<unsigned> outer; ///< dimensions of the output besides the lanes
  std::optional<unsigned> lane;
  int64_t width = 1;
  Type element;
  Value firstToken, endToken; ///< of the unit
};

/// Convolution with a kernel of many lags, known at run time perhaps, or of two
/// sides.
LogicalResult lowerLongConv(RewriterBase &rewriter, mlir::ssm::ConvOp op,
                            const VectorTarget &target);

/// Whether a convolution can be computed by Fourier transforms, and the code
/// that does it, at the insertion point. It reads no history.
bool canUseFFT(RewriterBase &rewriter, mlir::ssm::ConvOp op,
               const VectorTarget &target);
void emitFFTConv(RewriterBase &rewriter, mlir::ssm::ConvOp op,
                 const VectorTarget &target);

} // namespace ssmc::cpu

#endif // SSMC_TARGET_CPU_CONVEMITTER_H
