// Reorg, of YOLO v2 (Darknet): pixels to channels, or back.

#include "layers_of_forks/reorder_layer.hpp"
#include "support/sizes.hpp"

namespace caffe {
namespace {

/// With a stride of s, back (`reverse`) is the usual one: the C channels of
/// s·s × C/s² are the pixels of a square of s × s.
///
/// Forth takes the elements of the bottom, C × H × W, for those of an array of
/// C/s² × H·s × W·s, whose squares' pixels become the channels. That is no
/// reorder of the image's own squares, but what Darknet does and the published
/// weights were trained with.
template <typename Dtype>
class ReorgLayer : public ReorderLayer<Dtype> {
 public:
  using ReorderLayer<Dtype>::ReorderLayer;

  const char* type() const override { return "Reorg"; }

  void LayerSetUp(const vector<Blob<Dtype>*>& /*bottom*/,
                  const vector<Blob<Dtype>*>& /*top*/) override {
    CHECK_GT(this->layer_param_.reorg_param().stride(), 0u)
        << "reorg_param.stride must be given, and positive";
  }

  void Reshape(const vector<Blob<Dtype>*>& bottom,
               const vector<Blob<Dtype>*>& top) override {
    CHECK_EQ(bottom[0]->num_axes(), 4)
        << "the bottom must be images, N x C x H x W; it is "
        << bottom[0]->shape_string();
    const ReorgParameter& param = this->layer_param_.reorg_param();
    const int s = ul2q::CheckedSize(param.stride());
    const int square = ul2q::CheckedProduct(s, s);
    const int num = bottom[0]->shape(0), channels = bottom[0]->shape(1);
    const int height = bottom[0]->shape(2), width = bottom[0]->shape(3);
    CHECK_EQ(channels % square, 0)
        << "the bottom has " << channels
        << " channels; must be a multiple of reorg_param.stride squared, "
        << square;
    const int deep = channels / square;
    if (param.reverse()) {
      top[0]->Reshape({num, deep, ul2q::CheckedProduct(height, s),
                       ul2q::CheckedProduct(width, s)});
      this->SetOrder({num, s, s, deep, height, width}, {0, 3, 4, 1, 5, 2});
    } else {
      CHECK(height % s == 0 && width % s == 0)
          << "the bottom's pixels, " << height << " x " << width
          << ", are not a multiple of reorg_param.stride, " << s;
      top[0]->Reshape(
          {num, ul2q::CheckedProduct(channels, square), height / s, width / s});
      this->SetOrder({num, deep, height, s, width, s}, {0, 3, 5, 1, 2, 4});
    }
  }
};

const ForkLayer<ReorgLayer> registration("Reorg");

}  // namespace
}  // namespace caffe
