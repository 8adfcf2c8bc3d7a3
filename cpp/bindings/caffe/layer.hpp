#ifndef UL2Q_BINDINGS_CAFFE_LAYER_HPP_
#define UL2Q_BINDINGS_CAFFE_LAYER_HPP_

#include <pybind11/pybind11.h>

#include "bindings/caffe/part.hpp"

namespace caffe {

/// What the constructor of a Python layer's class is given: Python's
/// LayerParameter.
struct NewLayer {
  LayerPart layer;
};

/// The layers of a net for Python: its own object for a Python layer, a Layer
/// that keeps the net for any other.
pybind11::list LayersOf(const NetPtr& net);

}  // namespace caffe

#endif  // UL2Q_BINDINGS_CAFFE_LAYER_HPP_
