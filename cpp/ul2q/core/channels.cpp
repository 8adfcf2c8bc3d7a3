#include "ul2q/core/channels.hpp"

#include <algorithm>
#include <cmath>
#include <exception>

#include "ul2q/core/kernels/blocks.hpp"
#include "ul2q/core/kernels/finite.hpp"
#include "ul2q/core/kernels/random.hpp"

namespace ul2q {
namespace {

/// Where a channel's rows of `inner` elements lie.
class Rows {
 public:
  Rows(const ChannelLayout& layout, std::int64_t channel)
      : inner_(layout.inner),
        stride_(layout.channels * layout.inner),
        first_((channel / layout.channels * layout.outer * layout.channels +
                channel % layout.channels) *
               layout.inner),
        count_(layout.outer) {}

  bool are_contiguous() const { return count_ == 1 || stride_ == inner_; }
  std::int64_t first() const { return first_; }

  /// body(i) for the elements i of the array that belong to the channel.
  template <typename Body>
  void ForEachElement(const Body& body) const {
    for (std::int64_t row = 0; row < count_; ++row) {
      const std::int64_t begin = first_ + row * stride_;
      for (std::int64_t i = begin; i < begin + inner_; ++i) {
        body(i);
      }
    }
  }

  template <typename Value>
  void Gather(const Value* array, Value* channel) const {
    for (std::int64_t row = 0; row < count_; ++row) {
      const Value* from = array + first_ + row * stride_;
      channel = std::copy(from, from + inner_, channel);
    }
  }

  template <typename Value>
  void Scatter(const Value* channel, Value* array) const {
    for (std::int64_t row = 0; row < count_; ++row) {
      std::copy(channel, channel + inner_, array + first_ + row * stride_);
      channel += inner_;
    }
  }

