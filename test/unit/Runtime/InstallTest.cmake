# Installs the runtime, builds examples/c against it with find_package, and runs
# the program on a layer that is linked and on the same one loaded.
function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status
                  OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${ARGN}: ${status}\n${output}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

file(REMOVE_RECURSE ${WORK})
file(MAKE_DIRECTORY ${WORK})
run(${CMAKE_COMMAND} --install ${BUILD} --component ssmrt --prefix ${WORK}/prefix)
set(flags)
if(SANITIZERS)
  set(flags -fsanitize=${SANITIZERS})
endif()
run(${COMPILER} -std=c11 ${flags} -I${WORK}/prefix/include
    -c ${SOURCE}/test/unit/Runtime/FakeModule.c -o ${WORK}/fake.o)
foreach(kind linked loaded)
  set(options)
  if(kind STREQUAL linked)
    set(options -DLAYER=fake -DLAYER_OBJECT=${WORK}/fake.o)
  endif()
  run(${CMAKE_COMMAND} -S ${SOURCE}/examples/c -B ${WORK}/${kind} -G ${GENERATOR}
      -DCMAKE_C_COMPILER=${COMPILER} -DCMAKE_PREFIX_PATH=${WORK}/prefix
      "-DCMAKE_C_FLAGS=${flags}" ${options})
  run(${CMAKE_COMMAND} --build ${WORK}/${kind})
endforeach()

run(${WORK}/linked/run_layer)
set(linked "${output}")
run(${WORK}/loaded/run_layer ${LAYER})
if(NOT linked STREQUAL output OR NOT output MATCHES "fake: layer Fake for cpu")
  message(FATAL_ERROR "descriptions:\n${linked}\n${output}")
endif()

# No C++ and no compiler of layers in sight.
find_program(READELF NAMES readelf llvm-readelf llvm-readelf-22)
if(READELF)
  run(${READELF} -d ${WORK}/linked/run_layer)
  if(output MATCHES "libstdc|libc\\+\\+|LLVM|MLIR")
    message(FATAL_ERROR "the program needs more than C:\n${output}")
  endif()
endif()
