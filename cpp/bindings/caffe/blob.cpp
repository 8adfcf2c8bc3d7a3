#include "bindings/caffe/blob.hpp"

#include <glog/logging.h>
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bindings/caffe/bindings.hpp"

namespace py = pybind11;

namespace caffe {
namespace {

using MemoryPtr = boost::shared_ptr<SyncedMemory>;

/// What a NumPy view needs to stay alive: the memory, which the blob may
/// replace when it is reshaped, and the net. While it lives, the memory may be
/// written to at any time.
class ViewOwner {
 public:
  ViewOwner(MemoryPtr memory, NetPtr net)
      : memory_(std::move(memory)), net_(std::move(net)) {
    memory_->AddWriter();
  }
  ~ViewOwner() { memory_->RemoveWriter(); }
  ViewOwner(const ViewOwner&) = delete;
  ViewOwner& operator=(const ViewOwner&) = delete;

 private:
  MemoryPtr memory_;
  NetPtr net_;
};

/// The net that a view of `memory` keeps. A view taken by a Python layer keeps
/// none, so that the layer may store it, unless the memory is the net's: that
/// of a prefetched batch or of MemoryData's arrays.
NetPtr NetOfView(const BlobPart& part, const SyncedMemory& memory) {
  if (!part.keeps_net() && memory.owns_cpu_data()) {
    return nullptr;
  }
  const NetPtr net = part.net();
  if (!net) {
    PyErr_SetString(PyExc_ReferenceError,
                    "the memory of this blob belongs to a net that no longer "
                    "exists, or is not complete yet");
    throw py::error_already_set();
  }
  return part.keeps_net() ? net : ReleasedWithoutGil(net);
}

py::array_t<Dtype> View(const BlobPart& part, const Blob<Dtype>& blob,
                        Dtype* data, const MemoryPtr& memory) {
  auto owner = std::make_unique<ViewOwner>(memory, NetOfView(part, *memory));
  const py::capsule base(owner.get(),
                         [](void* p) { delete static_cast<ViewOwner*>(p); });
  owner.release();
  return py::array_t<Dtype>(blob.shape(), data, base);
}

/// What to show of a blob without elements, which has no memory, either; none
/// of another one. Throws CaffeError where nobody has shaped the blob.
std::optional<py::array_t<Dtype>> ViewOfEmpty(const BlobPart& part) {
  const auto blob = part.Get();
  if (blob->count() > 0) {
    return std::nullopt;
  }
  if (blob->shape().empty()) {
    LOG(FATAL) << "the blob has no shape yet: its layer's reshape gives it one";
  }
  return py::array_t<Dtype>(blob->shape());
}

py::array_t<Dtype> DataOf(const BlobPart& part) {
  if (auto empty = ViewOfEmpty(part)) {
    return *empty;
  }
  const auto blob = part.Get();
  Dtype* const data = blob->mutable_cpu_data();
  return View(part, *blob, data, blob->data());
}

py::array_t<Dtype> DiffOf(const BlobPart& part) {
  if (auto empty = ViewOfEmpty(part)) {
    return *empty;
  }
  const auto blob = part.Get();
  Dtype* const diff = blob->mutable_cpu_diff();
  return View(part, *blob, diff, blob->diff());
}

}  // namespace

std::vector<int> ToShape(const py::args& shape, const char* method) {
  std::vector<int> extents;
  try {
    extents = shape.cast<std::vector<int>>();
  } catch (const py::cast_error&) {
    throw py::type_error(std::string(method) +
                         " takes integers of 32 bits, not " +
                         py::repr(shape).cast<std::string>());
  }
  // A blob that refuses a shape is left with half of it: another one first.
  Blob<Dtype>().Reshape(extents);
  return extents;
}

void BindBlob(py::module_* m) {
  py::class_<BlobPart> blob(
      *m, "Blob",
      "An N-dimensional float32 array with its gradient. It keeps its net "
      "alive, except in the hands of a Python layer: there, it raises "
      "ReferenceError once the net is gone.");
  BindIdentity<Blob<Dtype>>(&blob);
  blob.def_property_readonly(
          "shape", [](const BlobPart& part) { return part.Get()->shape(); },
          "The extents of the axes; a new list.")
      .def_property_readonly(
          "num", [](const BlobPart& part) { return part.Get()->num(); },
          "Extent of axis 0 of a blob of up to 4 axes (1 if there is none).")
      .def_property_readonly(
          "channels",
          [](const BlobPart& part) { return part.Get()->channels(); },
          "Extent of axis 1 of a blob of up to 4 axes (1 if there is none).")
      .def_property_readonly(
          "height", [](const BlobPart& part) { return part.Get()->height(); },
          "Extent of axis 2 of a blob of up to 4 axes (1 if there is none).")
      .def_property_readonly(
          "width", [](const BlobPart& part) { return part.Get()->width(); },
          "Extent of axis 3 of a blob of up to 4 axes (1 if there is none).")
      .def_property_readonly(
          "count", [](const BlobPart& part) { return part.Get()->count(); },
          "Number of elements.")
      .def(
          "reshape",
          [](const BlobPart& part, const py::args& shape) {
            part.Get()->Reshape(ToShape(shape, "reshape"));
          },
          "reshape(*shape): takes a new shape; new memory if the old is too "
          "small. A view taken before keeps the memory and shape of before.")
      .def_property_readonly("data", &DataOf,
                             "The values, as a NumPy view that can be written.")
      .def_property_readonly(
          "diff", &DiffOf,
          "The gradient, as a NumPy view that can be written.");
}

}  // namespace caffe
