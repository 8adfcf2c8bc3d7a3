# CUDA 12 or 13: the compiler, and ul2q::cuda with the headers and libraries that BVLC Caffe's GPU code takes.
#
# cuBLAS, cuRAND and NCCL come from the toolkit, the system, or their Python packages (nvidia-cublas, nvidia-curand,
# nvidia-nccl-cu13), whose libraries have no unversioned names: all are linked by full path.

set(UL2Q_CUDA_PACKAGES "" CACHE PATH "A folder of Python packages with nvidia-cublas and nvidia-curand in it")
option(UL2Q_NCCL "Train on several GPUs by NCCL, where it is found" ON)

# Turing, Ampere (A100) and Hopper; newer processors compile the last one's PTX as they start.
if(NOT CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 75-real 80-real 90 CACHE STRING "CUDA architectures to compile for")
endif()
include(CheckLanguage)
check_language(CUDA)
if(NOT CMAKE_CUDA_COMPILER)
  message(FATAL_ERROR "UL2Q_CUDA=ON needs nvcc of CUDA 12 or 13 on the PATH; or name it by -DCMAKE_CUDA_COMPILER=... "
                      "(or leave UL2Q_CUDA out: without it ul2q computes on the CPU)")
endif()
enable_language(CUDA)
if(CMAKE_CUDA_COMPILER_VERSION VERSION_LESS 12 OR CMAKE_CUDA_COMPILER_VERSION VERSION_GREATER_EQUAL 14)
  message(FATAL_ERROR "${CMAKE_CUDA_COMPILER} is of CUDA ${CMAKE_CUDA_COMPILER_VERSION}; ul2q needs CUDA 12 or 13")
endif()
string(REGEX MATCH "^[0-9]+" _cuda_major "${CMAKE_CUDA_COMPILER_VERSION}")
set(CMAKE_CUDA_STANDARD 17)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
# libcaffe and libul2q are in one process, with one CUDA runtime.
set(CMAKE_CUDA_RUNTIME_LIBRARY Shared)

execute_process(COMMAND ${Python_EXECUTABLE} -c "import sysconfig; print(sysconfig.get_path('purelib'))"
  OUTPUT_VARIABLE _site_packages OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
set(_cuda_roots ${CMAKE_CUDA_COMPILER_TOOLKIT_ROOT} ${CMAKE_CUDA_COMPILER_LIBRARY_ROOT})
foreach(target x86_64-linux sbsa-linux)
  list(APPEND _cuda_roots ${CMAKE_CUDA_COMPILER_LIBRARY_ROOT}/targets/${target})
endforeach()
foreach(packages ${UL2Q_CUDA_PACKAGES} ${_site_packages})
  # CUDA 13's packages share a folder, 12's and NCCL's have one each.
  foreach(name cu${_cuda_major} cublas curand nccl)
    list(APPEND _cuda_roots ${packages}/nvidia/${name})
  endforeach()
endforeach()

add_library(ul2q::cuda INTERFACE IMPORTED GLOBAL)
set(UL2Q_CUDA_LIBRARY_DIRS)
# Adds a library to ul2q::cuda. One that is in none of the roots is an error that names the Python packages with it; without
# such packages it is not needed.
function(ul2q_find_cuda name header packages)
  # Debian's own toolkit has its libraries in the folder of the processor.
  find_path(UL2Q_${name}_INCLUDE_DIR ${header} HINTS ${_cuda_roots} PATH_SUFFIXES include NO_DEFAULT_PATH)
  find_library(UL2Q_${name}_LIBRARY NAMES ${name} ${ARGN} HINTS ${_cuda_roots}
    PATH_SUFFIXES lib64 lib lib/${CMAKE_LIBRARY_ARCHITECTURE} NO_DEFAULT_PATH)
  mark_as_advanced(UL2Q_${name}_INCLUDE_DIR UL2Q_${name}_LIBRARY)
  if(UL2Q_${name}_INCLUDE_DIR AND UL2Q_${name}_LIBRARY)
    get_filename_component(dir "${UL2Q_${name}_LIBRARY}" DIRECTORY)
    list(APPEND UL2Q_CUDA_LIBRARY_DIRS "${dir}")
    list(REMOVE_DUPLICATES UL2Q_CUDA_LIBRARY_DIRS)
    set(UL2Q_CUDA_LIBRARY_DIRS "${UL2Q_CUDA_LIBRARY_DIRS}" PARENT_SCOPE)
    target_include_directories(ul2q::cuda SYSTEM INTERFACE "${UL2Q_${name}_INCLUDE_DIR}")
    target_link_libraries(ul2q::cuda INTERFACE "${UL2Q_${name}_LIBRARY}")
    set(UL2Q_${name}_FOUND TRUE PARENT_SCOPE)
  elseif(packages)
    string(JOIN "\n  " roots ${_cuda_roots})
    message(FATAL_ERROR "UL2Q_CUDA=ON needs ${header} and lib${name}, which are in none of\n  ${roots}\n"
      "Install them with the CUDA toolkit, or by\n  pip install --target DIR ${packages}\nand set UL2Q_CUDA_PACKAGES=DIR.")
  endif()
endfunction()
if(_cuda_major EQUAL 12)
  set(_cuda_packages "nvidia-cublas-cu12 nvidia-curand-cu12")
else()
  set(_cuda_packages "'nvidia-cublas==${_cuda_major}.*' nvidia-curand")
endif()
ul2q_find_cuda(cudart cuda_runtime.h "nvidia-cuda-runtime" libcudart.so.${_cuda_major})
ul2q_find_cuda(cublas cublas_v2.h "${_cuda_packages}" libcublas.so.${_cuda_major})
ul2q_find_cuda(curand curand.h "${_cuda_packages}" libcurand.so.10)
set(_nccl "no NCCL: one GPU at a time")
if(UL2Q_NCCL)
  # Where NCCL is not the toolkit's, it is the system's.
  list(APPEND _cuda_roots /usr /usr/local)
  ul2q_find_cuda(nccl nccl.h "" libnccl.so.2)
  if(UL2Q_nccl_FOUND)
    set(_nccl "NCCL ${UL2Q_nccl_LIBRARY}")
  endif()
endif()
message(STATUS "CUDA ${CMAKE_CUDA_COMPILER_VERSION} for ${CMAKE_CUDA_ARCHITECTURES}; cuBLAS ${UL2Q_cublas_LIBRARY}, "
               "cuRAND ${UL2Q_curand_LIBRARY}, ${_nccl}")
