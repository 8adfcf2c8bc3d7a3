#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <memory>
#include <string>
#include <vector>

#include "bindings/caffe/bindings.hpp"

namespace py = pybind11;

namespace caffe {
namespace {

using BlobPtr = boost::shared_ptr<Blob<Dtype>>;

/// What a NumPy view needs to stay alive: the memory itself, which a reshape
/// of the blob may replace, and the blob, through which the net that feeds the
/// memory lives.
struct ViewOwner {
  BlobPtr blob;
  boost::shared_ptr<SyncedMemory> memory;
};

py::array_t<Dtype> View(const BlobPtr& blob, Dtype* data,
                        const boost::shared_ptr<SyncedMemory>& memory) {
  auto owner = std::make_unique<ViewOwner>(ViewOwner{blob, memory});
  const py::capsule base(owner.get(),
                         [](void* p) { delete static_cast<ViewOwner*>(p); });
  owner.release();
  return py::array_t<Dtype>(blob->shape(), data, base);
}

void Reshape(Blob<Dtype>* blob, const py::args& shape) {
  std::vector<int> extents;
  try {
    extents = shape.cast<std::vector<int>>();
  } catch (const py::cast_error&) {
    throw py::type_error("reshape takes integers of 32 bits, not " +
                         py::repr(shape).cast<std::string>());
  }
  // A blob that refuses a shape is left with half of it: another one first.
  Blob<Dtype>().Reshape(extents);
  blob->Reshape(extents);
}

}  // namespace

void BindBlob(py::module_* m) {
  py::class_<Blob<Dtype>, BlobPtr>(
      *m, "Blob", "An N-dimensional float32 array with its gradient.")
      .def_property_readonly("shape",
                             [](const Blob<Dtype>& b) { return b.shape(); })
      .def_property_readonly("num", &Blob<Dtype>::num)
      .def_property_readonly("channels", &Blob<Dtype>::channels)
      .def_property_readonly("height", &Blob<Dtype>::height)
      .def_property_readonly("width", &Blob<Dtype>::width)
      .def_property_readonly(
          "count", [](const Blob<Dtype>& b) { return b.count(); },
          "Number of elements.")
      .def("reshape", &Reshape,
           "reshape(*shape): a view taken before keeps the memory of before.")
      .def_property_readonly(
          "data",
          [](const BlobPtr& b) {
            Dtype* data = b->mutable_cpu_data();
            return View(b, data, b->data());
          },
          "The values, as a NumPy view that can be written.")
      .def_property_readonly(
          "diff",
          [](const BlobPtr& b) {
            Dtype* diff = b->mutable_cpu_diff();
            return View(b, diff, b->diff());
          },
          "The gradient, as a NumPy view that can be written.");
}

}  // namespace caffe
