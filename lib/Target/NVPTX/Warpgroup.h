//===- Warpgroup.h - Instructions of warpgroups (sm_90a) -------*- C++ -*-===//
//
// What kernels for Hopper consist of: products of four warps (wgmma) whose right operand
// lies in shared memory and whose left one is in registers, copies that run by
// themselves, and barriers in shared memory.
//
// A tile is 64 rows of 128 bytes, whose 16-byte columns are swizzled: column c of row r
// is at c xor (r mod 8). With g = lane / 4 and t = 2 * (lane % 4), a thread of warp w has
// of the sums of a product, 64 x columns, number 4 * b + 2 * h + e at row 16 * w + 8 * h
// + g and column 8 * b + t + e; so sums are a left operand of the next product, once
// rounded.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_LIB_TARGET_NVPTX_WARPGROUP_H
#define SSMC_LIB_TARGET_NVPTX_WARPGROUP_H

#include "Target/NVPTX/KernelEmitter.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"

namespace ssmc::nvptx {

/// Numbers are i32 here, as are addresses of shared memory: an index is twice as large.
class WarpgroupEmitter : protected KernelEmitter {
protected:
  using Type = mlir::Type;
  using Values = llvm::SmallVector<mlir::Value>;

  WarpgroupEmitter(mlir::OpBuilder &builder, mlir::Location loc);

  Value word(int64_t value);
  Value addWords(Value left, Value right);
  Value addWords(Value left, int64_t right) {
    return right ? addWords(left, word(right)) : left;
  }
  Value subWords(Value left, Value right);
  Value mulWords(Value left, Value right);
  Value mulWords(Value left, int64_t right) { return mulWords(left, word(right)); }
  Value divWords(Value left, int64_t right);
  Value remWords(Value left, int64_t right);
  Value exclusiveOr(Value left, Value right);
  Value exclusiveOr(Value left, int64_t right) { return exclusiveOr(left, word(right)); }
  /// Of words without sign.
  Value compare(mlir::arith::CmpIPredicate predicate, Value left, Value right);
  Value isBelow(Value left, Value right);
  Value isEqual(Value left, int64_t right);
  Value toIndex(Value value);
  Value toWord(Value index);
  Value toLong(Value index);

  Value exp2(Value value);
  /// Two numbers of f32 as bf16 in a word.
  Value pack(Value low, Value high);
  /// Products of the bf16 in two words.
  Value mulPairs(Value left, Value right);

  /// Of a lane of the warp, or of the lane so many before.
  Value shuffle(Value value, int64_t lane);
  Value shuffleUp(Value value, int64_t distance);
  /// A word that is the same in a warp: the assembler sees that it is, and addresses
  /// computed from it need no registers of each thread.
  Value uniform(Value value) { return shuffle(value, 0); }
  /// The same word, of which nobody knows: what follows from it is computed anew, and not
  /// kept in registers.
  Value renew(Value value);

  // Shared memory.
  Value loadShared(Value address, int64_t offset, Type type);
  Values loadPair(Value address, int64_t offset);
  void storeShared(Value value, Value address, int64_t offset);
  void storePair(Value low, Value high, Value address, int64_t offset);
  /// Four matrices of 8 x 8 numbers of 16 bits; a lane names a row of one.
  Values loadMatrices(Value address, int64_t offset, bool transposed);
  void storeMatrices(llvm::ArrayRef<Value> registers, Value address, int64_t offset,
                     bool transposed);
  /// What was stored is seen by products, once threads have met.
  void publish();

  // Barriers in shared memory, and of some threads.
  void initBarrier(Value address, int64_t offset, int64_t count);
  void publishBarriers();
  void arrive(Value address, int64_t offset);
  void wait(Value address, int64_t offset, Value parity);
  void meet(Value number, int64_t threads);

  /// Registers of each thread of the warpgroup from here on.
  void setRegisters(int64_t count, bool increase);

  // Copies.
  /// 16 bytes from an address in global memory; zeros where `bytes` is 0.
  void copyIn(Value shared, int64_t sharedOffset, Value global, int64_t globalOffset,
              Value bytes);
  void waitForCopiesIn();

  // A word in global memory that other blocks wait for.
  void waitForFlag(Value address);
  void raiseFlag(Value address);

  // Products.
  static constexpr int64_t kTileBytes = 64 * 128, kTileWidth = 64, kDepth = 16;
  /// Whether the sum runs along rows of the right operand, or along columns.
  enum class Along { rows, columns };
  /// Low word of a right operand's descriptor: tiles beside each other follow each other.
  Value describe(Value address, Along along);
  /// Begins sums += left right; `sums` is empty for zeros. A part of `left` are registers
  /// of 16 terms. The right operand has `columns`.
  Values multiply(int64_t columns, Values sums, llvm::ArrayRef<Values> left, Value right,
                  Along along);
  /// Until all but `others` of the products begun are done; sums are read of the result.
  Values waitForProducts(int64_t others, Values sums);
  /// Sums as a left operand.
  llvm::SmallVector<Values> toLeft(llvm::ArrayRef<Value> sums);

  Values assembly(llvm::StringRef text, llvm::StringRef constraints,
                  mlir::ValueRange operands, mlir::TypeRange results);

  Type i32, i64, f32;

private:
  Value pointer(Value address);
};

} // namespace ssmc::nvptx

#endif // SSMC_LIB_TARGET_NVPTX_WARPGROUP_H
