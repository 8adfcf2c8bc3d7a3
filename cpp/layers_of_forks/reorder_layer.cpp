#include "layers_of_forks/reorder_layer.hpp"

namespace ul2q {

AxisOrder::AxisOrder(const std::vector<int>& shape,
                     const std::vector<int>& order)
    : axes(static_cast<int>(order.size())) {
  CHECK_LE(axes, kMost) << "the bottom has more axes than the layer takes";
  for (int i = 0; i < axes; ++i) {
    sizes[i] = shape[order[i]];
    strides[i] = 1;
    for (int axis = order[i] + 1; axis < axes; ++axis) {
      strides[i] *= shape[axis];
    }
  }
}

}  // namespace ul2q

namespace caffe {

UL2Q_DEFINE_CPU_PASSES(ReorderLayer);

}  // namespace caffe
