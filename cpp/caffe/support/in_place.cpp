#include "support/in_place.hpp"

#include <glog/logging.h>

#include <algorithm>
#include <iterator>
#include <string_view>

#include "caffe/proto/caffe.pb.h"

namespace ul2q {
namespace {

/// Each of these reads a bottom when it has written its top, or makes a top of
/// another size.
constexpr std::string_view kNotInPlace[] = {
    "AbsVal",
    "Accuracy",
    "ArgMax",
    "Axpy",
    "BatchReindex",
    "Concat",
    "ContrastiveLoss",
    "Convolution",
    "ConvolutionDepthwise",
    "Crop",
    "Deconvolution",
    "DepthwiseConvolution",
    "DetectionOutput",
    "DistillationLoss",
    "Embed",
    "EuclideanLoss",
    "Filter",
    "Flatten",
    "HingeLoss",
    "Im2col",
    "InfogainLoss",
    "InnerProduct",
    "Interp",
    "LRN",
    "LSTM",
    "LSTMUnit",
    "MultiBoxLoss",
    "MultinomialLogisticLoss",
    "Normalize",
    "PSROIPooling",
    "Permute",
    "Pooling",
    "PriorBox",
    "RNN",
    "ROIPooling",
    "Reduction",
    "Reorg",
    "Reshape",
    "SPP",
    "ShuffleChannel",
    "SigmoidCrossEntropyLoss",
    "Slice",
    "SmoothL1Loss",
    "SoftmaxWithLoss",
    "Split",
    "Tile",
    "Upsample",
};

}  // namespace

bool CanWorkInPlace(const std::string& type) {
  static const std::string kPrefix = "Quantized";
  const bool is_quantized = type.compare(0, kPrefix.size(), kPrefix) == 0;
  const std::string name = is_quantized ? type.substr(kPrefix.size()) : type;
  return std::find(std::begin(kNotInPlace), std::end(kNotInPlace), name) ==
         std::end(kNotInPlace);
}

void CheckInPlace(const caffe::LayerParameter& layer) {
  // The gradient of a product is made of its factors.
  const bool is_trained_product =
      layer.type() == "Eltwise" && layer.phase() == caffe::TRAIN &&
      layer.eltwise_param().operation() == caffe::EltwiseParameter::PROD;
  if (CanWorkInPlace(layer.type()) && !is_trained_product) {
    return;
  }
  for (const std::string& top : layer.top()) {
    const auto& bottoms = layer.bottom();
    CHECK(std::find(bottoms.begin(), bottoms.end(), top) == bottoms.end())
        << (is_trained_product ? "an Eltwise of operation PROD in phase TRAIN"
                               : "a layer of type " + layer.type())
        << " does not allow in-place computation: its top '" << top
        << "' is a bottom of it, too; give the top a name of its own";
  }
}

}  // namespace ul2q
