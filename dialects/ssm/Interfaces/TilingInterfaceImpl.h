//===- TilingInterfaceImpl.h - Tiling of ssm -------------------*- C++ -*-===//
//
// Upstream tiling and fusion (`transform.structured.tile_using_for`, `fuse`, ...)
// on the dialect's ops.
//
//===----------------------------------------------------------------------===//

#ifndef SSM_INTERFACES_TILINGINTERFACEIMPL_H
#define SSM_INTERFACES_TILINGINTERFACEIMPL_H

namespace mlir {
class DialectRegistry;

namespace ssm {
void registerTilingInterfaceExternalModels(DialectRegistry &registry);
} // namespace ssm
} // namespace mlir

#endif // SSM_INTERFACES_TILINGINTERFACEIMPL_H
