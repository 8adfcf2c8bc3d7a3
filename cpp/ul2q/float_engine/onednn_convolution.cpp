#include "ul2q/float_engine/onednn_convolution.hpp"

#include <omp.h>

#include <algorithm>
#include <cstddef>
#include <dnnl.hpp>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "ul2q/core/kernels/blocks.hpp"
#include "ul2q/float_engine/plane_loops.hpp"
#include "ul2q/float_engine/workspace.hpp"

namespace ul2q {

using dnnl::memory;

namespace {

constexpr auto kAlgorithm = dnnl::algorithm::convolution_direct;

/// oneDNN's engine of the processor.
const dnnl::engine& Cpu() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

/// How oneDNN 2 or 3 would compute a forward pass of these options: those that
/// both versions take, in the same order.
template <class Primitive, class... Options>
typename Primitive::primitive_desc Describe(const dnnl::primitive_attr& attr,
                                            const Options&... options) {
#if DNNL_VERSION_MAJOR >= 3
  return {Cpu(), options..., attr};
#else
  return {{options...}, attr, Cpu()};
#endif
}

/// The same for a backward pass.
template <class Primitive, class Forward, class... Options>
typename Primitive::primitive_desc DescribeBackward(
    const dnnl::primitive_attr& attr, const Forward& forward,
    const Options&... options) {
#if DNNL_VERSION_MAJOR >= 3
  return {Cpu(), options..., forward, attr};
#else
  return {{options...}, attr, Cpu(), forward};
#endif
}

/// Adds a ReLU to what a primitive does to its result.
void AppendRelu(float negative_slope, dnnl::post_ops* post_ops) {
  constexpr auto kRelu = dnnl::algorithm::eltwise_relu;
#if DNNL_VERSION_MAJOR >= 3
  post_ops->append_eltwise(kRelu, negative_slope, 0);
#else
  post_ops->append_eltwise(1, kRelu, negative_slope, 0);
#endif
}

/// Bytes of the larger of bottom and top that are computed with at a time.
/// They, the other one and what the kernel reads fit the cores' L2 caches.
constexpr std::int64_t kBlockBytes = 2 << 20;

/// So many times the bytes of the weights are computed with at least: each
/// block adds its gradient of the weights.
constexpr std::int64_t kWeightsPerBlock = 4;

/// Multiply-adds below which a second thread comes too late.
constexpr std::int64_t kSmallWork = 1 << 23;

dnnl::stream& Stream() {
  thread_local dnnl::stream stream(Cpu());
  return stream;
}

memory::desc FloatDesc(const memory::dims& dims, memory::format_tag tag) {
  return {dims, memory::data_type::f32, tag};
}

/// Has oneDNN take so many threads while it lives.
class Threads {
 public:
  explicit Threads(int count) : before_(omp_get_max_threads()) {
    omp_set_num_threads(count);
  }
  ~Threads() { omp_set_num_threads(before_); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

 private:
  const int before_;
};

/// Where a buffer lies in the workspace, and how large that must be.
class Layout {
 public:
  std::size_t Add(std::size_t bytes) {
    const std::size_t offset = size_;
    size_ += (bytes + kWorkspaceAlignment - 1) / kWorkspaceAlignment *
             kWorkspaceAlignment;
    return offset;
  }
  std::size_t size() const { return size_; }

 private:
  std::size_t size_ = 0;
};

/// What a primitive does to an operand.
enum class Use { kReads, kSets, kAddsTo };

/// A blob in Caffe's plain format and, unless that is what the primitive wants,
/// a copy in the format that it wants.
class Operand {
 public:
  Operand(const memory::desc& plain, const memory::desc& wanted, Use use)
      : plain_(plain, Cpu(), nullptr), wanted_(wanted, Cpu(), nullptr) {
    // The primitive sets what is to be added.
    has_copy_ = use == Use::kAddsTo || plain != wanted;
    if (!has_copy_) {
      wanted_ = plain_;
      return;
    }
    const std::int64_t count = plain.get_size() / sizeof(float);
    threads_ = IsWorthThreads(count) ? omp_get_max_threads() : 1;
    const Threads scope(threads_);
    if (use == Use::kReads) {
      reorder_ = dnnl::reorder(plain_, wanted_);
      return;
    }
    dnnl::primitive_attr attr;
    if (use == Use::kAddsTo) {
      dnnl::post_ops add;
      add.append_sum();
      attr.set_post_ops(add);
    }
    reorder_ = dnnl::reorder({Cpu(), wanted, Cpu(), plain, attr});
  }

