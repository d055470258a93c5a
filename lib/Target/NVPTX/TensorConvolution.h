//===- TensorConvolution.h - Long convolutions by tensor cores -*- C++ -*-===//
//
// The transforms of FourierBlock.h as products of matrices, for sequences of 16
// bits. The tree of `ssm.roots` is cut twice: a block of 4096 tokens is
// x[i][j][c], with token number 256 i + 16 j + c, and with E(s) the number that
// X^256 is in node s of the fourth level, E(s, r) that X^16 is in node r below
// it,
//
//   v[s][j][c] = sum(i) E(s)^i x[i][j][c],   w[s][r][c] = sum(j) E(s, r)^j
//   v[s][j][c]
//
// are sums over 16 numbers with the same factors for all c and all rows of the
// batch. What is left, polynomials of 16 coefficients modulo X^16 - E(s, r), is
// multiplied with the kernel's as a matrix, V[c][d] = h[c - d], with E(s, r)
// h[16 + c - d] above its diagonal; the inverse goes the same way back.
//
// A block of threads has a channel of eight rows of the batch, the columns of
// all products, so that kernels are read and matrices made once for them. A
// warp has a node s: only the outer sums pass between warps. Between products
// numbers are f16, in shared memory and in what is kept for later blocks, sums
// are f32. Powers of two keep them in range: tokens are divided by the largest
// power up to one of the row so far, the kernel by one that bounds its pieces;
// tokens up to 2^100 have one.
//
// TensorConvolution.cpp moves tokens and launches, TensorConvolutionFactors.cpp
// makes matrices, TensorConvolutionProducts.cpp multiplies.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_LIB_TARGET_NVPTX_TENSORCONVOLUTION_H
#define SSMC_LIB_TARGET_NVPTX_TENSORCONVOLUTION_H

#include "Target/NVPTX/FourierBlock.h"
#include "Target/NVPTX/KernelEmitter.h"
#include <functional>

namespace ssmc::nvptx {

class TensorConvolution : KernelEmitter {
public:
  /// What is convolved; values of the host.
  struct Sequences {
    Value memory;   ///< numbers of f32 that are words here
    Value spectrum; ///< all numbers
    Value roots;
    int64_t spectrumAlignment; ///< of a channel's numbers, in bytes
    Value batches, channels, blocks, numPieces;
    int64_t cores; ///< multiprocessors, one for each block of threads
    /// In the kernel, the place of the first number of a channel's spectrum.
    std::function<Value(Value)> getSpectrumBase;
  };

  static constexpr int64_t kRows = 8;

  TensorConvolution(mlir::OpBuilder &builder, mlir::Location loc,
                    Sequences sequences);

  /// Words of memory that it needs.
  Value getNumWords();
  /// The word of the first of two tokens beside each other. Those of a channel
  /// of a row, all blocks whole, follow each other as f16 below 2 in size, and
  /// give way to sums in f16.
  Value getTokenPlace(Value row, Value channel, Value token);
  /// The word of the power of two, in f32, that so many tokens from `token` on
  /// are to be multiplied with.
  static constexpr int64_t kScaledTokens = 64;
  Value getTokenScalePlace(Value row, Value channel, Value token);
  /// The word of the number of f32 that the sums of a block are to be
  /// multiplied with.
  Value getScalePlace(Value row, Value channel, Value block);
  /// Powers of two that tokens may have.
  static constexpr double kLeastScale = 0x1p-100, kLargestScale = 0x1p100;
  void emit();

private:
  using Words = llvm::SmallVector<Value>;
  using Factors = llvm::SmallVector<ComplexNumber>;

  // Factors.
  ComplexNumber loadNode(Value node);
  ComplexNumber conjugate(ComplexNumber a);
  ComplexNumber multiply(ComplexNumber a, ComplexNumber b);
  ComplexNumber select(Value condition, ComplexNumber a, ComplexNumber b);
  /// `base` to a power below 2^bits that only the kernel knows.
  ComplexNumber power(ComplexNumber base, Value exponent, int bits);
  Words makeOuterFactors();
  Words makeOuterInverse();
  void storeInnerFactors();
  Words loadInnerFactors();
  Words loadInnerInverse();
  void storeFactors(const Words &factors, int64_t first);
  Words loadFactors(int64_t first);

  void emitJob(Value job);
  // The kernel.
  void emitKernel();
  Value getKernelPlace(Value node, Value piece);
  Words loadKernel(Value node, Value piece);
  Words makeMatrix(llvm::ArrayRef<Value> numbers);
  Value swap(Value pair);

