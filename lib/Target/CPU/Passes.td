//===- Passes.td - Passes of the CPU target ----------------*- tablegen -*-===//

#ifndef SSMC_TARGET_CPU_PASSES_TD
#define SSMC_TARGET_CPU_PASSES_TD

include "mlir/Pass/PassBase.td"

def ExpandMathPass : Pass<"ssm-expand-math"> {
  let summary = "Elementary functions as arithmetic";
  let description = [{
    Replaces elementary functions of `math` on f32, f16 and bf16, scalars and
    vectors alike, by arithmetic without calls (`VectorMath.h` lists functions
    and errors). Halves are computed in f32. Functions with an instruction
    (`sqrt`, `absf`, `roundeven`, ...) stay. What is not in the list, and
    everything on f64, is taken apart into scalars for the C library.
  }];
  let options = [
    Option<"fastExp", "fast-exp", "bool", "false",
           "One-step reduction and a quintic for exp: error grows with |x|">,
    Option<"avx512", "avx512", "bool", "false",
           "Use AVX-512 instructions on vectors of 16 lanes">,
  ];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::math::MathDialect",
                           "::mlir::LLVM::LLVMDialect",
                           "::mlir::vector::VectorDialect"];
}

#endif // SSMC_TARGET_CPU_PASSES_TD
