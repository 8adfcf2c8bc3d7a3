#ifndef UL2Q_BINDINGS_CAFFE_VECTORS_HPP_
#define UL2Q_BINDINGS_CAFFE_VECTORS_HPP_

#include "bindings/caffe/part.hpp"

namespace caffe {

/// The blobs of a layer, as they are at any time: Python's BlobVec.
struct BlobVec {
  LayerPart layer;
};

}  // namespace caffe

#endif  // UL2Q_BINDINGS_CAFFE_VECTORS_HPP_
