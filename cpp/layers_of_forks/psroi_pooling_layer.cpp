#include "layers_of_forks/psroi_pooling_layer.hpp"

#include "support/sizes.hpp"

namespace caffe {

template <typename Dtype>
void PSROIPoolingLayer<Dtype>::LayerSetUp(
    const vector<Blob<Dtype>*>& /*bottom*/,
    const vector<Blob<Dtype>*>& /*top*/) {
  const PSROIPoolingParameter& param = this->layer_param_.psroi_pooling_param();
  CHECK(param.output_dim() > 0 && param.group_size() > 0)
      << "psroi_pooling_param.output_dim and group_size must be given, and "
         "positive";
}

template <typename Dtype>
void PSROIPoolingLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom,
                                       const vector<Blob<Dtype>*>& top) {
  CHECK_EQ(bottom[0]->num_axes(), 4)
      << "the bottom must be images, N x C x H x W; it is "
      << bottom[0]->shape_string();
  ul2q::CheckRegionShape(*bottom[1]);
  const PSROIPoolingParameter& param = this->layer_param_.psroi_pooling_param();
  const int bins = param.group_size();
  const int classes = param.output_dim();
  CHECK_EQ(bottom[0]->shape(1),
           ul2q::CheckedProduct(classes, ul2q::CheckedProduct(bins, bins)))
      << "the bottom has " << bottom[0]->shape(1)
      << " channels; must be psroi_pooling_param.output_dim times group_size "
         "squared";
  shape_ = {bottom[0]->shape(1), bottom[0]->shape(2), bottom[0]->shape(3), bins,
            bins};
  top[0]->Reshape({bottom[1]->shape(0), classes, bins, bins});
}

UL2Q_DEFINE_CPU_PASSES(PSROIPoolingLayer);

namespace {
const ForkLayer<PSROIPoolingLayer> registration("PSROIPooling");
}  // namespace

}  // namespace caffe
