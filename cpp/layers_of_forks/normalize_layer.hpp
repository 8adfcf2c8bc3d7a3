#ifndef UL2Q_LAYERS_OF_FORKS_NORMALIZE_LAYER_HPP_
#define UL2Q_LAYERS_OF_FORKS_NORMALIZE_LAYER_HPP_

#include <cmath>
#include <cstdint>
#include <vector>

#include "layers_of_forks/fork_layer.hpp"

namespace ul2q {

/// The elements that have one norm: all of an image, or the channels of a
/// pixel.
struct NormGroups {
  std::int64_t channels, pixels;
  bool across_spatial;

  UL2Q_HOST_DEVICE std::int64_t size() const {
    return across_spatial ? channels * pixels : channels;
  }
  /// The place of element k of a group.
  UL2Q_HOST_DEVICE std::int64_t Place(std::int64_t group,
                                      std::int64_t k) const {
    return across_spatial ? group * channels * pixels + k
                          : group / pixels * channels * pixels + k * pixels +
                                group % pixels;
  }
  UL2Q_HOST_DEVICE std::int64_t ChannelOf(std::int64_t k) const {
    return across_spatial ? k / pixels : k;
  }
  UL2Q_HOST_DEVICE std::int64_t GroupOf(std::int64_t place) const {
    const std::int64_t image = place / (channels * pixels);
    return across_spatial ? image : image * pixels + place % pixels;
  }
};

/// y = scale·x / norm, norm = √(eps + Σ x²)
template <typename Dtype>
struct NormalizeForward {
  NormGroups groups;
  Dtype eps;
  const Dtype* x;
  const Dtype* scale;
  std::int64_t scale_step;  ///< 0: one for all channels
  Dtype* norm;
  Dtype* y;

  UL2Q_HOST_DEVICE void operator()(std::int64_t group) const {
    double sum = eps;
    for (std::int64_t k = 0; k < groups.size(); ++k) {
      const Dtype value = x[groups.Place(group, k)];
      sum += static_cast<double>(value) * value;
    }
    const Dtype length = static_cast<Dtype>(sqrt(sum));
    norm[group] = length;
    for (std::int64_t k = 0; k < groups.size(); ++k) {
      const std::int64_t i = groups.Place(group, k);
      y[i] = x[i] / length * scale[groups.ChannelOf(k) * scale_step];
    }
  }
};

/// dx = (g − x·Σ(g·x)/norm²) / norm, g = scale·dy
template <typename Dtype>
struct NormalizeBackward {
  NormGroups groups;
  const Dtype* x;
  const Dtype* scale;
  std::int64_t scale_step;
  const Dtype* norm;
  const Dtype* dy;
  Dtype* dx;

  UL2Q_HOST_DEVICE void operator()(std::int64_t group) const {
    double dot = 0;
    for (std::int64_t k = 0; k < groups.size(); ++k) {
      const std::int64_t i = groups.Place(group, k);
      dot += static_cast<double>(dy[i]) * x[i] *
             scale[groups.ChannelOf(k) * scale_step];
    }
    const Dtype length = norm[group];
    const Dtype along = static_cast<Dtype>(dot / length / length);
    for (std::int64_t k = 0; k < groups.size(); ++k) {
      const std::int64_t i = groups.Place(group, k);
      const Dtype g = dy[i] * scale[groups.ChannelOf(k) * scale_step];
      dx[i] = (g - x[i] * along) / length;
    }
  }
};

/// The gradient of a channel's scale: Σ dy·x/norm
template <typename Dtype>
struct NormalizeScaleGradient {
  NormGroups groups;
  std::int64_t images;
  const Dtype* x;
  const Dtype* norm;
  const Dtype* dy;
  Dtype* sums;

  UL2Q_HOST_DEVICE void operator()(std::int64_t channel) const {
    double sum = 0;
    for (std::int64_t image = 0; image < images; ++image) {
      const std::int64_t begin =
          (image * groups.channels + channel) * groups.pixels;
      for (std::int64_t i = begin; i < begin + groups.pixels; ++i) {
        sum += static_cast<double>(dy[i]) * x[i] / norm[groups.GroupOf(i)];
      }
    }
    sums[channel] = static_cast<Dtype>(sum);
  }
};

/// to[i] += the sum of the `count` elements of from that begin at i·count
template <typename Dtype>
struct AddSums {
  std::int64_t count;
  const Dtype* from;
  Dtype* to;
  UL2Q_HOST_DEVICE void operator()(std::int64_t i) const {
    double sum = 0;
    for (std::int64_t k = 0; k < count; ++k) {
      sum += from[i * count + k];
    }
    to[i] += static_cast<Dtype>(sum);
  }
};

}  // namespace ul2q

namespace caffe {

/// Normalize, of SSD: each image, or each pixel of it, by its Euclidean norm,
/// times a scale that is learned.
template <typename Dtype>
class NormalizeLayer : public Layer<Dtype> {
 public:
  using Layer<Dtype>::Layer;

  const char* type() const override { return "Normalize"; }
  int ExactNumBottomBlobs() const override { return 1; }
  int ExactNumTopBlobs() const override { return 1; }
  void LayerSetUp(const vector<Blob<Dtype>*>& bottom,
                  const vector<Blob<Dtype>*>& top) override;
  void Reshape(const vector<Blob<Dtype>*>& bottom,
               const vector<Blob<Dtype>*>& top) override;

 protected:
  template <typename Device>
  void ForwardOn(const vector<Blob<Dtype>*>& bottom,
                 const vector<Blob<Dtype>*>& top) {
    Device::ForEach(
        norm_.count(), bottom[0]->count(),
        ul2q::NormalizeForward<Dtype>{groups_, eps_, Device::Data(*bottom[0]),
                                      Device::Data(*this->blobs_[0]),
                                      ScaleStep(), Device::MutableData(&norm_),
                                      Device::MutableData(top[0])});
  }
  template <typename Device>
  void BackwardOn(const vector<Blob<Dtype>*>& top,
                  const vector<bool>& propagate_down,
                  const vector<Blob<Dtype>*>& bottom) {
    const Dtype* x = Device::Data(*bottom[0]);
    const Dtype* dy = Device::Diff(*top[0]);
    if (this->param_propagate_down_[0]) {
      Device::ForEach(groups_.channels, bottom[0]->count(),
                      ul2q::NormalizeScaleGradient<Dtype>{
                          groups_, bottom[0]->shape(0), x, Device::Data(norm_),
                          dy, Device::MutableData(&sums_)});
      const int64_t scales = this->blobs_[0]->count();
      Device::ForEach(
          scales, groups_.channels,
          ul2q::AddSums<Dtype>{groups_.channels / scales, Device::Data(sums_),
                               Device::MutableDiff(this->blobs_[0].get())});
    }
    if (propagate_down[0]) {
      Device::ForEach(
          norm_.count(), bottom[0]->count(),
          ul2q::NormalizeBackward<Dtype>{
              groups_, x, Device::Data(*this->blobs_[0]), ScaleStep(),
              Device::Data(norm_), dy, Device::MutableDiff(bottom[0])});
    }
  }
  UL2Q_DECLARE_PASSES();

 private:
  int64_t ScaleStep() const {
    return this->layer_param_.norm_param().channel_shared() ? 0 : 1;
  }

  ul2q::NormGroups groups_{};
  Dtype eps_ = 0;
  Blob<Dtype> norm_;  ///< one a group
  Blob<Dtype> sums_;  ///< one a channel
};

}  // namespace caffe

#endif  // UL2Q_LAYERS_OF_FORKS_NORMALIZE_LAYER_HPP_
