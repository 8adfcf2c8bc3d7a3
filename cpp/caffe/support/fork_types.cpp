#include "support/fork_types.hpp"

#include <string_view>

#include "support/near_names.hpp"

namespace ul2q {
namespace {

constexpr struct {
  std::string_view type;
  std::string_view fork;
  std::string_view remedy;
} kTypes[] = {
    // Names of layers that exist here under another one.
    {"BatchNormalization", "an early form", "use BatchNorm and Scale"},
    {"CuDNNBatchNorm", "NVIDIA's", "use BatchNorm and Scale"},
    {"NormalizeBBox", "the SSD forks'", "use Normalize with norm_param"},
    {"Depthwise", "a MobileNet fork's", "use DepthwiseConvolution"},
    {"DepthwiseConv", "a MobileNet fork's", "use DepthwiseConvolution"},
    {"Shuffle", "a ShuffleNet fork's",
     "use ShuffleChannel with shuffle_channel_param"},
    {"ChannelShuffle", "a ShuffleNet fork's",
     "use ShuffleChannel with shuffle_channel_param"},
    {"L2Normalization", "a fork's",
     "use Normalize with norm_param { across_spatial: false }"},
    {"L2Norm", "a fork's",
     "use Normalize with norm_param { across_spatial: false }"},
    {"ReorgYolo", "a YOLO fork's", "use Reorg with reorg_param"},
    {"UpsampleDarknet", "Synopsys'", "use Upsample with upsample_param"},
    {"BilinearInterp", "a fork's", "use Interp with interp_param"},
    {"PReLU6", "a fork's", "use PReLU and Clip"},
    {"HSigmoid", "a MobileNet v3 fork's",
     "use Power { shift: 3 }, ReLU6 and Power { scale: 0.16667 }"},
    {"HardSwish", "a MobileNet v3 fork's",
     "multiply by Eltwise with Power { shift: 3 }, ReLU6 and Power { scale: "
     "0.16667 }"},
    {"Mish", "the YOLO v4 forks'", "write it as a Python layer"},
    // What feeds the training of detectors.
    {"AnnotatedData", "SSD's",
     "it reads images with boxes for training; feed \"data\" and \"label\" "
     "(1 x 1 x boxes x 8: image, class, instance, xmin, ymin, xmax, ymax, "
     "difficult) by Input, HDF5Data or a Python layer; a deploy net does not "
     "need it"},
    {"VideoData", "SSD's", "feed the frames by an Input layer"},
    {"DetectionEvaluate", "SSD's",
     "compare the rows of DetectionOutput with the labels in Python"},
    {"BoxAnnotatorOHEM", "R-FCN's",
     "it chooses regions for training; write it as a Python layer, or train "
     "without: a test net does not need it"},
    {"SmoothL1LossOHEM", "R-FCN's",
     "use SmoothL1Loss, or write it as a Python layer; a test net does not "
     "need it"},
    {"SoftmaxWithLossOHEM", "R-FCN's",
     "use SoftmaxWithLoss; a test net does not need it"},
    {"Proposal", "Faster R-CNN's in C++",
     "use Faster R-CNN's Python layer rpn.proposal_layer"},
    {"ROIAlign", "Mask R-CNN's", "use ROIPooling, or write a Python layer"},
    {"ROIAlignment", "Mask R-CNN's", "use ROIPooling, or write a Python layer"},
    {"DeformableConvolution", "Deformable ConvNets'",
     "it does not exist here; write it as a Python layer"},
    {"DeformablePSROIPooling", "Deformable ConvNets'",
     "use PSROIPooling, or write it as a Python layer"},
    {"KnowledgeDistillation", "a fork's",
     "use DistillationLoss with distillation_loss_param"},
    {"RegionLoss", "a YOLO v2 fork's", "write it as a Python layer"},
    {"Region", "a YOLO v2 fork's", "decode the top before it in Python"},
    {"EvalDetection", "a YOLO fork's", "decode the top before it in Python"},
    {"YoloDetectionOutput", "MobileNet-YOLO's",
     "decode the top before it in Python"},
    {"Yolov3DetectionOutput", "MobileNet-YOLO's",
     "decode the top before it in Python"},
    {"Yolov3", "MobileNet-YOLO's", "write it as a Python layer"},
    {"DetectNetTransformation", "NVIDIA's",
     "it prepares training data; a deploy net does not need it"},
    {"DenseImageData", "SegNet's",
     "feed images and label images by two ImageData layers, HDF5Data or a "
     "Python layer"},
    {"ImageSegData", "DeepLab's",
     "feed images and label images by two ImageData layers, HDF5Data or a "
     "Python layer"},
    {"SegAccuracy", "DeepLab's", "use Accuracy with ignore_label"},
    {"MatWrite", "DeepLab's", "use HDF5Output"},
    {"MatRead", "DeepLab's", "use HDF5Data"},
    {"DenseCRF", "DeepLab's", "run it on the net's output in Python"},
    {"Resample", "FlowNet's", "use Interp with interp_param"},
    {"Correlation", "FlowNet's", "write it as a Python layer"},
    {"FlowWarp", "FlowNet's", "write it as a Python layer"},
    {"CenterLoss", "the center loss fork's",
     "write it as a Python layer; a deploy net does not need it"},
    {"LabelSpecificMarginInnerProduct", "a face recognition fork's",
     "write it as a Python layer; a deploy net does not need it"},
    {"MarginInnerProduct", "SphereFace's",
     "write it as a Python layer; a deploy net does not need it"},
    {"NormalizedInnerProduct", "a face recognition fork's",
     "use Normalize and InnerProduct"},
    {"SpatialDropout", "Intel's and ENet's",
     "it does nothing in a test net; leave it out, or use Dropout"},
};

}  // namespace

std::string AboutForkType(const std::string& type,
                          const std::vector<std::string>& known) {
  for (const auto& entry : kTypes) {
    if (type == entry.type) {
      return " It is " + std::string(entry.fork) +
             ", not of this Caffe: " + std::string(entry.remedy) + ".";
    }
  }
  return DidYouMean(type, known);
}

}  // namespace ul2q
