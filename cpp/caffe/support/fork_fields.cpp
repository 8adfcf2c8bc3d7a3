#include "support/fork_fields.hpp"

#include <map>
#include <utility>

namespace ul2q {
namespace {

using Names = std::pair<std::string, std::string>;
using Table = std::map<Names, ForkField>;

/// Fields that say how to compute, not what.
void AddHarmless(const std::string& fork, const std::string& message,
                 std::initializer_list<const char*> fields, Table* table) {
  for (const char* field : fields) {
    table->insert({{message, field}, {fork, ""}});
  }
}

Table MakeFields() {
  Table table;
  const std::string nvidia = "NVIDIA's", intel = "Intel's", ssd = "SSD's";
  AddHarmless(
      nvidia, "NetParameter",
      {"default_forward_type", "default_backward_type", "default_forward_math",
       "default_backward_math", "default_conv_algos_override",
       "default_cudnn_math_override", "global_grad_scale",
       "global_grad_scale_adaptive", "reduce_buckets", "eltwise_mem_sharing"},
      &table);
  AddHarmless(nvidia, "LayerParameter",
              {"forward_type", "backward_type", "forward_math", "backward_math",
               "debug", "cudnn_math_override"},
              &table);
  AddHarmless(nvidia, "ConvolutionParameter",
              {"cudnn_convolution_algo_seeker", "conv_algos_override"}, &table);
  AddHarmless(nvidia, "DataParameter",
              {"threads", "parser_threads", "cache", "precache"}, &table);
  AddHarmless(nvidia, "ImageDataParameter",
              {"threads", "cache", "precache", "dataset_share_per_node"},
              &table);
  AddHarmless(nvidia, "TransformationParameter",
              {"use_gpu_transform", "random_seed", "display", "num_labels",
               "forward_packing"},
              &table);
  AddHarmless(nvidia, "DropoutParameter", {"engine", "random_seed"}, &table);
  AddHarmless(nvidia, "SolverParameter",
              {"store_blobs_in_old_format", "solver_data_type"}, &table);
  AddHarmless("NVIDIA's or Intel's", "BatchNormParameter", {"engine"}, &table);
  AddHarmless("PSPNet's", "BNParameter", {"engine"}, &table);
  AddHarmless(intel, "NetParameter",
              {"engine", "compile_net_state", "multinode"}, &table);
  AddHarmless(intel, "SolverParameter", {"engine"}, &table);
  AddHarmless(intel, "LayerParameter",
              {"engine", "multinode", "mn_activation_param",
               "mn_grad_compress_param", "split_param"},
              &table);
  AddHarmless(intel, "ConvolutionParameter", {"conv_algorithm"}, &table);
  AddHarmless(intel, "ConcatParameter", {"engine"}, &table);
  AddHarmless(intel, "EltwiseParameter", {"engine"}, &table);
  AddHarmless(intel, "InnerProductParameter", {"engine"}, &table);
  AddHarmless(intel, "ReLUParameter", {"fuse"}, &table);
  // Files and pictures of detections, which are in the layer's top.
  AddHarmless(
      ssd, "DetectionOutputParameter",
      {"save_output_param", "visualize", "visualize_threshold", "save_file"},
      &table);

  const std::string by_python =
      "feed images of the net's size by Input, HDF5Data or a Python layer";
  const struct {
    const char* message;
    const char* field;
    const std::string fork;
    const std::string remedy;
  } kChanges[] = {
      {"LayerParameter", "annotated_data_param", ssd,
       "its layer AnnotatedData reads images with boxes for training; feed "
       "\"data\" and \"label\" by Input, HDF5Data or a Python layer; a deploy "
       "net does not need it"},
      {"LayerParameter", "detection_evaluate_param", ssd,
       "compare the rows of DetectionOutput with the labels in Python"},
      {"LayerParameter", "video_data_param", ssd,
       "feed the frames by an Input layer"},
      {"TransformationParameter", "resize_param", ssd, by_python},
      {"TransformationParameter", "noise_param", ssd, by_python},
      {"TransformationParameter", "distort_param", ssd, by_python},
      {"TransformationParameter", "expand_param", ssd, by_python},
      {"TransformationParameter", "emit_constraint", ssd, by_python},
      {"TransformationParameter", "crop_h", "SSD's and Intel's",
       "write crop_size, or feed images that are cropped"},
      {"TransformationParameter", "crop_w", "SSD's and Intel's",
       "write crop_size, or feed images that are cropped"},
      {"LayerParameter", "box_annotator_ohem_param", "R-FCN's",
       "its layer chooses regions for training; a test net does not need it"},
      {"LayerParameter", "dense_image_data_param", "SegNet's",
       "feed images and label images by two ImageData layers, HDF5Data or a "
       "Python layer"},
      {"LayerParameter", "image_seg_data_param", "DeepLab's",
       "feed images and label images by two ImageData layers, HDF5Data or a "
       "Python layer"},
      {"LayerParameter", "region_loss_param", "a YOLO fork's",
       "write its layer in Python"},
      {"LayerParameter", "eval_detection_param", "a YOLO fork's",
       "decode the top before it in Python"},
      {"LayerParameter", "yolo_detection_output_param", "MobileNet-YOLO's",
       "decode the top before it in Python"},
      {"LayerParameter", "yolov3_detection_output_param", "MobileNet-YOLO's",
       "decode the top before it in Python"},
      {"LayerParameter", "detectnet_groundtruth_param", nvidia,
       "its layer prepares training data; a deploy net does not need it"},
      {"LayerParameter", "detectnet_augmentation_param", nvidia,
       "its layer prepares training data; a deploy net does not need it"},
      {"LayerParameter", "relu6_param", "a MobileNet fork's",
       "write relu_param for type \"ReLU6\""},
      {"LayerParameter", "normalize_bbox_param", "the SSD forks'",
       "write norm_param for type \"Normalize\""},
      {"LayerParameter", "spatial_dropout_param", "Intel's and ENet's",
       "write dropout_param for type \"Dropout\""},
      {"BatchNormParameter", "scale_bias", nvidia,
       "write a Scale layer with bias_term: true behind the BatchNorm; its "
       "weights are the caffemodel's last two blobs"},
      {"BatchNormParameter", "scale_filler", nvidia,
       "write a Scale layer with bias_term: true behind the BatchNorm"},
      {"BatchNormParameter", "bias_filler", "NVIDIA's and Intel's",
       "write a Scale layer with bias_term: true behind the BatchNorm"},
      {"BatchNormParameter", "use_weight_bias", intel,
       "write a Scale layer with bias_term: true behind the BatchNorm"},
      {"BatchNormParameter", "bias_term", intel,
       "write a Scale layer with bias_term: true behind the BatchNorm"},
      {"BatchNormParameter", "filler", intel,
       "write a Scale layer with bias_term: true behind the BatchNorm"},
      {"BatchNormParameter", "relu", intel, "write a ReLU layer behind it"},
      {"ConvolutionParameter", "relu", intel, "write a ReLU layer behind it"},
      {"ConvolutionParameter", "negative_slope", intel,
       "write a ReLU layer behind it"},
      {"InnerProductParameter", "relu", intel, "write a ReLU layer behind it"},
      {"InnerProductParameter", "negative_slope", intel,
       "write a ReLU layer behind it"},
      {"PoolingParameter", "torch_pooling", nvidia, "write round_mode: FLOOR"},
      {"PoolingParameter", "avg_include_pad", intel,
       "leave it out if it is true; false does not exist here"},
      {"ELUParameter", "lambda", nvidia, "multiply by a Power layer behind it"},
      {"DataParameter", "shuffle", "NVIDIA's and Intel's",
       "shuffle the records when they are written"},
      {"LossParameter", "label_smoothing", "NVIDIA's and Intel's",
       "leave it out: labels are not smoothed here"},
      {"LossParameter", "weight_by_label_freqs", "SegNet's",
       "leave it out for deploying; to train, use InfogainLoss with a diagonal "
       "matrix of the weights"},
      {"LossParameter", "class_weighting", "SegNet's",
       "leave it out for deploying; to train, use InfogainLoss with a diagonal "
       "matrix of the weights"},
      {"DropoutParameter", "sample_weights_test", "SegNet's",
       "leave it out: Dropout does nothing in testing here; for samples, run "
       "the net in phase TRAIN"},
      {"DropoutParameter", "scale_train", "Caffe-MPI's",
       "leave it out if it is true; for false, scale by 1 - dropout_ratio in "
       "testing"},
      {"BatchNormParameter", "update_global_stats", "PSPNet's",
       "write use_global_stats"},
      {"QuantizationParameter", "precision", "Ristretto's",
       "this Caffe's quantization_param has weight, bias and activation"},
      {"QuantizationParameter", "bw_layer_in", "Ristretto's and Intel's",
       "this Caffe's quantization_param has weight, bias and activation"},
      {"QuantizationParameter", "bw_layer_out", "Ristretto's and Intel's",
       "this Caffe's quantization_param has weight, bias and activation"},
      {"QuantizationParameter", "bw_params", "Ristretto's and Intel's",
       "this Caffe's quantization_param has weight, bias and activation"},
      {"ROIPoolingParameter", "pooled_size", intel,
       "write pooled_h and pooled_w"},
      {"ROIPoolingParameter", "pad_ratio", "a detection fork's",
       "leave it out if it is 0"},
      {"UpsampleParameter", "stride", "a YOLO fork's", "write scale"},
  };
  for (const auto& change : kChanges) {
    table.insert(
        {{change.message, change.field}, {change.fork, change.remedy}});
  }
  return table;
}

Table MakeValues() {
  return {
      {{"engine", "MKL2017"}, {"Intel's", ""}},
      {{"engine", "MKLDNN"}, {"Intel's", ""}},
      {{"normalization", "PRE_FIXED"},
       {"Intel's", "write BATCH_SIZE or NONE, and loss_weight"}},
  };
}

const ForkField* Find(const Table& table, const Names& names) {
  const auto found = table.find(names);
  return found == table.end() ? nullptr : &found->second;
}

}  // namespace

const ForkField* FindForkField(const std::string& type,
                               const std::string& name) {
  static const Table fields = MakeFields();
  return Find(fields, {type.substr(type.rfind('.') + 1), name});
}

const ForkField* FindForkValue(const std::string& field,
                               const std::string& name) {
  static const Table values = MakeValues();
  return Find(values, {field, name});
}

}  // namespace ul2q
