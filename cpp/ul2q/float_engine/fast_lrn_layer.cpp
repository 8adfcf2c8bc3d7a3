#include "ul2q/float_engine/fast_lrn_layer.hpp"

#include <algorithm>

#include "ul2q/float_engine/engine.hpp"

namespace caffe {
namespace {

/// Positions a block, so that a block with all its channels stays in the cache.
int BlockColumns(int channels, int positions) {
  constexpr int kElements = 1 << 15;
  return std::min(std::clamp(kElements / std::max(channels, 1), 16, 256),
                  positions);
}

template <typename Dtype>
bool ShareData(const Blob<Dtype>& a, const Blob<Dtype>& b) {
  return a.data() == b.data();
}

}  // namespace

template <typename Dtype>
bool FastLRNLayer<Dtype>::IsAcrossChannels() const {
  return this->layer_param_.lrn_param().norm_region() ==
         LRNParameter::ACROSS_CHANNELS;
}

template <typename Dtype>
ul2q::LocalResponse<Dtype> FastLRNLayer<Dtype>::Response() const {
  const int reach = this->pre_pad_;
  const Dtype size = this->size_;
  if (IsAcrossChannels()) {
    const int positions = this->height_ * this->width_;
    return {this->channels_,
            BlockColumns(this->channels_, positions),
            positions,
            std::min(reach, this->channels_ - 1),
            0,
            this->k_,
            this->alpha_ / size,
            this->beta_};
  }
  return {this->height_,
          this->width_,
          this->width_,
          std::min(reach, this->height_ - 1),
          std::min(reach, this->width_ - 1),
          Dtype(1),  // BVLC's formula here has no k
          this->alpha_ / (size * size),
          this->beta_};
}

template <typename Dtype>
template <typename Body>
void FastLRNLayer<Dtype>::ForEachSlice(const Body& body) const {
  const ul2q::LocalResponse<Dtype> response = Response();
  // Planes are slices of one block.
  const std::int64_t images =
      std::int64_t{this->num_} * (IsAcrossChannels() ? 1 : this->channels_);
  const std::int64_t columns =
      IsAcrossChannels() ? response.stride : response.columns;
  const std::int64_t image_size = response.rows * response.stride;
  if (images * image_size == 0) {
    return;
  }
  const std::int64_t blocks =
      (columns + response.columns - 1) / response.columns;
  ul2q::ForEachPart(
      images * blocks, images * image_size, [&](std::int64_t part) {
        const std::int64_t first = part % blocks * response.columns;
        ul2q::LocalResponse<Dtype> slice = response;
        slice.columns = std::min<std::int64_t>(columns - first, slice.columns);
        body(slice, part / blocks * image_size + first);
      });
}

template <typename Dtype>
void FastLRNLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom,
                                      const vector<Blob<Dtype>*>& top) {
  if (ShareData(*bottom[0], *top[0])) {
    LRNLayer<Dtype>::Forward_cpu(bottom, top);
    return;
  }
  const auto& loops = ul2q::GetLrnLoops<Dtype>();
  const Dtype* x = bottom[0]->cpu_data();
  Dtype* y = top[0]->mutable_cpu_data();
  scratch_.Resize(Response().ForwardScratch());
  ForEachSlice(
      [&](const ul2q::LocalResponse<Dtype>& slice, std::int64_t offset) {
        loops.forward(slice, x + offset, scratch_.OfThread(), y + offset);
      });
}

template <typename Dtype>
void FastLRNLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top,
                                       const vector<bool>& propagate_down,
                                       const vector<Blob<Dtype>*>& bottom) {
  if (ShareData(*bottom[0], *top[0])) {
    LRNLayer<Dtype>::Backward_cpu(top, propagate_down, bottom);
    return;
  }
  if (!propagate_down[0]) {
    return;
  }
  const auto& loops = ul2q::GetLrnLoops<Dtype>();
  const Dtype* x = bottom[0]->cpu_data();
  const Dtype* dy = top[0]->cpu_diff();
  Dtype* dx = bottom[0]->mutable_cpu_diff();
  scratch_.Resize(Response().BackwardScratch());
  ForEachSlice(
      [&](const ul2q::LocalResponse<Dtype>& slice, std::int64_t offset) {
        loops.backward(slice, x + offset, dy + offset, scratch_.OfThread(),
                       dx + offset);
      });
}

namespace {
const OwnEngine<FastLRNLayer> registration("LRN");
}

}  // namespace caffe
