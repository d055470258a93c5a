//===- ScanKernel.h - The code of a thread of a recurrence -----*- C++ -*-===//

#ifndef SSMC_LIB_TARGET_NVPTX_SCANKERNEL_H
#define SSMC_LIB_TARGET_NVPTX_SCANKERNEL_H

#include "Target/NVPTX/Launch.h"
#include "Conversion/SSMToSCF/Loops.h"
#include "ssm/IR/SSM.h"
#include "llvm/ADT/DenseMap.h"

namespace ssmc::nvptx {
using mlir::AffineMap;
using mlir::ArrayRef;
using mlir::OpBuilder;
using mlir::SmallVector;
using mlir::Type;
using mlir::Value;
using mlir::ValueRange;
using mlir::ssm::CoefficientsOp;
using mlir::ssm::MatmulOp;
using mlir::ssm::ScanOp;
using ssmc::detail::Loops;

/// Threads that can share a lane.
constexpr int64_t kWarp = 32;

/// One part of a real, two of a complex number.
using Parts = SmallVector<Value>;

/// Of an element of `memref`.
int64_t bytesOf(Value memref);

/// Whether a value of the coefficients reads an operand that runs over one of `dims`.
bool dependsOn(ScanOp op, Value value, ArrayRef<unsigned> dims);

/// Emits the loops of one recurrence.
class ScanKernel {
public:
  /// `maxStates`: where cooperative threads can share a lane, each has not more
  /// states than that, if there are threads enough. `isStep`: for `runStep`.
  ScanKernel(ScanOp op, OpBuilder &builder, bool isCooperative,
             int64_t maxStates, bool readsVectors, bool isStep = false)
      : op(op), isCooperative(isCooperative), maxStates(maxStates),
        readsVectors(readsVectors), isStep(isStep), loops(builder, op.getLoc()),
        roles(op.getCoefficientsOp()), width(op.getNumStates()), type(op.getStateType()),
        point(op.getNumDims()), sizes(op.getNumDims()) {}

  /// Whether the states fit.
  bool fits();
  void run();
  /// The recurrence of a single token, for many lanes.
  void runSingle();
  /// The same for few lanes, of which `small`, if it is not null,
  /// computes an operand: every thread its share of the lane's sum.
  void runStep(MatmulOp small);
  bool canMultiply(MatmulOp product);
  /// States of a thread with which that pays; no states: it does not.
  static int64_t getStepStates(ScanOp op);
  /// The same with the tokens in segments, a warp each; the warps of a block have the
  /// same lanes. `segments` is at most kMaxSegments.
  void runSegments(Value segments);
  /// Whether what a segment makes of a state is a product and a sum.
  bool hasSegments();
  static constexpr int64_t kMaxSegments = 16;

  /// Finds what a warp can copy to shared memory, some blocks of tokens ahead; whether there
  /// is anything. `isDeep`: for few warps, which have to copy more each.
  bool findStaged(bool isDeep);
  /// The recurrence with warps on their own, which copy ahead; in deep rings alone, or as the
  /// number of warps asks for.
  void runStaged();
  void emitStaged(bool isDeep);
  /// Tokens that are copied together.
  int64_t getRingTokens() const { return ringTokens; }
  /// Whether all rows that are staged are of 16-bit numbers.
  bool hasNarrowRows();

  /// Whether neighbouring keys can be read together, and, on the host, whether memory is
  /// aligned for that, or for copies.
  bool hasVectors();
  Value isAligned();
  /// Segments that a call's shapes ask for, on the host; 1 where time stays whole.
  Value chooseSegments();
  /// Threads that share a lane; 1 if each has its own.
  int64_t getNumSharing() const { return numSharing; }
  /// Number of lanes in all rows of the batch.
  Value getNumLanes();
  /// Warps of all lanes.
  Value getNumWarps();

private:
  /// A place in the static dimensions that a thread runs over: keys (and the
  /// target of a matrix), and dimensions of the output that the lanes lack.
  using Place = SmallVector<int64_t>;

