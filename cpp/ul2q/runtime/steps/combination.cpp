#include "ul2q/runtime/steps/combination.hpp"

#include <algorithm>
#include <utility>

#include "ul2q/runtime/kernels/images.hpp"
#include "ul2q/runtime/steps/each_row.hpp"

namespace ul2q {
namespace runtime {
namespace {

/// Elements that are summed up together, in the processor's first cache.
constexpr std::int64_t kSlice = 1024;

template <typename Result>
class SumStep : public Step {
 public:
  SumStep(const std::vector<Term>& terms, const Ending& ending, const Array& to)
      : to_(to), lowest_(ending.lowest()), highest_(ending.highest()) {
    const double factor = ending.factor();
    double shift = -ending.zero();
    for (const Term& term : terms) {
      double scale = term.scale;
      if (term.coding) {
        shift += scale * term.coding->zero;
        scale *= term.coding->scale;
      }
      terms_.push_back({term.from, term.coding.has_value(),
                        static_cast<float>(scale * factor)});
    }
    shift_ = static_cast<float>(shift * factor);
  }

  void Run(const Block& block) const override {
    const std::int64_t height = to_.image.height;
    const std::int64_t parts =
        block.items >= block.threads
            ? 1
            : std::min<std::int64_t>(height, block.threads);
    block.ForEach(block.items * parts, [&](std::int64_t i, std::byte*) {
      const std::int64_t item = i / parts, part = i % parts;
      const Image& out = to_.image;
      Result* y = block.At<Result>(to_, item);
      if (part == 0) {
        out.ClearBorder(y);
      }
      for (std::int64_t row = height * part / parts;
           row < height * (part + 1) / parts; ++row) {
        RunRow(block, item, row, y + out.At(row, 0));
      }
    });
  }

 private:
  struct Part {
    Array from;
    bool is_codes;
    float scale;
  };

  void RunRow(const Block& block, std::int64_t item, std::int64_t row,
              Result* y) const {
    const Image& out = to_.image;
    const std::int64_t count = out.width * out.channel_stride;
    alignas(64) float sums[kSlice];
    for (std::int64_t begin = 0; begin < count; begin += kSlice) {
      const std::int64_t n = std::min(kSlice, count - begin);
      std::fill(sums, sums + n, shift_);
      for (const Part& part : terms_) {
        const std::int64_t at = part.from.image.At(row, 0) + begin;
        if (part.is_codes) {
          AddScaled(block.At<std::uint8_t>(part.from, item) + at, n, part.scale,
                    sums);
        } else {
          AddScaled(block.At<float>(part.from, item) + at, n, part.scale, sums);
        }
      }
      StoreClamped(sums, n, lowest_, highest_, y + begin);
    }
    if (out.channels < out.channel_stride) {
      for (std::int64_t x = 0; x < out.width; ++x) {
        Result* pixel = y + x * out.channel_stride;
        std::fill(pixel + out.channels, pixel + out.channel_stride, Result(0));
      }
    }
  }

  std::vector<Part> terms_;
  Array to_;
  float shift_, lowest_, highest_;
};

template <typename Value>
class ChannelConcatStep : public Step {
 public:
  ChannelConcatStep(std::vector<Array> from, const Array& to)
      : from_(std::move(from)), to_(to) {}

  void Run(const Block& block) const override {
    block.ForEach(block.items, [&](std::int64_t item, std::byte*) {
      const Image& out = to_.image;
      Value* y = block.At<Value>(to_, item);
      out.ClearBorder(y);
      std::int64_t first = 0;
      for (const Array& from : from_) {
        const Image& in = from.image;
        const Value* x = block.At<Value>(from, item);
        for (std::int64_t row = 0; row < out.height; ++row) {
          const Value* pixel = x + in.At(row, 0);
          Value* to = y + out.At(row, 0) + first;
          for (std::int64_t i = 0; i < out.width; ++i) {
            std::copy(pixel, pixel + in.channels, to);
            pixel += in.channel_stride;
            to += out.channel_stride;
          }
        }
        first += in.channels;
      }
      out.ClearTails(y);
    });
  }

