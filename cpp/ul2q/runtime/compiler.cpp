#include "ul2q/runtime/compiler.hpp"

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <limits>
#include <optional>
#include <utility>

#include "ul2q/runtime/kernels/depthwise.hpp"
#include "ul2q/runtime/memory_plan.hpp"
#include "ul2q/runtime/steps/combination.hpp"
#include "ul2q/runtime/steps/conversion.hpp"
#include "ul2q/runtime/steps/convolution.hpp"
#include "ul2q/runtime/steps/elementwise.hpp"
#include "ul2q/runtime/steps/inner_product.hpp"
#include "ul2q/runtime/steps/pooling.hpp"
#include "ul2q/runtime/validation.hpp"

namespace ul2q {
namespace runtime {
namespace {

constexpr int kNone = -1;
constexpr std::int64_t kLine = 64;  ///< of the cache, in bytes

/// In what forms a tensor is there: arrays by their number.
struct Forms {
  int plain = kNone;    ///< floats in Caffe's order
  int image = kNone;    ///< floats, pixel after pixel
  int bytes = kNone;    ///< codes in Caffe's order
  int codes = kNone;    ///< codes, pixel after pixel
  Coding coding;        ///< of the codes and bytes
  int same_as = kNone;  ///< a tensor that has the same elements in this order
};

/// An array that is to be planned.
struct Buffer {
  Image image;
  bool is_codes = false;
  Place place;
  int first = std::numeric_limits<int>::max(), last = kNone;  ///< steps

  std::int64_t bytes() const {
    return is_codes ? image.count()
                    : image.count() * static_cast<std::int64_t>(sizeof(float));
  }
};

/// Images are as high and wide as a tensor's; other tensors are one pixel.
Image ImageOf(const Tensor& tensor) {
  const std::vector<std::int64_t>& shape = tensor.shape;
  return shape.size() == 3 ? Image::Of(shape[0], shape[1], shape[2])
                           : Image::Of(tensor.count(), 1, 1);
}

/// Elements one behind the other.
Image PlainOf(const Tensor& tensor) {
  Image image = Image::Of(tensor.count(), 1, 1);
  image.channel_stride = image.channels;
  return image;
}

class Compiler {
 public:
  explicit Compiler(const Graph& graph)
      : graph_(graph),
        forms_(graph.tensors.size()),
        readers_(graph.tensors.size()),
        output_(graph.tensors.size(), kNone),
        is_done_(graph.nodes.size(), false) {}

  Program Run() {
    for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
      for (const int tensor : graph_.nodes[i].inputs) {
        readers_[tensor].push_back(static_cast<int>(i));
      }
    }
    for (std::size_t i = 0; i < graph_.outputs.size(); ++i) {
      output_[graph_.outputs[i]] = static_cast<int>(i);
    }
    for (std::size_t i = 0; i < graph_.inputs.size(); ++i) {
      const int tensor = graph_.inputs[i];
      const bool is_bytes = TensorOf(tensor).is_bytes;
      const int array = NewArray(PlainOf(TensorOf(tensor)), is_bytes);
      Forms& forms = forms_[tensor];
      if (is_bytes) {
        forms.bytes = array;
        forms.coding = {1, 0, 255, {}};
      } else {
        forms.plain = array;
      }
      buffers_.back().place.kind = Place::Kind::kInput;
      buffers_.back().place.index = static_cast<int>(i);
    }
    for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
      if (!is_done_[i]) {
        const Node& node = graph_.nodes[i];
        std::visit([&](const auto& op) { Lower(node, op); }, node.op);
      }
    }
    for (const int tensor : graph_.outputs) {
      StoreOutput(tensor);
    }
    return Finished();
  }

 private:
  /// Makes a step when all arrays are planned.
  using Maker = std::function<std::unique_ptr<Step>()>;

  int NewArray(const Image& image, bool is_codes) {
    Buffer buffer;
    buffer.image = image;
    buffer.is_codes = is_codes;
    buffers_.push_back(buffer);
    return static_cast<int>(buffers_.size()) - 1;
  }

  void Add(const std::string& told, const std::vector<int>& arrays,
           Maker maker) {
    const auto step = static_cast<int>(makers_.size());
    for (const int array : arrays) {
      buffers_[array].first = std::min(buffers_[array].first, step);
      buffers_[array].last = std::max(buffers_[array].last, step);
    }
    makers_.push_back(std::move(maker));
    told_.push_back(told);
  }

  /// An array as it is planned; for makers.
  Array Planned(int array) const {
    return {buffers_[array].image, buffers_[array].place};
  }

