#include "layers_of_forks/smooth_l1_loss_layer.hpp"

namespace caffe {

template <typename Dtype>
void SmoothL1LossLayer<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>& bottom,
                                          const vector<Blob<Dtype>*>& top) {
  LossLayer<Dtype>::LayerSetUp(bottom, top);
  CHECK_GT(this->layer_param_.smooth_l1_loss_param().sigma(), 0)
      << "smooth_l1_loss_param.sigma must be positive";
  const LossParameter& loss = this->layer_param_.loss_param();
  CHECK(!loss.has_normalization() ||
        loss.normalization() == LossParameter::BATCH_SIZE ||
        loss.normalization() == LossParameter::NONE)
      << "loss_param.normalization is "
      << LossParameter::NormalizationMode_Name(loss.normalization())
      << "; this loss takes BATCH_SIZE, which is the default, or NONE";
}

template <typename Dtype>
void SmoothL1LossLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom,
                                       const vector<Blob<Dtype>*>& top) {
  CHECK_GE(bottom[0]->num_axes(), 1) << "the bottoms have no axes";
  LossLayer<Dtype>::Reshape(bottom, top);
  for (size_t i = 1; i < bottom.size(); ++i) {
    CHECK_EQ(bottom[i]->count(), bottom[0]->count())
        << "bottom " << i << ", " << bottom[i]->shape_string()
        << ", must have as many elements as the first, "
        << bottom[0]->shape_string();
  }
  CHECK_GT(bottom[0]->count(), 0) << "the bottoms are empty";
  difference_.ReshapeLike(*bottom[0]);
  sums_.Reshape({kParts});
}

UL2Q_DEFINE_CPU_PASSES(SmoothL1LossLayer);

namespace {
const ForkLayer<SmoothL1LossLayer> registration("SmoothL1Loss");
}  // namespace

}  // namespace caffe
