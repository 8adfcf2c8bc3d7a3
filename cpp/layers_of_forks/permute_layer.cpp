// Permute, of SSD: the axes of a blob in another order.

#include <algorithm>

#include "layers_of_forks/reorder_layer.hpp"

namespace caffe {
namespace {

template <typename Dtype>
class PermuteLayer : public ReorderLayer<Dtype> {
 public:
  using ReorderLayer<Dtype>::ReorderLayer;

  const char* type() const override { return "Permute"; }

  void Reshape(const vector<Blob<Dtype>*>& bottom,
               const vector<Blob<Dtype>*>& top) override {
    const int axes = bottom[0]->num_axes();
    vector<int> order;
    for (const unsigned axis : this->layer_param_.permute_param().order()) {
      CHECK_LT(axis, static_cast<unsigned>(axes))
          << "permute_param.order names axis " << axis
          << "; the bottom's shape is " << bottom[0]->shape_string();
      CHECK(std::find(order.begin(), order.end(), axis) == order.end())
          << "permute_param.order names axis " << axis << " twice";
      order.push_back(static_cast<int>(axis));
    }
    for (int axis = 0; axis < axes; ++axis) {
      if (std::find(order.begin(), order.end(), axis) == order.end()) {
        order.push_back(axis);
      }
    }
    vector<int> shape;
    for (const int axis : order) {
      shape.push_back(bottom[0]->shape(axis));
    }
    top[0]->Reshape(shape);
    this->SetOrder(bottom[0]->shape(), order);
  }
};

const ForkLayer<PermuteLayer> registration("Permute");

}  // namespace
}  // namespace caffe
