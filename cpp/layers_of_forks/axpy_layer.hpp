#ifndef UL2Q_LAYERS_OF_FORKS_AXPY_LAYER_HPP_
#define UL2Q_LAYERS_OF_FORKS_AXPY_LAYER_HPP_

#include <cstdint>
#include <vector>

#include "layers_of_forks/fork_layer.hpp"

namespace ul2q {

/// out = a·x + y, with one a for each `pixels` elements; y null: a·x
template <typename Dtype>
struct AxpyForward {
  std::int64_t pixels;
  const Dtype* a;
  const Dtype* x;
  const Dtype* y;
  Dtype* out;

  /// i: a channel of an image
  UL2Q_HOST_DEVICE void operator()(std::int64_t i) const {
    for (std::int64_t k = i * pixels; k < (i + 1) * pixels; ++k) {
      out[k] = a[i] * x[k] + (y == nullptr ? Dtype(0) : y[k]);
    }
  }
};

/// da = Σ d·x over the pixels
template <typename Dtype>
struct AxpyDot {
  std::int64_t pixels;
  const Dtype* d;
  const Dtype* x;
  Dtype* da;

  UL2Q_HOST_DEVICE void operator()(std::int64_t i) const {
    double sum = 0;
    for (std::int64_t k = i * pixels; k < (i + 1) * pixels; ++k) {
      sum += static_cast<double>(d[k]) * x[k];
    }
    da[i] = static_cast<Dtype>(sum);
  }
};

/// to[i] = from[i]
template <typename Dtype>
struct Copy {
  const Dtype* from;
  Dtype* to;
  UL2Q_HOST_DEVICE void operator()(std::int64_t i) const { to[i] = from[i]; }
};

}  // namespace ul2q

namespace caffe {

/// Axpy, of SENet: a·x + y, where a, the first bottom, is N × C (× 1 × 1), and
/// x and y are N × C × H × W.
template <typename Dtype>
class AxpyLayer : public Layer<Dtype> {
 public:
  using Layer<Dtype>::Layer;

  const char* type() const override { return "Axpy"; }
  int ExactNumBottomBlobs() const override { return 3; }
  int ExactNumTopBlobs() const override { return 1; }
  void Reshape(const vector<Blob<Dtype>*>& bottom,
               const vector<Blob<Dtype>*>& top) override;

 protected:
  template <typename Device>
  void ForwardOn(const vector<Blob<Dtype>*>& bottom,
                 const vector<Blob<Dtype>*>& top) {
    Device::ForEach(bottom[0]->count(), top[0]->count(),
                    ul2q::AxpyForward<Dtype>{
                        bottom[1]->count(2), Device::Data(*bottom[0]),
                        Device::Data(*bottom[1]), Device::Data(*bottom[2]),
                        Device::MutableData(top[0])});
  }
  template <typename Device>
  void BackwardOn(const vector<Blob<Dtype>*>& top,
                  const vector<bool>& propagate_down,
                  const vector<Blob<Dtype>*>& bottom) {
    const int64_t rows = bottom[0]->count(), n = top[0]->count();
    const int64_t pixels = bottom[1]->count(2);
    const Dtype* d = Device::Diff(*top[0]);
    if (propagate_down[0]) {
      Device::ForEach(rows, n,
                      ul2q::AxpyDot<Dtype>{pixels, d, Device::Data(*bottom[1]),
                                           Device::MutableDiff(bottom[0])});
    }
    if (propagate_down[1]) {
      Device::ForEach(
          rows, n,
          ul2q::AxpyForward<Dtype>{pixels, Device::Data(*bottom[0]), d, nullptr,
                                   Device::MutableDiff(bottom[1])});
    }
    if (propagate_down[2]) {
      Device::ForEach(n, n,
                      ul2q::Copy<Dtype>{d, Device::MutableDiff(bottom[2])});
    }
  }
  UL2Q_DECLARE_PASSES();
};

}  // namespace caffe

#endif  // UL2Q_LAYERS_OF_FORKS_AXPY_LAYER_HPP_
