// Bias in one pass over the blob.

#include <cstdint>
#include <vector>

#include "caffe/layers/bias_layer.hpp"
#include "ul2q/float_engine/channel_loops.hpp"
#include "ul2q/float_engine/engine.hpp"

namespace caffe {
namespace {

using ul2q::ChannelBlock;
using ul2q::ChannelSums;
using ul2q::kBlockRow;

template <typename Dtype>
class FastBiasLayer : public BiasLayer<Dtype> {
 public:
  using BiasLayer<Dtype>::BiasLayer;

  void Reshape(const vector<Blob<Dtype>*>& bottom,
               const vector<Blob<Dtype>*>& top) override {
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

  void Forward_cpu(const vector<Blob<Dtype>*>& bottom,
                   const vector<Blob<Dtype>*>& top) override {
    const Dtype* bias =
        (bottom.size() > 1 ? bottom[1] : this->blobs_[0].get())->cpu_data();
    const Dtype* x = bottom[0]->cpu_data();
    Dtype* y = top[0]->mutable_cpu_data();
    const auto& loops = ul2q::GetChannelLoops<Dtype>();
    ul2q::ForEachChannelBlock(shape_, [&](const ChannelBlock& block,
                                          int64_t channel, int64_t offset) {
      loops.affine(block, x + offset, nullptr, nullptr, bias + channel,
                   y + offset, nullptr);
    });
  }

  void Backward_cpu(const vector<Blob<Dtype>*>& top,
                    const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override {
    const bool is_param = bottom.size() == 1;
    const bool needs_bias =
        is_param ? this->param_propagate_down_[0] : propagate_down[1];
    const bool needs_bottom = propagate_down[0] && bottom[0] != top[0];
    const Dtype* dy = top[0]->cpu_diff();
    Dtype* dx = needs_bottom ? bottom[0]->mutable_cpu_diff() : nullptr;
    Blob<Dtype>& bias = is_param ? *this->blobs_[0] : *bottom[1];
    Dtype* bias_diff = needs_bias ? bias.mutable_cpu_diff() : nullptr;
    const auto& loops = ul2q::GetChannelLoops<Dtype>();
    ul2q::ForEachChannelBlock(shape_, [&](const ChannelBlock& block,
                                          int64_t channel, int64_t offset) {
      if (needs_bottom) {
        loops.affine(block, dy + offset, nullptr, nullptr, nullptr, dx + offset,
                     nullptr);
      }
      if (needs_bias) {
        ChannelSums sums[kBlockRow];
        loops.products(block, dy + offset, dy + offset, nullptr, sums);
        for (int64_t i = 0; i < block.channels; ++i) {
          Dtype& diff = bias_diff[channel + i];
          diff = (is_param ? diff : 0) + static_cast<Dtype>(sums[i].first);
        }
      }
    });
  }

 private:
  ul2q::ChannelShape shape_;
};

const FastLayer<FastBiasLayer> registration("Bias");

}  // namespace
}  // namespace caffe
