#include "ul2q/runtime/steps/elementwise.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "ul2q/runtime/kernels/images.hpp"

namespace ul2q {
namespace runtime {
namespace {

/// Calls function(inputs, n, output) for each row of each item.
template <typename OfRow>
class EachRow : public Step {
 public:
  EachRow(std::vector<Array> from, const Array& to, OfRow of_row)
      : from_(std::move(from)), to_(to), of_row_(std::move(of_row)) {}

  void Run(const Block& block) const override {
    block.ForEach(block.items, [&](std::int64_t item, std::byte*) {
      const Image& out = to_.image;
      float* y = block.At<float>(to_, item);
      out.ClearBorder(y);
      std::vector<const float*> rows(from_.size());
      for (std::int64_t row = 0; row < out.height; ++row) {
        for (std::size_t i = 0; i < from_.size(); ++i) {
          rows[i] = block.At<float>(from_[i], item) + from_[i].image.At(row, 0);
        }
        of_row_(rows, out.width * out.channel_stride, y + out.At(row, 0));
      }
    });
  }

 private:
  std::vector<Array> from_;
  Array to_;
  OfRow of_row_;
};

using RowsOfInputs = std::vector<const float*>;

template <typename OfRow>
std::unique_ptr<Step> ForEachRow(std::vector<Array> from, const Array& to,
                                 OfRow of_row) {
  return std::make_unique<EachRow<OfRow>>(std::move(from), to,
                                          std::move(of_row));
}

template <typename OfElement>
std::unique_ptr<Step> ForEachElement(const Array& from, const Array& to,
                                     OfElement of_element) {
  return ForEachRow({from}, to,
                    [=](const RowsOfInputs& x, std::int64_t n, float* y) {
                      for (std::int64_t i = 0; i < n; ++i) {
                        y[i] = of_element(x[0][i]);
                      }
                    });
}

}  // namespace

std::unique_ptr<Step> MakeFunction(const Function& function, const Array& from,
                                   const Array& to) {
  const float a = function.a, b = function.b, c = function.c;
  using Kind = Function::Kind;
  switch (function.kind) {
    case Kind::kRelu:
      return ForEachElement(from, to,
                            [=](float x) { return x > 0 ? x : a * x; });
    case Kind::kElu:
      return ForEachElement(
          from, to, [=](float x) { return x > 0 ? x : a * std::expm1(x); });
    case Kind::kSigmoid:
      return ForEachElement(
          from, to, [](float x) { return 0.5f * std::tanh(0.5f * x) + 0.5f; });
    case Kind::kTanh:
      return ForEachElement(from, to, [](float x) { return std::tanh(x); });
    case Kind::kSwish:
      return ForEachElement(from, to, [=](float x) {
        return x * (0.5f * std::tanh(0.5f * a * x) + 0.5f);
      });
    case Kind::kAbs:
      return ForEachElement(from, to, [](float x) { return std::abs(x); });
    case Kind::kPower:
      return ForEachElement(from, to,
                            [=](float x) { return std::pow(b * x + c, a); });
    case Kind::kExp:
      return ForEachElement(from, to,
                            [=](float x) { return b * std::exp(a * x); });
    case Kind::kLog:
      return ForEachElement(from, to,
                            [=](float x) { return a * std::log(b * x + c); });
    case Kind::kSoftplus:
      return ForEachElement(from, to, [](float x) {
        return std::max(x, 0.0f) + std::log1p(std::exp(-std::abs(x)));
      });
    case Kind::kThreshold:
      return ForEachElement(from, to,
                            [=](float x) { return x > a ? 1.0f : 0.0f; });
    case Kind::kClip:
      return ForEachElement(
          from, to, [=](float x) { return std::max(a, std::min(x, b)); });
    case Kind::kSign:
      return ForEachElement(from, to, [=](float x) { return x < 0 ? -a : a; });
    case Kind::kTernary:
      return ForEachElement(from, to, [=](float x) {
        return x > b ? a : x < -b ? -a : 0.0f;
      });
  }
  throw ModelError("an unknown function");
}

std::unique_ptr<Step> MakeAffine(std::vector<float> scale,
                                 std::vector<float> shift, const Array& from,
                                 const Array& to) {
  return ForEachRow({from}, to,
                    [scale = std::move(scale), shift = std::move(shift)](
                        const RowsOfInputs& x, std::int64_t n, float* y) {
                      ScaleAndShift(x[0], n, scale.data(), shift.data(), y);
                    });
}

std::unique_ptr<Step> MakePRelu(std::vector<float> slopes, const Array& from,
                                const Array& to) {
  return ForEachRow({from}, to,
                    [slopes = std::move(slopes)](const RowsOfInputs& x,
                                                 std::int64_t n, float* y) {
                      Rectify(x[0], n, slopes.data(), y);
                    });
}

std::unique_ptr<Step> MakeCombination(const Combination& combination,
                                      std::vector<Array> from,
                                      const Array& to) {
  const auto of_all = [&](auto begin, auto add) {
    return ForEachRow(std::move(from), to,
                      [=](const RowsOfInputs& x, std::int64_t n, float* y) {
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

namespace {

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

class SoftmaxStep : public Step {
 public:
  SoftmaxStep(std::int64_t outer, std::int64_t extent, std::int64_t inner,
              const Array& from, const Array& to)
      : outer_(outer), extent_(extent), inner_(inner), from_(from), to_(to) {}

  void Run(const Block& block) const override {
    block.ForEach(block.items, [&](std::int64_t item, std::byte*) {
      const float* x = block.At<float>(from_, item);
      float* y = block.At<float>(to_, item);
      for (std::int64_t i = 0; i < outer_; ++i) {
        for (std::int64_t j = 0; j < inner_; ++j) {
          Of(x + i * extent_ * inner_ + j, y + i * extent_ * inner_ + j);
        }
      }
    });
  }

 private:
  void Of(const float* x, float* y) const {
    const std::int64_t end = extent_ * inner_;
    float largest = x[0];
    for (std::int64_t k = 0; k < end; k += inner_) {
      largest = std::max(largest, x[k]);
    }
    float sum = 0;
    for (std::int64_t k = 0; k < end; k += inner_) {
      y[k] = std::exp(x[k] - largest);
      sum += y[k];
    }
    for (std::int64_t k = 0; k < end; k += inner_) {
      y[k] /= sum;
    }
  }

  std::int64_t outer_, extent_, inner_;
  Array from_, to_;
};

}  // namespace

std::unique_ptr<Step> MakeConcat(std::vector<Array> from,
                                 std::vector<std::int64_t> counts,
                                 const Array& to) {
  return std::make_unique<ConcatStep>(std::move(from), std::move(counts), to);
}

std::unique_ptr<Step> MakeSoftmax(std::int64_t outer, std::int64_t extent,
                                  std::int64_t inner, const Array& from,
                                  const Array& to) {
  return std::make_unique<SoftmaxStep>(outer, extent, inner, from, to);
}

}  // namespace runtime
}  // namespace ul2q
