// RUN: ssm-opt %s --convert-ssm-to-scf --canonicalize --cse \
// RUN:   | FileCheck %s --implicit-check-not=' ssm.'

// CHECK-LABEL: func.func @pack_pairs
// CHECK-SAME: %[[W:[^,]*]]: memref<48x5xf32>, %[[P:[^,)]*]]: memref<2x3x32x2xbf16>)
// CHECK-DAG: %[[C2:.*]] = arith.constant 2 : index
// CHECK-DAG: %[[C32:.*]] = arith.constant 32 : index
// CHECK-DAG: %[[ZERO:.*]] = arith.constant 0.000000e+00 : bf16
// CHECK: scf.for %[[PANEL:.*]] =
// CHECK: scf.for %[[PAIR:.*]] =
// CHECK: scf.for %[[COLUMN:.*]] =
// CHECK: scf.for %[[PART:.*]] =
// CHECK: %[[FIRST:.*]] = arith.muli %[[PANEL]], %[[C32]]
// CHECK: %[[N:.*]] = arith.addi %[[FIRST]], %[[COLUMN]]
// CHECK: %[[EVEN:.*]] = arith.muli %[[PAIR]], %[[C2]]
// CHECK: %[[K:.*]] = arith.addi %[[EVEN]], %[[PART]]
// CHECK: scf.if
// CHECK: %[[LOADED:.*]] = memref.load %[[W]][%[[N]], %[[K]]]
// CHECK: arith.truncf %[[LOADED]] : f32 to bf16
// CHECK: scf.yield %[[ZERO]] : bf16
// CHECK: memref.store %{{.*}}, %[[P]][%[[PANEL]], %[[PAIR]], %[[COLUMN]], %[[PART]]]
func.func @pack_pairs(%w: memref<48x5xf32>, %p: memref<2x3x32x2xbf16>) {
  ssm.pack weight(%w : memref<48x5xf32>) outs(%p : memref<2x3x32x2xbf16>)
  return
}

// CHECK-LABEL: func.func @matmul
// CHECK-SAME: %[[X:[^,]*]]: memref<?x5xf32>, %[[W:[^,]*]]: memref<2x3x32x2xbf16>, %[[Y:[^,)]*]]: memref<?x48xbf16>)
// CHECK: scf.for %[[ROW:.*]] =
// CHECK: scf.for %[[N:.*]] =
// CHECK: %[[PANEL:.*]] = arith.divui %[[N]]
// CHECK: %[[COLUMN:.*]] = arith.remui %[[N]]
// CHECK: %[[SUM:.*]] = scf.for %[[K:[^ ]*]] = {{.*}} -> (f32)
// CHECK: %[[PAIR:.*]] = arith.divui %[[K]]
// CHECK: %[[PART:.*]] = arith.remui %[[K]]
// CHECK: memref.load %[[X]][%[[ROW]], %[[K]]]
// CHECK: memref.load %[[W]][%[[PANEL]], %[[PAIR]], %[[COLUMN]], %[[PART]]]
// CHECK: %[[NARROW:.*]] = arith.truncf %[[SUM]] : f32 to bf16
// CHECK: memref.store %[[NARROW]], %[[Y]][%[[ROW]], %[[N]]]
func.func @matmul(%x: memref<?x5xf32>, %w: memref<2x3x32x2xbf16>,
    %y: memref<?x48xbf16>) {
  ssm.matmul input(%x : memref<?x5xf32>) weight(%w : memref<2x3x32x2xbf16>)
      outs(%y : memref<?x48xbf16>) maps [] epilogue {
  ^bb0(%acc: bf16):
    ssm.yield %acc : bf16
  }
  return
}
