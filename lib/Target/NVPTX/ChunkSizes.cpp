//===- ChunkSizes.cpp - Sizes and shared memory of chunks on tensor cores -===//

#include "Target/NVPTX/ChunkKernel.h"
#include "Target/NVPTX/Launch.h"
#include "Target/NVPTX/Passes.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc;
using namespace ssmc::nvptx;

namespace {
/// Keys whose states fit into the registers of a thread.
constexpr int64_t kMaxKeys = 256;
/// Elements after each row of a matrix, so that eight rows lie in different banks.
constexpr int64_t kRowPadding = 8;
/// With up to so many keys a multiprocessor can hold several blocks, or larger ones.
constexpr int64_t kFewKeys = 128;
} // namespace

ChunkKernel::ChunkKernel(ScanOp op, OpBuilder &builder, int64_t terms, int64_t sharedBytes,
                         bool readsVectors, bool maySpread)
    : KernelEmitter(builder, op.getLoc()), op(op), cores(loops, terms),
      roles(op.getCoefficientsOp()), f32(builder.getF32Type()), terms(terms),
      sharedBytes(sharedBytes), readsVectors(readsVectors), maySpread(maySpread),
      point(op.getNumDims()), sizes(op.getNumDims()) {}

bool ChunkKernel::fits() {
  if (!op.hasPureBufferSemantics())
    return false;
  for (Value operand : op->getOperands())
    if (getElementTypeOrSelf(operand.getType()).isF64())
      return false;
  for (Region *region : {&op.getCoefficients(), &op.getEpilogue()})
    for (Operation &inner : region->front())
      if (inner.getNumRegions())
        return false;
  std::optional<ProductTerms> found = ProductTerms::get(op);
  if (!found || !found->copyDims.empty() || found->pairs.size() > 1)
    return false;
  products = std::move(*found);
  keys = op.getDimSize(products.key);
  lanes = op.getDimSize(products.lane);
  paddedKeys = llvm::alignTo(keys, kChunk);
  if (paddedKeys > kMaxKeys)
    return false;

  Row read;
  read.factors.push_back({roles.getRead()[0], false});
  rows.push_back(std::move(read));
  for (ProductTerms::ErasePair &pair : products.pairs) {
    Row row;
    row.isBefore = true;
    eraseTime = pair.time;
    isEraseNegative =
        ProductTerms::splitKeys(op, {{pair.left, false}}, eraseTime, row.factors) !=
        pair.negated;
    for (auto [number, term] : llvm::enumerate(products.terms))
      if (!products.keyDecay && ProductTerms::areSameFactors(term.key, row.factors))
        row.term = number;
    rows.push_back(std::move(row));
  }
  hasLaneVectors = storesLaneVectors();
  for (ProductTerms::Term &term : products.terms)
    hasLaneVectors |= findLaneVectors(term).has_value();
  return chooseGroup();
}

/// Multiples of a vector, of all buffers.
static int64_t bytesOf(ArrayRef<MemRefType> buffers) {
  int64_t bytes = 0;
  for (MemRefType type : buffers)
    bytes += llvm::alignTo(type.getNumElements() * type.getElementTypeBitWidth() / 8,
                           kVectorBytes);
  return bytes;
}

int64_t ChunkKernel::getSharedBytes(int64_t tokens, int64_t numStages) {
  group = tokens;
  stages = numStages;
  return bytesOf(getBuffers());
}

size_t ChunkKernel::numAskedFor() {
  SmallVector<MemRefType> buffers = getBuffers();
  if (bytesOf(buffers) <= kSharedBytes)
    return 0;
  return llvm::count_if(
      buffers, [](MemRefType type) { return type.getElementType().isBF16(); });
}

/// Memory of `buffers`, one after the other, which the launch asks for.
SmallVector<Value> ChunkKernel::askFor(gpu::LaunchOp launch,
                                       ArrayRef<MemRefType> buffers) {
  SmallVector<Value> views;
  if (buffers.empty())
    return views;
  OpBuilder &b = loops.builder;
  launch->setAttr(kSharedBytesAttr, b.getI64IntegerAttr(bytesOf(buffers)));
  Value memory = gpu::DynamicSharedMemoryOp::create(
      b, loops.loc, sharedType({ShapedType::kDynamic}, b.getI8Type()));
  for (auto [number, type] : llvm::enumerate(buffers))
    views.push_back(memref::ViewOp::create(
        b, loops.loc, type, memory, loops.index(bytesOf(buffers.take_front(number))),
        ValueRange()));
  return views;
}

bool ChunkKernel::hasFewKeys() { return paddedKeys <= kFewKeys; }

/// Whether two neighbours in the last independent dimension have the same keys.
bool ChunkKernel::canShareKeys() {
  if (products.outerDims.empty() || op.getDimSize(products.outerDims.back()) % 2)
    return false;
  unsigned dim = products.outerDims.back();
  bool areShared = true;
  forMatrices([&](const Factors &factors, const SharedMatrix &, bool) {
    for (unsigned argument : findArguments(factors))
      areShared &= isSameFor(op.getInsMap(argument), dim, /*count=*/2);
  });
  return areShared;
}

