#include "ul2q/runtime/steps/inner_product.hpp"

#include <algorithm>

#include "ul2q/runtime/kernels/images.hpp"
#include "ul2q/runtime/kernels/packed_product.hpp"
#include "ul2q/runtime/kernels/product.hpp"

namespace ul2q {
namespace runtime {
namespace {

/// With as many vectors, weights are unpacked once for all of them.
constexpr std::int64_t kManyVectors = 4;

/// Finishes a tile's sums of `count` items. Floats beyond the outputs, which
/// have no place in `to`, are left out.
template <typename Sum, typename Result>
void Store(const Block& block, const Array& to, const ProductTerms& terms,
           const Sum* sums, std::int64_t first, std::int64_t count,
           const std::int32_t* codes, std::int64_t tile) {
  const std::int64_t begin = tile * kTileOutputs;
  const std::int64_t room = to.image.channel_stride - begin;
  for (std::int64_t i = 0; i < count; ++i) {
    Beside of_item;
    of_item.codes = codes == nullptr ? nullptr : codes + first + i;
    Result* out = block.At<Result>(to, first + i) + begin;
    if (room >= kTileOutputs) {
      FinishTile(sums + i * kTileOutputs, 1, of_item, terms.Of(tile),
                 kTileOutputs, 0, out);
    } else {
      alignas(64) Result results[kTileOutputs];
      FinishTile(sums + i * kTileOutputs, 1, of_item, terms.Of(tile),
                 kTileOutputs, 0, results);
      std::copy(results, results + room, out);
    }
  }
}

/// Numbers from 0 up, as far apart as one, and how they are to be understood:
/// step · number + shift.
struct Counted {
  std::vector<std::int8_t> numbers;
  int bits;
  double step, shift;
};

/// Integers as numbers of as few bits as hold them: those of 2-bit weights are
/// -3, -1, 1, 3.
Counted Count(const std::vector<std::int8_t>& integers) {
  const auto [low, high] =
      std::minmax_element(integers.begin(), integers.end());
  const int lowest = *low, highest = *high;
  const bool is_odd =
      std::all_of(integers.begin(), integers.end(),
                  [&](std::int8_t i) { return (i - lowest) % 2 == 0; });
  const int step = is_odd ? 2 : 1;
  const int largest = (highest - lowest) / step;
  for (const int bits : {1, 2, 4}) {
    if (largest < 1 << bits) {
      Counted counted = {integers, bits, static_cast<double>(step),
                         static_cast<double>(lowest)};
      for (std::int8_t& number : counted.numbers) {
        number = static_cast<std::int8_t>((number - lowest) / step);
      }
      return counted;
    }
  }
  return {integers, 8, 1, 0};
}

template <typename Result>
class CodeProductStep : public Step {
 public:
  explicit CodeProductStep(const InnerProductPlan& plan)
      : CodeProductStep(plan, Count(plan.product->weights.integers)) {}

  void Run(const Block& block) const override {
    std::vector<std::int32_t> codes;
    const std::int32_t* sums = nullptr;
    if (terms_.reads_codes()) {
      codes.resize(block.items);
      for (std::int64_t item = 0; item < block.items; ++item) {
        SumPixels(block.At<std::uint8_t>(from_, item), 1, 0,
                  from_.image.count(), &codes[item]);
      }
      sums = codes.data();
    }
    block.ForEach(weights_.tiles(), [&](std::int64_t tile, std::byte* scratch) {
      if (block.items < kManyVectors) {
        MultiplyEach(block, tile, sums);
      } else {
        MultiplyAll(block, tile, sums, reinterpret_cast<std::int8_t*>(scratch));
      }
    });
  }

  std::int64_t scratch_bytes() const override {
    return kTileOutputs * weights_.inputs();
  }

 private:
  CodeProductStep(const InnerProductPlan& plan, const Counted& counted)
      : from_(plan.from),
        to_(plan.to),
        weights_(Placed(plan, counted).data(), plan.product->outputs,
                 plan.from.image.count(), counted.bits),
        terms_(Terms(plan, counted)),
        pairs_fit_(counted.bits < 8) {}

  /// The numbers where the codes lie that they are multiplied with.
  static std::vector<std::int8_t> Placed(const InnerProductPlan& plan,
                                         const Counted& counted) {
    const std::int64_t row = plan.from.image.count();
    const auto inputs = static_cast<std::int64_t>(plan.places.size());
    std::vector<std::int8_t> placed(plan.product->outputs * row, 0);
    for (std::int64_t n = 0; n < plan.product->outputs; ++n) {
      for (std::int64_t k = 0; k < inputs; ++k) {
        placed[n * row + plan.places[k]] = counted.numbers[n * inputs + k];
      }
    }
    return placed;
  }