  const memory& wanted() const { return wanted_; }
  memory::desc format() const { return wanted_.get_desc(); }
  bool has_copy() const { return has_copy_; }

  void AddTo(Layout* layout) {
    if (has_copy_) {
      offset_ = layout->Add(format().get_size());
    }
  }
  /// Lets its copy lie where the other's does, which is no smaller.
  void ShareCopy(const Operand& other) { offset_ = other.offset_; }

  void PlaceIn(std::byte* workspace) {
    if (has_copy_) {
      wanted_.set_data_handle(workspace + offset_);
    }
  }
  /// Lets its copy lie in memory of the same format.
  void PlaceIn(const memory& other) {
    wanted_.set_data_handle(other.get_data_handle());
  }
  /// oneDNN takes what it only reads without const, too.
  void Set(const float* plain) {
    plain_.set_data_handle(const_cast<float*>(plain));
  }
  /// Before the primitive, for operands that it reads.
  void Load() {
    if (has_copy_) {
      const Threads scope(threads_);
      reorder_.execute(Stream(), plain_, wanted_);
    }
  }
  /// After the primitive, for operands that it sets or adds to.
  void Store() {
    if (has_copy_) {
      const Threads scope(threads_);
      reorder_.execute(Stream(), wanted_, plain_);
    }
  }

 private:
  memory plain_, wanted_;
  bool has_copy_;
  int threads_ = 1;
  dnnl::reorder reorder_;
  std::size_t offset_ = 0;
};

/// oneDNN's numbers of a primitive's arguments.
struct Arguments {
  int bottom, weights, bias, top;
};

/// The blobs' plain formats.
struct PlainFormats {
  memory::desc bottom, weights, bias, top;
};

/// A primitive with its operands.
struct Pass {
  Pass(const dnnl::primitive_desc_base& description,
       const Arguments& argument_numbers, const PlainFormats& plain)
      : numbers(argument_numbers),
        primitive(description.get()),
        kernel(description.impl_info_str()),
        bottom(plain.bottom, Wanted(description, numbers.bottom),
               UseOf(numbers.bottom)),
        weights(plain.weights, Wanted(description, numbers.weights),
                UseOf(numbers.weights)),
        bias(plain.bias, Cpu(), nullptr),
        top(plain.top, Wanted(description, numbers.top), UseOf(numbers.top)),
        scratchpad(description.scratchpad_desc(), Cpu(), nullptr),
        arguments({{numbers.bottom, bottom.wanted()},
                   {numbers.weights, weights.wanted()},
                   {numbers.top, top.wanted()},
                   {DNNL_ARG_SCRATCHPAD, scratchpad}}) {
    if (numbers.bias != 0 && plain.bias != memory::desc()) {
      arguments.emplace(numbers.bias, bias);
    }
  }

  static Use UseOf(int number) {
    switch (number) {
      case DNNL_ARG_DST:
      case DNNL_ARG_DIFF_SRC:
        return Use::kSets;
      case DNNL_ARG_DIFF_WEIGHTS:
        return Use::kAddsTo;
      default:
        return Use::kReads;
    }
  }

  static memory::desc Wanted(const dnnl::primitive_desc_base& description,
                             int number) {
    return description.query_md(dnnl::query::exec_arg_md, number);
  }

  std::size_t scratchpad_size() const {
    return scratchpad.get_desc().get_size();
  }
  void Run() { primitive.execute(Stream(), arguments); }