  const Tensor& TensorOf(int tensor) const { return graph_.tensors[tensor]; }

  // ---- Forms of tensors.

  int NewPlain(int tensor) {
    Forms& forms = forms_[tensor];
    forms.plain = NewArray(PlainOf(TensorOf(tensor)), false);
    if (output_[tensor] != kNone) {
      buffers_.back().place.kind = Place::Kind::kOutput;
      buffers_.back().place.index = output_[tensor];
    }
    return forms.plain;
  }

  int NewImage(int tensor, std::int64_t channel_stride) {
    Image image = ImageOf(TensorOf(tensor));
    image.channel_stride = channel_stride;
    return forms_[tensor].image = NewArray(image, false);
  }

  int NewCodes(int tensor, const Coding& coding) {
    forms_[tensor].coding = coding;
    return forms_[tensor].codes = NewArray(ImageOf(TensorOf(tensor)), true);
  }

  int Plain(int tensor) {
    Forms& forms = forms_[tensor];
    if (forms.plain != kNone) {
      return forms.plain;
    }
    if (forms.same_as != kNone) {
      return forms.plain = Plain(forms.same_as);
    }
    if (forms.bytes != kNone) {
      const int from = forms.bytes;
      const int to = NewPlain(tensor);
      const Coding coding = forms.coding;
      const std::vector<std::int64_t>& shape = TensorOf(tensor).shape;
      const std::int64_t behind =
          shape.empty() ? 1 : TensorOf(tensor).count() / shape[0];
      Add(TensorOf(tensor).name + ": bytes to floats", {from, to}, [=] {
        return MakeBytesToPlain(coding, behind, Planned(from), Planned(to));
      });
      return to;
    }
    const int from = ImageForm(tensor);
    const int to = NewPlain(tensor);
    Add(TensorOf(tensor).name + ": to Caffe's order", {from, to},
        [=] { return MakeImageToPlain(Planned(from), Planned(to)); });
    return to;
  }

  int ImageForm(int tensor) {
    Forms& forms = forms_[tensor];
    if (forms.image != kNone) {
      return forms.image;
    }
    const std::string& name = TensorOf(tensor).name;
    if (forms.codes != kNone && forms.coding.zeros.empty()) {
      const int from = forms.codes;
      const int to = NewImage(tensor, buffers_[from].image.channel_stride);
      const Coding coding = forms.coding;
      Add(name + ": codes to floats", {from, to},
          [=] { return MakeDequantize(coding, Planned(from), Planned(to)); });
      return to;
    }
    const int from = Plain(tensor);
    const int to = NewImage(tensor, FirstStride(tensor));
    Add(name + ": to pixels", {from, to},
        [=] { return MakePlainToImage(Planned(from), Planned(to)); });
    return to;
  }

  /// What a first layer reads has few channels.
  std::int64_t FirstStride(int tensor) const {
    const std::int64_t channels = ImageOf(TensorOf(tensor)).channels;
    return channels < kPanel ? channels : RoundUp(channels, kPanel);
  }

  /// The codes of a tensor that has some.
  int Codes(int tensor) {
    Forms& forms = forms_[tensor];
    if (forms.codes == kNone) {
      Image image = ImageOf(TensorOf(tensor));
      image.channel_stride = FirstStride(tensor);
      const int from = forms.bytes;
      const int to = forms.codes = NewArray(image, true);
      Add(TensorOf(tensor).name + ": bytes to pixels", {from, to},
          [=] { return MakeBytesToCodes(Planned(from), Planned(to)); });
    }
    return forms.codes;
  }
  bool HasCodes(int tensor) const {
    return forms_[tensor].codes != kNone || forms_[tensor].bytes != kNone;
  }

  /// Whether a tensor is there in another form than that of Caffe's order.
  bool HasImage(int tensor) const {
    return forms_[tensor].image != kNone || forms_[tensor].codes != kNone;
  }

  /// The codes of a tensor by a quantisation, of what it is now.
  int CodesBy(const Quantize& quantize, int tensor, const std::string& name) {
    const Coding coding = Coding::Of(quantize);
    const Forms& forms = forms_[tensor];
    const bool has_codes = forms.codes != kNone && forms.coding.zeros.empty();
    if (has_codes && forms.coding.IsLike(coding) &&
        forms.coding.highest <= coding.highest) {
      return forms.codes;
    }
    const bool is_image =
        has_codes || HasImage(tensor) || TensorOf(tensor).shape.size() == 3;
    const bool of_codes =
        has_codes && forms.image == kNone && forms.plain == kNone;
    const Coding old = forms.coding;
    const int from = of_codes   ? forms.codes
                     : is_image ? ImageForm(tensor)
                                : Plain(tensor);
    Image image = ImageOf(TensorOf(tensor));
    if (of_codes) {
      image.channel_stride = buffers_[from].image.channel_stride;
    }
    const int to = NewArray(image, true);
    if (of_codes) {
      Add(name + ": codes to other codes", {from, to}, [=] {
        return MakeRequantize(old, quantize, Planned(from), Planned(to));
      });
    } else {
      Add(name + ": floats to codes", {from, to},
          [=] { return MakeQuantize(quantize, Planned(from), Planned(to)); });
    }
    return to;
  }

