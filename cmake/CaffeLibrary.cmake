# libcaffe, built straight from BVLC's .cpp and .cu files.

# caffe.proto imports our quantization.proto; C++ and Python get the same two.
set(_proto_dir "${CMAKE_BINARY_DIR}/proto")
set(_cpp_proto_dir "${_proto_dir}/include/caffe/proto")
set(CAFFE_PYTHON_PROTO_DIR "${_proto_dir}/python")
file(MAKE_DIRECTORY "${_cpp_proto_dir}" "${CAFFE_PYTHON_PROTO_DIR}")
set(_proto_paths
  --proto_path=${CAFFE_REPAIRED}/src/caffe/proto --proto_path=${PROJECT_SOURCE_DIR}/cpp/caffe/proto)
set(_protos ${CAFFE_REPAIRED}/src/caffe/proto/caffe.proto ${PROJECT_SOURCE_DIR}/cpp/caffe/proto/quantization.proto)
set(_proto_cpp)
foreach(name caffe quantization)
  list(APPEND _proto_cpp ${_cpp_proto_dir}/${name}.pb.cc ${_cpp_proto_dir}/${name}.pb.h)
endforeach()
add_custom_command(
  OUTPUT ${_proto_cpp} ${CAFFE_PYTHON_PROTO_DIR}/caffe_pb2.py ${CAFFE_PYTHON_PROTO_DIR}/quantization_pb2.py
  COMMAND protobuf::protoc ${_proto_paths} --cpp_out=${_cpp_proto_dir} --python_out=${CAFFE_PYTHON_PROTO_DIR}
          ${_protos}
  # protoc imports quantization_pb2 from the top level; the module lies in the package caffe.proto.
  COMMAND ${CMAKE_COMMAND} -DFILE=${CAFFE_PYTHON_PROTO_DIR}/caffe_pb2.py
          -P ${PROJECT_SOURCE_DIR}/cmake/RelativeProtoImport.cmake
  DEPENDS ${_protos} ${PROJECT_SOURCE_DIR}/cmake/RelativeProtoImport.cmake
  COMMENT "Generating caffe.proto's C++ and Python")

# BVLC's files, a repaired copy in the place of the original where there is one. A checkout's extra layers are found here.
set(_patterns)
foreach(folder caffe caffe/layers caffe/solvers caffe/util)
  list(APPEND _patterns ${CAFFE_ROOT}/src/${folder}/*.cpp)
  if(UL2Q_CUDA)
    list(APPEND _patterns ${CAFFE_ROOT}/src/${folder}/*.cu)
  endif()
endforeach()
file(GLOB _sources CONFIGURE_DEPENDS RELATIVE ${CAFFE_ROOT} ${_patterns})
set(_caffe_sources)
foreach(source IN LISTS _sources)
  if(EXISTS ${CAFFE_REPAIRED}/${source})
    list(APPEND _caffe_sources ${CAFFE_REPAIRED}/${source})
  else()
    list(APPEND _caffe_sources ${CAFFE_ROOT}/${source})
  endif()
endforeach()
if(UL2Q_CUDA_EMULATED)
  ul2q_emulate_cuda(_caffe_sources)
  # It has launches, too, in a macro.
  ul2q_rewrite_launches(${CAFFE_ROOT}/include/caffe/util/math_functions.hpp
                        ${CAFFE_REPAIRED}/include/caffe/util/math_functions.hpp)
endif()

add_library(caffe SHARED ${_caffe_sources} ${_proto_cpp}
  cpp/caffe/support/files.cpp cpp/caffe/support/hdf5_file.cpp cpp/caffe/support/hdf5_weights.cpp cpp/caffe/support/layer_check.cpp
  cpp/caffe/support/layer_scope.cpp cpp/caffe/support/near_names.cpp cpp/caffe/support/new_file.cpp cpp/caffe/support/prototxt.cpp cpp/caffe/support/resume.cpp)
target_include_directories(caffe PUBLIC ${PROJECT_SOURCE_DIR}/cpp PRIVATE ${CAFFE_REPAIRED}/src ${CAFFE_ROOT}/src)
# cpp/caffe, with its glog/, stands before glog's headers, the repaired copies before BVLC's originals.
target_include_directories(caffe SYSTEM BEFORE PUBLIC
  ${PROJECT_SOURCE_DIR}/cpp/caffe ${_proto_dir}/include ${_cpp_proto_dir}
  ${CAFFE_REPAIRED}/include ${CAFFE_ROOT}/include)
target_compile_definitions(caffe PUBLIC
  USE_HDF5 USE_LEVELDB USE_LMDB CAFFE_VERSION=1.0.0 BOOST_BIND_GLOBAL_PLACEHOLDERS)
if(UL2Q_CUDA)
  target_sources(caffe PRIVATE cpp/caffe/support/cuda_device.cpp)
  target_link_libraries(caffe PUBLIC ul2q::cuda)
  if(UL2Q_nccl_FOUND)
    target_compile_definitions(caffe PUBLIC USE_NCCL)
  endif()
else()
  target_compile_definitions(caffe PUBLIC CPU_ONLY)
endif()
target_compile_options(caffe PRIVATE -w)  # the warnings of a finished code base are nobody's news
target_link_libraries(caffe
  PUBLIC Boost::thread Boost::filesystem protobuf::libprotobuf glog::glog gflags
  PRIVATE ul2q::lmdb ul2q::leveldb ${HDF5_C_LIBRARIES} ${HDF5_C_HL_LIBRARIES}
  PUBLIC ul2q::openblas)
target_include_directories(caffe SYSTEM PRIVATE ${HDF5_INCLUDE_DIRS})
set_target_properties(caffe PROPERTIES INSTALL_RPATH "$ORIGIN;${UL2Q_OPENBLAS_DIR};${UL2Q_CUDA_LIBRARY_DIRS}")
install(TARGETS caffe LIBRARY DESTINATION ul2q/lib)
