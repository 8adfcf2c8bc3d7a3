#include "ul2q/runtime/compiler.hpp"

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <limits>
#include <optional>
#include <utility>

#include "ul2q/runtime/memory_plan.hpp"
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
  int codes = kNone;    ///< codes, pixel after pixel
  Coding coding;        ///< of the codes
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
      forms_[tensor].plain = NewArray(PlainOf(graph_.tensors[tensor]), false);
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
    if (forms.codes != kNone) {
      const int from = forms.codes;
      const int to = NewImage(tensor, buffers_[from].image.channel_stride);
      const Coding coding = forms.coding;
      Add(name + ": codes to floats", {from, to},
          [=] { return MakeDequantize(coding, Planned(from), Planned(to)); });
      return to;
    }
    const int from = Plain(tensor);
    // What a first layer reads has few channels.
    const std::int64_t channels = ImageOf(TensorOf(tensor)).channels;
    const int to = NewImage(
        tensor, channels < kPanel ? channels : RoundUp(channels, kPanel));
    Add(name + ": to pixels", {from, to},
        [=] { return MakePlainToImage(Planned(from), Planned(to)); });
    return to;
  }

  /// Whether a tensor is there in another form than that of Caffe's order.
  bool HasImage(int tensor) const {
    return forms_[tensor].image != kNone || forms_[tensor].codes != kNone;
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
  };

  /// Follows a product's output through ReLU, maxima and quantisation, which
  /// may change places: all of them keep the order of numbers.
  Chain Follow(int tensor) {
    Chain chain;
    chain.last = tensor;
    int at = tensor;
    std::vector<int> poolings, passed;
    while (readers_[at].size() == 1 && output_[at] == kNone) {
      const int next = readers_[at][0];
      const Node& node = graph_.nodes[next];
      const auto* function = std::get_if<Function>(&node.op);
      const auto* pooling = std::get_if<Pooling>(&node.op);
      const auto* quantize = std::get_if<Quantize>(&node.op);
      passed.push_back(next);
      if (function != nullptr && function->kind == Function::Kind::kRelu &&
          function->a == 0) {
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
    if (weights.are_integers() && forms_[tensor].codes != kNone) {
      return forms_[tensor].coding;
    }
    return std::nullopt;
  }

  void Lower(const Node& node, const Convolution& convolution) {
    const int tensor = node.inputs[0];
    std::optional<Coding> coding = CodingFor(convolution.weights, tensor);
    if (convolution.group > 1 &&
        std::any_of(convolution.weights.shift.begin(),
                    convolution.weights.shift.end(),
                    [](double shift) { return shift != 0; })) {
      coding.reset();  // the zeros between groups would not be zeros
    }
    const Chain chain = Follow(node.output);
    const int from = coding ? forms_[tensor].codes : ImageForm(tensor);
    const int to = NewResult(node, chain);
    const std::int64_t channels = buffers_[from].image.channels;
    const bool by_winograd =
        coding && coding->zero == 0 &&
        IsForWinograd(convolution, channels, coding->highest);
    if (coding) {
      CheckSums(node, convolution.weights.integers,
                channels / convolution.group * convolution.kernel.height *
                    convolution.kernel.width,
                coding->highest);
    }
    WidenFor(convolution, by_winograd, buffers_[to].image,
             buffers_[from].image);
    const std::string how = !coding       ? ": convolution of floats"
                            : by_winograd ? ": convolution of codes by "
                                            "Winograd's way"
                                          : ": convolution of codes";
    Add(node.name + how, {from, to}, [=, &convolution] {
      const ConvolutionPlan plan = {&convolution, coding, chain.ending,
                                    Planned(from), Planned(to)};
      return by_winograd ? MakeWinogradConvolution(plan)
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
    const Chain chain = Follow(node.output);
    const int from = coding                          ? forms_[tensor].codes
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
    const Forms& forms = forms_[tensor];
    const bool of_codes =
        pooling.is_max && forms.codes != kNone && forms.coding.scale > 0;
    const Coding coding = forms.coding;
    AddPooling(node, of_codes ? forms.codes : ImageForm(tensor), node.output,
               coding);
  }

  void Lower(const Node& node, const Lrn& lrn) {
    const int from = ImageForm(node.inputs[0]);
    const int to = NewImage(node.output, buffers_[from].image.channel_stride);
    Add(node.name + ": LRN", {from, to},
        [=, &lrn] { return MakeLrn(lrn, Planned(from), Planned(to)); });
  }

  void Lower(const Node& node, const Quantize& quantize) {
    const int tensor = node.inputs[0];
    const bool is_image = TensorOf(tensor).shape.size() == 3;
    const int from =
        is_image || HasImage(tensor) ? ImageForm(tensor) : Plain(tensor);
    const int to = NewCodes(node.output, Coding::Of(quantize));
    Add(node.name + ": floats to codes", {from, to}, [=, &quantize] {
      return MakeQuantize(quantize, Planned(from), Planned(to));
    });
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
    const Alike alike = InOneForm(node);
    AddAlike(node, alike, ": scales and shifts", [=, &affine, &node] {
      return MakeAffine(Spread(affine.scale, node.output, alike.to),
                        Spread(affine.shift, node.output, alike.to),
                        Planned(alike.from[0]), Planned(alike.to));
    });
  }

  void Lower(const Node& node, const PRelu& prelu) {
    const Alike alike = InOneForm(node);
    AddAlike(node, alike, ": PReLU", [=, &prelu, &node] {
      return MakePRelu(Spread(prelu.slopes, node.output, alike.to),
                       Planned(alike.from[0]), Planned(alike.to));
    });
  }

  void Lower(const Node& node, const Combination& combination) {
    const Alike alike = InOneForm(node);
    AddAlike(node, alike, ": a combination of inputs", [=, &combination] {
      std::vector<Array> from;
      for (const int array : alike.from) {
        from.push_back(Planned(array));
      }
      return MakeCombination(combination, from, Planned(alike.to));
    });
  }

  void Lower(const Node& node, const Concat& concat) {
    std::vector<int> arrays;
    std::vector<std::int64_t> counts;
    for (const int tensor : node.inputs) {
      arrays.push_back(Plain(tensor));
      counts.push_back(CountFrom(TensorOf(tensor).shape, concat.axis));
    }
    const std::vector<int> inputs = arrays;
    const int to = NewPlain(node.output);
    arrays.push_back(to);
    Add(node.name + ": concatenation", arrays, [=] {
      std::vector<Array> from;
      for (const int array : inputs) {
        from.push_back(Planned(array));
      }
      return MakeConcat(from, counts, Planned(to));
    });
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
