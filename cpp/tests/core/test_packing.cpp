#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <vector>

#include "core/support.hpp"
#include "ul2q/core/method.hpp"
#include "ul2q/core/packing.hpp"

namespace ul2q {
namespace {

/// Number i of a stream of `bits` bits each, bit by bit.
std::int32_t NumberAt(const std::vector<std::uint8_t>& bytes, std::int64_t i,
                      int bits) {
  std::int32_t number = 0;
  for (int bit = 0; bit < bits; ++bit) {
    const std::int64_t at = i * bits + bit;
    number |= (bytes[at / 8] >> at % 8 & 1) << bit;
  }
  return number;
}

class PackingTest : public ::testing::TestWithParam<int> {};

TEST_P(PackingTest, PacksAndUnpacks) {
  const int bits = GetParam();
  std::mt19937 random(bits);
  const CodeNumbers numbers = {-3, 1, (1 << bits) - 1, bits};
  for (const std::int64_t n : {0, 1, 2, 7, 8, 9, 100, 1001}) {
    std::vector<std::int32_t> codes(n);
    for (std::int32_t& code : codes) {
      code = numbers.CodeOf(static_cast<std::int32_t>(random() % (1U << bits)));
    }
    ASSERT_EQ((n * bits + 7) / 8, PackedSize(n, bits));
    // A byte more shows what is written beyond.
    std::vector<std::uint8_t> bytes(PackedSize(n, bits) + 1, 0xa5);
    PackCodes(numbers, codes.data(), n, bytes.data());
    EXPECT_EQ(0xa5, bytes.back());
    bytes.pop_back();
    for (std::int64_t i = 0; i < n; ++i) {
      ASSERT_EQ(codes[i], numbers.CodeOf(NumberAt(bytes, i, bits)));
    }
    if (n * bits % 8 != 0) {
      EXPECT_EQ(0, bytes.back() >> n * bits % 8);
    }
    for (std::int64_t begin = 0; begin <= n; begin += n / 9 + 1) {
      std::vector<std::int32_t> unpacked(n - begin);
      UnpackCodes(numbers, bytes.data(), begin, n - begin, unpacked.data());
      ASSERT_EQ(std::vector<std::int32_t>(codes.begin() + begin, codes.end()),
                unpacked);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Bits, PackingTest, ::testing::Range(1, 17));

struct NumbersCase {
  const char* method;
  int bits;
  std::int32_t lowest, step, highest;
  int code_bits;
};

void PrintTo(const NumbersCase& c, std::ostream* out) { *out << c.method; }

class CodeNumbersTest : public ::testing::TestWithParam<NumbersCase> {};

TEST_P(CodeNumbersTest, CountCodesFromZero) {
  const NumbersCase& c = GetParam();
  QuantizerOptions options;
  options.bits = c.bits;
  const auto numbers =
      CodeNumbers::Of(*MakeQuantizer<float>(c.method, options));
  EXPECT_EQ(c.lowest, numbers.lowest);
  EXPECT_EQ(c.step, numbers.step);
  EXPECT_EQ(c.highest, numbers.highest);
  EXPECT_EQ(c.code_bits, numbers.bits);
}

// By the formulas in quantization.proto.
INSTANTIATE_TEST_SUITE_P(
    Methods, CodeNumbersTest,
    ::testing::Values(NumbersCase{"ul2q", 1, 0, 1, 1, 1},
                      NumbersCase{"ul2q", 3, -3, 1, 7, 3},
                      NumbersCase{"binary", 1, -1, 2, 1, 1},
                      NumbersCase{"ternary", 2, -1, 1, 2, 2},
                      NumbersCase{"ternary_quantized", 5, -1, 1, 2, 2},
                      NumbersCase{"clip", 1, -1, 1, 1, 1},
                      NumbersCase{"fixed_point", 8, -128, 1, 255, 8}));

}  // namespace
}  // namespace ul2q
