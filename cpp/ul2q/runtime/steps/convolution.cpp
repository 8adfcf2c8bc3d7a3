#include "ul2q/runtime/steps/convolution.hpp"

#include <algorithm>
#include <cstdlib>
#include <type_traits>
#include <utility>
#include <vector>

#include "ul2q/runtime/kernels/product.hpp"
#include "ul2q/runtime/kernels/winograd.hpp"
#include "ul2q/runtime/steps/convolution_terms.hpp"
#include "ul2q/runtime/steps/window_sums.hpp"

namespace ul2q {
namespace runtime {
namespace {

/// Whether two products of a code with one of these weights fit 16 bits.
bool PairsFit(const std::vector<std::int8_t>& weights, int highest) {
  int largest = 0;
  for (const std::int8_t weight : weights) {
    largest = std::max(largest, std::abs(int{weight}));
  }
  return 2 * largest * highest <= 32767;
}

/// Reads codes or floats, writes codes or floats.
template <typename Value, typename Result>
class ConvolutionStep : public Step {
 public:
  using Weight =
      std::conditional_t<std::is_same_v<Value, float>, float, std::int8_t>;
  using Sum =
      std::conditional_t<std::is_same_v<Value, float>, float, std::int32_t>;
  static constexpr bool kReadsCodes = !std::is_same_v<Value, float>;

  explicit ConvolutionStep(const ConvolutionPlan& plan)
      : ConvolutionStep(
            plan, WithoutGroups(*plan.convolution, plan.from.image.channels,
                                kReadsCodes)) {}

  void Run(const Block& block) const override {
    // Rows in blocks where the items alone are too few for the threads.
    const std::int64_t height = to_.image.height;
    const std::int64_t parts =
        block.items >= block.threads
            ? 1
            : std::min<std::int64_t>(height, 2 * block.threads);
    block.ForEach(block.items * parts, [&](std::int64_t i, std::byte* scratch) {
      const std::int64_t item = i / parts, part = i % parts;
      RunRows(block, item, height * part / parts, height * (part + 1) / parts,
              reinterpret_cast<std::int32_t*>(scratch));
    });
  }

  std::int64_t scratch_bytes() const override {
    if (!terms_.terms.reads_codes()) {
      return 0;
    }
    const Image& out = to_.image;
    return sizeof(std::int32_t) *
           (out.height * out.width + sums_.scratch(out.height));
  }

 private:
  ConvolutionStep(const ConvolutionPlan& plan, const Weights& weights)
      : from_(plan.from),
        to_(plan.to),
        window_(SlidingWindow::Of(*plan.convolution)),
        sums_(plan.from.image, window_),
        terms_(TermsOf(plan, weights, 1)) {
    const Image& in = from_.image;
    // What lies one behind the other in memory is one segment.
    const bool is_dense = window_.dilation.width == 1;
    segment_ = in.channel_stride * (is_dense ? window_.kernel.width : 1);
    for (std::int64_t y = 0; y < window_.kernel.height; ++y) {
      for (std::int64_t x = 0; x < (is_dense ? 1 : window_.kernel.width); ++x) {
        offsets_.push_back(y * window_.dilation.height * in.row_stride() +
                           x * window_.dilation.width * in.channel_stride);
      }
    }
    Pack(weights, plan.convolution->outputs);
    if (kReadsCodes) {
      pairs_fit_ = PairsFit(weights.integers, plan.coding->highest);
    }
  }

  void Pack(const Weights& weights, std::int64_t outputs) {
    const Image& in = from_.image;
    const Pair kernel = window_.kernel;
    constexpr std::int64_t kStep = kReadsCodes ? 4 : 1;
    const std::int64_t row = kernel.height * kernel.width * in.channel_stride;
    panel_stride_ = row * kPanel;
    weights_.assign(RoundUp(outputs, kTileOutputs) * row, Weight(0));
    const std::int64_t inputs = in.channels * kernel.height * kernel.width;
    for (std::int64_t n = 0; n < outputs; ++n) {
      for (std::int64_t c = 0; c < in.channels; ++c) {
        for (std::int64_t p = 0; p < kernel.height * kernel.width; ++p) {
          const std::int64_t from = c * kernel.height * kernel.width + p;
          const std::int64_t k = p * in.channel_stride + c;
          const std::int64_t at = n / kPanel * panel_stride_ +
                                  k / kStep * kStep * kPanel +
                                  n % kPanel * kStep + k % kStep;
          if constexpr (kReadsCodes) {
            weights_[at] = weights.integers[n * inputs + from];
          } else {
            weights_[at] = static_cast<float>(weights.Value(n, from, inputs));
          }
        }
      }
    }
  }

  void RunRows(const Block& block, std::int64_t item, std::int64_t begin,
               std::int64_t end, std::int32_t* scratch) const {
    const Image& in = from_.image;
    const Image& out = to_.image;
    const Value* x = block.At<Value>(from_, item);
    Result* y = block.At<Result>(to_, item);
    if (begin == 0) {
      out.ClearBorder(y);
    }
    const std::int32_t* codes = nullptr;
    if constexpr (kReadsCodes) {
      if (terms_.terms.reads_codes()) {
        std::int32_t* sums = scratch;
        sums_.Compute(x, begin, end - begin, out.width,
                      scratch + (end - begin) * out.width, sums);
        codes = sums;
      }
    }
    const std::int64_t tiles =
        RoundUp(out.channels, kTileOutputs) / kTileOutputs;
    for (std::int64_t tile = 0; tile < tiles; ++tile) {
      for (std::int64_t row = begin; row < end; ++row) {
        RunRow(x + in.At(row * window_.stride.height - window_.pad.height,
                         -window_.pad.width),
               tile, row,
               codes == nullptr ? nullptr : codes + (row - begin) * out.width,
               y + out.At(row, 0) + tile * kTileOutputs);
      }
    }
  }

