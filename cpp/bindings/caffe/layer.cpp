#include "bindings/caffe/bindings.hpp"

namespace py = pybind11;

namespace caffe {

void BindLayer(py::module_* m) {
  using LayerPtr = boost::shared_ptr<Layer<Dtype>>;
  py::class_<Layer<Dtype>, LayerPtr>(*m, "Layer", "A layer of a net.")
      .def_property_readonly(
          "blobs",
          [](const LayerPtr& layer) {
            return ListOfParts(layer, layer->blobs());
          },
          "The parameter blobs: weights, then biases.")
      .def_property_readonly("type", &Layer<Dtype>::type);
}

}  // namespace caffe
