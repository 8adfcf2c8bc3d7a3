#ifndef UL2Q_BINDINGS_CAFFE_BINDINGS_HPP_
#define UL2Q_BINDINGS_CAFFE_BINDINGS_HPP_

#include <pybind11/pybind11.h>

#include <boost/shared_ptr.hpp>
#include <memory>
#include <string>

#include "caffe/caffe.hpp"

// Caffe's smart pointer holds its objects in Python too.
PYBIND11_DECLARE_HOLDER_TYPE(T, boost::shared_ptr<T>)

namespace caffe {

/// As in BVLC's pycaffe, everything in Python is single precision.
using Dtype = float;

/// Registration of the parts of the module; one file each.
void BindErrors(pybind11::module_* m);
void BindCommon(pybind11::module_* m);
void BindBlob(pybind11::module_* m);
void BindLayer(pybind11::module_* m);
void BindNet(pybind11::module_* m);
void BindSolver(pybind11::module_* m);

/// The path that `path` (str, bytes or os.PathLike) names.
std::string ToPath(const pybind11::object& path);

/// ToPath of a file that must be readable; FileNotFoundError (or whichever
/// OSError fits) otherwise.
std::string ToReadablePath(const pybind11::object& path);

/// Throws the OSError of errno's value `error` that names `path`.
[[noreturn]] void ThrowOsError(int error, const pybind11::object& path);

/// A pointer to `part` that keeps `owner` alive: blobs and layers handed to
/// Python keep the net whose memory they use.
template <typename Part, typename Owner>
boost::shared_ptr<Part> KeepOwner(const boost::shared_ptr<Owner>& owner,
                                  const boost::shared_ptr<Part>& part) {
  return boost::shared_ptr<Part>(owner, part.get());
}

/// A list of KeepOwner(owner, part).
template <typename Parts, typename Owner>
pybind11::list ListOfParts(const boost::shared_ptr<Owner>& owner,
                           const Parts& parts) {
  pybind11::list list;
  for (const auto& part : parts) {
    list.append(KeepOwner(owner, part));
  }
  return list;
}

/// For callbacks: nets and solvers keep bare pointers to them and cannot be
/// told to drop one, so that only the end of the process may free it.
template <typename T>
T* KeepForever(std::unique_ptr<T> callback) {
  return callback.release();
}

}  // namespace caffe

#endif  // UL2Q_BINDINGS_CAFFE_BINDINGS_HPP_
