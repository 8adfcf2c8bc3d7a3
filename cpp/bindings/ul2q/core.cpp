// ul2q/_core: the quantizers that the layers run, on NumPy arrays.

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <functional>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "ul2q/core/channels.hpp"
#include "ul2q/core/kernels/moments.hpp"
#include "ul2q/core/method.hpp"

namespace py = pybind11;

namespace {

template <typename Value>
using Array = py::array_t<Value, py::array::c_style>;

std::vector<py::ssize_t> ShapeOf(const py::array& array) {
  return {array.shape(), array.shape() + array.ndim()};
}

/// The slices along `axis` as channels; absent: the array as one.
ul2q::ChannelLayout LayoutOf(const py::array& array, std::optional<int> axis) {
  if (!axis || array.size() == 0) {
    return ul2q::ChannelLayout::Whole(array.size());
  }
  const std::vector<py::ssize_t> shape = ShapeOf(array);
  const auto product = [](auto begin, auto end) {
    return std::accumulate(begin, end, std::int64_t{1}, std::multiplies<>());
  };
  return {1, product(shape.begin(), shape.begin() + *axis), shape[*axis],
          product(shape.begin() + *axis + 1, shape.end())};
}

template <typename Dtype>
Array<Dtype> ToArray(const std::vector<ul2q::ScaleShift<Dtype>>& fits,
                     Dtype ul2q::ScaleShift<Dtype>::* member) {
  Array<Dtype> array(static_cast<py::ssize_t>(fits.size()));
  Dtype* out = array.mutable_data();
  for (const ul2q::ScaleShift<Dtype>& fit : fits) {
    *out++ = fit.*member;
  }
  return array;
}

ul2q::QuantizerOptions OptionsOf(std::optional<int> bits,
                                 const std::string& fit,
                                 const std::optional<std::string>& shift,
                                 const std::string& rounding, bool is_signed) {
  ul2q::QuantizerOptions options;
  options.bits = bits;
  options.fit = ul2q::ParseFit(fit);
  if (shift) {
    options.shift = ul2q::ParseShift(*shift);
  }
  options.rounding = ul2q::ParseRounding(rounding);
  options.is_signed = is_signed;
  return options;
}

/// (values, codes, scales, shifts, code bits, mse) of a C-contiguous array;
/// ul2q.quantize documents them.
template <typename Dtype>
py::tuple Quantize(const Array<Dtype>& array, std::optional<int> axis,
                   const std::string& method, std::optional<int> bits,
                   const std::string& fit,
                   const std::optional<std::string>& shift,
                   const std::string& rounding, bool is_signed,
                   std::optional<std::uint64_t> seed) {
  const auto quantizer = ul2q::MakeQuantizer<Dtype>(
      method, OptionsOf(bits, fit, shift, rounding, is_signed));
  const ul2q::ChannelLayout layout = LayoutOf(array, axis);
  Array<Dtype> values(ShapeOf(array));
  Array<std::int32_t> codes(ShapeOf(array));
  const Dtype* w = array.data();
  Dtype* values_out = values.mutable_data();
  std::int32_t* codes_out = codes.mutable_data();
  std::vector<ul2q::ScaleShift<Dtype>> fits;
  double mse = 0;
  {
    const py::gil_scoped_release release;
    fits = ul2q::FitChannels(*quantizer, layout, w);
    ul2q::EncodeChannels(*quantizer, layout, fits, w, seed, codes_out);
    ul2q::DecodeChannels(*quantizer, layout, fits, codes_out, values_out);
    mse = ul2q::MeanSquaredError(w, values_out, layout.size());
  }
  return py::make_tuple(values, codes,
                        ToArray(fits, &ul2q::ScaleShift<Dtype>::scale),
                        ToArray(fits, &ul2q::ScaleShift<Dtype>::shift),
                        quantizer->code_bits(), mse);
}

template <typename Dtype>
void CheckCodes(const ul2q::Quantizer<Dtype>& quantizer,
                const std::string& method, const std::int32_t* codes,
                std::int64_t n) {
  const std::int32_t lowest = quantizer.lowest_code();
  const std::int32_t highest = quantizer.highest_code();
  // Else only the ends are codes: -1 and 1 of one bit.
  const bool has_between = highest - lowest < 1 << quantizer.code_bits();
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int32_t code = codes[i];
    if (code == lowest || code == highest ||
        (has_between && lowest < code && code < highest)) {
      continue;
    }
    throw py::value_error(
        "codes holds " + std::to_string(code) + " at element " +
        std::to_string(i) + "; the codes of method " + method + " are " +
        std::to_string(lowest) + (has_between ? " to " : " and ") +
        std::to_string(highest));
  }
}