  /// Number of places of a thread; negative if it is not known.
  int64_t extentOf(ArrayRef<unsigned> dims);
  /// Places of a thread in a dimension.
  int64_t sizeOf(unsigned dim) {
    return op.getDimSize(dim) / (split == dim ? numSharing : 1);
  }
  /// Shares the last key among threads so that each has few states.
  void shareKeys();
  /// Calls `visit` for all memory that is read or written, but for the outputs.
  void forMemory(llvm::function_ref<void(Value, AffineMap)> visit);
  /// Chooses which keys of a thread are neighbours.
  void groupKeys();
  /// Binds dimensions of the point to a thread's numbers in the grid.
  void bindThread(ValueRange indices);
  SmallVector<Value> threadSizes();
  /// Goes on in a kernel with a thread for each point of `extents`.
  void startThreads(ArrayRef<Value> extents);
  void bindOp();
  /// Loads what does not change with time, as long as there are registers, of
  /// the operands that are wanted.
  void loadInvariants(llvm::function_ref<bool(Value)> isWanted = nullptr);
  /// Numbers that follow each other in a row of the product's operands, which a
  /// thread reads together.
  int64_t numbersTogether(MatmulOp product);
  void prefetchStates();
  void loadProductWeights();
  void loadProductTokens();
  /// The product at the lane, of what is loaded.
  Value multiplyLane();
  bool isMultiplied(Value operand) {
    return product && operand == product.getOutput();
  }
  SmallVector<Value> loadInitial();
  void storeFinal(ArrayRef<Value> states);
  /// A single token where threads that share lanes share as many as they are; whether they
  /// can.
  void runOwnLanes();
  bool hasOwnLanes();
  void emitOwnLanes(Value buffer, Value thread);
  /// Copies the states of a lane, the `lane`th of this thread's own, to shared memory ahead,
  /// as a group of copies; the states of one that is there.
  void copyInitial(Value buffer, Value thread, int64_t lane);
  SmallVector<Value> loadCopied(Value buffer, Value thread, int64_t lane);
  /// The states after the tokens from `begin` to before `end` of the order.
  SmallVector<Value> runTokens(Value begin, Value end, ArrayRef<Value> states);
  /// The states that a segment starts from, given those it ends with from zero and the
  /// products of its decays.
  SmallVector<Value> carry(Value buffer, Value column, Value segment, Value segments,
                           ArrayRef<Value> ends);

  /// An operand of which a warp copies the rows of tokens: its lanes', or those of all keys.
  struct Staged {
    Value memref;
    AffineMap map;
    unsigned dim;    ///< along which a row goes
    int64_t columns; ///< elements of a row
    int64_t piece;   ///< bytes that a thread copies at once
    bool isWidened;  ///< once for all lanes
    /// In shared memory: stages x tokens x columns, and tokens x columns of f32.
    Value ring, wide;
  };
  const Staged *getStaged(Value operand, AffineMap map) const;
  /// Whether a row of `memref` has what a warp reads of a token; then it is staged.
  void stage(Value memref, AffineMap map, mlir::BlockArgument argument);
  SmallVector<Value> loadStaged(const Staged &source, int64_t step, int64_t count);
  /// Lanes of a warp, and which of them is this thread's.
  int64_t getWarpLanes() const { return kWarp / numSharing; }
  Value getLaneOfWarp();
  /// The first blocks' copies, of the tokens before `end`.
  void startCopies(Value end);
  /// Waits for the rows of the block at `time`, and copies those of a later one.
  void goOnCopying(Value time, Value end);
  void copyRows(Value time, Value stage);
  void widenRows();
  void syncWarp();
  /// Calls `visit` for numbers from this thread's on, a warp's width apart, up to `count`.
  void shareAmongWarp(int64_t count, llvm::function_ref<void(Value)> visit);
  /// Tokens of a block.
  int64_t getBlockTokens();
  /// The time of a token of the order.
  Value timeAt(Value token);
  /// Binds a thread by its number among all of them, or among those of `extents`.
  void bindNumber(Value number) { bindNumber(number, threadSizes()); }
  void bindNumber(Value number, ArrayRef<Value> extents);

  /// The sum over the threads that share a lane.
  void sumOverThreads(Parts &sum);
  /// The sums over those threads of as many things: each thread gets that of its own.
  Parts sumOwn(ArrayRef<Parts> sums);
  /// Sets `dims` of the point to the place number `index`.
  void moveTo(ArrayRef<unsigned> dims, int64_t index);
  /// Place number `index` of this thread in a dimension: of the lane.
  Value positionOf(unsigned dim, int64_t index);
  bool isInner(AffineMap map);
  /// Neighbouring elements of `memref` that a thread reads at once; 1: each alone.
  int64_t vectorWidth(Value memref, AffineMap map);
  /// Those around the point; it is at number `at[lastKey] % width` of them.
  SmallVector<Value> loadVector(Value memref, AffineMap map, int64_t width);
  /// `operand` at the point, loaded once for each place and token on which it
  /// depends.
  Value load(Value operand, AffineMap map, int64_t step);
  SmallVector<Value> evaluate(ValueRange values, int64_t step);
  Parts multiply(ValueRange left, ValueRange right) {
    return loops.mulNumbers(left, right);
  }
  Parts add(ValueRange left, ValueRange right) {
    return loops.addNumbers(left, right);
  }
  Parts zero() { return Parts(width, loops.constant(type, 0.0)); }
  Parts stateAt(ArrayRef<Value> states, int64_t index) {
    return Parts(states.slice(index * width, width));
  }
  /// Number of the inner place at which `dims` are as in the point.
  int64_t placeOf(ArrayRef<unsigned> dims, ArrayRef<int64_t> at);

