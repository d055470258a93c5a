//===- FFTConv.h - A long convolution by Fourier transforms ----*- C++ -*-===//
//
// Tokens are cut into blocks, of which ssm.spectrum has the formula. Sequences lie token
// by token in memory, with channels beside each other; so one kernel writes the tokens of
// each channel beside each other, into memory for transforms, a second convolves there, and
// a third goes back and finishes the outputs (FFTConvTiles.cpp has the first and the third).
//
// In the second a block of threads has one channel of one sequence. Block after block it
// transforms tokens (FourierBlock.h), keeps that for later blocks, adds up products with
// the pieces of the kernel, transforms back and writes sums over the tokens. Where outputs
// need later tokens it transforms all blocks before. Threads read what they have kept
// themselves, so nothing else waits for it.
//
// For sequences of 16 bits tensor cores may be the second (TensorConvolution.h); then it is
// f16 that lies between the kernels.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_LIB_TARGET_NVPTX_FFTCONV_H
#define SSMC_LIB_TARGET_NVPTX_FFTCONV_H

#include "Target/NVPTX/FourierBlock.h"
#include "Target/NVPTX/KernelEmitter.h"
#include "Target/NVPTX/TensorConvolution.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "ssm/IR/SSM.h"
#include "ssm/IR/SpectrumBlocks.h"
#include <optional>

namespace ssmc::nvptx {

/// Emits all kernels of one convolution.
class FFTConv : KernelEmitter {
public:
  /// `tensorCores`: of how many multiprocessors they may transform sequences of 16 bits.
  FFTConv(mlir::ssm::ConvOp op, mlir::linalg::GenericOp producer, Value keepsHistory,
          int64_t tensorCores, mlir::OpBuilder &builder);
  /// That no token came before, and the sequence is long enough.
  Value isPossible();
  void emit();
  /// Whether each token of the input is read once, so that the history is written by the
  /// way.
  bool writesHistory();

private:
  static constexpr int64_t kBlock = FourierBlock::kPoints,
                           kThreads = FourierBlock::kThreads,
                           kOwn = FourierBlock::kOwn;
  /// Channels and tokens of a tile that changes its direction, by warps of one token each,
  /// and what a thread has of it.
  static constexpr int64_t kWarp = 32, kTileTokens = 64, kWarps = 8,
                           kTileOwn = kTileTokens / kWarps;
  using Points = llvm::SmallVector<ComplexNumber, kOwn>;

  // Tiles, by two launches.
  mlir::gpu::LaunchOp startTile(Value tokens);
  void emitTokens();
  void moveTokens(Value written, bool isWhole);
  void storeHistory(llvm::ArrayRef<Value> values, llvm::SmallVector<Value> from);
  void emitOutputs();
  void moveOutputs(bool isWhole);
  void forTile(llvm::function_ref<void(bool)> body);
  Value clamp(Value index, Value end, bool isWhole);
  void whenThere(Value channel, Value token, bool isWhole, llvm::function_ref<void()> body);
  void bindChannel(Value number);
  Value loadInput(llvm::ArrayRef<Value> indices);
  Value getPlace(Value channel, Value token);

  // For tensor cores.
  TensorConvolution::Sequences getSequences();
  void storePairs(bool isWhole);
  std::array<Value, 2> loadPair(Value channel);

  // Transforms.
  void emitWideForm();
  void emitConvolution(bool afterAll);
  void emitBlocks();
  void emitBlocksAfterAll();
  Points loadTokens(Value number);
  void storeTokens(const Points &points, Value number);
  Value getKept(Value number);
  void keep(Points &points, Value number);
  Points multiplyOwn(const Points &points);
  void addProducts(Points &sums, Value output, Value begin, Value end);
  std::array<ComplexNumber, 2> loadNumbers(Value memory, Value place, int64_t alignment);
  std::array<ComplexNumber, 2> loadFactors(Value base, int64_t i);
  llvm::SmallVector<Value> getSpectrumSizes();
  Value getSpectrumBase(llvm::ArrayRef<Value> spectrumSizes);

  Value constant(double value) { return loops.constant(f32, value); }

  mlir::ssm::ConvOp op;
  mlir::linalg::GenericOp producer; ///< of the input, or null
  Value keepsHistory;         ///< or null: always
  mlir::FloatType f32;
  llvm::SmallVector<unsigned> channelDims; ///< of the output, the last one innermost
  llvm::SmallVector<Value> sizes, point;
  Value batches, length, channels, blocks;
  mlir::ssm::SpectrumBlocks pieces;
  Value lastPiece;
  bool looksAhead; ///< maybe; or the own block has no piece of its own
  Value memory;    ///< transforms that are kept, then tokens by channel
  Value keptBlocks, firstToken;
  Value spectrum;
  int64_t cores = 0; ///< whose tensor cores may transform
  TensorConvolution *tensor = nullptr; ///< while kernels for it are emitted

  // Of a block of threads.
  Value thread, row, spectrumBase; ///< row: of a channel of a sequence
  Value tile, tileChannel, tileToken;
  std::optional<FourierBlock> fourier;
};

} // namespace ssmc::nvptx

#endif // SSMC_LIB_TARGET_NVPTX_FFTCONV_H
