// PReLU in one pass forward and one backward. In place it keeps no copy of its
// input where the output tells it.

#include <algorithm>
#include <cstdint>
#include <vector>

#include "caffe/layers/prelu_layer.hpp"
#include "ul2q/float_engine/channel_loops.hpp"
#include "ul2q/float_engine/engine.hpp"

namespace caffe {
namespace {

using ul2q::ChannelBlock;
using ul2q::ChannelShape;
using ul2q::ChannelSums;
using ul2q::kBlockRow;

/// Slopes from which on y has the sign of x, and y / slope is x to rounding:
/// hardly an x is so small that the product underflows.
constexpr float kMinInvertibleSlope = 1e-3F;

template <typename Dtype>
class FastPReLULayer : public PReLULayer<Dtype> {
 public:
  using PReLULayer<Dtype>::PReLULayer;

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom,
                   const vector<Blob<Dtype>*>& top) override {
    const ChannelShape shape = ShapeOf(*bottom[0]);
    SetSlopes(shape.channels, &slopes_);
    const bool in_place = bottom[0] == top[0];
    const Dtype* x = bottom[0]->cpu_data();
    Dtype* y = top[0]->mutable_cpu_data();
    Dtype* kept = nullptr;
    if (in_place && !AreInvertible(slopes_.data(), shape.channels)) {
      kept = this->bottom_memory_.mutable_cpu_data();
    }
    const auto& loops = ul2q::GetChannelLoops<Dtype>();
    ul2q::ForEachChannelBlock(
        shape, [&](const ChannelBlock& block, int64_t channel, int64_t offset) {
          const Dtype* slopes = slopes_.data() + channel;
          const bool keeps = in_place && !AreInvertible(slopes, block.channels);
          loops.prelu(block, x + offset, slopes, y + offset,
                      keeps ? kept + offset : nullptr);
        });
  }

  void Backward_cpu(const vector<Blob<Dtype>*>& top,
                    const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override {
    const bool needs_slope = this->param_propagate_down_[0];
    if (!needs_slope && !propagate_down[0]) {
      return;
    }
    const ChannelShape shape = ShapeOf(*bottom[0]);
    vector<Dtype> slopes;
    SetSlopes(shape.channels, &slopes);
    const bool in_place = bottom[0] == top[0];
    // In place, this is y.
    const Dtype* x = bottom[0]->cpu_data();
    const Dtype* kept = nullptr;
    if (in_place && !AreInvertible(slopes_.data(), shape.channels)) {
      kept = this->bottom_memory_.cpu_data();
    }
    const Dtype* dy = top[0]->cpu_diff();
    Dtype* dx = propagate_down[0] ? bottom[0]->mutable_cpu_diff() : nullptr;
    vector<double> slope_diffs(shape.channels);
    const auto& loops = ul2q::GetChannelLoops<Dtype>();
    ul2q::ForEachChannelBlock(
        shape, [&](const ChannelBlock& block, int64_t channel, int64_t offset) {
          const Dtype* forward_slopes = slopes_.data() + channel;
          const bool keeps =
              in_place && !AreInvertible(forward_slopes, block.channels);
          ChannelSums sums[kBlockRow];
          loops.prelu_backward(block, dy + offset, (keeps ? kept : x) + offset,
                               slopes.data() + channel,
                               dx == nullptr ? nullptr : dx + offset, sums);
          for (int64_t i = 0; i < block.channels; ++i) {
            // Below zero x is y / slope.
            slope_diffs[channel + i] =
                sums[i].second / (in_place && !keeps ? forward_slopes[i] : 1);
          }
        });
    if (!needs_slope || shape.count() == 0) {
      return;
    }
    Dtype* slope_diff = this->blobs_[0]->mutable_cpu_diff();
    if (this->channel_shared_) {
      double sum = 0;
      for (const double diff : slope_diffs) {
        sum += diff;
      }
      *slope_diff += static_cast<Dtype>(sum);
      return;
    }
    for (int64_t i = 0; i < shape.channels; ++i) {
      slope_diff[i] += static_cast<Dtype>(slope_diffs[i]);
    }
  }

 private:
  static ChannelShape ShapeOf(const Blob<Dtype>& blob) {
    return {blob.shape(0), blob.shape(1), blob.count(2)};
  }

  static bool AreInvertible(const Dtype* slopes, int64_t n) {
    return std::all_of(slopes, slopes + n, [](Dtype slope) {
      return slope >= kMinInvertibleSlope;
    });
  }

  /// One for each channel.
  void SetSlopes(int64_t channels, vector<Dtype>* slopes) const {
    const Dtype* data = this->blobs_[0]->cpu_data();
    if (this->channel_shared_) {
      slopes->assign(channels, *data);
    } else {
      slopes->assign(data, data + channels);
    }
  }

  vector<Dtype> slopes_;  ///< those of the last forward pass
};

const FastLayer<FastPReLULayer> registration("PReLU");

}  // namespace
}  // namespace caffe
