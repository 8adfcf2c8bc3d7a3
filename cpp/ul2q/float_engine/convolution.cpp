#include "ul2q/float_engine/convolution.hpp"

#include <algorithm>
#include <cstdint>
#include <dnnl.hpp>
#include <type_traits>

#include "support/layer_scope.hpp"
#include "ul2q/float_engine/engine.hpp"

namespace caffe {

template <template <typename> class Base, typename Dtype>
bool FastConvolutionOf<Base, Dtype>::IsForOneDnn(
    const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) const {
  return Caffe::mode() == Caffe::CPU && std::is_same_v<Dtype, float> &&
         this->num_spatial_axes_ == 2 && !this->force_nd_im2col_ &&
         bottom[0]->count() > 0 && top[0]->count() > 0;
}

template <template <typename> class Base, typename Dtype>
ul2q::ConvolutionShape FastConvolutionOf<Base, Dtype>::ShapeOf(
    const Blob<Dtype>& bottom, const Blob<Dtype>& top) {
  using Pair = ul2q::ConvolutionShape::Pair;
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
template <typename Make>
void FastConvolutionOf<Base, Dtype>::Try(const Make& make) {
  try {
    make();
  } catch (const dnnl::error& error) {
    onednn_.reset();
    if (error.status != dnnl_unimplemented) {
      LOG(FATAL) << "oneDNN: " << error.what();
    }
    LOG(WARNING) << "Layer " << this->layer_param_.name()
                 << " is computed by im2col and GEMM: " << error.what();
  }
}

template <template <typename> class Base, typename Dtype>
void FastConvolutionOf<Base, Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom,
                                             const vector<Blob<Dtype>*>& top) {
  Base<Dtype>::Reshape(bottom, top);
  if (!IsForOneDnn(bottom, top)) {
    onednn_.reset();
    return;
  }
  const ul2q::ConvolutionShape shape = ShapeOf(*bottom[0], *top[0]);
  if (!onednn_ || !(onednn_->shape() == shape)) {
    with_relu_.reset();
    Try([&] { onednn_.reset(new ul2q::OneDnnConvolution(shape)); });
  }
}

template <template <typename> class Base, typename Dtype>
bool FastConvolutionOf<Base, Dtype>::ForwardWithRelu(
    const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top,
    float negative_slope) {
  {
    const ul2q::LayerScope scope(this->layer_param_);
    Reshape(bottom, top);
  }
  if (!onednn_) {
    return false;
  }
  if (!with_relu_ || with_relu_->shape().relu_slope != negative_slope) {
    ul2q::ConvolutionShape shape = onednn_->shape();
    shape.relu_slope = negative_slope;
    try {
      with_relu_.reset(new ul2q::OneDnnConvolution(shape));
    } catch (const dnnl::error&) {
      return false;
    }
  }
  struct WithRelu {
    explicit WithRelu(bool* adds) : adds_relu(adds) { *adds_relu = true; }
    ~WithRelu() { *adds_relu = false; }
    bool* const adds_relu;
  };
  const WithRelu scope(&adds_relu_);
  this->Forward(bottom, top);
  return true;
}

template <template <typename> class Base, typename Dtype>
void FastConvolutionOf<Base, Dtype>::Forward_cpu(
    const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  if (!onednn_) {
    Base<Dtype>::Forward_cpu(bottom, top);
    return;
  }
  if constexpr (std::is_same_v<Dtype, float>) {
    ul2q::OneDnnConvolution& onednn = adds_relu_ ? *with_relu_ : *onednn_;
    const float* weights = this->blobs_[0]->cpu_data();
    const std::uint64_t version =
        this->phase_ == TEST ? this->blobs_[0]->data()->version() : 0;
    const float* bias =
        this->bias_term_ ? this->blobs_[1]->cpu_data() : nullptr;
    try {
      for (std::size_t i = 0; i < bottom.size(); ++i) {
        onednn.Forward(bottom[i]->cpu_data(), weights, version, bias,
                       top[i]->mutable_cpu_data());
      }
    } catch (const dnnl::error& error) {
      LOG(FATAL) << "oneDNN: " << error.what();
    }
  }
}

template <template <typename> class Base, typename Dtype>
void FastConvolutionOf<Base, Dtype>::Backward_cpu(
    const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
    const vector<Blob<Dtype>*>& bottom) {
  if (onednn_) {
    Try([&] { onednn_->PrepareBackward(); });
  }
  if (!onednn_) {
    Base<Dtype>::Backward_cpu(top, propagate_down, bottom);
    return;
  }
  if constexpr (std::is_same_v<Dtype, float>) {
    const bool weights_learn = this->param_propagate_down_[0];
    const bool bias_learns = this->bias_term_ && this->param_propagate_down_[1];
    float* weights_diff =
        weights_learn ? this->blobs_[0]->mutable_cpu_diff() : nullptr;
    float* bias_diff =
        bias_learns ? this->blobs_[1]->mutable_cpu_diff() : nullptr;
    try {
      for (std::size_t i = 0; i < top.size(); ++i) {
        const float* top_diff = top[i]->cpu_diff();
        if (bias_learns && !weights_learn) {
          for (int n = 0; n < this->num_; ++n) {
            this->backward_cpu_bias(bias_diff, top_diff + n * this->top_dim_);
          }
        }
        onednn_->Backward(
            bottom[i]->cpu_data(), this->blobs_[0]->cpu_data(), top_diff,
            propagate_down[i] ? bottom[i]->mutable_cpu_diff() : nullptr,
            weights_diff, weights_learn ? bias_diff : nullptr);
      }
    } catch (const dnnl::error& error) {
      LOG(FATAL) << "oneDNN: " << error.what();
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
