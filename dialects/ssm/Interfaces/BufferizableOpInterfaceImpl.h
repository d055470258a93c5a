//===- BufferizableOpInterfaceImpl.h - Bufferization of ssm ----*- C++ -*-===//
//
// One-shot bufferization turns the dialect's ops on tensors into the same ops
// on memory.
//
//===----------------------------------------------------------------------===//

#ifndef SSM_INTERFACES_BUFFERIZABLEOPINTERFACEIMPL_H
#define SSM_INTERFACES_BUFFERIZABLEOPINTERFACEIMPL_H

namespace mlir {
class DialectRegistry;

namespace ssm {
void registerBufferizableOpInterfaceExternalModels(DialectRegistry &registry);
} // namespace ssm
} // namespace mlir

#endif // SSM_INTERFACES_BUFFERIZABLEOPINTERFACEIMPL_H
