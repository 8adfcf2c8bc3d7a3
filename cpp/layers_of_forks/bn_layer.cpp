#include "layers_of_forks/bn_layer.hpp"

#include "caffe/filler.hpp"

namespace caffe {
namespace {

FillerParameter FillerOr(bool has, const FillerParameter& filler, float value) {
  FillerParameter used = filler;
  if (!has) {
    used.set_value(value);
  }
  return used;
}

}  // namespace

template <typename Dtype>
void BNLayer<Dtype>::AddBlob(const FillerParameter& filler, int channels) {
  this->blobs_.emplace_back(new Blob<Dtype>(vector<int>{1, channels, 1, 1}));
  shared_ptr<Filler<Dtype>>(GetFiller<Dtype>(filler))
      ->Fill(this->blobs_.back().get());
}

template <typename Dtype>
void BNLayer<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>& bottom,
                                const vector<Blob<Dtype>*>& /*top*/) {
  CHECK_GE(bottom[0]->num_axes(), 2)
      << "the bottom has no channels; it is " << bottom[0]->shape_string();
  const BNParameter& param = this->layer_param_.bn_param();
  const bool is_segnets = param.has_scale_filler() ||
                          param.has_shift_filler() || param.has_bn_mode();
  const bool is_pspnets = param.has_slope_filler() || param.has_bias_filler() ||
                          param.has_momentum() || param.has_frozen();
  CHECK_NE(is_segnets, is_pspnets)
      << "bn_param must say which BN it is: by scale_filler, shift_filler or "
         "bn_mode SegNet's, whose two blobs are scale and shift, or by "
         "slope_filler, bias_filler, momentum or frozen PSPNet's, whose four "
         "are slope, bias, mean and variance"
      << (is_segnets ? "; it has fields of both" : "");
  has_averages_ = is_pspnets;
  // SegNet's has this one fixed.
  eps_ = param.has_eps() || is_pspnets ? param.eps() : 1e-9;
  const int channels = bottom[0]->shape(1);
  if (this->blobs_.empty()) {
    if (is_pspnets) {
      AddBlob(FillerOr(param.has_slope_filler(), param.slope_filler(), 1),
              channels);
      AddBlob(FillerOr(param.has_bias_filler(), param.bias_filler(), 0),
              channels);
      AddBlob(FillerOr(false, FillerParameter(), 0), channels);
      AddBlob(FillerOr(false, FillerParameter(), param.frozen() ? 1 : 0),
              channels);
    } else {
      AddBlob(FillerOr(param.has_scale_filler(), param.scale_filler(), 1),
              channels);
      AddBlob(FillerOr(param.has_shift_filler(), param.shift_filler(), 0),
              channels);
    }
  }
  this->param_propagate_down_.resize(this->blobs_.size(), true);
  // No solver moves averages, nor what is frozen.
  for (int i = 0; i < static_cast<int>(this->blobs_.size()); ++i) {
    if (i >= 2 || param.frozen()) {
      while (this->layer_param_.param_size() <= i) {
        this->layer_param_.add_param();
      }
      this->layer_param_.mutable_param(i)->set_lr_mult(0);
      this->layer_param_.mutable_param(i)->set_decay_mult(0);
      this->param_propagate_down_[i] = false;
    }
  }
}

template <typename Dtype>
void BNLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom,
                             const vector<Blob<Dtype>*>& top) {
  shape_ = {bottom[0]->shape(0), bottom[0]->shape(1), bottom[0]->count(2)};
  CHECK_EQ(this->blobs_[0]->count(), shape_.channels)
      << "the bottom's channels are not those that the layer was made for";
  CHECK_GT(shape_.size(), 0) << "the bottom is empty; its mean is none";
  top[0]->ReshapeLike(*bottom[0]);
  normal_.ReshapeLike(*bottom[0]);
  mean_.Reshape({static_cast<int>(shape_.channels)});
  variance_.Reshape({static_cast<int>(shape_.channels)});
}

template <typename Dtype>
typename BNLayer<Dtype>::By BNLayer<Dtype>::Normalizes() const {
  const BNParameter& param = this->layer_param_.bn_param();
  if (!has_averages_) {
    return param.bn_mode() == BNParameter::INFERENCE ? By::kNothing
                                                     : By::kBatch;
  }
  return param.frozen() || this->phase_ == TEST ? By::kAverages : By::kBatch;
}

UL2Q_DEFINE_CPU_PASSES(BNLayer);

namespace {
const ForkLayer<BNLayer> registration("BN");
}  // namespace

}  // namespace caffe
