#include "ul2q/runtime/steps/pooling.hpp"

#include <algorithm>
#include <vector>

#include "ul2q/runtime/kernels/images.hpp"

namespace ul2q {
namespace runtime {
namespace {

/// Where a window begins and ends along an axis, by Caffe's rules.
struct Span {
  std::int64_t begin, end;
  std::int64_t full;  ///< its extent in the padded input
};

Span SpanOf(std::int64_t place, std::int64_t kernel, std::int64_t stride,
            std::int64_t pad, std::int64_t extent) {
  const std::int64_t begin = place * stride - pad;
  const std::int64_t end = std::min(begin + kernel, extent + pad);
  return {std::max(begin, std::int64_t{0}), std::min(end, extent), end - begin};
}

template <typename Value>
class PoolingStep : public Step {
 public:
  PoolingStep(const Pooling& pooling, const Array& from, const Array& to)
      : pooling_(pooling), from_(from), to_(to) {}

  void Run(const Block& block) const override {
    const std::int64_t height = to_.image.height;
    const std::int64_t parts =
        block.items >= block.threads
            ? 1
            : std::min<std::int64_t>(height, block.threads);
    block.ForEach(block.items * parts, [&](std::int64_t i, std::byte*) {
      const std::int64_t item = i / parts, part = i % parts;
      const Value* x = block.At<Value>(from_, item);
      Value* y = block.At<Value>(to_, item);
      if (part == 0) {
        to_.image.ClearBorder(y);
      }
      for (std::int64_t row = height * part / parts;
           row < height * (part + 1) / parts; ++row) {
        RunRow(x, row, y);
      }
    });
  }

 private:
  void RunRow(const Value* x, std::int64_t row, Value* y) const {
    const Image& in = from_.image;
    const Image& out = to_.image;
    const Span rows =
        SpanOf(row, pooling_.kernel.height, pooling_.stride.height,
               pooling_.pad.height, in.height);
    for (std::int64_t column = 0; column < out.width; ++column) {
      const Span columns =
          SpanOf(column, pooling_.kernel.width, pooling_.stride.width,
                 pooling_.pad.width, in.width);
      const Window<Value> window = {
          x + in.At(rows.begin, columns.begin), rows.end - rows.begin,
          columns.end - columns.begin, in.row_stride()};
      Value* to = y + out.At(row, column);
      if constexpr (std::is_same_v<Value, float>) {
        if (!pooling_.is_max) {
          MeanOfWindow(window, in.channel_stride,
                       static_cast<float>(rows.full * columns.full), to);
          continue;
        }
      }
      MaxOfWindow(window, in.channel_stride, to);
    }
  }

  Pooling pooling_;
  Array from_, to_;
};

/// The sums of codes, exactly, and a scale and a shift for each window.
template <typename Result>
class MeanOfCodesStep : public Step {
 public:
  MeanOfCodesStep(const Pooling& pooling, const Coding& coding,
                  const Ending& ending, const Array& from, const Array& to)
      : pooling_(pooling),
        scale_(coding.scale * ending.factor()),
        zero_(coding.zero * ending.factor()),
        shift_(-ending.zero() * ending.factor()),
        lowest_(ending.lowest()),
        highest_(ending.highest()),
        from_(from),
        to_(to) {}

  void Run(const Block& block) const override {
    block.ForEach(block.items, [&](std::int64_t item, std::byte* scratch) {
      const Image& in = from_.image;
      const Image& out = to_.image;
      const auto* x = block.At<std::uint8_t>(from_, item);
      Result* y = block.At<Result>(to_, item);
      out.ClearBorder(y);
      for (std::int64_t row = 0; row < out.height; ++row) {
        const Span rows =
            SpanOf(row, pooling_.kernel.height, pooling_.stride.height,
                   pooling_.pad.height, in.height);
        for (std::int64_t column = 0; column < out.width; ++column) {
          const Span columns =
              SpanOf(column, pooling_.kernel.width, pooling_.stride.width,
                     pooling_.pad.width, in.width);
          Mean(x, rows, columns, reinterpret_cast<std::int32_t*>(scratch),
               y + out.At(row, column));
        }
      }
      if (out.channels < out.channel_stride) {
        out.ClearTails(y);
      }
    });
  }

  std::int64_t scratch_bytes() const override {
    return static_cast<std::int64_t>(sizeof(std::int32_t)) *
           from_.image.channel_stride;
  }

