#include <pybind11/numpy.h>

#include <string>
#include <vector>

#include "bindings/caffe/bindings.hpp"
#include "bindings/caffe/messages.hpp"
#include "bindings/caffe/settings.hpp"
#include "ul2q/layers/packed_net.hpp"

namespace py = pybind11;

namespace caffe {
namespace {

py::bytes Packed(const Net<Dtype>& net, bool compress) {
  std::string bytes;
  {
    const CaffeCall call;
    PackedNet(net, compress).SerializeToString(&bytes);
  }
  return bytes;
}

py::bytes Unpacked(const py::object& net) {
  NetParameter param;
  ParseMessage(net, "_unpacked_net", &param);
  std::string bytes;
  {
    const CaffeCall call;
    UnpackNet(&param);
    param.SerializeToString(&bytes);
  }
  return bytes;
}

py::array_t<Dtype> ValuesOf(const py::object& blob) {
  BlobProto proto;
  ParseMessage(blob, "_blob_values", &proto);
  Blob<Dtype> values;
  values.FromProto(proto, true);
  return py::array_t<Dtype>(values.shape(), values.cpu_data());
}

}  // namespace

void BindPacked(py::module_* m) {
  m->def("_packed_net", &Packed, py::arg("net"), py::arg("compress"),
         "A net's message as bytes: its quantised blobs as codes, with "
         "`compress` by zlib where that saves 3 %.");
  m->def("_unpacked_net", &Unpacked, py::arg("net"),
         "A caffe_pb2.NetParameter as bytes, with the values of its packed "
         "blobs, which keep their codes.");
  m->def("_blob_values", &ValuesOf, py::arg("blob"),
         "The values of a caffe_pb2.BlobProto, packed or not, float32.");
}

}  // namespace caffe
