#include "ul2q/layers/quantized_inner_product_layer.hpp"

#include <type_traits>

namespace caffe {
namespace {

/// Above, there is enough to compute for each weight that BVLC's matrix product
/// is faster.
constexpr int kMostImages = 4;

}  // namespace

template <typename Dtype>
bool QuantizedInnerProductLayer<Dtype>::IsForCodes() const {
  if constexpr (std::is_same_v<Dtype, float>) {
    const auto& weight = this->quantized_[0];
    return this->phase_ == TEST && this->M_ <= kMostImages &&
           !this->transpose_ && this->blobs_[0]->count() > 0 &&
           ul2q::CodeProduct::Takes(*weight.quantizer) &&
           this->IsUpToDate(weight);
  }
  return false;
}

template <typename Dtype>
void QuantizedInnerProductLayer<Dtype>::ForwardByCodes(
    const Blob<Dtype>& bottom, Blob<Dtype>* top) {
  if constexpr (std::is_same_v<Dtype, float>) {
    this->QuantizeParameters();
    const auto& weight = this->quantized_[0];
    if (version_ != weight.version) {
      if (weight.packed != nullptr) {
        const auto codes_of_row = [&](std::int64_t row, std::int32_t* codes) {
          weight.packed->Codes(row * this->K_, this->K_, codes);
        };
        product_.EncodeRows(*weight.quantizer, weight.fits, codes_of_row,
                            this->N_, this->K_);
      } else {
        product_.Encode(*weight.quantizer, weight.fits,
                        this->blobs_[0]->cpu_data(), this->N_, this->K_);
      }
      version_ = weight.version;
    }
    const typename QuantizedInnerProductLayer::Loan loan(this);
    product_.Multiply(bottom.cpu_data(), this->M_,
                      this->bias_term_ ? this->blobs_[1]->cpu_data() : nullptr,
                      top->mutable_cpu_data());
  }
}

template <typename Dtype>
void QuantizedInnerProductLayer<Dtype>::Forward_cpu(
    const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  if (IsForCodes()) {
    ForwardByCodes(*bottom[0], top[0]);
  } else {
    QuantizedLayer<FastInnerProductLayer, Dtype>::Forward_cpu(bottom, top);
  }
}

template class QuantizedInnerProductLayer<float>;
template class QuantizedInnerProductLayer<double>;

}  // namespace caffe
