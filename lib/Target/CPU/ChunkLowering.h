//===- ChunkLowering.h - A recurrence by products of matrices --*- C++ -*-===//
//
// Internal to the chunked lowering of `ssm.scan`: LowerChunk.cpp analyses the
// op, emits the schedule and moves data between memory and scratch;
// ChunkProducts.cpp emits the arithmetic on scratch memory.
//
//===----------------------------------------------------------------------===//

#ifndef SSMC_TARGET_CPU_CHUNKLOWERING_H
#define SSMC_TARGET_CPU_CHUNKLOWERING_H

#include "BlockProducts.h"
#include "ScanOperands.h"
#include "ssm/Analysis/ProductTerms.h"

namespace ssmc::cpu {

using namespace mlir::ssm;

/// With q the read, k and v the factors of the write, and `a` the decay, for
/// the tokens i, j = 0, 1, ... of a chunk and the state S before it:
///
///   scores_ij = sum_k q_ik k_jk a_(j+1)k ... a_ik        for j <= i
///   o_i       = sum_j scores_ij v_j + sum_k q_ik (a_0k ... a_ik) S_k
///   S_k       = (a_0k ... a_nk) S_k + sum_j k_jk (a_(j+1)k ... a_nk) v_j
///
/// All products of decays are formed by multiplication, one token after the
/// other. They need no logarithm, no quotient and no exponential, so they are
/// as exact as in the sequential form and hold for every decay, be it zero,
/// negative or larger than one.
///
/// A decay that is the same for all keys makes a matrix of products. Otherwise
/// the chunk is split into blocks: within a block the products are formed for
/// each key; across blocks q carries the decays from the start of its block,
/// and k those up to the block before.
///
/// A write of several products, and erase terms, take a more general form with
/// short chunks: see ChunkTerms.cpp.
///
/// A unit of work is one batch row, one step of each further dimension that
/// state and output share, and a block of value lanes.
class ChunkLowering : BlockProducts {
public:
  ChunkLowering(RewriterBase &builder, ScanOp op, const VectorTarget &target);
  LogicalResult run();

private:
  using Factor = ProductTerms::Factor;
  struct Term : ProductTerms::Term {
    Term(const ProductTerms::Term &term) : ProductTerms::Term(term) {}
    Value rows;    ///< chunk x keys, unless there is a decay for each key
    Value columns; ///< keys x chunk, with a decay for each key
    Value decayedColumns; ///< keys x chunk, with a decay for each key
    Value values;         ///< chunk x lanes
    Value scales;         ///< chunk: what the time factors give
    Value scores;         ///< chunk x chunk: of the queries
  };
  struct ErasePair : ProductTerms::ErasePair {
    ErasePair(const ProductTerms::ErasePair &pair)
        : ProductTerms::ErasePair(pair) {}
    Value rows;                ///< chunk x keys
    Value scales;              ///< chunk: what the time factors give
    SmallVector<Value> scores; ///< chunk x chunk, for each term
  };

  /// Rows of the tokens of a chunk, and what they give with each term.
  struct ScoreRows {
    Value rows;             ///< chunk x keys
    ArrayRef<Value> scores; ///< chunk x chunk, for each term
    bool before;            ///< of the state before a token, not after it
  };

  // Analysis.
  bool chooseTerms();
  bool chooseSizes();
  int64_t getBestChunk();
  int64_t getScratchElements();
  int64_t getTermScratchElements();
  double getUnitTokenCost();

  // Schedule.
  void allocateScratch();
  void allocateTermScratch();
  void emitTask(Value begin, Value end);
  void emitUnit(Value unit);
  void emitChunk(RegionEmitter &coefficients, RegionEmitter &epilogue,
                 Value start);
  void emitCopy(RegionEmitter &coefficients, RegionEmitter &epilogue);

  // Between memory and scratch.
  /// Fetches one of `blocks` shares of the next chunk, that with `number`.
  void emitPrefetch(Value number, int64_t blocks);
  void emitBoundary(RegionEmitter &emitter, bool load);
  void forTokens(RegionEmitter &emitter, Block &body,
                 llvm::function_ref<void(RegionEmitter &, Value)> emit);
  void stage(RegionEmitter &emitter, unsigned dim, Value scratch, Value step,
             llvm::function_ref<Value(RegionEmitter &)> compute);
  /// Products of factors of time alone, and where they go.
  SmallVector<std::pair<ArrayRef<Factor>, Value>> getScales();
  void stageTimes(RegionEmitter &emitter);
  void stageWrite(RegionEmitter &emitter);
  void stageRead(RegionEmitter &emitter);
  void transposeKeys(Value columns);
  void fillTail(Value scratch, int64_t columns, double value);
  void emitOutputs(RegionEmitter &epilogue);
  void bindOutput(RegionEmitter &epilogue, Value value);
  Value getProduct(RegionEmitter &emitter, ArrayRef<Factor> factors);
  Value one(RegionEmitter &emitter);

