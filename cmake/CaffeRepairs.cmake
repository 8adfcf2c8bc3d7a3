# The places where BVLC's source has to change, each with its reason. The source itself stays as it is: a repaired copy of
# the file goes to CAFFE_REPAIRED, which stands before CAFFE_ROOT in every search path.

set(CAFFE_REPAIRED "${CMAKE_BINARY_DIR}/caffe-repaired")

# ul2q_repair(<file> FROM <text> [<text>...] TO <text>)
#
# Replaces the first of the given texts that occurs in <file> (a path below CAFFE_ROOT). Several texts are the spellings
# of the versions that are known. Several repairs of one file add up.
function(ul2q_repair file)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "TO" "FROM")
  set(source "${CAFFE_ROOT}/${file}")
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${source}")
  get_property(content GLOBAL PROPERTY "ul2q_repaired_${file}")
  if(NOT content)
    file(READ "${source}" content)
  endif()
  set(repaired FALSE)
  foreach(text IN LISTS arg_FROM)
    string(FIND "${content}" "${text}" position)
    if(NOT position EQUAL -1)
      string(REPLACE "${text}" "${arg_TO}" content "${content}")
      set(repaired TRUE)
      break()
    endif()
  endforeach()
  if(NOT repaired)
    message(FATAL_ERROR "${source} does not read like BVLC Caffe's: ul2q looked for\n${arg_FROM}\n"
                        "Set CAFFE_SOURCE_DIR to a checkout of BVLC/caffe (commit 9b89154 or near it).")
  endif()
  set_property(GLOBAL PROPERTY "ul2q_repaired_${file}" "${content}")
  set_property(GLOBAL APPEND PROPERTY ul2q_repaired_files "${file}")
endfunction()

# Writes the repaired files; one that did not change keeps its time stamp and is not compiled again.
function(ul2q_write_repaired)
  get_property(files GLOBAL PROPERTY ul2q_repaired_files)
  list(REMOVE_DUPLICATES files)
  foreach(file IN LISTS files)
    get_property(content GLOBAL PROPERTY "ul2q_repaired_${file}")
    set(current "")
    if(EXISTS "${CAFFE_REPAIRED}/${file}")
      file(READ "${CAFFE_REPAIRED}/${file}" current)
    endif()
    if(NOT current STREQUAL content)
      file(WRITE "${CAFFE_REPAIRED}/${file}" "${content}")
    endif()
  endforeach()
endfunction()

# quantization_param becomes a real field of LayerParameter, under a number far from those that any known fork uses.
ul2q_repair(src/caffe/proto/caffe.proto
  FROM [[package caffe;]]
  TO [[package caffe;

import public "quantization.proto";]])
ul2q_repair(src/caffe/proto/caffe.proto
  FROM [[  optional WindowDataParameter window_data_param = 129;]]
  TO [[  optional WindowDataParameter window_data_param = 129;
  optional QuantizationParameter quantization_param = 1149;]])

# protobuf 3.6 dropped the two-argument form; the limit is that of a message, 2 GB.
ul2q_repair(src/caffe/util/io.cpp
  FROM [[coded_input->SetTotalBytesLimit(536870912)]]
       [[coded_input->SetTotalBytesLimit(kProtoReadBytesLimit, 536870912)]]
  TO [[coded_input->SetTotalBytesLimit(kProtoReadBytesLimit)]])

# A file that is no message is refused. BVLC's takes one whose first byte happens to end a message for an empty one.
ul2q_repair(src/caffe/util/io.cpp
  FROM [[bool success = proto->ParseFromCodedStream(coded_input);]]
  TO [[bool success = proto->ParseFromCodedStream(coded_input) && coded_input->ConsumedEntireMessage();]])

