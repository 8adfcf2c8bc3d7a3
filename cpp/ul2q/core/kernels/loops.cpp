#include "ul2q/core/kernels/loops.hpp"

#include <hwy/cache_control.h>

#include <algorithm>
#include <type_traits>

#include "ul2q/core/kernels/blocks.hpp"
#include "ul2q/core/kernels/lanes.hpp"

// Highway includes this file once more for each instruction set, and compiles
// what stands from HWY_BEFORE_NAMESPACE to HWY_AFTER_NAMESPACE for it. There
// the compiler turns plain loops into vector instructions.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ul2q/core/kernels/loops.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "ul2q/core/kernels/load_double-inl.hpp"  // after highway.h

HWY_BEFORE_NAMESPACE();
namespace ul2q {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

template <template <typename> class Grid, typename Dtype>
void Encode(const Grid<Dtype>& grid, const Dtype* w, std::int64_t n,
            std::int32_t* codes) {
  const Grid<Dtype> g = grid;  // No output can change it.
  for (std::int64_t i = 0; i < n; ++i) {
    codes[i] = static_cast<std::int32_t>(g.Code(w[i]));
  }
}

template <template <typename> class Grid, typename Dtype>
void Decode(const Grid<Dtype>& grid, const std::int32_t* codes, std::int64_t n,
            Dtype* values) {
  const Grid<Dtype> g = grid;
  for (std::int64_t i = 0; i < n; ++i) {
    values[i] = g.Value(static_cast<Dtype>(codes[i]));
  }
}

/// What a loop over a tile does at a time: kStep elements of a block, then as
/// many of the next block, and so on in turn. The blocks lie in different
/// pages, so that several of the processor's prefetchers work at once; each
/// stops at the end of its page.
constexpr std::int64_t kStep = 128;
constexpr std::int64_t kSteps = kTileSize / kStep;
constexpr std::int64_t kBlocks = kTileSize / kBlockSize;

HWY_INLINE std::int64_t FirstOf(std::int64_t step) {
  return step % kBlocks * kBlockSize + step / kBlocks * kStep;
}

/// Fetches what is read a few steps later, past the end of the pages too.
template <typename Dtype>
HWY_INLINE void PrefetchAfter(std::int64_t step, const Dtype* tile,
                              const Dtype* next) {
  constexpr std::int64_t kAhead = 2 * kBlocks;
  constexpr std::int64_t kLine = 64 / sizeof(Dtype);
  const std::int64_t later = step + kAhead;
  const Dtype* first =
      later < kSteps ? tile + FirstOf(later) : next + FirstOf(later - kSteps);
  for (std::int64_t i = 0; i < kStep; i += kLine) {
    hwy::Prefetch(first + i);
  }
}

template <template <typename> class Grid, typename Dtype>
HWY_INLINE void QuantizeInto(const Grid<Dtype>& grid, const Dtype* w,
                             std::int64_t n, Dtype* values) {
#pragma GCC ivdep  // w may be values, but no other part of it.
  for (std::int64_t i = 0; i < n; ++i) {
    values[i] = grid.Value(grid.Code(w[i]));
  }
}

template <template <typename> class Grid, typename Dtype>
void Quantize(const Grid<Dtype>& grid, const Dtype* w, std::int64_t n,
              const Dtype* next, Dtype* values) {
  const Grid<Dtype> g = grid;
  if (n < kTileSize) {
    QuantizeInto(g, w, n, values);
    return;
  }
  for (std::int64_t step = 0; step < kSteps; ++step) {
    PrefetchAfter(step, w, next);
    const std::int64_t i = FirstOf(step);
    QuantizeInto(g, w + i, kStep, values + i);
  }
}

template <template <typename> class Grid, typename Dtype>
void Stream(const Grid<Dtype>& grid, const Dtype* w, std::int64_t n,
            const Dtype* next, Dtype* values) {
  const Grid<Dtype> g = grid;
  if (n < kTileSize) {
    QuantizeInto(g, w, n, values);
    return;
  }
  const hn::CappedTag<Dtype, kStep> d;
  const std::int64_t lanes = hn::Lanes(d);
  for (std::int64_t step = 0; step < kSteps; ++step) {
    PrefetchAfter(step, w, next);
    const std::int64_t i = FirstOf(step);
    // The compiler makes no such stores by itself.
    alignas(kStreamAlignment) Dtype buffer[kStep];
    QuantizeInto(g, w + i, kStep, buffer);
    for (std::int64_t j = 0; j < kStep; j += lanes) {
      hn::Stream(hn::Load(d, buffer + j), d, values + i + j);
    }
  }
}

/// sum + x², where x was a Dtype before it was made a double.
template <typename Dtype, class D>
HWY_INLINE hn::Vec<D> AddSquare(D, hn::Vec<D> sum, hn::Vec<D> x) {
  if constexpr (std::is_same_v<Dtype, float>) {
    // The square of a float is exact: MulAdd rounds once on every processor.
    return hn::MulAdd(x, x, sum);
  } else {
    // A double's is not, so that MulAdd would round once on some processors and
    // twice on others.
    return hn::Add(sum, hn::Mul(x, x));
  }
}

/// In Highway's terms: the compiler, which does not know how few lanes there
/// are, would store and load them for each row of elements.
template <typename Dtype>
class MomentLanes {
 public:
  HWY_INLINE void Start(Dtype first) {
    value_.Fill(0);
    square_.Fill(0);
    min_.Fill(first);
    max_.Fill(first);
  }

