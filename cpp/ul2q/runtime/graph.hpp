#ifndef UL2Q_RUNTIME_GRAPH_HPP_
#define UL2Q_RUNTIME_GRAPH_HPP_

#include <cstdint>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

namespace ul2q {
namespace runtime {

/// A graph that cannot be run, or an input that does not fit; the message names
/// the layer or the input.
class ModelError : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

/// Trained weights of N outputs × K inputs each, as integers or as floats. An
/// integer u of output n stands for the value step[n] · u + shift[n].
struct Weights {
  std::vector<std::int8_t> integers;  ///< N × K; empty: they are floats
  std::vector<double> step, shift;    ///< of each output; with integers
  std::vector<float> values;          ///< N × K; empty: they are integers

  bool are_integers() const { return !integers.empty(); }
  double Value(std::int64_t output, std::int64_t i, std::int64_t inputs) const {
    const std::int64_t at = output * inputs + i;
    return are_integers() ? step[output] * integers[at] + shift[output]
                          : values[at];
  }
};

/// Of height and width.
struct Pair {
  std::int64_t height = 0, width = 0;
};

/// A two-dimensional convolution; weights N × C/group × height × width.
struct Convolution {
  Weights weights;
  std::vector<double> bias;  ///< of each output
  std::int64_t outputs = 0;
  Pair kernel, stride, pad, dilation;
  std::int64_t group = 1;
};

/// y = W x + b of an item's elements in their order.
struct InnerProduct {
  Weights weights;
  std::vector<double> bias;  ///< of each output
  std::int64_t outputs = 0;
};

/// The maximum or the mean of windows, by Caffe's rules: the size of the output
/// is given, and a mean divides by what of the window lies in the padded input.
struct Pooling {
  bool is_max = true;
  Pair kernel, stride, pad, output;
};

/// y = scale x + shift; a number for each channel, or one for all.
struct Affine {
  std::vector<float> scale, shift;
};

/// A function of one element.
struct Function {
  enum class Kind {
    kRelu,       ///< max(x, 0) + a min(x, 0)
    kElu,        ///< x above 0, a (e^x - 1) below
    kSigmoid,    ///< 1 / (1 + e^-x)
    kTanh,       ///< the hyperbolic tangent
    kSwish,      ///< x / (1 + e^(-a x))
    kAbs,        ///< |x|
    kPower,      ///< (b x + c)^a
    kExp,        ///< b e^(a x)
    kLog,        ///< a ln(b x + c)
    kSoftplus,   ///< ln(1 + e^x)
    kThreshold,  ///< 1 above a, else 0
    kClip,       ///< x, no less than a and no more than b
    kSign,       ///< -a below 0, else a
    kTernary     ///< -a below -b, a above b, else 0
  };
  Kind kind = Kind::kRelu;
  float a = 0, b = 0, c = 0;
};

/// max(x, 0) + slope min(x, 0), with a slope for each channel or one for all.
struct PRelu {
  std::vector<float> slopes;
};

/// Of inputs of one shape, element by element.
struct Combination {
  enum class Kind { kSum, kProduct, kMaximum };
  Kind kind = Kind::kSum;
  std::vector<float> coefficients;  ///< of the sum's inputs
};

/// The inputs one behind the other along an axis of an item, 0 that of
/// channels.
struct Concat {
  int axis = 0;
};

/// The same elements in another shape.
struct Reshape {};

/// e^x over its sum along an axis of an item.
struct Softmax {
  int axis = 0;
};

/// x (k + alpha/size Σ x²)^-beta, the sum over `size` neighbouring channels, or
/// over a window of size × size, which is then divided by its part in the image
/// and a border of (size - 1)/2 around it.
struct Lrn {
  bool within_channel = false;
  int size = 0;
  float alpha = 0, beta = 0, k = 1;
};

/// The nearest of the levels scale (code - offset) + shift, for codes from
/// lowest to highest, 256 of them at most; half away from zero.
struct Quantize {
  float scale = 0, shift = 0, offset = 0;
  int lowest = 0, highest = 0;
};

using Op =
    std::variant<Convolution, InnerProduct, Pooling, Affine, Function, PRelu,
                 Combination, Concat, Reshape, Softmax, Lrn, Quantize>;

struct Node {
  std::string name;  ///< of the layer, for messages
  Op op;
  std::vector<int> inputs;  ///< tensors by their index
  int output = 0;
};

/// What a tensor holds for one item of the batch, in Caffe's order: channels,
/// height and width of images.
struct Tensor {
  std::string name;
  std::vector<std::int64_t> shape;
  bool is_bytes = false;  ///< of an input: uint8, else float32

  std::int64_t count() const {
    std::int64_t count = 1;
    for (const std::int64_t extent : shape) {
      count *= extent;
    }
    return count;
  }
};

/// A net for inference: each node stands behind those that it reads from.
struct Graph {
  std::vector<Tensor> tensors;
  std::vector<Node> nodes;
  std::vector<int> inputs, outputs;  ///< tensors by their index
};

}  // namespace runtime
}  // namespace ul2q

#endif  // UL2Q_RUNTIME_GRAPH_HPP_