# A prototxt that does not parse says where and why, to the caller instead of to stderr.
ul2q_repair(src/caffe/util/io.cpp
  FROM [[#include "caffe/util/io.hpp"]]
  TO [[#include "caffe/util/io.hpp"
#include "support/prototxt.hpp"]])
ul2q_repair(src/caffe/util/io.cpp
  FROM [[  bool success = google::protobuf::TextFormat::Parse(input, proto);
  delete input;
  close(fd);
  return success;]]
  TO [[  const string error = ul2q::ParsePrototxt(input, proto);
  delete input;
  close(fd);
  if (!error.empty()) { LOG(FATAL) << filename << ":" << error; }
  return true;]])

# Weights load from HDF5 again.
ul2q_repair(src/caffe/net.cpp
  FROM [[void Net<Dtype>::CopyTrainedLayersFrom(const string& trained_filename) {
  CopyTrainedLayersFromBinaryProto(trained_filename);
}]]
       [[void Net<Dtype>::CopyTrainedLayersFrom(const string& trained_filename) {
#ifdef USE_HDF5
  if (H5Fis_hdf5(trained_filename.c_str())) {
    CopyTrainedLayersFromHDF5(trained_filename);
  } else {
    CopyTrainedLayersFromBinaryProto(trained_filename);
  }
#else
  CopyTrainedLayersFromBinaryProto(trained_filename);
#endif  // USE_HDF5
}]]
  TO [[void Net<Dtype>::CopyTrainedLayersFrom(const string& trained_filename) {
  ul2q::CheckReadable(trained_filename);
  htri_t is_hdf5 = 0;
  H5E_BEGIN_TRY { is_hdf5 = H5Fis_hdf5(trained_filename.c_str()); } H5E_END_TRY;
  if (is_hdf5 > 0) {
    CopyTrainedLayersFromHDF5(trained_filename);
  } else {
    CopyTrainedLayersFromBinaryProto(trained_filename);
  }
}]])

# A layer that would ignore its quantization_param is refused, wherever layers are made.
ul2q_repair(include/caffe/layer_factory.hpp
  FROM [[#include "caffe/proto/caffe.pb.h"]]
  TO [[#include "caffe/proto/caffe.pb.h"
#include "support/layer_check.hpp"]])
ul2q_repair(include/caffe/layer_factory.hpp
  FROM [[    return registry[type](param);]]
  TO [[    ul2q::CheckQuantizationIsUsed(param, LayerTypeList());
    return registry[type](param);]])

# What goes wrong in the prefetch thread (a damaged record, say) reaches the next forward pass. BVLC's would terminate the
# process: the exception would leave the thread.
ul2q_repair(include/caffe/layers/base_data_layer.hpp
  FROM [[  BlockingQueue<Batch<Dtype>*> prefetch_full_;]]
  TO [[  BlockingQueue<Batch<Dtype>*> prefetch_full_;
  // Set before a null batch enters prefetch_full_.
  std::exception_ptr prefetch_error_;]])
ul2q_repair(include/caffe/layers/base_data_layer.hpp
  FROM [[#include <vector>]]
  TO [[#include <exception>
#include <vector>]])
ul2q_repair(src/caffe/layers/base_data_layer.cpp
  FROM [[    // Interrupted exception is expected on shutdown
  }]]
  TO [[    // Interrupted exception is expected on shutdown
  } catch (...) {
    prefetch_error_ = std::current_exception();
    prefetch_full_.push(nullptr);
  }]])
ul2q_repair(src/caffe/layers/base_data_layer.cpp
  FROM [[  prefetch_current_ = prefetch_full_.pop("Waiting for data");]]
  TO [[  prefetch_current_ = prefetch_full_.pop("Waiting for data");
  if (!prefetch_current_) {
    prefetch_full_.push(nullptr);  // for the pass after this one
    std::rethrow_exception(prefetch_error_);
  }]])

# A damaged record of a database is refused. BVLC's goes on with what could be read of it, past the end of its pixels.
ul2q_repair(src/caffe/layers/data_layer.cpp
  FROM [[datum.ParseFromString(cursor_->value());]]
  TO [[CHECK(datum.ParseFromString(cursor_->value()))
      << "record '" << cursor_->key() << "' of "
      << this->layer_param_.data_param().source() << " is damaged: it does not parse as a Datum";]])
ul2q_repair(src/caffe/data_transformer.cpp
  FROM [[  const bool has_uint8 = data.size() > 0;]]
  TO [[  const bool has_uint8 = data.size() > 0;
  CHECK_EQ(static_cast<int64_t>(datum_channels) * datum_height * datum_width,
           static_cast<int64_t>(has_uint8 ? data.size() : datum.float_data_size()))
      << "A Datum is damaged: channels * height * width is not the number of its pixels";]])

# Neighbouring layers run as one where nobody looks in between.
ul2q_repair(include/caffe/net.hpp
  FROM [[#include "caffe/proto/caffe.pb.h"]]
  TO [[#include "caffe/proto/caffe.pb.h"
#include "support/layer_groups.hpp"]])
ul2q_repair(include/caffe/net.hpp
  FROM [[  bool debug_info_;]]
  TO [[  bool debug_info_;
  ul2q::LayerGroups<Dtype> groups_;]])
ul2q_repair(src/caffe/net.cpp
  FROM [[  debug_info_ = param.debug_info();]]
  TO [[  debug_info_ = param.debug_info();
  groups_ = ul2q::LayerGroups<Dtype>(*this);]])
ul2q_repair(src/caffe/net.cpp
  FROM [[  for (int i = start; i <= end; ++i) {]]
  TO [[  const bool together = !debug_info_ && before_forward_.empty() && after_forward_.empty();
  for (int i = start; i <= end; ++i) {
    if (together && groups_.Forward(&i, end)) { continue; }]])
ul2q_repair(src/caffe/net.cpp
  FROM [[  for (int i = start; i >= end; --i) {]]
  TO [[  const bool together = !debug_info_ && before_backward_.empty() && after_backward_.empty();
  for (int i = start; i >= end; --i) {
    if (together && groups_.Backward(&i, end)) { continue; }]])

include("${CMAKE_CURRENT_LIST_DIR}/ErrorRepairs.cmake")
include("${CMAKE_CURRENT_LIST_DIR}/BindingRepairs.cmake")
include("${CMAKE_CURRENT_LIST_DIR}/ResumeRepairs.cmake")
include("${CMAKE_CURRENT_LIST_DIR}/PycaffeRepairs.cmake")
if(UL2Q_CUDA)
  include("${CMAKE_CURRENT_LIST_DIR}/CudaRepairs.cmake")
  include("${CMAKE_CURRENT_LIST_DIR}/NcclRepairs.cmake")
endif()

ul2q_write_repaired()