/// The values of codes; `scales` and `shifts` have an element a channel.
template <typename Dtype>
Array<Dtype> Dequantize(const Array<std::int32_t>& codes,
                        const Array<Dtype>& scales, const Array<Dtype>& shifts,
                        std::optional<int> axis, const std::string& method,
                        std::optional<int> bits, bool is_signed) {
  ul2q::QuantizerOptions options;
  options.bits = bits;
  options.is_signed = is_signed;
  const auto quantizer = ul2q::MakeQuantizer<Dtype>(method, options);
  const ul2q::ChannelLayout layout = LayoutOf(codes, axis);
  for (const py::ssize_t size : {scales.size(), shifts.size()}) {
    if (size != layout.channel_count()) {
      throw py::value_error("scale and shift must have an element a channel");
    }
  }
  const std::int32_t* in = codes.data();
  CheckCodes(*quantizer, method, in, layout.size());
  std::vector<ul2q::ScaleShift<Dtype>> fits(layout.channel_count());
  for (std::size_t channel = 0; channel < fits.size(); ++channel) {
    fits[channel].scale = scales.data()[channel];
    fits[channel].shift = shifts.data()[channel];
  }
  Array<Dtype> values(ShapeOf(codes));
  Dtype* out = values.mutable_data();
  const py::gil_scoped_release release;
  ul2q::DecodeChannels(*quantizer, layout, fits, in, out);
  return values;
}

/// The registry as dictionaries, ordered by name.
std::vector<py::dict> MethodTable() {
  std::vector<py::dict> table;
  for (const ul2q::Method* method : ul2q::Methods()) {
    py::dict row;
    row["name"] = method->name;
    row["summary"] = method->summary;
    row["levels"] = method->levels;
    row["min_bits"] = method->min_bits;
    row["max_bits"] = method->max_bits;
    row["has_paper_fit"] = method->has_paper_fit;
    row["has_mean_shift"] = method->has_mean_shift;
    row["has_stochastic_rounding"] = method->has_stochastic_rounding;
    row["has_unsigned"] = method->has_unsigned;
    table.push_back(std::move(row));
  }
  return table;
}

template <typename Dtype>
void DefineFor(py::module_& m) {
  m.def("quantize", &Quantize<Dtype>, py::arg("array").noconvert(),
        py::arg("axis"), py::arg("method"), py::arg("bits"), py::arg("fit"),
        py::arg("shift"), py::arg("rounding"), py::arg("signed"),
        py::arg("seed"));
  m.def("dequantize", &Dequantize<Dtype>, py::arg("codes").noconvert(),
        py::arg("scales").noconvert(), py::arg("shifts").noconvert(),
        py::arg("axis"), py::arg("method"), py::arg("bits"), py::arg("signed"));
}

}  // namespace

PYBIND11_MODULE(_core, m) {
  m.doc() = "The quantizers that ul2q's Caffe layers run, on NumPy arrays.";
  m.attr("MIN_BITS") = ul2q::kMinBits;
  m.attr("MAX_BITS") = ul2q::kMaxBits;
  m.def("method_table", &MethodTable, "What each method is and takes.");
  DefineFor<float>(m);
  DefineFor<double>(m);
}
