//===- EmitTerm.cpp - Terms as arithmetic ---------------------------------===//
//
// What stands in the body of a generic op or of a scan.
//
//===----------------------------------------------------------------------===//

#include "Elaborator.h"
#include "TermEmitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "ssm/IR/SSM.h"

using namespace mlir;
using namespace ssmc;

Value TermEmitter::constantOf(double value, Type type) {
  if (isa<FloatType>(type))
    return arith::ConstantOp::create(builder, loc,
                                     FloatAttr::get(type, value));
  return arith::ConstantOp::create(builder, loc,
                                   IntegerAttr::get(type, value != 0));
}

Value TermEmitter::emit(const TermRef &term, Type wanted) {
  if (term->kind == Term::Constant)
    return constantOf(term->value, term->boolean ? builder.getI1Type() : wanted);
  Value value = emit(term);
  if (value.getType() == wanted || value.getType().isInteger(1))
    return value;
  if (value.getType().isF64())
    return arith::TruncFOp::create(builder, loc, wanted, value);
  return arith::ExtFOp::create(builder, loc, wanted, value);
}

/// An affine function of the loop's indices as an index value.
Value TermEmitter::emitAffine(AffineExpr expr) {
  if (isa<AffineSymbolExpr>(expr))
    return preparedLength();
  if (auto c = dyn_cast<AffineConstantExpr>(expr))
    return arith::ConstantIndexOp::create(builder, loc, c.getValue());
  if (auto d = dyn_cast<AffineDimExpr>(expr))
    return indexOf(d.getPosition());
  auto binary = cast<AffineBinaryOpExpr>(expr);
  Value lhs = emitAffine(binary.getLHS()), rhs = emitAffine(binary.getRHS());
  switch (binary.getKind()) {
  case AffineExprKind::Add:
    return arith::AddIOp::create(builder, loc, lhs, rhs);
  case AffineExprKind::Mul:
    return arith::MulIOp::create(builder, loc, lhs, rhs);
  case AffineExprKind::Mod:
    return arith::RemSIOp::create(builder, loc, lhs, rhs);
  case AffineExprKind::FloorDiv:
    return arith::FloorDivSIOp::create(builder, loc, lhs, rhs);
  default:
    return arith::CeilDivSIOp::create(builder, loc, lhs, rhs);
  }
}

Value TermEmitter::emit(const TermRef &term) {
  auto found = done.find(term.get());
  if (found != done.end())
    return found->second;
  Value value;
  Type f64 = builder.getF64Type();
  switch (term->kind) {
  case Term::Constant:
    value = constantOf(term->value,
                       term->boolean ? Type(builder.getI1Type()) : real);
    break;
  case Term::Index:
  case Term::Length: {
    Value index = term->kind == Term::Length ? length(term->sequence)
                                             : emitAffine(term->index);
    Value integer = arith::IndexCastOp::create(builder, loc,
                                               builder.getI64Type(), index);
    value = arith::SIToFPOp::create(builder, loc, f64, integer);
    break;
  }
  case Term::Element:
    value = numeric(elementOf(*term));
    break;
  case Term::Gather: {
    SmallVector<Value> at;
    if (term->batched)
      at.push_back(batchIndex());
    for (const TermRef &operand : term->operands)
      at.push_back(emitPosition(operand));
    value = numeric(tensor::ExtractOp::create(builder, loc, term->tensor, at));
    break;
  }
  case Term::Operation:
    value = emitOperation(term);
    break;
  case Term::State:
  case Term::Reduce:
    llvm_unreachable("states are resolved before emission");
  }
  done[term.get()] = value;
  return value;
}

/// A run-time position: an integer element as an index.
Value TermEmitter::emitPosition(const TermRef &term) {
  if (term->kind == Term::Index)
    return emitAffine(term->index);
  if (term->kind == Term::Constant)
    return arith::ConstantIndexOp::create(builder, loc, int64_t(term->value));
  if (term->kind == Term::Element && term->integer)
    return arith::IndexCastOp::create(builder, loc, builder.getIndexType(),
                                      elementOf(*term));
  Value number = emit(term, builder.getF64Type());
  Value integer =
      arith::FPToSIOp::create(builder, loc, builder.getI64Type(), number);
  return arith::IndexCastOp::create(builder, loc, builder.getIndexType(),
                                    integer);
}

/// A stored element as a number of the working type.
Value TermEmitter::numeric(Value value) {
  Type type = value.getType();
  if (type.isInteger(1) || type == real)
    return value;
  if (isa<IntegerType>(type))
    return arith::SIToFPOp::create(builder, loc, builder.getF64Type(), value);
  if (cast<FloatType>(type).getWidth() < cast<FloatType>(real).getWidth())
    return arith::ExtFOp::create(builder, loc, real, value);
  return arith::TruncFOp::create(builder, loc, real, value);
}