  void StoreOutput(int tensor) {
    const int from = Plain(tensor);
    const Place& place = buffers_[from].place;
    if (place.kind == Place::Kind::kOutput && place.index == output_[tensor]) {
      return;
    }
    const int to = NewArray(PlainOf(TensorOf(tensor)), false);
    buffers_.back().place.kind = Place::Kind::kOutput;
    buffers_.back().place.index = output_[tensor];
    Add(TensorOf(tensor).name + ": to the output", {from, to},
        [=] { return MakeCopy(Planned(from), Planned(to)); });
  }

  // ---- Products, and what follows them.

  /// What is computed together with a product.
  struct Chain {
    Ending ending;
    std::vector<int> poolings;  ///< nodes; they are done on its results
    int last;                   ///< the tensor behind all of this
    int added = kNone;          ///< the array of the addend
  };

  /// What reads a tensor, where that is one node and nothing else does.
  int OnlyReader(int tensor) const {
    return readers_[tensor].size() == 1 && output_[tensor] == kNone
               ? readers_[tensor][0]
               : kNone;
  }

  /// The quantisation of what a Concat makes, which may be that of its inputs:
  /// of codes that lie behind a ReLU it is, too, where no level is below 0.
  const Quantize* QuantizeBehind(const Node& node) const {
    const auto* concat = std::get_if<Concat>(&node.op);
    if (concat == nullptr || !IsOfChannels(node, *concat)) {
      return nullptr;
    }
    bool has_relu = false;
    for (int next = OnlyReader(node.output); next != kNone;
         next = OnlyReader(graph_.nodes[next].output)) {
      const Op& op = graph_.nodes[next].op;
      if (const auto* quantize = std::get_if<Quantize>(&op)) {
        const Coding coding = Coding::Of(*quantize);
        return coding.scale > 0 && (!has_relu || coding.zero >= 0) ? quantize
                                                                   : nullptr;
      }
      if (!IsRelu(op)) {
        break;
      }
      has_relu = true;
    }
    return nullptr;
  }

  static bool IsRelu(const Op& op) {
    const auto* function = std::get_if<Function>(&op);
    return function != nullptr && function->kind == Function::Kind::kRelu &&
           function->a == 0;
  }

  bool IsOfChannels(const Node& node, const Concat& concat) const {
    const std::size_t axes = TensorOf(node.output).shape.size();
    return concat.axis == 0 && (axes == 3 || axes == 1);
  }

  /// The other tensor of a sum that a product's result can be added to while
  /// it is stored.
  std::optional<Addend> AddendOf(const Node& node, int tensor, int& array) {
    const auto* sum = std::get_if<Combination>(&node.op);
    if (sum == nullptr || sum->kind != Combination::Kind::kSum ||
        node.inputs.size() != 2 || node.inputs[0] == node.inputs[1]) {
      return std::nullopt;
    }
    const int own = node.inputs[0] == tensor ? 0 : 1;
    const Forms& forms = forms_[node.inputs[1 - own]];
    Addend addend;
    addend.own = sum->coefficients[own];
    addend.scale = sum->coefficients[1 - own];
    if (forms.codes != kNone && forms.coding.zeros.empty()) {
      array = forms.codes;
      addend.coding = forms.coding;
    } else if (forms.image != kNone) {
      array = forms.image;
    } else {
      return std::nullopt;
    }
    if (buffers_[array].image.channel_stride !=
        ImageOf(TensorOf(tensor)).channel_stride) {
      return std::nullopt;
    }
    return addend;
  }

