#include "ul2q/core/channels.hpp"

#include <gtest/gtest.h>
#include <omp.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "core/support.hpp"
#include "ul2q/core/method.hpp"

namespace ul2q {
namespace {

template <typename Dtype>
class ChannelsTest : public ::testing::Test {
 protected:
  std::unique_ptr<Quantizer<Dtype>> quantizer_ =
      MakeQuantizer<Dtype>("ul2q", {3});
};
TYPED_TEST_SUITE(ChannelsTest, Dtypes);

/// The indices of a channel's elements, found element by element.
std::vector<std::size_t> ElementsOf(const ChannelLayout& layout,
                                    std::int64_t channel) {
  std::vector<std::size_t> elements;
  for (std::int64_t i = 0; i < layout.size(); ++i) {
    const std::int64_t c = i / layout.inner % layout.channels;
    const std::int64_t group =
        i / (layout.inner * layout.channels * layout.outer);
    if (group * layout.channels + c == channel) {
      elements.push_back(i);
    }
  }
  return elements;
}

constexpr ChannelLayout kLayouts[] = {
    {1, 1, 1, 50},       // a whole blob
    {8, 1, 1, 45},       // convolution
    {1, 7, 5, 9},        // deconvolution
    {3, 4, 5, 9},        // in groups
    {1, 30, 11, 1},      // transposed inner product
    {1, 2700, 110, 1},   // enough for threads
    {2800, 1, 1, 100},   // the same, contiguous
    {1, 1, 1, 1 << 20},  // one channel on several threads
    {2, 3, 1, 4},        // a channel that is its group
};

TYPED_TEST(ChannelsTest, EachChannelIsQuantisedAsAnArrayOfItsOwn) {
  for (const ChannelLayout& layout : kLayouts) {
    const auto w = Normal<TypeParam>(layout.size(), 1, 0.1, 2);
    std::vector<TypeParam> values(w.size());
    const auto fits = QuantizeChannels(*this->quantizer_, layout, w.data(), {},
                                       values.data());
    ASSERT_EQ(fits.size(), layout.channel_count());
    std::size_t seen = 0;
    for (std::int64_t channel = 0; channel < layout.channel_count();
         ++channel) {
      std::vector<TypeParam> alone;
      const auto elements = ElementsOf(layout, channel);
      for (const std::size_t i : elements) {
        alone.push_back(w[i]);
      }
      const auto fit = this->quantizer_->FitTo(alone.data(), alone.size());
      ASSERT_EQ(fits[channel].scale, fit.scale) << channel;
      ASSERT_EQ(fits[channel].shift, fit.shift) << channel;
      this->quantizer_->Quantize(fit, alone.data(), alone.size(), {},
                                 alone.data());
      for (std::size_t i = 0; i < elements.size(); ++i) {
        ASSERT_EQ(values[elements[i]], alone[i]) << channel << ", " << i;
      }
      seen += elements.size();
    }
    ASSERT_EQ(seen, w.size());
  }
}

TYPED_TEST(ChannelsTest, CodesDecodeToTheValues) {
  for (const ChannelLayout& layout : kLayouts) {
    const auto w = Normal<TypeParam>(layout.size(), 2);
    std::vector<TypeParam> values(w.size()), decoded(w.size());
    std::vector<std::int32_t> codes(w.size());
    const auto fits = FitChannels(*this->quantizer_, layout, w.data());
    EncodeChannels(*this->quantizer_, layout, fits, w.data(), {}, codes.data());
    DecodeChannels(*this->quantizer_, layout, fits, codes.data(),
                   decoded.data());
    QuantizeChannels(*this->quantizer_, layout, w.data(), {}, values.data());
    EXPECT_EQ(decoded, values);
  }
}

TYPED_TEST(ChannelsTest, DoNotDependOnTheThreads) {
  const int threads = omp_get_max_threads();
  for (const ChannelLayout& layout : kLayouts) {
    const auto w = Normal<TypeParam>(layout.size(), 3, 1, 5);
    std::vector<TypeParam> one(w.size()), many(w.size());
    omp_set_num_threads(1);
    QuantizeChannels(*this->quantizer_, layout, w.data(), {}, one.data());
    omp_set_num_threads(16);
    QuantizeChannels(*this->quantizer_, layout, w.data(), {}, many.data());
    EXPECT_EQ(one, many);
  }
  omp_set_num_threads(threads);
}

TYPED_TEST(ChannelsTest, TheFirstBadElementIsCountedInTheWholeArray) {
  const ChannelLayout layout = {3, 4, 5, 9};
  auto w = Normal<TypeParam>(layout.size(), 4);
  w[400] = std::numeric_limits<TypeParam>::infinity();
  w[321] = std::numeric_limits<TypeParam>::quiet_NaN();
  ExpectWords(MessageOf<NonFiniteError>(
                  [&] { FitChannels(*this->quantizer_, layout, w.data()); }),
              {"NaN", "element 321 of 540"});
  std::vector<TypeParam> values(w.size());
  ExpectWords(MessageOf<NonFiniteError>([&] {
                QuantizeChannels(*this->quantizer_, layout, w.data(), {},
                                 values.data());
              }),
              {"element 321 of 540"});
}

TYPED_TEST(ChannelsTest, EachChannelRoundsAtRandomOnItsOwn) {
  const auto quantizer = MakeQuantizer<TypeParam>(
      "fixed_point", {4, Fit::kExact, {}, Rounding::kStochastic});
  const ChannelLayout layout = {2, 1, 1, 1000};
  auto w = Normal<TypeParam>(1000, 5);
  w.insert(w.end(), w.begin(), w.begin() + 1000);
  std::vector<TypeParam> values(w.size()), again(w.size()), other(w.size());
  QuantizeChannels(*quantizer, layout, w.data(), 7, values.data());
  QuantizeChannels(*quantizer, layout, w.data(), 7, again.data());
  QuantizeChannels(*quantizer, layout, w.data(), 8, other.data());
  EXPECT_EQ(values, again);
  EXPECT_NE(values, other);
  EXPECT_FALSE(
      std::equal(values.begin(), values.begin() + 1000, values.begin() + 1000));
}

// The gradient of an element counts where the element lies within the levels
// of its own channel.
TYPED_TEST(ChannelsTest, ClippedGradientsAreAdded) {
  const auto quantizer = MakeQuantizer<TypeParam>("ul2q", {1});
  const ChannelLayout layout = {1, 3, 2, 1};
  const std::vector<TypeParam> w = {-1, -10, 0, 0, 1, 10};
  const std::vector<ScaleShift<TypeParam>> fits = {{1, 0}, {20, 1}};
  const std::vector<TypeParam> gradient = {1, 2, 3, 4, 5, 6};
  std::vector<TypeParam> sum(6, 100);
  AddGradientWithinLevels(*quantizer, layout, fits, w.data(), gradient.data(),
                          sum.data());
  // Channel 0: levels -1/2 and 1/2; channel 1: -9 and 11.
  EXPECT_EQ(sum, (std::vector<TypeParam>{100, 100, 103, 104, 100, 106}));
}

TEST(ChannelLayoutTest, OfNothingHasNothing) {
  const auto quantizer = MakeQuantizer<float>("ul2q", {2});
  EXPECT_EQ(FitChannels(*quantizer, ChannelLayout::Whole(0),
                        static_cast<const float*>(nullptr))
                .size(),
            1u);
  EXPECT_TRUE(
      FitChannels(*quantizer, {0, 1, 1, 9}, static_cast<const float*>(nullptr))
          .empty());
}

}  // namespace
}  // namespace ul2q
