#ifndef UL2Q_LAYERS_OF_FORKS_RELU6_LAYER_HPP_
#define UL2Q_LAYERS_OF_FORKS_RELU6_LAYER_HPP_

#include <cstdint>
#include <vector>

#include "caffe/layers/neuron_layer.hpp"
#include "layers_of_forks/fork_layer.hpp"

namespace ul2q {

/// y = min(x, 6) where x > 0, slope·x elsewhere; y may be x
template <typename Dtype>
struct Relu6Forward {
  Dtype slope;
  const Dtype* x;
  Dtype* y;
  UL2Q_HOST_DEVICE void operator()(std::int64_t i) const {
    const Dtype value = x[i];
    y[i] = value > 0 ? (value < 6 ? value : Dtype(6)) : slope * value;
  }
};

/// x may be y: the derivative is the same by either.
template <typename Dtype>
struct Relu6Backward {
  Dtype slope;
  const Dtype* x;
  const Dtype* dy;
  Dtype* dx;
  UL2Q_HOST_DEVICE void operator()(std::int64_t i) const {
    const Dtype value = x[i];
    dx[i] = dy[i] * (value > 0 ? Dtype(value < 6 ? 1 : 0) : slope);
  }
};

}  // namespace ul2q

namespace caffe {

/// ReLU6, of MobileNet's forks: a ReLU that ends at 6. Its relu_param has a
/// negative_slope.
template <typename Dtype>
class ReLU6Layer : public NeuronLayer<Dtype> {
 public:
  using NeuronLayer<Dtype>::NeuronLayer;

  const char* type() const override { return "ReLU6"; }
  void LayerSetUp(const vector<Blob<Dtype>*>& bottom,
                  const vector<Blob<Dtype>*>& top) override;

 protected:
  template <typename Device>
  void ForwardOn(const vector<Blob<Dtype>*>& bottom,
                 const vector<Blob<Dtype>*>& top) {
    const int64_t n = bottom[0]->count();
    Device::ForEach(n, n,
                    ul2q::Relu6Forward<Dtype>{Slope(), Device::Data(*bottom[0]),
                                              Device::MutableData(top[0])});
  }
  template <typename Device>
  void BackwardOn(const vector<Blob<Dtype>*>& top,
                  const vector<bool>& propagate_down,
                  const vector<Blob<Dtype>*>& bottom) {
    if (propagate_down[0]) {
      const int64_t n = bottom[0]->count();
      Device::ForEach(
          n, n,
          ul2q::Relu6Backward<Dtype>{Slope(), Device::Data(*bottom[0]),
                                     Device::Diff(*top[0]),
                                     Device::MutableDiff(bottom[0])});
    }
  }
  UL2Q_DECLARE_PASSES();

 private:
  Dtype Slope() const {
    return this->layer_param_.relu_param().negative_slope();
  }
};

}  // namespace caffe

#endif  // UL2Q_LAYERS_OF_FORKS_RELU6_LAYER_HPP_