  /// Follows a product's output through ReLU, maxima and quantisation, which
  /// may change places: all of them keep the order of numbers. `can_add`: a
  /// tensor may be added before.
  Chain Follow(int tensor, bool can_add) {
    Chain chain;
    chain.last = tensor;
    int at = tensor;
    std::vector<int> poolings, passed;
    for (int next = OnlyReader(at); next != kNone; next = OnlyReader(at)) {
      const Node& node = graph_.nodes[next];
      if (const Quantize* quantize = QuantizeBehind(node)) {
        chain.ending.quantize = *quantize;
        chain.last = at;
        chain.poolings = poolings;
        for (const int done : passed) {
          is_done_[done] = true;
        }
        break;
      }
      if (can_add && at == tensor) {
        chain.ending.addend = AddendOf(node, at, chain.added);
        if (chain.ending.addend) {
          is_done_[next] = true;
          at = chain.last = node.output;
          continue;
        }
      }
      const auto* pooling = std::get_if<Pooling>(&node.op);
      const auto* quantize = std::get_if<Quantize>(&node.op);
      passed.push_back(next);
      if (IsRelu(node.op)) {
        chain.ending.has_relu = true;
      } else if (pooling != nullptr && pooling->is_max) {
        poolings.push_back(next);
        at = node.output;
        continue;  // pays only if something follows
      } else if (quantize != nullptr) {
        chain.ending.quantize = *quantize;
      } else {
        break;
      }
      at = node.output;
      chain.last = at;
      chain.poolings = poolings;
      for (const int done : passed) {
        is_done_[done] = true;
      }
      passed.clear();
      if (quantize != nullptr) {
        break;
      }
    }
    return chain;
  }

  /// The tensor that the product itself makes, with its ending applied.
  int Direct(const Node& node, const Chain& chain) const {
    return chain.poolings.empty() ? chain.last : node.output;
  }

  /// The ending with its addend, as planned.
  Ending PlannedEnding(const Chain& chain) const {
    Ending ending = chain.ending;
    if (ending.addend) {
      ending.addend->from = Planned(chain.added);
    }
    return ending;
  }

  /// Where a product stores its results: codes, or an image of floats.
  int NewResult(const Node& node, const Chain& chain) {
    const int tensor = Direct(node, chain);
    return chain.ending.quantize
               ? NewCodes(tensor, Coding::Of(*chain.ending.quantize))
               : NewImage(tensor, ImageOf(TensorOf(tensor)).channel_stride);
  }

  /// The maxima of a chain, and zeros where an ending leaves none.
  void AddRest(const Node& node, const Chain& chain, int result) {
    const Image& image = buffers_[result].image;
    if (chain.ending.quantize && chain.ending.has_relu &&
        Coding::Of(*chain.ending.quantize).zero < 0 &&
        image.channels < image.channel_stride) {
      Add(node.name + ": zeros behind the channels", {result},
          [=] { return MakeClearTails(Planned(result)); });
    }
    int from = result;
    for (std::size_t i = 0; i < chain.poolings.size(); ++i) {
      const Node& pooling = graph_.nodes[chain.poolings[i]];
      const bool is_last = i + 1 == chain.poolings.size();
      const int tensor = is_last ? chain.last : pooling.output;
      from =
          AddPooling(pooling, from, tensor, forms_[Direct(node, chain)].coding);
    }
  }

  int AddPooling(const Node& node, int from, int tensor, const Coding& coding) {
    const auto& pooling = std::get<Pooling>(node.op);
    const bool of_codes = buffers_[from].is_codes;
    const int to = of_codes
                       ? NewCodes(tensor, coding)
                       : NewImage(tensor, buffers_[from].image.channel_stride);
    Add(node.name + (of_codes ? ": pooling of codes" : ": pooling"), {from, to},
        [=, &pooling] {
          return MakePooling(pooling, of_codes, Planned(from), Planned(to));
        });
    return to;
  }

  /// What a product that reads `tensor` computes with: the codes, where the
  /// weights are integers, too.
  std::optional<Coding> CodingFor(const Weights& weights, int tensor) const {
    if (weights.are_integers() && HasCodes(tensor)) {
      return forms_[tensor].coding;
    }
    return std::nullopt;
  }

