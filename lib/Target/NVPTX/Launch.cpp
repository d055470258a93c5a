//===- Launch.cpp - Launches whose threads work together ------------------===//

#include "Target/NVPTX/Launch.h"
#include "Target/NVPTX/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace ssmc;

MemRefType nvptx::sharedType(ArrayRef<int64_t> shape, Type element) {
  auto space = gpu::AddressSpaceAttr::get(element.getContext(),
                                          gpu::AddressSpace::Workgroup);
  return MemRefType::get(shape, element, MemRefLayoutAttrInterface(), space);
}

gpu::LaunchOp nvptx::startLaunch(OpBuilder &b, Location loc, Value gridX, Value gridY,
                                 int64_t threads, ArrayRef<MemRefType> shared,
                                 Value fewer) {
  Value one = arith::ConstantIndexOp::create(b, loc, 1);
  Value size = fewer ? fewer : arith::ConstantIndexOp::create(b, loc, threads);
  SmallVector<Type> types(shared.begin(), shared.end());
  auto launch = gpu::LaunchOp::create(b, loc, gridX, gridY, one, size, one, one, Value(),
                                      Type(), ValueRange(), types);
  launch->setAttr(kBlockAttr, b.getI64IntegerAttr(threads));
  b.setInsertionPointToStart(&launch.getBody().front());
  gpu::TerminatorOp::create(b, loc);
  b.setInsertionPointToStart(&launch.getBody().front());
  return launch;
}