  Arguments numbers;
  dnnl::primitive primitive;
  std::string kernel;
  Operand bottom, weights;
  memory bias;
  Operand top;
  memory scratchpad;
  std::unordered_map<int, memory> arguments;
};

/// Whether so few of the channels are more than padding that the plain format
/// is faster.
bool IsMostlyPadding(const memory::desc& wanted, const memory::desc& plain) {
  return wanted.get_size() > 2 * plain.get_size();
}

/// Whether oneDNN has a kernel that does all of it. Its other implementations
/// multiply matrices ("gemm:…") or loop ("ref:…"), and do the rest apart.
bool HasKernel(const dnnl::primitive_desc_base& description) {
  const std::string name = description.impl_info_str();
  return name.rfind("jit", 0) == 0 || name.rfind("brg", 0) == 0;
}

/// What `describe` makes of the format of bottom and top: by oneDNN's choice,
/// unless that is bad.
template <class Describe>
auto DescribeBest(const Arguments& numbers, const PlainFormats& plain,
                  const Describe& describe) {
  auto description = describe(memory::format_tag::any);
  if (IsMostlyPadding(Pass::Wanted(description, numbers.bottom),
                      plain.bottom) ||
      IsMostlyPadding(Pass::Wanted(description, numbers.top), plain.top)) {
    description = describe(memory::format_tag::nchw);
  }
  return description;
}

memory::dims Dims(const ConvolutionShape::Pair& pair) {
  return {pair[0], pair[1]};
}

/// Describes the passes of a shape for some of its images.
class Describer {
 public:
  Describer(const ConvolutionShape& shape, std::optional<float> relu_slope,
            std::int64_t images)
      : is_deconvolution_(shape.is_deconvolution) {
    const ConvolutionGeometry geometry(shape);
    field_ = {images, geometry.field_channels, geometry.field[0],
              geometry.field[1]};
    map_ = {images, geometry.map_channels, geometry.map[0], geometry.map[1]};
    weights_ = {geometry.map_channels / geometry.group,
                geometry.field_channels / geometry.group, geometry.kernel[0],
                geometry.kernel[1]};
    auto tag = memory::format_tag::oihw;
    if (geometry.group > 1) {
      weights_.insert(weights_.begin(), geometry.group);
      tag = memory::format_tag::goihw;
    }
    stride_ = Dims(geometry.stride);
    // oneDNN counts the elements left out between two of the kernel's.
    dilation_ = {geometry.dilation[0] - 1, geometry.dilation[1] - 1};
    pad_ = Dims(geometry.pad);
    plain_.bottom =
        FloatDesc(is_deconvolution_ ? map_ : field_, memory::format_tag::nchw);
    plain_.top =
        FloatDesc(is_deconvolution_ ? field_ : map_, memory::format_tag::nchw);
    plain_.weights = FloatDesc(weights_, tag);
    attr_.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    forward_attr_ = attr_;
    if (is_deconvolution_) {
      return;  // whose bias and ReLU are ours
    }
    if (shape.has_bias) {
      plain_.bias = FloatDesc({shape.num_output}, memory::format_tag::x);
    }
    if (relu_slope) {
      dnnl::post_ops relu;
      AppendRelu(*relu_slope, &relu);
      forward_attr_.set_post_ops(relu);
    }
  }

  /// Nothing if oneDNN has no kernel for the pass.
  std::optional<Pass> Make(ConvolutionPass pass) const {
    switch (pass) {
      case ConvolutionPass::kForward:
        return is_deconvolution_ ? Spread() : Project();
      case ConvolutionPass::kBackwardData:
        return is_deconvolution_ ? Project() : Spread();
      case ConvolutionPass::kBackwardWeights:
        return Gradient();
    }
    return std::nullopt;
  }

 private:
  std::optional<Pass> Project() const {
    const Arguments numbers = NumbersOf(
        {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_BIAS, DNNL_ARG_DST});
    return PassOf(DescribeProject(), numbers);
  }

  std::optional<Pass> Spread() const {
    const Arguments numbers =
        NumbersOf({DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, 0, DNNL_ARG_DIFF_DST});
    const auto forward = DescribeProject();
    return PassOf(
        DescribeBest(numbers, plain_,
                     [&](memory::format_tag tag) {
                       return DescribeBackward<dnnl::convolution_backward_data>(
                           attr_, forward, kAlgorithm, FloatDesc(field_, tag),
                           AnyWeights(), FloatDesc(map_, tag), stride_,
                           dilation_, pad_, pad_);
                     }),
        numbers);
  }

