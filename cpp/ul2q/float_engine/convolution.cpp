#include "ul2q/float_engine/convolution.hpp"

#include <algorithm>
#include <cstdint>
#include <dnnl.hpp>
#include <type_traits>

#include "support/layer_scope.hpp"
#include "ul2q/float_engine/engine.hpp"
#include "ul2q/float_engine/matrix_product.hpp"

namespace caffe {
namespace {

using ul2q::ConvolutionGeometry;
using ul2q::ConvolutionPass;
using ul2q::ConvolutionShape;

/// Up to so many maps a group are computed plane by plane: a field's columns
/// would be made for a few products only.
constexpr std::int64_t kFewMaps = 4;

/// The same of a 1 x 1 convolution's field, of which small planes need no
/// columns.
constexpr std::int64_t kFewFields = 16;

/// Smaller planes of several maps are taken together by a matrix product.
constexpr std::int64_t kSmallPlane = 128;

/// So many weights that meet but a few pixels of all images' maps are not worth
/// being brought into oneDNN's format, unless they stay there.
constexpr std::int64_t kManyWeights = 1 << 16;
constexpr std::int64_t kFewPixels = 64;
/// The same of 1 x 1 convolutions, of which a matrix product needs no columns.
constexpr std::int64_t kFewPixelsOf1x1 = 256;

/// So few multiply-adds are not worth it for any weights.
constexpr std::int64_t kLittleWork = 1 << 17;

/// Pixels of a long row.
constexpr std::int64_t kLongRow = 40;

bool IsForDirect(const ConvolutionGeometry& geometry) {
  const std::int64_t maps = geometry.map_channels / geometry.group;
  const std::int64_t fields = geometry.field_channels / geometry.group;
  if (maps > kFewMaps || geometry.map_pixels() >= kSmallPlane) {
    return maps <= kFewMaps;
  }
  const bool needs_columns = geometry.taps() > 1 && !ul2q::BlasHasWideKernels();
  return (maps == 1 && (needs_columns || fields <= kFewFields)) ||
         (fields <= kFewMaps && geometry.group > 1);
}

/// Whether there is one tap, and it only scales each channel or leaves out most
/// pixels of the field, which oneDNN would rearrange all the same.
bool IsOfLonePixels(const ConvolutionGeometry& geometry) {
  const bool is_scaling = geometry.group == geometry.field_channels &&
                          geometry.group == geometry.map_channels;
  return geometry.taps() == 1 &&
         (is_scaling || geometry.stride != ConvolutionGeometry::Pair{1, 1});
}

/// Whether all channels are convolved by themselves, with so few taps and in
/// such long rows that this takes less time than to bring them into oneDNN's
/// format.
bool IsWideDepthwise(const ConvolutionGeometry& geometry) {
  return geometry.group == geometry.field_channels &&
         geometry.group == geometry.map_channels && geometry.taps() <= 9 &&
         geometry.stride[1] == 1 && geometry.map[1] >= kLongRow;
}

/// Whether to bring the weights into oneDNN's format takes longer than it
/// spares.
bool IsNotWorthReorders(const ConvolutionShape& shape) {
  const ConvolutionGeometry geometry(shape);
  const std::int64_t pixels = geometry.images * geometry.map_pixels();
  const std::int64_t weights = shape.weights_size();
  const std::int64_t few_pixels =
      geometry.taps() == 1 ? kFewPixelsOf1x1 : kFewPixels;
  return weights * pixels <= kLittleWork ||
         (weights >= kManyWeights && pixels <= few_pixels);
}

/// Channels of the field that oneDNN, which takes 16 at a time, makes little
/// of.
constexpr std::int64_t kFewChannels = 32;

/// Whether a matrix product by a BLAS with wide kernels is rather faster than
/// oneDNN.
bool IsForWideBlas(const ConvolutionGeometry& geometry) {
  return ul2q::BlasHasWideKernels() && geometry.group == 1 &&
         geometry.field_channels <= kFewChannels;
}

/// Calls oneDNN; its errors are the layer's.
template <typename Call>
auto ByOneDnn(const Call& call) {
  try {
    return call();
  } catch (const dnnl::error& error) {
    LOG(FATAL) << "oneDNN: " << error.what();
    throw;  // not reached
  }
}

}  // namespace

template <template <typename> class Base, typename Dtype>
bool FastConvolutionOf<Base, Dtype>::IsForBvlc(
    const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) const {
  return Caffe::mode() != Caffe::CPU || !std::is_same_v<Dtype, float> ||
         this->num_spatial_axes_ != 2 || this->force_nd_im2col_ ||
         bottom[0]->count() == 0 || top[0]->count() == 0;
}

template <template <typename> class Base, typename Dtype>
ConvolutionShape FastConvolutionOf<Base, Dtype>::ShapeOf(
    const Blob<Dtype>& bottom, const Blob<Dtype>& top) {
  using Pair = ConvolutionShape::Pair;
  const int height = this->channel_axis_ + 1;
  const auto pair = [](const Blob<int>& blob) {
    return Pair{blob.cpu_data()[0], blob.cpu_data()[1]};
  };
  const auto size = [height](const Blob<Dtype>& blob) {
    return Pair{blob.shape(height), blob.shape(height + 1)};
  };
  return {this->reverse_dimensions(),
          this->bias_term_,
          this->num_,
          this->channels_,
          this->num_output_,
          this->group_,
          size(bottom),
          size(top),
          pair(this->kernel_shape_),
          pair(this->stride_),
          pair(this->pad_),
          pair(this->dilation_)};
}

template <template <typename> class Base, typename Dtype>
void FastConvolutionOf<Base, Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom,
                                             const vector<Blob<Dtype>*>& top) {
  Base<Dtype>::Reshape(bottom, top);
  if (IsForBvlc(bottom, top)) {
    onednn_.reset();
    plain_.reset();
    with_relu_.reset();
    return;
  }
  const ConvolutionShape shape = ShapeOf(*bottom[0], *top[0]);
  if (onednn_ && onednn_->shape() == shape) {
    return;
  }
  with_relu_.reset();
  onednn_.reset(new ul2q::OneDnnConvolution(shape));
  const ConvolutionGeometry geometry(shape);
  plain_ = IsForDirect(geometry) ? ul2q::MakeDirectConvolution(geometry)
                                 : ul2q::MakeGemmConvolution(geometry);
}

