#ifndef UL2Q_FLOAT_ENGINE_RELU_HPP_
#define UL2Q_FLOAT_ENGINE_RELU_HPP_

#include <hwy/base.h>

#include <algorithm>

namespace ul2q {

/// x where it is positive, slope·x elsewhere
template <typename Dtype>
HWY_INLINE Dtype Relu(Dtype x, Dtype slope) {
  return std::max(x, Dtype(0)) + slope * std::min(x, Dtype(0));
}

/// Its derivative; 0 where x is NaN
template <typename Dtype>
HWY_INLINE Dtype ReluDerivative(Dtype x, Dtype slope) {
  const Dtype above = x > 0 ? Dtype(1) : Dtype(0);
  const Dtype below = x <= 0 ? slope : Dtype(0);
  return above + below;
}

}  // namespace ul2q

#endif  // UL2Q_FLOAT_ENGINE_RELU_HPP_