  static ProductTerms Terms(const InnerProductPlan& plan,
                            const Counted& counted) {
    const Weights& weights = plan.product->weights;
    const Coding& coding = *plan.coding;
    const auto inputs = static_cast<std::int64_t>(plan.places.size());
    const std::int64_t behind = inputs / plan.from.image.channels;
    std::vector<double> scale, code_scale, shift = plan.product->bias;
    for (std::int64_t n = 0; n < plan.product->outputs; ++n) {
      scale.push_back(weights.step[n] * counted.step * coding.scale);
      code_scale.push_back(
          (weights.step[n] * counted.shift + weights.shift[n]) * coding.scale);
      for (std::int64_t k = 0; !coding.is_zero() && k < inputs; ++k) {
        shift[n] += coding.ZeroOf(k / behind) * weights.Value(n, k, inputs);
      }
    }
    return ProductTerms(scale, code_scale, {shift}, plan.ending);
  }

  void MultiplyEach(const Block& block, std::int64_t tile,
                    const std::int32_t* codes) const {
    alignas(64) std::int32_t sums[kTileOutputs];
    for (std::int64_t item = 0; item < block.items; ++item) {
      weights_.Multiply(tile, block.At<std::uint8_t>(from_, item), sums);
      Store<std::int32_t, Result>(block, to_, terms_, sums, item, 1, codes,
                                  tile);
    }
  }

  void MultiplyAll(const Block& block, std::int64_t tile,
                   const std::int32_t* codes, std::int8_t* unpacked) const {
    weights_.Unpack(tile, unpacked);
    const std::int64_t offset = 0;
    Rows<std::uint8_t> rows = {block.At<std::uint8_t>(from_, 0),
                               from_.place.bytes, &offset, 1,
                               weights_.inputs()};
    const std::int64_t most = MaxTileRows();
    alignas(64) std::int32_t sums[16 * kTileOutputs];
    for (std::int64_t begin = 0; begin < block.items; begin += most) {
      const std::int64_t count = std::min(most, block.items - begin);
      MultiplyCodes(rows, static_cast<int>(count), unpacked,
                    kPanel * weights_.inputs(), pairs_fit_, nullptr, sums);
      Store<std::int32_t, Result>(block, to_, terms_, sums, begin, count, codes,
                                  tile);
      rows.first += count * rows.stride;
    }
  }

  Array from_, to_;
  PackedWeights weights_;
  ProductTerms terms_;
  bool pairs_fit_;
};

template <typename Result>
class FloatProductStep : public Step {
 public:
  explicit FloatProductStep(const InnerProductPlan& plan)
      : from_(plan.from),
        to_(plan.to),
        row_(plan.from.image.count()),
        terms_(std::vector<double>(plan.product->outputs, 1.0), {},
               {plan.product->bias}, plan.ending) {
    const auto inputs = static_cast<std::int64_t>(plan.places.size());
    const std::int64_t outputs = plan.product->outputs;
    weights_.assign(RoundUp(outputs, kTileOutputs) * row_, 0.0f);
    for (std::int64_t n = 0; n < outputs; ++n) {
      for (std::int64_t k = 0; k < inputs; ++k) {
        weights_[n / kPanel * kPanel * row_ + plan.places[k] * kPanel +
                 n % kPanel] =
            static_cast<float>(plan.product->weights.Value(n, k, inputs));
      }
    }
  }

  void Run(const Block& block) const override {
    const auto tiles =
        static_cast<std::int64_t>(weights_.size()) / (row_ * kTileOutputs);
    block.ForEach(tiles, [&](std::int64_t tile, std::byte*) {
      const std::int64_t offset = 0;
      Rows<float> rows = {
          block.At<float>(from_, 0),
          from_.place.bytes / static_cast<std::int64_t>(sizeof(float)), &offset,
          1, row_};
      const std::int64_t most = MaxTileRows();
      alignas(64) float sums[16 * kTileOutputs];
      for (std::int64_t begin = 0; begin < block.items; begin += most) {
        const std::int64_t count = std::min(most, block.items - begin);
        MultiplyFloats(rows, static_cast<int>(count),
                       weights_.data() + tile * kTileOutputs * row_,
                       kPanel * row_, sums);
        Store<float, Result>(block, to_, terms_, sums, begin, count, nullptr,
                             tile);
        rows.first += count * rows.stride;
      }
    });
  }

 private:
  Array from_, to_;
  std::int64_t row_;
  ProductTerms terms_;
  std::vector<float> weights_;
};

}  // namespace

std::unique_ptr<Step> MakeInnerProduct(const InnerProductPlan& plan) {
  const bool to_codes = plan.ending.quantize.has_value();
  if (plan.coding) {
    if (to_codes) {
      return std::make_unique<CodeProductStep<std::uint8_t>>(plan);
    }
    return std::make_unique<CodeProductStep<float>>(plan);
  }
  if (to_codes) {
    return std::make_unique<FloatProductStep<std::uint8_t>>(plan);
  }
  return std::make_unique<FloatProductStep<float>>(plan);
}

}  // namespace runtime
}  // namespace ul2q
