#include <pybind11/stl.h>

#include "bindings/caffe/bindings.hpp"

namespace py = pybind11;

namespace caffe {

void BindCommon(py::module_* m) {
  m->def("layer_type_list", &LayerRegistry<Dtype>::LayerTypeList,
         "The layer types that a prototxt can name.");

  py::class_<Timer, boost::shared_ptr<Timer>>(*m, "Timer",
                                              "Measures wall-clock time.")
      .def(py::init<>(), "A timer that stands still.")
      .def("start", &Timer::Start, "Starts to measure, from 0.")
      .def("stop", &Timer::Stop, "Stops.")
      .def_property_readonly("ms", &Timer::MilliSeconds, "Milliseconds.");
}

}  // namespace caffe
