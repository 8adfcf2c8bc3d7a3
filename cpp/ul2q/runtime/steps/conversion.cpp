#include "ul2q/runtime/steps/conversion.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "ul2q/runtime/kernels/images.hpp"

namespace ul2q {
namespace runtime {
namespace {

/// A step that a function of (block, item) does for each item.
template <typename Function>
class EachItem : public Step {
 public:
  explicit EachItem(Function function) : function_(std::move(function)) {}

  void Run(const Block& block) const override {
    block.ForEach(block.items, [&](std::int64_t item, std::byte*) {
      function_(block, item);
    });
  }

 private:
  Function function_;
};

template <typename Function>
std::unique_ptr<Step> ForEachItem(Function function) {
  return std::make_unique<EachItem<Function>>(std::move(function));
}

template <typename Value>
std::unique_ptr<Step> MakeToImage(const Array& from, const Array& to) {
  return ForEachItem([=](const Block& block, std::int64_t item) {
    const Image& image = to.image;
    const Value* x = block.At<Value>(from, item);
    Value* y = block.At<Value>(to, item);
    image.ClearBorder(y);
    for (std::int64_t row = 0; row < image.height; ++row) {
      Value* to_row = y + image.At(row, 0);
      for (std::int64_t c = 0; c < image.channels; ++c) {
        const Value* channel = x + (c * image.height + row) * image.width;
        for (std::int64_t i = 0; i < image.width; ++i) {
          to_row[i * image.channel_stride + c] = channel[i];
        }
      }
      for (std::int64_t c = image.channels; c < image.channel_stride; ++c) {
        for (std::int64_t i = 0; i < image.width; ++i) {
          to_row[i * image.channel_stride + c] = 0;
        }
      }
    }
  });
}

}  // namespace

std::unique_ptr<Step> MakePlainToImage(const Array& from, const Array& to) {
  return MakeToImage<float>(from, to);
}

std::unique_ptr<Step> MakeBytesToCodes(const Array& from, const Array& to) {
  return MakeToImage<std::uint8_t>(from, to);
}

std::unique_ptr<Step> MakeBytesToPlain(const Coding& coding,
                                       std::int64_t behind, const Array& from,
                                       const Array& to) {
  const auto scale = static_cast<float>(coding.scale);
  return ForEachItem([=](const Block& block, std::int64_t item) {
    const auto* x = block.At<std::uint8_t>(from, item);
    float* y = block.At<float>(to, item);
    for (std::int64_t i = 0; i < from.image.channels; i += behind) {
      DequantizeCodes(x + i, behind, scale,
                      static_cast<float>(coding.ZeroOf(i / behind)), y + i);
    }
  });
}

std::unique_ptr<Step> MakeImageToPlain(const Array& from, const Array& to) {
  return ForEachItem([=](const Block& block, std::int64_t item) {
    const Image& image = from.image;
    const float* x = block.At<float>(from, item);
    float* y = block.At<float>(to, item);
    for (std::int64_t c = 0; c < image.channels; ++c) {
      for (std::int64_t row = 0; row < image.height; ++row) {
        const float* pixel = x + image.At(row, 0) + c;
        for (std::int64_t i = 0; i < image.width; ++i) {
          *y++ = pixel[i * image.channel_stride];
        }
      }
    }
  });
}

std::unique_ptr<Step> MakeCopy(const Array& from, const Array& to) {
  return ForEachItem([=](const Block& block, std::int64_t item) {
    const float* x = block.At<float>(from, item);
    std::copy(x, x + from.image.count(), block.At<float>(to, item));
  });
}

std::unique_ptr<Step> MakeClearTails(const Array& codes) {
  return ForEachItem([=](const Block& block, std::int64_t item) {
    codes.image.ClearTails(block.At<std::uint8_t>(codes, item));
  });
}

std::unique_ptr<Step> MakeQuantize(const Quantize& quantize, const Array& from,
                                   const Array& to) {
  const Coding coding = Coding::Of(quantize);
  const double factor = coding.scale > 0 ? 1 / coding.scale : 0;
  const auto scale = static_cast<float>(factor);
  const auto shift = static_cast<float>(-coding.zero * factor);
  return ForEachItem([=](const Block& block, std::int64_t item) {
    const float* x = block.At<float>(from, item);
    auto* y = block.At<std::uint8_t>(to, item);
    const Image& out = to.image;
    out.ClearBorder(y);
    for (std::int64_t row = 0; row < out.height; ++row) {
      std::uint8_t* codes = y + out.At(row, 0);
      const float* values = x + from.image.At(row, 0);
      const auto quantize_values = [&](std::int64_t begin, std::int64_t count,
                                       std::int64_t to_begin) {
        QuantizeValues(values + begin, count, scale, shift, 0,
                       static_cast<float>(coding.highest), codes + to_begin);
      };
      const std::int64_t stride = from.image.channel_stride;
      if (stride == out.channel_stride) {
        quantize_values(0, out.width * stride, 0);
      } else {
        for (std::int64_t i = 0; i < out.width; ++i) {
          quantize_values(i * stride, out.channels, i * out.channel_stride);
        }
      }
    }
    if (out.channels < out.channel_stride) {
      out.ClearTails(y);
    }
  });
}

std::unique_ptr<Step> MakeRequantize(const Coding& coding,
                                     const Quantize& quantize,
                                     const Array& from, const Array& to) {
  const Coding target = Coding::Of(quantize);
  std::array<std::uint8_t, 256> table = {};
  for (int code = 0; code <= coding.highest; ++code) {
    const double position =
        target.scale > 0
            ? (coding.scale * code + coding.zero - target.zero) / target.scale
            : 0;
    table[code] = static_cast<std::uint8_t>(std::round(
        std::clamp(position, 0.0, static_cast<double>(target.highest))));
  }
  return ForEachItem([=](const Block& block, std::int64_t item) {
    const auto* x = block.At<std::uint8_t>(from, item);
    auto* y = block.At<std::uint8_t>(to, item);
    const Image& out = to.image;
    out.ClearBorder(y);
    for (std::int64_t row = 0; row < out.height; ++row) {
      const std::uint8_t* codes = x + from.image.At(row, 0);
      std::transform(codes, codes + out.width * out.channel_stride,
                     y + out.At(row, 0),
                     [&](std::uint8_t code) { return table[code]; });
    }
    if (out.channels < out.channel_stride && table[0] != 0) {
      out.ClearTails(y);
    }
  });
}

std::unique_ptr<Step> MakeDequantize(const Coding& coding, const Array& from,
                                     const Array& to) {
  const auto scale = static_cast<float>(coding.scale);
  const auto zero = static_cast<float>(coding.zero);
  return ForEachItem([=](const Block& block, std::int64_t item) {
    const auto* x = block.At<std::uint8_t>(from, item);
    float* y = block.At<float>(to, item);
    const Image& out = to.image;
    out.ClearBorder(y);
    for (std::int64_t row = 0; row < out.height; ++row) {
      DequantizeCodes(
          x + from.image.At(row, 0),
          std::min(from.image.channel_stride, out.channel_stride) * out.width,
          scale, zero, y + out.At(row, 0));
    }
  });
}

}  // namespace runtime
}  // namespace ul2q
