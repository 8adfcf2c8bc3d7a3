#ifndef UL2Q_SUPPORT_LAYER_SCOPE_HPP_
#define UL2Q_SUPPORT_LAYER_SCOPE_HPP_

#include <string>

namespace caffe {
class LayerParameter;
}

namespace ul2q {

/// While it lives, a CaffeError of this thread names the layer: its message
/// begins with "Layer 'conv1' (Convolution): ".
///
/// Scopes nest. A layer within a layer is named after the one around it; where
/// both have one name (the Softmax within a SoftmaxWithLoss) the outer one
/// stands for both.
class LayerScope {
 public:
  /// `layer` must outlive the scope.
  explicit LayerScope(const caffe::LayerParameter& layer);
  ~LayerScope();
  LayerScope(const LayerScope&) = delete;
  LayerScope& operator=(const LayerScope&) = delete;

  /// `message` behind the names of the layers that this thread is in, unless
  /// it begins with the innermost one already.
  static std::string Describe(const std::string& message);

 private:
  const caffe::LayerParameter& layer_;
  const LayerScope* const around_;
};

}  // namespace ul2q

#endif  // UL2Q_SUPPORT_LAYER_SCOPE_HPP_
