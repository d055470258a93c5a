//===- Passes.td - Passes over upstream dialects -----------*- tablegen -*-===//

#ifndef SSMC_TRANSFORMS_PASSES_TD
#define SSMC_TRANSFORMS_PASSES_TD

include "mlir/Pass/PassBase.td"

def PlanMemoryPass : Pass<"ssm-plan-memory", "::mlir::func::FuncOp"> {
  let summary = "Puts every temporary buffer into one arena";
  let description = [{
    Replaces each `memref.alloc` by a view of a new last argument,
    `memref<?xi8> {ssm.workspace}`, so that a call allocates nothing. Extents of
    a buffer are constants, the batch B and the length L (known by the attribute
    `ssm.dims` of the arguments whose dimensions they are), so a size is `c`,
    `c*B`, `c*L` or `c*B*L` bytes. Each of the four kinds gets a part of the
    arena; within a part, buffers whose lifetimes do not overlap share memory.
    The function's attribute `ssm.workspace` holds the four coefficients: the
    arena needs `k[0] + k[1]*B + k[2]*L + k[3]*B*L` bytes.

    Before:
    ```mlir
    func.func @f(%x: memref<?x?x8xf32> {ssm.dims = array<i64: -1, -2, 8>}) {
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %b = memref.dim %x, %c0 : memref<?x?x8xf32>
      %l = memref.dim %x, %c1 : memref<?x?x8xf32>
      %t = memref.alloc(%b, %l) : memref<?x?x8xf32>
      memref.copy %x, %t : memref<?x?x8xf32> to memref<?x?x8xf32>
      memref.copy %t, %x : memref<?x?x8xf32> to memref<?x?x8xf32>
      return
    }
    ```
    the buffer becomes
    `memref.view %workspace[%offset][%b, %l] : memref<?xi8> to memref<?x?x8xf32>`.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::memref::MemRefDialect"];
}

def ExpandCopiesPass : Pass<"ssm-expand-copies", "::mlir::func::FuncOp"> {
  let summary = "Copies between memrefs become structured ops";
  let description = [{
    `memref.copy` between strided memrefs would become a call of a runtime function;
    as an elementwise `linalg.generic` it becomes a loop like any other.

    ```mlir
    func.func @f(%a: memref<8xf32, strided<[2]>>, %b: memref<8xf32>) {
      memref.copy %a, %b : memref<8xf32, strided<[2]>> to memref<8xf32>
      return
    }
    ```
    becomes a `linalg.generic` with identity maps that yields its input.
  }];
  let dependentDialects = ["::mlir::linalg::LinalgDialect"];
}

def ExpandRowsPass : Pass<"ssm-expand-rows", "::mlir::func::FuncOp"> {
  let summary = "Dimensions split into several run-time extents get their strides";
  let description = [{
    Where the batch and a sequence axis have been one dimension, a
    `memref.expand_shape` splits it into several extents that only the run time knows,
    which `expand-strided-metadata` does not expand. Of a contiguous memref it becomes a
    `memref.reinterpret_cast` whose strides are products of the extents.

    ```mlir
    func.func @f(%a: memref<?x8xf32>, %b: index, %l: index) -> memref<?x?x8xf32> {
      %e = memref.expand_shape %a [[0, 1], [2]] output_shape [%b, %l, 8]
        : memref<?x8xf32> into memref<?x?x8xf32>
      return %e : memref<?x?x8xf32>
    }
    ```
    becomes a cast with the strides `[%l * 8, 8, 1]`.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::memref::MemRefDialect"];
}

def SplitDestinationsPass : Pass<"ssm-split-destinations", "::mlir::func::FuncOp"> {
  let summary = "Gives every destination an empty tensor of its own";
  let description = [{
    CSE merges equal `tensor.empty` ops. As destinations of one op they would
    become one buffer where a result is not used, although the op writes both; so
    every use gets its own again, but for uses in branches of which one is taken. Runs
    before bufferization.

    ```mlir
    func.func @f(%b: index) -> (tensor<?xf32>, tensor<?xf32>) {
      %e = tensor.empty(%b) : tensor<?xf32>
      return %e, %e : tensor<?xf32>, tensor<?xf32>
    }
    ```
    gets a second `tensor.empty` for the second operand of the return.
  }];
  let dependentDialects = ["::mlir::tensor::TensorDialect"];
}

def JoinBranchesPass : Pass<"ssm-join-branches", "::mlir::func::FuncOp"> {
  let summary = "Gives what two branches yield one destination";
  let description = [{
    Where both branches of an `scf.if` yield what an op writes into an empty tensor of
    one shape, they get one empty tensor before the branch, so that whichever runs
    writes to the same place and nothing is copied. Expansions of what both yield move
    behind the branch. Runs before bufferization and `ssm-split-destinations`, which
    leaves such a tensor alone.

    ```mlir
    func.func @f(%c: i1, %b: index, %v: f32, %w: f32) -> tensor<?xf32> {
      %r = scf.if %c -> tensor<?xf32> {
        %e = tensor.empty(%b) : tensor<?xf32>
        %0 = linalg.fill ins(%v : f32) outs(%e : tensor<?xf32>) -> tensor<?xf32>
        scf.yield %0 : tensor<?xf32>
      } else {
        %e = tensor.empty(%b) : tensor<?xf32>
        %0 = linalg.fill ins(%w : f32) outs(%e : tensor<?xf32>) -> tensor<?xf32>
        scf.yield %0 : tensor<?xf32>
      }
      return %r : tensor<?xf32>
    }
    ```
    has one `tensor.empty` afterwards, before the branch.
  }];
  let dependentDialects = ["::mlir::scf::SCFDialect", "::mlir::tensor::TensorDialect"];
}

#endif // SSMC_TRANSFORMS_PASSES_TD
