# The libraries that BVLC Caffe and ul2q link, as imported targets.

set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

# The installed tree is .../ul2q/{bin,lib,_core.so} beside .../caffe/_caffe.so; everything finds its libraries from
# where it lies itself, so the tree can be moved and needs no LD_LIBRARY_PATH.
set(CMAKE_BUILD_RPATH_USE_ORIGIN ON)

if(POLICY CMP0167)
  cmake_policy(SET CMP0167 NEW)  # Boost's own BoostConfig.cmake; CMake 3.30 dropped FindBoost
endif()

if(UL2Q_PYTHON)
  find_package(Python 3.10 REQUIRED COMPONENTS Interpreter Development.Module)
else()
  find_package(Python 3.10 REQUIRED COMPONENTS Interpreter)  # its pip fetches Caffe's source
endif()
find_package(Boost REQUIRED COMPONENTS thread filesystem)
find_package(Protobuf REQUIRED)
find_package(glog CONFIG REQUIRED)
find_package(gflags CONFIG REQUIRED)
find_package(HDF5 REQUIRED COMPONENTS C HL)
find_package(JPEG REQUIRED)  # libjpeg-turbo (libjpeg-dev), for its blue, green, red pixels
find_package(PNG REQUIRED)
find_package(ZLIB REQUIRED)
find_package(OpenMP REQUIRED COMPONENTS CXX)
find_package(hwy CONFIG REQUIRED)  # Highway (libhwy-dev): loops for the instruction sets of the processor at hand

# ul2q_find_library(<target> <header> <library> [suffix]): an imported target for a library without a CMake package.
function(ul2q_find_library target header library)
  set(suffix ${ARGN})
  string(TOUPPER ${library} var)
  find_path(${var}_INCLUDE_DIR ${header} PATH_SUFFIXES ${suffix} REQUIRED)
  find_library(${var}_LIBRARY ${library} PATH_SUFFIXES ${suffix} REQUIRED)
  mark_as_advanced(${var}_INCLUDE_DIR ${var}_LIBRARY)
  add_library(${target} INTERFACE IMPORTED GLOBAL)
  target_include_directories(${target} INTERFACE ${${var}_INCLUDE_DIR})
  target_link_libraries(${target} INTERFACE ${${var}_LIBRARY})
endfunction()

ul2q_find_library(ul2q::lmdb lmdb.h lmdb)
ul2q_find_library(ul2q::leveldb leveldb/db.h leveldb)
# oneDNN (libdnnl-dev) from 2.6: convolutions. Debian's CMake package of it asks for OpenCL's headers, which we do not use.
ul2q_find_library(ul2q::onednn dnnl.hpp dnnl)
# OpenBLAS in its OpenMP flavour shares one thread pool with our loops; the other flavours bring a pool of their own and
# oversubscribe the cores. Debian keeps the flavours in folders of their own, and the loader would take whichever its
# alternatives system prefers, so the folder goes into libcaffe's rpath.
ul2q_find_library(ul2q::openblas cblas.h openblas openblas-openmp)
get_filename_component(UL2Q_OPENBLAS_DIR "${OPENBLAS_LIBRARY}" DIRECTORY)
