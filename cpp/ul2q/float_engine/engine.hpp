#ifndef UL2Q_FLOAT_ENGINE_ENGINE_HPP_
#define UL2Q_FLOAT_ENGINE_ENGINE_HPP_

#include <string>
#include <vector>

#include "caffe/layer_factory.hpp"
#include "caffe/net.hpp"
#include "caffe/proto/caffe.pb.h"

namespace caffe {

/// Whether a layer of these parameters is a fast one. The environment variable
/// UL2Q_ENGINE decides it, which is read once: CAFFE, for none; FAST, for all;
/// unset or empty, for those whose `engine` is neither CAFFE nor CUDNN.
bool UsesFastEngine(const LayerParameter& param);

/// The names of the layers that would be fast ones but for `engine: CAFFE`,
/// with which published nets keep away from cuDNN.
template <typename Dtype>
vector<std::string> LayersWithEngineCaffe(const Net<Dtype>& net);

/// Enters into the engine table who makes the fast layers of a type, and puts
/// the table in the place of BVLC's creator in Caffe's registry. BVLC's layer
/// is made where the parameters ask for it.
///
/// libcaffe, which registers BVLC's layers, is loaded before this library.
template <typename Dtype>
void AddFastLayer(const std::string& type,
                  typename LayerRegistry<Dtype>::Creator fast);

/// Does that for `Fast`, a subclass of BVLC's layer, when its file is loaded:
///
///   const FastLayer<FastReLULayer> registration("ReLU");
template <template <typename> class Fast>
class FastLayer {
 public:
  explicit FastLayer(const std::string& type) {
    AddFastLayer<float>(type, &Create<float>);
    AddFastLayer<double>(type, &Create<double>);
  }

 private:
  template <typename Dtype>
  static shared_ptr<Layer<Dtype>> Create(const LayerParameter& param) {
    return shared_ptr<Layer<Dtype>>(new Fast<Dtype>(param));
  }
};

}  // namespace caffe

#endif  // UL2Q_FLOAT_ENGINE_ENGINE_HPP_
