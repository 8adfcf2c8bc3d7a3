#ifndef UL2Q_LAYERS_OF_FORKS_UPSAMPLE_LAYER_HPP_
#define UL2Q_LAYERS_OF_FORKS_UPSAMPLE_LAYER_HPP_

#include <cstdint>
#include <vector>

#include "layers_of_forks/fork_layer.hpp"

namespace ul2q {

/// The planes of a bottom and of its larger top.
struct Planes {
  std::int64_t in, out;  ///< elements
};

/// y = 0, but y[mask[k]] = x[k]; i: a plane. Places beyond it are left out.
template <typename Dtype>
struct UnpoolForward {
  Planes planes;
  const Dtype* x;
  const Dtype* mask;
  Dtype* y;

  UL2Q_HOST_DEVICE void operator()(std::int64_t i) const {
    Dtype* to = y + i * planes.out;
    for (std::int64_t k = 0; k < planes.out; ++k) {
      to[k] = 0;
    }
    for (std::int64_t k = i * planes.in; k < (i + 1) * planes.in; ++k) {
      const auto place = static_cast<std::int64_t>(mask[k]);
      if (place >= 0 && place < planes.out) {
        to[place] = x[k];
      }
    }
  }
};

/// dx[k] = dy[mask[k]]; i: an element
template <typename Dtype>
struct UnpoolBackward {
  Planes planes;
  const Dtype* mask;
  const Dtype* dy;
  Dtype* dx;

  UL2Q_HOST_DEVICE void operator()(std::int64_t i) const {
    const auto place = static_cast<std::int64_t>(mask[i]);
    const bool is_inside = place >= 0 && place < planes.out;
    dx[i] = is_inside ? dy[i / planes.in * planes.out + place] : Dtype(0);
  }
};

/// Each element `rows` × `columns` times.
struct Repetition {
  int rows, columns;
  int width;  ///< of the bottom

  /// The element of the bottom, its planes lying one below the other.
  UL2Q_HOST_DEVICE std::int64_t Source(std::int64_t i) const {
    const std::int64_t top_width = std::int64_t{width} * columns;
    return i / top_width / rows * width + i % top_width / columns;
  }
};

template <typename Dtype>
struct RepeatForward {
  Repetition repetition;
  const Dtype* x;
  Dtype* y;
  UL2Q_HOST_DEVICE void operator()(std::int64_t i) const {
    y[i] = x[repetition.Source(i)];
  }
};

/// i: an element of the bottom
template <typename Dtype>
struct RepeatBackward {
  Repetition repetition;
  const Dtype* dy;
  Dtype* dx;

  UL2Q_HOST_DEVICE void operator()(std::int64_t i) const {
    const std::int64_t top_width =
        std::int64_t{repetition.width} * repetition.columns;
    const Dtype* first = dy +
                         i / repetition.width * repetition.rows * top_width +
                         i % repetition.width * repetition.columns;
    Dtype sum = 0;
    for (int h = 0; h < repetition.rows; ++h) {
      for (int w = 0; w < repetition.columns; ++w) {
        sum += first[h * top_width + w];
      }
    }
    dx[i] = sum;
  }
};

}  // namespace ul2q

namespace caffe {

/// Upsample: with two bottoms SegNet's, which puts each element where the mask
/// (the second top of a max pooling) took one from, and 0 elsewhere; with one
/// YOLO v3's, which repeats each element.
template <typename Dtype>
class UpsampleLayer : public Layer<Dtype> {
 public:
  using Layer<Dtype>::Layer;

  const char* type() const override { return "Upsample"; }
  int MinBottomBlobs() const override { return 1; }
  int MaxBottomBlobs() const override { return 2; }
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
    const int64_t n = top[0]->count();
    const Dtype* x = Device::Data(*bottom[0]);
    if (bottom.size() == 1) {
      Device::ForEach(n, n,
                      ul2q::RepeatForward<Dtype>{repetition_, x,
                                                 Device::MutableData(top[0])});
      return;
    }
    CheckMask(*bottom[1], top[0]->count(2));
    Device::ForEach(bottom[0]->count(0, 2), n,
                    ul2q::UnpoolForward<Dtype>{PlanesOf(*bottom[0], *top[0]), x,
                                               Device::Data(*bottom[1]),
                                               Device::MutableData(top[0])});
  }
  template <typename Device>
  void BackwardOn(const vector<Blob<Dtype>*>& top,
                  const vector<bool>& propagate_down,
                  const vector<Blob<Dtype>*>& bottom) {
    if (!propagate_down[0]) {
      return;
    }
    const int64_t n = bottom[0]->count();
    const Dtype* dy = Device::Diff(*top[0]);
    Dtype* dx = Device::MutableDiff(bottom[0]);
    if (bottom.size() == 1) {
      Device::ForEach(n, top[0]->count(),
                      ul2q::RepeatBackward<Dtype>{repetition_, dy, dx});
    } else {
      Device::ForEach(
          n, n,
          ul2q::UnpoolBackward<Dtype>{PlanesOf(*bottom[0], *top[0]),
                                      Device::Data(*bottom[1]), dy, dx});
    }
  }
  UL2Q_DECLARE_PASSES();

 private:
  static ul2q::Planes PlanesOf(const Blob<Dtype>& bottom,
                               const Blob<Dtype>& top) {
    return {bottom.count(2), top.count(2)};
  }
  /// That a mask names elements of a plane.
  static void CheckMask(const Blob<Dtype>& mask, int64_t plane);

  ul2q::Repetition repetition_{};
};

}  // namespace caffe

#endif  // UL2Q_LAYERS_OF_FORKS_UPSAMPLE_LAYER_HPP_
