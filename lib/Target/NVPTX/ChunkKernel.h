//===- ChunkKernel.h - A recurrence in chunks on tensor cores --*- C++ -*-===//
//
// Internal to the chunked lowering of `ssm.scan`: LowerChunk.cpp chooses sizes and emits
// the loop over time, ChunkStaging.cpp (with ChunkVectors.cpp and ChunkDecays.cpp) what
// goes into shared memory, ChunkScores.cpp the products within chunks, ChunkProducts.cpp
// the chain of chunks, and ChunkLanes.cpp its memory in vectors.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_LIB_TARGET_NVPTX_CHUNKKERNEL_H
#define SSMC_LIB_TARGET_NVPTX_CHUNKKERNEL_H

#include "Target/NVPTX/ChunkFactors.h"
#include "Target/NVPTX/KernelEmitter.h"
#include "Target/NVPTX/TensorCores.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"

namespace ssmc::nvptx {
using namespace mlir;
using mlir::ssm::CoefficientsOp;
using mlir::ssm::ProductTerms;
using mlir::ssm::ScanOp;
using ssmc::detail::Loops;

/// A block has one point of the dimensions that are independent recurrences, or two that
/// have the same keys, and a tile of lanes, 16 for each of its warps. A warp keeps the
/// states of its lanes, transposed, in the sums of the tensor cores. Tokens go in chunks of
/// 16, a depth of the tensor cores.
/// With q the read, k and w the keys and lanes of a term, l and c those of an erase pair,
/// for the tokens i, j of a chunk, D_ij the product of the decays of the tokens after j up
/// to i, and S the state before the chunk:
///
///   e_i = c_i (l_i D_(i-1) S + sum_(j < i) D_(i-1)j (l_i k_j) w_j),   w_i = v_i + e_i
///   o_i = q_i D_i S + sum_(j <= i) D_ij (q_i k_j) w_j
///   S   = D_n S + sum_j D_nj k_j w_j
///
/// The first is a product with the inverse of a unit triangular matrix. Sums over tokens
/// are the same for all lanes: the warps compute those of a chunk each, once for a group
/// of chunks. Whatever depends on lanes stays in the registers of one warp: the sums of a
/// product are an operand of the next. Products of decays are formed by multiplication,
/// so that they hold for every decay, be it zero, negative or larger than one. With a
/// decay for each key, q and l have the decays from the start of the chunk, k those to
/// its end, and scores are divided by those of the whole chunk; where they are too small
/// or too large for that, scores are summed up one by one.
///
/// Where shared memory has room for two groups, four more warps stage the next group while
/// the others multiply this one; otherwise the same warps do both, one after the other.
class ChunkKernel : KernelEmitter {
public:
  /// `terms` of bf16 stand for an operand of f32.
  /// `sharedBytes`: shared memory that a block may ask for.
  /// `readsVectors`: memory is aligned so that neighbouring keys can be loaded together.
  /// `maySpread`: blocks are few, and have a head each.
  ChunkKernel(ScanOp op, OpBuilder &builder, int64_t terms, int64_t sharedBytes,
              bool readsVectors, bool maySpread = false);

  bool fits();
  /// Whether a block has two heads.
  bool sharesKeys() const { return heads > 1; }
  /// On the host: blocks of the grid.
  Value getNumBlocks();
  /// Memory of which vectors would be read.
  SmallVector<Value> getVectorMemory();
  void run();

private:
  using Fragment = TensorCores::Fragment;
  using Factors = ProductTerms::Factors;
  using Order = TensorCores::Order;

  /// Vectors over keys that meet the states: of the read, and of the erase pair.
  struct Row {
    Factors factors;
    bool isBefore = false; ///< meets the states before the token's own decay
    /// The vectors are a term's keys.
    std::optional<unsigned> term;
    SharedMatrix matrix;
  };

  /// A matrix in shared memory that is computed of one operand, of which a thread loads
  /// `count` neighbouring keys at once.
  struct Vectors {
    unsigned argument;
    int64_t count;
    bool isCopy; ///< the numbers are staged as they are
  };

  // ChunkSizes.cpp
  bool chooseGroup();
  bool chooseGroup(int64_t numStages);
  bool canShareKeys();
  /// Whether a multiprocessor can hold several blocks, or larger ones.
  bool hasFewKeys();
  int64_t getSharedBytes(int64_t tokens, int64_t numStages);
  unsigned getNumScores() { return rows.size() * products.terms.size(); }
  int64_t getTileLanes() { return tileWarps * kWarpLanes; }
  void allocate(ValueRange buffers);
  /// In shared memory: matrices, then tables.
  SmallVector<MemRefType> getBuffers();
  /// Matrices that a block asks for when it is launched.
  size_t numAskedFor();
  SmallVector<Value> askFor(gpu::LaunchOp launch, ArrayRef<MemRefType> buffers);
  /// Which of the stages in shared memory is meant from here on.
  void bindStage(Value number);

