#include "layers_of_forks/normalize_layer.hpp"

#include "caffe/filler.hpp"

namespace caffe {

template <typename Dtype>
void NormalizeLayer<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>& bottom,
                                       const vector<Blob<Dtype>*>& /*top*/) {
  CHECK_GE(bottom[0]->num_axes(), 2)
      << "the bottom has no channels; it is " << bottom[0]->shape_string();
  const NormalizeParameter& param = this->layer_param_.norm_param();
  eps_ = param.eps();
  CHECK_GE(eps_, 0) << "norm_param.eps must not be negative";
  if (this->blobs_.empty()) {
    // SSD's files have a blob without axes where the scale is shared.
    const vector<int> shape(param.channel_shared() ? 0 : 1,
                            bottom[0]->shape(1));
    this->blobs_.emplace_back(new Blob<Dtype>(shape));
    FillerParameter filler = param.scale_filler();
    if (!param.has_scale_filler()) {
      filler.set_value(1);
    }
    shared_ptr<Filler<Dtype>>(GetFiller<Dtype>(filler))
        ->Fill(this->blobs_[0].get());
  }
  this->param_propagate_down_.resize(1, true);
}

template <typename Dtype>
void NormalizeLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom,
                                    const vector<Blob<Dtype>*>& top) {
  CHECK_NE(bottom[0], top[0]) << "the layer does not work in place; give its "
                                 "top another name than its bottom";
  const bool across = this->layer_param_.norm_param().across_spatial();
  groups_ = {bottom[0]->shape(1), bottom[0]->count(2), across};
  CHECK(this->blobs_[0]->count() == 1 ||
        this->blobs_[0]->count() == groups_.channels)
      << "the bottom has " << groups_.channels << " channels, the scale "
      << this->blobs_[0]->count();
  top[0]->ReshapeLike(*bottom[0]);
  norm_.Reshape(
      {static_cast<int>(bottom[0]->shape(0) * (across ? 1 : groups_.pixels))});
  sums_.Reshape({static_cast<int>(groups_.channels)});
}

UL2Q_DEFINE_CPU_PASSES(NormalizeLayer);

namespace {
const ForkLayer<NormalizeLayer> registration("Normalize");
}  // namespace

}  // namespace caffe
