// What is not needed for a piece to be interesting goes away; the passes are known by name.
// RUN: ssm-reduce %s --reduction-tree='traversal-mode=0 test=%S/Inputs/has_two_shifts.sh' | FileCheck %s
// RUN: ssm-reduce %s --opt-reduction-pass='opt-pass=canonicalize test=%S/Inputs/has_two_shifts.sh' | FileCheck %s --check-prefix=PASS

// CHECK-LABEL: func.func @both
// CHECK-NOT:     arith
// CHECK:         ssm.shift 1
// CHECK-NOT:     linalg
// CHECK:         ssm.shift -1
// CHECK-NOT:   func.func @neither
// PASS-LABEL:  func.func @both
// PASS-NOT:      arith
// PASS:          ssm.shift 1
func.func @both(%x: tensor<?x?x8xf32>, %y: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
  %unused = arith.constant 2.0 : f32
  %0 = ssm.shift 1 input(%x : tensor<?x?x8xf32>) outs(%y : tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  %1 = ssm.shift -1 input(%0 : tensor<?x?x8xf32>) outs(%y : tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  return %1 : tensor<?x?x8xf32>
}

func.func @neither(%x: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
  return %x : tensor<?x?x8xf32>
}
