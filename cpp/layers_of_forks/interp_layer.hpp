#ifndef UL2Q_LAYERS_OF_FORKS_INTERP_LAYER_HPP_
#define UL2Q_LAYERS_OF_FORKS_INTERP_LAYER_HPP_

#include <cstdint>
#include <vector>

#include "layers_of_forks/fork_layer.hpp"

namespace ul2q {

/// One axis of an interpolation whose outermost elements are the window's, by
/// both ends.
struct InterpAxis {
  int size;    ///< of the bottom
  int first;   ///< of the window that is interpolated, in the bottom
  int window;  ///< its size
  int out;     ///< of the top

  /// An element of the top: (1 − share)·bottom[low] + share·bottom[high].
  struct Place {
    int low, high;
    float share;
  };
  UL2Q_HOST_DEVICE Place operator()(int i) const {
    const float step =
        out > 1 ? static_cast<float>(window - 1) / static_cast<float>(out - 1)
                : 0.f;
    const float at = step * static_cast<float>(i);
    int low = static_cast<int>(at);
    if (low > window - 1) {  // by rounding
      low = window - 1;
    }
    const int high = low < window - 1 ? low + 1 : low;
    return {first + low, first + high, at - static_cast<float>(low)};
  }
};

template <typename Dtype>
struct InterpForward {
  InterpAxis rows, columns;
  const Dtype* x;
  Dtype* y;

  UL2Q_HOST_DEVICE void operator()(std::int64_t i) const {
    const InterpAxis::Place column = columns(static_cast<int>(i % columns.out));
    const InterpAxis::Place row =
        rows(static_cast<int>(i / columns.out % rows.out));
    const Dtype* plane =
        x + i / columns.out / rows.out * rows.size * columns.size;
    const Dtype* low =
        plane + static_cast<std::int64_t>(row.low) * columns.size;
    const Dtype* high =
        plane + static_cast<std::int64_t>(row.high) * columns.size;
    const Dtype right = column.share, left = 1 - right;
    y[i] = (1 - Dtype(row.share)) *
               (left * low[column.low] + right * low[column.high]) +
           Dtype(row.share) *
               (left * high[column.low] + right * high[column.high]);
  }
};

/// i: a plane, which is 0 before
template <typename Dtype>
struct InterpBackward {
  InterpAxis rows, columns;
  const Dtype* dy;
  Dtype* dx;

  UL2Q_HOST_DEVICE void operator()(std::int64_t i) const {
    const Dtype* d = dy + i * rows.out * columns.out;
    Dtype* plane = dx + i * rows.size * columns.size;
    for (std::int64_t k = 0; k < std::int64_t{rows.size} * columns.size; ++k) {
      plane[k] = 0;
    }
    for (int h = 0; h < rows.out; ++h) {
      const InterpAxis::Place row = rows(h);
      Dtype* low = plane + static_cast<std::int64_t>(row.low) * columns.size;
      Dtype* high = plane + static_cast<std::int64_t>(row.high) * columns.size;
      for (int w = 0; w < columns.out; ++w) {
        const InterpAxis::Place column = columns(w);
        const Dtype right = column.share, left = 1 - right;
        const Dtype below = d[h * columns.out + w] * Dtype(row.share);
        const Dtype above = d[h * columns.out + w] * (1 - Dtype(row.share));
        low[column.low] += above * left;
        low[column.high] += above * right;
        high[column.low] += below * left;
        high[column.high] += below * right;
      }
    }
  }
};

}  // namespace ul2q

namespace caffe {

/// Interp, of DeepLab and PSPNet: bilinear interpolation of images; the corners
/// of the top are the bottom's.
template <typename Dtype>
class InterpLayer : public Layer<Dtype> {
 public:
  using Layer<Dtype>::Layer;

  const char* type() const override { return "Interp"; }
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
    const int64_t n = top[0]->count();
    Device::ForEach(
        n, n,
        ul2q::InterpForward<Dtype>{rows_, columns_, Device::Data(*bottom[0]),
                                   Device::MutableData(top[0])});
  }
  template <typename Device>
  void BackwardOn(const vector<Blob<Dtype>*>& top,
                  const vector<bool>& propagate_down,
                  const vector<Blob<Dtype>*>& bottom) {
    if (propagate_down[0]) {
      Device::ForEach(
          bottom[0]->count(0, 2), top[0]->count(),
          ul2q::InterpBackward<Dtype>{rows_, columns_, Device::Diff(*top[0]),
                                      Device::MutableDiff(bottom[0])});
    }
  }
  UL2Q_DECLARE_PASSES();

 private:
  ul2q::InterpAxis AxisOf(int size, int wanted) const;

  ul2q::InterpAxis rows_{}, columns_{};
};

}  // namespace caffe

#endif  // UL2Q_LAYERS_OF_FORKS_INTERP_LAYER_HPP_
