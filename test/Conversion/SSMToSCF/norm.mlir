// RUN: ssm-opt %s --convert-ssm-to-scf --canonicalize --cse \
// RUN:   | FileCheck %s --implicit-check-not=' ssm.'

// The variance is about the mean: three passes over the row.
// CHECK-LABEL: func.func @layer
// CHECK-SAME: %[[X:[^,]*]]: memref<?x8xf32>, %[[Y:[^,)]*]]: memref<?x8xf32>)
// CHECK-DAG: %[[SIZE:.*]] = arith.constant 4.000000e+00 : f32
// CHECK-DAG: %[[EPS:.*]] = arith.constant 9.99999974E-6 : f32
// CHECK: scf.for %[[ROW:.*]] =
// CHECK: scf.for %[[GROUP:.*]] =
// CHECK: %[[TOTAL:.*]] = scf.for
// CHECK: %[[MEAN:.*]] = arith.divf %[[TOTAL]], %[[SIZE]]
// CHECK: %[[SQUARES:.*]] = scf.for
// CHECK: arith.subf %{{.*}}, %[[MEAN]]
// CHECK: %[[VARIANCE:.*]] = arith.divf %[[SQUARES]], %[[SIZE]]
// CHECK: %[[SUM:.*]] = arith.addf %[[VARIANCE]], %[[EPS]]
// CHECK: %[[DIVISOR:.*]] = math.sqrt %[[SUM]]
// CHECK: scf.for %[[I:.*]] =
// CHECK: %[[LOADED:.*]] = memref.load %[[X]][%[[ROW]], %[[I]]]
// CHECK: %[[DIFFERENCE:.*]] = arith.subf %[[LOADED]], %[[MEAN]]
// CHECK: %[[RESULT:.*]] = arith.divf %[[DIFFERENCE]], %[[DIVISOR]]
// CHECK: memref.store %[[RESULT]], %[[Y]][%[[ROW]], %[[I]]]
func.func @layer(%x: memref<?x8xf32>, %y: memref<?x8xf32>) {
  ssm.norm layer eps 1.0e-5 groups 2 input(%x : memref<?x8xf32>)
      outs(%y : memref<?x8xf32>) maps [] epilogue {
  ^bb0(%v: f32):
    ssm.yield %v : f32
  }
  return
}

// CHECK-LABEL: func.func @l2
// CHECK-NOT: arith.subf
// CHECK: %[[SQUARES:.*]] = scf.for
// CHECK: %[[SUM:.*]] = arith.addf %[[SQUARES]]
// CHECK: math.sqrt %[[SUM]] : f64
func.func @l2(%x: memref<8xf64>, %y: memref<8xf64>) {
  ssm.norm l2 eps 1.0e-5 input(%x : memref<8xf64>) outs(%y : memref<8xf64>)
      maps [] epilogue {
  ^bb0(%v: f64):
    ssm.yield %v : f64
  }
  return
}
