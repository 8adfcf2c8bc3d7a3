// ul2q/_core: the quantizers that the layers run, on NumPy arrays.

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>
#include <vector>

#include "ul2q/kernels/moments.hpp"
#include "ul2q/quantizer.hpp"

namespace py = pybind11;

namespace {

/// (values, codes, scale, shift, loss) of a C-contiguous array; ul2q.quantize
/// documents them.
template <typename Dtype>
py::tuple Quantize(const py::array_t<Dtype, py::array::c_style>& array,
                   int bits, const std::string& method,
                   const std::string& fit_name) {
  const auto quantizer = ul2q::MakeQuantizer<Dtype>(
      method, ul2q::QuantizerOptions{bits, ul2q::ParseFit(fit_name)});
  const std::vector<py::ssize_t> shape(array.shape(),
                                       array.shape() + array.ndim());
  py::array_t<Dtype> values(shape);
  py::array_t<std::int32_t> codes(shape);
  const Dtype* w = array.data();
  Dtype* values_out = values.mutable_data();
  std::int32_t* codes_out = codes.mutable_data();
  const std::int64_t n = array.size();
  ul2q::ScaleShift<Dtype> fit;
  double loss = 0;
  {
    const py::gil_scoped_release release;
    fit = quantizer->FitTo(w, n);
    quantizer->Encode(fit, w, n, codes_out);
    quantizer->Decode(fit, codes_out, n, values_out);
    loss = ul2q::MeanSquaredError(w, values_out, n);
  }
  return py::make_tuple(values, codes, static_cast<double>(fit.scale),
                        static_cast<double>(fit.shift), loss);
}

std::vector<std::string> MethodNames() {
  std::vector<std::string> names;
  for (const ul2q::Method* method : ul2q::Methods()) {
    names.emplace_back(method->name);
  }
  return names;
}

}  // namespace

PYBIND11_MODULE(_core, m) {
  m.doc() = "The quantizers that ul2q's Caffe layers run, on NumPy arrays.";
  m.attr("MIN_BITS") = ul2q::kMinBits;
  m.attr("MAX_BITS") = ul2q::kMaxBits;
  m.def("methods", &MethodNames,
        "Names of the methods, as quantize takes them.");
  m.def("quantize", &Quantize<float>, py::arg("array").noconvert(),
        py::arg("bits"), py::arg("method"), py::arg("fit"));
  m.def("quantize", &Quantize<double>, py::arg("array").noconvert(),
        py::arg("bits"), py::arg("method"), py::arg("fit"));
}
