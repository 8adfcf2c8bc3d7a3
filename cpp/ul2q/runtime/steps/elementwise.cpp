#include "ul2q/runtime/steps/elementwise.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "ul2q/runtime/kernels/images.hpp"
#include "ul2q/runtime/steps/each_row.hpp"

namespace ul2q {
namespace runtime {
namespace {

using RowsOfInputs = std::vector<const float*>;

template <typename OfElement>
std::unique_ptr<Step> ForEachElement(const Array& from, const Array& to,
                                     OfElement of_element) {
  return ForEachRow<float>(
      {from}, to, [=](const RowsOfInputs& x, std::int64_t n, float* y) {
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
  return ForEachRow<float>(
      {from}, to,
      [scale = std::move(scale), shift = std::move(shift)](
          const RowsOfInputs& x, std::int64_t n, float* y) {
        ScaleAndShift(x[0], n, scale.data(), shift.data(), y);
      });
}

std::unique_ptr<Step> MakePRelu(std::vector<float> slopes, const Array& from,
                                const Array& to) {
  return ForEachRow<float>(
      {from}, to,
      [slopes = std::move(slopes)](const RowsOfInputs& x, std::int64_t n,
                                   float* y) {
        Rectify(x[0], n, slopes.data(), y);
      });
}

namespace {

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

std::unique_ptr<Step> MakeSoftmax(std::int64_t outer, std::int64_t extent,
                                  std::int64_t inner, const Array& from,
                                  const Array& to) {
  return std::make_unique<SoftmaxStep>(outer, extent, inner, from, to);
}

}  // namespace runtime
}  // namespace ul2q
