# Thin wrappers over LLVM's macros: one precompiled header for everything that
# includes MLIR, one way to link it (the shared library).

# ssmc_add_library(NAME sources... [DEPENDS targets...] [LINK libs...])
function(ssmc_add_library name)
  cmake_parse_arguments(ARG "" "" "DEPENDS;LINK" ${ARGN})
  add_library(${name} STATIC ${ARG_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PUBLIC ${ARG_LINK} MLIR LLVM)
  if(ARG_DEPENDS)
    add_dependencies(${name} ${ARG_DEPENDS})
  endif()
  if(NOT name STREQUAL "SSMCPrecompiled")
    target_precompile_headers(${name} REUSE_FROM SSMCPrecompiled)
    target_link_libraries(${name} PRIVATE SSMCPrecompiled)
  endif()
endfunction()

# ssmc_add_tool(NAME sources... [LINK libs...])
function(ssmc_add_tool name)
  cmake_parse_arguments(ARG "" "" "LINK" ${ARGN})
  add_executable(${name} ${ARG_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE ${ARG_LINK} MLIR LLVM)
endfunction()
