#ifndef UL2Q_LAYERS_OF_FORKS_BN_LAYER_HPP_
#define UL2Q_LAYERS_OF_FORKS_BN_LAYER_HPP_

#include <cmath>
#include <cstdint>
#include <vector>

#include "layers_of_forks/fork_layer.hpp"

namespace ul2q {

/// Where a channel's elements lie: a row of `pixels` in each image.
struct ChannelPixels {
  std::int64_t images, channels, pixels;

  UL2Q_HOST_DEVICE std::int64_t size() const { return images * pixels; }
  UL2Q_HOST_DEVICE std::int64_t Row(std::int64_t image,
                                    std::int64_t channel) const {
    return (image * channels + channel) * pixels;
  }
};

/// A channel's mean and variance, Σ(x − mean)²/n.
template <typename Dtype>
struct ChannelMoments {
  ChannelPixels shape;
  const Dtype* x;
  Dtype* mean;
  Dtype* variance;

  UL2Q_HOST_DEVICE void operator()(std::int64_t channel) const {
    double sum = 0;
    for (std::int64_t image = 0; image < shape.images; ++image) {
      const Dtype* row = x + shape.Row(image, channel);
      for (std::int64_t i = 0; i < shape.pixels; ++i) {
        sum += row[i];
      }
    }
    const double centre = sum / static_cast<double>(shape.size());
    double squares = 0;
    for (std::int64_t image = 0; image < shape.images; ++image) {
      const Dtype* row = x + shape.Row(image, channel);
      for (std::int64_t i = 0; i < shape.pixels; ++i) {
        squares += (row[i] - centre) * (row[i] - centre);
      }
    }
    mean[channel] = static_cast<Dtype>(centre);
    variance[channel] =
        static_cast<Dtype>(squares / static_cast<double>(shape.size()));
  }
};

/// average = momentum·average + (1 − momentum)·batch
template <typename Dtype>
struct MoveAverage {
  Dtype momentum;
  const Dtype* batch;
  Dtype* average;
  UL2Q_HOST_DEVICE void operator()(std::int64_t i) const {
    average[i] = momentum * average[i] + (1 - momentum) * batch[i];
  }
};

/// normal = (x − mean)/√(variance + eps), y = slope·normal + bias; y may be x.
/// Without a mean, normal = x.
template <typename Dtype>
struct BnForward {
  ChannelPixels shape;
  Dtype eps;
  const Dtype* x;
  const Dtype* mean;  ///< null: x is normal
  const Dtype* variance;
  const Dtype* slope;
  const Dtype* bias;
  Dtype* normal;
  Dtype* y;

  /// i: a channel of an image
  UL2Q_HOST_DEVICE void operator()(std::int64_t i) const {
    const std::int64_t channel = i % shape.channels;
    const std::int64_t begin = i * shape.pixels;
    const Dtype centre = mean == nullptr ? Dtype(0) : mean[channel];
    const Dtype inverse =
        mean == nullptr ? Dtype(1) : 1 / Dtype(sqrt(variance[channel] + eps));
    for (std::int64_t k = begin; k < begin + shape.pixels; ++k) {
      const Dtype value = (x[k] - centre) * inverse;
      normal[k] = value;
      y[k] = slope[channel] * value + bias[channel];
    }
  }
};

/// A channel's Σ dy and Σ dy·normal
template <typename Dtype>
struct BnSums {
  ChannelPixels shape;
  const Dtype* normal;
  const Dtype* dy;
  Dtype* sum;
  Dtype* dot;

  UL2Q_HOST_DEVICE void operator()(std::int64_t channel) const {
    double plain = 0, product = 0;
    for (std::int64_t image = 0; image < shape.images; ++image) {
      const std::int64_t begin = shape.Row(image, channel);
      for (std::int64_t k = begin; k < begin + shape.pixels; ++k) {
        plain += dy[k];
        product += static_cast<double>(dy[k]) * normal[k];
      }
    }
    sum[channel] = static_cast<Dtype>(plain);
    dot[channel] = static_cast<Dtype>(product);
  }
};

/// to[i] += from[i]
template <typename Dtype>
struct Add {
  const Dtype* from;
  Dtype* to;
  UL2Q_HOST_DEVICE void operator()(std::int64_t i) const { to[i] += from[i]; }
};

/// dx = slope/√(variance + eps)·(dy − mean(dy) − normal·mean(dy·normal)); the
/// last two terms only where mean and variance are the batch's. dx may be dy.
template <typename Dtype>
struct BnBackward {
  ChannelPixels shape;
  Dtype eps;
  const Dtype* variance;  ///< null: 1 stands for the root
  bool is_of_batch;
  const Dtype* slope;
  const Dtype* normal;
  const Dtype* sum;
  const Dtype* dot;
  const Dtype* dy;
  Dtype* dx;

