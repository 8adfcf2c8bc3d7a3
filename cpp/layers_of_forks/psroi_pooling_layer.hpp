#ifndef UL2Q_LAYERS_OF_FORKS_PSROI_POOLING_LAYER_HPP_
#define UL2Q_LAYERS_OF_FORKS_PSROI_POOLING_LAYER_HPP_

#include <cstdint>
#include <vector>

#include "layers_of_forks/fork_layer.hpp"
#include "layers_of_forks/regions.hpp"

namespace ul2q {

/// The mean of a bin, which each has a channel of the bottom of its own, or 0
/// of an empty one.
template <typename Dtype>
struct PsroiPoolingForward {
  RegionShape shape;
  int outputs;
  Dtype scale;
  const Dtype* x;
  const Dtype* regions;
  Dtype* y;

  UL2Q_HOST_DEVICE void operator()(std::int64_t i) const {
    const int w = static_cast<int>(i % shape.bins_w);
    const int h = static_cast<int>(i / shape.bins_w % shape.bins_h);
    const std::int64_t row = i / shape.bins_w / shape.bins_h;
    const Dtype* region = regions + row / outputs * 5;
    const Bin bin = FineBins::Of(shape, region, scale, h, w);
    const std::int64_t channel =
        (row % outputs * shape.bins_h + h) * shape.bins_w + w;
    const Dtype* plane =
        x + (static_cast<std::int64_t>(region[0]) * shape.channels + channel) *
                shape.height * shape.width;
    Dtype sum = 0;
    for (int r = bin.top; r < bin.bottom; ++r) {
      for (int c = bin.left; c < bin.right; ++c) {
        sum += plane[r * shape.width + c];
      }
    }
    y[i] = bin.is_empty()
               ? Dtype(0)
               : sum / ((bin.bottom - bin.top) * (bin.right - bin.left));
  }
};

/// i: a channel of an image
template <typename Dtype>
struct PsroiPoolingBackward {
  RegionShape shape;
  int outputs;
  Dtype scale;
  std::int64_t count;  ///< regions
  const Dtype* regions;
  const Dtype* dy;
  Dtype* dx;

  UL2Q_HOST_DEVICE void operator()(std::int64_t i) const {
    const std::int64_t image = i / shape.channels;
    const std::int64_t channel = i % shape.channels;
    const int w = static_cast<int>(channel % shape.bins_w);
    const int h = static_cast<int>(channel / shape.bins_w % shape.bins_h);
    const std::int64_t output = channel / shape.bins_w / shape.bins_h;
    Dtype* plane = dx + i * shape.height * shape.width;
    for (int k = 0; k < shape.height * shape.width; ++k) {
      plane[k] = 0;
    }
    for (std::int64_t k = 0; k < count; ++k) {
      const Dtype* region = regions + k * 5;
      const Bin bin = FineBins::Of(shape, region, scale, h, w);
      if (static_cast<std::int64_t>(region[0]) != image || bin.is_empty()) {
        continue;
      }
      const Dtype share =
          dy[((k * outputs + output) * shape.bins_h + h) * shape.bins_w + w] /
          ((bin.bottom - bin.top) * (bin.right - bin.left));
      for (int r = bin.top; r < bin.bottom; ++r) {
        for (int c = bin.left; c < bin.right; ++c) {
          plane[r * shape.width + c] += share;
        }
      }
    }
  }
};

}  // namespace ul2q

namespace caffe {

/// PSROIPooling, of R-FCN: the means of the bins of regions, for each output
/// and bin of a channel of its own. Bottoms: images with output_dim ×
/// group_size² channels, and regions, R × 5: image, x1, y1, x2, y2 in pixels of
/// the input. Top: R × output_dim × group_size × group_size.
template <typename Dtype>
class PSROIPoolingLayer : public Layer<Dtype> {
 public:
  using Layer<Dtype>::Layer;

  const char* type() const override { return "PSROIPooling"; }
  int ExactNumBottomBlobs() const override { return 2; }
  int ExactNumTopBlobs() const override { return 1; }
  bool AllowForceBackward(int bottom) const override { return bottom == 0; }
  void LayerSetUp(const vector<Blob<Dtype>*>& bottom,
                  const vector<Blob<Dtype>*>& top) override;
  void Reshape(const vector<Blob<Dtype>*>& bottom,
               const vector<Blob<Dtype>*>& top) override;

 protected:
  template <typename Device>
  void ForwardOn(const vector<Blob<Dtype>*>& bottom,
                 const vector<Blob<Dtype>*>& top) {
    ul2q::CheckRegions(*bottom[1], bottom[0]->shape(0));
    Device::ForEach(
        top[0]->count(), 16 * int64_t{top[0]->count()},
        ul2q::PsroiPoolingForward<Dtype>{
            shape_, top[0]->shape(1), Scale(), Device::Data(*bottom[0]),
            Device::Data(*bottom[1]), Device::MutableData(top[0])});
  }
  template <typename Device>
  void BackwardOn(const vector<Blob<Dtype>*>& top,
                  const vector<bool>& propagate_down,
                  const vector<Blob<Dtype>*>& bottom) {
    if (propagate_down[0]) {
      Device::ForEach(
          bottom[0]->count(0, 2), bottom[0]->count() + top[0]->count(),
          ul2q::PsroiPoolingBackward<Dtype>{
              shape_, top[0]->shape(1), Scale(), bottom[1]->shape(0),
              Device::Data(*bottom[1]), Device::Diff(*top[0]),
              Device::MutableDiff(bottom[0])});
    }
  }
  UL2Q_DECLARE_PASSES();

 private:
  Dtype Scale() const {
    return this->layer_param_.psroi_pooling_param().spatial_scale();
  }

  ul2q::RegionShape shape_{};
};

}  // namespace caffe

#endif  // UL2Q_LAYERS_OF_FORKS_PSROI_POOLING_LAYER_HPP_
