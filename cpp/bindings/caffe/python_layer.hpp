#ifndef UL2Q_BINDINGS_CAFFE_PYTHON_LAYER_HPP_
#define UL2Q_BINDINGS_CAFFE_PYTHON_LAYER_HPP_

#include <pybind11/pybind11.h>

#include <string>
#include <vector>

#include "bindings/caffe/part.hpp"

namespace caffe {

/// A layer written in Python: `type: "Python"`.
///
/// python_param names a module and in it a subclass of caffe.Layer, whose
/// methods setup, reshape, forward and backward get the bottom and top blobs.
/// The layer keeps its Python object as long as the net lives; the object
/// refers to the net without keeping it.
class __attribute__((visibility("hidden"))) PythonLayer final
    : public Layer<Dtype> {
 public:
  /// Makes the layer and its Python object. Throws what the module or the
  /// class throw, ImportError, AttributeError or TypeError if there is none.
  static boost::shared_ptr<Layer<Dtype>> Make(const LayerParameter& param);

  explicit PythonLayer(const LayerParameter& param);
  ~PythonLayer() override;

  void LayerSetUp(const std::vector<Blob<Dtype>*>& bottom,
                  const std::vector<Blob<Dtype>*>& top) override;
  void Reshape(const std::vector<Blob<Dtype>*>& bottom,
               const std::vector<Blob<Dtype>*>& top) override;
  const char* type() const override { return "Python"; }

  /// The Python object. Needs the GIL.
  pybind11::object instance() const { return instance_; }

  /// "Layer 'name' (module.Class)".
  std::string Describe() const;

  /// Tells the layer its net, once that is complete. Needs the GIL.
  void set_net(const NetPtr& net) { *link_ = net; }

 protected:
  void Forward_cpu(const std::vector<Blob<Dtype>*>& bottom,
                   const std::vector<Blob<Dtype>*>& top) override;
  void Backward_cpu(const std::vector<Blob<Dtype>*>& top,
                    const std::vector<bool>& propagate_down,
                    const std::vector<Blob<Dtype>*>& bottom) override;

 private:
  pybind11::object FindClass() const;
  pybind11::list ToPython(const std::vector<Blob<Dtype>*>& blobs) const;
  template <typename... Args>
  void Call(const char* method, const Args&... args) const;

  NetLink link_;
  pybind11::object instance_;
};

/// Tells the Python layers of a complete net where they are. Needs the GIL.
void AdoptPythonLayers(const NetPtr& net);

/// Makes `type: "Python"` known to Caffe.
void RegisterPythonLayer();

}  // namespace caffe

#endif  // UL2Q_BINDINGS_CAFFE_PYTHON_LAYER_HPP_