template <template <typename> class Base, typename Dtype>
ConvolutionMethod FastConvolutionOf<Base, Dtype>::MethodOf(
    ConvolutionPass pass) {
  if (!onednn_) {
    return ConvolutionMethod::kBvlc;
  }
  const ConvolutionShape& shape = onednn_->shape();
  const ConvolutionGeometry geometry(shape);
  const bool is_forward = pass == ConvolutionPass::kForward;
  const bool keeps_weights = this->phase_ == TEST && is_forward;
  const bool is_for_plain =
      IsOfLonePixels(geometry) || IsForWideBlas(geometry) ||
      (is_forward && !shape.is_deconvolution && IsWideDepthwise(geometry)) ||
      (!keeps_weights && IsNotWorthReorders(shape));
  if (!is_for_plain && ByOneDnn([&] { return onednn_->Prepare(pass); })) {
    return ConvolutionMethod::kOneDnn;
  }
  return IsForDirect(geometry) ? ConvolutionMethod::kDirect
                               : ConvolutionMethod::kGemm;
}

template <template <typename> class Base, typename Dtype>
std::string FastConvolutionOf<Base, Dtype>::KernelWithRelu() const {
  return with_relu_ ? with_relu_->KernelOf(ConvolutionPass::kForward) : "";
}

template <template <typename> class Base, typename Dtype>
bool FastConvolutionOf<Base, Dtype>::ForwardWithRelu(
    const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top,
    float negative_slope) {
  {
    const ul2q::LayerScope scope(this->layer_param_);
    this->CheckedReshape(bottom, top);
    switch (MethodOf(ConvolutionPass::kForward)) {
      case ConvolutionMethod::kBvlc:
        return false;
      case ConvolutionMethod::kOneDnn:
        if (!with_relu_ || with_relu_->relu_slope() != negative_slope) {
          with_relu_.reset(
              new ul2q::OneDnnConvolution(onednn_->shape(), negative_slope));
        }
        if (!ByOneDnn([&] {
              return with_relu_->Prepare(ConvolutionPass::kForward);
            })) {
          return false;
        }
        break;
      default:
        break;
    }
  }
  struct WithRelu {
    WithRelu(std::optional<float>* of_layer, float slope) : slot(of_layer) {
      *slot = slope;
    }
    ~WithRelu() { slot->reset(); }
    std::optional<float>* const slot;
  };
  const WithRelu scope(&relu_slope_, negative_slope);
  this->Forward(bottom, top);
  return true;
}

