#include "bindings/caffe/python_layer.hpp"

#include <glog/logging.h>
#include <pybind11/stl.h>

#include <boost/make_shared.hpp>

#include "bindings/caffe/layer.hpp"
#include "support/trust.hpp"

namespace py = pybind11;

namespace caffe {
namespace {

/// Notes in a Python exception which layer it came from, for its traceback.
void AddNote(const py::error_already_set& error, const std::string& note) {
  if (py::hasattr(error.value(), "add_note")) {  // Python 3.11
    error.value().attr("add_note")(note);
  }
}

boost::shared_ptr<Layer<double>> RefuseDouble(const LayerParameter&) {
  LOG(FATAL) << "a Python layer computes in single precision only";
  return nullptr;
}

template <typename T>
void Register(boost::shared_ptr<Layer<T>> (*make)(const LayerParameter&)) {
  // A second import of the module finds the first one's.
  LayerRegistry<T>::Registry().emplace("Python", make);
}

}  // namespace

PythonLayer::PythonLayer(const LayerParameter& param)
    : Layer<Dtype>(param),
      link_(std::make_shared<boost::weak_ptr<Net<Dtype>>>()) {}

PythonLayer::~PythonLayer() {
  const py::gil_scoped_acquire acquire;
  instance_.release().dec_ref();
}

boost::shared_ptr<Layer<Dtype>> PythonLayer::Make(const LayerParameter& param) {
  ul2q::RefuseIfUntrusted("runs Python code");
  const auto layer = boost::make_shared<PythonLayer>(param);
  const py::gil_scoped_acquire acquire;
  try {
    const boost::weak_ptr<Layer<Dtype>> self = layer;
    layer->instance_ =
        layer->FindClass()(NewLayer{LayerPart(self, layer->link_)});
  } catch (const py::error_already_set& error) {
    AddNote(error, "In the constructor of " + layer->Describe());
    throw;
  }
  return layer;
}

py::object PythonLayer::FindClass() const {
  const PythonParameter& param = layer_param_.python_param();
  const auto name = [this] { return "Layer '" + layer_param_.name() + "': "; };
  if (param.module().empty() || param.layer().empty()) {
    LOG(FATAL) << "python_param must name a module and a layer";
  }
  py::object module;
  try {
    module = py::module_::import(param.module().c_str());
  } catch (py::error_already_set& error) {
    if (error.matches(PyExc_ImportError)) {
      py::raise_from(error, PyExc_ImportError,
                     (name() + "cannot import the module '" + param.module() +
                      "' (looked for in PYTHONPATH and sys.path): " +
                      py::str(error.value()).cast<std::string>())
                         .c_str());
      throw py::error_already_set();
    }
    throw;
  }
  if (!py::hasattr(module, param.layer().c_str())) {
    throw py::attribute_error(name() + "the module '" + param.module() +
                              "' has no class '" + param.layer() + "'");
  }
  const py::object layer_class = module.attr(param.layer().c_str());
  const int is_layer =
      PyType_Check(layer_class.ptr())
          ? PyObject_IsSubclass(layer_class.ptr(),
                                py::type::of<LayerPart>().ptr())
          : 0;
  if (is_layer != 1) {
    throw py::type_error(name() + param.module() + "." + param.layer() +
                         " must be a subclass of caffe.Layer");
  }
  return layer_class;
}

std::string PythonLayer::Describe() const {
  const PythonParameter& param = layer_param_.python_param();
  return "layer '" + layer_param_.name() + "' (" + param.module() + "." +
         param.layer() + ")";
}

py::list PythonLayer::ToPython(const std::vector<Blob<Dtype>*>& blobs) const {
  py::list list;
  for (const Blob<Dtype>* blob : blobs) {
    list.append(
        BlobPart(const_cast<Blob<Dtype>*>(blob)->weak_from_this(), link_));
  }
  return list;
}

template <typename... Args>
void PythonLayer::Call(const char* method, const Args&... args) const {
  if (!py::hasattr(instance_, method)) {
    PyErr_SetString(PyExc_NotImplementedError,
                    (Describe() + " has no method " + method).c_str());
    throw py::error_already_set();
  }
  try {
    instance_.attr(method)(args...);
  } catch (const py::error_already_set& error) {
    AddNote(error, std::string("In ") + method + " of " + Describe());
    throw;
  }
}

void PythonLayer::LayerSetUp(const std::vector<Blob<Dtype>*>& bottom,
                             const std::vector<Blob<Dtype>*>& top) {
  CHECK(phase_ != TRAIN || Caffe::solver_count() == 1 || Caffe::multiprocess())
      << "a Python layer cannot train in parallel threads of one process; "
      << "parallel solvers need a process each (caffe.set_multiprocess)";
  const py::gil_scoped_acquire acquire;
  instance_.attr("param_str") = layer_param_.python_param().param_str();
  instance_.attr("phase") = static_cast<int>(phase_);
  Call("setup", ToPython(bottom), ToPython(top));
}

void PythonLayer::Reshape(const std::vector<Blob<Dtype>*>& bottom,
                          const std::vector<Blob<Dtype>*>& top) {
  {
    const py::gil_scoped_acquire acquire;
    Call("reshape", ToPython(bottom), ToPython(top));
  }
  for (std::size_t i = 0; i < top.size(); ++i) {
    CHECK(top[i]->num_axes() > 0 || top[i]->count() > 0)
        << "it did not shape top[" << i << "], '"
        << layer_param_.top(static_cast<int>(i))
        << "': its reshape must call top[" << i << "].reshape(...)";
  }
}

void PythonLayer::Forward_cpu(const std::vector<Blob<Dtype>*>& bottom,
                              const std::vector<Blob<Dtype>*>& top) {
  const py::gil_scoped_acquire acquire;
  Call("forward", ToPython(bottom), ToPython(top));
}

void PythonLayer::Backward_cpu(const std::vector<Blob<Dtype>*>& top,
                               const std::vector<bool>& propagate_down,
                               const std::vector<Blob<Dtype>*>& bottom) {
  const py::gil_scoped_acquire acquire;
  Call("backward", ToPython(top), py::cast(propagate_down), ToPython(bottom));
}

void AdoptPythonLayers(const NetPtr& net) {
  for (const auto& layer : net->layers()) {
    if (auto* python = dynamic_cast<PythonLayer*>(layer.get())) {
      python->set_net(net);
    }
  }
}

void RegisterPythonLayer() {
  Register<float>(&PythonLayer::Make);
  Register<double>(&RefuseDouble);
}

}  // namespace caffe
