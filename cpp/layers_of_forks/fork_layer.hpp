#ifndef UL2Q_LAYERS_OF_FORKS_FORK_LAYER_HPP_
#define UL2Q_LAYERS_OF_FORKS_FORK_LAYER_HPP_

#include <string>
#include <vector>

#include "caffe/layer.hpp"
#include "caffe/layer_factory.hpp"
#include "layers_of_forks/device.hpp"

/// Declares the passes of a layer whose class has two templates over a device:
///
///   template <typename Device>
///   void ForwardOn(const vector<Blob<Dtype>*>& bottom,
///                  const vector<Blob<Dtype>*>& top);
///   template <typename Device>
///   void BackwardOn(const vector<Blob<Dtype>*>& top,
///                   const vector<bool>& propagate_down,
///                   const vector<Blob<Dtype>*>& bottom);
///
/// which the macros below define for the CPU, in the layer's .cpp file, and for
/// the GPU, in gpu_passes.cu.
#ifdef CPU_ONLY
#define UL2Q_DECLARE_PASSES() UL2Q_DECLARE_PASSES_ON(cpu)
#else
#define UL2Q_DECLARE_PASSES()  \
  UL2Q_DECLARE_PASSES_ON(cpu); \
  UL2Q_DECLARE_PASSES_ON(gpu)
#endif

#define UL2Q_DECLARE_PASSES_ON(device)                             \
  void Forward_##device(const vector<Blob<Dtype>*>& bottom,        \
                        const vector<Blob<Dtype>*>& top) override; \
  void Backward_##device(const vector<Blob<Dtype>*>& top,          \
                         const vector<bool>& propagate_down,       \
                         const vector<Blob<Dtype>*>& bottom) override

#define UL2Q_DEFINE_PASSES_ON(device, Device, Layer)                         \
  template <typename Dtype>                                                  \
  void Layer<Dtype>::Forward_##device(const vector<Blob<Dtype>*>& bottom,    \
                                      const vector<Blob<Dtype>*>& top) {     \
    this->template ForwardOn<Device>(bottom, top);                           \
  }                                                                          \
  template <typename Dtype>                                                  \
  void Layer<Dtype>::Backward_##device(const vector<Blob<Dtype>*>& top,      \
                                       const vector<bool>& propagate_down,   \
                                       const vector<Blob<Dtype>*>& bottom) { \
    this->template BackwardOn<Device>(top, propagate_down, bottom);          \
  }

#define UL2Q_DEFINE_CPU_PASSES(Layer)           \
  UL2Q_DEFINE_PASSES_ON(cpu, ul2q::Host, Layer) \
  template class Layer<float>;                  \
  template class Layer<double>

namespace caffe {

/// Enters a layer into Caffe's registry when its file is loaded, unless a layer
/// of this type is there: a Caffe that is built from a checkout with more
/// layers keeps its own.
///
///   const ForkLayer<PermuteLayer> registration("Permute");
template <template <typename> class NewLayer>
class ForkLayer {
 public:
  explicit ForkLayer(const std::string& type) {
    Register<float>(type);
    Register<double>(type);
  }

 private:
  template <typename Dtype>
  static void Register(const std::string& type) {
    LayerRegistry<Dtype>::Registry().emplace(type, &Create<Dtype>);
  }
  template <typename Dtype>
  static shared_ptr<Layer<Dtype>> Create(const LayerParameter& param) {
    return shared_ptr<Layer<Dtype>>(new NewLayer<Dtype>(param));
  }
};

}  // namespace caffe

#endif  // UL2Q_LAYERS_OF_FORKS_FORK_LAYER_HPP_
