// How the layers that have a state beyond their parameters save and restore it:
// the bodies of the methods that patches/ declares in BVLC's classes.
#include <glog/logging.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "caffe/layers/base_data_layer.hpp"
#include "caffe/layers/data_layer.hpp"
#include "caffe/layers/hdf5_data_layer.hpp"
#include "caffe/layers/recurrent_layer.hpp"
#include "caffe/util/rng.hpp"
#include "support/resume.hpp"

namespace caffe {
namespace {

/// The generator that draws mirrors and crops; null if nothing is drawn.
template <typename Dtype>
rng_t* GeneratorOf(DataTransformer<Dtype>* transformer) {
  Caffe::RNG* random = transformer->random();
  return random != nullptr ? static_cast<rng_t*>(random->generator()) : nullptr;
}

/// Whether `order` holds each of 0..size-1 once.
bool IsOrder(const google::protobuf::RepeatedField<std::uint32_t>& order,
             std::size_t size) {
  std::vector<bool> seen(size);
  for (const std::uint32_t index : order) {
    if (index >= size || seen[index]) {
      return false;
    }
    seen[index] = true;
  }
  return static_cast<std::size_t>(order.size()) == size;
}

}  // namespace

// What has been prefetched is forgotten; the batch that was served last stays,
// since the tops share its memory.
template <typename Dtype>
void BasePrefetchingDataLayer<Dtype>::RestoreState(const LayerState& state) {
  if (!state.has_records()) {
    return;
  }
  StopInternalThread();
  Batch<Dtype>* dropped;
  while (prefetch_full_.try_pop(&dropped) || prefetch_free_.try_pop(&dropped)) {
  }
  for (const auto& batch : prefetch_) {
    if (batch.get() != prefetch_current_) {
      prefetch_free_.push(batch.get());
    }
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
void DataLayer<Dtype>::SavePosition(LayerState* position) {
  position->Clear();
  position->set_key(cursor_->key());
  position->set_records(offset_);
  if (rng_t* generator = GeneratorOf(this->data_transformer_.get())) {
    position->set_generator(ul2q::ToText(*generator));
  }
}

template <typename Dtype>
void DataLayer<Dtype>::RestorePosition(const LayerState& position) {
  rng_t* generator = GeneratorOf(this->data_transformer_.get());
  if (generator != nullptr && position.has_generator()) {
    ul2q::FromText(position.generator(), generator);
  }
  offset_ = position.records();
  if (!cursor_->Seek(position.key())) {
    LOG(WARNING) << "layer '" << this->layer_param_.name()
                 << "': " << this->layer_param_.data_param().source()
                 << " has no record '" << position.key()
                 << "', where the snapshot's data go on: it is read from its "
                    "start";
    cursor_->SeekToFirst();
  }
}

template <typename Dtype>
void HDF5DataLayer<Dtype>::SaveState(LayerState* state) {
  state->set_records(offset_);
  state->set_file(current_file_);
  state->set_row(current_row_);
  if (this->layer_param_.hdf5_data_param().shuffle()) {
    for (const unsigned int file : file_permutation_) {
      state->add_file_order(file);
    }
    for (const unsigned int row : data_permutation_) {
      state->add_row_order(row);
    }
  }
}

template <typename Dtype>
void HDF5DataLayer<Dtype>::RestoreState(const LayerState& state) {
  if (!state.has_row()) {
    return;
  }
  const bool shuffled = state.file_order_size() > 0;
  bool fits = state.file() < num_files_ &&
              (!shuffled || IsOrder(state.file_order(), num_files_));
  if (fits) {
    const unsigned int file =
        shuffled ? state.file_order(state.file()) : state.file();
    LoadHDF5FileData(hdf_filenames_[file].c_str());
    const std::size_t rows = hdf_blobs_[0]->shape(0);
    fits =
        state.row() < rows && (!shuffled || IsOrder(state.row_order(), rows));
    if (!fits) {
      LoadHDF5FileData(
          hdf_filenames_[file_permutation_[current_file_]].c_str());
    }
  }
  if (!fits) {
    LOG(WARNING) << "layer '" << this->layer_param_.name() << "': the files in "
                 << this->layer_param_.hdf5_data_param().source()
                 << " are not those that the snapshot's training read: they "
                    "are read from their start";
    return;
  }
  offset_ = state.records();
  current_file_ = state.file();
  current_row_ = state.row();
  if (shuffled) {
    file_permutation_.assign(state.file_order().begin(),
                             state.file_order().end());
    data_permutation_.assign(state.row_order().begin(),
                             state.row_order().end());
  }
}

// The last time step is where the next batch begins.
template <typename Dtype>
void RecurrentLayer<Dtype>::SaveState(LayerState* state) {
  for (const Blob<Dtype>* blob : recur_output_blobs_) {
    blob->ToProto(state->add_hidden());
  }
}

template <typename Dtype>
void RecurrentLayer<Dtype>::RestoreState(const LayerState& state) {
  const int saved = state.hidden_size();
  const int size = static_cast<int>(recur_output_blobs_.size());
  for (int i = 0; i < size && i < saved; ++i) {
    if (recur_output_blobs_[i]->ShapeEquals(state.hidden(i))) {
      recur_output_blobs_[i]->FromProto(state.hidden(i), false);
    }
  }
}

template void BasePrefetchingDataLayer<float>::RestoreState(const LayerState&);
template void BasePrefetchingDataLayer<double>::RestoreState(const LayerState&);
template void DataLayer<float>::SavePosition(LayerState*);
template void DataLayer<double>::SavePosition(LayerState*);
template void DataLayer<float>::RestorePosition(const LayerState&);
template void DataLayer<double>::RestorePosition(const LayerState&);
template void HDF5DataLayer<float>::SaveState(LayerState*);
template void HDF5DataLayer<double>::SaveState(LayerState*);
template void HDF5DataLayer<float>::RestoreState(const LayerState&);
template void HDF5DataLayer<double>::RestoreState(const LayerState&);
template void RecurrentLayer<float>::SaveState(LayerState*);
template void RecurrentLayer<double>::SaveState(LayerState*);
template void RecurrentLayer<float>::RestoreState(const LayerState&);
template void RecurrentLayer<double>::RestoreState(const LayerState&);

}  // namespace caffe
