#include "bindings/caffe/layer.hpp"

#include <string>
#include <vector>

#include "bindings/caffe/bindings.hpp"
#include "bindings/caffe/python_layer.hpp"
#include "bindings/caffe/settings.hpp"
#include "bindings/caffe/vectors.hpp"

namespace py = pybind11;

namespace caffe {
namespace {

/// Blobs that live as long as a call.
class RawBlobs {
 public:
  explicit RawBlobs(const py::iterable& blobs) {
    for (const py::handle& blob : blobs) {
      kept_.push_back(blob.cast<const BlobPart&>().Get());
      raw_.push_back(kept_.back().get());
    }
  }
  const std::vector<Blob<Dtype>*>& get() const { return raw_; }

 private:
  std::vector<boost::shared_ptr<Blob<Dtype>>> kept_;
  std::vector<Blob<Dtype>*> raw_;
};

const PythonLayer* AsPythonLayer(const Layer<Dtype>& layer) {
  return dynamic_cast<const PythonLayer*>(&layer);
}

using Method = void (Layer<Dtype>::*)(const std::vector<Blob<Dtype>*>&,
                                      const std::vector<Blob<Dtype>*>&);

void CallOnBlobs(Layer<Dtype>* layer, Method method, const py::iterable& bottom,
                 const py::iterable& top) {
  const RawBlobs bottoms(bottom);
  const RawBlobs tops(top);
  const CaffeCall call;
  (layer->*method)(bottoms.get(), tops.get());
}

void SetUp(const LayerPart& self, const py::iterable& bottom,
           const py::iterable& top) {
  const auto layer = self.Get();
  // What a Python layer without a setup of its own calls.
  if (AsPythonLayer(*layer) == nullptr) {
    CallOnBlobs(layer.get(), &Layer<Dtype>::CheckedLayerSetUp, bottom, top);
  }
}

void Reshape(const LayerPart& self, const py::iterable& bottom,
             const py::iterable& top) {
  const auto layer = self.Get();
  if (const PythonLayer* python = AsPythonLayer(*layer)) {
    PyErr_SetString(PyExc_NotImplementedError,
                    (python->Describe() + " has no method reshape").c_str());
    throw py::error_already_set();
  }
  CallOnBlobs(layer.get(), &Layer<Dtype>::CheckedReshape, bottom, top);
}

py::bytes Serialize(const Layer<Dtype>& layer) {
  LayerParameter param = layer.layer_param();
  param.clear_blobs();
  return py::bytes(param.SerializeAsString());
}

/// Layer.param, which a Python layer may use for something of its own: a value
/// in the object's dictionary hides it.
void BindParam(const py::object& layer_class) {
  const py::cpp_function read(
      [](const LayerPart& self) {
        return py::module_::import("caffe.proto.caffe_pb2")
            .attr("LayerParameter")
            .attr("FromString")(Serialize(*self.Get()));
      },
      py::name("param"), py::is_method(layer_class),
      "The layer's caffe_pb2.LayerParameter, without blobs; a copy.");
  const py::object param =
      py::module_::import("functools").attr("cached_property")(read);
  param.attr("__set_name__")(layer_class, "param");
  layer_class.attr("param") = param;
}

}  // namespace

py::list LayersOf(const NetPtr& net) {
  py::list list;
  for (const auto& layer : net->layers()) {
    if (const PythonLayer* python = AsPythonLayer(*layer)) {
      list.append(python->instance());
    } else {
      list.append(LayerPart(layer, net));
    }
  }
  return list;
}

void BindLayer(py::module_* m) {
  py::class_<NewLayer>(*m, "LayerParameter",
                       "What the constructor of a Python layer passes on to "
                       "caffe.Layer's.")
      .def(
          "SerializeToString",
          [](const NewLayer& self) { return Serialize(*self.layer.Get()); },
          "The bytes of the caffe_pb2.LayerParameter.");

  py::class_<LayerPart> layer(
      *m, "Layer", py::dynamic_attr(),
      "A layer of a net, and the base class of layers written in Python.\n\n"
      "A subclass defines setup(bottom, top), reshape(bottom, top), "
      "forward(bottom, top) and, if it has a gradient, "
      "backward(top, propagate_down, bottom); bottom and top are lists of "
      "Blobs, propagate_down is a list of bools. In them it has self.blobs, "
      "self.param, self.param_str and self.phase.\n\n"
      "The net keeps the layer. A layer that stores its net, or a view of the "
      "memory of a data layer, keeps the net for ever; what else it stores of "
      "the net is gone with the net.");
  BindIdentity<Layer<Dtype>>(&layer);
  layer
      .def(py::init([](const NewLayer& param) { return param.layer; }),
           py::arg("param"), "Called by Caffe for a layer of type \"Python\".")
      .def_property_readonly(
          "blobs", [](const LayerPart& self) { return BlobVec{self}; },
          "The parameter blobs: weights, then biases.")
      .def("setup", &SetUp, py::arg("bottom"), py::arg("top"),
           "Sets the layer up for these blobs. A Python layer overrides it.")
      .def("reshape", &Reshape, py::arg("bottom"), py::arg("top"),
           "Shapes the tops for the bottoms. A Python layer overrides it.")
      .def_property_readonly(
          "type",
          [](const LayerPart& self) -> std::string {
            return self.Get()->type();
          },
          "The type that the prototxt names.");
  BindParam(layer);
  RegisterPythonLayer();
}

}  // namespace caffe
