//===- Interpreter.cpp - What structured ops mean, in doubles -------------===//

#include "InterpreterImpl.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "llvm/ADT/TypeSwitch.h"
#include <cmath>

using namespace mlir;
using namespace mlir::ssm;
using namespace ssmc::test;

int64_t Array::getSize() const {
  int64_t size = 1;
  for (int64_t extent : shape)
    size *= extent;
  return size;
}

double &Array::at(ArrayRef<int64_t> indices) {
  int64_t linear = 0;
  for (auto [index, extent] : llvm::zip_equal(indices, shape)) {
    if (index < 0 || index >= extent)
      llvm::report_fatal_error("the interpreter reads outside of an array");
    linear = linear * extent + index;
  }
  return data[linear];
}

void Interpreter::forEach(ArrayRef<unsigned> dims, const Point &extents,
                          Point &point, const std::function<void()> &body) {
  if (dims.empty())
    return body();
  for (int64_t i = 0; i < extents[dims[0]]; ++i) {
    point[dims[0]] = i;
    forEach(dims.drop_front(), extents, point, body);
  }
  point[dims[0]] = 0;
}

static bool compareFloats(arith::CmpFPredicate predicate, double a, double b) {
  switch (predicate) {
  case arith::CmpFPredicate::OGT:
  case arith::CmpFPredicate::UGT:
    return a > b;
  case arith::CmpFPredicate::OGE:
  case arith::CmpFPredicate::UGE:
    return a >= b;
  case arith::CmpFPredicate::OLT:
  case arith::CmpFPredicate::ULT:
    return a < b;
  case arith::CmpFPredicate::OLE:
  case arith::CmpFPredicate::ULE:
    return a <= b;
  case arith::CmpFPredicate::OEQ:
  case arith::CmpFPredicate::UEQ:
    return a == b;
  default:
    return a != b;
  }
}

static bool compareIntegers(arith::CmpIPredicate predicate, double a,
                            double b) {
  switch (predicate) {
  case arith::CmpIPredicate::eq:
    return a == b;
  case arith::CmpIPredicate::ne:
    return a != b;
  case arith::CmpIPredicate::slt:
  case arith::CmpIPredicate::ult:
    return a < b;
  case arith::CmpIPredicate::sle:
  case arith::CmpIPredicate::ule:
    return a <= b;
  case arith::CmpIPredicate::sgt:
  case arith::CmpIPredicate::ugt:
    return a > b;
  default:
    return a >= b;
  }
}

double Interpreter::evaluateOp(Operation *op, const Point &point,
                               const Values &values) {
  auto get = [&](unsigned i) { return values.lookup(op->getOperand(i)); };
  return llvm::TypeSwitch<Operation *, double>(op)
      .Case<arith::ConstantOp>([&](auto constant) {
        if (auto value = dyn_cast<FloatAttr>(constant.getValue()))
          return value.getValueAsDouble();
        return double(cast<IntegerAttr>(constant.getValue()).getInt());
      })
      .Case<arith::AddFOp, arith::AddIOp>([&](auto) { return get(0) + get(1); })
      .Case<arith::SubFOp, arith::SubIOp>([&](auto) { return get(0) - get(1); })
      .Case<arith::MulFOp, arith::MulIOp>([&](auto) { return get(0) * get(1); })
      .Case<arith::AndIOp>([&](auto) { return double(get(0) && get(1)); })
      .Case<arith::OrIOp>([&](auto) { return double(get(0) || get(1)); })
      .Case<arith::DivFOp>([&](auto) { return get(0) / get(1); })
      .Case<arith::NegFOp>([&](auto) { return -get(0); })
      .Case<arith::MaximumFOp, arith::MaxNumFOp>(
          [&](auto) { return std::max(get(0), get(1)); })
      .Case<arith::MinimumFOp, arith::MinNumFOp>(
          [&](auto) { return std::min(get(0), get(1)); })
      .Case<arith::CmpFOp>([&](auto cmp) {
        return double(compareFloats(cmp.getPredicate(), get(0), get(1)));
      })
      .Case<arith::CmpIOp>([&](auto cmp) {
        return double(compareIntegers(cmp.getPredicate(), get(0), get(1)));
      })
      .Case<arith::SelectOp>([&](auto) { return get(0) ? get(1) : get(2); })
      .Case<arith::IndexCastOp, arith::ExtFOp, arith::TruncFOp, arith::SIToFPOp,
            arith::UIToFPOp, arith::ExtUIOp, arith::ExtSIOp>(
          [&](auto) { return get(0); })
      .Case<math::ExpOp>([&](auto) { return std::exp(get(0)); })
      .Case<math::Log1pOp>([&](auto) { return std::log1p(get(0)); })
      .Case<math::LogOp>([&](auto) { return std::log(get(0)); })
      .Case<math::TanhOp>([&](auto) { return std::tanh(get(0)); })
      .Case<math::SqrtOp>([&](auto) { return std::sqrt(get(0)); })
      .Case<math::RsqrtOp>([&](auto) { return 1 / std::sqrt(get(0)); })
      .Case<math::CosOp>([&](auto) { return std::cos(get(0)); })
      .Case<math::SinOp>([&](auto) { return std::sin(get(0)); })
      .Case<math::ErfOp>([&](auto) { return std::erf(get(0)); })
      .Case<math::AbsFOp>([&](auto) { return std::fabs(get(0)); })
      .Case<linalg::IndexOp>(
          [&](auto index) { return double(point[index.getDim()]); })
      .Case<memref::LoadOp>([&](auto load) {
        Point indices;
        for (Value index : load.getIndices())
          indices.push_back(values.lookup(index));
        return array(load.getMemref()).at(indices);
      })
      .Default([](Operation *unknown) -> double {
        llvm::report_fatal_error("the interpreter does not know " +
                                 unknown->getName().getStringRef());
      });
}

