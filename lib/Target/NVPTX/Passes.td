//===- Passes.td - Passes of the NVPTX target --------------*- tablegen -*-===//

#ifndef SSMC_TARGET_NVPTX_PASSES_TD
#define SSMC_TARGET_NVPTX_PASSES_TD

include "mlir/Pass/PassBase.td"

def SplitPreparePass : Pass<"nvptx-split-prepare", "::mlir::ModuleOp"> {
  let summary = "Long tables of @prepare are made on the device";
  let description = [{
    Every `ssm.impulse_response` and `ssm.spectrum` in `@prepare` of which a table is made,
    that has a kernel here and that nothing else reads, goes to the function
    `@prepare_on_device`, whose arguments are other tables and whose results are these.
    Operands become tables of `@prepare` (`ssm.table` numbers the tables of both
    functions). Where there are none the function is not made.
  }];
  let dependentDialects = ["::mlir::func::FuncDialect",
                           "::mlir::tensor::TensorDialect"];
}

def LowerOpsPass : Pass<"nvptx-lower-ops", "::mlir::func::FuncOp"> {
  let summary = "Structured ops on device memory as loops over independent points";
  let description = [{
    In functions with `nvptx.host`, turns memref-form `ssm` ops, `linalg` ops and
    `memref.copy` into loops whose independent ones are `scf.parallel`, or `scf.for`
    with `ssmc.independent`. A recurrence gets one thread for each of its lanes: states
    over keys stay in registers, and time goes in blocks of tokens whose operands are
    loaded before the chain of dependent operations begins; where lanes of a warp are
    neighbours in memory it copies blocks ahead to shared memory. Threads of a warp share a
    lane with many keys; of few lanes the warps of a block have segments of time; where a
    lane has too many states for that they stay in memory. A recurrence that is scheduled
    in chunks, of which a matrix of keys and lanes is the state, takes products of bf16 on
    tensor cores; operands of f32 are sums of three bf16 unless the output is narrower
    or `operand-type` says so; with `warpgroups` four warps multiply chunks together where
    the recurrence fits. One that has tables is multiplied with them, where its
    output is bf16. A norm has a block of threads a row; products by packed
    weights have tiles in shared memory, or for a few tokens sums shared by threads. Of a
    few tokens a product's kernel computes the norm before it, and of single ones the
    short convolution after it; a recurrence's kernel of a single token computes a small
    product that makes an operand. What has no form of its own takes the literal lowering.
  }];
  let options = [
    Option<"cooperative", "cooperative", "bool", "true",
           "Threads may work together through shuffles and shared memory">,
    Option<"operandType", "operand-type", "std::string", "\"\"",
           "Of products in f32: bf16 rounds operands; empty keeps them">,
    Option<"warpgroups", "warpgroups", "bool", "false",
           "Four warps may multiply together, which sm_90a alone can">,
    Option<"sharedBytes", "shared-bytes", "int64_t", "101376",
           "Shared memory that a block may ask for">,
  ];
  let dependentDialects = ["::mlir::affine::AffineDialect",
                           "::mlir::arith::ArithDialect",
                           "::mlir::gpu::GPUDialect",
                           "::mlir::linalg::LinalgDialect",
                           "::mlir::LLVM::LLVMDialect",
                           "::mlir::math::MathDialect",
                           "::mlir::memref::MemRefDialect",
                           "::mlir::NVVM::NVVMDialect",
                           "::mlir::scf::SCFDialect",
                           "::mlir::vector::VectorDialect"];
}

def MapLoopsPass : Pass<"nvptx-map-loops", "::mlir::func::FuncOp"> {
  let summary = "Nests of independent loops as launches";
  let description = [{
    In functions with `nvptx.host`, every outermost nest of independent loops becomes one
    `gpu.launch`: perfectly nested ones are one linear space of points, over which the
    threads of a one-dimensional grid stride, consecutive threads on consecutive points
    of the innermost loop. Where its extent is known and its body short a thread takes several
    points; neighbours of 16 bits are loaded and stored at once where their memory is
    aligned to them, which the host decides. Other loops stay on the host around their launches; one that
    contains no independent loop but touches memory is a kernel of one thread, as is an
    access outside of any loop.

    ```mlir
    scf.parallel (%i, %j) = (%c0, %c0) to (%n, %c32) step (%c1, %c1) {
      memref.store %x, %m[%i, %j] : memref<?x32xf32>
      scf.reduce
    }
    ```

    becomes

    ```mlir
    gpu.launch blocks(%b, ...) in (...) threads(%t, ...) in (...) {
      %first = ... // block * threads + thread
      scf.for %p = %first to %n32 step %stride {
        %i = arith.divui %p, %c32 : index
        %j = arith.remui %p, %c32 : index
        memref.store %x, %m[%i, %j] : memref<?x32xf32>
      }
    }
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::gpu::GPUDialect",
                           "::mlir::memref::MemRefDialect",
                           "::mlir::scf::SCFDialect",
                           "::mlir::vector::VectorDialect"];
}

def OutlineKernelsPass : Pass<"nvptx-outline-kernels", "::mlir::ModuleOp"> {
  let summary = "Launches as kernels of one module";
  let description = [{
    Moves the body of every `gpu.launch` into a `gpu.func` of the module `kernels`, which
    takes pointers and scalars only: a memref is passed as a pointer and those of its
    extents and strides that its type leaves open. Kernels with the same body are one.
    What is left in functions with `nvptx.host` must not touch device memory.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::gpu::GPUDialect",
                           "::mlir::LLVM::LLVMDialect",
                           "::mlir::memref::MemRefDialect"];
}

def EmulateKernelsPass : Pass<"nvptx-emulate-kernels", "::mlir::ModuleOp"> {
  let summary = "Launches as loops over blocks and threads on the CPU";
  let description = [{
    For tests where no device is: kernels become functions that are called once a thread,
    one after the other. Kernels whose threads work together (barriers, shuffles, shared
    memory) are refused.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::func::FuncDialect",
                           "::mlir::scf::SCFDialect"];
}

def LowerLaunchesPass : Pass<"nvptx-lower-launches", "::mlir::ModuleOp"> {
  let summary = "Launches as calls of the runtime";
  let description = [{
    `gpu.launch_func` becomes a call of `ssmrt_cuda_launch` (ssmrt.h) with the number of
    the kernel in the module `kernels`, a geometry and an array of pointers to the
    arguments. The context is that of the function's frame. The kernels' code is the
    external constant `ssmrt_cuda_code`, which the module's description defines.
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect"];
}

def ExpandMathPass : Pass<"nvptx-expand-math", "::mlir::gpu::GPUModuleOp"> {
  let summary = "Elementary functions without libdevice";
  let description = [{
    Replaces every operation of `math` in kernels by arithmetic and instructions of PTX, so
    that code needs no library: exponentials are `ex2.approx.ftz` after a reduction in two
    parts (2.5 ulp), others the functions of VectorMath.h. Halves are computed in f32.
    Functions of f64 are those of DoubleMath.h; others are refused.
  }];
  let options = [
    Option<"fastExp", "fast-exp", "bool", "false",
           "One rounding of x*log2(e) before ex2: error grows with |x|">,
  ];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::LLVM::LLVMDialect",
                           "::mlir::math::MathDialect",
                           "::mlir::scf::SCFDialect"];
}

#endif // SSMC_TARGET_NVPTX_PASSES_TD
