#include "layers_of_forks/interp_layer.hpp"

#include "support/sizes.hpp"

namespace caffe {

template <typename Dtype>
void InterpLayer<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>& /*bottom*/,
                                    const vector<Blob<Dtype>*>& /*top*/) {
  const InterpParameter& param = this->layer_param_.interp_param();
  CHECK(param.pad_beg() <= 0 && param.pad_end() <= 0)
      << "interp_param.pad_beg and pad_end cut rows and columns off; they must "
         "be 0 or negative";
  CHECK(param.zoom_factor() > 0 && param.shrink_factor() > 0)
      << "interp_param.zoom_factor and shrink_factor must be positive";
  CHECK(param.has_zoom_factor() || param.has_shrink_factor() ||
        (param.height() > 0 && param.width() > 0))
      << "interp_param must give height and width, or zoom_factor or "
         "shrink_factor";
}

template <typename Dtype>
ul2q::InterpAxis InterpLayer<Dtype>::AxisOf(int size, int wanted) const {
  const InterpParameter& param = this->layer_param_.interp_param();
  const int64_t window = int64_t{size} + param.pad_beg() + param.pad_end();
  CHECK_GT(window, 0) << "interp_param.pad_beg and pad_end cut off all of the "
                         "bottom's "
                      << size << " rows or columns";
  int out = wanted;
  if (param.has_zoom_factor() || param.has_shrink_factor()) {
    // In this order, as DeepLab has it.
    out = static_cast<int>((window - 1) / param.shrink_factor() + 1);
    out = ul2q::CheckedSize(int64_t{out - 1} * param.zoom_factor() + 1);
  }
  return {size, -param.pad_beg(), static_cast<int>(window), out};
}

template <typename Dtype>
void InterpLayer<Dtype>::Reshape(const vector<Blob<Dtype>*>& bottom,
                                 const vector<Blob<Dtype>*>& top) {
  CHECK_EQ(bottom[0]->num_axes(), 4)
      << "the bottom must be images, N x C x H x W; it is "
      << bottom[0]->shape_string();
  const InterpParameter& param = this->layer_param_.interp_param();
  rows_ = AxisOf(bottom[0]->shape(2), param.height());
  columns_ = AxisOf(bottom[0]->shape(3), param.width());
  top[0]->Reshape(
      {bottom[0]->shape(0), bottom[0]->shape(1), rows_.out, columns_.out});
}

UL2Q_DEFINE_CPU_PASSES(InterpLayer);

namespace {
const ForkLayer<InterpLayer> registration("Interp");
}  // namespace

}  // namespace caffe
