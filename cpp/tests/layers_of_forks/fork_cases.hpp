// Layers of forks with bottoms that suit them.
#ifndef UL2Q_TESTS_LAYERS_OF_FORKS_FORK_CASES_HPP_
#define UL2Q_TESTS_LAYERS_OF_FORKS_FORK_CASES_HPP_

#include <cmath>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layer_factory.hpp"
#include "support.hpp"

namespace ul2q {

/// What a bottom holds.
enum class Holds {
  kNormal,   ///< normal values
  kSpread,   ///< all different, at least 0.05 apart
  kMask,     ///< for each pooled 2 × 2 square of a plane, an element of it
  kRegions,  ///< image, x1, y1, x2, y2
  kPriors,   ///< 1 × 2 × 4·n: corners, and variances
  kObjects,  ///< 1 × 1 × n × 8
};

struct ForkBottom {
  std::vector<int> shape;
  Holds holds = Holds::kNormal;
};

struct ForkCase {
  std::string name;
  std::string param;  ///< LayerParameter, in text
  std::vector<ForkBottom> bottoms;
  /// Those with gradients.
  std::vector<int> learned = {0};
  /// Whether parameters have a gradient that differences show.
  bool params = true;
};

inline std::ostream& operator<<(std::ostream& out, const ForkCase& c) {
  return out << c.name;
}

inline std::vector<ForkCase> ForkCases() {
  const std::vector<int> images = {2, 4, 6, 6};
  const ForkBottom regions{{4, 5}, Holds::kRegions};
  const ForkBottom priors{{1, 2, 4 * 9}, Holds::kPriors};
  const ForkBottom objects{{1, 1, 4, 8}, Holds::kObjects};
  const std::vector<ForkBottom> boxes = {
      {{2, 4 * 9}}, {{2, 9 * 3}}, priors, objects};
  return {
      {"permute",
       "type: 'Permute' permute_param { order: 0 order: 2 order: 3 }",
       {{{2, 3, 4, 5}}}},
      {"shuffle",
       "type: 'ShuffleChannel' shuffle_channel_param { group: 2 }",
       {{{2, 6, 2, 3}}}},
      {"reorg", "type: 'Reorg' reorg_param { stride: 2 }", {{{2, 4, 4, 6}}}},
      {"reorg_back",
       "type: 'Reorg' reorg_param { stride: 2 reverse: true }",
       {{{2, 8, 2, 3}}}},
      {"normalize", "type: 'Normalize'", {{{2, 3, 2, 3}}}},
      {"normalize_pixels",
       "type: 'Normalize' norm_param { across_spatial: false channel_shared: "
       "false scale_filler { type: 'uniform' min: 1 max: 2 } }",
       {{{2, 3, 2, 3}}}},
      {"normalize_pixels_shared",
       "type: 'Normalize' norm_param { across_spatial: false scale_filler { "
       "value: 2 } }",
       {{{2, 3, 2, 3}}}},
      {"bn_segnet",
       "type: 'BN' bn_param { scale_filler { value: 0.7 } shift_filler { "
       "value: "
       "0.1 } }",
       {{{3, 2, 2, 3}}}},
      {"bn_segnet_inference",
       "type: 'BN' bn_param { bn_mode: INFERENCE scale_filler { value: 0.7 } }",
       {{{3, 2, 2, 3}}}},
      {"bn_pspnet",
       "type: 'BN' bn_param { slope_filler { value: 0.7 } momentum: 0.5 }",
       {{{3, 2, 2, 3}}}},
      {"bn_pspnet_frozen",
       "type: 'BN' bn_param { slope_filler { value: 0.7 } frozen: true }",
       {{{3, 2, 2, 3}}},
       {0},
       false},
      {"axpy",
       "type: 'Axpy'",
       {{{2, 3}}, {{2, 3, 2, 2}}, {{2, 3, 2, 2}}},
       {0, 1, 2}},
      {"relu6",
       "type: 'ReLU6' relu_param { negative_slope: 0.25 }",
       {{{2, 30, 2, 2}, Holds::kSpread}}},
      {"upsample",
       "type: 'Upsample' upsample_param { scale: 2 }",
       {{{2, 2, 2, 3}}}},
      {"upsample_sides",
       "type: 'Upsample' upsample_param { scale_h: 1 scale_w: 3 }",
       {{{2, 2, 2, 3}}}},
      {"upsample_mask",
       "type: 'Upsample'",
       {{{2, 2, 2, 3}}, {{2, 2, 2, 3}, Holds::kMask}}},
      {"upsample_mask_size",
       "type: 'Upsample' upsample_param { upsample_h: 5 upsample_w: 6 }",
       {{{2, 2, 2, 3}}, {{2, 2, 2, 3}, Holds::kMask}}},
      {"interp",
       "type: 'Interp' interp_param { height: 5 width: 7 }",
       {{{2, 2, 3, 4}}}},
      {"interp_smaller",
       "type: 'Interp' interp_param { height: 2 width: 3 }",
       {{{2, 2, 5, 7}}}},
      {"interp_factors",
       "type: 'Interp' interp_param { zoom_factor: 3 shrink_factor: 2 pad_beg: "
       "-1 pad_end: -1 }",
       {{{1, 2, 7, 6}}}},
      {"smooth_l1",
       "type: 'SmoothL1Loss' smooth_l1_loss_param { sigma: 0.5 }",
       {{{4, 3}}, {{4, 3}}},
       {0, 1}},
      {"smooth_l1_weights",
       "type: 'SmoothL1Loss' smooth_l1_loss_param { sigma: 3 } loss_weight: 2",
       {{{4, 3}}, {{4, 3}}, {{4, 3}}, {{4, 3}}},
       {0, 1}},
      {"distillation", "type: 'DistillationLoss'", {{{4, 5}}, {{4, 5}}}},
      {"distillation_ignored",
       "type: 'DistillationLoss' distillation_loss_param { temperature: 0.5 } "
       "softmax_param { axis: -1 } loss_param { ignore_label: 0 } "
       "loss_weight: 3",
       {{{2, 6, 3}}, {{2, 6, 3}}, {{2, 6}}}},
      {"distillation_planes",
       "type: 'DistillationLoss' loss_param { normalization: BATCH_SIZE }",
       {{{2, 3, 4, 5}}, {{2, 3, 4, 5}}}},
      {"roi_pooling",
       "type: 'ROIPooling' roi_pooling_param { pooled_h: 2 pooled_w: 3 "
       "spatial_scale: 0.5 }",
       {{images, Holds::kSpread}, regions}},
      {"psroi_pooling",
       "type: 'PSROIPooling' psroi_pooling_param { output_dim: 2 group_size: 2 "
       "spatial_scale: 0.5 }",
       {{{2, 8, 6, 6}}, regions}},
      {"multibox",
       "type: 'MultiBoxLoss' multibox_loss_param { num_classes: 3 code_type: "
       "CENTER_SIZE overlap_threshold: 0.3 }",
       boxes,
       {0, 1}},
      {"multibox_all",
       "type: 'MultiBoxLoss' multibox_loss_param { num_classes: 3 mining_type: "
       "NONE loc_loss_type: L2 conf_loss_type: LOGISTIC loc_weight: 2 "
       "encode_variance_in_target: true } loss_param { normalization: "
       "BATCH_SIZE }",
       boxes,
       {0, 1}},
      {"multibox_corner_size",
       "type: 'MultiBoxLoss' multibox_loss_param { num_classes: 3 code_type: "
       "CORNER_SIZE match_type: BIPARTITE bp_inside: true "
       "background_label_id: 2 } loss_param { normalize: false }",
       boxes,
       {0, 1}},
      {"multibox_hard_examples",
       "type: 'MultiBoxLoss' multibox_loss_param { num_classes: 3 mining_type: "
       "HARD_EXAMPLE sample_size: 5 overlap_threshold: 0.3 }",
       boxes,
       {0, 1}},
      {"multibox_locations_by_class",
       "type: 'MultiBoxLoss' multibox_loss_param { num_classes: 3 mining_type: "
       "NONE share_location: false overlap_threshold: 0.3 }",
       {{{2, 4 * 9 * 3}}, {{2, 9 * 3}}, priors, objects},
       {0, 1}},
      {"depthwise",
       "type: 'DepthwiseConvolution' convolution_param { num_output: 3 "
       "kernel_size: 3 pad: 1 weight_filler { type: 'xavier' } }",
       {{{2, 3, 4, 5}}}},
      {"depthwise_wide",
       "type: 'ConvolutionDepthwise' convolution_param { num_output: 6 "
       "kernel_size: 2 stride: 2 weight_filler { type: 'xavier' } }",
       {{{2, 3, 4, 4}}}},
  };
}

template <typename Dtype>
std::vector<Dtype> ValuesOf(const ForkBottom& bottom, std::size_t n,
                            unsigned seed) {
  std::vector<Dtype> values = Normal<Dtype>(n, seed);
  const auto& shape = bottom.shape;
  switch (bottom.holds) {
    case Holds::kSpread:
      for (std::size_t i = 0; i < n; ++i) {  // an order of its own, from −4 on
        values[i] = Dtype(0.05) * static_cast<Dtype>(i * 37 % n) - Dtype(4.02);
      }
      break;
    case Holds::kMask:
      for (std::size_t i = 0; i < n; ++i) {
        const int row = static_cast<int>(i) / shape[3] % shape[2];
        const int column = static_cast<int>(i) % shape[3];
        const int dy = i % 2, dx = i % 3 % 2;
        values[i] = (2 * row + dy) * 2 * shape[3] + 2 * column + dx;
      }
      break;
    case Holds::kRegions:
      // The whole of an image, a part, less than a pixel, and beyond it.
      values = {0, 0, 0, 11, 11, 1, 2, 3, 7, 9, 1, 4, 4, 4, 4, 0, 6, 5, 15, 19};
      break;
    case Holds::kPriors:
      for (std::size_t i = 0; i < n / 8; ++i) {  // a grid of 3 × 3
        const Dtype x = Dtype(i % 3) / 3, y = Dtype(i / 3) / 3;
        const Dtype corners[] = {x - Dtype(0.05), y - Dtype(0.02),
                                 x + Dtype(0.36), y + Dtype(0.4)};
        for (int k = 0; k < 4; ++k) {
          values[4 * i + k] = corners[k];
          values[n / 2 + 4 * i + k] = k < 2 ? 0.1 : 0.2;
        }
      }
      break;
    case Holds::kObjects:
      // Two, none and one, all of class 1, which no case has for background.
      for (std::size_t i = 0; i < n; ++i) {
        constexpr double kRows[4][8] = {{0, 1, 0, 0.1, 0.05, 0.4, 0.45, 0},
                                        {0, 1, 1, 0.5, 0.6, 1, 0.9, 0},
                                        {-1, 0, 0, 0, 0, 0, 0, 0},
                                        {1, 1, 0, 0.3, 0.3, 0.7, 0.6, 1}};
        values[i] = static_cast<Dtype>(kRows[i / 8][i % 8]);
      }
      break;
    default:
      break;
  }
  return values;
}

/// A layer with its blobs.
template <typename Dtype>
class ForkRig {
 public:
  explicit ForkRig(const ForkCase& c) {
    unsigned seed = 1;
    for (const ForkBottom& bottom : c.bottoms) {
      blobs_.push_back(std::make_unique<caffe::Blob<Dtype>>(bottom.shape));
      SetData(ValuesOf<Dtype>(bottom, blobs_.back()->count(), seed++),
              blobs_.back().get());
      bottoms.push_back(blobs_.back().get());
    }
    blobs_.push_back(std::make_unique<caffe::Blob<Dtype>>());
    tops.push_back(blobs_.back().get());
    caffe::Caffe::set_random_seed(3);
    layer = caffe::LayerRegistry<Dtype>::CreateLayer(
        FromText<caffe::LayerParameter>("name: 'l' " + c.param));
  }

  boost::shared_ptr<caffe::Layer<Dtype>> layer;
  std::vector<caffe::Blob<Dtype>*> bottoms, tops;

 private:
  std::vector<std::unique_ptr<caffe::Blob<Dtype>>> blobs_;
};

}  // namespace ul2q

#endif  // UL2Q_TESTS_LAYERS_OF_FORKS_FORK_CASES_HPP_
