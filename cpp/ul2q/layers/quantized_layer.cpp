#include "ul2q/layers/quantized_layer.hpp"

#include "caffe/layers/conv_layer.hpp"
#include "caffe/layers/deconv_layer.hpp"
#include "caffe/layers/embed_layer.hpp"
#include "caffe/layers/inner_product_layer.hpp"
#include "caffe/util/math_functions.hpp"
#include "caffe/util/rng.hpp"
#include "ul2q/core/kernels/random.hpp"
#include "ul2q/float_engine/convolution.hpp"
#include "ul2q/float_engine/engine.hpp"
#include "ul2q/float_engine/inner_product.hpp"
#include "ul2q/layers/quantized_inner_product_layer.hpp"
#include "ul2q/layers/quantizer_parameter.hpp"

namespace caffe {
namespace {

/// Where a layer's output channels lie in its weights; ChannelLayout shows the
/// shapes. For layers whose weights are N × the rest.
template <template <typename> class Base>
struct OutputChannels {
  static ul2q::ChannelLayout Of(const LayerParameter&, const vector<int>& shape,
                                int count) {
    return {shape[0], 1, 1, count / shape[0]};
  }
};

template <>
struct OutputChannels<DeconvolutionLayer> {
  static ul2q::ChannelLayout Of(const LayerParameter& param,
                                const vector<int>& shape, int count) {
    const int group = static_cast<int>(param.convolution_param().group());
    return {group, shape[0] / group, shape[1], count / (shape[0] * shape[1])};
  }
};

template <>
struct OutputChannels<FastDeconvolutionLayer>
    : OutputChannels<DeconvolutionLayer> {};

template <>
struct OutputChannels<InnerProductLayer> {
  static ul2q::ChannelLayout Of(const LayerParameter& param,
                                const vector<int>& shape, int) {
    if (param.inner_product_param().transpose()) {
      return {1, shape[0], shape[1], 1};
    }
    return {shape[0], 1, 1, shape[1]};
  }
};

template <>
struct OutputChannels<FastInnerProductLayer>
    : OutputChannels<InnerProductLayer> {};

template <>
struct OutputChannels<EmbedLayer> {
  static ul2q::ChannelLayout Of(const LayerParameter&, const vector<int>& shape,
                                int) {
    return {1, shape[0], shape[1], 1};
  }
};

}  // namespace

template <template <typename> class Base, typename Dtype>
void QuantizedLayer<Base, Dtype>::LayerSetUp(const vector<Blob<Dtype>*>& bottom,
                                             const vector<Blob<Dtype>*>& top) {
  const QuantizationParameter& quantization =
      this->layer_param_.quantization_param();
  if (quantization.has_activation()) {
    LOG(FATAL) << "quantization_param.activation is for a layer of type "
               << "QuantizedActivation, after this one";
  }
  quantized_.clear();
  copies_are_set_ = false;
  AddParameter(0, "weight", quantization.weight());
  if (quantization.has_bias()) {
    AddParameter(1, "bias", quantization.bias());
  }
  Base<Dtype>::LayerSetUp(bottom, top);
  if (this->blobs_.size() < quantized_.size()) {
    LOG(FATAL) << "quantization_param.bias is set, but the layer has no bias "
               << "(bias_term: false); remove one of them";
  }
}

template <template <typename> class Base, typename Dtype>
void QuantizedLayer<Base, Dtype>::AddParameter(
    int index, const char* field, const QuantizerParameter& options) {
  Parameter parameter;
  parameter.field = field;
  parameter.index = index;
  parameter.options = options;
  parameter.quantizer = MakeQuantizer<Dtype>(options, field);
  quantized_.push_back(std::move(parameter));
}

template <template <typename> class Base, typename Dtype>
ul2q::ChannelLayout QuantizedLayer<Base, Dtype>::LayoutOf(
    const Parameter& parameter) const {
  const Blob<Dtype>& master = *this->blobs_[parameter.index];
  if (parameter.options.granularity() == QuantizerParameter::TENSOR ||
      master.count() == 0) {
    return ul2q::ChannelLayout::Whole(master.count());
  }
  return OutputChannels<Base>::Of(this->layer_param_, master.shape(),
                                  master.count());
}

template <template <typename> class Base, typename Dtype>
vector<QuantizedBlob<Dtype>> QuantizedLayer<Base, Dtype>::quantized_blobs()
    const {
  vector<QuantizedBlob<Dtype>> blobs;
  for (const Parameter& parameter : quantized_) {
    const Blob<Dtype>& master = *this->blobs_[parameter.index];
    const ul2q::ChannelLayout layout = LayoutOf(parameter);
    blobs.push_back({parameter.field, &master, &parameter.options,
                     parameter.quantizer.get(), layout,
                     PackedValues::Behind(master, parameter.options, layout)});
  }
  return blobs;
}

template <template <typename> class Base, typename Dtype>
bool QuantizedLayer<Base, Dtype>::IsUpToDate(const Parameter& parameter) const {
  const Blob<Dtype>& master = *this->blobs_[parameter.index];
  if (this->phase_ == TRAIN && parameter.is_stochastic()) {
    return false;  // each pass rounds anew
  }
#ifndef CPU_ONLY
  if (parameter.device && parameter.device->has_failed()) {
    return false;  // which says what is wrong
  }
#endif
  return parameter.version != 0 && parameter.mode == Caffe::mode() &&
         parameter.version == master.data()->version() &&
         parameter.copy->shape() == master.shape();
}

template <template <typename> class Base, typename Dtype>
void QuantizedLayer<Base, Dtype>::Quantize(Parameter* parameter) {
  const Blob<Dtype>& master = *this->blobs_[parameter->index];
  if (!parameter->copy) {
    parameter->copy.reset(new Blob<Dtype>());
  }
  parameter->copy->ReshapeLike(master);
  typename ul2q::Quantizer<Dtype>::Seed seed;
  if (this->phase_ == TRAIN && parameter->is_stochastic()) {
    seed = caffe_rng_rand();
  }
  parameter->version = 0;
  const std::uint64_t version = master.data()->version();
  const ul2q::ChannelLayout layout = LayoutOf(*parameter);
  parameter->packed = PackedValues::Behind(master, parameter->options, layout);
  try {
    if (parameter->packed != nullptr) {
      TakePacked(parameter);
    } else {
      QuantizeWithFits(parameter, layout, seed);
    }
  } catch (const ul2q::NonFiniteError& error) {
    LOG(FATAL) << "the " << parameter->field << " blob " << error.what()
               << ": training has diverged (lower base_lr, or clip the "
               << "gradients with clip_gradients)";
  }
  parameter->version = version;
  parameter->mode = Caffe::mode();
}

template <template <typename> class Base, typename Dtype>
void QuantizedLayer<Base, Dtype>::TakePacked(Parameter* parameter) {
  parameter->fits.clear();
  for (const ul2q::ScaleShift<float>& fit : parameter->packed->fits()) {
    parameter->fits.push_back(
        {static_cast<Dtype>(fit.scale), static_cast<Dtype>(fit.shift)});
  }
#ifndef CPU_ONLY
  if (Caffe::mode() == Caffe::GPU) {
    if (!parameter->device) {
      parameter->device.reset(
          new ul2q::DeviceQuantizer<Dtype>(*parameter->quantizer));
    }
    if (parameter->device->has_failed()) {
      parameter->device->ForgetFailure();
    }
    parameter->device->SetFits(parameter->fits);
  }
#endif
  parameter->copy->CopyFrom(*this->blobs_[parameter->index]);
}

template <template <typename> class Base, typename Dtype>
void QuantizedLayer<Base, Dtype>::QuantizeWithFits(
    Parameter* parameter, ul2q::ChannelLayout layout,
    typename ul2q::Quantizer<Dtype>::Seed seed) {
  const Blob<Dtype>& master = *this->blobs_[parameter->index];
  Blob<Dtype>& copy = *parameter->copy;
  const ul2q::Quantizer<Dtype>& quantizer = *parameter->quantizer;
#ifndef CPU_ONLY
  if (Caffe::mode() == Caffe::GPU) {
    if (!parameter->device) {
      parameter->device.reset(new ul2q::DeviceQuantizer<Dtype>(quantizer));
    }
    ul2q::DeviceQuantizer<Dtype>& device = *parameter->device;
    const bool has_failed = device.has_failed();
    if (has_failed) {
      device.ForgetFailure();
    }
    if (has_failed) {
      // The CPU fits, which says what is wrong.
      device.SetFits(ul2q::FitChannels(quantizer, layout, master.cpu_data()));
    } else {
      device.Fit(layout, master.gpu_data());
    }
    device.Quantize(layout, master.gpu_data(), seed, copy.mutable_gpu_data());
    return;
  }
#endif
  parameter->fits = ul2q::QuantizeChannels(quantizer, layout, master.cpu_data(),
                                           seed, copy.mutable_cpu_data());
}

template <template <typename> class Base, typename Dtype>
void QuantizedLayer<Base, Dtype>::QuantizeParameters() {
  copies_are_set_ = false;
  for (Parameter& parameter : quantized_) {
    if (!IsUpToDate(parameter)) {
      Quantize(&parameter);
    }
  }
  copies_are_set_ = true;
}

template <template <typename> class Base, typename Dtype>
void QuantizedLayer<Base, Dtype>::QuantizeForBackward() {
  if (!copies_are_set_ || quantized_.front().mode != Caffe::mode()) {
    QuantizeParameters();
  }
}

template <template <typename> class Base, typename Dtype>
void QuantizedLayer<Base, Dtype>::Forward_cpu(
    const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  QuantizeParameters();
  const Loan loan(this);
  Base<Dtype>::Forward_cpu(bottom, top);
}

template <template <typename> class Base, typename Dtype>
template <typename ZeroDiff, typename Pass, typename AddGradient>
void QuantizedLayer<Base, Dtype>::BackwardBy(const ZeroDiff& zero_diff,
                                             const Pass& pass,
                                             const AddGradient& add_gradient) {
  QuantizeForBackward();
  for (Parameter& parameter : quantized_) {
    if (parameter.is_clipped()) {
      zero_diff(parameter.copy.get());
    } else {
      // Anew each time: a net may have made the master share another's diff.
      parameter.copy->ShareDiff(*this->blobs_[parameter.index]);
    }
  }
  {
    const Loan loan(this);
    pass();
  }
  for (const Parameter& parameter : quantized_) {
    if (parameter.is_clipped()) {
      add_gradient(parameter, this->blobs_[parameter.index].get());
    }
  }
}

template <template <typename> class Base, typename Dtype>
void QuantizedLayer<Base, Dtype>::Backward_cpu(
    const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
    const vector<Blob<Dtype>*>& bottom) {
  BackwardBy(
      [](Blob<Dtype>* copy) {
        caffe_set(copy->count(), Dtype(0), copy->mutable_cpu_diff());
      },
      [&] { Base<Dtype>::Backward_cpu(top, propagate_down, bottom); },
      [&](const Parameter& parameter, Blob<Dtype>* master) {
        ul2q::AddGradientWithinLevels(*parameter.quantizer, LayoutOf(parameter),
                                      parameter.fits, master->cpu_data(),
                                      parameter.copy->cpu_diff(),
                                      master->mutable_cpu_diff());
      });
}

#ifndef CPU_ONLY
template <template <typename> class Base, typename Dtype>
void QuantizedLayer<Base, Dtype>::Forward_gpu(
    const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  QuantizeParameters();
  const Loan loan(this);
  Base<Dtype>::Forward_gpu(bottom, top);
}

template <template <typename> class Base, typename Dtype>
void QuantizedLayer<Base, Dtype>::Backward_gpu(
    const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
    const vector<Blob<Dtype>*>& bottom) {
  BackwardBy(
      [](Blob<Dtype>* copy) {
        caffe_gpu_set(copy->count(), Dtype(0), copy->mutable_gpu_diff());
      },
      [&] { Base<Dtype>::Backward_gpu(top, propagate_down, bottom); },
      [&](const Parameter& parameter, Blob<Dtype>* master) {
        parameter.device->AddGradientWithinLevels(
            LayoutOf(parameter), master->gpu_data(), parameter.copy->gpu_diff(),
            master->mutable_gpu_diff());
      });
}
#endif  // CPU_ONLY

template <template <typename> class Base, typename Dtype>
shared_ptr<Layer<Dtype>> NewQuantizedLayer(const LayerParameter& param) {
  if (param.convolution_param().engine() == ConvolutionParameter::CUDNN) {
    LOG(FATAL) << "convolution_param.engine is CUDNN, which this build does "
               << "not have; use CAFFE or leave it out";
  }
  return shared_ptr<Layer<Dtype>>(new QuantizedLayer<Base, Dtype>(param));
}

template <typename Dtype>
shared_ptr<Layer<Dtype>> GetQuantizedConvolutionLayer(
    const LayerParameter& param) {
  return UsesFastEngine(param)
             ? NewQuantizedLayer<FastConvolutionLayer, Dtype>(param)
             : NewQuantizedLayer<ConvolutionLayer, Dtype>(param);
}

template <typename Dtype>
shared_ptr<Layer<Dtype>> GetQuantizedDeconvolutionLayer(
    const LayerParameter& param) {
  return UsesFastEngine(param)
             ? NewQuantizedLayer<FastDeconvolutionLayer, Dtype>(param)
             : NewQuantizedLayer<DeconvolutionLayer, Dtype>(param);
}

template <typename Dtype>
shared_ptr<Layer<Dtype>> GetQuantizedInnerProductLayer(
    const LayerParameter& param) {
  return UsesFastEngine(param)
             ? shared_ptr<Layer<Dtype>>(
                   new QuantizedInnerProductLayer<Dtype>(param))
             : NewQuantizedLayer<InnerProductLayer, Dtype>(param);
}

template <typename Dtype>
shared_ptr<Layer<Dtype>> GetQuantizedEmbedLayer(const LayerParameter& param) {
  return NewQuantizedLayer<EmbedLayer, Dtype>(param);
}

template class QuantizedLayer<FastInnerProductLayer, float>;
template class QuantizedLayer<FastInnerProductLayer, double>;

REGISTER_LAYER_CREATOR(QuantizedConvolution, GetQuantizedConvolutionLayer);
REGISTER_LAYER_CREATOR(QuantizedDeconvolution, GetQuantizedDeconvolutionLayer);
REGISTER_LAYER_CREATOR(QuantizedInnerProduct, GetQuantizedInnerProductLayer);
REGISTER_LAYER_CREATOR(QuantizedEmbed, GetQuantizedEmbedLayer);

}  // namespace caffe
