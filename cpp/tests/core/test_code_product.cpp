#include <gtest/gtest.h>
#include <omp.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "core/support.hpp"
#include "ul2q/core/channels.hpp"
#include "ul2q/core/code_product.hpp"
#include "ul2q/core/method.hpp"

namespace ul2q {
namespace {

struct MatrixCase {
  const char* method;
  int bits;
  std::int64_t rows, columns;
  bool is_by_row;  ///< a fit each row
  int vectors;
  bool has_bias;
};

void PrintTo(const MatrixCase& c, std::ostream* out) {
  *out << c.method << " " << c.bits << " bits " << c.rows << " × " << c.columns;
}

class CodeProductTest : public ::testing::TestWithParam<MatrixCase> {};

// Against the product with the quantised values, in double.
TEST_P(CodeProductTest, IsTheProductWithTheValues) {
  const MatrixCase& c = GetParam();
  QuantizerOptions options;
  if (c.bits > 0) {
    options.bits = c.bits;
  }
  const auto quantizer = MakeQuantizer<float>(c.method, options);
  const auto matrix = Normal<float>(c.rows * c.columns, 1, 0.3, 0.7);
  const auto x = Normal<float>(c.vectors * c.columns, 2);
  const auto bias = Normal<float>(c.rows, 3);
  const ChannelLayout layout = c.is_by_row
                                   ? ChannelLayout{c.rows, 1, 1, c.columns}
                                   : ChannelLayout::Whole(matrix.size());
  std::vector<float> values(matrix.size());
  const auto fits =
      QuantizeChannels(*quantizer, layout, matrix.data(), {}, values.data());

  ASSERT_TRUE(CodeProduct::Takes(*quantizer));
  CodeProduct product;
  product.Encode(*quantizer, fits, matrix.data(), c.rows, c.columns);
  std::vector<float> y(c.vectors * c.rows, NAN);
  product.Multiply(x.data(), c.vectors, c.has_bias ? bias.data() : nullptr,
                   y.data());

  for (int v = 0; v < c.vectors; ++v) {
    for (std::int64_t row = 0; row < c.rows; ++row) {
      double sum = c.has_bias ? bias[row] : 0, magnitude = std::abs(sum);
      for (std::int64_t i = 0; i < c.columns; ++i) {
        const double term = static_cast<double>(values[row * c.columns + i]) *
                            x[v * c.columns + i];
        sum += term;
        magnitude += std::abs(term);
      }
      ASSERT_NEAR(sum, y[v * c.rows + row],
                  16 * std::numeric_limits<float>::epsilon() * magnitude)
          << "vector " << v << ", row " << row;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, CodeProductTest,
    ::testing::Values(MatrixCase{"ul2q", 2, 10, 512, false, 1, true},
                      MatrixCase{"ul2q", 1, 1, 1, false, 1, false},
                      MatrixCase{"ul2q", 3, 4, 64, true, 1, true},
                      MatrixCase{"ul2q", 8, 7, 63, true, 4, true},
                      MatrixCase{"ul2q", 8, 5, 65, false, 2, false},
                      MatrixCase{"ul2q", 4, 1030, 1025, true, 3, true},
                      MatrixCase{"binary", 0, 9, 200, true, 2, true},
                      MatrixCase{"ternary", 0, 9, 200, false, 1, true},
                      MatrixCase{"ternary_quantized", 8, 3, 130, true, 1, true},
                      MatrixCase{"fixed_point", 8, 6, 77, false, 2, true},
                      MatrixCase{"clip", 8, 6, 77, true, 1, false}));

TEST(CodeProductTest, TakesCodesOfAByte) {
  QuantizerOptions options;
  options.bits = 9;
  EXPECT_FALSE(CodeProduct::Takes(*MakeQuantizer<float>("ul2q", options)));
}

TEST(CodeProductTest, DoesNotDependOnTheNumberOfThreads) {
  constexpr std::int64_t kRows = 1027, kColumns = 1100;
  QuantizerOptions options;
  options.bits = 2;
  const auto quantizer = MakeQuantizer<float>("ul2q", options);
  const auto matrix = Normal<float>(kRows * kColumns, 1);
  const auto x = Normal<float>(kColumns, 2);
  CodeProduct product;
  product.Encode(*quantizer,
                 FitChannels(*quantizer, ChannelLayout::Whole(matrix.size()),
                             matrix.data()),
                 matrix.data(), kRows, kColumns);
  const int threads = omp_get_max_threads();
  std::vector<std::vector<float>> products;
  for (const int count : {1, 2, 5}) {
    omp_set_num_threads(count);
    std::vector<float> y(kRows);
    product.Multiply(x.data(), 1, nullptr, y.data());
    products.push_back(y);
  }
  omp_set_num_threads(threads);
  EXPECT_EQ(products[0], products[1]);
  EXPECT_EQ(products[0], products[2]);
}

}  // namespace
}  // namespace ul2q