  std::optional<Pass> Gradient() const {
    const Arguments numbers =
        NumbersOf({DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_BIAS,
                   DNNL_ARG_DIFF_DST});
    const auto forward = DescribeProject();
    return PassOf(
        DescribeBest(
            numbers, plain_,
            [&](memory::format_tag tag) {
              return DescribeBackward<dnnl::convolution_backward_weights>(
                  attr_, forward, kAlgorithm, FloatDesc(field_, tag),
                  AnyWeights(), plain_.bias, FloatDesc(map_, tag), stride_,
                  dilation_, pad_, pad_);
            }),
        numbers);
  }

  /// The convolution's arguments, which are given for its bottom and top, for
  /// those of the layer.
  Arguments NumbersOf(const Arguments& of_convolution) const {
    const auto& [bottom, weights, bias, top] = of_convolution;
    return is_deconvolution_ ? Arguments{top, weights, 0, bottom}
                             : of_convolution;
  }

  memory::desc AnyWeights() const {
    return FloatDesc(weights_, memory::format_tag::any);
  }

  dnnl::convolution_forward::primitive_desc DescribeProject() const {
    const Arguments numbers =
        NumbersOf({DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, 0, DNNL_ARG_DST});
    return DescribeBest(numbers, plain_, [&](memory::format_tag tag) {
      return Describe<dnnl::convolution_forward>(
          forward_attr_, dnnl::prop_kind::forward_training, kAlgorithm,
          FloatDesc(field_, tag), AnyWeights(), plain_.bias,
          FloatDesc(map_, tag), stride_, dilation_, pad_, pad_);
    });
  }

  std::optional<Pass> PassOf(const dnnl::primitive_desc_base& description,
                             const Arguments& numbers) const {
    if (!HasKernel(description)) {
      return std::nullopt;
    }
    return Pass(description, numbers, plain_);
  }

  const bool is_deconvolution_;
  memory::dims field_, weights_, map_, stride_, dilation_, pad_;
  PlainFormats plain_;
  dnnl::primitive_attr attr_, forward_attr_;
};

}  // namespace

/// Some of a shape's images: `blocks` times `images` of them.
class OneDnnConvolution::Plan {
 public:
  Plan(const ConvolutionShape& shape, std::optional<float> relu_slope,
       std::int64_t blocks, std::int64_t images)
      : shape_(shape),
        relu_slope_(relu_slope),
        blocks_(blocks),
        bottom_step_(images * shape.bottom_size()),
        top_step_(images * shape.top_size()),
        images_(images) {}

  std::int64_t images() const { return blocks_ * images_; }

  /// False if there is no kernel for it.
  bool Prepare(ConvolutionPass pass) {
    std::optional<Pass>& slot = PassOf(pass);
    if (auto made = Describer(shape_, relu_slope_, images_).Make(pass)) {
      slot.emplace(std::move(*made));
      pass == ConvolutionPass::kForward ? LayOutForward() : LayOutBackward();
    }
    return slot.has_value();
  }

  std::string KernelOf(ConvolutionPass pass) {
    const std::optional<Pass>& slot = PassOf(pass);
    return slot ? slot->kernel : "";
  }

  void Forward(const float* bottom, const float* weights, std::uint64_t version,
               const float* bias, float* top) {
    std::byte* workspace = Workspace(forward_size_);
    Pass& pass = *forward_;
    LoadWeights(weights, version, workspace);
    pass.bottom.PlaceIn(workspace);
    pass.top.PlaceIn(workspace);
    pass.scratchpad.set_data_handle(workspace + forward_scratchpad_);
    PassEnding ending;
    if (shape_.is_deconvolution) {
      ending = {shape_.has_bias ? bias : nullptr, relu_slope_.value_or(1)};
    } else if (shape_.has_bias) {
      pass.bias.set_data_handle(const_cast<float*>(bias));
    }
    for (std::int64_t block = 0; block < blocks_; ++block) {
      pass.bottom.Set(bottom + block * bottom_step_);
      pass.top.Set(top + block * top_step_);
      pass.bottom.Load();
      pass.Run();
      pass.top.Store();
      FinishPlanes(ending, images_, shape_.num_output,
                   shape_.top[0] * shape_.top[1], top + block * top_step_);
    }
  }

