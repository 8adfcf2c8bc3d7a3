#include "layers_of_forks/upsample_layer.hpp"

#include "support/sizes.hpp"

namespace caffe {

template <typename Dtype>
void UpsampleLayer<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>& bottom,
                                      const vector<Blob<Dtype>*>& /*top*/) {
  const UpsampleParameter& param = this->layer_param_.upsample_param();
  CHECK_EQ(param.has_upsample_h(), param.has_upsample_w())
      << "upsample_param must have both of upsample_h and upsample_w, or none";
  CHECK_EQ(param.has_scale_h(), param.has_scale_w())
      << "upsample_param must have both of scale_h and scale_w, or none";
  CHECK(!param.has_scale() || !param.has_scale_h())
      << "upsample_param has scale, and scale_h and scale_w; give one or the "
         "others";
  if (bottom.size() == 1) {
    CHECK(!param.has_upsample_h() && !param.pad_out_h() && !param.pad_out_w())
        << "upsample_param's upsample_h, upsample_w, pad_out_h and pad_out_w "
           "are for a second bottom, a pooling layer's mask; with one bottom "
           "give scale";
    CHECK(param.has_scale() || param.has_scale_h())
        << "upsample_param.scale must be given, or a second bottom, a pooling "
           "layer's mask";
  }
  repetition_.rows = param.has_scale_h() ? param.scale_h() : param.scale();
  repetition_.columns = param.has_scale_w() ? param.scale_w() : param.scale();
  CHECK(repetition_.rows > 0 && repetition_.columns > 0)
      << "upsample_param.scale must be positive";
  CHECK((!param.pad_out_h() || repetition_.rows == 2) &&
        (!param.pad_out_w() || repetition_.columns == 2))
      << "upsample_param.pad_out_h and pad_out_w need a scale of 2; give "
         "upsample_h and upsample_w";
}

template <typename Dtype>
void UpsampleLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom,
                                   const vector<Blob<Dtype>*>& top) {
  CHECK_EQ(bottom[0]->num_axes(), 4)
      << "the bottom must be images, N x C x H x W; it is "
      << bottom[0]->shape_string();
  CHECK(bottom.size() == 1 || bottom[1]->shape() == bottom[0]->shape())
      << "the mask, " << bottom.back()->shape_string()
      << ", must have the shape of the first bottom, "
      << bottom[0]->shape_string();
  const UpsampleParameter& param = this->layer_param_.upsample_param();
  repetition_.width = bottom[0]->shape(3);
  int height = ul2q::CheckedProduct(bottom[0]->shape(2), repetition_.rows) -
               param.pad_out_h();
  int width = ul2q::CheckedProduct(repetition_.width, repetition_.columns) -
              param.pad_out_w();
  if (param.has_upsample_h()) {
    height = param.upsample_h();
    width = param.upsample_w();
  }
  top[0]->Reshape({bottom[0]->shape(0), bottom[0]->shape(1), height, width});
}

template <typename Dtype>
void UpsampleLayer<Dtype>::CheckMask(const Blob<Dtype>& mask, int64_t plane) {
  const Dtype* places = mask.cpu_data();
  for (int i = 0; i < mask.count(); ++i) {
    CHECK(places[i] >= 0 && places[i] < plane)
        << "the mask names element " << places[i] << " of the top's " << plane
        << "; upsample_param must give the size of what was pooled";
  }
}

UL2Q_DEFINE_CPU_PASSES(UpsampleLayer);

namespace {
const ForkLayer<UpsampleLayer> registration("Upsample");
}  // namespace

}  // namespace caffe
