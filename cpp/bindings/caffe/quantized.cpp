#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <string>
#include <vector>

#include "bindings/caffe/bindings.hpp"
#include "bindings/caffe/settings.hpp"
#include "ul2q/core/channels.hpp"
#include "ul2q/core/kernels/moments.hpp"
#include "ul2q/layers/packed_values.hpp"
#include "ul2q/layers/quantized_activation_layer.hpp"
#include "ul2q/layers/quantized_blob.hpp"

namespace py = pybind11;

namespace caffe {
namespace {

/// A parameter blob as its layer quantises it.
struct QuantizedView {
  std::string field;
  int index;
  py::array_t<Dtype> values;
  py::array_t<std::int32_t> codes;
  py::object scale;
  py::object shift;
  int bits;
  std::int32_t lowest_code;
  std::int32_t highest_code;
  double mse;
  bool is_packed;
};

using Fits = std::vector<ul2q::ScaleShift<Dtype>>;

/// A float for the whole blob; for channels an array that broadcasts to the
/// blob's shape.
py::object ToPython(const Fits& fits, Dtype ul2q::ScaleShift<Dtype>::* member,
                    const ul2q::ChannelLayout& layout, std::size_t axes) {
  if (layout.channel_count() == 1) {
    return py::float_(fits.front().*member);
  }
  // Rows of channels; those of a group serve all its outer slices.
  const std::int64_t repeats = layout.groups > 1 ? layout.outer : 1;
  std::vector<py::ssize_t> shape(axes, 1);
  shape[0] = layout.groups * repeats;
  if (axes > 1) {
    shape[1] = layout.channels;
  }
  py::array_t<Dtype> array(shape);
  Dtype* out = array.mutable_data();
  for (std::int64_t group = 0; group < layout.groups; ++group) {
    for (std::int64_t repeat = 0; repeat < repeats; ++repeat) {
      for (std::int64_t channel = 0; channel < layout.channels; ++channel) {
        *out++ = fits[group * layout.channels + channel].*member;
      }
    }
  }
  return array;
}

QuantizedView View(const QuantizedBlob<Dtype>& blob) {
  const std::vector<py::ssize_t> shape(blob.master->shape().begin(),
                                       blob.master->shape().end());
  QuantizedView view;
  view.field = blob.field;
  view.values = py::array_t<Dtype>(shape);
  view.codes = py::array_t<std::int32_t>(shape);
  Dtype* values = view.values.mutable_data();
  std::int32_t* codes = view.codes.mutable_data();
  const Dtype* w = blob.master->cpu_data();
  Fits fits;
  {
    const CaffeCall call;
    if (blob.packed != nullptr) {
      fits = blob.packed->fits();
      blob.packed->Codes(0, blob.layout.size(), codes);
    } else {
      fits = ul2q::FitChannels(*blob.quantizer, blob.layout, w);
      ul2q::EncodeChannels(*blob.quantizer, blob.layout, fits, w, {}, codes);
    }
    ul2q::DecodeChannels(*blob.quantizer, blob.layout, fits, codes, values);
    view.mse = ul2q::MeanSquaredError(w, values, blob.layout.size());
  }
  view.scale = ToPython(fits, &ul2q::ScaleShift<Dtype>::scale, blob.layout,
                        shape.size());
  view.shift = ToPython(fits, &ul2q::ScaleShift<Dtype>::shift, blob.layout,
                        shape.size());
  view.bits = blob.quantizer->code_bits();
  view.lowest_code = blob.quantizer->lowest_code();
  view.highest_code = blob.quantizer->highest_code();
  view.is_packed = blob.packed != nullptr;
  return view;
}

int IndexOf(Layer<Dtype>& layer, const Blob<Dtype>* blob) {
  const auto found = std::find_if(
      layer.blobs().begin(), layer.blobs().end(),
      [blob](const auto& candidate) { return candidate.get() == blob; });
  return static_cast<int>(found - layer.blobs().begin());
}

std::vector<QuantizedView> QuantizedBlobs(const LayerPart& self) {
  const auto layer = self.Get();
  std::vector<QuantizedView> views;
  if (const auto* quantized =
          dynamic_cast<const HasQuantizedBlobs<Dtype>*>(layer.get())) {
    for (const QuantizedBlob<Dtype>& blob : quantized->quantized_blobs()) {
      try {
        views.push_back(View(blob));
        views.back().index = IndexOf(*layer, blob.master);
      } catch (const ul2q::NonFiniteError& error) {
        throw py::value_error("layer '" + layer->layer_param().name() +
                              "': the " + blob.field + " blob " + error.what());
      }
    }
  }
  return views;
}

using Activation = QuantizedActivation<Dtype>;

std::optional<Activation> LastActivation(const LayerPart& self) {
  const auto layer = self.Get();
  const auto* quantized =
      dynamic_cast<const HasQuantizedActivation<Dtype>*>(layer.get());
  return quantized == nullptr ? std::nullopt
                              : quantized->quantized_activation();
}

void GatherAverages(const LayerPart& self, bool on) {
  const auto layer = self.Get();
  auto* quantized = dynamic_cast<QuantizedActivationLayer<Dtype>*>(layer.get());
  if (quantized == nullptr) {
    throw py::type_error("layer '" + layer->layer_param().name() + "' is a " +
                         layer->type() +
                         "; only a QuantizedActivation has averages to gather");
  }
  quantized->gather_averages(on);
}

}  // namespace

void BindQuantized(py::module_* m) {
  py::class_<QuantizedView>(
      *m, "QuantizedBlob",
      "A parameter blob as its layer quantises it; all of it is copied.")
      .def_readonly("field", &QuantizedView::field,
                    "Of quantization_param: \"weight\" or \"bias\".")
      .def_readonly("index", &QuantizedView::index,
                    "Of the float blob in the layer's blobs.")
      .def_readonly("values", &QuantizedView::values,
                    "What the layer computes with, float32, shaped as the "
                    "blob.")
      .def_readonly("codes", &QuantizedView::codes,
                    "int32, shaped as the blob.")
      .def_readonly("scale", &QuantizedView::scale,
                    "A float; with granularity CHANNEL an array that "
                    "broadcasts to the blob's shape.")
      .def_readonly("shift", &QuantizedView::shift, "As scale.")
      .def_readonly("bits", &QuantizedView::bits, "Bits a code.")
      .def_readonly("lowest_code", &QuantizedView::lowest_code,
                    "The smallest code that there is.")
      .def_readonly("highest_code", &QuantizedView::highest_code,
                    "The largest code that there is.")
      .def_readonly("is_packed", &QuantizedView::is_packed,
                    "Whether codes, scale and shift are those of a packed file "
                    "that was loaded, not of a fit to the float blob.")
      .def_readonly("loss", &QuantizedView::mse,
                    "Mean squared error of the values.")
      .def("__repr__", [](const QuantizedView& view) {
        return "<caffe.QuantizedBlob " + view.field + ", " +
               std::to_string(view.bits) + " bits>";
      });
  py::class_<Activation>(
      *m, "QuantizedActivation",
      "How a QuantizedActivation layer quantised in its last forward pass.")
      .def_property_readonly(
          "scale", [](const Activation& self) { return self.fit.scale; },
          "The scale that was used.")
      .def_property_readonly(
          "shift", [](const Activation& self) { return self.fit.shift; },
          "The shift that was used.")
      .def_property_readonly(
          "lowest", [](const Activation& self) { return self.levels.lowest; },
          "The lowest level that a value could get.")
      .def_property_readonly(
          "highest", [](const Activation& self) { return self.levels.highest; },
          "The highest level that a value could get.")
      .def_readonly("bits", &Activation::bits, "Bits a code.");
  const py::object layer_class = m->attr("Layer");
  layer_class.attr("quantized_activation") = py::cpp_function(
      &LastActivation, py::name("quantized_activation"),
      py::is_method(layer_class),
      "How the layer quantised its top in its last forward pass; None if "
      "there was none, or for any but a QuantizedActivation layer.");
  layer_class.attr("gather_averages") = py::cpp_function(
      &GatherAverages, py::name("gather_averages"), py::is_method(layer_class),
      py::arg("on"),
      "Whether forward passes in phase TEST, too, add what fits their batch to "
      "the averages of a QuantizedActivation layer. "
      "ul2q.gather_activation_averages does all that is needed.");
  layer_class.attr("quantized_blobs") = py::cpp_function(
      &QuantizedBlobs, py::name("quantized_blobs"), py::is_method(layer_class),
      "The parameters that the layer quantises, as they are now (rounded to "
      "the nearest where training rounds at random); none for a float layer.");
}

}  // namespace caffe