  void Backward(const float* bottom, const float* weights,
                const float* top_diff, float* bottom_diff, float* weights_diff,
                float* bias_diff) {
    std::byte* workspace = Workspace(backward_size_);
    for (std::optional<Pass>* pass : {&weights_, &data_}) {
      if (*pass) {
        (*pass)->bottom.PlaceIn(workspace);
        (*pass)->weights.PlaceIn(workspace);
        (*pass)->top.PlaceIn(workspace);
        (*pass)->scratchpad.set_data_handle(workspace + backward_scratchpad_);
      }
    }
    float* block_bias = reinterpret_cast<float*>(workspace + bias_diff_);
    if (weights_diff != nullptr) {
      weights_->weights.Set(weights_diff);
      if (shape_.has_bias && !shape_.is_deconvolution) {
        weights_->bias.set_data_handle(block_bias);
      }
    }
    if (bottom_diff != nullptr) {
      data_->weights.Set(weights);
      data_->weights.Load();
    }
    for (std::int64_t block = 0; block < blocks_; ++block) {
      const float* block_top = top_diff + block * top_step_;
      if (weights_diff != nullptr) {
        weights_->bottom.Set(bottom + block * bottom_step_);
        weights_->top.Set(block_top);
        weights_->bottom.Load();
        weights_->top.Load();
        weights_->Run();
        weights_->weights.Store();
      }
      if (bias_diff != nullptr) {
        for (std::int64_t i = 0; i < shape_.num_output; ++i) {
          bias_diff[i] += block_bias[i];
        }
      }
      if (bottom_diff != nullptr) {
        data_->bottom.Set(bottom_diff + block * bottom_step_);
        data_->top.Set(block_top);
        if (weights_diff == nullptr || !shares_top_) {
          data_->top.Load();
        }
        data_->Run();
        data_->bottom.Store();
      }
    }
  }

 private:
  std::optional<Pass>& PassOf(ConvolutionPass pass) {
    switch (pass) {
      case ConvolutionPass::kBackwardData:
        return data_;
      case ConvolutionPass::kBackwardWeights:
        return weights_;
      default:
        return forward_;
    }
  }

  void LayOutForward() {
    Layout layout;
    forward_->weights.AddTo(&layout);
    forward_->bottom.AddTo(&layout);
    forward_->top.AddTo(&layout);
    forward_scratchpad_ = layout.Add(forward_->scratchpad_size());
    forward_size_ = layout.size();
  }

  void LayOutBackward() {
    Layout layout;
    std::size_t scratchpad = 0;
    if (weights_) {
      weights_->bottom.AddTo(&layout);
      weights_->weights.AddTo(&layout);
      weights_->top.AddTo(&layout);
      bias_diff_ = layout.Add(shape_.num_output * sizeof(float));
      scratchpad = weights_->scratchpad_size();
    }
    shares_top_ = false;
    if (data_) {
      // The bottom is not needed when its diff is computed.
      if (weights_ && weights_->bottom.has_copy() && data_->bottom.has_copy() &&
          data_->bottom.format().get_size() <=
              weights_->bottom.format().get_size()) {
        data_->bottom.ShareCopy(weights_->bottom);
      } else {
        data_->bottom.AddTo(&layout);
      }
      data_->weights.AddTo(&layout);
      shares_top_ = weights_ && weights_->top.has_copy() &&
                    data_->top.has_copy() &&
                    weights_->top.format() == data_->top.format();
      if (shares_top_) {
        data_->top.ShareCopy(weights_->top);
      } else {
        data_->top.AddTo(&layout);
      }
      scratchpad = std::max(scratchpad, data_->scratchpad_size());
    }
    backward_scratchpad_ = layout.Add(scratchpad);
    backward_size_ = layout.size();
  }

  void LoadWeights(const float* weights, std::uint64_t version,
                   std::byte* workspace) {
    Operand& operand = forward_->weights;
    operand.Set(weights);
    if (version == 0 || !operand.has_copy()) {
      operand.PlaceIn(workspace);
      operand.Load();
      return;
    }
    if (!kept_weights_) {
      kept_weights_ = memory(operand.format(), Cpu());
    }
    operand.PlaceIn(*kept_weights_);
    if (kept_version_ != version) {
      kept_version_ = 0;
      operand.Load();
      kept_version_ = version;
    }
  }

