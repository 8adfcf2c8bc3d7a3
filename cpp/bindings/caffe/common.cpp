#include <pybind11/stl.h>

#include "bindings/caffe/bindings.hpp"

namespace py = pybind11;

namespace caffe {

void BindCommon(py::module_* m) {
  m->def("has_nccl", [] { return false; }, "Whether NCCL was built in.");
  m->def("layer_type_list", &LayerRegistry<Dtype>::LayerTypeList,
         "The layer types that a prototxt can name.");

  py::class_<Timer, boost::shared_ptr<Timer>>(*m, "Timer",
                                              "Measures wall-clock time.")
      .def(py::init<>(), "A timer that stands still.")
      .def("start", &Timer::Start, "Starts to measure, from 0.")
      .def("stop", &Timer::Stop, "Stops.")
      .def_property_readonly("ms", &Timer::MilliSeconds, "Milliseconds.");
  // Named by pycaffe.py.
  struct Nccl {};
  py::class_<Nccl>(*m, "NCCL", "Multi-GPU training; not built in.")
      .def(py::init([](const py::object&, const py::object&) -> Nccl {
             LOG(FATAL) << "Cannot use NCCL: this Caffe was built without it";
             return {};
           }),
           py::arg("solver"), py::arg("uid"), "CaffeError: not built in.");
}

}  // namespace caffe
