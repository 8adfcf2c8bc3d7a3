#include <algorithm>
#include <optional>
#include <vector>

#include "ul2q/runtime/kernels/product.hpp"
#include "ul2q/runtime/kernels/winograd.hpp"
#include "ul2q/runtime/steps/convolution.hpp"
#include "ul2q/runtime/steps/convolution_terms.hpp"
#include "ul2q/runtime/steps/window_sums.hpp"

namespace ul2q {
namespace runtime {
namespace {

/// Windows that are transformed and multiplied together: so many that each
/// weight is used often, so few that they stay in the cache.
constexpr std::int64_t kWindowsAtOnce = 48;

template <typename Result>
class WinogradStep : public Step {
 public:
  explicit WinogradStep(const ConvolutionPlan& plan)
      : from_(plan.from),
        to_(plan.to),
        pad_(plan.convolution->pad),
        sums_(plan.from.image, SlidingWindow::Of(*plan.convolution)),
        // The sums are four times the true ones.
        addend_(plan.ending.addend),
        terms_(TermsOf(plan, 4)),
        windows_(RoundUp(plan.to.image.width, 2) / 2),
        window_rows_(RoundUp(plan.to.image.height, 2) / 2),
        rows_at_once_(std::max<std::int64_t>(1, kWindowsAtOnce / windows_)) {
    Pack(plan.convolution->weights.integers, plan.convolution->outputs);
  }

  void Run(const Block& block) const override {
    // Rows of windows of all items, one behind the other.
    const std::int64_t rows = block.items * window_rows_;
    const std::int64_t at_once =
        std::min(rows_at_once_, RoundUp(rows, block.threads) / block.threads);
    block.ForEach(RoundUp(rows, at_once) / at_once, [&](std::int64_t i,
                                                        std::byte* scratch) {
      RunRows(block, i * at_once, std::min(rows, (i + 1) * at_once), scratch);
    });
  }

  std::int64_t scratch_bytes() const override {
    return TransformedBytes() + ProductBytes() +
           sizeof(std::int32_t) *
               (rows_at_once_ * 2 * to_.image.width + sums_.scratch(2));
  }

 private:
  std::int64_t TransformedBytes() const {
    return kPlaces * rows_at_once_ * windows_ * from_.image.channel_stride;
  }
  std::int64_t ProductBytes() const {
    return sizeof(std::int32_t) * kPlaces * rows_at_once_ * windows_ *
           kTileOutputs;
  }

  /// Weights of each place in the layout of MultiplyCodes, and what their sums
  /// begin with: the shift of the windows is to be taken away again.
  void Pack(const std::vector<std::int8_t>& weights, std::int64_t outputs) {
    const Image& in = from_.image;
    panel_stride_ = in.channel_stride * kPanel;
    const std::int64_t padded = RoundUp(outputs, kTileOutputs);
    place_stride_ = padded * in.channel_stride;
    weights_.assign(kPlaces * place_stride_, 0);
    starts_.assign(kPlaces * padded, 0);
    for (std::int64_t n = 0; n < outputs; ++n) {
      for (std::int64_t c = 0; c < in.channels; ++c) {
        std::int8_t places[kPlaces];
        TransformKernel(weights.data() + (n * in.channels + c) * 9, places);
        for (std::int64_t p = 0; p < kPlaces; ++p) {
          weights_[p * place_stride_ + n / kPanel * panel_stride_ +
                   c / 4 * 4 * kPanel + n % kPanel * 4 + c % 4] = places[p];
          starts_[p * padded + n] -= kWindowShift * places[p];
        }
      }
    }
    pairs_fit_ = std::all_of(
        weights_.begin(), weights_.end(),
        [](std::int8_t weight) { return -64 <= weight && weight <= 64; });
  }

