#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bindings/caffe/bindings.hpp"
#include "caffe/layers/memory_data_layer.hpp"

namespace py = pybind11;

namespace caffe {
namespace {

using NetPtr = boost::shared_ptr<Net<Dtype>>;

NetPtr Make(const py::object& network_file, int phase, int level,
            const py::object& stages, const py::object& weights) {
  const std::string path = ToReadablePath(network_file);
  if (phase != TRAIN && phase != TEST) {
    throw py::value_error("phase is " + std::to_string(phase) +
                          "; must be caffe.TRAIN (0) or caffe.TEST (1)");
  }
  std::vector<std::string> stage_names;
  if (!stages.is_none()) {
    stage_names = stages.cast<std::vector<std::string>>();
  }
  const std::string weights_path =
      weights.is_none() ? "" : ToReadablePath(weights);
  const py::gil_scoped_release release;
  NetPtr net(
      new Net<Dtype>(path, static_cast<Phase>(phase), level, &stage_names));
  if (!weights_path.empty()) {
    net->CopyTrainedLayersFrom(weights_path);
  }
  return net;
}

/// Net(file, weights, phase), the form of pycaffe before 2015.
NetPtr MakeAndLoad(const py::object& network_file, const py::object& weights,
                   int phase) {
  return Make(network_file, phase, 0, py::none(), weights);
}

void Save(const Net<Dtype>& net, const py::object& filename) {
  const std::string path = ToPath(filename);
  int error = 0;
  {
    const py::gil_scoped_release release;
    NetParameter param;
    net.ToProto(&param, false);
    errno = 0;
    std::ofstream file(path, std::ios::binary);
    if (!file || !param.SerializeToOstream(&file) || !file.flush()) {
      error = errno != 0 ? errno : EIO;
    }
  }
  if (error != 0) {
    ThrowOsError(error, filename);
  }
}

using FloatArray = py::array_t<Dtype, py::array::c_style>;

void CheckInputArray(const FloatArray& array, const std::string& name,
                     const std::vector<py::ssize_t>& shape_of_one) {
  const bool fits =
      array.ndim() == 4 &&
      std::equal(shape_of_one.begin(), shape_of_one.end(), array.shape() + 1);
  if (!fits) {
    std::string wanted = "N";
    for (py::ssize_t extent : shape_of_one) {
      wanted += " x " + std::to_string(extent);
    }
    throw py::value_error(name + " must be of shape " + wanted);
  }
}

void SetInputArrays(const py::object& self, const FloatArray& data,
                    const FloatArray& labels) {
  const auto& net = self.cast<const Net<Dtype>&>();
  const auto layer = net.layers().empty()
                         ? nullptr
                         : boost::dynamic_pointer_cast<MemoryDataLayer<Dtype>>(
                               net.layers()[0]);
  if (!layer) {
    throw std::runtime_error(
        "set_input_arrays may only be called if the first layer is a "
        "MemoryDataLayer");
  }
  CheckInputArray(data, "data array",
                  {layer->channels(), layer->height(), layer->width()});
  CheckInputArray(labels, "labels array", {1, 1, 1});
  const py::ssize_t n = data.shape(0);
  if (n != labels.shape(0)) {
    throw py::value_error("data and labels must have the same first dimension");
  }
  if (n == 0 || n % layer->batch_size() != 0) {
    throw py::value_error("first dimensions of input arrays are " +
                          std::to_string(n) +
                          "; must be a multiple of the batch size, " +
                          std::to_string(layer->batch_size()));
  }
  layer->Reset(const_cast<Dtype*>(data.data()),
               const_cast<Dtype*>(labels.data()), static_cast<int>(n));
  // The layer has bare pointers to them, until the next call.
  self.attr("_input_arrays") = py::make_tuple(data, labels);
}

/// Calls a Python function with the index of the layer.
class Callback final : public Net<Dtype>::Callback {
 public:
  explicit Callback(py::function run) : run_(std::move(run)) {}