  void Lower(const Node& node, const Convolution& convolution) {
    const int tensor = node.inputs[0];
    const std::optional<Coding> coding = CodingFor(convolution.weights, tensor);
    const Chain chain = Follow(node.output, true);
    const int from = coding ? Codes(tensor) : ImageForm(tensor);
    const int to = NewResult(node, chain);
    const Image& in = buffers_[from].image;
    const bool by_winograd =
        coding && coding->is_zero() &&
        IsForWinograd(convolution, in.channels, coding->highest);
    const bool is_depthwise =
        IsDepthwise(convolution, in.channels) &&
        in.channel_stride == buffers_[to].image.channel_stride;
    if (coding) {
      CheckSums(node, convolution.weights.integers,
                in.channels / convolution.group * convolution.kernel.height *
                    convolution.kernel.width,
                coding->highest);
    }
    const Pair pixels = by_winograd    ? Pair{2, 2}
                        : is_depthwise ? Pair{1, kDepthwisePixels}
                                       : Pair{1, 1};
    WidenFor(convolution, pixels, buffers_[to].image, buffers_[from].image);
    std::vector<int> arrays = {from, to};
    std::string how =
        is_depthwise ? ": depthwise convolution" : ": convolution";
    how += coding ? " of codes" : " of floats";
    if (by_winograd) {
      how += " by Winograd's way";
    }
    if (chain.ending.addend) {
      how += ", and a sum";
      arrays.push_back(chain.added);
    }
    Add(node.name + how, arrays, [=, &convolution] {
      const ConvolutionPlan plan = {&convolution, coding, PlannedEnding(chain),
                                    Planned(from), Planned(to)};
      return by_winograd    ? MakeWinogradConvolution(plan)
             : is_depthwise ? MakeDepthwiseConvolution(plan)
                            : MakeConvolution(plan);
    });
    AddRest(node, chain, to);
  }

  void Lower(const Node& node, const InnerProduct& product) {
    int tensor = node.inputs[0];
    while (forms_[tensor].same_as != kNone && !HasImage(tensor) &&
           forms_[tensor].plain == kNone) {
      tensor = forms_[tensor].same_as;
    }
    const std::optional<Coding> coding = CodingFor(product.weights, tensor);
    const Chain chain = Follow(node.output, false);
    const int from = coding                          ? Codes(tensor)
                     : forms_[tensor].plain != kNone ? forms_[tensor].plain
                                                     : ImageForm(tensor);
    const bool is_plain = from == forms_[tensor].plain;
    if (coding) {
      CheckSums(node, product.weights.integers, TensorOf(tensor).count(),
                coding->highest);
    }
    const bool to_codes = chain.ending.quantize.has_value();
    const int result = Direct(node, chain);
    const int to = to_codes || !chain.poolings.empty() ? NewResult(node, chain)
                                                       : NewPlain(result);
    const std::string how =
        coding ? ": inner product of codes" : ": inner product of floats";
    Add(node.name + how, {from, to}, [=, &product] {
      const Image& image = buffers_[from].image;
      return MakeInnerProduct({&product, coding, chain.ending, Planned(from),
                               Planned(to),
                               is_plain ? InOrder(image) : InPixels(image)});
    });
    AddRest(node, chain, to);
  }

  static std::vector<std::int64_t> InOrder(const Image& image) {
    std::vector<std::int64_t> places(image.channels);
    for (std::int64_t i = 0; i < image.channels; ++i) {
      places[i] = i;
    }
    return places;
  }

  /// Where the elements of an image lie, in Caffe's order.
  static std::vector<std::int64_t> InPixels(const Image& image) {
    std::vector<std::int64_t> places;
    for (std::int64_t c = 0; c < image.channels; ++c) {
      for (std::int64_t y = 0; y < image.height; ++y) {
        for (std::int64_t x = 0; x < image.width; ++x) {
          places.push_back(image.At(y, x) + c);
        }
      }
    }
    return places;
  }

  // ---- All others.

  void Lower(const Node& node, const Pooling& pooling) {
    const int tensor = node.inputs[0];
    const Coding coding = forms_[tensor].coding;
    const bool of_codes = forms_[tensor].codes != kNone &&
                          coding.zeros.empty() && coding.scale > 0;
    if (!of_codes || pooling.is_max) {
      AddPooling(node, of_codes ? forms_[tensor].codes : ImageForm(tensor),
                 node.output, coding);
      return;
    }
    const Chain chain = Follow(node.output, false);
    const int from = forms_[tensor].codes;
    const int to = NewResult(node, chain);
    buffers_[to].image.channel_stride = buffers_[from].image.channel_stride;
    Add(node.name + ": mean of codes", {from, to}, [=, &pooling] {
      return MakeMeanOfCodes(pooling, coding, chain.ending, Planned(from),
                             Planned(to));
    });
    AddRest(node, chain, to);
  }

  void Lower(const Node& node, const Lrn& lrn) {
    const int from = ImageForm(node.inputs[0]);
    const int to = NewImage(node.output, buffers_[from].image.channel_stride);
    Add(node.name + ": LRN", {from, to},
        [=, &lrn] { return MakeLrn(lrn, Planned(from), Planned(to)); });
  }

  void Lower(const Node& node, const Quantize& quantize) {
    const int codes = CodesBy(quantize, node.inputs[0], node.name);
    forms_[node.output].codes = codes;
    forms_[node.output].coding = Coding::Of(quantize);
  }

