// RUN: ssm-opt %s --split-input-file --verify-diagnostics --ssm-split-prepare

// expected-error @below {{@prepare exists already: @forward can be split only once}}
func.func private @prepare()
// expected-note @below {{@forward is here}}
func.func @forward(%w: tensor<4xf32> {ssm.weight = "w"}) {
  return
}

// -----

// expected-error @below {{argument #0 is a weight and must be a tensor of static shape, but is 'tensor<?xf32>'}}
func.func @forward(%w: tensor<?xf32> {ssm.weight = "w"}) {
  return
}

// -----

// expected-error @below {{expected a body of one block, found 2}}
func.func @forward(%w: tensor<4xf32> {ssm.weight = "w"}) {
  cf.br ^bb1
^bb1:
  return
}
