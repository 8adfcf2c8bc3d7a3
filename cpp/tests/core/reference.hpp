// μL2Q once more, plainly, from the paper's Algorithm 1: what the tests hold
// the library against. Nothing here comes from the library's headers but the
// types of its interface.
#ifndef UL2Q_TESTS_CORE_REFERENCE_HPP_
#define UL2Q_TESTS_CORE_REFERENCE_HPP_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "ul2q/core/method.hpp"

namespace ul2q {

/// μ, σ (dividing by n), smallest and largest element.
struct PlainMoments {
  long double mean = 0, sigma = 0, min = 0, max = 0;
};

template <typename Dtype>
PlainMoments ComputePlainMoments(const std::vector<Dtype>& w) {
  PlainMoments moments;
  if (w.empty()) {
    return moments;
  }
  for (const Dtype x : w) {
    moments.mean += x;
  }
  moments.mean /= w.size();
  for (const Dtype x : w) {
    moments.sigma += (x - moments.mean) * (x - moments.mean);
  }
  moments.sigma = std::sqrt(moments.sigma / w.size());
  moments.min = *std::min_element(w.begin(), w.end());
  moments.max = *std::max_element(w.begin(), w.end());
  return moments;
}

/// λ for 1 to 16 bits, the optimum for N(0, 1).
constexpr double kPlainExact[] = {
    1.595769122,    0.9956866859,   0.5860194414,   0.3352006122,
    0.1881387903,   0.1040630094,   0.05686767238,  0.03076238758,
    0.01649895877,  0.008785464581, 0.004649841838, 0.002448411084,
    0.001283620739, 0.000670451793, 0.000349059386, 0.0001812235698};
/// λ and the mse of Table I, for 1 to 8 bits.
constexpr double kPlainPaper[] = {1.5959, 0.9894, 0.5838, 0.3327,
                                  0.1897, 0.1043, 0.0563, 0.0304};
constexpr double kPaperMse[] = {0.3625, 0.1189, 0.0374, 0.0115,
                                0.0035, 0.0010, 0.0003, 0.0001};

/// α = λσ and β = μ; with the paper's fit above 8 bits, where λ is the range of
/// (w - μ)/σ over 2^k - 1, α = (max w - min w)/(2^k - 1).
template <typename Dtype>
ScaleShift<Dtype> PlainFit(const std::vector<Dtype>& w, int bits, Fit fit) {
  const PlainMoments moments = ComputePlainMoments(w);
  long double scale;
  if (fit == Fit::kPaper && bits > 8) {
    scale = (moments.max - moments.min) / (std::pow(2.0L, bits) - 1);
  } else {
    scale = moments.sigma *
            (fit == Fit::kPaper ? kPlainPaper : kPlainExact)[bits - 1];
  }
  return {static_cast<Dtype>(scale), static_cast<Dtype>(moments.mean)};
}

/// x/α as the library computes it: x (1/α), or x/α where 1/α overflows.
template <typename Dtype>
Dtype PlainQuotient(Dtype x, Dtype scale) {
  const Dtype inverse = 1 / scale;
  return std::isinf(inverse) ? x / scale : x * inverse;
}

/// w' = round(clip((w - β)/α + 0.5, 1 - 2^(k-1), 2^(k-1))); 0 where α is 0.
template <typename Dtype>
std::int32_t PlainCode(const ScaleShift<Dtype>& fit, Dtype w, int bits) {
  if (fit.scale == 0) {
    return 0;
  }
  const Dtype half = static_cast<Dtype>(std::pow(2.0, bits - 1));
  const Dtype position =
      PlainQuotient<Dtype>(w - fit.shift, fit.scale) + static_cast<Dtype>(0.5);
  return static_cast<std::int32_t>(
      std::round(std::min(std::max(position, 1 - half), half)));
}

/// w_q = α w' - 0.5 α + β.
template <typename Dtype>
long double PlainValue(const ScaleShift<Dtype>& fit, std::int32_t code) {
  const long double scale = fit.scale;
  return scale * code - 0.5L * scale + fit.shift;
}

/// The quantised array.
template <typename Dtype>
std::vector<Dtype> PlainQuantize(const std::vector<Dtype>& w, int bits,
                                 Fit fit) {
  const ScaleShift<Dtype> scale_shift = PlainFit(w, bits, fit);
  std::vector<Dtype> values;
  for (const Dtype x : w) {
    values.push_back(static_cast<Dtype>(
        PlainValue(scale_shift, PlainCode(scale_shift, x, bits))));
  }
  return values;
}

}  // namespace ul2q

#endif  // UL2Q_TESTS_CORE_REFERENCE_HPP_
