#include "layers_of_forks/roi_pooling_layer.hpp"

namespace caffe {

template <typename Dtype>
void ROIPoolingLayer<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>& /*bottom*/,
                                        const vector<Blob<Dtype>*>& /*top*/) {
  const ROIPoolingParameter& param = this->layer_param_.roi_pooling_param();
  CHECK(param.pooled_h() > 0 && param.pooled_w() > 0)
      << "roi_pooling_param.pooled_h and pooled_w must be given, and positive";
}

template <typename Dtype>
void ROIPoolingLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom,
                                     const vector<Blob<Dtype>*>& top) {
  CHECK_EQ(bottom[0]->num_axes(), 4)
      << "the bottom must be images, N x C x H x W; it is "
      << bottom[0]->shape_string();
  ul2q::CheckRegionShape(*bottom[1]);
  const ROIPoolingParameter& param = this->layer_param_.roi_pooling_param();
  shape_ = {bottom[0]->shape(1), bottom[0]->shape(2), bottom[0]->shape(3),
            static_cast<int>(param.pooled_h()),
            static_cast<int>(param.pooled_w())};
  top[0]->Reshape(
      {bottom[1]->shape(0), shape_.channels, shape_.bins_h, shape_.bins_w});
  places_.Reshape(top[0]->shape());
}

UL2Q_DEFINE_CPU_PASSES(ROIPoolingLayer);

namespace {
const ForkLayer<ROIPoolingLayer> registration("ROIPooling");
}  // namespace

}  // namespace caffe
