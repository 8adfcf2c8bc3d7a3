# What makes training that goes on from a snapshot equal training that was never interrupted, bit for bit: solver states
# hold the position in the data and the state of the random numbers, too. And a snapshot that cannot be written does not end
# the training.

ul2q_repair(src/caffe/proto/caffe.proto
  FROM [[message SolverState {]]
  TO [[// Where a layer stands, beyond its parameters.
message LayerState {
  optional string name = 1; // The layer's.
  // Of a data layer: the record of a database, or the row of a file, that comes next, and how many went before.
  optional bytes key = 2;
  optional uint64 records = 3;
  optional uint32 file = 4;
  optional uint64 row = 5;
  // The order of files and of rows where they are shuffled.
  repeated uint32 file_order = 6 [packed = true];
  repeated uint32 row_order = 7 [packed = true];
  // Boost's mt19937, as text, that draws mirrors and crops.
  optional string generator = 8;
  // Of a recurrent layer: what goes over into the next batch.
  repeated BlobProto hidden = 9;
}

message NetResumeState {
  repeated LayerState layer = 1; // Those that have a state.
}

// Where training stands, beyond weights and history.
message ResumeState {
  optional string generator = 1; // Boost's mt19937, as text, that layers draw from.
  repeated NetResumeState net = 2; // The train net, then the test nets.
}

message SolverState {
  optional ResumeState resume = 1150;]])

# Each layer says where it stands.
ul2q_repair(include/caffe/layer.hpp
  FROM [[  virtual ~Layer() {}]]
  TO [[  virtual ~Layer() {}

  // What the layer needs to go on where it stands, beyond its parameters and the bottoms of its next pass: of a data layer
  // the position and the state of its random numbers. A layer that needs nothing says nothing.
  virtual void SaveState(LayerState* state) {}
  virtual void RestoreState(const LayerState& state) {}]])

# A data layer with prefetched batches stands where the last batch that it served ends, not where its thread has got to.
ul2q_repair(include/caffe/layers/base_data_layer.hpp
  FROM [[  Blob<Dtype> data_, label_;]]
  TO [[  Blob<Dtype> data_, label_;
  LayerState after_;  // where the layer stands when the batch has been served]])
ul2q_repair(include/caffe/layers/base_data_layer.hpp
  FROM [[      const vector<Blob<Dtype>*>& top);

 protected:
  virtual void InternalThreadEntry();]]
  TO [[      const vector<Blob<Dtype>*>& top);

  void SaveState(LayerState* state) override { *state = served_; }
  void RestoreState(const LayerState& state) override;

 protected:
  // Where the reading stands; nothing from a layer that cannot tell. Called by the thread that reads, or without one.
  virtual void SavePosition(LayerState* position) {}
  virtual void RestorePosition(const LayerState& position) {}

  LayerState served_;  // where the last batch that was served ends
  virtual void InternalThreadEntry();]])
ul2q_repair(src/caffe/layers/base_data_layer.cpp
  FROM [[  this->data_transformer_->InitRand();
  StartInternalThread();]]
  TO [[  this->data_transformer_->InitRand();
  SavePosition(&served_);
  StartInternalThread();]])
ul2q_repair(src/caffe/layers/base_data_layer.cpp
  FROM [[      load_batch(batch);]]
  TO [[      load_batch(batch);
      SavePosition(&batch->after_);]])
ul2q_repair(src/caffe/layers/base_data_layer.cpp
  FROM [[  // Reshape to loaded data.]]
  TO [[  served_ = prefetch_current_->after_;
  // Reshape to loaded data.]])
ul2q_repair(src/caffe/layers/base_data_layer.cpp
  FROM [[template <typename Dtype>
void BasePrefetchingDataLayer<Dtype>::Forward_cpu(]]
  TO [[// What has been prefetched is forgotten.
template <typename Dtype>
void BasePrefetchingDataLayer<Dtype>::RestoreState(const LayerState& state) {
  if (!state.has_records()) { return; }
  StopInternalThread();
  Batch<Dtype>* dropped;
  while (prefetch_full_.try_pop(&dropped) || prefetch_free_.try_pop(&dropped)) {}
  for (const auto& batch : prefetch_) {
    if (batch.get() != prefetch_current_) { prefetch_free_.push(batch.get()); }
  }
  prefetch_error_ = nullptr;
  try {
    RestorePosition(state);
  } catch (...) {
    StartInternalThread();
    throw;
  }
  SavePosition(&served_);
  StartInternalThread();
}

template <typename Dtype>
void BasePrefetchingDataLayer<Dtype>::Forward_cpu(]])
ul2q_repair(include/caffe/data_transformer.hpp
  FROM [[  virtual ~DataTransformer() {}]]
  TO [[  virtual ~DataTransformer() {}

  // Null if nothing is drawn.
  Caffe::RNG* random() { return rng_.get(); }]])
ul2q_repair(include/caffe/layers/data_layer.hpp
  FROM [[  virtual void load_batch(Batch<Dtype>* batch);]]
  TO [[  virtual void load_batch(Batch<Dtype>* batch);
  void SavePosition(LayerState* position) override;
  void RestorePosition(const LayerState& position) override;]])
ul2q_repair(src/caffe/layers/data_layer.cpp
  FROM [[#include "caffe/util/benchmark.hpp"]]
  TO [[#include "caffe/util/benchmark.hpp"
#include "support/resume.hpp"]])
ul2q_repair(src/caffe/layers/data_layer.cpp
  FROM [[// This function is called on prefetch thread]]
  TO [[template<typename Dtype>
void DataLayer<Dtype>::SavePosition(LayerState* position) {
  position->Clear();
  position->set_key(cursor_->key());
  position->set_records(offset_);
  if (Caffe::RNG* random = this->data_transformer_->random()) {
    position->set_generator(ul2q::ToText(*static_cast<rng_t*>(random->generator())));
  }
}

template<typename Dtype>
void DataLayer<Dtype>::RestorePosition(const LayerState& position) {
  Caffe::RNG* random = this->data_transformer_->random();
  if (random && position.has_generator()) {
    ul2q::FromText(position.generator(), static_cast<rng_t*>(random->generator()));
  }
  offset_ = position.records();
  if (!cursor_->Seek(position.key())) {
    LOG(WARNING) << "layer '" << this->layer_param_.name() << "': " << this->layer_param_.data_param().source()
                 << " has no record '" << position.key() << "', where the snapshot's data go on: it is read from its start";
    cursor_->SeekToFirst();
  }
}

// This function is called on prefetch thread]])
ul2q_repair(include/caffe/util/db.hpp
  FROM [[  virtual void Next() = 0;]]
  TO [[  virtual void Next() = 0;
  // Goes to the entry with this key; false, and anywhere, if there is none.
  virtual bool Seek(const string& key) {
    for (SeekToFirst(); valid() && this->key() != key; Next()) {}
    return valid();
  }]])
ul2q_repair(include/caffe/util/db_lmdb.hpp
  FROM [[  virtual void Next() { Seek(MDB_NEXT); }]]
  TO [[  virtual void Next() { Seek(MDB_NEXT); }
  virtual bool Seek(const string& key) {
    mdb_key_.mv_data = const_cast<char*>(key.data());
    mdb_key_.mv_size = key.size();
    if (!key.empty()) { Seek(MDB_SET_KEY); }
    return !key.empty() && valid_;
  }]])
ul2q_repair(include/caffe/util/db_leveldb.hpp
  FROM [[  virtual void Next() { iter_->Next(); }]]
  TO [[  virtual void Next() { iter_->Next(); }
  virtual bool Seek(const string& key) {
    iter_->Seek(key);
    return iter_->Valid() && iter_->key() == key;
  }]])

# Rows of HDF5 files are shuffled by Caffe's random numbers, which a seed and a snapshot set. BVLC's shuffles by the C
# library's, which neither does.
ul2q_repair(src/caffe/layers/hdf5_data_layer.cpp
  FROM [[#include "caffe/util/hdf5.hpp"]]
  TO [[#include "caffe/util/hdf5.hpp"
#include "caffe/util/rng.hpp"]])
ul2q_repair(src/caffe/layers/hdf5_data_layer.cpp FROM [[std::random_shuffle(]] TO [[caffe::shuffle(]])
ul2q_repair(include/caffe/layers/hdf5_data_layer.hpp
  FROM [[  virtual inline const char* type() const { return "HDF5Data"; }]]
  TO [[  void SaveState(LayerState* state) override;
  void RestoreState(const LayerState& state) override;

  virtual inline const char* type() const { return "HDF5Data"; }]])
ul2q_repair(src/caffe/layers/hdf5_data_layer.cpp
  FROM [[template <typename Dtype>
bool HDF5DataLayer<Dtype>::Skip() {]]
  TO [=[template <typename Dtype>
void HDF5DataLayer<Dtype>::SaveState(LayerState* state) {
  state->set_records(offset_);
  state->set_file(current_file_);
  state->set_row(current_row_);
  if (this->layer_param_.hdf5_data_param().shuffle()) {
    for (const unsigned int file : file_permutation_) { state->add_file_order(file); }
    for (const unsigned int row : data_permutation_) { state->add_row_order(row); }
  }
}

template <typename Dtype>
void HDF5DataLayer<Dtype>::RestoreState(const LayerState& state) {
  if (!state.has_row()) { return; }
  const bool shuffled = state.file_order_size() > 0;
  const auto is_order = [](const google::protobuf::RepeatedField<uint32_t>& order, size_t size) {
    std::vector<bool> seen(size);
    for (const uint32_t index : order) {
      if (index >= size || seen[index]) { return false; }
      seen[index] = true;
    }
    return static_cast<size_t>(order.size()) == size;
  };
  bool fits = state.file() < num_files_ && (!shuffled || is_order(state.file_order(), num_files_));
  if (fits) {
    const unsigned int file = shuffled ? state.file_order(state.file()) : state.file();
    LoadHDF5FileData(hdf_filenames_[file].c_str());
    const size_t rows = hdf_blobs_[0]->shape(0);
    fits = state.row() < rows && (!shuffled || is_order(state.row_order(), rows));
    if (!fits) { LoadHDF5FileData(hdf_filenames_[file_permutation_[current_file_]].c_str()); }
  }
  if (!fits) {
    LOG(WARNING) << "layer '" << this->layer_param_.name() << "': the files in "
                 << this->layer_param_.hdf5_data_param().source()
                 << " are not those that the snapshot's training read: they are read from their start";
    return;
  }
  offset_ = state.records();
  current_file_ = state.file();
  current_row_ = state.row();
  if (shuffled) {
    file_permutation_.assign(state.file_order().begin(), state.file_order().end());
    data_permutation_.assign(state.row_order().begin(), state.row_order().end());
  }
}

template <typename Dtype>
bool HDF5DataLayer<Dtype>::Skip() {]=])

# A recurrent layer's last time step is where its next batch begins.
ul2q_repair(include/caffe/layers/recurrent_layer.hpp
  FROM [[  virtual void Reset();]]
  TO [[  virtual void Reset();

  void SaveState(LayerState* state) override {
    for (const Blob<Dtype>* blob : recur_output_blobs_) { blob->ToProto(state->add_hidden()); }
  }
  void RestoreState(const LayerState& state) override {
    for (int i = 0; i < recur_output_blobs_.size() && i < state.hidden_size(); ++i) {
      if (recur_output_blobs_[i]->ShapeEquals(state.hidden(i))) {
        recur_output_blobs_[i]->FromProto(state.hidden(i), false);
      }
    }
  }]])

# Solver states hold it all.
ul2q_repair(src/caffe/solvers/sgd_solver.cpp
  FROM [[#include "support/hdf5_file.hpp"]]
  TO [[#include "support/hdf5_file.hpp"
#include "support/resume.hpp"]])
ul2q_repair(src/caffe/solvers/sgd_solver.cpp
  FROM [[  state.set_solver_type(this->type());]]
  TO [[  state.set_solver_type(this->type());
  ul2q::SaveResumeState<Dtype>(this, state.mutable_resume());]])
ul2q_repair(src/caffe/solvers/sgd_solver.cpp
  FROM [[    history_[i]->FromProto(state.history(i));
  }]]
  TO [[    history_[i]->FromProto(state.history(i));
  }
  ul2q::RestoreResumeState<Dtype>(state.resume(), this);]])
ul2q_repair(src/caffe/solvers/sgd_solver.cpp
  FROM [[  hdf5_save_string(file_hid, "solver_type", this->type());]]
  TO [[  hdf5_save_string(file_hid, "solver_type", this->type());
  ResumeState resume;
  ul2q::SaveResumeState<Dtype>(this, &resume);
  ul2q::SaveMessage(resume, file_hid, "resume");]])
ul2q_repair(src/caffe/solvers/sgd_solver.cpp
  FROM [[  this->iter_ = hdf5_load_int(file_hid, "iter");]]
  TO [[  ResumeState resume;
  ul2q::LoadMessage(file_hid, "resume", &resume);
  this->iter_ = hdf5_load_int(file_hid, "iter");]])
ul2q_repair(src/caffe/solvers/sgd_solver.cpp
  FROM [[                                kMaxBlobAxes, history_[i].get());
  }]]
  TO [[                                kMaxBlobAxes, history_[i].get());
  }
  ul2q::RestoreResumeState<Dtype>(resume, this);]])

# The weights are looked for beside the state first.
ul2q_repair(src/caffe/solvers/sgd_solver.cpp
  FROM [[  if (state.has_learned_net()) { ul2q::CheckReadable(state.learned_net()); }]]
  TO [[  if (state.has_learned_net()) { state.set_learned_net(ul2q::LearnedNet(state_file, state.learned_net())); }]])
ul2q_repair(src/caffe/solvers/sgd_solver.cpp
  FROM [[      ul2q::CheckReadable(hdf5_load_string(file_hid, "learned_net"));]]
  TO [[      ul2q::LearnedNet(state_file, hdf5_load_string(file_hid, "learned_net"));]])
ul2q_repair(src/caffe/solvers/sgd_solver.cpp
  FROM [[    string learned_net = hdf5_load_string(file_hid, "learned_net");]]
  TO [[    string learned_net = ul2q::LearnedNet(state_file, hdf5_load_string(file_hid, "learned_net"));]])

# A snapshot that cannot be written is said, and the training goes on; it fails in the end if the last one could not be.
ul2q_repair(include/caffe/solver.hpp
  FROM [[#include <string>
#include <vector>]]
  TO [[#include <exception>
#include <string>
#include <vector>]])
ul2q_repair(include/caffe/solver.hpp
  FROM [[  bool requested_early_exit_;]]
  TO [[  bool requested_early_exit_;

  // Why the last snapshot of Step could not be written; null if it was.
  std::exception_ptr snapshot_error_;
  bool is_solving_ = false;]])
ul2q_repair(src/caffe/solver.cpp
  FROM [[#include "caffe/util/upgrade_proto.hpp"]]
  TO [[#include "caffe/util/upgrade_proto.hpp"
#include "support/caffe_error.hpp"

#include <utility>]])
ul2q_repair(src/caffe/solver.cpp
  FROM [[         (request == SolverAction::SNAPSHOT)) {
      Snapshot();
    }]]
  TO [[         (request == SolverAction::SNAPSHOT)) {
      snapshot_error_ = nullptr;
      try {
        Snapshot();
      } catch (const ul2q::CaffeError& error) {
        LOG(ERROR) << "NO SNAPSHOT after iteration " << iter_ << ": " << error.message() << "; training goes on";
        snapshot_error_ = std::current_exception();
      }
    }]])
ul2q_repair(src/caffe/solver.cpp
  FROM [[      // Break out of training loop.
      break;
    }
  }
}]]
  TO [[      // Break out of training loop.
      break;
    }
  }
  if (snapshot_error_ && !is_solving_) { std::rethrow_exception(std::exchange(snapshot_error_, nullptr)); }
}]])
ul2q_repair(src/caffe/solver.cpp
  FROM [[  Step(param_.max_iter() - iter_);]]
  TO [[  is_solving_ = true;
  try {
    Step(param_.max_iter() - iter_);
  } catch (...) {
    is_solving_ = false;
    throw;
  }
  is_solving_ = false;
  const std::exception_ptr snapshot_error = std::exchange(snapshot_error_, nullptr);]])
ul2q_repair(src/caffe/solver.cpp
  FROM [[  if (param_.snapshot_after_train()
      && (!param_.snapshot() || iter_ % param_.snapshot() != 0)) {
    Snapshot();
  }]]
  TO [[  if (param_.snapshot_after_train()
      && (snapshot_error || !param_.snapshot() || iter_ % param_.snapshot() != 0)) {
    Snapshot();
  } else if (snapshot_error) {
    std::rethrow_exception(snapshot_error);
  }]])
