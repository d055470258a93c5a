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
    `memref.copy`, `ssm.scan`, `ssm.conv`, `ssm.attend`, `ssm.shift` and `ssm.norm`
    into `scf.parallel` over one dimension of tasks, with loops over vectors inside.
    Tasks and the order of every sum follow from shapes and target alone. Where
    the time of a task is known, `ssm.cost` holds an estimate in nanoseconds.
    Buffers of a task are at the start of its body and have static size. Ops
    that have no vector form are left for the literal lowering; for `ssm.attend` a
    remark says why.
  }];
  let options = [
    Option<"vectorBits", "vector-bits", "int64_t", "512",
           "Bits of a vector register: 512, 256 or 128">,
    Option<"prefetchBytes", "prefetch-bytes", "int64_t", "0",
           "Twice how far ahead of loads a step prefetches states; 0: not at all">,
  ];
  let dependentDialects = ["::mlir::affine::AffineDialect",
                           "::mlir::arith::ArithDialect",
                           "::mlir::LLVM::LLVMDialect",
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
    a task takes at least. There is one loop for a few tokens and one for more, and
    the number at run time decides between them. The few tokens' inputs lie in memory
    of the function, which its products share. Products with `round_input` use the
    processor's unit for bf16; where that is tiles, there is a loop more, for which
    the number of tokens and the kernel's leave decide.
  }];
  let options = [
    Option<"vectorBits", "vector-bits", "int64_t", "256",
           "Bits of a vector register">,
    Option<"vectorRegisters", "vector-registers", "int64_t", "16",
           "Number of vector registers">,
    Option<"bf16Unit", "bf16-unit", "std::string", "\"none\"",
           "What multiplies bf16: none, dot (AVX512-BF16) or tiles (AMX-BF16, "
           "in 64-bit code for Linux)">,
    Option<"prefetchBytes", "prefetch-bytes", "int64_t", "0",
           "How far ahead of loads streamed weights are prefetched, and half as far "
           "into the first cache; 0: not at all">,
  ];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::LLVM::LLVMDialect",
                           "::mlir::memref::MemRefDialect",
                           "::mlir::scf::SCFDialect",
                           "::mlir::vector::VectorDialect"];
}

def BindFramePass : Pass<"ssm-bind-frame", "::mlir::func::FuncOp"> {
  let summary = "Makes a bufferized function one of the C ABI";
  let description = [{
    Arguments and results carry the attributes of the front end (`ssm.input`,
    `ssm.weight`, `ssm.state`, `ssm.position`, `ssm.workspace`; `ssm.dims` names
    the extents known at run time) and `ssm.offset`, the place of a prepared
    table. Each becomes memory found through the one argument that is left, the
    `ssmrt_frame`; results are written to their place. In the function `step` the
    length is the constant 1.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::LLVM::LLVMDialect",
                           "::mlir::memref::MemRefDialect"];
}

def OutlineTasksPass : Pass<"ssm-outline-tasks", "::mlir::ModuleOp"> {
  let summary = "Parallel loops become calls of the context's parallel_for";
  let description = [{
    The body of every `scf.parallel` becomes a function of a closure and a range of
    iterations; what it captures is stored in a struct on the caller's stack. The
    call goes through `ssmrt_context::parallel_for`, with the attribute `ssm.cost`
    (nanoseconds an iteration) as its estimate. Runs after `ssm-bind-frame`.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::LLVM::LLVMDialect",
                           "::mlir::scf::SCFDialect", "::mlir::func::FuncDialect"];
}

#endif // SSMC_TARGET_CPU_PASSES_TD
