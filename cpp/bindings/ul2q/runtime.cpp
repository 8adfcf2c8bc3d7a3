// ul2q/_runtime: graphs put together and run; python/ul2q/runtime makes them of
// nets.

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ul2q/runtime/graph.hpp"
#include "ul2q/runtime/model.hpp"

namespace py = pybind11;

namespace {

namespace rt = ul2q::runtime;

template <typename Value>
using Array = py::array_t<Value, py::array::c_style>;
using Extents = std::pair<std::int64_t, std::int64_t>;

template <typename Value>
std::vector<Value> ToVector(const Array<Value>& array) {
  return {array.data(), array.data() + array.size()};
}

rt::Pair ToPair(const Extents& extents) {
  return {extents.first, extents.second};
}

rt::Weights Integers(const Array<std::int8_t>& integers,
                     const Array<double>& step, const Array<double>& shift) {
  rt::Weights weights;
  weights.integers = ToVector(integers);
  weights.step = ToVector(step);
  weights.shift = ToVector(shift);
  return weights;
}

rt::Weights Floats(const Array<float>& values) {
  rt::Weights weights;
  weights.values = ToVector(values);
  return weights;
}

rt::Function::Kind FunctionKind(const std::string& name) {
  using Kind = rt::Function::Kind;
  const std::pair<const char*, Kind> kinds[] = {{"relu", Kind::kRelu},
                                                {"elu", Kind::kElu},
                                                {"sigmoid", Kind::kSigmoid},
                                                {"tanh", Kind::kTanh},
                                                {"swish", Kind::kSwish},
                                                {"abs", Kind::kAbs},
                                                {"power", Kind::kPower},
                                                {"exp", Kind::kExp},
                                                {"log", Kind::kLog},
                                                {"softplus", Kind::kSoftplus},
                                                {"threshold", Kind::kThreshold},
                                                {"clip", Kind::kClip},
                                                {"sign", Kind::kSign},
                                                {"ternary", Kind::kTernary}};
  for (const auto& [known, kind] : kinds) {
    if (name == known) {
      return kind;
    }
  }
  throw rt::ModelError("there is no function '" + name + "'");
}

rt::Combination::Kind CombinationKind(const std::string& name) {
  using Kind = rt::Combination::Kind;
  const std::pair<const char*, Kind> kinds[] = {{"sum", Kind::kSum},
                                                {"product", Kind::kProduct},
                                                {"maximum", Kind::kMaximum}};
  for (const auto& [known, kind] : kinds) {
    if (name == known) {
      return kind;
    }
  }
  throw rt::ModelError("there is no combination '" + name + "'");
}

/// An operation as Python holds it; a variant itself would be converted.
struct Operation {
  rt::Op op;
};

/// Puts a graph together, node after node.
class Builder {
 public:
  int Input(const std::string& name, const std::vector<std::int64_t>& shape,
            bool is_bytes) {
    const int tensor = AddTensor(name, shape);
    graph_.tensors.back().is_bytes = is_bytes;
    graph_.inputs.push_back(tensor);
    return tensor;
  }

  /// A node of any operation; the tensor that it makes.
  int Add(const std::string& name, const Operation& operation,
          std::vector<int> inputs, const std::string& output,
          const std::vector<std::int64_t>& shape) {
    const int tensor = AddTensor(output, shape);
    graph_.nodes.push_back({name, operation.op, std::move(inputs), tensor});
    return tensor;
  }

  std::unique_ptr<rt::Model> Build(const std::vector<int>& outputs) const {
    rt::Graph graph = graph_;
    graph.outputs = outputs;
    return std::make_unique<rt::Model>(graph);
  }

 private:
  int AddTensor(const std::string& name,
                const std::vector<std::int64_t>& shape) {
    graph_.tensors.push_back({name, shape, false});
    return static_cast<int>(graph_.tensors.size()) - 1;
  }

  rt::Graph graph_;
};

/// Calls run(inputs, outputs) without the interpreter's lock.
template <typename Run>
std::vector<Array<float>> WithArrays(const rt::Model& model,
                                     const std::vector<py::array>& inputs,
                                     std::int64_t items, const Run& run) {
  if (inputs.size() != model.inputs().size()) {
    throw rt::ModelError("there must be " +
                         std::to_string(model.inputs().size()) + " inputs");
  }
  std::vector<const void*> from;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const rt::Tensor& input = model.inputs()[i];
    if (items < 0 || inputs[i].size() != items * input.count()) {
      throw rt::ModelError("input '" + input.name +
                           "' has another number of elements");
    }
    if (input.is_bytes ? !Array<std::uint8_t>::check_(inputs[i])
                       : !Array<float>::check_(inputs[i])) {
      throw rt::ModelError("input '" + input.name + "' must be of " +
                           (input.is_bytes ? "uint8" : "float32"));
    }
    from.push_back(inputs[i].data());
  }
  std::vector<Array<float>> outputs;
  std::vector<float*> to;
  for (const rt::Tensor& tensor : model.outputs()) {
    std::vector<py::ssize_t> shape = {static_cast<py::ssize_t>(items)};
    shape.insert(shape.end(), tensor.shape.begin(), tensor.shape.end());
    outputs.emplace_back(shape);
    to.push_back(outputs.back().mutable_data());
  }
  const py::gil_scoped_release release;
  run(from, to);
  return outputs;
}

std::vector<Array<float>> Run(const rt::Model& model,
                              const std::vector<py::array>& inputs,
                              std::int64_t items, int threads) {
  return WithArrays(model, inputs, items,
                    [&](const auto& from, const auto& to) {
                      model.Run(items, from, to, threads);
                    });
}

