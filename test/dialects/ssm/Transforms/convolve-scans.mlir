// RUN: ssm-opt %s --split-input-file --verify-diagnostics --pass-pipeline='builtin.module(func.func(ssm-convolve-scans))' | FileCheck %s
// RUN: ssm-opt %s --split-input-file --verify-diagnostics --pass-pipeline='builtin.module(func.func(ssm-convolve-scans))' | ssm-opt --split-input-file | FileCheck %s
// RUN: ssm-opt %s --split-input-file --verify-diagnostics --pass-pipeline='builtin.module(func.func(ssm-convolve-scans{by-position=true}))' | FileCheck %s --check-prefix=POSITION

#bte = affine_map<(b, t, e, n) -> (b, t, e)>
#en = affine_map<(b, t, e, n) -> (e, n)>

// Keys are summed in the response, lanes filled up to whole vectors; no state is carried,
// so that no scan of the tokens is left.
// CHECK-LABEL: @keys
// CHECK: %[[R:.*]] = ssm.impulse_response transition(%{{.*}} : tensor<1x2x3x1x8xf64>) input(%{{.*}} : tensor<1x2x3x8xf64>) read(%{{.*}} : tensor<1x2x1x1x3x8xf64>) outs(%{{.*}} : tensor<?x1x1x16xf32>)
// CHECK: %[[L:.*]] = tensor.extract_slice %[[R]]{{.*}} to tensor<?x1x1x10xf32>
// CHECK: %[[K:.*]] = tensor.collapse_shape %[[L]]
// CHECK-NOT: scf.if
// CHECK: ssm.conv input(%{{.*}} : tensor<?x?x10xf32>) kernel(%[[K]] : tensor<?x10xf32>)
// CHECK: shortest_fft =
// CHECK-NOT: ssm.scan
// CHECK: return
func.func @keys(%a: tensor<10x3xf32>, %u: tensor<?x?x10xf32>, %w: tensor<10x3xf32>,
    %c: tensor<10x3xf32>, %y: tensor<?x?x10xf32>, %s: tensor<?x10x3xf32>)
    -> tensor<?x?x10xf32> {
  %0:2 = ssm.scan
      ins(%a, %u, %w, %c : tensor<10x3xf32>, tensor<?x?x10xf32>, tensor<10x3xf32>,
          tensor<10x3xf32>)
      outs(%y, %s : tensor<?x?x10xf32>, tensor<?x10x3xf32>)
      maps {ins = [#en, #bte, #en, #en],
            state = affine_map<(b, t, e, n) -> (b, e, n)>, output = #bte}
      coefficients {
  ^bb0(%av: f32, %uv: f32, %wv: f32, %cv: f32):
    %write = arith.mulf %wv, %uv : f32
    ssm.coefficients decay(%av : f32) write(%write : f32) read(%cv : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } attributes {schedule = #ssm.schedule<mode = conv>}
      -> tensor<?x?x10xf32>, tensor<?x10x3xf32>
  return %0#0 : tensor<?x?x10xf32>
}

// -----

#bte = affine_map<(b, t, e) -> (b, t, e)>
#bt = affine_map<(b, t, e) -> (b, t)>

// A decay that is the same for all channels has one kernel for all. From a state that is
// not zero the recurrence goes on; final states that are read are its own as well.
// CHECK-LABEL: @states
// CHECK-SAME: %[[S0:[^:]*]]: tensor<?x8xf32>, %{{[^:]*}}: tensor<?x?x8xf32>
// CHECK: ssm.impulse_response {{.*}} outs(%{{.*}} : tensor<?x1x1x1xf32>)
// CHECK: linalg.generic {{.*}} ins(%[[S0]] : tensor<?x8xf32>)
// CHECK: arith.cmpf une
// CHECK: %[[IF:.*]]:2 = scf.if
// CHECK: ssm.conv input(%{{.*}} : tensor<?x?x8xf32>) kernel(%{{.*}} : tensor<?xf32>)
// CHECK: ssm.scan {{.*}}initial
// CHECK: else
// CHECK: ssm.scan {{.*}}initial
// CHECK: mode = scan
// CHECK: return %[[IF]]#0, %[[IF]]#1
func.func @states(%u: tensor<?x?x8xf32>, %s0: tensor<?x8xf32>, %y: tensor<?x?x8xf32>,
    %s: tensor<?x8xf32>) -> (tensor<?x?x8xf32>, tensor<?x8xf32>) {
  %0:2 = ssm.scan ins(%u : tensor<?x?x8xf32>) initial(%s0 : tensor<?x8xf32>)
      outs(%y, %s : tensor<?x?x8xf32>, tensor<?x8xf32>)
      maps {ins = [#bte], state = affine_map<(b, t, e) -> (b, e)>, output = #bte}
      coefficients {
  ^bb0(%uv: f32):
    %half = arith.constant 5.0e-01 : f32
    ssm.coefficients decay(%half : f32) write(%uv : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } attributes {schedule = #ssm.schedule<mode = conv>}
      -> tensor<?x?x8xf32>, tensor<?x8xf32>
  return %0#0, %0#1 : tensor<?x?x8xf32>, tensor<?x8xf32>
}

// -----

#bte = affine_map<(b, t, e) -> (b, t, e)>

// A decay that changes from token to token has no kernel.
func.func @varying(%u: tensor<?x?x8xf32>, %y: tensor<?x?x8xf32>, %s: tensor<?x8xf32>)
    -> tensor<?x?x8xf32> {
  // expected-error @below {{mode 'conv' is not possible: its matrices differ between tokens or rows of the batch}}
  %0:2 = ssm.scan ins(%u : tensor<?x?x8xf32>)
      outs(%y, %s : tensor<?x?x8xf32>, tensor<?x8xf32>)
      maps {ins = [#bte], state = affine_map<(b, t, e) -> (b, e)>, output = #bte}
      coefficients {
  ^bb0(%uv: f32):
    ssm.coefficients decay(%uv : f32) write(%uv : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } attributes {schedule = #ssm.schedule<mode = conv>}
      -> tensor<?x?x8xf32>, tensor<?x8xf32>
  return %0#0 : tensor<?x?x8xf32>
}

// -----

#bte = affine_map<(b, t, e, n) -> (b, t, e)>
#en = affine_map<(b, t, e, n) -> (e, n)>

// A layer: the kernel is as long as what is prepared for. Calls that keep the state after
// them take the recurrence in its own schedule, and others leave the state as it is.
// CHECK-LABEL: @layer
// CHECK-SAME: %[[S0:[^:]*]]: tensor<?x16x3xf32> {ssm.state = "s"}
// CHECK-SAME: %[[LENGTH:[^:]*]]: index {ssm.any_length, ssm.prepared_length}, %[[KEEPS:[^:]*]]: i1 {ssm.keeps_state}
// CHECK: ssm.impulse_response {{.*}} outs(%{{.*}} : tensor<?x1x1x16xf32>)
// CHECK: arith.cmpi sge, %{{.*}}, %c100
// CHECK: arith.cmpi sle, %{{.*}}, %[[LENGTH]]
// CHECK: arith.cmpi eq, %[[KEEPS]], %false
// CHECK: %[[IF:.*]]:2 = scf.if
// CHECK: ssm.conv
// CHECK: scf.yield %{{.*}}, %[[S0]]
// CHECK: else
// CHECK: ssm.scan
// CHECK: mode = chunk, chunk = 16
// CHECK-NOT: shortest_conv
// CHECK: {ssm.shortest_conv = 100 : i64}
// Where states are not looked at, only a sequence that begins is convolved.
// POSITION-LABEL: @layer
// POSITION-SAME: %[[POSITION:[^:]*]]: index {ssm.position}
// POSITION-NOT: "reduction"
// POSITION: arith.cmpi eq, %[[POSITION]], %c0
// POSITION: scf.if
// POSITION: ssm.conv
// POSITION: else
// POSITION: ssm.scan
func.func @layer(%a: tensor<16x3xf32> {ssm.weight = "a"},
    %u: tensor<?x?x16xf32> {ssm.input = "u"}, %s: tensor<?x16x3xf32> {ssm.state = "s"},
    %y: tensor<?x?x16xf32>)
    -> (tensor<?x?x16xf32> {ssm.output = "y"}, tensor<?x16x3xf32> {ssm.state = "s"}) {
  %0:2 = ssm.scan ins(%a, %u : tensor<16x3xf32>, tensor<?x?x16xf32>)
      initial(%s : tensor<?x16x3xf32>)
      outs(%y, %s : tensor<?x?x16xf32>, tensor<?x16x3xf32>)
      maps {ins = [#en, #bte],
            state = affine_map<(b, t, e, n) -> (b, e, n)>, output = #bte}
      coefficients {
  ^bb0(%av: f32, %uv: f32):
    ssm.coefficients decay(%av : f32) write(%uv : f32) read(%av : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } attributes {schedule = #ssm.schedule<mode = chunk, chunk = 16>, shortest_conv = 100 : i64}
      -> tensor<?x?x16xf32>, tensor<?x16x3xf32>
  return %0#0, %0#1 : tensor<?x?x16xf32>, tensor<?x16x3xf32>
}

// -----

#bte = affine_map<(b, t, e, n) -> (b, t, e)>
#en = affine_map<(b, t, e, n) -> (e, n)>

// With a state of the caller's a sequence may begin anywhere.
// CHECK-LABEL: @given
// CHECK: ssm.conv
// POSITION-LABEL: @given
// POSITION-NOT: ssm.conv
// POSITION: return
func.func @given(%a: tensor<16x3xf32> {ssm.weight = "a"},
    %u: tensor<?x?x16xf32> {ssm.input = "u"}, %s: tensor<?x16x3xf32> {ssm.initial = "s0", ssm.state = "s"},
    %y: tensor<?x?x16xf32>)
    -> (tensor<?x?x16xf32> {ssm.output = "y"}, tensor<?x16x3xf32> {ssm.state = "s"}) {
  %0:2 = ssm.scan ins(%a, %u : tensor<16x3xf32>, tensor<?x?x16xf32>)
      initial(%s : tensor<?x16x3xf32>)
      outs(%y, %s : tensor<?x?x16xf32>, tensor<?x16x3xf32>)
      maps {ins = [#en, #bte],
            state = affine_map<(b, t, e, n) -> (b, e, n)>, output = #bte}
      coefficients {
  ^bb0(%av: f32, %uv: f32):
    ssm.coefficients decay(%av : f32) write(%uv : f32) read(%av : f32)
  } epilogue {
  ^bb0(%o: f32):
    ssm.yield %o : f32
  } attributes {schedule = #ssm.schedule<mode = chunk, chunk = 16>, shortest_conv = 100 : i64}
      -> tensor<?x?x16xf32>, tensor<?x16x3xf32>
  return %0#0, %0#1 : tensor<?x?x16xf32>, tensor<?x16x3xf32>
}
