//===- Points.cpp - Points of a loop that one thread takes ----------------===//

#include "Target/NVPTX/Points.h"

#include "Target/NVPTX/Launch.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Interfaces/LoopLikeInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace ssmc;
using namespace ssmc::nvptx;

/// Groups of a thread, and threads of a warp.
static constexpr int64_t kGroups = 4, kWarp = 32;
/// Bytes of a group of the narrowest numbers, which a thread loads and stores at once, and of
/// one number where it does so.
static constexpr int64_t kGroupBytes = 8, kNarrow = 2;
/// Ops of a point where a thread takes several groups: more hide the latency of loads
/// themselves.
static constexpr int64_t kMaxOps = 128;

namespace {
/// An access to one element.
struct Access {
  explicit Access(Operation *op) {
    if (auto load = dyn_cast<memref::LoadOp>(op)) {
      memref = load.getMemRef();
      indices = load.getIndices();
    } else if (auto store = dyn_cast<memref::StoreOp>(op)) {
      memref = store.getMemRef();
      indices = store.getIndices();
    }
  }

  /// Whether those of `together` neighbours of `point`, the first at a multiple of that, are
  /// to neighbouring elements.
  bool isNeighbouring(Value point, int64_t together,
                      function_ref<bool(Value)> depends) const;
  int64_t getBytes() const {
    return cast<MemRefType>(memref.getType()).getElementTypeBitWidth() / 8;
  }

  Value memref; ///< null: the op is no such access
  ValueRange indices;
};

/// Code of one point that becomes that of all points of a thread.
class Spreader {
public:
  Spreader(ArrayRef<Value> values, const Points &points)
      : points(points), point(values.front()), mappings(values.size() - 1) {
    map(point, values);
  }

  /// From `op` on to the end of its block.
  void spread(Operation *op);

private:
  /// `values` of the points stand for `value` of the first one's code.
  void map(Value value, ArrayRef<Value> values) {
    for (auto [mapping, other] : llvm::zip_equal(mappings, values.drop_front()))
      mapping.map(value, other);
  }
  /// What stands for `value` at the point `number`.
  Value get(Value value, int64_t number) const {
    return number ? mappings[number - 1].lookupOrDefault(value) : value;
  }
  bool depends(Value value) const { return mappings.front().contains(value); }
  bool depends(Operation *op) const;
  void loadTogether(memref::LoadOp load);
  void storeTogether(memref::StoreOp store);

  Points points;
  Value point;
  SmallVector<IRMapping> mappings; ///< of the points but the first
};
} // namespace

bool Access::isNeighbouring(Value point, int64_t together,
                            function_ref<bool(Value)> depends) const {
  if (!memref || indices.empty() || indices.back() != point ||
      llvm::any_of(indices.drop_back(), depends))
    return false;
  auto type = cast<MemRefType>(memref.getType());
  int64_t extent = type.getShape().back();
  return type.getLayout().isIdentity() && isa<FloatType>(type.getElementType()) &&
         !ShapedType::isDynamic(extent) && extent % together == 0 &&
         getBytes() * together <= kVectorBytes;
}

/// Whether all that an op does to memory is to read it.
static bool readsAlone(Operation *op) {
  auto effects = getEffectsRecursively(op);
  return effects && llvm::all_of(*effects, [](const auto &effect) {
           return isa<MemoryEffects::Read>(effect.getEffect());
         });
}

/// Whether `op` is a branch that all points of a thread take together.
static bool isCommonBranch(Operation *op, function_ref<bool(Value)> depends) {
  auto branch = dyn_cast<scf::IfOp>(op);
  return branch && branch.getNumResults() == 0 && !depends(branch.getCondition());
}

/// What is computed from the induction variable of a loop in its body.
static llvm::SetVector<Value> findDependent(Block &body, Value induction) {
  llvm::SetVector<Value> dependent;
  dependent.insert(induction);
  body.walk<WalkOrder::PreOrder>([&](Operation *op) {
    bool isDependent = false;
    op->walk([&](Operation *inner) {
      isDependent |= llvm::any_of(inner->getOperands(),
                                  [&](Value operand) { return dependent.contains(operand); });
    });
    if (isDependent)
      dependent.insert(op->result_begin(), op->result_end());
  });
  return dependent;
}

/// Memory that is made in the nest, or a table of the module, has no address outside.
static bool isKnownOutside(Value memref, Operation *outer) {
  return !memref.getDefiningOp<memref::GetGlobalOp>() &&
         !outer->isAncestor(memref.getParentRegion()->getParentOp());
}

