#ifndef UL2Q_LAYERS_OF_FORKS_REORDER_LAYER_HPP_
#define UL2Q_LAYERS_OF_FORKS_REORDER_LAYER_HPP_

#include <cstdint>
#include <vector>

#include "layers_of_forks/fork_layer.hpp"

namespace ul2q {

/// Axes in another order: how the elements of a top lie in its bottom. Shapes
/// of up to kMost axes.
struct AxisOrder {
  static constexpr int kMost = 8;

  int axes = 0;
  std::int64_t sizes[kMost] = {};    ///< of the top's axes
  std::int64_t strides[kMost] = {};  ///< of the same axes, in the bottom

  /// `shape` of the bottom; axis i of the top is its axis order[i].
  AxisOrder(const std::vector<int>& shape, const std::vector<int>& order);

  /// The place in the bottom of element i of the top.
  UL2Q_HOST_DEVICE std::int64_t operator()(std::int64_t i) const {
    std::int64_t place = 0;
    for (int axis = axes - 1; axis >= 0; --axis) {
      place += i % sizes[axis] * strides[axis];
      i /= sizes[axis];
    }
    return place;
  }
};

/// to[i] = from[place of i]
template <typename Dtype>
struct Gather {
  AxisOrder order;
  const Dtype* from;
  Dtype* to;
  UL2Q_HOST_DEVICE void operator()(std::int64_t i) const {
    to[i] = from[order(i)];
  }
};

/// to[place of i] = from[i]
template <typename Dtype>
struct Scatter {
  AxisOrder order;
  const Dtype* from;
  Dtype* to;
  UL2Q_HOST_DEVICE void operator()(std::int64_t i) const {
    to[order(i)] = from[i];
  }
};

}  // namespace ul2q

namespace caffe {

/**
 * @brief What layers have in common whose top has the elements of the bottom in
 *        another order: the bottom, seen in a shape of more axes, and these
 *        permuted.
 */
template <typename Dtype>
class ReorderLayer : public Layer<Dtype> {
 public:
  using Layer<Dtype>::Layer;

  int ExactNumBottomBlobs() const override { return 1; }
  int ExactNumTopBlobs() const override { return 1; }

 protected:
  /// From a subclass's Reshape: `shape` has as many elements as the bottom.
  void SetOrder(const std::vector<int>& shape, const std::vector<int>& order) {
    order_ = ul2q::AxisOrder(shape, order);
  }

  template <typename Device>
  void ForwardOn(const vector<Blob<Dtype>*>& bottom,
                 const vector<Blob<Dtype>*>& top) {
    const int64_t n = top[0]->count();
    Device::ForEach(n, n,
                    ul2q::Gather<Dtype>{order_, Device::Data(*bottom[0]),
                                        Device::MutableData(top[0])});
  }
  template <typename Device>
  void BackwardOn(const vector<Blob<Dtype>*>& top,
                  const vector<bool>& propagate_down,
                  const vector<Blob<Dtype>*>& bottom) {
    if (propagate_down[0]) {
      const int64_t n = top[0]->count();
      Device::ForEach(n, n,
                      ul2q::Scatter<Dtype>{order_, Device::Diff(*top[0]),
                                           Device::MutableDiff(bottom[0])});
    }
  }
  UL2Q_DECLARE_PASSES();

 private:
  ul2q::AxisOrder order_{{}, {}};
};

}  // namespace caffe

#endif  // UL2Q_LAYERS_OF_FORKS_REORDER_LAYER_HPP_
