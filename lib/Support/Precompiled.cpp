//===- Precompiled.cpp - Carrier of the precompiled header ----------------===//
// Nothing here: the target exists so that others can reuse its header.