 private:
  std::int64_t inner_, stride_, first_, count_;
};

/// body(channel) for each, on several threads where there are several channels
/// and enough to do. The exception of the first channel that has one leaves.
template <typename Body>
void ForEachChannel(const ChannelLayout& layout, const Body& body) {
  const std::int64_t count = layout.channel_count();
  if (count == 1 || !IsWorthThreads(layout.size())) {
    // Outside of any parallel region, not in one of a single thread: there,
    // libgomp makes new threads for each loop of the body's.
    for (std::int64_t channel = 0; channel < count; ++channel) {
      body(channel);
    }
    return;
  }
  std::vector<std::exception_ptr> errors(count);
#pragma omp parallel for schedule(static)
  for (std::int64_t channel = 0; channel < count; ++channel) {
    try {
      body(channel);
    } catch (...) {
      errors[channel] = std::current_exception();
    }
  }
  for (const std::exception_ptr& error : errors) {
    if (error) {
      std::rethrow_exception(error);
    }
  }
}

/// body(channel, in, out) for each channel, made contiguous where it is not.
template <typename In, typename Out, typename Body>
void MapChannels(const ChannelLayout& layout, const In* in, Out* out,
                 const Body& body) {
  ForEachChannel(layout, [&](std::int64_t channel) {
    const Rows rows(layout, channel);
    if (rows.are_contiguous()) {
      body(channel, in + rows.first(), out + rows.first());
      return;
    }
    std::vector<In> gathered(layout.channel_size());
    std::vector<Out> result(layout.channel_size());
    rows.Gather(in, gathered.data());
    body(channel, gathered.data(), result.data());
    rows.Scatter(result.data(), out);
  });
}

template <typename Seed>
Seed SeedOf(const ChannelLayout& layout, Seed seed, std::int64_t channel) {
  if (seed) {
    seed = SeedOfChannel(*seed, channel, layout.channel_count() > 1);
  }
  return seed;
}

/// Runs `action`, which fits channels of w; counts a bad element in all of w.
template <typename Dtype, typename Action>
void FitWith(const ChannelLayout& layout, const Dtype* w,
             const Action& action) {
  try {
    action();
  } catch (const NonFiniteError&) {
    const Dtype* end = w + layout.size();
    if (std::all_of(w, end, [](Dtype x) { return std::isfinite(x); })) {
      throw;
    }
    ThrowNonFinite(w, layout.size(), "range");
  }
}

}  // namespace

template <typename Dtype>
std::vector<ScaleShift<Dtype>> FitChannels(const Quantizer<Dtype>& quantizer,
                                           const ChannelLayout& layout,
                                           const Dtype* w) {
  std::vector<ScaleShift<Dtype>> fits(layout.channel_count());
  FitWith(layout, w, [&] {
    ForEachChannel(layout, [&](std::int64_t channel) {
      const Rows rows(layout, channel);
      if (rows.are_contiguous()) {
        fits[channel] =
            quantizer.FitTo(w + rows.first(), layout.channel_size());
        return;
      }
      std::vector<Dtype> gathered(layout.channel_size());
      rows.Gather(w, gathered.data());
      fits[channel] = quantizer.FitTo(gathered.data(), layout.channel_size());
    });
  });
  return fits;
}

template <typename Dtype>
void EncodeChannels(const Quantizer<Dtype>& quantizer,
                    const ChannelLayout& layout,
                    const std::vector<ScaleShift<Dtype>>& fits, const Dtype* w,
                    typename Quantizer<Dtype>::Seed seed, std::int32_t* codes) {
  MapChannels(layout, w, codes,
              [&](std::int64_t channel, const Dtype* in, std::int32_t* out) {
                quantizer.Encode(fits[channel], in, layout.channel_size(),
                                 SeedOf(layout, seed, channel), out);
              });
}

template <typename Dtype>
void DecodeChannels(const Quantizer<Dtype>& quantizer,
                    const ChannelLayout& layout,
                    const std::vector<ScaleShift<Dtype>>& fits,
                    const std::int32_t* codes, Dtype* values) {
  MapChannels(layout, codes, values,
              [&](std::int64_t channel, const std::int32_t* in, Dtype* out) {
                quantizer.Decode(fits[channel], in, layout.channel_size(), out);
              });
}

template <typename Dtype>
std::vector<ScaleShift<Dtype>> QuantizeChannels(
    const Quantizer<Dtype>& quantizer, const ChannelLayout& layout,
    const Dtype* w, typename Quantizer<Dtype>::Seed seed, Dtype* values) {
  std::vector<ScaleShift<Dtype>> fits(layout.channel_count());
  FitWith(layout, w, [&] {
    MapChannels(layout, w, values,
                [&](std::int64_t channel, const Dtype* in, Dtype* out) {
                  const std::int64_t n = layout.channel_size();
                  fits[channel] = quantizer.FitTo(in, n);
                  quantizer.Quantize(fits[channel], in, n,
                                     SeedOf(layout, seed, channel), out);
                });
  });
  return fits;
}

template <typename Dtype>
void AddGradientWithinLevels(const Quantizer<Dtype>& quantizer,
                             const ChannelLayout& layout,
                             const std::vector<ScaleShift<Dtype>>& fits,
                             const Dtype* w, const Dtype* gradient,
                             Dtype* sum) {
  ForEachChannel(layout, [&](std::int64_t channel) {
    const Levels<Dtype> levels = OutermostLevels(quantizer, fits[channel]);
    Rows(layout, channel).ForEachElement([=](std::int64_t i) {
      if (levels.lowest <= w[i] && w[i] <= levels.highest) {
        sum[i] += gradient[i];
      }
    });
  });
}

#define UL2Q_INSTANTIATE(Dtype)                                                \
  template std::vector<ScaleShift<Dtype>> FitChannels(                         \
      const Quantizer<Dtype>&, const ChannelLayout&, const Dtype*);            \
  template void EncodeChannels(const Quantizer<Dtype>&, const ChannelLayout&,  \
                               const std::vector<ScaleShift<Dtype>>&,          \
                               const Dtype*, Quantizer<Dtype>::Seed,           \
                               std::int32_t*);                                 \
  template void DecodeChannels(const Quantizer<Dtype>&, const ChannelLayout&,  \
                               const std::vector<ScaleShift<Dtype>>&,          \
                               const std::int32_t*, Dtype*);                   \
  template std::vector<ScaleShift<Dtype>> QuantizeChannels(                    \
      const Quantizer<Dtype>&, const ChannelLayout&, const Dtype*,             \
      Quantizer<Dtype>::Seed, Dtype*);                                         \
  template void AddGradientWithinLevels(const Quantizer<Dtype>&,               \
                                        const ChannelLayout&,                  \
                                        const std::vector<ScaleShift<Dtype>>&, \
                                        const Dtype*, const Dtype*, Dtype*)

UL2Q_INSTANTIATE(float);
UL2Q_INSTANTIATE(double);

#undef UL2Q_INSTANTIATE

}  // namespace ul2q
