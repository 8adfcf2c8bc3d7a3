#include "bindings/caffe/callbacks.hpp"

namespace py = pybind11;

namespace caffe {
namespace {

py::object KeepIn(const py::object& owner, const py::function& function) {
  // Of the callables, a partial is one that weak references can refer to.
  const py::object kept =
      py::module_::import("functools").attr("partial")(function);
  if (!py::hasattr(owner, "_callbacks")) {
    owner.attr("_callbacks") = py::list();
  }
  owner.attr("_callbacks").attr("append")(kept);
  return kept;
}

}  // namespace

PythonCallback::PythonCallback(const py::object& owner,
                               const py::function& function)
    : function_(KeepIn(owner, function)) {}

}  // namespace caffe