  /// i: a channel of an image
  UL2Q_HOST_DEVICE void operator()(std::int64_t i) const {
    const std::int64_t channel = i % shape.channels;
    const std::int64_t begin = i * shape.pixels;
    const Dtype n = static_cast<Dtype>(shape.size());
    const Dtype factor =
        variance == nullptr
            ? slope[channel]
            : slope[channel] / Dtype(sqrt(variance[channel] + eps));
    const Dtype mean = is_of_batch ? sum[channel] / n : Dtype(0);
    const Dtype along = is_of_batch ? dot[channel] / n : Dtype(0);
    for (std::int64_t k = begin; k < begin + shape.pixels; ++k) {
      dx[k] = factor * (dy[k] - mean - normal[k] * along);
    }
  }
};

}  // namespace ul2q

namespace caffe {

/// BN: batch normalization with slope and bias, in the forms of SegNet (blobs:
/// scale, shift) and of PSPNet (slope, bias, average mean, average variance).
template <typename Dtype>
class BNLayer : public Layer<Dtype> {
 public:
  using Layer<Dtype>::Layer;

  const char* type() const override { return "BN"; }
  int ExactNumBottomBlobs() const override { return 1; }
  int ExactNumTopBlobs() const override { return 1; }
  void LayerSetUp(const vector<Blob<Dtype>*>& bottom,
                  const vector<Blob<Dtype>*>& top) override;
  void Reshape(const vector<Blob<Dtype>*>& bottom,
               const vector<Blob<Dtype>*>& top) override;

 protected:
  /// What a pass normalises by.
  enum class By { kNothing, kBatch, kAverages };
  By Normalizes() const;

  template <typename Device>
  void ForwardOn(const vector<Blob<Dtype>*>& bottom,
                 const vector<Blob<Dtype>*>& top) {
    const Dtype* x = Device::Data(*bottom[0]);
    const By by = Normalizes();
    if (by == By::kBatch) {
      Device::ForEach(
          shape_.channels, bottom[0]->count(),
          ul2q::ChannelMoments<Dtype>{shape_, x, Device::MutableData(&mean_),
                                      Device::MutableData(&variance_)});
      if (has_averages_) {
        const Dtype momentum = this->layer_param_.bn_param().momentum();
        Device::ForEach(shape_.channels, shape_.channels,
                        ul2q::MoveAverage<Dtype>{
                            momentum, Device::Data(mean_),
                            Device::MutableData(this->blobs_[2].get())});
        Device::ForEach(shape_.channels, shape_.channels,
                        ul2q::MoveAverage<Dtype>{
                            momentum, Device::Data(variance_),
                            Device::MutableData(this->blobs_[3].get())});
      }
    }
    const bool by_averages = by == By::kAverages;
    Device::ForEach(
        shape_.images * shape_.channels, bottom[0]->count(),
        ul2q::BnForward<Dtype>{
            shape_, eps_, x,
            by == By::kNothing
                ? nullptr
                : Device::Data(by_averages ? *this->blobs_[2] : mean_),
            Device::Data(by_averages ? *this->blobs_[3] : variance_),
            Device::Data(*this->blobs_[0]), Device::Data(*this->blobs_[1]),
            Device::MutableData(&normal_), Device::MutableData(top[0])});
  }

  template <typename Device>
  void BackwardOn(const vector<Blob<Dtype>*>& top,
                  const vector<bool>& propagate_down,
                  const vector<Blob<Dtype>*>& bottom) {
    const Dtype* dy = Device::Diff(*top[0]);
    const Dtype* normal = Device::Data(normal_);
    Device::ForEach(
        shape_.channels, bottom[0]->count(),
        ul2q::BnSums<Dtype>{shape_, normal, dy, Device::MutableDiff(&mean_),
                            Device::MutableDiff(&variance_)});
    const Dtype* sums[] = {Device::Diff(variance_), Device::Diff(mean_)};
    for (int i = 0; i < 2; ++i) {
      if (this->param_propagate_down_[i]) {
        Device::ForEach(shape_.channels, shape_.channels,
                        ul2q::Add<Dtype>{sums[i], Device::MutableDiff(
                                                      this->blobs_[i].get())});
      }
    }
    if (propagate_down[0]) {
      const By by = Normalizes();
      const Blob<Dtype>& variance =
          by == By::kAverages ? *this->blobs_[3] : variance_;
      Device::ForEach(shape_.images * shape_.channels, bottom[0]->count(),
                      ul2q::BnBackward<Dtype>{
                          shape_, eps_,
                          by == By::kNothing ? nullptr : Device::Data(variance),
                          by == By::kBatch, Device::Data(*this->blobs_[0]),
                          normal, Device::Diff(mean_), Device::Diff(variance_),
                          dy, Device::MutableDiff(bottom[0])});
    }
  }
  UL2Q_DECLARE_PASSES();

 private:
  void AddBlob(const FillerParameter& filler, int channels);

  bool has_averages_ = false;  ///< PSPNet's form
  Dtype eps_ = 0;
  ul2q::ChannelPixels shape_{};
  // Of the last batch; their diffs: sums of the last backward pass.
  Blob<Dtype> mean_, variance_;
  Blob<Dtype> normal_;
};

}  // namespace caffe

#endif  // UL2Q_LAYERS_OF_FORKS_BN_LAYER_HPP_
