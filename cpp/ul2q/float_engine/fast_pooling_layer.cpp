#include "ul2q/float_engine/fast_pooling_layer.hpp"

#include <algorithm>

#include "ul2q/float_engine/engine.hpp"

namespace caffe {

template <typename Dtype>
bool FastPoolingLayer<Dtype>::IsMax() const {
  return this->layer_param_.pooling_param().pool() == PoolingParameter::MAX;
}

template <typename Dtype>
bool FastPoolingLayer<Dtype>::IsOwn() const {
  if (!IsMax()) {
    return this->layer_param_.pooling_param().pool() == PoolingParameter::AVE;
  }
  const std::int64_t last_offset =
      (this->kernel_h_ - 1) * std::int64_t{this->width_} + this->kernel_w_ - 1;
  return last_offset < ul2q::kNoMaximum;
}

template <typename Dtype>
ul2q::PoolingWindows FastPoolingLayer<Dtype>::Windows() const {
  return {this->height_,       this->width_,    this->pooled_height_,
          this->pooled_width_, this->kernel_h_, this->kernel_w_,
          this->stride_h_,     this->stride_w_, this->pad_h_,
          this->pad_w_};
}

template <typename Dtype>
void FastPoolingLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom,
                                      const vector<Blob<Dtype>*>& top) {
  PoolingLayer<Dtype>::Reshape(bottom, top);
  if (bottom[0]->shape() != bottom_shape_) {
    bottom_shape_ = bottom[0]->shape();
    offsets_.clear();  // they were of other windows
  }
}

template <typename Dtype>
void FastPoolingLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom,
                                          const vector<Blob<Dtype>*>& top) {
  if (!IsOwn()) {
    PoolingLayer<Dtype>::Forward_cpu(bottom, top);
    return;
  }
  const ul2q::PoolingWindows windows = Windows();
  const auto& loops = ul2q::GetPoolingLoops<Dtype>();
  const std::int64_t planes = bottom[0]->count(0, 2);
  const std::int64_t bottom_size = bottom[0]->count(2);
  const std::int64_t top_size = top[0]->count(2);
  const Dtype* bottom_data = bottom[0]->cpu_data();
  Dtype* top_data = top[0]->mutable_cpu_data();
  if (IsMax()) {
    offsets_.resize(top[0]->count());
    ul2q::ForEachPart(planes, bottom[0]->count(), [&](std::int64_t plane) {
      loops.max(windows, bottom_data + plane * bottom_size,
                top_data + plane * top_size,
                offsets_.data() + plane * top_size);
    });
    if (top.size() > 1) {
      WriteMask(windows, top[1]);
    }
  } else {
    ul2q::ForEachPart(planes, bottom[0]->count(), [&](std::int64_t plane) {
      loops.average(windows, bottom_data + plane * bottom_size,
                    top_data + plane * top_size);
    });
  }
}

template <typename Dtype>
void FastPoolingLayer<Dtype>::WriteMask(const ul2q::PoolingWindows& windows,
                                        Blob<Dtype>* mask) const {
  Dtype* index = mask->mutable_cpu_data();
  const std::int64_t rows = mask->count(0, 3);
  ul2q::ForEachPart(rows, mask->count(), [&](std::int64_t row) {
    const int ph = row % windows.pooled_height;
    const int first_of_row =
        (ph * windows.stride_h - windows.pad_h) * windows.width - windows.pad_w;
    for (int pw = 0; pw < windows.pooled_width; ++pw) {
      const std::int64_t i = row * windows.pooled_width + pw;
      index[i] =
          offsets_[i] == ul2q::kNoMaximum
              ? Dtype(-1)
              : Dtype(first_of_row + pw * windows.stride_w + offsets_[i]);
    }
  });
}

template <typename Dtype>
void FastPoolingLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top,
                                           const vector<bool>& propagate_down,
                                           const vector<Blob<Dtype>*>& bottom) {
  if (!IsOwn()) {
    PoolingLayer<Dtype>::Backward_cpu(top, propagate_down, bottom);
    return;
  }
  if (!propagate_down[0]) {
    return;
  }
  if (top.size() > 1) {
    MaxBackwardByMask(top, bottom[0]);
    return;
  }
  const ul2q::PoolingWindows windows = Windows();
  const auto& loops = ul2q::GetPoolingLoops<Dtype>();
  const std::int64_t planes = bottom[0]->count(0, 2);
  const std::int64_t bottom_size = bottom[0]->count(2);
  const std::int64_t top_size = top[0]->count(2);
  const Dtype* top_diff = top[0]->cpu_diff();
  Dtype* bottom_diff = bottom[0]->mutable_cpu_diff();
  if (IsMax()) {
    // Without a forward pass no maximum is known.
    offsets_.resize(top[0]->count(), ul2q::kNoMaximum);
    ul2q::ForEachPart(planes, bottom[0]->count(), [&](std::int64_t plane) {
      loops.max_backward(windows, top_diff + plane * top_size,
                         offsets_.data() + plane * top_size,
                         bottom_diff + plane * bottom_size);
    });
  } else {
    scratch_.Resize(windows.width + windows.pooled_width);
    ul2q::ForEachPart(planes, bottom[0]->count(), [&](std::int64_t plane) {
      loops.average_backward(windows, top_diff + plane * top_size,
                             scratch_.OfThread(),
                             bottom_diff + plane * bottom_size);
    });
  }
}

template <typename Dtype>
void FastPoolingLayer<Dtype>::MaxBackwardByMask(const vector<Blob<Dtype>*>& top,
                                                Blob<Dtype>* bottom) const {
  const std::int64_t bottom_size = bottom->count(2);
  const std::int64_t top_size = top[0]->count(2);
  const Dtype* top_diff = top[0]->cpu_diff();
  const Dtype* mask = top[1]->cpu_data();
  Dtype* bottom_diff = bottom->mutable_cpu_diff();
  ul2q::ForEachPart(
      bottom->count(0, 2), bottom->count(), [&](std::int64_t plane) {
        Dtype* diff = bottom_diff + plane * bottom_size;
        std::fill(diff, diff + bottom_size, Dtype(0));
        for (std::int64_t i = plane * top_size; i < (plane + 1) * top_size;
             ++i) {
          // Its values may come from elsewhere.
          if (mask[i] >= 0 && mask[i] < bottom_size) {
            diff[static_cast<std::int64_t>(mask[i])] += top_diff[i];
          }
        }
      });
}

namespace {
const OwnEngine<FastPoolingLayer> registration("Pooling");
}

}  // namespace caffe
