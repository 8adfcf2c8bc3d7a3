#ifndef UL2Q_BINDINGS_CAFFE_PART_HPP_
#define UL2Q_BINDINGS_CAFFE_PART_HPP_

#include <pybind11/pybind11.h>

#include <boost/shared_ptr.hpp>
#include <boost/weak_ptr.hpp>
#include <functional>
#include <memory>
#include <utility>

#include "caffe/caffe.hpp"

namespace caffe {

/// As in BVLC's pycaffe, everything in Python is single precision.
using Dtype = float;

using NetPtr = boost::shared_ptr<Net<Dtype>>;

/// A pointer to `object` that lets go of it without the GIL: the end of a net
/// waits for its prefetch threads, which may need the GIL themselves.
template <typename T>
boost::shared_ptr<T> ReleasedWithoutGil(boost::shared_ptr<T> object) {
  T* const pointer = object.get();
  const auto release = [object = std::move(object)](T*) mutable {
    if (PyGILState_Check() != 0) {
      const pybind11::gil_scoped_release no_gil;
      object.reset();
    } else {
      object.reset();
    }
  };
  return boost::shared_ptr<T>(pointer, release);
}

/// Where what belongs to a Python layer finds its net. The layer fills it in
/// when the net is complete. Read and written with the GIL.
using NetLink = std::shared_ptr<boost::weak_ptr<Net<Dtype>>>;

/// A blob or a layer of a net, as Python holds it: it never dangles.
///
/// There are two kinds. One keeps the part and its net, whose memory the part
/// may use: what `net.blobs` and `net.layers` hand out. The other refers to the
/// net without keeping it: what a Python layer gets to see. The net keeps the
/// layer, and would never go if the layer kept the net.
template <typename T>
class Part {
 public:
  Part(boost::shared_ptr<T> part, NetPtr net)
      : kept_(std::move(part)), kept_net_(std::move(net)), part_(kept_) {}

  /// One that keeps neither.
  Part(const boost::weak_ptr<T>& part, NetLink link)
      : part_(part), link_(std::move(link)) {}

  /// One that keeps the part alone.
  Part(boost::shared_ptr<T> part, NetLink link)
      : kept_(std::move(part)), part_(kept_), link_(std::move(link)) {}

  /// The part. Throws Python's ReferenceError if it is gone.
  boost::shared_ptr<T> Get() const {
    boost::shared_ptr<T> part = part_.lock();
    if (!part) {
      PyErr_SetString(PyExc_ReferenceError,
                      "this belonged to a net that no longer exists");
      throw pybind11::error_already_set();
    }
    return part;
  }

  /// The net, or null if it is gone or not complete yet.
  NetPtr net() const { return link_ ? link_->lock() : kept_net_; }

  /// Whether the net lives as long as this.
  bool keeps_net() const { return kept_net_ != nullptr; }

  /// What `other`, found through this part, is held as: alike.
  template <typename Other>
  Part<Other> Sibling(const boost::shared_ptr<Other>& other) const {
    return keeps_net() ? Part<Other>(other, kept_net_)
                       : Part<Other>(other, link_);
  }

  /// Whether both are the same part, gone or not.
  bool operator==(const Part& other) const {
    return !part_.owner_before(other.part_) && !other.part_.owner_before(part_);
  }

  /// Equal for equal ones, gone or not.
  std::size_t hash() const { return std::hash<const void*>()(address_); }

 private:
  boost::shared_ptr<T> kept_;
  NetPtr kept_net_;
  boost::weak_ptr<T> part_;
  NetLink link_;
  const void* address_ = part_.lock().get();  // may be of one that is gone
};

using BlobPart = Part<Blob<Dtype>>;
using LayerPart = Part<Layer<Dtype>>;

/// Equality and hash in Python: those of the part.
template <typename T, typename Class>
void BindIdentity(Class* bound) {
  namespace py = pybind11;
  bound
      ->def(
          "__eq__",
          [](const Part<T>& self, const py::object& other) -> py::object {
            if (!py::isinstance<Part<T>>(other)) {
              return py::reinterpret_borrow<py::object>(Py_NotImplemented);
            }
            return py::bool_(self == other.cast<const Part<T>&>());
          },
          py::arg("other"), "Whether both are the same, not alike.")
      .def("__hash__", &Part<T>::hash);
}

}  // namespace caffe

#endif  // UL2Q_BINDINGS_CAFFE_PART_HPP_