  // Arithmetic on scratch memory.
  void emitDecayProducts();
  void emitScores();
  void scaleForState();
  void emitKeyDecayScores();
  void emitDiagonalBlock(Value first);
  void scaleQueriesInBlock(Value first);
  void emitScoresBefore(Value first);
  void scaleAcrossBlocks(Value first);
  void emitRead();
  void emitStateUpdate();
  Value getTotalDecay(Value key);
  SmallVector<Value> loadDecayed(Value row, int64_t rows, Value column,
                                 int64_t vectors);
  void storeBlock(ValueRange sums, Value into, Value row, Value column,
                  int64_t vectors);

  // Several terms.
  void emitTerms(RegionEmitter &coefficients, RegionEmitter &epilogue);
  void stageTerms(RegionEmitter &emitter);
  void emitDecaysBefore();
  void emitTermScores(ArrayRef<ScoreRows> sets);
  void emitTermKeyDecayScores(Value rows, Term &term, Value scores,
                              bool before);
  void scaleRows(Value rows, bool before);
  void decayRows();
  void emitRowProducts(Value a, Value b, Value products);
  int64_t getNumErasedTerms();
  // `fetch` is the number of the first share that is fetched meanwhile.
  SmallVector<Value> addState(ValueRange sums, Value rows, Value first,
                              Value column, int64_t vectors, Value fetch);
  SmallVector<Value> addTokens(ValueRange sums, Value scores, Value values,
                               Value first, Value column, int64_t vectors);
  void scaleSums(MutableArrayRef<Value> sums, Value first, int64_t vectors);
  Value getFetch(Value fetch, int64_t set, Value first, int64_t rows);
  void emitTermValues(Value column, int64_t vectors, Value fetch);
  void emitTermReads(Value column, int64_t vectors, Value fetch);
  void emitTermUpdate(Value column, int64_t vectors, Value fetch);

  /// Runs `emit` for each point of the output's dimensions that the state
  /// lacks.
  void
  forCopies(RegionEmitter &coefficients, RegionEmitter &epilogue,
            llvm::function_ref<void(RegionEmitter &, RegionEmitter &)> emit);
  /// Adds to each row of a block of scores times values those of the block's
  /// tokens up to its own.
  void accumulateTriangle(MutableArrayRef<Value> sums, int64_t rows,
                          int64_t vectors, Value first, Element score,
                          Element value);

  ScanOp op;
  CoefficientsOp roles;
  Block &coefficientsBody, &epilogueBody;
  unsigned numDims;

  unsigned lane = 0, key = 0;
  SmallVector<unsigned> outerDims, unitKeys, copyDims;
  int64_t lanes = 1, laneBlock = 1, keys = 1, paddedKeys = 1;
  int64_t copies = 1, chunk = 16, block = 16;
  bool keyDecay = false, negated = false;
  /// Of the write; those of time alone are shared by keys and lanes.
  SmallVector<Factor> timeFactors, laneFactors, keyFactors;
  /// Without pairs and with one term, the members above are all there is.
  SmallVector<Term> terms;
  SmallVector<ErasePair> pairs;
  /// Keys for which sums with the state are added between two fetches of shares
  /// of the next chunk.
  static constexpr int64_t fetchKeys = 32;
  bool hasTerms() const { return terms.size() > 1 || !pairs.empty(); }

  Value batches, tokens;
  RegionEmitter coefficientsBase, epilogueBase;
  Value state;       ///< keys x lanes
  Value values;      ///< chunk x lanes
  Value queries;     ///< chunk x keys; also keys before they are transposed
  Value keyColumns;  ///< keys x chunk
  Value scores;      ///< chunk x chunk
  Value reads;       ///< chunk x lanes
  Value scales;      ///< chunk: what the time factors give
  Value decays;      ///< chunk, or chunk x keys
  Value products;    ///< chunk x chunk: products of decays from column to row
  Value decayedKeys; ///< keys x chunk
  Value blockProduct, fullProduct; ///< of decays, for each key
  Value decaysBefore; ///< chunk + 1: products of decays, before each token
  /// Shares in which the next chunk is fetched.
  int64_t fetches = 0;

  SmallVector<Stream> streams;

  // Where the code being emitted is.
  const RegionEmitter *unitPoint = nullptr;
  Value firstLane, endLane; ///< of the unit
  Value start;              ///< steps before the chunk
  Value count, padded;      ///< tokens of the chunk; a multiple of 16
};

} // namespace ssmc::cpu

#endif // SSMC_TARGET_CPU_CHUNKLOWERING_H
