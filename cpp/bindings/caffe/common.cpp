#include <pybind11/stl.h>

#include "bindings/caffe/bindings.hpp"
#include "support/fork_fields.hpp"
#include "support/prototxt.hpp"

namespace py = pybind11;

namespace caffe {
namespace {

std::string WithoutHarmlessFields(const std::string& text, bool is_solver) {
  NetParameter net;
  SolverParameter solver;
  return is_solver ? ul2q::WithoutHarmlessFields(text, &solver)
                   : ul2q::WithoutHarmlessFields(text, &net);
}

/// "It is SSD's, not of this Caffe: …", or "" where no fork is known.
std::string AboutForkField(const std::string& type, const std::string& name) {
  const ul2q::ForkField* field = ul2q::FindForkField(type, name);
  return field == nullptr || field->is_harmless()
             ? ""
             : "it is " + field->fork + ", not of this Caffe: " + field->remedy;
}

}  // namespace

void BindCommon(py::module_* m) {
  m->def("layer_type_list", &LayerRegistry<Dtype>::LayerTypeList,
         "The layer types that a prototxt can name.");

  m->def(
      "_without_harmless_fields", &WithoutHarmlessFields, py::arg("text"),
      py::arg("is_solver"),
      "A prototxt with spaces in the place of other Caffes' fields that nets "
      "compute the same without; a warning names them.");
  m->def("_about_fork_field", &AboutForkField, py::arg("type"), py::arg("name"),
         "Which other Caffe has a field that this one lacks, and what to do.");

  py::class_<Timer, boost::shared_ptr<Timer>>(*m, "Timer",
                                              "Measures wall-clock time.")
      .def(py::init<>(), "A timer that stands still.")
      .def("start", &Timer::Start, "Starts to measure, from 0.")
      .def("stop", &Timer::Stop, "Stops.")
      .def_property_readonly("ms", &Timer::MilliSeconds, "Milliseconds.");
}

}  // namespace caffe
