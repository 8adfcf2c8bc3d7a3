#include "layers_of_forks/axpy_layer.hpp"

namespace caffe {

template <typename Dtype>
void AxpyLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom,
                               const vector<Blob<Dtype>*>& top) {
  const vector<int>& shape = bottom[1]->shape();
  CHECK(bottom[1]->num_axes() >= 2 && bottom[0]->num_axes() >= 2 &&
        bottom[0]->shape(0) == shape[0] && bottom[0]->shape(1) == shape[1] &&
        bottom[0]->count(2) == 1)
      << "the first bottom, " << bottom[0]->shape_string()
      << ", must have one element for each channel of the second, "
      << bottom[1]->shape_string();
  CHECK(bottom[2]->shape() == shape)
      << "the third bottom, " << bottom[2]->shape_string()
      << ", must have the shape of the second, " << bottom[1]->shape_string();
  top[0]->ReshapeLike(*bottom[1]);
}

UL2Q_DEFINE_CPU_PASSES(AxpyLayer);

namespace {
const ForkLayer<AxpyLayer> registration("Axpy");
}  // namespace

}  // namespace caffe
