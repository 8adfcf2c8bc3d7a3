#include <glog/logging.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/text_format.h>
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "bindings/caffe/bindings.hpp"
#include "bindings/caffe/callbacks.hpp"
#include "bindings/caffe/layer.hpp"
#include "bindings/caffe/messages.hpp"
#include "bindings/caffe/python_layer.hpp"
#include "bindings/caffe/settings.hpp"
#include "caffe/layers/memory_data_layer.hpp"
#include "caffe/util/io.hpp"
#include "caffe/util/upgrade_proto.hpp"
#include "support/hdf5_weights.hpp"
#include "support/new_file.hpp"
#include "support/prototxt.hpp"

namespace py = pybind11;

namespace caffe {
namespace {

using NetClass = Net<Dtype>;

/// Where weights come from: a file, or a message in memory.
class Weights {
 public:
  /// From a path or a caffe_pb2.NetParameter; `user` as for ParseMessage.
  Weights(const py::object& source, const std::string& user) {
    if (IsMessage(source)) {
      ParseMessage(source, user, &param_);
      UpgradeNetAsNeeded("the message given to " + user, &param_);
    } else {
      path_ = ToReadablePath(source);
    }
  }

  void CopyTo(NetClass* net) const {
    if (path_.empty()) {
      net->CopyTrainedLayersFrom(param_);
    } else {
      net->CopyTrainedLayersFrom(path_);
    }
  }

 private:
  std::string path_;
  NetParameter param_;
};

/// Makes a net of `param` in the state that the other arguments say.
NetPtr Make(NetParameter param, int phase, int level, const py::object& stages,
            const py::object& weights) {
  if (phase != TRAIN && phase != TEST) {
    throw py::value_error("phase is " + std::to_string(phase) +
                          "; must be caffe.TRAIN (0) or caffe.TEST (1)");
  }
  param.mutable_state()->set_phase(static_cast<Phase>(phase));
  param.mutable_state()->set_level(level);
  if (!stages.is_none()) {
    if (py::isinstance<py::str>(stages)) {
      throw py::type_error("stages must be a list of strings, not a string");
    }
    for (const auto& stage : stages.cast<std::vector<std::string>>()) {
      param.mutable_state()->add_stage(stage);
    }
  }
  const auto trained =
      weights.is_none() ? nullptr : std::make_unique<Weights>(weights, "Net");
  NetPtr net;
  {
    const CaffeCall call;
    net = ReleasedWithoutGil(NetPtr(new NetClass(param)));
    if (trained) {
      trained->CopyTo(net.get());
    }
  }
  AdoptPythonLayers(net);
  return net;
}

NetPtr MakeFromFile(const py::object& network_file, int phase, int level,
                    const py::object& stages, const py::object& weights) {
  const std::string path = ToReadablePath(network_file);
  NetParameter param;
  ReadNetParamsFromTextFileOrDie(path, &param);
  return Make(param, phase, level, stages, weights);
}

/// Net(file, weights, phase), the form of pycaffe before 2015.
NetPtr MakeAndLoad(const py::object& network_file, const py::object& weights,
                   int phase) {
  if (PyErr_WarnEx(PyExc_DeprecationWarning,
                   "Net(network_file, weights, phase) is deprecated; use "
                   "Net(network_file, phase, weights=weights)",
                   1) != 0) {
    throw py::error_already_set();
  }
  return MakeFromFile(network_file, phase, 0, py::none(), weights);
}

NetPtr FromProto(const py::object& net, int phase, int level,
                 const py::object& stages, const py::object& weights) {
  NetParameter param;
  if (py::isinstance<py::str>(net)) {
    const auto text = net.cast<std::string>();
    google::protobuf::io::ArrayInputStream stream(
        text.data(), static_cast<int>(text.size()));
    const std::string error = ul2q::ParsePrototxt(&stream, &param);
    if (!error.empty()) {
      LOG(FATAL) << "from_proto: " << error;
    }
  } else if (IsMessage(net)) {
    ParseMessage(net, "from_proto", &param);
  } else {
    throw py::type_error(
        "from_proto takes the text of a prototxt or a caffe_pb2.NetParameter, "
        "not " +
        py::repr(net).cast<std::string>());
  }
  UpgradeNetAsNeeded("the net given to from_proto", &param);
  return Make(param, phase, level, stages, weights);
}

/// A net of any of Caffe's formats in today's: the message's bytes, the text
/// that upgrade_net_proto_text would write, and whether nothing was lost.
py::tuple Upgraded(const py::object& net, const std::string& name) {
  NetParameter param;
  ParseMessage(net, "_upgraded_net", &param);
  std::string bytes, text;
  bool complete;
  {
    const CaffeCall call;
    complete = UpgradeNetAsNeeded(name, &param);
    param.SerializeToString(&bytes);
    google::protobuf::TextFormat::PrintToString(param, &text);
  }
  // PrintToString escapes all that is not ASCII.
  return py::make_tuple(py::bytes(bytes), text, complete);
}

void Save(const NetClass& net, const py::object& filename) {
  const std::string path = ToPath(filename);
  int error = 0;
  {
    const CaffeCall call;
    NetParameter param;
    net.ToProto(&param, false);
    try {
      WriteProtoToBinaryFile(param, path);
    } catch (const ul2q::WriteError& failed) {
      error = failed.code();
    }
  }
  if (error != 0) {
    ThrowOsError(error, filename);
  }
}

/// Calls a Python function with the index of the layer.
class Callback final : public NetClass::Callback {
 public:
  Callback(const py::object& net, const py::function& run) : run_(net, run) {}

