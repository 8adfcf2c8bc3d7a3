#include "support/pooling_rounding.hpp"

#include <glog/logging.h>

namespace ul2q {

caffe::PoolingParameter::RoundMode PoolingRoundMode(
    const caffe::PoolingParameter& param) {
  using caffe::PoolingParameter;
  if (!param.has_ceil_mode()) {
    return param.round_mode();
  }
  const PoolingParameter::RoundMode mode =
      param.ceil_mode() ? PoolingParameter::CEIL : PoolingParameter::FLOOR;
  CHECK(!param.has_round_mode() || param.round_mode() == mode)
      << "pooling_param has round_mode: "
      << PoolingParameter::RoundMode_Name(param.round_mode())
      << " and ceil_mode: " << (param.ceil_mode() ? "true" : "false")
      << ", which contradict each other; give one of them";
  return mode;
}

}  // namespace ul2q
