#ifndef UL2Q_FLOAT_ENGINE_ENGINE_HPP_
#define UL2Q_FLOAT_ENGINE_ENGINE_HPP_

#include <string>

#include "caffe/layer_factory.hpp"
#include "caffe/proto/caffe.pb.h"

namespace caffe {

/// Whether a layer of these parameters computes by ul2q's own engine: not where
/// its `engine` is CAFFE or CUDNN, nor anywhere if the environment variable
/// UL2Q_ENGINE is CAFFE (read once).
bool UsesOwnEngine(const LayerParameter& param);

/// Puts `Own`, a subclass of BVLC's layer, in the place of that layer:
///
///   const OwnEngine<FastReLULayer> registration("ReLU");
///
/// BVLC's is made where the parameters ask for it. libcaffe, which registers
/// BVLC's layers, is loaded before this library.
template <template <typename> class Own>
class OwnEngine {
 public:
  explicit OwnEngine(const std::string& type) {
    Replace<float>(type);
    Replace<double>(type);
  }

 private:
  template <typename Dtype>
  static typename LayerRegistry<Dtype>::Creator& Bvlc() {
    static typename LayerRegistry<Dtype>::Creator creator = nullptr;
    return creator;
  }

  template <typename Dtype>
  static shared_ptr<Layer<Dtype>> Create(const LayerParameter& param) {
    return UsesOwnEngine(param)
               ? shared_ptr<Layer<Dtype>>(new Own<Dtype>(param))
               : Bvlc<Dtype>()(param);
  }

  template <typename Dtype>
  static void Replace(const std::string& type) {
    auto& creator = LayerRegistry<Dtype>::Registry().at(type);
    Bvlc<Dtype>() = creator;
    creator = &Create<Dtype>;
  }
};

}  // namespace caffe

#endif  // UL2Q_FLOAT_ENGINE_ENGINE_HPP_