 protected:
  void run(int layer) override {
    const py::gil_scoped_acquire acquire;
    run_(layer);
  }

 private:
  py::function run_;
};

using AddCallback = void (Net<Dtype>::*)(typename Net<Dtype>::Callback*);

auto Adder(AddCallback add) {
  return [add](Net<Dtype>* net, py::function run) {
    (net->*add)(KeepForever(std::make_unique<Callback>(std::move(run))));
  };
}

}  // namespace

void BindNet(py::module_* m) {
  using NetClass = Net<Dtype>;
  using Release = py::call_guard<py::gil_scoped_release>;
  py::class_<NetClass, NetPtr>(*m, "Net", py::dynamic_attr(),
                               "A net: layers and the blobs between them.")
      .def(py::init(&Make), py::arg("network_file"), py::arg("phase"),
           py::arg("level") = 0, py::arg("stages") = py::none(),
           py::arg("weights") = py::none())
      .def(py::init(&MakeAndLoad), py::arg("network_file"), py::arg("weights"),
           py::arg("phase"))
      .def("_forward", &NetClass::ForwardFromTo, Release())
      .def("_backward", &NetClass::BackwardFromTo, Release())
      .def("reshape", &NetClass::Reshape, Release(),
           "Reshapes all layers, after a change of an input blob's shape.")
      .def("clear_param_diffs", &NetClass::ClearParamDiffs,
           "Sets the gradients of all parameters to zero.")
      .def(
          "copy_from",
          [](NetClass* net, const py::object& filename) {
            const std::string path = ToReadablePath(filename);
            const py::gil_scoped_release release;
            net->CopyTrainedLayersFrom(path);
          },
          py::arg("filename"),
          "Loads the layers that bear the same name from a .caffemodel or "
          ".caffemodel.h5.")
      .def("share_with", &NetClass::ShareTrainedLayersWith, py::arg("other"),
           "Uses the parameters of another net's layers of the same name.")
      .def_property_readonly(
          "_blob_loss_weights",
          [](const NetClass& net) { return net.blob_loss_weights(); })
      .def("_bottom_ids", &NetClass::bottom_ids)
      .def("_top_ids", &NetClass::top_ids)
      .def_property_readonly(
          "_blobs",
          [](const NetPtr& net) { return ListOfParts(net, net->blobs()); })
      .def_property_readonly(
          "layers",
          [](const NetPtr& net) { return ListOfParts(net, net->layers()); },
          "The layers, in the order of the forward pass.")
      .def_property_readonly(
          "_blob_names", [](const NetClass& net) { return net.blob_names(); })
      .def_property_readonly(
          "_layer_names", [](const NetClass& net) { return net.layer_names(); })
      .def_property_readonly(
          "_inputs",
          [](const NetClass& net) { return net.input_blob_indices(); })
      .def_property_readonly(
          "_outputs",
          [](const NetClass& net) { return net.output_blob_indices(); })
      .def("_set_input_arrays", &SetInputArrays, py::arg("data").noconvert(),
           py::arg("labels").noconvert())
      .def("save", &Save, py::arg("filename"),
           "Writes the parameters to a .caffemodel.")
      .def(
          "save_hdf5",
          [](const NetClass& net, const py::object& filename) {
            const std::string path = ToPath(filename);
            const py::gil_scoped_release release;
            net.ToHDF5(path);
          },
          py::arg("filename"), "Writes the parameters to a .caffemodel.h5.")
      .def(
          "load_hdf5",
          [](NetClass* net, const py::object& filename) {
            const std::string path = ToReadablePath(filename);
            const py::gil_scoped_release release;
            net->CopyTrainedLayersFromHDF5(path);
          },
          py::arg("filename"), "Loads parameters from a .caffemodel.h5.")
      .def("before_forward", Adder(&NetClass::add_before_forward))
      .def("after_forward", Adder(&NetClass::add_after_forward))
      .def("before_backward", Adder(&NetClass::add_before_backward))
      .def("after_backward", Adder(&NetClass::add_after_backward));
}

}  // namespace caffe