 private:
  void Mean(const std::uint8_t* x, const Span& rows, const Span& columns,
            std::int32_t* sums, Result* y) const {
    const Image& in = from_.image;
    SumOfWindow({x + in.At(rows.begin, columns.begin), rows.end - rows.begin,
                 columns.end - columns.begin, in.row_stride()},
                in.channel_stride, sums);
    // What lies outside of the image is 0, whatever code 0 stands for.
    const auto full = static_cast<double>(rows.full * columns.full);
    const auto inside = static_cast<double>((rows.end - rows.begin) *
                                            (columns.end - columns.begin));
    StoreScaled(sums, in.channel_stride, static_cast<float>(scale_ / full),
                static_cast<float>(zero_ * inside / full + shift_), lowest_,
                highest_, y);
  }

  Pooling pooling_;
  double scale_, zero_, shift_;
  float lowest_, highest_;
  Array from_, to_;
};

class LrnStep : public Step {
 public:
  LrnStep(const Lrn& lrn, const Array& from, const Array& to)
      : lrn_(lrn), from_(from), to_(to) {}

  void Run(const Block& block) const override {
    block.ForEach(block.items, [&](std::int64_t item, std::byte* scratch) {
      const float* x = block.At<float>(from_, item);
      float* y = block.At<float>(to_, item);
      to_.image.ClearBorder(y);
      auto* squares = reinterpret_cast<float*>(scratch);
      if (lrn_.within_channel) {
        WithinChannel(x, squares, y);
      } else {
        AcrossChannels(x, squares, y);
      }
    });
  }

  std::int64_t scratch_bytes() const override {
    const Image& in = from_.image;
    const std::int64_t elements =
        lrn_.within_channel
            ? in.height * in.width * in.channel_stride + in.channel_stride
            : 2 * in.channel_stride;
    return static_cast<std::int64_t>(sizeof(float)) * elements;
  }

 private:
  void WithinChannel(const float* x, float* squares, float* y) const {
    const Image& in = from_.image;
    const std::int64_t channels = in.channel_stride;
    const std::int64_t row = in.width * channels;
    float* sums = squares + in.height * row;
    for (std::int64_t i = 0; i < in.height; ++i) {
      Square(x + in.At(i, 0), row, squares + i * row);
    }
    const std::int64_t pad = (lrn_.size - 1) / 2;
    for (std::int64_t i = 0; i < in.height; ++i) {
      const Span rows = SpanOf(i, lrn_.size, 1, pad, in.height);
      for (std::int64_t j = 0; j < in.width; ++j) {
        const Span columns = SpanOf(j, lrn_.size, 1, pad, in.width);
        MeanOfWindow({squares + rows.begin * row + columns.begin * channels,
                      rows.end - rows.begin, columns.end - columns.begin, row},
                     channels, static_cast<float>(rows.full * columns.full),
                     sums);
        Normalize(x + in.At(i, j), sums, channels, 1, lrn_.alpha, lrn_.beta,
                  y + to_.image.At(i, j));
      }
    }
  }

  void AcrossChannels(const float* x, float* squares, float* y) const {
    const Image& in = from_.image;
    float* sums = squares + in.channel_stride;
    const std::int64_t reach = (lrn_.size - 1) / 2;
    for (std::int64_t i = 0; i < in.height; ++i) {
      for (std::int64_t j = 0; j < in.width; ++j) {
        const float* pixel = x + in.At(i, j);
        Square(pixel, in.channel_stride, squares);
        for (std::int64_t c = 0; c < in.channel_stride; ++c) {
          const std::int64_t begin = std::max(c - reach, std::int64_t{0});
          const std::int64_t end = std::min(c + reach + 1, in.channels);
          sums[c] = 0;
          for (std::int64_t k = begin; k < end; ++k) {
            sums[c] += squares[k];
          }
        }
        Normalize(pixel, sums, in.channel_stride, lrn_.k,
                  lrn_.alpha / static_cast<float>(lrn_.size), lrn_.beta,
                  y + to_.image.At(i, j));
      }
    }
  }

  Lrn lrn_;
  Array from_, to_;
};

}  // namespace

std::unique_ptr<Step> MakePooling(const Pooling& pooling, bool of_codes,
                                  const Array& from, const Array& to) {
  if (of_codes) {
    return std::make_unique<PoolingStep<std::uint8_t>>(pooling, from, to);
  }
  return std::make_unique<PoolingStep<float>>(pooling, from, to);
}

std::unique_ptr<Step> MakeMeanOfCodes(const Pooling& pooling,
                                      const Coding& coding,
                                      const Ending& ending, const Array& from,
                                      const Array& to) {
  if (ending.quantize) {
    return std::make_unique<MeanOfCodesStep<std::uint8_t>>(pooling, coding,
                                                           ending, from, to);
  }
  return std::make_unique<MeanOfCodesStep<float>>(pooling, coding, ending, from,
                                                  to);
}

std::unique_ptr<Step> MakeLrn(const Lrn& lrn, const Array& from,
                              const Array& to) {
  return std::make_unique<LrnStep>(lrn, from, to);
}

}  // namespace runtime
}  // namespace ul2q
