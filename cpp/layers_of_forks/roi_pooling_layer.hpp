#ifndef UL2Q_LAYERS_OF_FORKS_ROI_POOLING_LAYER_HPP_
#define UL2Q_LAYERS_OF_FORKS_ROI_POOLING_LAYER_HPP_

#include <cstdint>
#include <vector>

#include "layers_of_forks/fork_layer.hpp"
#include "layers_of_forks/regions.hpp"

namespace ul2q {

/// The largest element of a bin, or 0 of an empty one, and its place in the
/// plane, or -1.
template <typename Dtype>
struct RoiPoolingForward {
  RegionShape shape;
  Dtype scale;
  const Dtype* x;
  const Dtype* regions;
  Dtype* y;
  int* places;

  UL2Q_HOST_DEVICE void operator()(std::int64_t i) const {
    const int w = static_cast<int>(i % shape.bins_w);
    const int h = static_cast<int>(i / shape.bins_w % shape.bins_h);
    const std::int64_t row = i / shape.bins_w / shape.bins_h;
    const std::int64_t channel = row % shape.channels;
    const Dtype* region = regions + row / shape.channels * 5;
    const Bin bin = PixelBins::Of(shape, region, scale, h, w);
    const Dtype* plane =
        x + (static_cast<std::int64_t>(region[0]) * shape.channels + channel) *
                shape.height * shape.width;
    int place = -1;
    for (int r = bin.top; r < bin.bottom; ++r) {
      for (int c = bin.left; c < bin.right; ++c) {
        const int k = r * shape.width + c;
        if (place < 0 || plane[k] > plane[place]) {
          place = k;
        }
      }
    }
    places[i] = place;
    y[i] = place < 0 ? Dtype(0) : plane[place];
  }
};

/// i: a channel of an image
template <typename Dtype>
struct RoiPoolingBackward {
  RegionShape shape;
  std::int64_t count;  ///< regions
  const Dtype* regions;
  const int* places;
  const Dtype* dy;
  Dtype* dx;

  UL2Q_HOST_DEVICE void operator()(std::int64_t i) const {
    const std::int64_t image = i / shape.channels;
    const std::int64_t channel = i % shape.channels;
    Dtype* plane = dx + i * shape.height * shape.width;
    for (int k = 0; k < shape.height * shape.width; ++k) {
      plane[k] = 0;
    }
    const int bins = shape.bins_h * shape.bins_w;
    for (std::int64_t region = 0; region < count; ++region) {
      if (static_cast<std::int64_t>(regions[region * 5]) == image) {
        const std::int64_t begin = (region * shape.channels + channel) * bins;
        for (std::int64_t k = begin; k < begin + bins; ++k) {
          if (places[k] >= 0) {
            plane[places[k]] += dy[k];
          }
        }
      }
    }
  }
};

}  // namespace ul2q

namespace caffe {

/// ROIPooling, of Fast R-CNN: the largest elements of the bins of regions.
/// Bottoms: images, and regions, R × 5: image, x1, y1, x2, y2 in pixels of the
/// input. Top: R × C × pooled_h × pooled_w.
template <typename Dtype>
class ROIPoolingLayer : public Layer<Dtype> {
 public:
  using Layer<Dtype>::Layer;

  const char* type() const override { return "ROIPooling"; }
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
        ul2q::RoiPoolingForward<Dtype>{
            shape_,
            Dtype(this->layer_param_.roi_pooling_param().spatial_scale()),
            Device::Data(*bottom[0]), Device::Data(*bottom[1]),
            Device::MutableData(top[0]), Device::MutableData(&places_)});
  }
  template <typename Device>
  void BackwardOn(const vector<Blob<Dtype>*>& top,
                  const vector<bool>& propagate_down,
                  const vector<Blob<Dtype>*>& bottom) {
    if (propagate_down[0]) {
      Device::ForEach(bottom[0]->count(0, 2),
                      bottom[0]->count() + top[0]->count(),
                      ul2q::RoiPoolingBackward<Dtype>{
                          shape_, bottom[1]->shape(0), Device::Data(*bottom[1]),
                          Device::Data(places_), Device::Diff(*top[0]),
                          Device::MutableDiff(bottom[0])});
    }
  }
  UL2Q_DECLARE_PASSES();

 private:
  ul2q::RegionShape shape_{};
  Blob<int> places_;  ///< of the largest elements, in their planes
};

}  // namespace caffe

#endif  // UL2Q_LAYERS_OF_FORKS_ROI_POOLING_LAYER_HPP_