  const ConvolutionShape& shape_;
  const std::optional<float> relu_slope_;
  const std::int64_t blocks_, bottom_step_, top_step_, images_;
  std::optional<Pass> forward_, data_, weights_;
  std::optional<memory> kept_weights_;
  std::uint64_t kept_version_ = 0;
  bool shares_top_ = false;
  // Offsets in the workspace, and its size.
  std::size_t forward_scratchpad_ = 0, forward_size_ = 0;
  std::size_t bias_diff_ = 0, backward_scratchpad_ = 0, backward_size_ = 0;
};

OneDnnConvolution::OneDnnConvolution(const ConvolutionShape& shape,
                                     std::optional<float> relu_slope)
    : shape_(shape), relu_slope_(relu_slope) {}

OneDnnConvolution::~OneDnnConvolution() = default;

int OneDnnConvolution::ThreadCount() const {
  const std::int64_t pixels = shape_.is_deconvolution
                                  ? shape_.bottom[0] * shape_.bottom[1]
                                  : shape_.top[0] * shape_.top[1];
  const bool is_small =
      shape_.weights_size() * pixels * shape_.images < kSmallWork;
  return is_small ? 1 : omp_get_max_threads();
}

void OneDnnConvolution::FollowThreads() {
  const int threads = ThreadCount();
  if (threads == threads_) {
    return;
  }
  plans_.clear();
  has_kernel_.fill(std::nullopt);
  const std::int64_t image_bytes =
      sizeof(float) * std::max(shape_.bottom_size(), shape_.top_size());
  const std::int64_t block_bytes = std::max<std::int64_t>(
      kBlockBytes, kWeightsPerBlock * sizeof(float) * shape_.weights_size());
  const std::int64_t most =
      std::max<std::int64_t>(1, block_bytes / image_bytes);
  const std::int64_t blocks = (shape_.images + most - 1) / most;
  const std::int64_t images = (shape_.images + blocks - 1) / blocks;
  const std::int64_t full_blocks = shape_.images / images;
  const std::int64_t rest = shape_.images % images;
  plans_.push_back(
      std::make_unique<Plan>(shape_, relu_slope_, full_blocks, images));
  if (rest > 0) {
    plans_.push_back(std::make_unique<Plan>(shape_, relu_slope_, 1, rest));
  }
  threads_ = threads;
}

bool OneDnnConvolution::Prepare(ConvolutionPass pass) {
  FollowThreads();
  std::optional<bool>& has_kernel = has_kernel_[static_cast<int>(pass)];
  if (!has_kernel) {
    const Threads scope(threads_);
    try {
      has_kernel =
          std::all_of(plans_.begin(), plans_.end(),
                      [&](const auto& plan) { return plan->Prepare(pass); });
    } catch (const dnnl::error& error) {
      if (error.status != dnnl_unimplemented) {
        throw;
      }
      has_kernel = false;
    }
  }
  return *has_kernel;
}

std::string OneDnnConvolution::KernelOf(ConvolutionPass pass) const {
  return has_kernel_[static_cast<int>(pass)].value_or(false)
             ? plans_.front()->KernelOf(pass)
             : "";
}

void OneDnnConvolution::Forward(const float* bottom, const float* weights,
                                std::uint64_t version, const float* bias,
                                float* top) {
  const Threads scope(threads_);
  for (const auto& plan : plans_) {
    plan->Forward(bottom, weights, version, bias, top);
    bottom += plan->images() * shape_.bottom_size();
    top += plan->images() * shape_.top_size();
  }
}

void OneDnnConvolution::Backward(const float* bottom, const float* weights,
                                 const float* top_diff, float* bottom_diff,
                                 float* weights_diff, float* bias_diff) {
  const Threads scope(threads_);
  for (const auto& plan : plans_) {
    plan->Backward(bottom, weights, top_diff, bottom_diff, weights_diff,
                   bias_diff);
    bottom += plan->images() * shape_.bottom_size();
    top_diff += plan->images() * shape_.top_size();
    if (bottom_diff != nullptr) {
      bottom_diff += plan->images() * shape_.bottom_size();
    }
  }
}

}  // namespace ul2q
