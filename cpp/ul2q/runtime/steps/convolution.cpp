#include "ul2q/runtime/steps/convolution.hpp"

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <type_traits>
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
      : from_(plan.from),
        to_(plan.to),
        window_(SlidingWindow::Of(*plan.convolution)),
        addend_(plan.ending.addend),
        terms_(TermsOf(plan, 1)) {
    PlaceSegments(plan.convolution->group);
    PlaceTiles(*plan.convolution);
    Pack(*plan.convolution);
    if constexpr (kReadsCodes) {
      pairs_fit_ =
          PairsFit(plan.convolution->weights.integers, plan.coding->highest);
      if (terms_.terms.reads_codes()) {
        SumCodes(*plan.convolution);
      }
    }
  }

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
    if (sums_.empty()) {
      return 0;
    }
    const Image& out = to_.image;
    return sizeof(std::int32_t) *
           (static_cast<std::int64_t>(sums_.size()) * out.height * out.width +
            sums_[0].scratch(out.height));
  }

 private:
  /// kTileOutputs outputs and the channels that they read: those of their
  /// groups.
  struct Tile {
    std::int64_t weights;  ///< where they begin
    std::int64_t first_channel, channels;
    std::int64_t segment;       ///< elements that lie one behind the other
    std::int64_t panel_stride;  ///< of the weights
    std::int64_t group;         ///< of the first output
  };

  static constexpr std::int64_t kStep = kReadsCodes ? 4 : 1;

  /// What lies one behind the other in memory is one segment.
  void PlaceSegments(std::int64_t group) {
    const Image& in = from_.image;
    is_dense_ = window_.dilation.width == 1 && group == 1;
    for (std::int64_t y = 0; y < window_.kernel.height; ++y) {
      for (std::int64_t x = 0; x < (is_dense_ ? 1 : window_.kernel.width);
           ++x) {
        offsets_.push_back(y * window_.dilation.height * in.row_stride() +
                           x * window_.dilation.width * in.channel_stride);
      }
    }
  }

  void PlaceTiles(const Convolution& convolution) {
    const Image& in = from_.image;
    const std::int64_t outputs_of_group =
        convolution.outputs / convolution.group;
    const std::int64_t of_group = in.channels / convolution.group;
    std::int64_t weights = 0;
    for (std::int64_t n = 0; n < convolution.outputs; n += kTileOutputs) {
      const std::int64_t last =
          std::min(n + kTileOutputs, convolution.outputs) - 1;
      Tile tile;
      tile.weights = weights;
      tile.group = n / outputs_of_group;
      if (convolution.group == 1) {
        tile.first_channel = 0;
        tile.channels = in.channel_stride;
      } else {
        tile.first_channel = tile.group * of_group / kStep * kStep;
        tile.channels =
            (last / outputs_of_group + 1) * of_group - tile.first_channel;
      }
      tile.segment = RoundUp(
          tile.channels * (is_dense_ ? window_.kernel.width : 1), kStep);
      tile.panel_stride =
          static_cast<std::int64_t>(offsets_.size()) * tile.segment * kPanel;
      weights += 2 * tile.panel_stride;
      tiles_.push_back(tile);
    }
    weights_.assign(weights, Weight(0));
  }

  /// Calls body(place, n, k) with the place of each weight, its output and its
  /// index among those of this output.
  template <typename Body>
  void ForEachWeight(const Convolution& convolution, const Body& body) const {
    const Pair kernel = convolution.kernel;
    const std::int64_t of_group = from_.image.channels / convolution.group;
    for (std::int64_t n = 0; n < convolution.outputs; ++n) {
      const Tile& tile = tiles_[n / kTileOutputs];
      const std::int64_t group = n / (convolution.outputs / convolution.group);
      for (std::int64_t c = 0; c < of_group; ++c) {
        const std::int64_t channel = group * of_group + c - tile.first_channel;
        for (std::int64_t y = 0; y < kernel.height; ++y) {
          for (std::int64_t x = 0; x < kernel.width; ++x) {
            const std::int64_t at =
                is_dense_ ? y * tile.segment + x * tile.channels + channel
                          : (y * kernel.width + x) * tile.segment + channel;
            body(tile.weights + n % kTileOutputs / kPanel * tile.panel_stride +
                     at / kStep * kStep * kPanel + n % kPanel * kStep +
                     at % kStep,
                 n, (c * kernel.height + y) * kernel.width + x);
          }
        }
      }
    }
  }

  void Pack(const Convolution& convolution) {
    const Weights& weights = convolution.weights;
    const std::int64_t inputs = from_.image.channels / convolution.group *
                                convolution.kernel.height *
                                convolution.kernel.width;
    ForEachWeight(
        convolution, [&](std::int64_t at, std::int64_t n, std::int64_t k) {
          if constexpr (kReadsCodes) {
            weights_[at] = weights.integers[n * inputs + k];
          } else {
            weights_[at] = static_cast<float>(weights.Value(n, k, inputs));
          }
        });
  }

  /// How the codes are added up that each output reads.
  void SumCodes(const Convolution& convolution) {
    const Image& in = from_.image;
    const std::int64_t group = convolution.group;
    const std::int64_t of_group = in.channels / group;
    if (group == 1) {
      sums_.emplace_back(in, window_);
    } else if (convolution.outputs / group % kTileOutputs == 0) {
      for (std::int64_t i = 0; i < group; ++i) {
        sums_.emplace_back(in, window_, i * of_group, of_group);
      }
    } else {
      // Those of a tile read different channels: a product with weights of 1.
      ones_.assign(weights_.size(), 0);
      ForEachWeight(convolution, [&](std::int64_t at, std::int64_t,
                                     std::int64_t) { ones_[at] = 1; });
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
    const std::int64_t pixels = (end - begin) * out.width;
    if constexpr (kReadsCodes) {
      for (std::size_t i = 0; i < sums_.size(); ++i) {
        sums_[i].Compute(x, begin, end - begin, out.width,
                         scratch + sums_.size() * pixels, scratch + i * pixels);
      }
    }
    for (std::size_t tile = 0; tile < tiles_.size(); ++tile) {
      const auto output = static_cast<std::int64_t>(tile) * kTileOutputs;
      for (std::int64_t row = begin; row < end; ++row) {
        Beside beside;
        if (addend_) {
          beside = addend_->At(block, item, row, 0, output);
        }
        if (!sums_.empty()) {
          const std::int64_t group = sums_.size() > 1 ? tiles_[tile].group : 0;
          beside.codes = scratch + group * pixels + (row - begin) * out.width;
        }
        RunRow(x + in.At(row * window_.stride.height - window_.pad.height,
                         -window_.pad.width),
               static_cast<std::int64_t>(tile), row, beside,
               y + out.At(row, 0) + output);
      }
    }
  }

  void RunRow(const Value* x, std::int64_t tile, std::int64_t row,
              const Beside& beside, Result* y) const {
    const Image& out = to_.image;
    const Tile& of = tiles_[tile];
    Rows<Value> rows = {x + of.first_channel,
                        window_.stride.width * from_.image.channel_stride,
                        offsets_.data(),
                        static_cast<std::int64_t>(offsets_.size()), of.segment};
    const int most = MaxTileRows();
    alignas(64) Sum sums[16 * kTileOutputs];
    alignas(64) std::int32_t codes[16 * kTileOutputs];
    for (std::int64_t begin = 0; begin < out.width;) {
      const int count =
          static_cast<int>(std::min<std::int64_t>(most, out.width - begin));
      Beside of_pixels = beside.From(begin, kTileOutputs);
      if constexpr (kReadsCodes) {
        MultiplyCodes(rows, count, weights_.data() + of.weights,
                      of.panel_stride, pairs_fit_, nullptr, sums);
        if (!ones_.empty()) {
          MultiplyCodes(rows, count, ones_.data() + of.weights, of.panel_stride,
                        true, nullptr, codes);
          of_pixels.codes = codes;
          of_pixels.of_outputs = true;
        }
      } else {
        MultiplyFloats(rows, count, weights_.data() + of.weights,
                       of.panel_stride, sums);
      }
      FinishPixels(terms_, sums, row, begin, count, tile, of_pixels, out,
                   y + begin * out.channel_stride);
      begin += count;
      rows.first += count * rows.stride;
    }
  }

  Array from_, to_;
  SlidingWindow window_;
  std::optional<Addend> addend_;
  ConvolutionTerms terms_;
  bool is_dense_ = true;
  std::vector<std::int64_t> offsets_;  ///< of segments
  std::vector<Tile> tiles_;
  std::vector<Weight> weights_;
  std::vector<WindowSums> sums_;   ///< one for all, or one for each group
  std::vector<std::int8_t> ones_;  ///< in place of sums
  bool pairs_fit_ = true;
};

}  // namespace

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

void WidenFor(const Convolution& convolution, Pair pixels, const Image& output,
              Image& input) {
  SlidingWindow::Of(convolution)
      .WidenFor(RoundUp(output.height, pixels.height),
                RoundUp(output.width, pixels.width), input);
}

std::unique_ptr<Step> MakeConvolution(const ConvolutionPlan& plan) {
  return MakeStep<ConvolutionStep>(plan);
}

}  // namespace runtime
}  // namespace ul2q
