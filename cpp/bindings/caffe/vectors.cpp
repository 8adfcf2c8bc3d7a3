#include "bindings/caffe/vectors.hpp"

#include <pybind11/pybind11.h>

#include <cstring>
#include <vector>

#include "bindings/caffe/bindings.hpp"
#include "bindings/caffe/blob.hpp"

namespace py = pybind11;

namespace caffe {
namespace {

using BlobPtr = boost::shared_ptr<Blob<Dtype>>;

std::size_t ToIndex(py::ssize_t index, std::size_t size) {
  if (index < 0) {
    index += static_cast<py::ssize_t>(size);
  }
  if (index < 0 || index >= static_cast<py::ssize_t>(size)) {
    throw py::index_error("the layer has " + std::to_string(size) + " blobs");
  }
  return static_cast<std::size_t>(index);
}

BlobPart At(const BlobVec& self, py::ssize_t index) {
  const auto layer = self.layer.Get();
  const auto& blobs = layer->blobs();
  return self.layer.Sibling(blobs[ToIndex(index, blobs.size())]);
}

/// The blobs of the moment.
py::list ToList(const BlobVec& self) {
  py::list list;
  for (const BlobPtr& blob : self.layer.Get()->blobs()) {
    list.append(self.layer.Sibling(blob));
  }
  return list;
}

/// A layer in C++ counts on its blobs' number and shapes; those of a Python
/// layer are its own.
bool IsPythonLayer(const Layer<Dtype>& layer) {
  return std::strcmp(layer.type(), "Python") == 0;
}

void Replace(const BlobVec& self, py::ssize_t index, const BlobPart& blob) {
  const auto layer = self.layer.Get();
  BlobPtr& place = layer->blobs()[ToIndex(index, layer->blobs().size())];
  if (!IsPythonLayer(*layer) && blob.Get()->shape() != place->shape()) {
    throw py::value_error("the blob is of shape " + blob.Get()->shape_string() +
                          "; the layer's is of shape " + place->shape_string());
  }
  place = blob.Get();
}

void Remove(const BlobVec& self, py::ssize_t index) {
  const auto layer = self.layer.Get();
  auto& blobs = layer->blobs();
  if (!IsPythonLayer(*layer)) {
    throw py::type_error(std::string("a layer of type ") + layer->type() +
                         " needs its blobs");
  }
  blobs.erase(blobs.begin() + ToIndex(index, blobs.size()));
}

void Append(const BlobVec& self, const BlobPart& blob) {
  self.layer.Get()->blobs().push_back(blob.Get());
}

}  // namespace

void BindVectors(py::module_* m) {
  py::class_<BlobVec>(*m, "BlobVec",
                      "The parameter blobs of a layer, as a list that follows "
                      "the layer's own.")
      .def("__len__",
           [](const BlobVec& self) { return self.layer.Get()->blobs().size(); })
      .def("__getitem__", &At, py::arg("index"))
      .def(
          "__getitem__",
          [](const BlobVec& self, const py::slice& indices) -> py::object {
            return ToList(self)[indices];
          },
          py::arg("indices"))
      .def("__setitem__", &Replace, py::arg("index"), py::arg("blob"),
           "Shares the memory of another blob; of the same shape, unless the "
           "layer is a Python layer.")
      .def("__delitem__", &Remove, py::arg("index"),
           "Removes a blob of a Python layer.")
      .def("__iter__",
           [](const BlobVec& self) { return py::iter(ToList(self)); })
      .def(
          "__contains__",
          [](const BlobVec& self, const py::object& blob) {
            return ToList(self).contains(blob);
          },
          py::arg("blob"))
      .def("__repr__",
           [](const BlobVec& self) { return py::repr(ToList(self)); })
      .def("append", &Append, py::arg("blob"),
           "Adds a blob, whose memory is shared.")
      .def(
          "extend",
          [](const BlobVec& self, const py::iterable& blobs) {
            const py::list list(blobs);  // may be the layer's own
            for (const py::handle& blob : list) {
              Append(self, blob.cast<const BlobPart&>());
            }
          },
          py::arg("blobs"), "Adds blobs, whose memory is shared.")
      .def(
          "add_blob",
          [](const BlobVec& self, const py::args& shape) {
            self.layer.Get()->blobs().push_back(
                BlobPtr(new Blob<Dtype>(ToShape(shape, "add_blob"))));
          },
          "add_blob(*shape): adds a new blob of zeros.");
  // The other vectors of BVLC's module are copies here: Python's own lists.
  const py::object list = py::type::of(py::list());
  for (const char* name : {"RawBlobVec", "LayerVec", "NetVec", "StringVec",
                           "IntVec", "DtypeVec", "BoolVec"}) {
    m->attr(name) = list;
  }
}

}  // namespace caffe