void Interpreter::evaluate(Block &body, const Point &point, Values &values) {
  for (Operation &op : body.without_terminator())
    values[op.getResult(0)] = evaluateOp(&op, point, values);
}

void Interpreter::noteExtents(Point &extents, AffineMap map,
                              const Array &array) {
  for (auto [axis, expr] : llvm::enumerate(map.getResults()))
    if (auto dim = dyn_cast<AffineDimExpr>(expr))
      extents[dim.getPosition()] = array.shape[axis];
}

void Interpreter::runGeneric(linalg::GenericOp op) {
  Point extents(op.getNumLoops(), 0), point(op.getNumLoops(), 0);
  for (OpOperand &operand : op->getOpOperands())
    if (isa<MemRefType>(operand.get().getType()))
      noteExtents(extents, op.getMatchingIndexingMap(&operand),
                  array(operand.get()));
  SmallVector<unsigned> dims =
      llvm::to_vector(llvm::seq<unsigned>(0, op.getNumLoops()));
  forEach(dims, extents, point, [&] {
    Values values;
    for (auto [i, operand] : llvm::enumerate(op->getOpOperands()))
      values[op.getBody()->getArgument(i)] =
          at(operand.get(), op.getMatchingIndexingMap(&operand), point);
    evaluate(*op.getBody(), point, values);
    for (auto [i, init] : llvm::enumerate(op.getDpsInitsMutable()))
      at(init.get(), op.getMatchingIndexingMap(&init), point) =
          values.lookup(op.getBody()->getTerminator()->getOperand(i));
  });
}

void Interpreter::run(Operation *op) {
  llvm::TypeSwitch<Operation *>(op)
      .Case<linalg::GenericOp>([&](auto o) { runGeneric(o); })
      .Case<ScanOp>([&](auto o) { runScan(o); })
      .Case<ConvOp>([&](auto o) { runConv(o); })
      .Case<ShiftOp>([&](auto o) { runShift(o); })
      .Case<AttendOp>([&](auto o) { runAttend(o); })
      .Case<NormOp>([&](auto o) { runNorm(o); })
      .Case<ImpulseResponseOp>([&](auto o) { runImpulseResponse(o); })
      .Case<memref::CopyOp>([&](auto o) {
        array(o.getTarget()).data = array(o.getSource()).data;
      })
      .Case<linalg::FillOp>([&](auto o) {
        auto constant =
            o.getInputs()[0].template getDefiningOp<arith::ConstantOp>();
        double value = cast<FloatAttr>(constant.getValue()).getValueAsDouble();
        Array &target = array(o.getOutputs()[0]);
        std::fill(target.data.begin(), target.data.end(), value);
      })
      .Case<arith::ConstantOp, func::ReturnOp>([](auto) {})
      .Default([](Operation *unknown) {
        llvm::report_fatal_error("the interpreter does not know " +
                                 unknown->getName().getStringRef());
      });
}

void ssmc::test::interpret(func::FuncOp function, ArrayRef<Array *> arguments) {
  Interpreter interpreter;
  for (auto [argument, array] :
       llvm::zip_equal(function.getArguments(), arguments))
    interpreter.arrays[argument] = array;
  for (Operation &op : function.getBody().front())
    interpreter.run(&op);
}