/// Two stages where there is room, and then more warps that multiply what is
/// staged: of twice as many lanes, or of two heads, if blocks are many. One
/// product waits for another with an erase pair, so that more blocks are better.
bool ChunkKernel::chooseGroup() {
  if (products.pairs.empty() && hasFewKeys()) {
    bool hasWideTile = lanes > getTileLanes();
    tileWarps = hasWideTile ? 2 * kWarps : kWarps;
    heads =
        !hasWideTile && !products.keyDecay && !maySpread && canShareKeys() ? 2 : 1;
    if (heads * tileWarps > kWarps && chooseGroup(/*numStages=*/2))
      return true;
  }
  heads = 1;
  tileWarps = kWarps;
  return chooseGroup(/*numStages=*/2) || chooseGroup(/*numStages=*/1);
}

/// As many chunks as warps that stage, or fewer where memory is short.
bool ChunkKernel::chooseGroup(int64_t numStages) {
  // A warp stages a chunk: of one chunk alone, others would wait for it.
  int64_t fewest = numStages > 1 ? 2 * kChunk : kChunk;
  int64_t bytes = products.pairs.empty() ? kSharedBytes : sharedBytes;
  for (int64_t tokens = kWarps * kChunk / heads; tokens >= fewest; tokens /= 2)
    if (getSharedBytes(tokens, numStages) <= bytes)
      return true;
  return false;
}

SmallVector<MemRefType> ChunkKernel::getBuffers() {
  Type bf16 = loops.builder.getBF16Type();
  SmallVector<MemRefType> buffers;
  auto add = [&](ArrayRef<int64_t> shape, Type type) {
    buffers.push_back(sharedType(shape, type));
  };
  for (size_t i = 0; i < products.terms.size(); ++i)
    add({stages, terms, group, paddedKeys + kRowPadding}, bf16);
  for (Row &row : rows)
    if (!row.term)
      add({stages, terms, group, paddedKeys + kRowPadding}, bf16);
  int64_t tokens = heads * group, chunks = heads * numChunks();
  add({stages, terms, getNumScores(), tokens, kScoreStride}, bf16);
  if (hasTokenDecay()) {
    add({stages, tokens}, f32);
    add({stages, tokens}, f32);
    add({stages, chunks}, f32);
    add({chunks, kChunk + 1, kDecayStride}, f32);
  }
  if (hasTimeFactors())
    add({stages, int64_t(products.terms.size()), tokens}, f32);
  if (products.keyDecay) {
    add({stages, numChunks(), paddedKeys}, f32);
    add({numChunks(), paddedKeys}, f32);
    add({numChunks()}, loops.builder.getI32Type());
  }
  if (!products.pairs.empty()) {
    add({stages, group}, f32);
    add({group}, f32);
    add({numChunks(), kChunk, kChunk}, f32);
  }
  return buffers;
}

/// Names what getBuffers lists, in its order.
void ChunkKernel::allocate(ValueRange buffers) {
  OpBuilder &b = loops.builder;
  auto next = [&] {
    Value buffer = buffers.front();
    buffers = buffers.drop_front();
    return buffer;
  };
  auto matrix = [&](int64_t rows, int64_t stride) {
    matrixAddresses.push_back(
        memref::ExtractAlignedPointerAsIndexOp::create(b, loops.loc, next()));
    return SharedMatrix{Value(), rows, stride};
  };
  for (size_t i = 0; i < products.terms.size(); ++i)
    keyMatrices.push_back(matrix(group, paddedKeys + kRowPadding));
  for (Row &row : rows)
    if (!row.term)
      row.matrix = matrix(group, paddedKeys + kRowPadding);
  scores = matrix(getNumScores() * heads * group, kScoreStride);
  if (hasTokenDecay()) {
    prefixes = next();
    suffixes = next();
    totals = next();
    withinChunk = next();
  }
  if (hasTimeFactors())
    timeScales = next();
  if (products.keyDecay) {
    totals = next();
    inverseTotals = next();
    isExtreme = next();
  }
  if (!products.pairs.empty()) {
    erasePrefixes = next();
    eraseScales = next();
    triangle = next();
  }
}

void ChunkKernel::bindStage(Value number) {
  OpBuilder &b = loops.builder;
  stage = number;
  ArrayRef<Value> addresses = matrixAddresses;
  auto bind = [&](SharedMatrix &matrix) {
    int64_t bytes = terms * matrix.rows * matrix.stride * int64_t(sizeof(uint16_t));
    Value address = loops.add(addresses.front(), times(stage, bytes));
    addresses = addresses.drop_front();
    address = arith::IndexCastOp::create(b, loops.loc, b.getI64Type(), address);
    auto type = LLVM::LLVMPointerType::get(b.getContext(),
                                           unsigned(NVVM::NVVMMemorySpace::Shared));
    matrix.pointer = LLVM::IntToPtrOp::create(b, loops.loc, type, address);
  };
  for (SharedMatrix &matrix : keyMatrices)
    bind(matrix);
  for (Row &row : rows)
    if (row.term)
      row.matrix = keyMatrices[*row.term];
    else
      bind(row.matrix);
  bind(scores);
}