template <template <typename> class Base, typename Dtype>
void FastConvolutionOf<Base, Dtype>::Forward_cpu(
    const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  const ConvolutionMethod method = MethodOf(ConvolutionPass::kForward);
  if (method == ConvolutionMethod::kBvlc) {
    Base<Dtype>::Forward_cpu(bottom, top);
    return;
  }
  if constexpr (std::is_same_v<Dtype, float>) {
    const float* weights = this->blobs_[0]->cpu_data();
    const float* bias =
        this->bias_term_ ? this->blobs_[1]->cpu_data() : nullptr;
    const ul2q::PassEnding ending = {bias, relu_slope_.value_or(1)};
    const std::uint64_t version =
        this->phase_ == TEST ? this->blobs_[0]->data()->version() : 0;
    ul2q::OneDnnConvolution& onednn = relu_slope_ ? *with_relu_ : *onednn_;
    for (std::size_t i = 0; i < bottom.size(); ++i) {
      const float* x = bottom[i]->cpu_data();
      float* y = top[i]->mutable_cpu_data();
      if (method == ConvolutionMethod::kOneDnn) {
        ByOneDnn([&] { onednn.Forward(x, weights, version, bias, y); });
      } else if (this->reverse_dimensions()) {
        plain_->Spread(x, weights, ending, y);
      } else {
        plain_->Project(x, weights, ending, y);
      }
    }
  }
}

template <template <typename> class Base, typename Dtype>
void FastConvolutionOf<Base, Dtype>::Backward_cpu(
    const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
    const vector<Blob<Dtype>*>& bottom) {
  if (!onednn_) {
    Base<Dtype>::Backward_cpu(top, propagate_down, bottom);
    return;
  }
  if constexpr (std::is_same_v<Dtype, float>) {
    const bool weights_learn = this->param_propagate_down_[0];
    const bool bias_learns = this->bias_term_ && this->param_propagate_down_[1];
    const bool reaches_bottom =
        std::find(propagate_down.begin(), propagate_down.end(), true) !=
        propagate_down.end();
    const bool weights_by_onednn =
        weights_learn && MethodOf(ConvolutionPass::kBackwardWeights) ==
                             ConvolutionMethod::kOneDnn;
    const bool data_by_onednn =
        reaches_bottom &&
        MethodOf(ConvolutionPass::kBackwardData) == ConvolutionMethod::kOneDnn;
    const bool bias_by_onednn =
        weights_by_onednn && !this->reverse_dimensions();
    const float* weights = this->blobs_[0]->cpu_data();
    float* weights_diff =
        weights_learn ? this->blobs_[0]->mutable_cpu_diff() : nullptr;
    float* bias_diff =
        bias_learns ? this->blobs_[1]->mutable_cpu_diff() : nullptr;
    for (std::size_t i = 0; i < top.size(); ++i) {
      const float* x = bottom[i]->cpu_data();
      const float* dy = top[i]->cpu_diff();
      float* dx = propagate_down[i] ? bottom[i]->mutable_cpu_diff() : nullptr;
      if (bias_learns && !bias_by_onednn) {
        for (int n = 0; n < this->num_; ++n) {
          this->backward_cpu_bias(bias_diff, dy + n * this->top_dim_);
        }
      }
      const bool plain_weights = weights_learn && !weights_by_onednn;
      const bool plain_data = dx != nullptr && !data_by_onednn;
      if (this->reverse_dimensions() && plain_weights && plain_data) {
        plain_->AddGradientAndProject(dy, x, weights, weights_diff, dx);
      } else if (this->reverse_dimensions()) {
        if (plain_weights) {
          plain_->AddGradient(dy, x, weights_diff);
        }
        if (plain_data) {
          plain_->Project(dy, weights, {}, dx);
        }
      } else {
        if (plain_weights) {
          plain_->AddGradient(x, dy, weights_diff);
        }
        if (plain_data) {
          plain_->Spread(dy, weights, {}, dx);
        }
      }
      if (weights_by_onednn || (dx != nullptr && data_by_onednn)) {
        ByOneDnn([&] {
          onednn_->Backward(x, weights, dy, data_by_onednn ? dx : nullptr,
                            weights_by_onednn ? weights_diff : nullptr,
                            bias_by_onednn ? bias_diff : nullptr);
        });
      }
    }
  }
}

template class FastConvolutionOf<ConvolutionLayer, float>;
template class FastConvolutionOf<ConvolutionLayer, double>;
template class FastConvolutionOf<DeconvolutionLayer, float>;
template class FastConvolutionOf<DeconvolutionLayer, double>;

namespace {
const FastLayer<FastConvolutionLayer> convolution("Convolution");
const FastLayer<FastDeconvolutionLayer> deconvolution("Deconvolution");
}  // namespace

}  // namespace caffe