  void RunRow(const Value* x, std::int64_t tile, std::int64_t row,
              const std::int32_t* codes, Result* y) const {
    const Image& out = to_.image;
    const std::int64_t outputs =
        std::min(kTileOutputs, out.channel_stride - tile * kTileOutputs);
    const Weight* weights = weights_.data() + 2 * tile * panel_stride_;
    Rows<Value> rows = {x, window_.stride.width * from_.image.channel_stride,
                        offsets_.data(),
                        static_cast<std::int64_t>(offsets_.size()), segment_};
    const int most = MaxTileRows();
    alignas(64) Sum sums[16 * kTileOutputs];
    for (std::int64_t begin = 0; begin < out.width;) {
      const int count =
          static_cast<int>(std::min<std::int64_t>(most, out.width - begin));
      if constexpr (kReadsCodes) {
        MultiplyCodes(rows, count, weights, panel_stride_, pairs_fit_, nullptr,
                      sums);
      } else {
        MultiplyFloats(rows, count, weights, panel_stride_, sums);
      }
      // Pixels of one class at a time, which are nearly all.
      for (int i = 0; i < count;) {
        const std::int64_t of_class = terms_.classes.Of(row, begin + i);
        int last = i + 1;
        while (last < count &&
               terms_.classes.Of(row, begin + last) == of_class) {
          ++last;
        }
        FinishTile(sums + i * kTileOutputs, last - i,
                   codes == nullptr ? nullptr : codes + begin + i,
                   terms_.terms.Of(tile, of_class), outputs, out.channel_stride,
                   y + (begin + i) * out.channel_stride);
        i = last;
      }
      begin += count;
      rows.first += count * rows.stride;
    }
  }

  Array from_, to_;
  SlidingWindow window_;
  WindowSums sums_;
  ConvolutionTerms terms_;
  std::int64_t segment_, panel_stride_ = 0;
  std::vector<std::int64_t> offsets_;
  std::vector<Weight> weights_;
  bool pairs_fit_ = true;
};

}  // namespace

Weights WithoutGroups(const Convolution& convolution, std::int64_t channels,
                      bool as_integers) {
  if (convolution.group == 1) {
    return convolution.weights;
  }
  const std::int64_t places =
      convolution.kernel.height * convolution.kernel.width;
  const std::int64_t of_group = channels / convolution.group * places;
  const std::int64_t outputs_of_group = convolution.outputs / convolution.group;
  Weights grouped = convolution.weights;
  if (!as_integers && grouped.are_integers()) {
    // The integer 0 need not stand for 0.
    for (std::int64_t n = 0; n < convolution.outputs; ++n) {
      for (std::int64_t k = 0; k < of_group; ++k) {
        grouped.values.push_back(
            static_cast<float>(grouped.Value(n, k, of_group)));
      }
    }
    grouped.integers.clear();
  }
  Weights dense = grouped;
  const auto spread = [&](auto& from, auto& to) {
    if (from.empty()) {
      return;
    }
    to.assign(convolution.outputs * channels * places, 0);
    for (std::int64_t n = 0; n < convolution.outputs; ++n) {
      std::copy(
          from.begin() + n * of_group, from.begin() + (n + 1) * of_group,
          to.begin() + n * channels * places + n / outputs_of_group * of_group);
    }
  };
  spread(grouped.integers, dense.integers);
  spread(grouped.values, dense.values);
  return dense;
}

bool IsForWinograd(const Convolution& convolution, std::int64_t channels,
                   int highest) {
  const auto is = [](Pair pair, std::int64_t number) {
    return pair.height == number && pair.width == number;
  };
  // With few channels the products do not outweigh the transforms.
  constexpr std::int64_t kFewest = 32;
  if (!is(convolution.kernel, 3) || !is(convolution.stride, 1) ||
      !is(convolution.dilation, 1) || convolution.group != 1 ||
      highest > kMaxWindowCode || channels < kFewest ||
      convolution.outputs < kFewest) {
    return false;
  }
  const std::vector<std::int8_t>& weights = convolution.weights.integers;
  std::int8_t places[kPlaces];
  for (std::size_t i = 0; i < weights.size(); i += 9) {
    if (!TransformKernel(weights.data() + i, places)) {
      return false;
    }
  }
  return true;
}

void WidenFor(const Convolution& convolution, bool by_winograd,
              const Image& output, Image& input) {
  // Windows are of even size.
  const std::int64_t step = by_winograd ? 2 : 1;
  SlidingWindow::Of(convolution)
      .WidenFor(RoundUp(output.height, step), RoundUp(output.width, step),
                input);
}

std::unique_ptr<Step> MakeConvolution(const ConvolutionPlan& plan) {
  const bool to_codes = plan.ending.quantize.has_value();
  if (plan.coding) {
    if (to_codes) {
      return std::make_unique<ConvolutionStep<std::uint8_t, std::uint8_t>>(
          plan);
    }
    return std::make_unique<ConvolutionStep<std::uint8_t, float>>(plan);
  }
  if (to_codes) {
    return std::make_unique<ConvolutionStep<float, std::uint8_t>>(plan);
  }
  return std::make_unique<ConvolutionStep<float, float>>(plan);
}

}  // namespace runtime
}  // namespace ul2q
