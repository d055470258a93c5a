//===- Sequence.cpp - Tokens of this call and of those before -------------===//

#include "Sequence.h"

using namespace mlir;
using namespace ssmc::detail;

static Value andOf(Loops &loops, Value left, Value right) {
  return arith::AndIOp::create(loops.builder, loops.loc, left, right);
}

/// Whether a document starts at a token of `(token, last]` of this call.
static Value isCut(Loops &loops, const Sequence &sequence, Value batch,
                   Value token, Value last) {
  Value begin = loops.max(loops.add(token, loops.index(1)), loops.index(0));
  Value no = arith::ConstantIntOp::create(loops.builder, loops.loc, 0, 1);
  return loops
      .reduce(begin, loops.add(last, loops.index(1)), no,
              [&](Value iv, ValueRange found) -> SmallVector<Value> {
                Value starts = loops.load(sequence.cut, {batch, iv});
                return {arith::OrIOp::create(loops.builder, loops.loc, found[0],
                                             starts)};
              })
      .front();
}

/// The history at a token before this call, a negative number.
static Value loadHistory(Loops &loops, const Sequence &sequence,
                         ArrayRef<Value> indices, Type type) {
  Value zero = loops.constant(type, 0.0);
  if (!sequence.history)
    return zero;
  SmallVector<Value> before(indices);
  before[1] = loops.add(indices[1], sequence.numTokens);
  if (!sequence.looksBehind)
    return loops.convert(loops.load(sequence.history, before), type);
  Value isKept = loops.less(loops.index(-1), before[1]);
  if (sequence.position) {
    Value token = loops.add(indices[1], sequence.position);
    isKept = andOf(loops, isKept, loops.less(loops.index(-1), token));
    before[1] = sequence.getPlace(loops, token);
  }
  return loops.loadIf(isKept, sequence.history, before, type,
                      [&] { return zero; });
}

Value ssmc::detail::loadToken(Loops &loops, const Sequence &sequence,
                              ArrayRef<Value> indices, Value at,
                              Type type) {
  Value token = indices[1];
  Value isBefore = loops.less(token, loops.index(0));
  Value isInside = arith::XOrIOp::create(
      loops.builder, loops.loc, isBefore,
      arith::ConstantIntOp::create(loops.builder, loops.loc, 1, 1));
  if (sequence.looksAhead)
    isInside = andOf(loops, isInside,
                     loops.less(token, loops.size(sequence.input, 1)));
  Value value =
      loops.loadIf(isInside, sequence.input, indices, type, [&]() -> Value {
        if (!sequence.looksAhead)
          return loadHistory(loops, sequence, indices, type);
        // After the end it is zero, and so are places that do not exist.
        auto earlier = scf::IfOp::create(loops.builder, loops.loc, type, isBefore,
                                         /*withElseRegion=*/true);
        OpBuilder::InsertionGuard guard(loops.builder);
        loops.builder.setInsertionPointToStart(earlier.thenBlock());
        scf::YieldOp::create(loops.builder, loops.loc,
                             loadHistory(loops, sequence, indices, type));
        loops.builder.setInsertionPointToStart(earlier.elseBlock());
        scf::YieldOp::create(loops.builder, loops.loc, loops.constant(type, 0.0));
        return earlier.getResult(0);
      });
  if (!sequence.cut)
    return value;
  if (!sequence.looksAhead)
    return loops.select(isCut(loops, sequence, indices[0], token, at),
                        loops.constant(type, 0.0), value);
  Value length = loops.size(sequence.input, 1);
  auto smaller = [&](Value left, Value right) {
    return loops.select(loops.less(left, right), left, right);
  };
  Value last = smaller(loops.max(token, at),
                       loops.sub(length, loops.index(1)));
  return loops.select(
      isCut(loops, sequence, indices[0], smaller(token, at), last),
      loops.constant(type, 0.0), value);
}

SmallVector<Value> ssmc::detail::getSizes(Loops &loops, Value memref) {
  SmallVector<Value> sizes;
  int64_t rank = cast<MemRefType>(memref.getType()).getRank();
  for (int64_t dim = 0; dim < rank; ++dim)
    sizes.push_back(loops.size(memref, dim));
  return sizes;
}

void ssmc::detail::writeFinalHistory(Loops &loops, const Sequence &sequence,
                                     Value finalHistory) {
  Type type = getElementTypeOrSelf(finalHistory);
  SmallVector<Value> sizes = getSizes(loops, finalHistory);
  sizes[1] = sequence.numTokens;
  SmallVector<Value> point(sizes.size());
  auto dims = llvm::to_vector(llvm::seq<unsigned>(0, sizes.size()));
  Value length = loops.size(sequence.input, 1);
  Value last = loops.sub(length, loops.index(1));
  if (!sequence.position) {
    // Tokens innermost, so that every other point is shifted on its own.
    std::rotate(dims.begin() + 1, dims.begin() + 2, dims.end());
    return loops.each(ArrayRef(dims).drop_back(), sizes, point, [&] {
      loops.repeat(ArrayRef(dims).take_back(), sizes, point, [&] {
        SmallVector<Value> from(point);
        from[1] = loops.sub(loops.add(length, point[1]), sequence.numTokens);
        loops.store(loadToken(loops, sequence, from, last, type), finalHistory,
                    point);
      });
    });
  }
  if (finalHistory == sequence.history && !sequence.cut) {
    // A ring in place: the new tokens are put into it.
    Value skipped = loops.max(loops.sub(length, sequence.numTokens),
                              loops.index(0));
    sizes[1] = loops.sub(length, skipped);
    return loops.each(dims, sizes, point, [&] {
      SmallVector<Value> from(point), to(point);
      from[1] = loops.add(point[1], skipped);
      to[1] = sequence.getPlace(loops, loops.add(sequence.position, from[1]));
      loops.store(loops.convert(loops.load(sequence.input, from), type),
                  finalHistory, to);
    });
  }
  // The latest token whose place in the ring is this one.
  Value newest = loops.add(sequence.position, last);
  loops.each(dims, sizes, point, [&] {
    SmallVector<Value> from(point);
    Value behind = loops.sub(loops.add(newest, sequence.numTokens), point[1]);
    from[1] = loops.sub(last, sequence.getPlace(loops, behind));
    loops.store(loadToken(loops, sequence, from, last, type), finalHistory,
                point);
  });
}
