//===- Lowering.h - Forms of single ops on a GPU ---------------*- C++ -*-===//

#ifndef SSMC_LIB_TARGET_NVPTX_LOWERING_H
#define SSMC_LIB_TARGET_NVPTX_LOWERING_H

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/PatternMatch.h"
#include "ssm/IR/SSM.h"

namespace ssmc::nvptx {

/// Multiprocessors, and bytes of shared memory that a block may ask for.
struct Device {
  int64_t multiprocessors, sharedBytes;
};

// Each of these erases the op. `cooperative`: threads may work together.

/// A recurrence with a thread for each lane, or several, and the lane's states
/// in registers; fails where there are too many, or their number is not known.
/// `product` is lowered as well.
mlir::LogicalResult lowerScan(mlir::RewriterBase &rewriter,
                              mlir::ssm::ScanOp op, bool cooperative,
                              mlir::ssm::MatmulOp product, Device device);
/// The small product right before `op` that only makes an operand, where
/// kernels of a single token can compute it themselves; null if there is none.
mlir::ssm::MatmulOp findProductOf(mlir::RewriterBase &rewriter,
                                  mlir::ssm::ScanOp op);

/// A convolution with few lags, known ones, by runs of tokens.
mlir::LogicalResult lowerConv(mlir::RewriterBase &rewriter, mlir::ssm::ConvOp op);

/// A convolution with any lags by tiles of tokens; fails where it has no lanes, in f64, and
/// where documents start inside. `tensorCores`: of how many multiprocessors those may
/// transform sequences of 16 bits, with the shared memory that sm_90 has; none of 0.
mlir::LogicalResult lowerLongConv(mlir::RewriterBase &rewriter, mlir::ssm::ConvOp op,
                                  int64_t tensorCores);

/// The same by Fourier transforms, where its kernel has a spectrum for threads: from
/// `shortest_fft` tokens on that come first in their sequence. Emits `otherwise` for other
/// calls, and `putHistory` after outputs where it does not write the history itself. A
/// `producer` of the input does not run: each of its elements is computed where it is read.
/// `keepsHistory` says on the host whether a history is of use; null: it is.
bool canUseFFT(mlir::ssm::ConvOp op);
void emitFFTConv(mlir::OpBuilder &builder, mlir::ssm::ConvOp op,
                 mlir::linalg::GenericOp producer, mlir::Value keepsHistory,
                 int64_t tensorCores, llvm::function_ref<void()> otherwise,
                 llvm::function_ref<void()> putHistory);
/// The elementwise op right before `op` that only makes its input, from memory that
/// nothing else is put into; null if there is none.
mlir::linalg::GenericOp findProducerOf(mlir::ssm::ConvOp op);

/// A recurrence that is scheduled in chunks as products on tensor cores; fails where it
/// has no such form. `terms` of bf16 stand for an operand.
mlir::LogicalResult lowerChunk(mlir::RewriterBase &rewriter, mlir::ssm::ScanOp op,
                               int64_t terms, const Device &device);
bool fitsChunks(mlir::ssm::ScanOp op, int64_t terms, const Device &device);

/// The same by products of warpgroups, which sm_90a has, a block on each multiprocessor:
/// with one term, one decay for all keys that is a power, tiles of 64 lanes, and 64 or 128
/// keys. Memory that is not aligned gets lowerChunk.
mlir::LogicalResult lowerWarpgroupChunk(mlir::RewriterBase &rewriter,
                                        mlir::ssm::ScanOp op, int64_t terms,
                                        const Device &device);

/// A time-invariant recurrence in chunks as products of bf16 with its tables on tensor
/// cores; fails where it has no such form.
mlir::LogicalResult lowerTabulated(mlir::RewriterBase &rewriter, mlir::ssm::ScanOp op);
bool fitsTables(mlir::ssm::ScanOp op);

/// A decay exp(x) may round x*log2(e) once: its error is then as if x itself had been
/// rounded once more. Over the tokens for which a state lasts, about 1/|x|, the errors of
/// |x| units in the last place add up to one.
void relaxDecays(mlir::RewriterBase &rewriter, mlir::ssm::ScanOp op);

/// The kernel of a time-invariant system by products on tensor cores; for states of as
/// many numbers as fit, of known shapes.
bool canRespond(mlir::ssm::ImpulseResponseOp op);
mlir::LogicalResult lowerImpulse(mlir::RewriterBase &rewriter,
                                 mlir::ssm::ImpulseResponseOp op);

/// The transforms of a long kernel's pieces, where they are for the threads that
/// convolve here.
bool canTransform(mlir::ssm::SpectrumOp op);
mlir::LogicalResult lowerSpectrum(mlir::RewriterBase &rewriter, mlir::ssm::SpectrumOp op);

/// Rows of a norm with a block of threads each.
mlir::LogicalResult lowerNorm(mlir::RewriterBase &rewriter, mlir::ssm::NormOp op);

/// What the kernels of a product can compute for few tokens; null where there
/// is none.
struct Neighbours {
  /// The norm right before it that only makes its input.
  mlir::ssm::NormOp norm;
  /// The convolution right after it, of some of its columns.
  mlir::ssm::ConvOp conv;
};

/// Products of tokens by weights in tiles of shared memory, or, of a few
/// tokens, in sums that threads share. `neighbours`, found by findNeighbours,
/// are lowered as well.
mlir::LogicalResult lowerMatmul(mlir::RewriterBase &rewriter,
                                mlir::ssm::MatmulOp op, Neighbours neighbours,
                                Device device);

/// The same by tensor cores, where both operands are 16-bit numbers and the weight's rows
/// (panels of one column) begin at multiples of 16 bytes.
mlir::LogicalResult lowerTensorMatmul(mlir::RewriterBase &rewriter,
                                      mlir::ssm::MatmulOp op,
                                      Neighbours neighbours, Device device);
Neighbours findNeighbours(mlir::RewriterBase &rewriter, mlir::ssm::MatmulOp op,
                          Device device);

} // namespace ssmc::nvptx

#endif // SSMC_LIB_TARGET_NVPTX_LOWERING_H
