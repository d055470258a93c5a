# Finds MLIR 22.1 where the distribution puts it and loads LLVM's build macros.
find_program(LLVM_CONFIG NAMES llvm-config-22 llvm-config REQUIRED)
execute_process(COMMAND ${LLVM_CONFIG} --prefix
                OUTPUT_VARIABLE SSMC_LLVM_PREFIX OUTPUT_STRIP_TRAILING_WHITESPACE)
find_package(MLIR 22.1 REQUIRED CONFIG HINTS ${SSMC_LLVM_PREFIX})
# LLVMConfig names llvm-lit, which is not packaged; lit is.
find_program(LLVM_EXTERNAL_LIT NAMES lit lit-22 PATHS ${LLVM_TOOLS_BINARY_DIR} NO_DEFAULT_PATH)

set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
set(LLVM_RUNTIME_OUTPUT_INTDIR ${CMAKE_BINARY_DIR}/bin)
set(LLVM_LIBRARY_OUTPUT_INTDIR ${CMAKE_BINARY_DIR}/lib)
set(MLIR_BINARY_DIR ${CMAKE_BINARY_DIR})
list(APPEND CMAKE_MODULE_PATH ${MLIR_CMAKE_DIR} ${LLVM_CMAKE_DIR})
include(TableGen)
include(AddLLVM)
include(AddMLIR)
include(HandleLLVMOptions)

# The packages are built without assertions; ours are our own choice.
if(SSMC_ENABLE_ASSERTIONS)
  add_compile_options(-UNDEBUG)
else()
  add_compile_options(-DNDEBUG)
endif()
add_compile_options(-Wall -Wextra -Wno-unused-parameter)
if(SSMC_SANITIZERS)
  add_compile_options(-fsanitize=${SSMC_SANITIZERS} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${SSMC_SANITIZERS})
endif()

separate_arguments(llvm_definitions NATIVE_COMMAND ${LLVM_DEFINITIONS})
add_definitions(${llvm_definitions})
include_directories(SYSTEM ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})
include_directories(${PROJECT_SOURCE_DIR}/dialects ${PROJECT_BINARY_DIR}/dialects
                    ${PROJECT_SOURCE_DIR}/include ${PROJECT_BINARY_DIR}/include)
