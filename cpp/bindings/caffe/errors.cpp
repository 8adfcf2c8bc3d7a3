#include <cerrno>
#include <filesystem>
#include <fstream>

#include "bindings/caffe/bindings.hpp"
#include "compat/caffe_error.hpp"

namespace py = pybind11;

namespace caffe {

void BindErrors(py::module_* m) {
  const auto& error = py::register_exception<ul2q::CaffeError>(
      *m, "CaffeError", PyExc_RuntimeError);
  error.attr("__module__") = "caffe";
  error.attr("__doc__") =
      "A failed check of Caffe's, or a layer that refuses its parameters or "
      "input. The message ends with the file and line it came from.";
}

std::string ToPath(const py::object& path) {
  return py::module_::import("os").attr("fsdecode")(path).cast<std::string>();
}

std::string ToReadablePath(const py::object& path) {
  const std::string name = ToPath(path);
  errno = 0;
  const bool opened = std::ifstream(name).good();
  if (opened && std::filesystem::is_directory(name)) {
    ThrowOsError(EISDIR, path);
  }
  if (!opened) {
    ThrowOsError(errno != 0 ? errno : ENOENT, path);
  }
  return name;
}

void ThrowOsError(int error, const py::object& path) {
  errno = error;
  PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, path.ptr());
  throw py::error_already_set();
}

}  // namespace caffe
