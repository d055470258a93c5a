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
    everything on f64, is taken apart into scalars for the C library. An
    operation with the flag `afn` gets the fast form where there is one.
    Conversions to bf16 become arithmetic as well.
    Conversions to bf16 become arithmetic as well.
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

def LowerToCPUPass : Pass<"ssm-lower-to-cpu", "::mlir::func::FuncOp"> {
  let summary = "Structured ops on memory as tasks of vector loops";
  let description = [{
    Turns memref-form `linalg.generic` (and what generalises to it),
    `memref.copy`, `ssm.scan`, `ssm.conv`, `ssm.shift` and `ssm.norm` into
    `scf.parallel` over one dimension of tasks, with loops over vectors inside.
    Tasks and the order of every sum follow from shapes and target alone. Where
    the time of a task is known, `ssm.cost` holds an estimate in nanoseconds.
    Buffers of a task are at the start of its body and have static size. Ops
    that have no vector form are left for the literal lowering.
  }];
  let options = [
    Option<"vectorBits", "vector-bits", "int64_t", "512",
           "Bits of a vector register: 512, 256 or 128">,
  ];
  let dependentDialects = ["::mlir::affine::AffineDialect",
                           "::mlir::arith::ArithDialect",
                           "::mlir::linalg::LinalgDialect",
                           "::mlir::math::MathDialect",
                           "::mlir::memref::MemRefDialect",
                           "::mlir::scf::SCFDialect",
                           "::mlir::vector::VectorDialect"];
}

def LowerMatmulPass : Pass<"ssm-lower-matmul"> {
  let summary = "Products by packed weights, and the packing, as loops";
  let description = [{
    Rewrites `ssm.matmul` and `ssm.pack` on memrefs into `scf.parallel` over
    tasks, whose bodies are loops of `vector` code (`PackedMatmul.h`). Buffers
    of a task are static `memref.alloca`s at the start of its body. The
    attribute `ssm.cost` of the parallel loop is the number of nanoseconds that
    a task takes at least.
  }];
  let options = [
    Option<"vectorBits", "vector-bits", "int64_t", "256",
           "Bits of a vector register">,
    Option<"vectorRegisters", "vector-registers", "int64_t", "16",
           "Number of vector registers">,
    Option<"reuseBytes", "reuse-bytes", "int64_t", "196608",
           "Bytes of cache that weights may fill while they are reused">,
  ];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::memref::MemRefDialect",
                           "::mlir::scf::SCFDialect",
                           "::mlir::vector::VectorDialect"];
}

#endif // SSMC_TARGET_CPU_PASSES_TD
