#include <algorithm>
#include <cstdlib>
#include <optional>
#include <type_traits>
#include <vector>

#include "ul2q/runtime/kernels/depthwise.hpp"
#include "ul2q/runtime/steps/convolution.hpp"
#include "ul2q/runtime/steps/convolution_terms.hpp"
#include "ul2q/runtime/steps/sliding_window.hpp"

namespace ul2q {
namespace runtime {
namespace {

/// Reads codes or floats, writes codes or floats.
template <typename Value, typename Result>
class DepthwiseStep : public Step {
 public:
  using Weight =
      std::conditional_t<std::is_same_v<Value, float>, float, std::int16_t>;
  using Sum =
      std::conditional_t<std::is_same_v<Value, float>, float, std::int32_t>;
  static constexpr bool kReadsCodes = !std::is_same_v<Value, float>;

  explicit DepthwiseStep(const ConvolutionPlan& plan)
      : from_(plan.from),
        to_(plan.to),
        window_(SlidingWindow::Of(*plan.convolution)),
        addend_(plan.ending.addend),
        terms_(TermsOf(plan, 1)) {
    const Image& in = from_.image;
    const Pair kernel = window_.kernel;
    for (std::int64_t y = 0; y < kernel.height; ++y) {
      for (std::int64_t x = 0; x < kernel.width; ++x) {
        offsets_.push_back(y * window_.dilation.height * in.row_stride() +
                           x * window_.dilation.width * in.channel_stride);
      }
    }
    const auto taps = static_cast<std::int64_t>(offsets_.size());
    const Weights& weights = plan.convolution->weights;
    weights_.assign(taps * in.channel_stride, Weight(0));
    for (std::int64_t c = 0; c < in.channels; ++c) {
      const std::int64_t tile = c / kTileOutputs * kTileOutputs;
      for (std::int64_t tap = 0; tap < taps; ++tap) {
        Weight& weight =
            weights_[tile * taps + tap * Channels(tile) + c - tile];
        if constexpr (kReadsCodes) {
          weight = weights.integers[c * taps + tap];
        } else {
          weight = static_cast<float>(weights.Value(c, tap, taps));
        }
      }
    }
    if constexpr (kReadsCodes) {
      std::int64_t largest = 1;  // of the codes alone, too
      for (const std::int8_t weight : weights.integers) {
        largest = std::max<std::int64_t>(largest, std::abs(int{weight}));
      }
      fits_16_bits_ = taps * largest * plan.coding->highest <= 32767;
    }
  }

  void Run(const Block& block) const override {
    const std::int64_t height = to_.image.height;
    const std::int64_t parts =
        block.items >= block.threads
            ? 1
            : std::min<std::int64_t>(height, 2 * block.threads);
    block.ForEach(block.items * parts, [&](std::int64_t i, std::byte*) {
      const std::int64_t item = i / parts, part = i % parts;
      if (part == 0) {
        to_.image.ClearBorder(block.At<Result>(to_, item));
      }
      for (std::int64_t row = height * part / parts;
           row < height * (part + 1) / parts; ++row) {
        for (std::int64_t tile = 0; tile < to_.image.channel_stride;
             tile += kTileOutputs) {
          RunRow(block, item, row, tile);
        }
      }
    });
  }

 private:
  /// Of the tile that begins with a channel.
  std::int64_t Channels(std::int64_t tile) const {
    return std::min(kTileOutputs, from_.image.channel_stride - tile);
  }

  void RunRow(const Block& block, std::int64_t item, std::int64_t row,
              std::int64_t tile) const {
    const Image& in = from_.image;
    const Image& out = to_.image;
    const std::int64_t stride = window_.stride.width * in.channel_stride;
    const auto count = static_cast<std::int64_t>(offsets_.size());
    const Weight* weights = weights_.data() + tile * count;
    const Value* x = block.At<Value>(from_, item) +
                     in.At(row * window_.stride.height - window_.pad.height,
                           -window_.pad.width) +
                     tile;
    Result* y = block.At<Result>(to_, item) + out.At(row, 0) + tile;
    alignas(64) Sum sums[kDepthwisePixels * kTileOutputs];
    alignas(64) std::int32_t codes[kDepthwisePixels * kTileOutputs];
    for (std::int64_t begin = 0; begin < out.width; begin += kDepthwisePixels) {
      Beside beside;
      if (addend_) {
        beside = addend_->At(block, item, row, begin, tile);
      }
      const Taps<Value> taps = {x + begin * stride, stride, offsets_.data(),
                                count};
      if constexpr (kReadsCodes) {
        const bool reads_codes = terms_.terms.reads_codes();
        MultiplyTaps(taps, weights, Channels(tile), fits_16_bits_, sums,
                     reads_codes ? codes : nullptr);
        beside.codes = codes;
        beside.of_outputs = true;
      } else {
        MultiplyTaps(taps, weights, Channels(tile), sums);
      }
      const auto pixels = static_cast<int>(
          std::min<std::int64_t>(kDepthwisePixels, out.width - begin));
      FinishPixels(terms_, sums, row, begin, pixels, tile / kTileOutputs,
                   beside, out, y + begin * out.channel_stride);
    }
  }

  Array from_, to_;
  SlidingWindow window_;
  std::optional<Addend> addend_;
  ConvolutionTerms terms_;
  std::vector<std::int64_t> offsets_;  ///< of taps
  std::vector<Weight> weights_;
  bool fits_16_bits_ = true;
};

}  // namespace

bool IsDepthwise(const Convolution& convolution, std::int64_t channels) {
  return convolution.group == channels && convolution.outputs == channels &&
         channels > 1;
}

std::unique_ptr<Step> MakeDepthwiseConvolution(const ConvolutionPlan& plan) {
  return MakeStep<DepthwiseStep>(plan);
}

}  // namespace runtime
}  // namespace ul2q