  // LowerChunk.cpp
  void bindBlock(Value block, Value headOfBlock);
  /// The numbers of this thread's warp, among those that do the same, and what follows.
  void bindThread(Value warpOfRole, Value headOfBlock, Value block);
  void runInTurns(Value block);
  void runOverlapped(Value block);
  void produce(Value numWhole, Value numGroups);
  void consume(Value numWhole, Value numGroups);
  /// `emit` for a number of groups, with what it carries.
  SmallVector<Value>
  forGroups(Value begin, Value end, ValueRange carried,
            function_ref<SmallVector<Value>(Value, ValueRange)> emit);
  SmallVector<Value> emitInTurns(Value begin, Value end, bool isWhole, ValueRange states);
  /// `next`: where to put values of the group that follows, which are loaded meanwhile.
  SmallVector<Value> emitGroup(Value first, ArrayRef<Value> values, ValueRange states,
                               SmallVectorImpl<Value> *next = nullptr);
  SmallVector<Value> loadGroupValues(Value first);
  SmallVector<Value> loadChunkValues(Value first, int64_t chunk);
  SmallVector<Value> loadStates();
  void storeStates(ValueRange states);

  // Places and values at them.
  /// Sets the point to a token of the order, or the last one if there are fewer; returns
  /// whether there is such a token.
  Value bindToken(Value step);
  /// The same for keys, and for the lane of this thread or the one 8 after it.
  Value bindKey(Value key);
  Value bindLane(int64_t half);
  Value bindWithin(unsigned dim, Value index, int64_t size, int64_t paddedSize);
  Value isTrue() {
    return arith::ConstantOp::create(loops.builder, loops.loc,
                                     loops.builder.getBoolAttr(true));
  }
  Value evaluate(ArrayRef<ProductTerms::Factor> factors);
  Value evaluate(ArrayRef<ProductTerms::Factor> factors,
                 function_ref<Value(unsigned)> getArgument);
  Value evaluate(Value coefficient);
  bool hasDecay() { return !roles.getDecay().empty(); }
  bool hasTokenDecay() { return hasDecay() && !products.keyDecay; }
  /// Whether lanes of a term have factors that depend on time alone.
  bool hasTimeFactors() {
    return llvm::any_of(products.terms, [](auto &term) { return !term.time.empty(); });
  }
  int64_t numChunks() { return group / kChunk; }

  // ChunkStaging.cpp
  Value loadStaged(Value table, ArrayRef<Value> indices);
  void storeStaged(Value value, Value table, ArrayRef<Value> indices);
  /// What a thread loads ahead of staging a group.
  SmallVector<Value> loadGroup(Value first);
  void stageGroup(Value first, ValueRange loaded);
  /// What follows is for warps that have a chunk of the group.
  void goOnWithChunk();
  void stageTokens(Value first, ValueRange loaded);
  Value ownToken();
  Value stageTokenDecays(Value token, Value decay);
  void stageEraseScales(Value token, Value scale, Value before);
  void forMatrices(function_ref<void(const Factors &, const SharedMatrix &, bool)> visit);
  void stageMatrix(const Factors &factors, const SharedMatrix &matrix, Value first,
                   bool zeroTail);
  /// The arguments of the coefficients that `factors` are computed of; the only one.
  SmallVector<unsigned> findArguments(const Factors &factors);
  std::optional<unsigned> findOnlyArgument(const Factors &factors);
  std::optional<Vectors> findVectors(const Factors &factors);
  SmallVector<Value> loadVectors(const Vectors &vectors, Value first);
  void stageVectors(const Factors &factors, const Vectors &vectors,
                    const SharedMatrix &matrix, Value first, bool zeroTail,
                    ValueRange loaded);
  /// A loaded vector as pairs of bf16, a vector a term.
  SmallVector<Value> splitVector(const Factors &factors, const Vectors &vectors,
                                 Value loaded);
  /// Vectors that a thread loads of a matrix.
  int64_t numVectors(int64_t count) {
    return llvm::divideCeil(group * paddedKeys / count, kThreads);
  }
  /// Calls `visit` with the number of each vector of this thread, its token and first key.
  void forVectors(int64_t count, function_ref<void(int64_t, Value, Value)> visit);
  // ChunkDecays.cpp
  using Pair = std::array<Value, 2>;
  /// What decays, keys and rows are computed of.
  SmallVector<unsigned> findDecayedArguments();
  /// Whether a thread loads all that it stages of the next group ahead.
  bool loadsDecayedAhead();
  SmallVector<Value> loadDecayedKeys(Value first);
  void stageDecayedKeys(Value first, ValueRange loaded);
  void stageDecayedPair(Value first, Value chunk, Value key, ValueRange loaded);
  /// Whether the two keys of a thread are loaded together.
  bool readsPairs(unsigned argument);
  Value loadPair(unsigned argument, Value key);
  Pair evaluatePair(const Factors &factors, Value key,
                    function_ref<Value(unsigned)> getPair);

  Value shuffle(Value value, Value lane);

