#ifndef UL2Q_GPU_DEVICE_QUANTIZER_HPP_
#define UL2Q_GPU_DEVICE_QUANTIZER_HPP_

#include <cstddef>
#include <vector>

#include "ul2q/core/channels.hpp"
#include "ul2q/core/kernels/moving_average.hpp"
#include "ul2q/core/kernels/recipe.hpp"
#include "ul2q/core/quantizer.hpp"

namespace ul2q {

/// Memory of the calling thread's CUDA device.
class DeviceMemory {
 public:
  DeviceMemory() = default;
  ~DeviceMemory();
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;

  /// At least `bytes`, not 0; what was in it is lost where it grows. Throws
  /// CaffeError.
  void* Reserve(std::size_t bytes);
  void* get() const { return memory_; }

 private:
  void* memory_ = nullptr;
  std::size_t size_ = 0;
};

/// Does on the current CUDA device what a Quantizer does on the CPU, to the
/// rounding of sums. Arrays are in the device's memory, and the fits stay
/// there: calls only enqueue kernels on the default stream. All throw
/// CaffeError.
template <typename Dtype>
class DeviceQuantizer {
 public:
  explicit DeviceQuantizer(const Quantizer<Dtype>& quantizer);
  ~DeviceQuantizer();

  /// Fits each channel of w.
  void Fit(const ChannelLayout& layout, const Dtype* w);
  /// Takes fits of the CPU's, one for each channel, which are copied.
  void SetFits(const std::vector<ScaleShift<Dtype>>& fits);
  // Of an array that is one channel:
  /// Takes a fit of the CPU's, without a wait.
  void SetFit(const ScaleShift<Dtype>& fit);
  /// Adds the last fit to the average, whose arrays are the device's, and makes
  /// the average the fit.
  void AverageFit(const MovingAverage<Dtype>& average);
  /// The last fit, which is waited for.
  ScaleShift<Dtype> fit() const;

  // By the last fits, of any number of channels:
  void Quantize(const ChannelLayout& layout, const Dtype* w,
                typename Quantizer<Dtype>::Seed seed, Dtype* values);
  void AddGradientWithinLevels(const ChannelLayout& layout, const Dtype* w,
                               const Dtype* gradient, Dtype* sum);
  /// `gradient` and `passed` may be the same.
  void PassGradientWithinLevels(const ChannelLayout& layout, const Dtype* w,
                                const Dtype* gradient, Dtype* passed);

  /// Looks for elements that are not finite, as a fit does.
  void CheckFinite(const ChannelLayout& layout, const Dtype* w);
  /// Whether a fit or a check so far found elements or levels that are not
  /// finite; the device may still be about to find them. Does not wait for it.
  bool has_failed() const;
  void ForgetFailure();

 private:
  ScaleShift<Dtype>* fits() const;

  const Recipe<Dtype> recipe_;
  DeviceMemory fits_;
  DeviceMemory working_memory_;
  int* status_ = nullptr;  ///< in the host's memory; kernels write to it
};

}  // namespace ul2q

#endif  // UL2Q_GPU_DEVICE_QUANTIZER_HPP_
