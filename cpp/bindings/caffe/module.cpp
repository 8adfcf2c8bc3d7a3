// caffe/_caffe: Net, solvers, layers and blobs for Python, under the names of
// BVLC's Boost.Python module, so that BVLC's own pycaffe.py sits on top.

#include "bindings/caffe/bindings.hpp"

PYBIND11_MODULE(_caffe, m) {
  m.doc() = "BVLC Caffe's nets, solvers, layers and blobs.";
  m.attr("__version__") = AS_STRING(CAFFE_VERSION);
  caffe::BindErrors(&m);
  caffe::BindLog(&m);
  caffe::BindCommon(&m);
  caffe::BindSettings(&m);
  caffe::BindBlob(&m);
  caffe::BindVectors(&m);
  caffe::BindLayer(&m);
  caffe::BindQuantized(&m);
  caffe::BindHdf5Weights(&m);
  caffe::BindNet(&m);
  caffe::BindPacked(&m);
  caffe::BindSolver(&m);
  caffe::BindNccl(&m);
}