  // ChunkScores.cpp
  void emitScores(Value first);
  void emitChunkScores(Value first);
  SmallVector<Value> multiplyRows(const Row &row);
  SmallVector<Value> sumDirectly(const Row &row, unsigned term, Value first);
  Fragment divideByTotals(const Fragment &fragment, int64_t key);
  void applyDecays(MutableArrayRef<Value> scores, const Row &row);
  void emitInverse();
  /// Calls `visit` with the number, row and column of each sum of a 16 x 16 product.
  void forSums(function_ref<void(int64_t, Value, Value)> visit);

  // ChunkLanes.cpp
  /// The argument that is all that the lanes of a term are computed of, if neighbouring
  /// lanes of it can be loaded at once.
  std::optional<unsigned> findLaneVectors(const ProductTerms::Term &term);
  bool storesLaneVectors();
  /// Registers that loadValues has of a term.
  int64_t numValues(const ProductTerms::Term &term);
  SmallVector<Value> loadLanes(const ProductTerms::Term &term, Value first, int64_t chunk);
  SmallVector<Value> spreadLanes(const ProductTerms::Term &term, ValueRange loaded,
                                 Value first, int64_t chunk);
  void storeLanes(ValueRange results, Value first, int64_t chunk);
  /// Four lanes of a token of the half chunk that this thread loads or stores; whether they
  /// are there.
  Value bindLaneVector(Value first, int64_t chunk, int64_t half);

  // ChunkProducts.cpp
  SmallVector<Value> loadValues(unsigned term, Value first, int64_t chunk);
  void emitChunk(SmallVectorImpl<Value> &states, MutableArrayRef<SmallVector<Value>> values,
                 Value first, int64_t chunk);
  SmallVector<Value> readStates(ArrayRef<Value> states, const Row &row, int64_t chunk);
  void scaleColumns(MutableArrayRef<Value> sums, Value table, int64_t chunk,
                    Value row = {});
  void addScores(MutableArrayRef<Value> sums, ArrayRef<Value> values, unsigned number,
                 int64_t chunk);
  void updateStates(SmallVectorImpl<Value> &states,
                    ArrayRef<SmallVector<Value>> values, int64_t chunk);
  void storeOutputs(ArrayRef<Value> sums, Value first, int64_t chunk);

  Value zero() { return loops.constant(f32, 0.0); }
  Value one() { return loops.constant(f32, 1.0); }
  SmallVector<Value> zeros(int64_t count) { return SmallVector<Value>(count, zero()); }
  /// Of all warps, and of those that stage.
  void barrier();
  void stagingBarrier();

  static constexpr int64_t kChunk = 16, kWarp = 32, kWarps = 4, kWarpLanes = 16;
  static constexpr int64_t kThreads = kWarp * kWarps; ///< that stage
  /// Of 16 lanes and as many tokens: sums of a thread.
  static constexpr int64_t kSums = 8;
  /// Lanes that a thread loads and stores at once.
  static constexpr int64_t kLaneVector = 4;
  static constexpr int64_t kStagingBarrier = 1; ///< 0 is that of all warps
  /// Elements between rows of scores, and of decays within a chunk.
  static constexpr int64_t kScoreStride = 24, kDecayStride = 18;

  ScanOp op;
  TensorCores cores;
  CoefficientsOp roles;
  ProductTerms products;
  FloatType f32;
  int64_t terms, sharedBytes;
  bool readsVectors, maySpread;
  bool hasLaneVectors = false; ///< lanes of a warp are dealt out for vectors
  int64_t keys = 0, paddedKeys = 0, lanes = 0, group = 0, stages = 1;
  /// Warps that multiply: of so many points of the last independent dimension so many.
  int64_t heads = 1, tileWarps = kWarps;
  SmallVector<Row> rows;
  /// Of the erase pair: what depends on time alone, and whether it is negative.
  Factors eraseTime;
  bool isEraseNegative = false;

  SmallVector<Value> point, sizes;
  Value length;
  bool isWhole = false;      ///< all tokens of the group are there
  Value stage;
  Value lane, warp;         ///< of the thread, among the warps that do the same
  Value laneRow, laneColumn; ///< where its sums are
  Value firstLane;          ///< of the warp
  Value head;               ///< of the block's, that the warp multiplies

  // Shared memory; all but what the warps that stage keep to themselves once a stage. Where
  // a block has two heads, their tokens and chunks follow each other, but for keys.
  SmallVector<Value> matrixAddresses; ///< in the order of the buffers
  SmallVector<SharedMatrix> keyMatrices; ///< by term
  /// By row and term; that of the erase pair and its own term is the inverse.
  SharedMatrix scores;
  Value prefixes;  ///< by token: decays from the start of its chunk
  Value suffixes;  ///< by token: decays after it to the end of its chunk
  Value totals;    ///< by chunk (and key)
  Value inverseTotals; ///< one by those of a key
  Value timeScales; ///< by term and token: factors of its lanes
  Value withinChunk; ///< by chunk: decays from column to row - 1; row 0 is zero
  Value eraseScales, erasePrefixes; ///< by token, without and with decays before it
  Value triangle;  ///< by chunk: what is inverted
  Value isExtreme; ///< by chunk: scores cannot be divided
};

} // namespace ssmc::nvptx

#endif // SSMC_LIB_TARGET_NVPTX_CHUNKKERNEL_H
