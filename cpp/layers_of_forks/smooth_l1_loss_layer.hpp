#ifndef UL2Q_LAYERS_OF_FORKS_SMOOTH_L1_LOSS_LAYER_HPP_
#define UL2Q_LAYERS_OF_FORKS_SMOOTH_L1_LOSS_LAYER_HPP_

#include <cstdint>
#include <vector>

#include "caffe/layers/loss_layer.hpp"
#include "layers_of_forks/fork_layer.hpp"
#include "layers_of_forks/smooth_l1.hpp"

namespace ul2q {

/// d = inside·(a − b); the sum of outside·SmoothL1(d) over every `parts`-th
/// element. Weights may be null, for 1.
template <typename Dtype>
struct SmoothL1Sums {
  std::int64_t n, parts;
  Dtype sigma2;
  const Dtype* a;
  const Dtype* b;
  const Dtype* inside;
  const Dtype* outside;
  Dtype* d;
  Dtype* sums;

  /// i: of a part
  UL2Q_HOST_DEVICE void operator()(std::int64_t i) const {
    double sum = 0;
    for (std::int64_t k = i; k < n; k += parts) {
      const Dtype difference =
          (inside == nullptr ? Dtype(1) : inside[k]) * (a[k] - b[k]);
      d[k] = difference;
      sum += (outside == nullptr ? Dtype(1) : outside[k]) *
             SmoothL1(difference, sigma2);
    }
    sums[i] = static_cast<Dtype>(sum);
  }
};

/// loss = factor·Σ sums
template <typename Dtype>
struct SmoothL1Total {
  std::int64_t parts;
  Dtype factor;
  const Dtype* sums;
  Dtype* loss;
  UL2Q_HOST_DEVICE void operator()(std::int64_t) const {
    double sum = 0;
    for (std::int64_t i = 0; i < parts; ++i) {
      sum += sums[i];
    }
    *loss = static_cast<Dtype>(factor * sum);
  }
};

/// dx = factor·dloss·inside·outside·SmoothL1'(d)
template <typename Dtype>
struct SmoothL1Backward {
  Dtype sigma2, factor;
  const Dtype* loss_diff;
  const Dtype* d;
  const Dtype* inside;
  const Dtype* outside;
  Dtype* dx;
  UL2Q_HOST_DEVICE void operator()(std::int64_t i) const {
    const Dtype weight = (inside == nullptr ? Dtype(1) : inside[i]) *
                         (outside == nullptr ? Dtype(1) : outside[i]);
    dx[i] = factor * *loss_diff * weight * SmoothL1Derivative(d[i], sigma2);
  }
};

}  // namespace ul2q

namespace caffe {

/// SmoothL1Loss, of Fast R-CNN: by the batch size. Bottoms: predictions,
/// targets and, if given, the weights inside and outside of the function.
template <typename Dtype>
class SmoothL1LossLayer : public LossLayer<Dtype> {
 public:
  using LossLayer<Dtype>::LossLayer;

  const char* type() const override { return "SmoothL1Loss"; }
  int ExactNumBottomBlobs() const override { return -1; }
  int MinBottomBlobs() const override { return 2; }
  int MaxBottomBlobs() const override { return 4; }
  bool AllowForceBackward(int bottom) const override { return bottom < 2; }
  void LayerSetUp(const vector<Blob<Dtype>*>& bottom,
                  const vector<Blob<Dtype>*>& top) override;
  void Reshape(const vector<Blob<Dtype>*>& bottom,
               const vector<Blob<Dtype>*>& top) override;

 protected:
  template <typename Device>
  void ForwardOn(const vector<Blob<Dtype>*>& bottom,
                 const vector<Blob<Dtype>*>& top) {
    const int64_t n = bottom[0]->count();
    Device::ForEach(
        kParts, n,
        ul2q::SmoothL1Sums<Dtype>{
            n, kParts, Sigma2(), Device::Data(*bottom[0]),
            Device::Data(*bottom[1]), WeightsOf<Device>(bottom, 2),
            WeightsOf<Device>(bottom, 3), Device::MutableData(&difference_),
            Device::MutableData(&sums_)});
    Device::ForEach(
        1, 1,
        ul2q::SmoothL1Total<Dtype>{kParts, Factor(bottom), Device::Data(sums_),
                                   Device::MutableData(top[0])});
  }
  template <typename Device>
  void BackwardOn(const vector<Blob<Dtype>*>& top,
                  const vector<bool>& propagate_down,
                  const vector<Blob<Dtype>*>& bottom) {
    const int64_t n = bottom[0]->count();
    for (int i = 0; i < 2; ++i) {
      if (propagate_down[i]) {
        Device::ForEach(
            n, n,
            ul2q::SmoothL1Backward<Dtype>{
                Sigma2(), (i == 0 ? 1 : -1) * Factor(bottom),
                Device::Diff(*top[0]), Device::Data(difference_),
                WeightsOf<Device>(bottom, 2), WeightsOf<Device>(bottom, 3),
                Device::MutableDiff(bottom[i])});
      }
    }
  }
  UL2Q_DECLARE_PASSES();

 private:
  static constexpr int kParts = 256;

  template <typename Device>
  static const Dtype* WeightsOf(const vector<Blob<Dtype>*>& bottom, size_t i) {
    return i < bottom.size() ? Device::Data(*bottom[i]) : nullptr;
  }
  Dtype Sigma2() const {
    const Dtype sigma = this->layer_param_.smooth_l1_loss_param().sigma();
    return sigma * sigma;
  }
  Dtype Factor(const vector<Blob<Dtype>*>& bottom) const {
    const bool sums =
        this->layer_param_.loss_param().normalization() == LossParameter::NONE;
    return sums ? Dtype(1) : Dtype(1) / bottom[0]->shape(0);
  }

  Blob<Dtype> difference_;  ///< times the weights inside
  Blob<Dtype> sums_;
};

}  // namespace caffe

#endif  // UL2Q_LAYERS_OF_FORKS_SMOOTH_L1_LOSS_LAYER_HPP_
