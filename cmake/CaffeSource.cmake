# BVLC Caffe's source -> CAFFE_ROOT (read only) and CAFFE_REPAIRED (copies of the few files that need a repair).
#
# The source is that of BVLC/caffe at commit 9b89154, its last, as the source distribution of a package in the Python
# package index: fetched by name, checked by hash before anything of it is read, and kept in a cache outside the build
# folder, so that a clean build needs no network.

set(UL2Q_CAFFE_PACKAGE "brocolli-caffe" CACHE INTERNAL "")
set(UL2Q_CAFFE_VERSION "3.0.0" CACHE INTERNAL "")
set(UL2Q_CAFFE_SHA256 "ad7ba487552f4343df25044a9fa14812a96add48ea2ff993b53bf2dafe8248e2" CACHE INTERNAL "")

function(ul2q_cache_dir result)
  if(DEFINED ENV{UL2Q_CACHE_DIR})
    set(dir "$ENV{UL2Q_CACHE_DIR}")
  elseif(DEFINED ENV{XDG_CACHE_HOME})
    set(dir "$ENV{XDG_CACHE_HOME}/ul2q")
  else()
    set(dir "$ENV{HOME}/.cache/ul2q")
  endif()
  set(${result} "${dir}" PARENT_SCOPE)
endfunction()

# Puts the archive into the cache unless one with the right hash lies there.
function(ul2q_fetch_caffe archive)
  if(EXISTS "${archive}")
    file(SHA256 "${archive}" found)
    if(found STREQUAL UL2Q_CAFFE_SHA256)
      return()
    endif()
    message(NOTICE "${archive} is damaged: fetching it again")
    file(REMOVE "${archive}")
  endif()
  get_filename_component(cache "${archive}" DIRECTORY)
  file(MAKE_DIRECTORY "${cache}")
  set(requirements "${CMAKE_BINARY_DIR}/caffe-source.txt")
  file(WRITE "${requirements}"
    "${UL2Q_CAFFE_PACKAGE}==${UL2Q_CAFFE_VERSION} --hash=sha256:${UL2Q_CAFFE_SHA256}\n")
  message(NOTICE "Fetching BVLC Caffe's source (${UL2Q_CAFFE_PACKAGE} ${UL2Q_CAFFE_VERSION})")
  execute_process(
    COMMAND ${Python_EXECUTABLE} -m pip download --quiet --no-deps --no-binary ${UL2Q_CAFFE_PACKAGE} --require-hashes
            --requirement ${requirements} --dest ${cache}
    RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT status EQUAL 0 OR NOT EXISTS "${archive}")
    message(FATAL_ERROR
      "Could not fetch ${UL2Q_CAFFE_PACKAGE}==${UL2Q_CAFFE_VERSION} with pip:\n${output}\n"
      "Without a network: put ${UL2Q_CAFFE_PACKAGE}-${UL2Q_CAFFE_VERSION}.tar.gz into ${cache}, or set "
      "CAFFE_SOURCE_DIR to a checkout of BVLC/caffe.")
  endif()
endfunction()

if(CAFFE_SOURCE_DIR)
  get_filename_component(CAFFE_ROOT "${CAFFE_SOURCE_DIR}" ABSOLUTE)
  if(NOT EXISTS "${CAFFE_ROOT}/src/caffe/proto/caffe.proto")
    message(FATAL_ERROR "CAFFE_SOURCE_DIR=${CAFFE_SOURCE_DIR} holds no src/caffe/proto/caffe.proto: "
                        "it must be the top of a BVLC/caffe checkout")
  endif()
else()
  ul2q_cache_dir(_cache)
  set(_archive "${_cache}/${UL2Q_CAFFE_PACKAGE}-${UL2Q_CAFFE_VERSION}.tar.gz")
  ul2q_fetch_caffe("${_archive}")
  set(CAFFE_ROOT "${CMAKE_BINARY_DIR}/caffe-source/${UL2Q_CAFFE_PACKAGE}-${UL2Q_CAFFE_VERSION}")
  if(NOT EXISTS "${CAFFE_ROOT}/.unpacked")
    file(ARCHIVE_EXTRACT INPUT "${_archive}" DESTINATION "${CMAKE_BINARY_DIR}/caffe-source"
         PATTERNS "*/include/*" "*/src/caffe/*" "*/tools/*" "*/python/*" "*/LICENSE")
    file(TOUCH "${CAFFE_ROOT}/.unpacked")
  endif()
endif()
message(STATUS "BVLC Caffe's source: ${CAFFE_ROOT}")

include(CaffeRepairs)
