#include "layers_of_forks/distillation_loss_layer.hpp"

#include <cmath>

namespace caffe {

template <typename Dtype>
void DistillationLossLayer<Dtype>::LayerSetUp(
    const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  LossLayer<Dtype>::LayerSetUp(bottom, top);
  const double temperature = Temperature();
  CHECK(std::isfinite(temperature) && temperature > 0)
      << "distillation_loss_param.temperature is " << temperature
      << "; must be positive and finite";
  const bool ignores = this->layer_param_.loss_param().has_ignore_label();
  CHECK(!ignores || bottom.size() == 3)
      << "loss_param.ignore_label needs the labels as the third bottom";
  CHECK(ignores || bottom.size() == 2)
      << "the third bottom, the labels, is used by loss_param.ignore_label "
         "alone; give that, or leave the bottom out: a SoftmaxWithLoss beside "
         "this layer is the loss of the labels";
}

template <typename Dtype>
void DistillationLossLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom,
                                           const vector<Blob<Dtype>*>& top) {
  CHECK(bottom[1]->shape() == bottom[0]->shape())
      << "the teacher's logits, bottom 1, are " << bottom[1]->shape_string()
      << "; must have the shape of the student's, bottom 0, "
      << bottom[0]->shape_string();
  CHECK_GE(bottom[0]->num_axes(), 1) << "the bottoms have no axes";
  CHECK_GT(bottom[0]->count(), 0) << "the bottoms are empty";
  LossLayer<Dtype>::Reshape(bottom, top);
  axis_ =
      bottom[0]->CanonicalAxisIndex(this->layer_param_.softmax_param().axis());
  const int positions = bottom[0]->count() / bottom[0]->shape(axis_);
  if (bottom.size() == 3) {
    CHECK_EQ(bottom[2]->count(), positions)
        << "the labels, bottom 2, are " << bottom[2]->shape_string()
        << "; must be one for each position of the logits, "
        << bottom[0]->shape_string() << " without axis " << axis_;
  }
  difference_.ReshapeLike(*bottom[0]);
  losses_.Reshape({positions});
  counted_.Reshape({positions});
  sums_.Reshape({2, kParts});
  share_.Reshape({1});
}

template <typename Dtype>
void DistillationLossLayer<Dtype>::CheckOnlyStudentLearns(
    const vector<bool>& propagate_down) const {
  for (size_t i = 1; i < propagate_down.size(); ++i) {
    CHECK(!propagate_down[i])
        << "bottom " << i << ", '" << this->layer_param_.bottom(i)
        << "', has no gradient, but layers below it learn; give this layer "
           "propagate_down: true for the first bottom and propagate_down: "
           "false for the others, and the teacher's parameters lr_mult: 0";
  }
}

template <typename Dtype>
double DistillationLossLayer<Dtype>::Normalizer(
    const Blob<Dtype>& student) const {
  const LossParameter& loss = this->layer_param_.loss_param();
  LossParameter::NormalizationMode mode = loss.normalization();
  if (!loss.has_normalization() && loss.has_normalize()) {
    mode = loss.normalize() ? LossParameter::VALID : LossParameter::BATCH_SIZE;
  }
  switch (mode) {
    case LossParameter::FULL:
      return losses_.count();
    case LossParameter::BATCH_SIZE:
      return student.count(0, axis_);
    case LossParameter::NONE:
      return 1;
    default:  // VALID
      return 0;
  }
}

UL2Q_DEFINE_CPU_PASSES(DistillationLossLayer);

namespace {
const ForkLayer<DistillationLossLayer> registration("DistillationLoss");
}  // namespace

}  // namespace caffe