  /// The states after the tokens `first`, ..., `first` + `count` - 1 of the
  /// order.
  SmallVector<Value> emitBlock(Value first, int64_t count, ValueRange states);
  /// Loads what the token `step` needs beside what every key shares.
  void loadKeyed(int64_t step);
  /// Whether operands over keys take so many registers that there are none to load ahead: in
  /// blocks of all the warps that time is cut for, which share lanes.
  bool lacksRegisters();
  /// Loads `operand` at all places of the thread on which it depends.
  void loadAll(Value operand, AffineMap map, int64_t step);
  /// Calls `visit` for every operand that changes with time, its map and, in
  /// dimensions of the thread's places, its number of places.
  void forOperands(
      llvm::function_ref<void(Value, AffineMap, ArrayRef<unsigned>)> visit);
  /// Asks for the cache lines of the token at `time`, a later one, of
  /// `operand`.
  void prefetch(Value operand, AffineMap map, ArrayRef<unsigned> dims,
                Value time);
  SmallVector<Value> update(ArrayRef<Value> states, int64_t step);
  /// Computes the decays and writes of the token `step` before the states are there: what a
  /// thread with few states does of one token is too little to hide what it waits for.
  void evaluateEarly(int64_t step);
  /// Tokens whose decays and writes are computed early.
  int64_t getEarlyTokens();
  /// The decay or write at the point, the place `place` of the thread.
  SmallVector<Value> evaluateOnce(ValueRange values, int64_t place, int64_t step);
  /// Where only what a segment ends with is wanted: the products after a token. Of
  /// powers of two whose exponents all keys share, but for a factor that stays, they are
  /// the sum of what is shared.
  SmallVector<Value> updateProducts(ArrayRef<Value> products, int64_t step);
  SmallVector<Value> firstProducts();
  SmallVector<Value> finishProducts(ArrayRef<Value> products);
  /// The two factors of such an exponent; none if it is anything else.
  std::optional<std::pair<Value, Value>> getExponent();
  /// Whether threads that share a lane store the outputs of a block at its end,
  /// a token each. That takes the sums out of the chain of tokens, which pays
  /// where nothing else is summed in it and a thread has states enough to hide
  /// the loads.
  bool defersOutputs() {
    return split && roles.getErase().empty() && maxStates > 1;
  }
  /// What the output number `place` reads of the states of this thread.
  Parts read(ArrayRef<Value> states, int64_t place, int64_t step);
  /// Stores the output `place` of the token of the point.
  void write(const Parts &sum, int64_t place, int64_t step);
  /// Stores the outputs of up to as many tokens as threads share a lane, the `round`th so
  /// many of a block, from each thread's part of the `sums`: each takes a token of its own.
  void writeShared(ArrayRef<Parts> sums, int64_t round);

  ScanOp op;
  bool isCooperative;
  int64_t maxStates;
  bool readsVectors;
  /// Of a single token: `runStep`.
  bool isStep;
  /// The first of the two passes over a segment: products of decays after the states,
  /// and no outputs.
  bool findsEnds = false;
  /// Whether time is in segments, or a single token.
  bool isCut = false, isSingle = false;
  /// Neighbouring lanes of a thread, which `load` numbers as tokens.
  int64_t ownLanes = 1;
  /// Whether rows of tokens are copied ahead, and whether this block's are read: from which
  /// stage, and which thread of its warp this is.
  bool copiesAhead = false, readsStaged = false;
  Value slot, column;
  SmallVector<Staged> staged;
  int64_t ringTokens = 0, numStages = 0;
  Loops loops;
  CoefficientsOp roles;
  unsigned width;
  Type type;
  SmallVector<Value> point, sizes;
  /// Tokens of the block, and those whose outputs this thread stores where
  /// several share a lane.
  SmallVector<Value> times, ownTimes;
  /// Numbers such tokens for `load`.
  static constexpr int64_t kOwnStep = 1 << 20;
  /// Dimensions beyond the batch: of threads, of a thread's states, of its
  /// outputs.
  SmallVector<unsigned> laneDims, innerDims, outputDims;
  int64_t numInner = 1, numOutputs = 1;
  /// The key that threads share, how many do, and which of them this is.
  std::optional<unsigned> split;
  int64_t numSharing = 1;
  Value rank;
  /// The key along which neighbours are read together, and how many of a thread's are
  /// neighbours.
  std::optional<unsigned> lastKey;
  int64_t group = 1;
  /// A number that differs among neighbouring threads.
  Value thread;
  /// Where the static dimensions of the point are, by dimension.
  llvm::DenseMap<unsigned, int64_t> at;
  using Key =
      std::pair<std::pair<Value, AffineMap>, std::pair<int64_t, int64_t>>;
  llvm::DenseMap<Key, Value> loaded, invariants;
  /// Decays and writes that are computed early, by the first value of their role, place and
  /// token.
  llvm::DenseMap<std::pair<Value, std::pair<int64_t, int64_t>>, SmallVector<Value>> early;
  /// The product that this kernel computes, what the thread has of its
  /// operands, and its value at the lane once that is needed.
  MatmulOp product;
  SmallVector<Value> productWeights, productTokens;
  Value laneProduct;
};

} // namespace ssmc::nvptx

#endif // SSMC_LIB_TARGET_NVPTX_SCANKERNEL_H
