#include "support/hdf5_weights.hpp"

#include <glog/logging.h>
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bindings/caffe/bindings.hpp"
#include "support/files.hpp"

namespace py = pybind11;

namespace caffe {
namespace {

using Shapes = std::map<std::string, std::map<int, std::vector<int>>>;

/// Whether Python has a text for these bytes.
bool IsUtf8(const std::string& bytes) {
  const auto text = py::reinterpret_steal<py::object>(PyUnicode_DecodeUTF8(
      bytes.data(), static_cast<Py_ssize_t>(bytes.size()), nullptr));
  PyErr_Clear();
  return static_cast<bool>(text);
}

Shapes ShapesOf(const ul2q::Hdf5Weights& weights) {
  Shapes shapes;
  ul2q::NamingFile(weights.path(), [&] {
    for (const std::string& layer : weights.layers()) {
      CHECK(IsUtf8(layer)) << "it is damaged: the name of a layer, " << layer
                           << ", is not UTF-8";
      for (const auto& [index, data_set] : weights.Open(layer)) {
        shapes[layer][index] = data_set.shape();
      }
    }
  });
  return shapes;
}

py::array_t<Dtype> Read(const ul2q::Hdf5Weights& weights,
                        const std::string& layer, int index) {
  py::array_t<Dtype> values;
  ul2q::NamingFile(weights.path(), [&] {
    const auto blobs = weights.Open(layer);
    const auto found = blobs.find(index);
    if (found == blobs.end()) {
      throw py::key_error("blob " + std::to_string(index) + " of layer '" +
                          layer + "'");
    }
    values = py::array_t<Dtype>(found->second.shape());
    found->second.Read(values.mutable_data(),
                       static_cast<std::size_t>(values.size()));
  });
  return values;
}

}  // namespace

void BindHdf5Weights(py::module_* m) {
  py::class_<ul2q::Hdf5Weights>(*m, "_Hdf5Weights",
                                "The weights in a .caffemodel.h5.")
      .def(py::init([](const py::object& filename) {
             return std::make_unique<ul2q::Hdf5Weights>(
                 ToReadablePath(filename));
           }),
           py::arg("filename"), "Opens it, as long as this object lives.")
      .def_property_readonly(
          "shapes", &ShapesOf,
          "For each layer that has blobs, by name: the shape of each blob, by "
          "index. Blobs that a layer shares with another are not in files.")
      .def("read", &Read, py::arg("layer"), py::arg("index"),
           "The values of one blob, float32. KeyError if there is none.");
}

}  // namespace caffe
