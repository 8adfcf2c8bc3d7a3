#ifndef UL2Q_BINDINGS_CAFFE_BINDINGS_HPP_
#define UL2Q_BINDINGS_CAFFE_BINDINGS_HPP_

#include <pybind11/pybind11.h>

#include <boost/shared_ptr.hpp>
#include <string>

#include "bindings/caffe/part.hpp"
#include "caffe/caffe.hpp"

// Caffe's smart pointer holds its objects in Python too.
PYBIND11_DECLARE_HOLDER_TYPE(T, boost::shared_ptr<T>)

namespace caffe {

/// Registration of the parts of the module; one file each.
void BindErrors(pybind11::module_* m);
void BindLog(pybind11::module_* m);
void BindCommon(pybind11::module_* m);
void BindSettings(pybind11::module_* m);
void BindBlob(pybind11::module_* m);
void BindVectors(pybind11::module_* m);
void BindLayer(pybind11::module_* m);
void BindQuantized(pybind11::module_* m);
void BindHdf5Weights(pybind11::module_* m);
void BindPacked(pybind11::module_* m);
void BindNet(pybind11::module_* m);
void BindSolver(pybind11::module_* m);
void BindNccl(pybind11::module_* m);

/// The path that `path` (str, bytes or os.PathLike) names.
std::string ToPath(const pybind11::object& path);

/// ToPath of a file that must be readable; FileNotFoundError (or whichever
/// OSError fits) otherwise.
std::string ToReadablePath(const pybind11::object& path);

/// Throws the OSError of errno's value `error` that names `path`.
[[noreturn]] void ThrowOsError(int error, const pybind11::object& path);

}  // namespace caffe

#endif  // UL2Q_BINDINGS_CAFFE_BINDINGS_HPP_