 protected:
  void run(int layer) override { run_(layer); }

 private:
  PythonCallback run_;
};

/// What a net needs of Python's as long as it lives.
struct NetAttachment {
  std::vector<std::unique_ptr<Callback>> callbacks;
  py::object input_arrays;  // MemoryData has bare pointers to them
};

using AddCallback = void (NetClass::*)(NetClass::Callback*);

auto Adder(AddCallback add) {
  return [add](const py::object& self, const py::function& run) {
    auto* const net = self.cast<NetClass*>();
    auto callback = std::make_unique<Callback>(self, run);
    (net->*add)(callback.get());
    AttachmentOf<NetAttachment>(net)->callbacks.push_back(std::move(callback));
  };
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

void SetInputArrays(NetClass* net, const FloatArray& data,
                    const FloatArray& labels) {
  const auto layer = net->layers().empty()
                         ? nullptr
                         : boost::dynamic_pointer_cast<MemoryDataLayer<Dtype>>(
                               net->layers()[0]);
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
  AttachmentOf<NetAttachment>(net)->input_arrays = py::make_tuple(data, labels);
}

py::list BlobsOf(const NetPtr& net) {
  py::list list;
  for (const auto& blob : net->blobs()) {
    list.append(BlobPart(blob, net));
  }
  return list;
}

}  // namespace

void BindNet(py::module_* m) {
  using Call = py::call_guard<CaffeCall>;
  m->def(
      "_hdf5_weights",
      [](const py::object& filename) {
        return ul2q::LayersWithWeights(ToReadablePath(filename));
      },
      py::arg("filename"),
      "The names of the layers that have parameters in a .caffemodel.h5.");
  m->def("_upgraded_net", &Upgraded, py::arg("net"), py::arg("name"),
         "A caffe_pb2.NetParameter of any format in today's: its bytes, its "
         "text, and whether nothing was lost; name: of its file, for the log.");
  py::class_<NetClass, NetPtr>(*m, "Net", py::dynamic_attr(),
                               "A net: layers and the blobs between them.")
      .def(py::init(&MakeFromFile), py::arg("network_file"), py::arg("phase"),
           py::arg("level") = 0, py::arg("stages") = py::none(),
           py::arg("weights") = py::none(),
           "Makes the net of a prototxt, for caffe.TRAIN or caffe.TEST; level "
           "and stages choose among layers with include or exclude rules. "
           "weights: a .caffemodel, a .caffemodel.h5 or a "
           "caffe_pb2.NetParameter.")
      .def(py::init(&MakeAndLoad), py::arg("network_file"), py::arg("weights"),
           py::arg("phase"), "Deprecated: the order of before 2015.")
      .def_static("from_proto", &FromProto, py::arg("net"), py::arg("phase"),
                  py::arg("level") = 0, py::arg("stages") = py::none(),
                  py::arg("weights") = py::none(),
                  "Makes the net of a prototxt's text or of a "
                  "caffe_pb2.NetParameter; the rest as for the constructor.")
      .def("_forward", &NetClass::ForwardFromTo, py::arg("start"),
           py::arg("end"), Call(),
           "Runs the layers from index start to end, both included; returns "
           "the loss.")
      .def("_backward", &NetClass::BackwardFromTo, py::arg("start"),
           py::arg("end"), Call(),
           "Runs the layers backward from index start down to end, both "
           "included.")
      .def("reshape", &NetClass::Reshape, Call(),
           "Reshapes all layers, after a change of an input blob's shape.")
      .def("clear_param_diffs", &NetClass::ClearParamDiffs, Call(),
           "Sets the gradients of all parameters to zero.")
      .def(
          "copy_from",
          [](NetClass* net, const py::object& weights) {
            const Weights trained(weights, "copy_from");
            const CaffeCall call;
            trained.CopyTo(net);
          },
          py::arg("weights"),
          "Loads the layers that bear the same name from a .caffemodel, a "
          ".caffemodel.h5 or a caffe_pb2.NetParameter.")
      .def("share_with", &NetClass::ShareTrainedLayersWith,
           py::arg("other").none(false), Call(),
           "Uses the parameters of another net's layers of the same name.")
      .def_property_readonly(
          "_blob_loss_weights",
          [](const NetClass& net) { return net.blob_loss_weights(); },
          "The loss weight of each blob.")
      .def("_bottom_ids", &NetClass::bottom_ids, py::arg("layer"),
           "The indices of a layer's bottoms in _blobs.")
      .def("_top_ids", &NetClass::top_ids, py::arg("layer"),
           "The indices of a layer's tops in _blobs.")
      .def_property_readonly("_blobs", &BlobsOf,
                             "The blobs, in the order that layers make them.")
      .def_property_readonly(
          "layers", &LayersOf,
          "The layers, in the order of the forward pass; a Python layer is the "
          "object of its own class.")
      .def_property_readonly(
          "name", [](const NetClass& net) { return net.name(); },
          "The name that the prototxt gives.")
      .def_property_readonly(
          "phase", [](const NetClass& net) -> int { return net.phase(); },
          "caffe.TRAIN or caffe.TEST.")
      .def_property_readonly(
          "_blob_names", [](const NetClass& net) { return net.blob_names(); },
          "The names of _blobs.")
      .def_property_readonly(
          "_layer_names", [](const NetClass& net) { return net.layer_names(); },
          "The names of layers.")
      .def_property_readonly(
          "_inputs",
          [](const NetClass& net) { return net.input_blob_indices(); },
          "The indices in _blobs of the tops of Input layers.")
      .def_property_readonly(
          "_outputs",
          [](const NetClass& net) { return net.output_blob_indices(); },
          "The indices in _blobs of the blobs that no layer takes.")
      .def("_set_input_arrays", &SetInputArrays, py::arg("data").noconvert(),
           py::arg("labels").noconvert(),
           "Serves float32 arrays, N x C x H x W and N x 1 x 1 x 1, through "
           "the MemoryData layer that the net begins with.")
      .def("save", &Save, py::arg("filename"),
           "Writes the parameters to a .caffemodel.")
      .def(
          "save_hdf5",
          [](const NetClass& net, const py::object& filename) {
            const std::string path = ToPath(filename);
            const CaffeCall call;
            net.ToHDF5(path);
          },
          py::arg("filename"), "Writes the parameters to a .caffemodel.h5.")
      .def(
          "load_hdf5",
          [](NetClass* net, const py::object& filename) {
            const std::string path = ToReadablePath(filename);
            const CaffeCall call;
            net->CopyTrainedLayersFromHDF5(path);
          },
          py::arg("filename"), "Loads parameters from a .caffemodel.h5.")
      .def("before_forward", Adder(&NetClass::add_before_forward),
           py::arg("run"),
           "Calls run(index of the layer) before each layer's forward pass.")
      .def("after_forward", Adder(&NetClass::add_after_forward), py::arg("run"),
           "Calls run(index of the layer) after each layer's forward pass.")
      .def("before_backward", Adder(&NetClass::add_before_backward),
           py::arg("run"),
           "Calls run(index of the layer) before each layer's backward pass.")
      .def("after_backward", Adder(&NetClass::add_after_backward),
           py::arg("run"),
           "Calls run(index of the layer) after each layer's backward pass.");
}

}  // namespace caffe
