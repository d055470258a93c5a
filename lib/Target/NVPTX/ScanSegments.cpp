//===- ScanSegments.cpp - A recurrence with a warp a segment of time ------===//
//
// Few lanes leave most of a GPU idle. Then a block has the same lanes in each of its
// warps, and each warp a segment of the tokens. A first pass finds what every segment
// makes of a state, its product of decays and the state it ends with from zero; from warp
// to warp a state goes through shared memory; a second pass runs each segment from the
// state that it starts with. How many segments there are follows from shapes alone.
//
//===----------------------------------------------------------------------===//

#include "Target/NVPTX/Launch.h"
#include "Target/NVPTX/ScanKernel.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc::nvptx;

bool ScanKernel::hasSegments() {
  // What is erased mixes keys: the effect on a state is a matrix. A reset also clears
  // infinities and NaN, which a product with 0 does not.
  return isCooperative && roles.getErase().empty() && !roles.getReset() && !op.getDense() &&
         !roles.getDecay().empty();
}

std::optional<std::pair<Value, Value>> ScanKernel::getExponent() {
  if (width != 1)
    return std::nullopt;
  auto power = roles.getDecay().front().getDefiningOp<math::Exp2Op>();
  auto product = power ? power.getOperand().getDefiningOp<arith::MulFOp>() : nullptr;
  if (!product)
    return std::nullopt;
  for (auto [moving, fixed] : {std::pair(product.getLhs(), product.getRhs()),
                               std::pair(product.getRhs(), product.getLhs())})
    if (!dependsOn(op, moving, innerDims) && !dependsOn(op, fixed, {1}))
      return std::pair(moving, fixed);
  return std::nullopt;
}

SmallVector<Value> ScanKernel::firstProducts() {
  if (getExponent())
    return {loops.constant(type, 0.0)};
  SmallVector<Value> ones;
  for (int64_t i = 0; i < numInner; ++i)
    for (unsigned part = 0; part < width; ++part)
      ones.push_back(loops.constant(type, part == 0 ? 1.0 : 0.0));
  return ones;
}

SmallVector<Value> ScanKernel::updateProducts(ArrayRef<Value> products, int64_t step) {
  if (auto exponent = getExponent())
    return {loops.add(products.front(), evaluate(exponent->first, step).front())};
  SmallVector<Value> after;
  for (int64_t i = 0; i < numInner; ++i) {
    moveTo(innerDims, i);
    after.append(multiply(evaluate(roles.getDecay(), step), stateAt(products, i)));
  }
  return after;
}

SmallVector<Value> ScanKernel::finishProducts(ArrayRef<Value> products) {
  auto exponent = getExponent();
  if (!exponent)
    return SmallVector<Value>(products);
  loaded.clear();
  SmallVector<Value> powers;
  for (int64_t i = 0; i < numInner; ++i) {
    moveTo(innerDims, i);
    Value power = loops.mul(products.front(), evaluate(exponent->second, 0).front());
    powers.push_back(
        math::Exp2Op::create(loops.builder, loops.loc, power, arith::FastMathFlags::afn));
  }
  return powers;
}

SmallVector<Value> ScanKernel::carry(Value buffer, Value column, Value segment,
                                     Value segments, ArrayRef<Value> ends) {
  OpBuilder &b = loops.builder;
  Location loc = loops.loc;
  int64_t count = numInner * width;
  auto equals = [&](Value value, Value other) -> Value {
    return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, value, other);
  };
  auto storeAll = [&](ArrayRef<Value> states) {
    for (auto [i, state] : llvm::enumerate(states))
      loops.store(state, buffer, {loops.index(int64_t(i)), column});
  };
  auto first = scf::IfOp::create(b, loc, equals(segment, loops.index(0)), false);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(first.thenBlock());
    storeAll(loadInitial());
  }
  SmallVector<Value> none(count, loops.constant(type, 0.0));
  return loops.reduce(loops.index(0), segments, none, [&](Value turn, ValueRange before) {
    gpu::BarrierOp::create(b, loc);
    auto mine = scf::IfOp::create(b, loc, before.getTypes(), equals(turn, segment), true);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(mine.elseBlock());
    scf::YieldOp::create(b, loc, before);
    b.setInsertionPointToStart(mine.thenBlock());
    SmallVector<Value> start, next;
    for (int64_t i = 0; i < count; ++i)
      start.push_back(loops.load(buffer, {loops.index(i), column}));
    ArrayRef<Value> states = ends.take_front(count), products = ends.drop_front(count);
    for (int64_t i = 0; i < numInner; ++i)
      next.append(add(multiply(stateAt(products, i), stateAt(start, i)), stateAt(states, i)));
    storeAll(next);
    scf::YieldOp::create(b, loc, start);
    return SmallVector<Value>(mine.getResults());
  });
}

void ScanKernel::runSegments(Value segments) {
  bindOp();
  isCut = true;
  OpBuilder &b = loops.builder;
  Location loc = loops.loc;
  SmallVector<Value> extents = threadSizes();
  Value threads = loops.index(1), one = loops.index(1), warp = loops.index(kWarp);
  for (Value extent : extents)
    threads = loops.mul(threads, extent);
  OpBuilder::InsertionGuard guard(b);
  Value blocks = arith::CeilDivUIOp::create(b, loc, threads, warp);
  gpu::LaunchOp launch = startLaunch(b, loc, blocks, one, kMaxSegments * kWarp,
                                     sharedType({numInner * width, kWarp}, type),
                                     loops.mul(segments, warp));
  Value segment = arith::DivUIOp::create(b, loc, launch.getThreadIds().x, warp);
  Value column = arith::RemUIOp::create(b, loc, launch.getThreadIds().x, warp);
  // All threads come to the barriers: those that the last lanes leave over do what the
  // neighbours in their warp do for the last one.
  Value number = loops.add(loops.mul(launch.getBlockIds().x, warp), column);
  Value beyond = loops.sub(number, threads), sharing = loops.index(numSharing);
  Value again = loops.add(loops.sub(threads, sharing),
                          arith::RemUIOp::create(b, loc, beyond, sharing));
  Value rest = loops.select(loops.less(number, threads), number, again);
  bindNumber(rest);
  loadInvariants();

  Value length = arith::CeilDivUIOp::create(b, loc, sizes[1], segments);
  auto inSequence = [&](Value time) -> Value {
    return arith::MinSIOp::create(b, loc, time, sizes[1]);
  };
  Value begin = inSequence(loops.mul(segment, length));
  Value end = inSequence(loops.add(begin, length));
  // Nobody asks what the last segment ends with.
  Value isLast = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, segment,
                                       loops.sub(segments, one));
  SmallVector<Value> ends;
  for (int64_t i = 0; i < numInner; ++i)
    ends.append(zero());
  ends.append(firstProducts());
  findsEnds = true;
  ends = runTokens(begin, loops.select(isLast, begin, end), ends);
  findsEnds = false;
  SmallVector<Value> products =
      finishProducts(ArrayRef(ends).drop_front(numInner * width));
  ends.truncate(numInner * width);
  ends.append(products);
  SmallVector<Value> states =
      carry(launch.getWorkgroupAttributions()[0], column, segment, segments, ends);
  states = runTokens(begin, end, states);
  auto finish = scf::IfOp::create(b, loc, isLast, false);
  b.setInsertionPointToStart(finish.thenBlock());
  storeFinal(states);
}
