# What BVLC's source does about bad input, where that is too little: errors that do not say where they come from, and
# checks that are missing, so that memory is read out of bounds, an integer divided by zero, or a failure not noticed.

# Every error names the layer that was being made, set up or run.
ul2q_repair(include/caffe/layer_factory.hpp
  FROM [[    const string& type = param.type();
    CreatorRegistry& registry = Registry();]]
  TO [[    const ul2q::LayerScope scope(param);
    const string& type = param.type();
    CreatorRegistry& registry = Registry();]])
ul2q_repair(include/caffe/layer.hpp
  FROM [[    CheckBlobCounts(bottom, top);
    LayerSetUp(bottom, top);]]
  TO [[    const ul2q::LayerScope scope(layer_param_);
    CheckBlobCounts(bottom, top);
    LayerSetUp(bottom, top);]])
ul2q_repair(include/caffe/layer.hpp
  FROM [[  Dtype loss = 0;
  Reshape(bottom, top);]]
  TO [[  const ul2q::LayerScope scope(layer_param_);
  Dtype loss = 0;
  Reshape(bottom, top);]])
ul2q_repair(include/caffe/layer.hpp
  FROM [[    const vector<bool>& propagate_down,
    const vector<Blob<Dtype>*>& bottom) {
  switch (Caffe::mode()) {]]
  TO [[    const vector<bool>& propagate_down,
    const vector<Blob<Dtype>*>& bottom) {
  const ul2q::LayerScope scope(layer_param_);
  switch (Caffe::mode()) {]])
ul2q_repair(src/caffe/net.cpp
  FROM [[    // Setup layer.
    const LayerParameter& layer_param = param.layer(layer_id);]]
  TO [[    // Setup layer.
    const LayerParameter& layer_param = param.layer(layer_id);
    const ul2q::LayerScope scope(layer_param);]])
ul2q_repair(src/caffe/net.cpp
  FROM [[    layers_[i]->Reshape(bottom_vecs_[i], top_vecs_[i]);]]
  TO [[    const ul2q::LayerScope scope(layers_[i]->layer_param());
    layers_[i]->Reshape(bottom_vecs_[i], top_vecs_[i]);]])
ul2q_repair(src/caffe/layers/base_data_layer.cpp
  FROM [[  try {
    while (!must_stop()) {]]
  TO [[  const ul2q::LayerScope scope(this->layer_param_);  // of this thread
  try {
    while (!must_stop()) {]])

# Names that a typo made unknown come with those that are near.
ul2q_repair(include/caffe/layer_factory.hpp
  FROM [[#include "support/layer_check.hpp"]]
  TO [[#include "support/layer_check.hpp"
#include "support/near_names.hpp"]])
ul2q_repair(include/caffe/layer_factory.hpp
  FROM [["Unknown layer type: " << type
        << " (known types: "]]
  TO [["Unknown layer type: " << type
        << "." << ul2q::DidYouMean(type, LayerTypeList()) << " (known types: "]])
ul2q_repair(include/caffe/solver_factory.hpp
  FROM [[#include "caffe/common.hpp"]]
  TO [[#include "caffe/common.hpp"
#include "support/near_names.hpp"]])
ul2q_repair(include/caffe/solver_factory.hpp
  FROM [["Unknown solver type: " << type
        << " (known types: "]]
  TO [["Unknown solver type: " << type
        << "." << ul2q::DidYouMean(type, SolverTypeList()) << " (known types: "]])
ul2q_repair(src/caffe/util/insert_splits.cpp
  FROM [[    layer_idx_to_layer_name[i] = layer_param.name();]]
  TO [[    const ul2q::LayerScope scope(layer_param);
    layer_idx_to_layer_name[i] = layer_param.name();]])
ul2q_repair(src/caffe/util/insert_splits.cpp
  FROM [[        LOG(FATAL) << "Unknown bottom blob '" << blob_name << "' (layer '"
                   << layer_param.name() << "', bottom index " << j << ")";]]
  TO [[        vector<string> known;
        for (const auto& top : blob_name_to_last_top_idx) { known.push_back(top.first); }
        LOG(FATAL) << "Unknown bottom blob '" << blob_name << "' (layer '"
                   << layer_param.name() << "', bottom index " << j << ")."
                   << ul2q::DidYouMean(blob_name, known);]])
ul2q_repair(src/caffe/util/insert_splits.cpp
  FROM [[#include "caffe/util/insert_splits.hpp"]]
  TO [[#include "caffe/util/insert_splits.hpp"
#include "support/near_names.hpp"]])
ul2q_repair(src/caffe/solvers/sgd_solver.cpp
  FROM [["Unknown learning rate policy: " << lr_policy;]]
  TO [["Unknown learning rate policy: " << lr_policy << "."
               << ul2q::DidYouMean(lr_policy, {"fixed", "step", "exp", "inv", "multistep", "poly", "sigmoid"});]])

# A file that is not there is FileNotFound; one that does not parse is named.
ul2q_repair(src/caffe/util/io.cpp
  FROM [[#include "support/prototxt.hpp"]]
  TO [[#include "support/files.hpp"
#include "support/prototxt.hpp"]])
ul2q_repair(src/caffe/util/io.cpp
  FROM [[  int fd = open(filename, O_RDONLY);]]
  TO [[  ul2q::CheckReadable(filename);
  int fd = open(filename, O_RDONLY);]])
ul2q_repair(include/caffe/util/io.hpp
  FROM [[  CHECK(ReadProtoFromBinaryFile(filename, proto));]]
  TO [[  CHECK(ReadProtoFromBinaryFile(filename, proto))
      << filename << " is damaged, or no " << proto->GetTypeName() << ": it does not parse";]])
ul2q_repair(src/caffe/util/db_leveldb.cpp
  FROM [[#include <string>]]
  TO [[#include <string>

#include "support/files.hpp"]])
ul2q_repair(src/caffe/util/db_leveldb.cpp
  FROM [[  leveldb::Options options;]]
  TO [[  if (mode == READ) { ul2q::CheckReadable(source); }
  leveldb::Options options;]])
ul2q_repair(src/caffe/util/db_lmdb.cpp
  FROM [[#include <string>]]
  TO [[#include <unistd.h>

#include <string>

#include "support/files.hpp"]])
ul2q_repair(src/caffe/util/db_lmdb.cpp
  FROM [[  MDB_CHECK(mdb_env_create(&mdb_env_));
  if (mode == NEW) {]]
  TO [[  if (mode == READ) { ul2q::CheckReadable(source); }
  MDB_CHECK(mdb_env_create(&mdb_env_));
  // LMDB's own would abort.
  mdb_env_set_assert(mdb_env_, [](MDB_env*, const char* failed) {
    LOG(FATAL) << "The LMDB is damaged: " << failed;
  });
  if (mode == NEW) {]])
# A reader leaves its mark in a file beside the data, which a folder that may only be read has no room for.
ul2q_repair(src/caffe/util/db_lmdb.cpp
  FROM [[    flags = MDB_RDONLY | MDB_NOTLS;]]
  TO [[    flags = MDB_RDONLY | MDB_NOTLS;
    const string lock = source + "/lock.mdb";
    const bool has_lock = access(lock.c_str(), F_OK) == 0;
    if (access(has_lock ? lock.c_str() : source.c_str(), W_OK) != 0) { flags |= MDB_NOLOCK; }]])
ul2q_repair(src/caffe/layers/hdf5_data_layer.cpp
  FROM [[  std::ifstream source_file(source.c_str());]]
  TO [[  ul2q::CheckReadable(source);
  std::ifstream source_file(source.c_str());]])

# HDF5 files close when an exception leaves the function, and a failure to write the last of one is noticed.
ul2q_repair(src/caffe/net.cpp
  FROM [[#include "hdf5.h"]]
  TO [[#include "hdf5.h"

#include "support/files.hpp"
#include "support/hdf5_file.hpp"]])
ul2q_repair(src/caffe/net.cpp
  FROM [[  hid_t file_hid = H5Fopen(trained_filename.c_str(), H5F_ACC_RDONLY,
                           H5P_DEFAULT);
  CHECK_GE(file_hid, 0) << "Couldn't open " << trained_filename;]]
  TO [[  ul2q::Hdf5File file_hid = ul2q::Hdf5File::Open(trained_filename);]])
ul2q_repair(src/caffe/net.cpp
  FROM [[  hid_t file_hid = H5Fcreate(filename.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT,
      H5P_DEFAULT);
  CHECK_GE(file_hid, 0)
      << "Couldn't open " << filename << " to save weights.";]]
  TO [[  ul2q::Hdf5File file_hid = ul2q::Hdf5File::Create(filename);]])
ul2q_repair(src/caffe/net.cpp FROM [[  H5Fclose(file_hid);]] TO [[  file_hid.Close();]])
ul2q_repair(src/caffe/solvers/sgd_solver.cpp
  FROM [[#include "caffe/sgd_solvers.hpp"]]
  TO [[#include "caffe/sgd_solvers.hpp"
#include "support/files.hpp"
#include "support/hdf5_file.hpp"
#include "support/near_names.hpp"]])
ul2q_repair(src/caffe/solvers/sgd_solver.cpp
  FROM [[  hid_t file_hid = H5Fopen(state_file.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  CHECK_GE(file_hid, 0) << "Couldn't open solver state file " << state_file;]]
  TO [[  ul2q::Hdf5File file_hid = ul2q::Hdf5File::Open(state_file);
  {
    // Before anything of the state is taken.
    const hid_t history_hid = H5Gopen2(file_hid, "history", H5P_DEFAULT);
    CHECK_GE(history_hid, 0) << "Error reading history from " << state_file;
    CHECK_EQ(hdf5_get_num_links(history_hid), history_.size())
        << state_file << " has the history of another net or another type of solver";
    H5Gclose(history_hid);
    if (H5LTfind_dataset(file_hid, "learned_net")) {
      ul2q::CheckReadable(hdf5_load_string(file_hid, "learned_net"));
    }
  }]])
ul2q_repair(src/caffe/solvers/sgd_solver.cpp
  FROM [[  hid_t file_hid = H5Fcreate(snapshot_filename.c_str(), H5F_ACC_TRUNC,
      H5P_DEFAULT, H5P_DEFAULT);
  CHECK_GE(file_hid, 0)
      << "Couldn't open " << snapshot_filename << " to save solver state.";]]
  TO [[  ul2q::Hdf5File file_hid = ul2q::Hdf5File::Create(snapshot_filename);]])
ul2q_repair(src/caffe/solvers/sgd_solver.cpp FROM [[  H5Fclose(file_hid);]] TO [[  file_hid.Close();]])
ul2q_repair(src/caffe/layers/hdf5_data_layer.cpp
  FROM [[#include "caffe/util/hdf5.hpp"]]
  TO [[#include "caffe/util/hdf5.hpp"
#include "support/files.hpp"
#include "support/hdf5_file.hpp"]])
ul2q_repair(src/caffe/layers/hdf5_data_layer.cpp
  FROM [[  hid_t file_id = H5Fopen(filename, H5F_ACC_RDONLY, H5P_DEFAULT);
  if (file_id < 0) {
    LOG(FATAL) << "Failed opening HDF5 file: " << filename;
  }]]
  TO [[  ul2q::Hdf5File file_id = ul2q::Hdf5File::Open(filename);]])
ul2q_repair(src/caffe/layers/hdf5_data_layer.cpp
  FROM [[  herr_t status = H5Fclose(file_id);
  CHECK_GE(status, 0) << "Failed to close HDF5 file: " << filename;]]
  TO [[  file_id.Close();]])

# No exception leaves a destructor: that would terminate the process.
ul2q_repair(src/caffe/layers/hdf5_output_layer.cpp
  FROM [[    CHECK_GE(status, 0) << "Failed to close HDF5 file " << file_name_;]]
  TO [[    if (status < 0) { LOG(ERROR) << "Failed to close HDF5 file " << file_name_; }]])
ul2q_repair(src/caffe/internal_thread.cpp
  FROM [[      thread_->join();
    } catch (boost::thread_interrupted&) {
    } catch (std::exception& e) {
      LOG(FATAL)]]
  TO [[      thread_->join();
    } catch (boost::thread_interrupted&) {
    } catch (std::exception& e) {
      LOG(ERROR)]])

# Labels and indices outside of their range. BVLC's checks are compiled into debug builds alone.
foreach(layer softmax_loss accuracy infogain_loss multinomial_logistic_loss hinge_loss embed)
  ul2q_repair(src/caffe/layers/${layer}_layer.cpp
    FROM "#include \"caffe/util/math_functions.hpp\""
    TO "#include \"caffe/util/math_functions.hpp\"\n#include \"support/index_check.hpp\"")
endforeach()
ul2q_repair(src/caffe/layers/softmax_loss_layer.cpp
  FROM [[      DCHECK_GE(label_value, 0);
      DCHECK_LT(label_value, prob_.shape(softmax_axis_));]]
  TO [[      ul2q::CheckIndex(label_value, prob_.shape(softmax_axis_), "label");]])
ul2q_repair(src/caffe/layers/softmax_loss_layer.cpp
  FROM [[          bottom_diff[i * dim + label_value * inner_num_ + j] -= 1;]]
  TO [[          ul2q::CheckIndex(label_value, prob_.shape(softmax_axis_), "label");
          bottom_diff[i * dim + label_value * inner_num_ + j] -= 1;]])
ul2q_repair(src/caffe/layers/accuracy_layer.cpp
  FROM [[      DCHECK_GE(label_value, 0);
      DCHECK_LT(label_value, num_labels);]]
  TO [[      ul2q::CheckIndex(label_value, num_labels, "label");]])
# A score that is NaN is never right: in BVLC's it is, and a net that has diverged gets everything right.
ul2q_repair(src/caffe/layers/accuracy_layer.cpp
  FROM [[          (bottom_data[i * dim + k * inner_num_ + j] >= prob_of_true_class);]]
  TO [[          !(bottom_data[i * dim + k * inner_num_ + j] < prob_of_true_class);]])
ul2q_repair(src/caffe/layers/infogain_loss_layer.cpp
  FROM [[      DCHECK_GE(label_value, 0);
      DCHECK_LT(label_value, num_labels_);
      for (]]
  TO [[      ul2q::CheckIndex(label_value, num_labels_, "label");
      for (]])
# In the backward pass BVLC's looks at a label that is to be ignored, too.
ul2q_repair(src/caffe/layers/infogain_loss_layer.cpp
  FROM [[        DCHECK_GE(label_value, 0);
        DCHECK_LT(label_value, num_labels_);
        if (has_ignore_label_ && label_value == ignore_label_) {]]
  TO [[        if (!has_ignore_label_ || label_value != ignore_label_) {
          ul2q::CheckIndex(label_value, num_labels_, "label");
        }
        if (has_ignore_label_ && label_value == ignore_label_) {]])
ul2q_repair(src/caffe/layers/multinomial_logistic_loss_layer.cpp
  FROM [[    int label = static_cast<int>(bottom_label[i]);]]
  TO [[    int label = static_cast<int>(bottom_label[i]);
    ul2q::CheckIndex(label, dim, "label");]])
ul2q_repair(src/caffe/layers/hinge_loss_layer.cpp
  FROM [[    bottom_diff[i * dim + static_cast<int>(label[i])] *= -1;]]
  TO [[    ul2q::CheckIndex(static_cast<int>(label[i]), dim, "label");
    bottom_diff[i * dim + static_cast<int>(label[i])] *= -1;]])
ul2q_repair(src/caffe/layers/embed_layer.cpp
  FROM [[DCHECK_GE(index, 0);]]
  TO [[ul2q::CheckIndex(index, K_, "index");]])
ul2q_repair(src/caffe/layers/batch_reindex_layer.cpp
  FROM [[  Dtype* bot_diff = bottom[0]->mutable_cpu_diff();]]
  TO [[  check_batch_reindex(bottom[0]->shape(0), bottom[1]->count(), bottom[1]->cpu_data());
  Dtype* bot_diff = bottom[0]->mutable_cpu_diff();]])

# Batches without elements, where the layer divides by their number.
ul2q_repair(src/caffe/layers/loss_layer.cpp
  FROM [[  CHECK_EQ(bottom[0]->shape(0), bottom[1]->shape(0))]]
  TO [[  CHECK(bottom[0]->count() > 0 && bottom[1]->count() > 0) << "the batch is empty";
  CHECK_EQ(bottom[0]->shape(0), bottom[1]->shape(0))]])
ul2q_repair(src/caffe/layers/softmax_layer.cpp
  FROM [[  top[0]->ReshapeLike(*bottom[0]);]]
  TO [[  CHECK_GT(bottom[0]->count(), 0) << "the input is empty";
  top[0]->ReshapeLike(*bottom[0]);]])
ul2q_repair(src/caffe/layers/accuracy_layer.cpp
  FROM [[  CHECK_LE(top_k_, bottom[0]->count() / bottom[1]->count())]]
  TO [[  CHECK(bottom[0]->count() > 0 && bottom[1]->count() > 0) << "the batch is empty";
  CHECK_LE(top_k_, bottom[0]->count() / bottom[1]->count())]])
ul2q_repair(src/caffe/layers/mvn_layer.cpp
  FROM [[  top[0]->Reshape(bottom[0]->num(), bottom[0]->channels(),]]
  TO [[  CHECK_GT(bottom[0]->count(), 0) << "the input is empty";
  top[0]->Reshape(bottom[0]->num(), bottom[0]->channels(),]])
ul2q_repair(src/caffe/layers/batch_norm_layer.cpp
  FROM [[  if (bottom[0]->num_axes() >= 1)]]
  TO [[  CHECK_GT(bottom[0]->count(), 0) << "the input is empty";
  if (bottom[0]->num_axes() >= 1)]])
ul2q_repair(src/caffe/layers/argmax_layer.cpp
  FROM [[  int num_top_axes = bottom[0]->num_axes();]]
  TO [[  CHECK_GT(bottom[0]->count(), 0) << "the input is empty";
  int num_top_axes = bottom[0]->num_axes();]])
ul2q_repair(src/caffe/layers/hdf5_output_layer.cpp
  FROM [[  CHECK_EQ(bottom[0]->num(), bottom[1]->num());]]
  TO [[  CHECK_GT(bottom[0]->num(), 0) << "the batch is empty";
  CHECK_EQ(bottom[0]->num(), bottom[1]->num());]])
ul2q_repair(src/caffe/layers/filter_layer.cpp
  FROM [[    CHECK_EQ(bottom[selector_index]->shape(0), bottom[i]->shape(0)) <<]]
  TO [[    CHECK_GT(bottom[i]->shape(0), 0) << "the batch is empty";
    CHECK_EQ(bottom[selector_index]->shape(0), bottom[i]->shape(0)) <<]])
ul2q_repair(src/caffe/layers/batch_reindex_layer.cpp
  FROM [[  CHECK_EQ(1, bottom[1]->num_axes());]]
  TO [[  CHECK_EQ(1, bottom[1]->num_axes());
  CHECK_GT(bottom[0]->shape(0), 0) << "the batch is empty";]])
ul2q_repair(src/caffe/layers/reshape_layer.cpp
  FROM [[    CHECK_EQ(0, bottom[0]->count() % explicit_count)]]
  TO [[    CHECK_GT(explicit_count, 0) << "a dimension of -1 cannot be inferred beside one of 0";
    CHECK_EQ(0, bottom[0]->count() % explicit_count)]])

# Parameters that BVLC's divides by, or that leave no output.
ul2q_repair(src/caffe/layers/base_conv_layer.cpp
  FROM [[  CHECK_EQ(channels_ % group_, 0);]]
  TO [[  CHECK_GT(group_, 0) << "convolution_param.group must be positive";
  CHECK_EQ(channels_ % group_, 0)
      << "convolution_param.group is " << group_ << "; must divide the input's " << channels_ << " channels";]])
ul2q_repair(src/caffe/layers/base_conv_layer.cpp
  FROM [[    stride_data[1] = conv_param.stride_w();]]
  TO [[    stride_data[1] = conv_param.stride_w();
    CHECK(stride_data[0] > 0 && stride_data[1] > 0) << "Stride dimensions must be nonzero.";]])
foreach(layer conv im2col)
  ul2q_repair(src/caffe/layers/${layer}_layer.cpp
    FROM "    const int kernel_extent = dilation_data[i] * (kernel_shape_data[i] - 1) + 1;"
    TO "    const int kernel_extent = dilation_data[i] * (kernel_shape_data[i] - 1) + 1;
    CHECK_GE(input_dim + int64_t(2) * pad_data[i], kernel_extent)
        << \"the kernel's extent is larger than the padded input, axis \" << i << \" of the image\";")
endforeach()
ul2q_repair(src/caffe/layers/deconv_layer.cpp
  FROM [[        + kernel_extent - 2 * pad_data[i];]]
  TO [[        + kernel_extent - 2 * pad_data[i];
    CHECK_GT(output_dim, 0) << "the padding leaves no output, axis " << i << " of the image";]])
ul2q_repair(src/caffe/layers/pooling_layer.cpp
  FROM [[  if (global_pooling_) {
    CHECK(pad_h_ == 0]]
  TO [[  CHECK(stride_h_ > 0 && stride_w_ > 0) << "pooling_param.stride must be positive";
  if (global_pooling_) {
    CHECK(pad_h_ == 0]])
ul2q_repair(src/caffe/layers/pooling_layer.cpp
  FROM [[  top[0]->Reshape(bottom[0]->num(), channels_, pooled_height_,]]
  TO [[  CHECK(pooled_height_ > 0 && pooled_width_ > 0)
      << "the kernel, " << kernel_h_ << " x " << kernel_w_ << ", is larger than the padded input, "
      << height_ + 2 * pad_h_ << " x " << width_ + 2 * pad_w_;
  top[0]->Reshape(bottom[0]->num(), channels_, pooled_height_,]])
ul2q_repair(src/caffe/layers/inner_product_layer.cpp
  FROM [[  N_ = num_output;]]
  TO [[  CHECK_GT(num_output, 0) << "inner_product_param.num_output must be positive";
  N_ = num_output;]])
ul2q_repair(src/caffe/layers/dropout_layer.cpp
  FROM [[  DCHECK(threshold_ > 0.);
  DCHECK(threshold_ < 1.);]]
  TO [[  CHECK(threshold_ >= 0. && threshold_ < 1.)
      << "dropout_param.dropout_ratio is " << threshold_ << "; must be in [0, 1)";]])
ul2q_repair(src/caffe/solver.cpp
  FROM [[  CHECK_GE(param_.average_loss(), 1) << "average_loss should be non-negative.";]]
  TO [[  CHECK_GE(param_.average_loss(), 1) << "average_loss must be positive.";
  CHECK_GE(param_.iter_size(), 1) << "iter_size must be positive.";]])

# Weights in the prototxt itself: BVLC's takes their shape for right.
foreach(layer inner_product embed)
  ul2q_repair(src/caffe/layers/${layer}_layer.cpp
    FROM "    LOG(INFO) << \"Skipping parameter initialization\";"
    TO "    CHECK_EQ(this->blobs_.size(), 1 + bias_term_) << \"Incorrect number of weight blobs.\";
    CHECK_EQ(this->blobs_[0]->count(), N_ * K_) << \"Incorrect weight shape.\";
    if (bias_term_) { CHECK_EQ(this->blobs_[1]->count(), N_) << \"Incorrect bias shape.\"; }
    LOG(INFO) << \"Skipping parameter initialization\";")
endforeach()
ul2q_repair(src/caffe/layers/batch_norm_layer.cpp
  FROM [[    LOG(INFO) << "Skipping parameter initialization";]]
  TO [[    CHECK_EQ(this->blobs_.size(), 3) << "Incorrect number of blobs: mean, variance and their weight.";
    CHECK(this->blobs_[0]->count() == channels_ && this->blobs_[1]->count() == channels_ &&
          this->blobs_[2]->count() == 1) << "Incorrect shape of the statistics.";
    LOG(INFO) << "Skipping parameter initialization";]])

# Sizes of the input in the style of before 2015.
ul2q_repair(src/caffe/util/upgrade_proto.cpp
  FROM [[    LayerParameter* layer_param = net_param->add_layer();
    layer_param->set_name("input");]]
  TO [[    CHECK_EQ(has_shape ? net_param->input_shape_size() : net_param->input_dim_size(),
             net_param->input_size() * (has_shape ? 1 : 4))
        << "each input takes one input_shape, or four of input_dim";
    LayerParameter* layer_param = net_param->add_layer();
    layer_param->set_name("input");]])

# Data that is not there: empty or cut-short databases and files, batches of none.
ul2q_repair(src/caffe/layers/base_data_layer.cpp
  FROM [[  BaseDataLayer<Dtype>::LayerSetUp(bottom, top);
]]
  TO [[  CHECK(!prefetch_.empty()) << "data_param.prefetch must be positive";
  BaseDataLayer<Dtype>::LayerSetUp(bottom, top);
]])
ul2q_repair(src/caffe/layers/data_layer.cpp
  FROM [[  // Read a data point, and use it to initialize the top blob.]]
  TO [[  CHECK_GT(batch_size, 0) << "data_param.batch_size must be positive";
  CHECK(cursor_->valid()) << this->layer_param_.data_param().source() << " holds no records";
  // Read a data point, and use it to initialize the top blob.]])
# LMDB maps the file: what is missing at its end is a bus error at the first touch.
ul2q_repair(src/caffe/util/db_lmdb.cpp
  FROM [[  LOG_IF(INFO, Caffe::root_solver()) << "Opened lmdb " << source;]]
  TO [[  if (mode == READ) {
    MDB_envinfo info;
    MDB_stat pages;
    mdb_filehandle_t file;
    struct stat size;
    MDB_CHECK(mdb_env_info(mdb_env_, &info));
    MDB_CHECK(mdb_env_stat(mdb_env_, &pages));
    MDB_CHECK(mdb_env_get_fd(mdb_env_, &file));
    CHECK_EQ(fstat(file, &size), 0) << source;
    CHECK_GE(static_cast<size_t>(size.st_size), (info.me_last_pgno + 1) * pages.ms_psize)
        << source << " is cut short";
  }
  LOG_IF(INFO, Caffe::root_solver()) << "Opened lmdb " << source;]])
ul2q_repair(src/caffe/util/db_lmdb.cpp
  FROM [[  MDB_CHECK(rc);
#else]]
  TO [[  CHECK_EQ(rc, MDB_SUCCESS) << source << ": " << mdb_strerror(rc);
#else]])
ul2q_repair(src/caffe/layers/hdf5_data_layer.cpp
  FROM [[  // Default to identity permutation.
  data_permutation_.clear();]]
  TO [[  CHECK_GT(num, 0) << filename << " holds no rows";
  // Default to identity permutation.
  data_permutation_.clear();]])
ul2q_repair(src/caffe/layers/hdf5_data_layer.cpp
  FROM [[      int data_dim = top[j]->count() / top[j]->shape(0);]]
  TO [=[      int data_dim = top[j]->count() / top[j]->shape(0);
      CHECK_EQ(hdf_blobs_[j]->count(1), data_dim)
          << "the rows of " << this->layer_param_.top(j) << " in "
          << hdf_filenames_[file_permutation_[current_file_]] << " are not of the size of the first file's";]=])
ul2q_repair(src/caffe/util/hdf5.cpp
  FROM [[  CHECK_GE(ndims, min_dim);
  CHECK_LE(ndims, max_dim);]]
  TO [[  CHECK_GE(ndims, min_dim) << "in HDF5 dataset " << dataset_name_;
  CHECK_LE(ndims, max_dim) << "in HDF5 dataset " << dataset_name_;]])

# What could not be written, wholly or in part, is an error; a file that was there is replaced when the new one is whole and
# on the disk.
ul2q_repair(src/caffe/util/io.cpp
  FROM [[#include "support/files.hpp"]]
  TO [[#include "support/files.hpp"
#include "support/new_file.hpp"]])
ul2q_repair(src/caffe/util/io.cpp
  FROM [[  fstream output(filename, ios::out | ios::trunc | ios::binary);
  CHECK(proto.SerializeToOstream(&output));]]
  TO [[  ul2q::NewFile file(filename);
  errno = 0;
  if (!proto.SerializeToFileDescriptor(file.descriptor())) { file.Fail(); }
  file.Commit();]])
ul2q_repair(src/caffe/util/io.cpp
  FROM [[  int fd = open(filename, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  FileOutputStream* output = new FileOutputStream(fd);
  CHECK(google::protobuf::TextFormat::Print(proto, output));
  delete output;
  close(fd);]]
  TO [[  ul2q::NewFile file(filename);
  FileOutputStream output(file.descriptor());
  errno = 0;
  if (!google::protobuf::TextFormat::Print(proto, &output) || !output.Flush()) { file.Fail(); }
  file.Commit();]])

ul2q_repair(src/caffe/util/hdf5.cpp
  FROM [[#include "caffe/util/hdf5.hpp"]]
  TO [[#include "caffe/util/hdf5.hpp"
#include "support/hdf5_file.hpp"]])
foreach(words "Failed to make float dataset " "Failed to make double dataset "
              "Failed to save string dataset with name " "Failed to save int dataset with name ")
  ul2q_repair(src/caffe/util/hdf5.cpp
    FROM "\"${words}\"" TO "\"Cannot write \" << ul2q::Hdf5File::Written() << \": ${words}\"")
endforeach()

# A file that does not parse is refused (BVLC's goes on without it), and a solverstate that does not fit before anything
# of it is taken.
ul2q_repair(src/caffe/solvers/sgd_solver.cpp
  FROM [[  ReadProtoFromBinaryFile(state_file, &state);]]
  TO [[  ReadProtoFromBinaryFileOrDie(state_file, &state);
  if (state.has_learned_net()) { ul2q::CheckReadable(state.learned_net()); }
  CHECK_EQ(state.history_size(), history_.size())
      << state_file << " has the history of another net or another type of solver";
  for (int i = 0; i < history_.size(); ++i) {
    CHECK(history_[i]->ShapeEquals(state.history(i)))
        << state_file << " has the history of another net: blob " << i << " is not of shape "
        << history_[i]->shape_string();
  }]])
ul2q_repair(src/caffe/layers/infogain_loss_layer.cpp
  FROM [[    ReadProtoFromBinaryFile(
      this->layer_param_]]
  TO [[    ReadProtoFromBinaryFileOrDie(
      this->layer_param_]])

# A net without layers cannot run; BVLC's words for that are of indices.
foreach(last end start)
  ul2q_repair(src/caffe/net.cpp
    FROM "  CHECK_LT(${last}, layers_.size());"
    TO "  CHECK(!layers_.empty()) << \"the net '\" << name_ << \"' has no layers\";
  CHECK_LT(${last}, layers_.size());")
endforeach()

# Without a command, or with two, the tool shows its usage, and has failed. Its main is called by ours.
ul2q_repair(tools/caffe.cpp
  FROM [[int main(int argc, char** argv) {]]
  TO [[int caffe_main(int argc, char** argv) {]])
ul2q_repair(tools/caffe.cpp
  FROM [[    gflags::ShowUsageWithFlagsRestrict(argv[0], "tools/caffe");]]
  TO [[    gflags::ShowUsageWithFlagsRestrict(argv[0], "tools/caffe");
    return 1;]])