  /// The first of the elements is of lane 0.
  HWY_INLINE void Add(const Dtype* w, std::int64_t n) {
    const std::int64_t rows_end = n - n % kLanes;
    AddToSums(w, rows_end);
    AddToRange(w, rows_end);
    for (std::int64_t i = rows_end; i < n; ++i) {
      const std::int64_t lane = i - rows_end;
      const double x = w[i];
      value_.of[lane] += x;
      square_.of[lane] += x * x;
      min_.of[lane] = Lowest()(min_.of[lane], w[i]);
      max_.of[lane] = Highest()(max_.of[lane], w[i]);
    }
  }

  HWY_INLINE BlockSums<Dtype> Sums() {
    // + 0 turns -0 into 0: which of the two is lower is the processor's choice.
    return {value_.Reduce(Sum()), square_.Reduce(Sum()),
            min_.Reduce(Lowest()) + 0, max_.Reduce(Highest()) + 0};
  }

 private:
  HWY_INLINE void AddToSums(const Dtype* w, std::int64_t n) {
    const hn::CappedTag<double, kLanes / 2> d;
    const std::int64_t lanes = hn::Lanes(d);
    // Two vectors at a time: an addition waits for the one before.
    for (std::int64_t lane = 0; lane < kLanes; lane += 2 * lanes) {
      auto sum = hn::Load(d, value_.of + lane);
      auto sum2 = hn::Load(d, value_.of + lane + lanes);
      auto squares = hn::Load(d, square_.of + lane);
      auto squares2 = hn::Load(d, square_.of + lane + lanes);
      for (std::int64_t i = lane; i < n; i += kLanes) {
        const auto x = LoadDouble(d, w + i);
        const auto x2 = LoadDouble(d, w + i + lanes);
        sum = hn::Add(sum, x);
        sum2 = hn::Add(sum2, x2);
        squares = AddSquare<Dtype>(d, squares, x);
        squares2 = AddSquare<Dtype>(d, squares2, x2);
      }
      hn::Store(sum, d, value_.of + lane);
      hn::Store(sum2, d, value_.of + lane + lanes);
      hn::Store(squares, d, square_.of + lane);
      hn::Store(squares2, d, square_.of + lane + lanes);
    }
  }