std::vector<double> TimeSteps(const rt::Model& model,
                              const std::vector<py::array>& inputs,
                              std::int64_t items, int threads) {
  std::vector<double> seconds;
  WithArrays(model, inputs, items, [&](const auto& from, const auto& to) {
    seconds = model.RunTimed(items, from, to, threads);
  });
  return seconds;
}

std::vector<std::pair<std::string, std::vector<std::int64_t>>> Told(
    const std::vector<rt::Tensor>& tensors) {
  std::vector<std::pair<std::string, std::vector<std::int64_t>>> told;
  for (const rt::Tensor& tensor : tensors) {
    told.emplace_back(tensor.name, tensor.shape);
  }
  return told;
}

/// The operations, each as a function that makes one.
void DefineOps(py::module_& m) {
  py::class_<Operation>(m, "Op");
  m.def(
      "convolution",
      [](const rt::Weights& weights, const std::vector<double>& bias,
         std::int64_t outputs, const Extents& kernel, const Extents& stride,
         const Extents& pad, const Extents& dilation, std::int64_t group) {
        return Operation{rt::Convolution{weights, bias, outputs, ToPair(kernel),
                                         ToPair(stride), ToPair(pad),
                                         ToPair(dilation), group}};
      },
      py::arg("weights"), py::arg("bias"), py::arg("outputs"),
      py::arg("kernel"), py::arg("stride"), py::arg("pad"), py::arg("dilation"),
      py::arg("group"));
  m.def(
      "inner_product",
      [](const rt::Weights& weights, const std::vector<double>& bias,
         std::int64_t outputs) {
        return Operation{rt::InnerProduct{weights, bias, outputs}};
      },
      py::arg("weights"), py::arg("bias"), py::arg("outputs"));
  m.def(
      "pooling",
      [](bool is_max, const Extents& kernel, const Extents& stride,
         const Extents& pad, const Extents& output) {
        return Operation{rt::Pooling{is_max, ToPair(kernel), ToPair(stride),
                                     ToPair(pad), ToPair(output)}};
      },
      py::arg("is_max"), py::arg("kernel"), py::arg("stride"), py::arg("pad"),
      py::arg("output"));
  m.def(
      "affine",
      [](const std::vector<float>& scale, const std::vector<float>& shift) {
        return Operation{rt::Affine{scale, shift}};
      },
      py::arg("scale"), py::arg("shift"));
  m.def(
      "function",
      [](const std::string& kind, float a, float b, float c) {
        return Operation{rt::Function{FunctionKind(kind), a, b, c}};
      },
      py::arg("kind"), py::arg("a") = 0.0f, py::arg("b") = 0.0f,
      py::arg("c") = 0.0f);
  m.def(
      "prelu",
      [](const std::vector<float>& slopes) {
        return Operation{rt::PRelu{slopes}};
      },
      py::arg("slopes"));
  m.def(
      "combination",
      [](const std::string& kind, const std::vector<float>& coefficients) {
        return Operation{rt::Combination{CombinationKind(kind), coefficients}};
      },
      py::arg("kind"), py::arg("coefficients") = std::vector<float>());
  m.def(
      "concat", [](int axis) { return Operation{rt::Concat{axis}}; },
      py::arg("axis"));
  m.def("reshape", [] { return Operation{rt::Reshape{}}; });
  m.def(
      "softmax", [](int axis) { return Operation{rt::Softmax{axis}}; },
      py::arg("axis"));
  m.def(
      "lrn",
      [](bool within_channel, int size, float alpha, float beta, float k) {
        return Operation{rt::Lrn{within_channel, size, alpha, beta, k}};
      },
      py::arg("within_channel"), py::arg("size"), py::arg("alpha"),
      py::arg("beta"), py::arg("k") = 1.0f);
  m.def(
      "quantize",
      [](float scale, float shift, float offset, int lowest, int highest) {
        return Operation{rt::Quantize{scale, shift, offset, lowest, highest}};
      },
      py::arg("scale"), py::arg("shift"), py::arg("offset"), py::arg("lowest"),
      py::arg("highest"));
}

}  // namespace

PYBIND11_MODULE(_runtime, m) {
  m.doc() = "Nets in integers, without Caffe; ul2q.compile makes them.";
  py::register_exception<rt::ModelError>(m, "ModelError", PyExc_ValueError);
  py::class_<rt::Weights>(m, "Weights");
  m.def("integers", &Integers, py::arg("integers").noconvert(),
        py::arg("step").noconvert(), py::arg("shift").noconvert());
  m.def("floats", &Floats, py::arg("values").noconvert());
  DefineOps(m);
  py::class_<Builder>(m, "Builder")
      .def(py::init<>())
      .def("input", &Builder::Input, py::arg("name"), py::arg("shape"),
           py::arg("is_bytes") = false)
      .def("add", &Builder::Add, py::arg("name"), py::arg("op"),
           py::arg("inputs"), py::arg("output"), py::arg("shape"))
      .def("build", &Builder::Build, py::arg("outputs"));
  py::class_<rt::Model>(m, "Model")
      .def("run", &Run, py::arg("inputs"), py::arg("items"), py::arg("threads"))
      .def("time_steps", &TimeSteps, py::arg("inputs"), py::arg("items"),
           py::arg("threads"))
      .def_property_readonly(
          "inputs", [](const rt::Model& model) { return Told(model.inputs()); })
      .def_property_readonly(
          "outputs",
          [](const rt::Model& model) { return Told(model.outputs()); })
      .def_property_readonly("steps", &rt::Model::steps)
      .def_property_readonly("item_bytes", &rt::Model::item_bytes);
  m.def("instruction_sets", &rt::InstructionSets);
  m.def("use_instruction_set", &rt::UseInstructionSet, py::arg("name"));
}
