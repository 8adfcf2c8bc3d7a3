#ifndef UL2Q_CORE_KERNELS_MOVING_AVERAGE_HPP_
#define UL2Q_CORE_KERNELS_MOVING_AVERAGE_HPP_

#include "ul2q/core/kernels/host_device.hpp"
#include "ul2q/core/quantizer.hpp"

namespace ul2q {

/// The average of fits, each of which counts `keep` times as much as the one
/// after it. Kept as a layer's blobs are: fit holds scale, shift and threshold,
/// and weight is 0 before the first fit and tends to 1.
template <typename Dtype>
struct MovingAverage {
  double keep;  ///< 0 <= keep < 1
  Dtype* fit;
  Dtype* weight;

  UL2Q_HOST_DEVICE ScaleShift<Dtype> Get() const {
    return {fit[0], fit[1], fit[2]};
  }
  UL2Q_HOST_DEVICE void Add(const ScaleShift<Dtype>& next) const {
    const double heavier = keep * *weight + 1 - keep;
    const double step = (1 - keep) / heavier;
    fit[0] = Moved(fit[0], next.scale, step);
    fit[1] = Moved(fit[1], next.shift, step);
    fit[2] = Moved(fit[2], next.threshold, step);
    *weight = static_cast<Dtype>(heavier);
  }

 private:
  UL2Q_HOST_DEVICE static Dtype Moved(Dtype from, Dtype to, double step) {
    return static_cast<Dtype>(from + step * (static_cast<double>(to) - from));
  }
};

}  // namespace ul2q

#endif  // UL2Q_CORE_KERNELS_MOVING_AVERAGE_HPP_
