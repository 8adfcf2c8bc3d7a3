#include "ul2q/float_engine/scale.hpp"

#include "ul2q/float_engine/engine.hpp"

namespace caffe {

using ul2q::ChannelBlock;
using ul2q::ChannelSums;
using ul2q::kBlockRow;

template <typename Dtype>
void FastScaleLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom,
                                        const vector<Blob<Dtype>*>& top) {
  const Dtype* scale =
      (bottom.size() > 1 ? bottom[1] : this->blobs_[0].get())->cpu_data();
  const Dtype* bias = this->bias_layer_
                          ? this->blobs_[this->bias_param_id_]->cpu_data()
                          : nullptr;
  const Dtype* x = bottom[0]->cpu_data();
  Dtype* y = top[0]->mutable_cpu_data();
  restore_input_ = nullptr;
  // Backward needs x, which y overwrites.
  Dtype* kept = bottom[0] == top[0] ? this->temp_.mutable_cpu_data() : nullptr;
  const auto& loops = ul2q::GetChannelLoops<Dtype>();
  ul2q::ForEachChannelBlock(
      Shape(), [&](const ChannelBlock& block, int64_t channel, int64_t offset) {
        loops.affine(block, x + offset, nullptr, scale + channel,
                     bias == nullptr ? nullptr : bias + channel, y + offset,
                     kept == nullptr ? nullptr : kept + offset);
      });
}

template <typename Dtype>
void FastScaleLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top,
                                         const vector<bool>& propagate_down,
                                         const vector<Blob<Dtype>*>& bottom) {
  const bool is_param = bottom.size() == 1;
  const bool needs_scale =
      is_param ? this->param_propagate_down_[0] : propagate_down[1];
  const bool needs_bias =
      this->bias_layer_ && this->param_propagate_down_[this->bias_param_id_];
  const bool needs_bottom = propagate_down[0];
  Blob<Dtype>& scale = is_param ? *this->blobs_[0] : *bottom[1];
  const Dtype* scale_data = scale.cpu_data();
  Dtype* scale_diff = needs_scale ? scale.mutable_cpu_diff() : nullptr;
  Dtype* bias_diff =
      needs_bias ? this->blobs_[this->bias_param_id_]->mutable_cpu_diff()
                 : nullptr;
  const Dtype* dy = top[0]->cpu_diff();
  Dtype* dx = needs_bottom ? bottom[0]->mutable_cpu_diff() : nullptr;
  const bool in_place = bottom[0] == top[0];
  if (in_place && restore_input_) {
    restore_input_(this->temp_.mutable_cpu_data());
    restore_input_ = nullptr;
  }
  const Dtype* x = (in_place ? this->temp_ : *bottom[0]).cpu_data();
  const auto& loops = ul2q::GetChannelLoops<Dtype>();
  ul2q::ForEachChannelBlock(
      Shape(), [&](const ChannelBlock& block, int64_t channel, int64_t offset) {
        const Dtype* factor = scale_data + channel;
        if (!needs_scale && !needs_bias) {
          if (needs_bottom) {
            loops.affine(block, dy + offset, nullptr, factor, nullptr,
                         dx + offset, nullptr);
          }
          return;
        }
        ChannelSums sums[kBlockRow];
        if (needs_bottom) {
          loops.scale_backward(block, dy + offset, {}, x + offset, nullptr,
                               factor, dx + offset, sums);
        } else {
          loops.products(block, dy + offset, x + offset, nullptr, sums);
        }
        for (int64_t i = 0; i < block.channels; ++i) {
          if (needs_bias) {
            bias_diff[channel + i] += static_cast<Dtype>(sums[i].first);
          }
          if (needs_scale) {
            Dtype& diff = scale_diff[channel + i];
            diff = (is_param ? diff : 0) + static_cast<Dtype>(sums[i].second);
          }
        }
      });
}

namespace {
const FastLayer<FastScaleLayer> registration("Scale");
}

template class FastScaleLayer<float>;
template class FastScaleLayer<double>;

}  // namespace caffe