/// Whether `load` is by a known index of a row that can be loaded at once.
static bool isOfShortRow(memref::LoadOp load) {
  MemRefType type = load.getMemRefType();
  if (type.getRank() == 0 || !type.getLayout().isIdentity() ||
      !isa<FloatType>(type.getElementType()) || !getConstantIntValue(load.getIndices().back()))
    return false;
  int64_t extent = type.getShape().back();
  return extent > 1 && llvm::isPowerOf2_64(uint64_t(extent)) &&
         extent * type.getElementTypeBitWidth() <= kVectorBytes * 8;
}

NeighbouringMemory nvptx::findNeighbouring(Operation *outer, Block &body, Value induction,
                                           const Points &points) {
  NeighbouringMemory found;
  llvm::SetVector<Value> dependent = findDependent(body, induction), memrefs, rows;
  auto depends = [&](Value value) { return dependent.contains(value); };
  body.walk([&](Operation *op) {
    Access access(op);
    if (access.isNeighbouring(induction, points.together, depends)) {
      memrefs.insert(access.memref);
      found.bytes = std::max(found.bytes, access.getBytes() * points.together);
    } else if (auto load = dyn_cast<memref::LoadOp>(op);
               load && isOfShortRow(load) && isKnownOutside(access.memref, outer)) {
      rows.insert(access.memref);
    }
  });
  if (memrefs.empty())
    return found;
  for (Value memref : rows) {
    auto type = cast<MemRefType>(memref.getType());
    found.bytes = std::max<int64_t>(
        found.bytes, type.getShape().back() * type.getElementTypeBitWidth() / 8);
  }
  found.rows.assign(rows.begin(), rows.end());
  memrefs.insert(rows.begin(), rows.end());
  found.memrefs.assign(memrefs.begin(), memrefs.end());
  return found;
}

Points nvptx::choosePoints(Operation *outer, Block &body, Value induction, int64_t lower,
                           int64_t upper) {
  llvm::SetVector<Value> dependent = findDependent(body, induction);
  auto depends = [&](Value value) { return dependent.contains(value); };
  Points points;
  int64_t numOps = 0, narrowest = kGroupBytes;
  bool hasLoops = false, isKnown = true;
  body.walk([&](Operation *op) {
    ++numOps;
    hasLoops |= isa<LoopLikeOpInterface>(op);
    Access access(op);
    if (!access.isNeighbouring(induction, 1, depends))
      return;
    narrowest = std::min(narrowest, access.getBytes());
    isKnown &= isKnownOutside(access.memref, outer);
  });
  std::function<bool(Block &)> isSpread = [&](Block &block) {
    return llvm::all_of(block.without_terminator(), [&](Operation &op) {
      if (op.getNumRegions() == 0 || readsAlone(&op))
        return true;
      return isCommonBranch(&op, depends) &&
             llvm::all_of(op.getRegions(), [&](Region &region) {
               return region.empty() || isSpread(region.front());
             });
    });
  };
  if (!isSpread(body))
    return points;
  if (narrowest <= kNarrow && isKnown && !hasLoops) {
    points.together = kGroupBytes / std::max<int64_t>(narrowest, 1);
    while (lower % points.together != 0 || upper % points.together != 0)
      points.together /= 2;
  }
  bool isFlat = llvm::all_of(body.without_terminator(), [](Operation &op) {
    return op.getNumRegions() == 0 || readsAlone(&op);
  });
  if (!isFlat || numOps > kMaxOps)
    return points;
  for (int64_t groups = kGroups; groups * points.together >= kGroups; groups /= 2)
    if ((upper - lower) % (points.together * groups * kWarp) == 0) {
      points.groups = groups;
      break;
    }
  return points;
}

SmallVector<Value> nvptx::placePoints(OpBuilder &b, Location loc, Value number,
                                      const Points &points) {
  auto constant = [&](int64_t value) -> Value {
    return arith::ConstantIndexOp::create(b, loc, value);
  };
  Value first = number;
  if (points.groups > 1) { // a warp has runs of its width, one after the other
    Value lane = arith::RemUIOp::create(b, loc, number, constant(kWarp));
    Value run = arith::SubIOp::create(b, loc, number, lane);
    run = arith::MulIOp::create(b, loc, run, constant(points.groups));
    first = arith::AddIOp::create(b, loc, run, lane);
  }
  if (points.together > 1)
    first = arith::MulIOp::create(b, loc, first, constant(points.together));
  SmallVector<Value> values;
  for (int64_t i = 0; i < points.groups; ++i)
    for (int64_t j = 0; j < points.together; ++j)
      values.push_back(arith::AddIOp::create(
          b, loc, first, constant(i * kWarp * points.together + j)));
  return values;
}

bool Spreader::depends(Operation *op) const {
  bool found = false;
  op->walk([&](Operation *inner) {
    found |= llvm::any_of(inner->getOperands(), [&](Value value) { return depends(value); });
  });
  return found;
}