  // Tokens.
  void copyIn(Value place, Value from, int64_t bytes);
  void fetch(Value job, Value block);
  void fetchNext(Value job, Value block);
  Value findScale(Value before);
  Value getRow(Value rows, Value inGroup);

  // Steps of a block.
  void splitOuter(Value scale);
  void transformNode(llvm::ArrayRef<Value> factors);
  void multiplyNode(Value block, llvm::ArrayRef<Value> scales);
  Value getKeptPlace(Value node, Value block);
  Words loadTerm(llvm::ArrayRef<Value> nodes, Value block, Value before);
  void joinOuter();
  void storeSums(Value block);
  Words loadColumn(Value place, int64_t step);
  void storeColumns(llvm::ArrayRef<Value> sums, Value place, int64_t step);

  // Words.
  Value word(int64_t value);
  Value number(double value);
  Value bitcast(Value value, mlir::Type type);
  Value pack(Value low, Value high);
  Value permute(Value low, Value high, int64_t selector);
  void product(llvm::ArrayRef<Value> left, llvm::ArrayRef<Value> right,
               llvm::MutableArrayRef<Value> sums);
  void complexProduct(llvm::ArrayRef<Value> left, llvm::ArrayRef<Value> right,
                      llvm::MutableArrayRef<Value> sums);
  Value loadVector(Value from, Value place);
  Words extractWords(Value vector);
  void storeVector(llvm::ArrayRef<Value> words, Value to, Value place);
  Value shuffle(Value value, Value from);
  Value floorPower(Value value, double low, double high);
  void barrier();
  void syncWarp();
  /// `body` for the first of every `together` of 16 numbers.
  void forGroups(int64_t together, llvm::function_ref<void(Value)> body);

  /// Words that a thread loads and stores at once.
  static constexpr int64_t kVector = 4;
  /// Numbers of the kernel that a thread's part of a node's matrix is made of.
  static constexpr int64_t kDiagonals = 6;
  /// Of the halves of two words: both low ones, both high ones; and those of
  /// one word.
  static constexpr int64_t kLowHalves = 0x5410, kHighHalves = 0x7632,
                           kSwapped = 0x1032;
  static constexpr int64_t kPoints = FourierBlock::kPoints, kRadix = 16,
                           kWarp = 32, kThreads = kRadix * kWarp,
                           kNodes = kRadix * kRadix;
  /// Words of shared memory: of eight rows, of 16 of those, of a node; the last
  /// two a multiple of the banks and eight more.
  static constexpr int64_t kColumn = kRows, kLine = kRadix * kColumn + 8,
                           kNode = kRadix * kLine + 8;
  /// After all nodes: tokens, of which 256 and their rows are vectors of four
  /// words, scales, with one word free after a row, numbers of warps, and
  /// factors: those that all warps have, and the inner ones of each, of which a
  /// word is free after a row as well.
  static constexpr int64_t kTokens = kRadix * kNode,
                           kTokenLine = 4 * (kWarp + 1),
                           kTokenRow = kRadix * kTokenLine + 16;
  static constexpr int64_t kRowScales = kPoints / kScaledTokens;
  static constexpr int64_t kScales = kTokens + kRows * kTokenRow,
                           kLargest = kScales + kRows * (kRowScales + 1) + 8,
                           kOuterFactors = kLargest + kRadix,
                           kOuterInverse = kOuterFactors + 8 * kWarp,
                           kInnerFactors = kOuterInverse + 8 * kWarp,
                           kFactorRow = kRadix + 1,
                           kFactorNode = kRadix * kFactorRow,
                           kSharedWords = kInnerFactors + kRadix * kFactorNode;
  /// Words from the first to the last eight sums of a line.
  static constexpr int64_t kHalfLine = kLine / 2;
  /// Words of a node of a piece of the kernel: h at 16 and after, E h before.
  static constexpr int64_t kKernelWords = 32;
  /// The same where threads put theirs, in different banks.
  static constexpr int64_t kStagedNode = kKernelWords + 4;
  /// Products that do not wait for each other; those with the kernel need more
  /// registers.
  static constexpr int64_t kTogether = 4, kTogetherInNode = 2;

  Sequences sequences;
  mlir::FloatType f32;
  mlir::IntegerType i32;
  Value groups, jobs, slots; ///< of rows; channels of those; blocks of threads
  Value kernelPlace, keptPlace, tokenScalePlace, scalePlace;

  // Of a block of threads.
  Value shared, thread, warp, lane, laneRow, laneColumn;
  Value slot, channel, group;
  Value kernelScale;
};

} // namespace ssmc::nvptx

#endif // SSMC_LIB_TARGET_NVPTX_TENSORCONVOLUTION_H
