#include "ul2q/float_engine/fast_bias_layer.hpp"

#include "ul2q/float_engine/engine.hpp"

namespace caffe {

using ul2q::ChannelGroup;
using ul2q::ChannelSums;
using ul2q::kGroupRow;

template <typename Dtype>
void FastBiasLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom,
                                   const vector<Blob<Dtype>*>& top) {
  BiasLayer<Dtype>::Reshape(bottom, top);
  const Blob<Dtype>& bias = bottom.size() > 1 ? *bottom[1] : *this->blobs_[0];
  // A scalar has no axis to begin at.
  const int axis = bias.num_axes() == 0
                       ? 0
                       : bottom[0]->CanonicalAxisIndex(
                             this->layer_param_.bias_param().axis());
  shape_ = {bottom[0]->count(0, axis), bias.count(),
            bottom[0]->count(axis + bias.num_axes())};
}

template <typename Dtype>
void FastBiasLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom,
                                       const vector<Blob<Dtype>*>& top) {
  const Dtype* bias =
      (bottom.size() > 1 ? bottom[1] : this->blobs_[0].get())->cpu_data();
  const Dtype* x = bottom[0]->cpu_data();
  Dtype* y = top[0]->mutable_cpu_data();
  const auto& loops = ul2q::GetChannelLoops<Dtype>();
  ul2q::ForEachChannelGroup(
      shape_, [&](const ChannelGroup& group, int64_t channel, int64_t offset) {
        loops.affine(group, x + offset, nullptr, nullptr, bias + channel,
                     y + offset, nullptr);
      });
}

template <typename Dtype>
void FastBiasLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top,
                                        const vector<bool>& propagate_down,
                                        const vector<Blob<Dtype>*>& bottom) {
  const bool is_param = bottom.size() == 1;
  const bool needs_bias =
      is_param ? this->param_propagate_down_[0] : propagate_down[1];
  const bool needs_bottom = propagate_down[0] && bottom[0] != top[0];
  const Dtype* dy = top[0]->cpu_diff();
  Dtype* dx = needs_bottom ? bottom[0]->mutable_cpu_diff() : nullptr;
  Blob<Dtype>& bias = is_param ? *this->blobs_[0] : *bottom[1];
  Dtype* bias_diff = needs_bias ? bias.mutable_cpu_diff() : nullptr;
  const auto& loops = ul2q::GetChannelLoops<Dtype>();
  ul2q::ForEachChannelGroup(
      shape_, [&](const ChannelGroup& group, int64_t channel, int64_t offset) {
        if (needs_bottom) {
          loops.affine(group, dy + offset, nullptr, nullptr, nullptr,
                       dx + offset, nullptr);
        }
        if (needs_bias) {
          ChannelSums sums[kGroupRow];
          loops.products(group, dy + offset, dy + offset, nullptr, sums);
          for (int64_t i = 0; i < group.channels; ++i) {
            Dtype& diff = bias_diff[channel + i];
            diff = (is_param ? diff : 0) + static_cast<Dtype>(sums[i].first);
          }
        }
      });
}

namespace {
const OwnEngine<FastBiasLayer> registration("Bias");
}

template class FastBiasLayer<float>;
template class FastBiasLayer<double>;

}  // namespace caffe
