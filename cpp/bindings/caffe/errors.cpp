#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>

#include "bindings/caffe/bindings.hpp"
#include "support/caffe_error.hpp"

namespace py = pybind11;

namespace caffe {

namespace {

/// The class of ul2q::FileNotFound in Python; lives as long as the process.
PyObject* file_not_found = nullptr;
/// That of ul2q::CaffeError.
PyObject* caffe_error = nullptr;

/// A message as Python's text: the name that a damaged file has for a layer or
/// a file may be no UTF-8.
py::object ToText(const std::string& message) {
  return py::reinterpret_steal<py::object>(PyUnicode_DecodeUTF8(
      message.data(), static_cast<Py_ssize_t>(message.size()),
      "backslashreplace"));
}

void RaiseFileNotFound(const ul2q::FileNotFound& error) {
  std::string reason = error.what();
  const std::string path = ": " + error.path();  // OSError has it once more
  const auto place = reason.find(path);
  if (place != std::string::npos) {  // or the path has a NUL
    reason.erase(place, path.size());
  }
  const py::tuple args = py::make_tuple(
      ENOENT, ToText(reason),
      py::module_::import("os").attr("fsdecode")(py::bytes(error.path())));
  PyErr_SetObject(file_not_found, args.ptr());
}

}  // namespace

void BindErrors(py::module_* m) {
  const auto& error = py::register_exception<ul2q::CaffeError>(
      *m, "CaffeError", PyExc_RuntimeError);
  caffe_error = error.ptr();
  error.attr("__module__") = "caffe";
  error.attr("__doc__") =
      "A failed check of Caffe's, or a layer that refuses its parameters or "
      "input. The message begins with the layer and ends with the file and "
      "line it came from.";
  py::dict attributes;
  attributes["__module__"] = "caffe";
  attributes["__doc__"] =
      "A file that is not there, named inside a prototxt or given to Caffe: "
      "both a FileNotFoundError and a CaffeError.";
  const py::tuple bases = py::make_tuple(
      py::reinterpret_borrow<py::object>(PyExc_FileNotFoundError), error);
  m->attr("CaffeFileNotFoundError") = py::reinterpret_borrow<py::object>(
      reinterpret_cast<PyObject*>(&PyType_Type))("CaffeFileNotFoundError",
                                                 bases, attributes);
  file_not_found =
      py::object(m->attr("CaffeFileNotFoundError")).release().ptr();
  py::register_exception_translator([](std::exception_ptr thrown) {
    try {
      std::rethrow_exception(thrown);
    } catch (const ul2q::FileNotFound& missing) {
      RaiseFileNotFound(missing);
    } catch (const ul2q::CaffeError& failed) {
      PyErr_SetObject(caffe_error, ToText(failed.what()).ptr());
    }
  });
}

std::string ToPath(const py::object& path) {
  // Its bytes: a name need not be UTF-8.
  return py::module_::import("os").attr("fsencode")(path).cast<std::string>();
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
