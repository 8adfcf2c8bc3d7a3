#ifndef UL2Q_CORE_CHANNELS_HPP_
#define UL2Q_CORE_CHANNELS_HPP_

#include <cstdint>
#include <vector>

#include "ul2q/core/quantizer.hpp"

namespace ul2q {

/// How the channels of an array lie in it: the array is groups × outer ×
/// channels × inner, and its element (g, o, c, i) belongs to channel
/// g · channels + c. Output channels of
///
///   convolution weights, N × C/group × kernel      N × 1 × 1 × the rest
///   deconvolution weights, C × N/group × kernel    group × C/group × N/group ×
///                                                  kernel
///   inner product weights, N × K                   N × 1 × 1 × K
///   transposed inner product weights, K × N        1 × K × N × 1
///
/// With one channel, the quantizer sees the whole array.
struct ChannelLayout {
  std::int64_t groups = 1;
  std::int64_t outer = 1;
  std::int64_t channels = 1;
  std::int64_t inner = 0;

  static ChannelLayout Whole(std::int64_t n) { return {1, 1, 1, n}; }

  std::int64_t channel_count() const { return groups * channels; }
  std::int64_t channel_size() const { return outer * inner; }
  std::int64_t size() const { return channel_count() * channel_size(); }
};

/// Quantizer's functions on an array whose channels each have a fit of their
/// own: `fits` has layout.channel_count() elements.

/// Throws NonFiniteError; elements are counted in the whole array.
template <typename Dtype>
std::vector<ScaleShift<Dtype>> FitChannels(const Quantizer<Dtype>& quantizer,
                                           const ChannelLayout& layout,
                                           const Dtype* w);

template <typename Dtype>
void EncodeChannels(const Quantizer<Dtype>& quantizer,
                    const ChannelLayout& layout,
                    const std::vector<ScaleShift<Dtype>>& fits, const Dtype* w,
                    typename Quantizer<Dtype>::Seed seed, std::int32_t* codes);

template <typename Dtype>
void DecodeChannels(const Quantizer<Dtype>& quantizer,
                    const ChannelLayout& layout,
                    const std::vector<ScaleShift<Dtype>>& fits,
                    const std::int32_t* codes, Dtype* values);

/// Fits and quantises in one call; returns the fits. Throws NonFiniteError.
template <typename Dtype>
std::vector<ScaleShift<Dtype>> QuantizeChannels(
    const Quantizer<Dtype>& quantizer, const ChannelLayout& layout,
    const Dtype* w, typename Quantizer<Dtype>::Seed seed, Dtype* values);

/// sum += gradient where w lies between the outermost levels of its channel:
/// the straight-through estimator, clipped.
template <typename Dtype>
void AddGradientWithinLevels(const Quantizer<Dtype>& quantizer,
                             const ChannelLayout& layout,
                             const std::vector<ScaleShift<Dtype>>& fits,
                             const Dtype* w, const Dtype* gradient, Dtype* sum);

}  // namespace ul2q

#endif  // UL2Q_CORE_CHANNELS_HPP_
