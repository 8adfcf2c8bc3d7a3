// MVN in two passes over each image or channel, without BLAS and without copies
// of the blob. In place the gradient is right, too.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "caffe/layers/mvn_layer.hpp"
#include "ul2q/float_engine/channel_loops.hpp"
#include "ul2q/float_engine/engine.hpp"

namespace caffe {
namespace {

using ul2q::ChannelBlock;
using ul2q::ChannelShape;
using ul2q::ChannelSums;
using ul2q::kBlockRow;

template <typename Dtype>
class FastMVNLayer : public MVNLayer<Dtype> {
 public:
  using MVNLayer<Dtype>::MVNLayer;

 protected:
  // y = (x - mean(x)) / (σ + eps); variance_ keeps the divisors.
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom,
                   const vector<Blob<Dtype>*>& top) override {
    const Dtype* x = bottom[0]->cpu_data();
    Dtype* y = top[0]->mutable_cpu_data();
    Dtype* means = this->mean_.mutable_cpu_data();
    Dtype* divisors = this->variance_.mutable_cpu_data();
    const auto& loops = ul2q::GetChannelLoops<Dtype>();
    ul2q::ForEachChannelBlock(
        ShapeOf(*bottom[0]),
        [&](const ChannelBlock& block, int64_t channel, int64_t offset) {
          ul2q::Measure(block, x + offset, means + channel, divisors + channel);
          Dtype factors[kBlockRow];
          for (int64_t i = 0; i < block.channels; ++i) {
            Dtype& divisor = divisors[channel + i];
            divisor = normalizes() ? std::sqrt(divisor) + this->eps_ : 1;
            factors[i] = 1 / divisor;
          }
          loops.affine(block, x + offset, means + channel, factors, nullptr,
                       y + offset, nullptr);
        });
  }

  // dx = (dy - mean(dy) - mean(dy·y)·y) / (σ + eps), which is BVLC's formula:
  // exact for eps = 0.
  void Backward_cpu(const vector<Blob<Dtype>*>& top,
                    const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override {
    if (!propagate_down[0]) {
      return;
    }
    const ChannelShape shape = ShapeOf(*bottom[0]);
    const Dtype* y = top[0]->cpu_data();
    const Dtype* dy = top[0]->cpu_diff();
    Dtype* dx = bottom[0]->mutable_cpu_diff();
    const Dtype* divisors = this->variance_.cpu_data();
    const auto& loops = ul2q::GetChannelLoops<Dtype>();
    ul2q::ForEachChannelBlock(shape, [&](const ChannelBlock& block,
                                         int64_t channel, int64_t offset) {
      ChannelSums sums[kBlockRow];
      loops.products(block, dy + offset, y + offset, nullptr, sums);
      Dtype slopes[kBlockRow], shifts[kBlockRow], factors[kBlockRow];
      const double m = static_cast<double>(shape.inner);
      for (int64_t i = 0; i < block.channels; ++i) {
        slopes[i] = normalizes() ? static_cast<Dtype>(sums[i].second / m) : 0;
        shifts[i] = static_cast<Dtype>(sums[i].first / m);
        factors[i] = 1 / divisors[channel + i];
      }
      loops.norm_backward(block, dy + offset, y + offset, nullptr, slopes,
                          shifts, factors, dx + offset);
    });
  }

 private:
  bool normalizes() const {
    return this->layer_param_.mvn_param().normalize_variance();
  }

  /// What is normalised by itself is a channel of one row.
  ChannelShape ShapeOf(const Blob<Dtype>& blob) const {
    const int64_t channels = this->layer_param_.mvn_param().across_channels()
                                 ? blob.num()
                                 : blob.num() * blob.channels();
    return {1, channels, blob.count() / channels};
  }
};

const FastLayer<FastMVNLayer> registration("MVN");

}  // namespace
}  // namespace caffe
