#ifndef UL2Q_LAYERS_OF_FORKS_DEVICE_HPP_
#define UL2Q_LAYERS_OF_FORKS_DEVICE_HPP_

#include <cstdint>

#include "caffe/blob.hpp"
#include "ul2q/core/kernels/host_device.hpp"
#include "ul2q/float_engine/parallel.hpp"

namespace ul2q {

// Where a layer's pass runs. A pass is written once, as a template over one of
// these, in terms of bodies: objects with a method operator()(i) that does
// element i and no other's, which either compiler can compile.

/// On the CPU, by OpenMP's threads.
struct Host {
  template <typename Dtype>
  static const Dtype* Data(const caffe::Blob<Dtype>& blob) {
    return blob.cpu_data();
  }
  template <typename Dtype>
  static const Dtype* Diff(const caffe::Blob<Dtype>& blob) {
    return blob.cpu_diff();
  }
  template <typename Dtype>
  static Dtype* MutableData(caffe::Blob<Dtype>* blob) {
    return blob->mutable_cpu_data();
  }
  template <typename Dtype>
  static Dtype* MutableDiff(caffe::Blob<Dtype>* blob) {
    return blob->mutable_cpu_diff();
  }
  /// body(i) for each i from 0 to before n; `work` elements are touched in all.
  template <typename Body>
  static void ForEach(std::int64_t n, std::int64_t work, const Body& body) {
    ParallelFor(n, work, body);
  }
};

#ifndef CPU_ONLY
/// On the GPU, a thread for each element.
struct Gpu {
  template <typename Dtype>
  static const Dtype* Data(const caffe::Blob<Dtype>& blob) {
    return blob.gpu_data();
  }
  template <typename Dtype>
  static const Dtype* Diff(const caffe::Blob<Dtype>& blob) {
    return blob.gpu_diff();
  }
  template <typename Dtype>
  static Dtype* MutableData(caffe::Blob<Dtype>* blob) {
    return blob->mutable_gpu_data();
  }
  template <typename Dtype>
  static Dtype* MutableDiff(caffe::Blob<Dtype>* blob) {
    return blob->mutable_gpu_diff();
  }
  template <typename Body>
  static void ForEach(std::int64_t n, std::int64_t work, const Body& body);
};
#endif

}  // namespace ul2q

#endif  // UL2Q_LAYERS_OF_FORKS_DEVICE_HPP_