  void Lower(const Node& node, const Reshape&) {
    forms_[node.output].same_as = node.inputs[0];
  }

  /// The inputs in one form, and an array of that form for the output.
  struct Alike {
    std::vector<int> from;
    int to;
  };

  Alike InOneForm(const Node& node) {
    bool are_images = true;
    for (const int tensor : node.inputs) {
      are_images &= HasImage(tensor);
    }
    Alike alike;
    for (const int tensor : node.inputs) {
      alike.from.push_back(are_images ? ImageForm(tensor) : Plain(tensor));
    }
    if (are_images) {
      const std::int64_t stride = buffers_[alike.from[0]].image.channel_stride;
      for (const int array : alike.from) {
        are_images &= buffers_[array].image.channel_stride == stride;
      }
      if (are_images) {
        alike.to = NewImage(node.output, stride);
        return alike;
      }
      for (std::size_t i = 0; i < alike.from.size(); ++i) {
        alike.from[i] = Plain(node.inputs[i]);
      }
    }
    alike.to = NewPlain(node.output);
    return alike;
  }

  void AddAlike(const Node& node, const Alike& alike, const std::string& told,
                Maker maker) {
    std::vector<int> arrays = alike.from;
    arrays.push_back(alike.to);
    Add(node.name + told, arrays, std::move(maker));
  }

  void Lower(const Node& node, const Function& function) {
    const Forms& forms = forms_[node.inputs[0]];
    if (IsRelu(node.op) && forms.codes != kNone && forms.coding.zeros.empty() &&
        forms.coding.zero >= 0 && forms.coding.scale >= 0) {
      forms_[node.output].codes = forms.codes;  // there is nothing below 0
      forms_[node.output].coding = forms.coding;
      return;
    }
    const Alike alike = InOneForm(node);
    AddAlike(node, alike, ": a function of each element", [=, &function] {
      return MakeFunction(function, Planned(alike.from[0]), Planned(alike.to));
    });
  }

  /// A number for each channel or one for all, as one for each element of a
  /// row.
  std::vector<float> Spread(const std::vector<float>& numbers, int tensor,
                            int array) const {
    const Image& image = buffers_[array].image;
    const std::int64_t row = image.width * image.channel_stride;
    const std::vector<std::int64_t>& shape = TensorOf(tensor).shape;
    const bool is_plain = array == forms_[tensor].plain;
    const std::int64_t behind =
        is_plain ? TensorOf(tensor).count() / shape[0] : 1;
    std::vector<float> spread(row, 0.0f);
    for (std::int64_t i = 0; i < row; ++i) {
      const std::int64_t channel =
          is_plain ? i / behind : i % image.channel_stride;
      if (numbers.size() == 1) {
        spread[i] = numbers[0];
      } else if (channel < static_cast<std::int64_t>(numbers.size())) {
        spread[i] = numbers[channel];
      }
    }
    return spread;
  }

  void Lower(const Node& node, const Affine& affine) {
    if (ScalesBytes(node, affine)) {
      return;
    }
    const Alike alike = InOneForm(node);
    AddAlike(node, alike, ": scales and shifts", [=, &affine, &node] {
      return MakeAffine(Spread(affine.scale, node.output, alike.to),
                        Spread(affine.shift, node.output, alike.to),
                        Planned(alike.from[0]), Planned(alike.to));
    });
  }

  /// Bytes with one scale stay what they are and stand for other numbers.
  bool ScalesBytes(const Node& node, const Affine& affine) {
    const Forms& from = forms_[node.inputs[0]];
    const auto differs = [&](float scale) { return scale != affine.scale[0]; };
    if (from.bytes == kNone || from.coding.scale != 1 ||
        !from.coding.is_zero() || affine.scale[0] <= 0 ||
        std::any_of(affine.scale.begin(), affine.scale.end(), differs)) {
      return false;
    }
    Forms& to = forms_[node.output];
    to.bytes = from.bytes;
    to.coding = {affine.scale[0], 0, 255, {}};
    if (affine.shift.size() == 1) {
      to.coding.zero = affine.shift[0];
    } else {
      to.coding.zeros.assign(affine.shift.begin(), affine.shift.end());
    }
    return true;
  }

  void Lower(const Node& node, const PRelu& prelu) {
    const Alike alike = InOneForm(node);
    AddAlike(node, alike, ": PReLU", [=, &prelu, &node] {
      return MakePRelu(Spread(prelu.slopes, node.output, alike.to),
                       Planned(alike.from[0]), Planned(alike.to));
    });
  }

