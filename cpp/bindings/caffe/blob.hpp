#ifndef UL2Q_BINDINGS_CAFFE_BLOB_HPP_
#define UL2Q_BINDINGS_CAFFE_BLOB_HPP_

#include <pybind11/pybind11.h>

#include <vector>

namespace caffe {

/// The shape that the arguments of `method` give, for a blob that will accept
/// it. Throws TypeError for what is no integer, CaffeError for a shape that a
/// blob cannot have.
std::vector<int> ToShape(const pybind11::args& shape, const char* method);

}  // namespace caffe

#endif  // UL2Q_BINDINGS_CAFFE_BLOB_HPP_
