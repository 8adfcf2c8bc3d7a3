// ShuffleChannel, of ShuffleNet: channels, seen as groups × channels of a
// group, become channels of a group × groups.

#include "layers_of_forks/reorder_layer.hpp"

namespace caffe {
namespace {

template <typename Dtype>
class ShuffleChannelLayer : public ReorderLayer<Dtype> {
 public:
  using ReorderLayer<Dtype>::ReorderLayer;

  const char* type() const override { return "ShuffleChannel"; }

  void Reshape(const vector<Blob<Dtype>*>& bottom,
               const vector<Blob<Dtype>*>& top) override {
    CHECK_GE(bottom[0]->num_axes(), 2) << "the bottom has no channels";
    const int groups = this->layer_param_.shuffle_channel_param().group();
    const int channels = bottom[0]->shape(1);
    CHECK_GT(groups, 0) << "shuffle_channel_param.group must be positive";
    CHECK_EQ(channels % groups, 0)
        << "shuffle_channel_param.group is " << groups
        << "; must divide the bottom's " << channels << " channels";
    top[0]->ReshapeLike(*bottom[0]);
    this->SetOrder(
        {bottom[0]->shape(0), groups, channels / groups, bottom[0]->count(2)},
        {0, 2, 1, 3});
  }
};

const ForkLayer<ShuffleChannelLayer> registration("ShuffleChannel");

}  // namespace
}  // namespace caffe