  void Lower(const Node& node, const Combination& combination) {
    if (CombinesCodes(node, combination) || SumsImages(node, combination)) {
      return;
    }
    const Alike alike = InOneForm(node);
    AddAlike(node, alike, ": a combination of inputs", [=, &combination] {
      return MakeCombination(combination, AllPlanned(alike.from),
                             Planned(alike.to));
    });
  }

  std::vector<Array> AllPlanned(const std::vector<int>& arrays) const {
    std::vector<Array> planned;
    for (const int array : arrays) {
      planned.push_back(Planned(array));
    }
    return planned;
  }

  /// Sums of codes of one scale that fit a byte, and maxima of like codes.
  bool CombinesCodes(const Node& node, const Combination& combination) {
    using Kind = Combination::Kind;
    const bool is_sum = combination.kind == Kind::kSum;
    if (combination.kind == Kind::kProduct) {
      return false;
    }
    const Forms& first = forms_[node.inputs[0]];
    Coding coding = first.coding;
    if (is_sum) {
      coding.scale *= combination.coefficients[0];
    }
    coding.zero = 0;
    coding.highest = 0;
    std::vector<int> arrays;
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      const Forms& forms = forms_[node.inputs[i]];
      if (forms.codes == kNone || !forms.coding.zeros.empty() ||
          forms.coding.scale <= 0 ||
          buffers_[forms.codes].image.channel_stride !=
              buffers_[first.codes].image.channel_stride ||
          forms.coding.scale != first.coding.scale ||
          (is_sum ? combination.coefficients[i] != combination.coefficients[0]
                  : !forms.coding.IsLike(first.coding))) {
        return false;
      }
      coding.zero =
          is_sum ? coding.zero + combination.coefficients[i] * forms.coding.zero
                 : first.coding.zero;
      coding.highest = is_sum ? coding.highest + forms.coding.highest
                              : std::max(coding.highest, forms.coding.highest);
      arrays.push_back(forms.codes);
    }
    if (coding.highest > 255 || coding.scale <= 0) {
      return false;
    }
    const std::vector<int> from = arrays;
    const int to = NewCodes(node.output, coding);
    buffers_[to].image.channel_stride = buffers_[from[0]].image.channel_stride;
    arrays.push_back(to);
    Add(node.name + (is_sum ? ": sum of codes" : ": maximum of codes"), arrays,
        [=] {
          return is_sum ? MakeCodeSum(AllPlanned(from), Planned(to))
                        : MakeCodeMaximum(AllPlanned(from), Planned(to));
        });
    return true;
  }

  /// A sum of images, of which some are codes, with what follows.
  bool SumsImages(const Node& node, const Combination& combination) {
    if (combination.kind != Combination::Kind::kSum) {
      return false;
    }
    bool has_image = false;
    for (const int tensor : node.inputs) {
      has_image |= HasImage(tensor);
    }
    if (!has_image) {
      return false;
    }
    const std::int64_t stride = ImageOf(TensorOf(node.output)).channel_stride;
    std::vector<int> from;
    std::vector<std::optional<Coding>> codings;
    for (const int tensor : node.inputs) {
      const Forms& forms = forms_[tensor];
      const bool of_codes = forms.codes != kNone && forms.coding.zeros.empty();
      codings.push_back(of_codes ? std::optional(forms.coding) : std::nullopt);
      from.push_back(of_codes ? forms.codes : ImageForm(tensor));
      if (buffers_[from.back()].image.channel_stride != stride) {
        return false;
      }
    }
    const Chain chain = Follow(node.output, false);
    const int to = NewResult(node, chain);
    std::vector<int> arrays = from;
    arrays.push_back(to);
    Add(node.name + ": sum", arrays, [=, &combination] {
      std::vector<Term> terms;
      for (std::size_t i = 0; i < from.size(); ++i) {
        terms.push_back(
            {Planned(from[i]), codings[i], combination.coefficients[i]});
      }
      return MakeSum(terms, chain.ending, Planned(to));
    });
    AddRest(node, chain, to);
    return true;
  }

  void Lower(const Node& node, const Concat& concat) {
    if (ConcatsCodes(node, concat) || ConcatsImages(node, concat)) {
      return;
    }
    std::vector<int> arrays;
    std::vector<std::int64_t> counts;
    for (const int tensor : node.inputs) {
      arrays.push_back(Plain(tensor));
      counts.push_back(CountFrom(TensorOf(tensor).shape, concat.axis));
    }
    const std::vector<int> from = arrays;
    const int to = NewPlain(node.output);
    arrays.push_back(to);
    Add(node.name + ": concatenation", arrays,
        [=] { return MakeConcat(AllPlanned(from), counts, Planned(to)); });
  }

