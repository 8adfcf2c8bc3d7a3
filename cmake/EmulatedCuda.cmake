# A device that is emulated on the CPU in the place of CUDA's: GPU code, Caffe's and ours, runs and is tested without nvcc and
# without a GPU. cpp/tests/emulated_cuda has what stands for CUDA's runtime, cuBLAS, cuRAND and NCCL.

find_package(Boost REQUIRED COMPONENTS context)

set(UL2Q_EMULATED_CUDA_DIR ${PROJECT_SOURCE_DIR}/cpp/tests/emulated_cuda)
set(_headers ${CMAKE_BINARY_DIR}/emulated_cuda/include)
# What CUDA has in other headers is in those of cpp/tests/emulated_cuda/include, or not needed.
foreach(header cuda.h cuda_runtime.h driver_types.h math_functions.h
               thrust/device_vector.h thrust/functional.h thrust/reduce.h)
  file(CONFIGURE OUTPUT ${_headers}/${header} CONTENT "#include <cuda_runtime_api.h>\n")
endforeach()

file(GLOB _emulator CONFIGURE_DEPENDS ${UL2Q_EMULATED_CUDA_DIR}/*.cpp)
add_library(emulated_cuda SHARED ${_emulator})
target_include_directories(emulated_cuda PUBLIC ${UL2Q_EMULATED_CUDA_DIR}/include ${_headers})
target_compile_options(emulated_cuda PRIVATE -Wall -Wextra $<$<BOOL:${UL2Q_WERROR}>:-Werror>)
target_link_libraries(emulated_cuda PRIVATE Boost::context OpenMP::OpenMP_CXX ul2q::openblas)
set_target_properties(emulated_cuda PROPERTIES INSTALL_RPATH "${UL2Q_OPENBLAS_DIR}")
install(TARGETS emulated_cuda LIBRARY DESTINATION ul2q/lib)
add_library(ul2q::cuda ALIAS emulated_cuda)
set(UL2Q_nccl_FOUND TRUE)

# ul2q_rewrite_launches(<source> <target> ...): at configuration, and again when a source changes.
function(ul2q_rewrite_launches)
  set(rewriter ${UL2Q_EMULATED_CUDA_DIR}/rewrite_launches.py)
  execute_process(COMMAND ${Python_EXECUTABLE} ${rewriter} ${ARGN} COMMAND_ERROR_IS_FATAL ANY)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${rewriter} ${ARGN})
endfunction()

# Puts C++ for the emulated device in the place of the .cu files of a list of sources.
function(ul2q_emulate_cuda sources)
  set(emulated)
  set(pairs)
  foreach(source IN LISTS ${sources})
    if(source MATCHES "\\.cu$")
      get_filename_component(source ${source} ABSOLUTE)
      file(RELATIVE_PATH name ${PROJECT_SOURCE_DIR} ${source})
      string(REPLACE ".." "_" name ${name})
      list(APPEND pairs ${source} ${CMAKE_BINARY_DIR}/emulated_cuda/${name}.cpp)
      set(source ${CMAKE_BINARY_DIR}/emulated_cuda/${name}.cpp)
      set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "-include;${UL2Q_EMULATED_CUDA_DIR}/kernel.hpp")
    endif()
    list(APPEND emulated ${source})
  endforeach()
  ul2q_rewrite_launches(${pairs})
  set(${sources} ${emulated} PARENT_SCOPE)
endfunction()