  HWY_INLINE void AddToRange(const Dtype* w, std::int64_t n) {
    const hn::CappedTag<Dtype, kLanes> d;
    for (std::int64_t lane = 0; lane < kLanes; lane += hn::Lanes(d)) {
      auto min = hn::Load(d, min_.of + lane);
      auto max = hn::Load(d, max_.of + lane);
      for (std::int64_t i = lane; i < n; i += kLanes) {
        const auto x = hn::LoadU(d, w + i);
        min = hn::Min(min, x);
        max = hn::Max(max, x);
      }
      hn::Store(min, d, min_.of + lane);
      hn::Store(max, d, max_.of + lane);
    }
  }

  Lanes<double> value_, square_;
  Lanes<Dtype> min_, max_;
};

template <typename Dtype>
BlockSums<Dtype> SumBlock(const Dtype* w, std::int64_t n) {
  MomentLanes<Dtype> lanes;
  lanes.Start(w[0]);
  // So few at a time that the processor begins with those that follow.
  for (std::int64_t i = 0; i < n; i += kStep) {
    lanes.Add(w + i, std::min(kStep, n - i));
  }
  return lanes.Sums();
}

template <typename Dtype>
void SumMoments(const Dtype* w, std::int64_t n, const Dtype* next,
                BlockSums<Dtype>* sums) {
  if (n < kTileSize) {
    for (std::int64_t i = 0; i < n; i += kBlockSize) {
      *sums++ = SumBlock(w + i, std::min(kBlockSize, n - i));
    }
    return;
  }
  MomentLanes<Dtype> lanes[kBlocks];
  for (std::int64_t block = 0; block < kBlocks; ++block) {
    lanes[block].Start(w[block * kBlockSize]);
  }
  for (std::int64_t step = 0; step < kSteps; ++step) {
    PrefetchAfter(step, w, next);
    lanes[step % kBlocks].Add(w + FirstOf(step), kStep);
  }
  for (MomentLanes<Dtype>& block : lanes) {
    *sums++ = block.Sums();
  }
}

template <typename Terms>
struct TermLanes {
  Lanes<double> term[Terms::kCount];

  HWY_INLINE void Add(const Terms& terms, std::int64_t begin, std::int64_t n) {
    for (std::int64_t lane = 0; lane < n; ++lane) {
      const auto values = terms(begin + lane);
      for (std::size_t t = 0; t < Terms::kCount; ++t) {
        term[t].of[lane] += values[t];
      }
    }
  }
};

template <typename Terms>
TermSums<Terms::kCount> SumOf(const Terms& terms, std::int64_t begin,
                              std::int64_t end) {
  TermLanes<Terms> lanes;
  for (auto& term : lanes.term) {
    term.Fill(0);
  }
  std::int64_t i = begin;
  for (; i + kLanes <= end; i += kLanes) {
    lanes.Add(terms, i, kLanes);
  }
  lanes.Add(terms, i, end - i);
  TermSums<Terms::kCount> sums;
  for (std::size_t t = 0; t < Terms::kCount; ++t) {
    sums[t] = lanes.term[t].Reduce(Sum());
  }
  return sums;
}

template <template <typename> class Grid, typename Dtype>
void Set(GridLoops<Grid, Dtype>& loops) {
  loops = {&Encode<Grid, Dtype>, &Decode<Grid, Dtype>, &Quantize<Grid, Dtype>,
           &Stream<Grid, Dtype>};
}

template <typename Dtype>
void Set(MomentLoop<Dtype>& loop) {
  loop = {&SumMoments<Dtype>};
}

template <typename Terms>
void Set(TermLoop<Terms>& loop) {
  loop = {&SumOf<Terms>};
}

LoopTable MakeTable() {
  LoopTable table;
  std::apply([](auto&... loops) { (Set(loops), ...); }, table);
  return table;
}

const LoopTable& Table() {
  static const LoopTable table = MakeTable();
  return table;
}

}  // namespace HWY_NAMESPACE
}  // namespace ul2q
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ul2q {

HWY_EXPORT(Table);

const LoopTable& Loops() { return HWY_DYNAMIC_DISPATCH(Table)(); }

}  // namespace ul2q
#endif