void Spreader::loadTogether(memref::LoadOp load) {
  OpBuilder b(load);
  Location loc = load.getLoc();
  SmallVector<Value> values;
  for (int64_t i = 0; i < points.groups; ++i) {
    SmallVector<Value> indices(load.getIndices());
    indices.back() = get(point, i * points.together);
    values.append(extractElements(
        b, loc, loadNeighbours(b, loc, load.getMemRef(), indices, points.together)));
  }
  load.getResult().replaceAllUsesWith(values.front());
  map(values.front(), values);
  load.erase();
}

void Spreader::storeTogether(memref::StoreOp store) {
  OpBuilder b(store);
  for (int64_t i = 0; i < points.groups; ++i) {
    SmallVector<Value> indices(store.getIndices()), values;
    indices.back() = get(point, i * points.together);
    for (int64_t j = 0; j < points.together; ++j)
      values.push_back(get(store.getValueToStore(), i * points.together + j));
    storeNeighbours(b, store.getLoc(), values, store.getMemRef(), indices);
  }
  store.erase();
}

void Spreader::spread(Operation *op) {
  while (op && !op->hasTrait<OpTrait::IsTerminator>()) {
    Operation *next = op->getNextNode();
    auto dependsOn = [&](Value value) { return depends(value); };
    bool isTogether = points.together > 1 &&
                      Access(op).isNeighbouring(point, points.together, dependsOn);
    if (isCommonBranch(op, dependsOn)) {
      for (Region &region : op->getRegions())
        if (!region.empty())
          spread(&region.front().front());
    } else if (auto load = dyn_cast<memref::LoadOp>(op); load && isTogether) {
      loadTogether(load);
    } else if (auto store = dyn_cast<memref::StoreOp>(op); store && isTogether) {
      storeTogether(store);
    } else if (depends(op) || !readsAlone(op)) {
      OpBuilder b(next);
      for (IRMapping &mapping : mappings)
        b.clone(*op, mapping);
    }
    op = next;
  }
}

void nvptx::spreadCode(ArrayRef<Value> values, const Points &points) {
  Spreader(values, points).spread(values.back().getDefiningOp()->getNextNode());
}

namespace {
/// Loads of one row, by index.
struct Row {
  Value memref;
  SmallVector<Value> leading;
  SmallVector<memref::LoadOp> loads;
};
} // namespace

static void loadRow(const Row &row) {
  memref::LoadOp first = row.loads.front();
  for (memref::LoadOp load : row.loads)
    if (load->isBeforeInBlock(first))
      first = load;
  OpBuilder b(first);
  Location loc = first.getLoc();
  SmallVector<Value> indices(row.leading);
  indices.push_back(arith::ConstantIndexOp::create(b, loc, 0));
  Value vector = loadNeighbours(b, loc, row.memref, indices, int64_t(row.loads.size()));
  for (auto [load, element] : llvm::zip_equal(row.loads, extractElements(b, loc, vector))) {
    memref::LoadOp(load).getResult().replaceAllUsesWith(element);
    memref::LoadOp(load).erase();
  }
}

void nvptx::loadRowsTogether(Block &body, ValueRange memrefs) {
  SmallVector<Block *> blocks = {&body};
  body.walk([&](Operation *op) {
    for (Region &region : op->getRegions())
      for (Block &block : region)
        blocks.push_back(&block);
  });
  for (Block *block : blocks) {
    SmallVector<Row> rows;
    auto loadWhole = [&] {
      for (const Row &row : rows)
        if (llvm::all_of(row.loads, [](memref::LoadOp load) { return bool(load); }))
          loadRow(row);
      rows.clear();
    };
    for (Operation &op : llvm::make_early_inc_range(*block)) {
      if (!readsAlone(&op)) // stores, and what may be one
        loadWhole();
      auto load = dyn_cast<memref::LoadOp>(op);
      if (!load || !llvm::is_contained(memrefs, load.getMemRef()) || !isOfShortRow(load))
        continue;
      ValueRange leading = load.getIndices().drop_back();
      Row *row = llvm::find_if(rows, [&](const Row &other) {
        return other.memref == load.getMemRef() && ValueRange(other.leading) == leading;
      });
      if (row == rows.end()) {
        rows.push_back({load.getMemRef(), SmallVector<Value>(leading), {}});
        row = &rows.back();
        row->loads.resize(load.getMemRefType().getShape().back());
      }
      int64_t index = *getConstantIntValue(load.getIndices().back());
      if (index >= 0 && index < int64_t(row->loads.size()) && !row->loads[index])
        row->loads[index] = load;
    }
    loadWhole();
  }
}
