#include "ul2q/float_engine/batch_norm.hpp"

#include <algorithm>
#include <cmath>

#include "ul2q/float_engine/engine.hpp"

namespace caffe {

using ul2q::ChannelBlock;
using ul2q::ChannelShape;
using ul2q::ChannelSums;
using ul2q::kBlockRow;

template <typename Dtype>
ChannelShape FastBatchNormLayer<Dtype>::ShapeOf(const Blob<Dtype>& blob) const {
  return {blob.shape(0), this->channels_,
          blob.count() / (blob.shape(0) * this->channels_)};
}

template <typename Dtype>
typename FastBatchNormLayer<Dtype>::Statistics
FastBatchNormLayer<Dtype>::BeginForward() {
  if (this->use_global_stats_) {
    const Dtype weight = this->blobs_[2]->cpu_data()[0];
    const Dtype factor = weight == 0 ? 0 : 1 / weight;
    const Dtype* moving_means = this->blobs_[0]->cpu_data();
    const Dtype* moving_variances = this->blobs_[1]->cpu_data();
    Dtype* means = this->mean_.mutable_cpu_data();
    Dtype* sigmas = this->variance_.mutable_cpu_data();
    for (int c = 0; c < this->channels_; ++c) {
      means[c] = factor * moving_means[c];
      sigmas[c] = std::sqrt(factor * moving_variances[c] + this->eps_);
    }
    return {means, sigmas, nullptr, nullptr};
  }
  Dtype* weight = this->blobs_[2]->mutable_cpu_data();
  *weight = *weight * this->moving_average_fraction_ + 1;
  return {this->mean_.mutable_cpu_data(), this->variance_.mutable_cpu_data(),
          this->blobs_[0]->mutable_cpu_data(),
          this->blobs_[1]->mutable_cpu_data()};
}

template <typename Dtype>
void FastBatchNormLayer<Dtype>::Measure(const ChannelBlock& block,
                                        int64_t channel, const Dtype* x,
                                        const Statistics& statistics,
                                        Dtype* inverses) const {
  Dtype* sigmas = statistics.sigmas + channel;
  if (!this->use_global_stats_) {
    const double m = static_cast<double>(block.rows * block.inner);
    const Dtype bias_correction = static_cast<Dtype>(m > 1 ? m / (m - 1) : 1);
    const Dtype fraction = this->moving_average_fraction_;
    Dtype* means = statistics.means + channel;
    Dtype* moving_means = statistics.moving_means + channel;
    Dtype* moving_variances = statistics.moving_variances + channel;
    ul2q::Measure(block, x, means, sigmas);
    for (int64_t i = 0; i < block.channels; ++i) {
      const Dtype variance = sigmas[i];
      moving_means[i] = moving_means[i] * fraction + means[i];
      moving_variances[i] =
          moving_variances[i] * fraction + bias_correction * variance;
      sigmas[i] = std::sqrt(variance + this->eps_);
    }
  }
  for (int64_t i = 0; i < block.channels; ++i) {
    inverses[i] = 1 / sigmas[i];
  }
}

template <typename Dtype>
void FastBatchNormLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom,
                                            const vector<Blob<Dtype>*>& top) {
  const Statistics statistics = BeginForward();
  const Dtype* x = bottom[0]->cpu_data();
  Dtype* y = top[0]->mutable_cpu_data();
  // Backward needs x, which y overwrites.
  Dtype* kept = bottom[0] == top[0] && !this->use_global_stats_ ? mutable_kept()
                                                                : nullptr;
  const auto& loops = ul2q::GetChannelLoops<Dtype>();
  ul2q::ForEachChannelBlock(
      ShapeOf(*bottom[0]),
      [&](const ChannelBlock& block, int64_t channel, int64_t offset) {
        Dtype inverses[kBlockRow];
        Measure(block, channel, x + offset, statistics, inverses);
        loops.affine(block, x + offset, statistics.means + channel, inverses,
                     nullptr, y + offset,
                     kept == nullptr ? nullptr : kept + offset);
      });
}

template <typename Dtype>
void FastBatchNormLayer<Dtype>::NormalizeAgain(const ChannelShape& shape,
                                               const Dtype* x, Dtype* y) const {
  const Dtype* means = this->mean_.cpu_data();
  const Dtype* sigmas = this->variance_.cpu_data();
  const auto& loops = ul2q::GetChannelLoops<Dtype>();
  ul2q::ForEachChannelBlock(
      shape, [&](const ChannelBlock& block, int64_t channel, int64_t offset) {
        Dtype inverses[kBlockRow];
        for (int64_t i = 0; i < block.channels; ++i) {
          inverses[i] = 1 / sigmas[channel + i];
        }
        loops.affine(block, x + offset, means + channel, inverses, nullptr,
                     y + offset, nullptr);
      });
}

// With the batch's own statistics, all means over the batch and the planes:
// dx = (dy - mean(dy) - mean(dy·y)·y) / σ for y = (x - mean(x)) / σ
template <typename Dtype>
void FastBatchNormLayer<Dtype>::Backward_cpu(
    const vector<Blob<Dtype>*>& top, const vector<bool>&,
    const vector<Blob<Dtype>*>& bottom) {
  const ChannelShape shape = ShapeOf(*bottom[0]);
  const double m = static_cast<double>(shape.rows * shape.inner);
  const Dtype* dy = top[0]->cpu_diff();
  Dtype* dx = bottom[0]->mutable_cpu_diff();
  const Dtype* means = this->mean_.cpu_data();
  const Dtype* sigmas = this->variance_.cpu_data();
  const Dtype* x =
      this->use_global_stats_ ? nullptr : InputOf(*bottom[0], *top[0]);
  const auto& loops = ul2q::GetChannelLoops<Dtype>();
  ul2q::ForEachChannelBlock(
      shape, [&](const ChannelBlock& block, int64_t channel, int64_t offset) {
        Dtype inverses[kBlockRow];
        for (int64_t i = 0; i < block.channels; ++i) {
          inverses[i] = 1 / sigmas[channel + i];
        }
        if (x == nullptr) {
          loops.affine(block, dy + offset, nullptr, inverses, nullptr,
                       dx + offset, nullptr);
          return;
        }
        ChannelSums sums[kBlockRow];
        loops.products(block, dy + offset, x + offset, means + channel, sums);
        Dtype slopes[kBlockRow];
        Dtype shifts[kBlockRow];
        for (int64_t i = 0; i < block.channels; ++i) {
          const double sigma = sigmas[channel + i];
          slopes[i] = static_cast<Dtype>(sums[i].second / m / (sigma * sigma));
          shifts[i] = static_cast<Dtype>(sums[i].first / m);
        }
        loops.norm_backward(block, dy + offset, x + offset, means + channel,
                            slopes, shifts, inverses, dx + offset);
      });
}

namespace {
const FastLayer<FastBatchNormLayer> registration("BatchNorm");
}

template class FastBatchNormLayer<float>;
template class FastBatchNormLayer<double>;

}  // namespace caffe
