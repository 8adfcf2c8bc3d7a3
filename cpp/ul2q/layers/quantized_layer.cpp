#include "ul2q/layers/quantized_layer.hpp"

#include <boost/algorithm/string/case_conv.hpp>
#include <stdexcept>

#include "caffe/layers/conv_layer.hpp"
#include "caffe/layers/inner_product_layer.hpp"

namespace caffe {

template <template <typename> class Base, typename Dtype>
void QuantizedLayer<Base, Dtype>::LayerSetUp(const vector<Blob<Dtype>*>& bottom,
                                             const vector<Blob<Dtype>*>& top) {
  const QuantizationParameter& quantization =
      this->layer_param_.quantization_param();
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
  const string prefix = string("quantization_param.") + field + ".";
  if (!options.has_bits()) {
    LOG(FATAL) << prefix << "bits is missing; write quantization_param { "
               << field << " { bits: N } } with N from " << ul2q::kMinBits
               << " to " << ul2q::kMaxBits;
  }
  ul2q::QuantizerOptions quantizer_options;
  quantizer_options.bits = options.bits();
  try {
    quantizer_options.fit = ul2q::ParseFit(boost::algorithm::to_lower_copy(
        QuantizerParameter::Fit_Name(options.fit())));
    quantized_.push_back(
        {index,
         ul2q::MakeQuantizer<Dtype>(
             boost::algorithm::to_lower_copy(
                 QuantizerParameter::Method_Name(options.method())),
             quantizer_options),
         nullptr});
  } catch (const std::invalid_argument& error) {
    LOG(FATAL) << prefix << error.what();
  }
}

template <template <typename> class Base, typename Dtype>
void QuantizedLayer<Base, Dtype>::QuantizeParameters() {
  copies_are_set_ = false;
  for (Parameter& parameter : quantized_) {
    Blob<Dtype>& master = *this->blobs_[parameter.index];
    if (!parameter.copy) {
      parameter.copy.reset(new Blob<Dtype>());
    }
    Blob<Dtype>& copy = *parameter.copy;
    copy.ReshapeLike(master);
    // Anew each time: a net may have made the master share another's diff.
    copy.ShareDiff(master);
    const Dtype* w = master.cpu_data();
    try {
      const ul2q::ScaleShift<Dtype> fit =
          parameter.quantizer->FitTo(w, master.count());
      parameter.quantizer->Quantize(fit, w, master.count(),
                                    copy.mutable_cpu_data());
    } catch (const ul2q::NonFiniteError& error) {
      LOG(FATAL) << (parameter.index == 0 ? "the weight" : "the bias")
                 << " blob " << error.what()
                 << ": training has diverged (lower base_lr, or clip the "
                 << "gradients with clip_gradients)";
    }
  }
  copies_are_set_ = true;
}

template <template <typename> class Base, typename Dtype>
void QuantizedLayer<Base, Dtype>::Forward_cpu(
    const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  QuantizeParameters();
  const Loan loan(this);
  Base<Dtype>::Forward_cpu(bottom, top);
}

template <template <typename> class Base, typename Dtype>
void QuantizedLayer<Base, Dtype>::Backward_cpu(
    const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
    const vector<Blob<Dtype>*>& bottom) {
  if (!copies_are_set_) {
    QuantizeParameters();  // no forward pass went before, or it failed
  }
  for (Parameter& parameter : quantized_) {
    parameter.copy->ShareDiff(*this->blobs_[parameter.index]);
  }
  const Loan loan(this);
  Base<Dtype>::Backward_cpu(top, propagate_down, bottom);
}

template <typename Dtype>
shared_ptr<Layer<Dtype>> GetQuantizedConvolutionLayer(
    const LayerParameter& param) {
  if (param.convolution_param().engine() == ConvolutionParameter::CUDNN) {
    LOG(FATAL) << "convolution_param.engine is CUDNN, which this build does "
               << "not have; use CAFFE or leave it out";
  }
  return shared_ptr<Layer<Dtype>>(
      new QuantizedLayer<ConvolutionLayer, Dtype>(param));
}

template <typename Dtype>
shared_ptr<Layer<Dtype>> GetQuantizedInnerProductLayer(
    const LayerParameter& param) {
  return shared_ptr<Layer<Dtype>>(
      new QuantizedLayer<InnerProductLayer, Dtype>(param));
}

REGISTER_LAYER_CREATOR(QuantizedConvolution, GetQuantizedConvolutionLayer);
REGISTER_LAYER_CREATOR(QuantizedInnerProduct, GetQuantizedInnerProductLayer);

}  // namespace caffe