  void RunRows(const Block& block, std::int64_t begin, std::int64_t end,
               std::byte* scratch) const {
    const Image& in = from_.image;
    const Image& out = to_.image;
    auto* transformed = reinterpret_cast<std::uint8_t*>(scratch);
    auto* products =
        reinterpret_cast<std::int32_t*>(scratch + TransformedBytes());
    auto* codes = reinterpret_cast<std::int32_t*>(scratch + TransformedBytes() +
                                                  ProductBytes());
    std::int32_t* rest = codes + rows_at_once_ * 2 * out.width;
    const std::int64_t count = (end - begin) * windows_;
    const std::int64_t place = count * in.channel_stride;
    for (std::int64_t r = begin; r < end; ++r) {
      const std::int64_t item = r / window_rows_, y = 2 * (r % window_rows_);
      const std::uint8_t* x = block.At<std::uint8_t>(from_, item);
      TransformWindows(x + in.At(y - pad_.height, -pad_.width), in.row_stride(),
                       in.channel_stride, static_cast<int>(windows_),
                       transformed + (r - begin) * windows_ * in.channel_stride,
                       place);
      if (terms_.terms.reads_codes()) {
        sums_.Compute(x, y, std::min<std::int64_t>(2, out.height - y),
                      out.width, rest, codes + (r - begin) * 2 * out.width);
      }
      if (y == 0) {
        out.ClearBorder(block.At<Result>(to_, item));
      }
    }
    const std::int64_t tiles =
        RoundUp(out.channels, kTileOutputs) / kTileOutputs;
    for (std::int64_t tile = 0; tile < tiles; ++tile) {
      for (std::int64_t p = 0; p < kPlaces; ++p) {
        MultiplyPlace(transformed + p * place, count, p, tile,
                      products + p * count * kTileOutputs);
      }
      for (std::int64_t r = begin; r < end; ++r) {
        FinishRow(block, r, tile,
                  products + (r - begin) * windows_ * kTileOutputs,
                  count * kTileOutputs, codes + (r - begin) * 2 * out.width);
      }
    }
  }

  void MultiplyPlace(const std::uint8_t* x, std::int64_t count, std::int64_t p,
                     std::int64_t tile, std::int32_t* products) const {
    const std::int64_t channels = from_.image.channel_stride;
    const std::int64_t offset = 0;
    Rows<std::uint8_t> rows = {x, channels, &offset, 1, channels};
    const std::int8_t* weights =
        weights_.data() + p * place_stride_ + 2 * tile * panel_stride_;
    const std::int32_t* start = starts_.data() +
                                p * RoundUp(to_.image.channels, kTileOutputs) +
                                tile * kTileOutputs;
    const std::int64_t most = MaxTileRows();
    for (std::int64_t begin = 0; begin < count; begin += most) {
      MultiplyCodes(rows, static_cast<int>(std::min(most, count - begin)),
                    weights, panel_stride_, pairs_fit_, start,
                    products + begin * kTileOutputs);
      rows.first += most * channels;
    }
  }

  void FinishRow(const Block& block, std::int64_t r, std::int64_t tile,
                 const std::int32_t* products, std::int64_t place_stride,
                 const std::int32_t* codes) const {
    const Image& out = to_.image;
    const std::int64_t y = 2 * (r % window_rows_);
    const std::int64_t outputs =
        std::min(kTileOutputs, out.channel_stride - tile * kTileOutputs);
    Result* to = block.At<Result>(to_, r / window_rows_) + out.At(y, 0) +
                 tile * kTileOutputs;
    Beside rows[2];
    for (std::int64_t i = 0; i < (y + 1 < out.height ? 2 : 1); ++i) {
      if (addend_) {
        rows[i] =
            addend_->At(block, r / window_rows_, y + i, 0, tile * kTileOutputs);
      }
      if (terms_.terms.reads_codes()) {
        rows[i].codes = codes + i * out.width;
      }
    }
    FinishWindows(products, place_stride, static_cast<int>(windows_), rows,
                  terms_.terms.Of(tile), outputs,
                  Quartet<Result>{to, out.row_stride(), out.channel_stride,
                                  out.width % 2 == 0, y + 1 < out.height});
  }

  Array from_, to_;
  Pair pad_;
  WindowSums sums_;
  std::optional<Addend> addend_;
  ConvolutionTerms terms_;
  std::int64_t windows_, window_rows_;  ///< in a row, and rows of them
  std::int64_t rows_at_once_;
  std::int64_t panel_stride_ = 0, place_stride_ = 0;
  std::vector<std::int8_t> weights_;
  std::vector<std::int32_t> starts_;
  bool pairs_fit_ = false;
};

}  // namespace

std::unique_ptr<Step> MakeWinogradConvolution(const ConvolutionPlan& plan) {
  if (plan.ending.quantize) {
    return std::make_unique<WinogradStep<std::uint8_t>>(plan);
  }
  return std::make_unique<WinogradStep<float>>(plan);
}

}  // namespace runtime
}  // namespace ul2q
