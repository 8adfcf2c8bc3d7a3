// Products of a matrix with a few vectors beside plain sums in double.
#include "ul2q/float_engine/few_vectors.hpp"

#include <gtest/gtest.h>
#include <omp.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "support.hpp"

namespace ul2q {
namespace {

template <typename Dtype>
class FewVectorsTest : public ::testing::Test {
 protected:
  using Values = std::vector<Dtype>;

  static Values Random(std::int64_t count) {
    static std::mt19937 engine(7);
    std::normal_distribution<Dtype> normal;
    Values values(count);
    for (Dtype& value : values) {
      value = normal(engine);
    }
    return values;
  }

  /// Each result is a sum of `terms` products of normal numbers.
  static void ExpectSums(const std::vector<double>& expected,
                         const Values& actual, std::int64_t terms) {
    ASSERT_EQ(expected.size(), actual.size());
    const double bound = 16 * std::numeric_limits<Dtype>::epsilon() *
                         static_cast<double>(terms + 1);
    for (std::size_t i = 0; i < actual.size(); ++i) {
      ASSERT_NEAR(expected[i], actual[i], bound) << "at " << i;
    }
  }
};
TYPED_TEST_SUITE(FewVectorsTest, Dtypes);

// Rows and columns around what the loops take at a time, vectors odd and even.
constexpr MatrixShape kShapes[] = {{1, 1},     {3, 5},     {4, 16},
                                   {5, 33},    {31, 1023}, {32, 1024},
                                   {33, 1025}, {70, 2500}};

TYPED_TEST(FewVectorsTest, AreSumsOfProducts) {
  for (const auto& [rows, columns] : kShapes) {
    for (const std::int64_t vectors : {1, 2, 3, 8, 17}) {
      SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(columns) +
                   ", vectors: " + std::to_string(vectors));
      const auto matrix = this->Random(rows * columns);
      const auto of_rows = this->Random(vectors * rows);
      const auto of_columns = this->Random(vectors * columns);
      for (const bool has_bias : {false, true}) {
        const auto row_bias = this->Random(rows);
        const auto column_bias = this->Random(columns);
        std::vector<double> by_rows(vectors * rows),
            by_columns(vectors * columns);
        for (std::int64_t v = 0; v < vectors; ++v) {
          for (std::int64_t row = 0; row < rows; ++row) {
            by_rows[v * rows + row] += has_bias ? row_bias[row] : 0;
            for (std::int64_t column = 0; column < columns; ++column) {
              const double element = matrix[row * columns + column];
              by_rows[v * rows + row] +=
                  element * of_columns[v * columns + column];
              by_columns[v * columns + column] +=
                  element * of_rows[v * rows + row];
            }
          }
          for (std::int64_t column = 0; has_bias && column < columns;
               ++column) {
            by_columns[v * columns + column] += column_bias[column];
          }
        }
        std::vector<TypeParam> y(vectors * rows), z(vectors * columns);
        MultiplyRows<TypeParam>({rows, columns}, matrix.data(),
                                of_columns.data(), vectors,
                                has_bias ? row_bias.data() : nullptr, y.data());
        this->ExpectSums(by_rows, y, columns);
        MultiplyColumns<TypeParam>(
            {rows, columns}, matrix.data(), of_rows.data(), vectors,
            has_bias ? column_bias.data() : nullptr, z.data());
        this->ExpectSums(by_columns, z, rows);
      }
      std::vector<double> outer(matrix.begin(), matrix.end());
      for (std::int64_t i = 0; i < rows * columns; ++i) {
        for (std::int64_t v = 0; v < vectors; ++v) {
          outer[i] += static_cast<double>(of_rows[v * rows + i / columns]) *
                      of_columns[v * columns + i % columns];
        }
      }
      auto sums = matrix;
      AddOuterProducts<TypeParam>({rows, columns}, of_rows.data(),
                                  of_columns.data(), vectors, sums.data());
      this->ExpectSums(outer, sums, vectors);
    }
  }
}

TYPED_TEST(FewVectorsTest, HaveTheSameBitsOnTwoThreads) {
  const MatrixShape shape = {1100, 3001};
  const std::int64_t vectors = 2;
  const auto matrix = this->Random(shape.count());
  const auto of_rows = this->Random(vectors * shape.rows);
  const auto of_columns = this->Random(vectors * shape.columns);
  const TypeParam* none = nullptr;
  const auto all = [&](int threads) {
    const int before = omp_get_max_threads();
    omp_set_num_threads(threads);
    std::vector<TypeParam> y(vectors * shape.rows), z(vectors * shape.columns);
    auto sums = matrix;
    MultiplyRows(shape, matrix.data(), of_columns.data(), vectors, none,
                 y.data());
    MultiplyColumns(shape, matrix.data(), of_rows.data(), vectors, none,
                    z.data());
    AddOuterProducts(shape, of_rows.data(), of_columns.data(), vectors,
                     sums.data());
    omp_set_num_threads(before);
    return std::vector{y, z, sums};
  };
  EXPECT_EQ(all(1), all(2));
}

}  // namespace
}  // namespace ul2q
