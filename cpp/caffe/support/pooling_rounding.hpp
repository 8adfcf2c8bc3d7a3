#ifndef UL2Q_SUPPORT_POOLING_ROUNDING_HPP_
#define UL2Q_SUPPORT_POOLING_ROUNDING_HPP_

#include "caffe/proto/caffe.pb.h"

namespace ul2q {

/// How the size of a pooling layer's top is rounded: by `round_mode`, or by
/// `ceil_mode`. Throws CaffeError if the two contradict each other.
caffe::PoolingParameter::RoundMode PoolingRoundMode(
    const caffe::PoolingParameter& param);

}  // namespace ul2q

#endif  // UL2Q_SUPPORT_POOLING_ROUNDING_HPP_
