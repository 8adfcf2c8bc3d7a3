#ifndef UL2Q_LAYERS_QUANTIZER_PARAMETER_HPP_
#define UL2Q_LAYERS_QUANTIZER_PARAMETER_HPP_

#include <memory>
#include <string>

#include "caffe/proto/caffe.pb.h"
#include "ul2q/core/method.hpp"

namespace caffe {

/// The quantizer that `parameter`, quantization_param's `field`, describes.
/// Throws a CaffeError that names the field where it is not valid.
template <typename Dtype>
std::unique_ptr<ul2q::Quantizer<Dtype>> MakeQuantizer(
    const QuantizerParameter& parameter, const std::string& field);

/// The same options for the quantizers' library, which has yet to check them.
ul2q::QuantizerOptions OptionsOf(const QuantizerParameter& parameter);

/// Of a quantizer's valid options those that the codes and their levels follow
/// from, with defaults made explicit: method, bits, granularity and shift.
QuantizerParameter OptionsOfCodes(const QuantizerParameter& parameter);

/// The name of a method as the quantizers' library has it.
std::string MethodName(const QuantizerParameter& parameter);

}  // namespace caffe

#endif  // UL2Q_LAYERS_QUANTIZER_PARAMETER_HPP_