Value TermEmitter::emitOperation(const TermRef &term) {
  if (term->op == Operator::Discretize)
    return emitDiscretize(*term);
  // Exact terms stay in f64 until they meet a tensor.
  bool comparison = term->op == Operator::Eq || term->op == Operator::Ne ||
                    term->op == Operator::Lt || term->op == Operator::Le;
  bool inDouble = term->exact;
  if (comparison)
    inDouble = llvm::all_of(term->operands,
                            [](const TermRef &t) { return t->exact; });
  Type type = inDouble ? Type(builder.getF64Type()) : real;
  SmallVector<Value, 3> v;
  for (const TermRef &operand : term->operands)
    v.push_back(emit(operand, type));
  auto compare = [&](arith::CmpFPredicate predicate,
                     arith::CmpIPredicate integer) -> Value {
    if (v[0].getType().isInteger(1))
      return arith::CmpIOp::create(builder, loc, integer, v[0], v[1]);
    return arith::CmpFOp::create(builder, loc, predicate, v[0], v[1]);
  };
  switch (term->op) {
  case Operator::Add: return arith::AddFOp::create(builder, loc, v[0], v[1]);
  case Operator::Sub: return arith::SubFOp::create(builder, loc, v[0], v[1]);
  case Operator::Mul: return arith::MulFOp::create(builder, loc, v[0], v[1]);
  case Operator::Div: return arith::DivFOp::create(builder, loc, v[0], v[1]);
  case Operator::Neg: return arith::NegFOp::create(builder, loc, v[0]);
  case Operator::Min: return arith::MinimumFOp::create(builder, loc, v[0], v[1]);
  case Operator::Max: return arith::MaximumFOp::create(builder, loc, v[0], v[1]);
  case Operator::Pow: return math::PowFOp::create(builder, loc, v[0], v[1]);
  case Operator::Exp: return math::ExpOp::create(builder, loc, v[0]);
  case Operator::Expm1: return math::ExpM1Op::create(builder, loc, v[0]);
  case Operator::Log: return math::LogOp::create(builder, loc, v[0]);
  case Operator::Log1p: return math::Log1pOp::create(builder, loc, v[0]);
  case Operator::Sqrt: return math::SqrtOp::create(builder, loc, v[0]);
  case Operator::Rsqrt: return math::RsqrtOp::create(builder, loc, v[0]);
  case Operator::Sin: return math::SinOp::create(builder, loc, v[0]);
  case Operator::Cos: return math::CosOp::create(builder, loc, v[0]);
  case Operator::Tanh: return math::TanhOp::create(builder, loc, v[0]);
  case Operator::Erf: return math::ErfOp::create(builder, loc, v[0]);
  case Operator::Abs: return math::AbsFOp::create(builder, loc, v[0]);
  case Operator::Floor: return math::FloorOp::create(builder, loc, v[0]);
  case Operator::Ceil: return math::CeilOp::create(builder, loc, v[0]);
  case Operator::Mod: {
    Value quotient = arith::DivFOp::create(builder, loc, v[0], v[1]);
    Value whole = math::FloorOp::create(builder, loc, quotient);
    Value product = arith::MulFOp::create(builder, loc, whole, v[1]);
    return arith::SubFOp::create(builder, loc, v[0], product);
  }
  case Operator::Eq: return compare(arith::CmpFPredicate::OEQ, arith::CmpIPredicate::eq);
  case Operator::Ne: return compare(arith::CmpFPredicate::UNE, arith::CmpIPredicate::ne);
  case Operator::Lt: return compare(arith::CmpFPredicate::OLT, arith::CmpIPredicate::ult);
  case Operator::Le: return compare(arith::CmpFPredicate::OLE, arith::CmpIPredicate::ule);
  case Operator::And: return arith::AndIOp::create(builder, loc, v[0], v[1]);
  case Operator::Or: return arith::OrIOp::create(builder, loc, v[0], v[1]);
  case Operator::Not: {
    Value one = constantOf(1, builder.getI1Type());
    return arith::XOrIOp::create(builder, loc, v[0], one);
  }
  case Operator::Select:
    return arith::SelectOp::create(builder, loc, v[0], v[1], v[2]);
  default:
    llvm_unreachable("random draws exist in initialisers only");
  }
}

/// One op serves the results of a discretisation that share rate and step.
Value TermEmitter::emitDiscretize(const Term &term) {
  SmallVector<Value, 3> v;
  SmallVector<const void *, 4> key;
  for (const TermRef &operand : term.operands) {
    v.push_back(emit(operand, real));
    key.push_back(v.back().getAsOpaquePointer());
  }
  key.push_back(reinterpret_cast<const void *>(intptr_t(term.rule * 16 +
                                                        term.inputRule)));
  Operation *&op = discretizations[std::vector<const void *>(key.begin(),
                                                             key.end())];
  bool isComplex = v.size() == 3;
  if (!op) {
    auto rule = ssm::DiscretizationAttr::get(
        builder.getContext(), ssm::Discretization(term.rule));
    ssm::DiscretizationAttr input;
    if (term.inputRule >= 0)
      input = ssm::DiscretizationAttr::get(builder.getContext(),
                                           ssm::Discretization(term.inputRule));
    SmallVector<Type, 2> types(isComplex ? 2 : 1, real);
    ValueRange rate = ValueRange(v).drop_front();
    op = ssm::DiscretizeOp::create(builder, loc, types, types, rule, input, rate,
                                   v[0]);
  }
  unsigned perRole = isComplex ? 2 : 1;
  return op->getResult((term.part / 2) * perRole + term.part % 2);
}
