#include "ul2q/float_engine/fast_softmax_layer.hpp"

#include <algorithm>

#include "ul2q/float_engine/engine.hpp"
#include "ul2q/float_engine/parts.hpp"
#include "ul2q/float_engine/softmax_loops.hpp"

namespace caffe {

template <typename Dtype>
template <typename Body>
void FastSoftmaxLayer<Dtype>::ForEachBlock(const Blob<Dtype>& blob,
                                           const Body& body) const {
  const std::int64_t inner = this->inner_num_;
  const std::int64_t blocks =
      (inner + ul2q::kSoftmaxColumns - 1) / ul2q::kSoftmaxColumns;
  const std::int64_t outer_size = blob.count(this->softmax_axis_);
  ul2q::ForEachPart(
      this->outer_num_ * blocks, blob.count(), [&](std::int64_t part) {
        const std::int64_t first = part % blocks * ul2q::kSoftmaxColumns;
        const std::int64_t columns =
            std::min<std::int64_t>(inner - first, ul2q::kSoftmaxColumns);
        body(part / blocks * outer_size + first, static_cast<int>(columns));
      });
}

template <typename Dtype>
void FastSoftmaxLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom,
                                          const vector<Blob<Dtype>*>& top) {
  const auto& loops = ul2q::GetSoftmaxLoops<Dtype>();
  const int channels = bottom[0]->shape(this->softmax_axis_);
  const Dtype* x = bottom[0]->cpu_data();
  Dtype* y = top[0]->mutable_cpu_data();
  ForEachBlock(*bottom[0], [&](std::int64_t offset, int columns) {
    loops.forward(x + offset, channels, this->inner_num_, columns, y + offset);
  });
}

template <typename Dtype>
void FastSoftmaxLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top,
                                           const vector<bool>& propagate_down,
                                           const vector<Blob<Dtype>*>& bottom) {
  if (!propagate_down[0]) {
    return;
  }
  const auto& loops = ul2q::GetSoftmaxLoops<Dtype>();
  const int channels = top[0]->shape(this->softmax_axis_);
  const Dtype* y = top[0]->cpu_data();
  const Dtype* dy = top[0]->cpu_diff();
  Dtype* dx = bottom[0]->mutable_cpu_diff();
  ForEachBlock(*top[0], [&](std::int64_t offset, int columns) {
    loops.backward(y + offset, dy + offset, channels, this->inner_num_, columns,
                   dx + offset);
  });
}

namespace {
const OwnEngine<FastSoftmaxLayer> registration("Softmax");
}

}  // namespace caffe