  /// Along the channels, of codes that are alike, or that become so.
  bool ConcatsCodes(const Node& node, const Concat& concat) {
    if (!IsOfChannels(node, concat)) {
      return false;
    }
    const Quantize* quantize = QuantizeBehind(node);
    Coding coding = quantize != nullptr ? Coding::Of(*quantize)
                                        : forms_[node.inputs[0]].coding;
    std::vector<int> arrays;
    for (const int tensor : node.inputs) {
      const Forms& forms = forms_[tensor];
      if (quantize != nullptr) {
        arrays.push_back(CodesBy(*quantize, tensor, node.name));
        continue;
      }
      if (forms.codes == kNone || !forms.coding.zeros.empty() ||
          forms.coding.scale <= 0 || !forms.coding.IsLike(coding)) {
        return false;
      }
      coding.highest = std::max(coding.highest, forms.coding.highest);
      arrays.push_back(forms.codes);
    }
    const std::vector<int> from = arrays;
    const int to = NewCodes(node.output, coding);
    arrays.push_back(to);
    Add(node.name + ": concatenation of codes", arrays,
        [=] { return MakeChannelConcat(AllPlanned(from), true, Planned(to)); });
    return true;
  }

  bool ConcatsImages(const Node& node, const Concat& concat) {
    if (!IsOfChannels(node, concat) ||
        !std::all_of(node.inputs.begin(), node.inputs.end(),
                     [&](int tensor) { return HasImage(tensor); })) {
      return false;
    }
    std::vector<int> arrays;
    for (const int tensor : node.inputs) {
      arrays.push_back(ImageForm(tensor));
    }
    const std::vector<int> from = arrays;
    const int to =
        NewImage(node.output, ImageOf(TensorOf(node.output)).channel_stride);
    arrays.push_back(to);
    Add(node.name + ": concatenation of pixels", arrays, [=] {
      return MakeChannelConcat(AllPlanned(from), false, Planned(to));
    });
    return true;
  }

  void Lower(const Node& node, const Softmax& softmax) {
    const int from = Plain(node.inputs[0]);
    const int to = NewPlain(node.output);
    const Tensor& tensor = TensorOf(node.output);
    const std::int64_t extent = tensor.shape[softmax.axis];
    const std::int64_t inner = CountFrom(tensor.shape, softmax.axis + 1);
    const std::int64_t outer = tensor.count() / (extent * inner);
    Add(node.name + ": softmax", {from, to}, [=] {
      return MakeSoftmax(outer, extent, inner, Planned(from), Planned(to));
    });
  }

  static std::int64_t CountFrom(const std::vector<std::int64_t>& shape,
                                std::size_t axis) {
    std::int64_t count = 1;
    for (std::size_t i = axis; i < shape.size(); ++i) {
      count *= shape[i];
    }
    return count;
  }

  // ---- The plan.

  Program Finished() {
    Program program;
    std::vector<Lifetime> lifetimes;
    std::vector<int> in_arena;
    for (std::size_t i = 0; i < buffers_.size(); ++i) {
      Buffer& buffer = buffers_[i];
      buffer.place.bytes = buffer.bytes();
      if (buffer.place.kind == Place::Kind::kArena) {
        buffer.place.bytes = RoundUp(buffer.place.bytes, kLine);
        lifetimes.push_back({buffer.place.bytes, buffer.first, buffer.last});
        in_arena.push_back(static_cast<int>(i));
      }
    }
    const MemoryPlan plan = PlanMemory(lifetimes);
    for (std::size_t i = 0; i < in_arena.size(); ++i) {
      buffers_[in_arena[i]].place.offset = plan.offsets[i];
    }
    program.arena_bytes = plan.bytes;
    for (const Maker& maker : makers_) {
      program.steps.push_back(maker());
      program.scratch_bytes = std::max(program.scratch_bytes,
                                       program.steps.back()->scratch_bytes());
    }
    program.scratch_bytes = RoundUp(program.scratch_bytes, kLine);
    program.told = told_;
    return program;
  }

  const Graph& graph_;
  std::vector<Forms> forms_;
  std::vector<std::vector<int>> readers_;  ///< nodes, by tensor
  std::vector<int> output_;                ///< its number, by tensor
  std::vector<bool> is_done_;              ///< by node
  std::vector<Buffer> buffers_;
  std::vector<Maker> makers_;
  std::vector<std::string> told_;
};

}  // namespace

Program Compile(const Graph& graph) {
  Validate(graph);
  return Compiler(graph).Run();
}

}  // namespace runtime
}  // namespace ul2q
