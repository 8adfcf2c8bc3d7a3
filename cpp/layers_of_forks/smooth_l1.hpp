#ifndef UL2Q_LAYERS_OF_FORKS_SMOOTH_L1_HPP_
#define UL2Q_LAYERS_OF_FORKS_SMOOTH_L1_HPP_

#include "ul2q/core/kernels/host_device.hpp"

namespace ul2q {

/// ½·σ²·d² up to |d| = 1/σ², |d| − ½/σ² beyond
template <typename Dtype>
UL2Q_HOST_DEVICE inline Dtype SmoothL1(Dtype d, Dtype sigma2) {
  const Dtype size = d < 0 ? -d : d;
  return size < 1 / sigma2 ? Dtype(0.5) * sigma2 * d * d
                           : size - Dtype(0.5) / sigma2;
}

/// Its derivative
template <typename Dtype>
UL2Q_HOST_DEVICE inline Dtype SmoothL1Derivative(Dtype d, Dtype sigma2) {
  const Dtype size = d < 0 ? -d : d;
  return size < 1 / sigma2 ? sigma2 * d : Dtype((d > 0) - (d < 0));
}

}  // namespace ul2q

#endif  // UL2Q_LAYERS_OF_FORKS_SMOOTH_L1_HPP_
