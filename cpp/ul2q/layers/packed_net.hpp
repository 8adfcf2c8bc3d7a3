#ifndef UL2Q_LAYERS_PACKED_NET_HPP_
#define UL2Q_LAYERS_PACKED_NET_HPP_

#include "caffe/net.hpp"
#include "caffe/proto/caffe.pb.h"

namespace caffe {

/// A net's message whose quantised blobs are codes, with scales and shifts, and
/// have no data. All other blobs have data alone: those of layers without bits,
/// those that several layers share without quantising them alike, and, with a
/// warning, those whose levels overflow.
///
/// `compress`: codes by zlib, where that saves 3 %. Throws CaffeError where
/// weights are not finite.
NetParameter PackedNet(const Net<float>& net, bool compress);

/// Adds data to the packed blobs of a message. They keep their codes, so that
/// quantised layers compute as with the packed blob. Throws CaffeError of a
/// damaged blob, with its layer.
void UnpackNet(NetParameter* param);

}  // namespace caffe

#endif  // UL2Q_LAYERS_PACKED_NET_HPP_