 private:
  std::vector<Array> from_;
  Array to_;
};

class ConcatStep : public Step {
 public:
  ConcatStep(std::vector<Array> from, std::vector<std::int64_t> counts,
             const Array& to)
      : from_(std::move(from)), counts_(std::move(counts)), to_(to) {}

  void Run(const Block& block) const override {
    block.ForEach(block.items, [&](std::int64_t item, std::byte*) {
      float* y = block.At<float>(to_, item);
      float* end = y + to_.image.count();
      for (std::int64_t outer = 0; y < end; ++outer) {
        for (std::size_t i = 0; i < from_.size(); ++i) {
          const float* x = block.At<float>(from_[i], item) + outer * counts_[i];
          y = std::copy(x, x + counts_[i], y);
        }
      }
    });
  }

 private:
  std::vector<Array> from_;
  std::vector<std::int64_t> counts_;
  Array to_;
};

/// Calls combine(row of an input, n, row of the result) for all inputs but the
/// first, which the result begins as.
template <typename Combine>
std::unique_ptr<Step> OfCodes(std::vector<Array> from, const Array& to,
                              Combine combine) {
  return ForEachRow<std::uint8_t>(std::move(from), to,
                                  [=](const std::vector<const std::uint8_t*>& x,
                                      std::int64_t n, std::uint8_t* y) {
                                    std::copy(x[0], x[0] + n, y);
                                    for (std::size_t i = 1; i < x.size(); ++i) {
                                      combine(x[i], n, y);
                                    }
                                  });
}

}  // namespace

std::unique_ptr<Step> MakeSum(const std::vector<Term>& terms,
                              const Ending& ending, const Array& to) {
  if (ending.quantize) {
    return std::make_unique<SumStep<std::uint8_t>>(terms, ending, to);
  }
  return std::make_unique<SumStep<float>>(terms, ending, to);
}

std::unique_ptr<Step> MakeCodeSum(std::vector<Array> from, const Array& to) {
  return OfCodes(std::move(from), to, AddCodes);
}

std::unique_ptr<Step> MakeCodeMaximum(std::vector<Array> from,
                                      const Array& to) {
  return OfCodes(std::move(from), to, MaximumOfCodes);
}

std::unique_ptr<Step> MakeChannelConcat(std::vector<Array> from, bool of_codes,
                                        const Array& to) {
  if (of_codes) {
    return std::make_unique<ChannelConcatStep<std::uint8_t>>(std::move(from),
                                                             to);
  }
  return std::make_unique<ChannelConcatStep<float>>(std::move(from), to);
}

std::unique_ptr<Step> MakeCombination(const Combination& combination,
                                      std::vector<Array> from,
                                      const Array& to) {
  const auto of_all = [&](auto begin, auto add) {
    return ForEachRow<float>(
        std::move(from), to,
        [=](const std::vector<const float*>& x, std::int64_t n, float* y) {
          for (std::int64_t i = 0; i < n; ++i) {
            y[i] = begin(x[0][i]);
          }
          for (std::size_t j = 1; j < x.size(); ++j) {
            for (std::int64_t i = 0; i < n; ++i) {
              y[i] = add(y[i], x[j][i], j);
            }
          }
        });
  };
  const auto itself = [](float x) { return x; };
  switch (combination.kind) {
    case Combination::Kind::kSum:
      return of_all(
          [first = combination.coefficients[0]](float x) { return first * x; },
          [factors = combination.coefficients](
              float y, float x, std::size_t j) { return y + factors[j] * x; });
    case Combination::Kind::kProduct:
      return of_all(itself,
                    [](float y, float x, std::size_t) { return y * x; });
    case Combination::Kind::kMaximum:
      return of_all(
          itself, [](float y, float x, std::size_t) { return std::max(y, x); });
  }
  throw ModelError("an unknown combination");
}

std::unique_ptr<Step> MakeConcat(std::vector<Array> from,
                                 std::vector<std::int64_t> counts,
                                 const Array& to) {
  return std::make_unique<ConcatStep>(std::move(from), std::move(counts), to);
}

}  // namespace runtime
}  // namespace ul2q
