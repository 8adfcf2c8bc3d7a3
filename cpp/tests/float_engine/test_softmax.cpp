#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <typeinfo>
#include <vector>

#include "caffe/layers/softmax_layer.hpp"
#include "caffe/layers/softmax_loss_layer.hpp"
#include "float_engine/parity.hpp"
#include "support.hpp"

namespace ul2q {
namespace {

template <typename Dtype>
class FastSoftmaxTest : public ::testing::Test {
 protected:
  static Bench<Dtype> Fast(const ParityCase& c) {
    return {c, &MakeFast<caffe::SoftmaxLayer, Dtype>};
  }
};
TYPED_TEST_SUITE(FastSoftmaxTest, Dtypes);

std::vector<ParityCase> Cases() {
  struct Columns {
    std::vector<int> shape;
    int axis;
  };
  const std::vector<Columns> columns = {
      {{100, 10}, 1},       {{1, 10}, 1},      {{3, 1}, 1},
      {{5, 1000}, 1},       {{7, 33}, -1},     {{2, 21, 17, 19}, 1},
      {{2, 3, 4, 5}, 0},    {{2, 3, 4, 5}, 2}, {{2, 3, 4, 5}, 3},
      {{2, 3, 4, 5}, -2},   {{2, 5, 1, 1}, 1}, {{37}, 0},
      {{2, 3, 2, 2, 2}, 2}, {{100, 1000}, 1},  {{2, 21, 60, 60}, 1}};
  std::vector<ParityCase> cases;
  for (const Columns& column : columns) {
    for (const double sigma : {1., 40.}) {
      for (const bool in_place : {false, true}) {
        ParityCase c;
        c.param = "type: 'Softmax' softmax_param { axis: " +
                  std::to_string(column.axis) + " }";
        c.shapes = {column.shape};
        c.sigma = sigma;
        c.in_place = in_place;
        c.name = c.param + " on " + ::testing::PrintToString(column.shape);
        cases.push_back(c);
      }
    }
  }
  return cases;
}

TYPED_TEST(FastSoftmaxTest, GivesWhatBvlcsGives) {
  for (const ParityCase& c : Cases()) {
    ASSERT_NO_FATAL_FAILURE((ExpectParity<caffe::SoftmaxLayer, TypeParam>(c)));
  }
}

// Small probabilities are as good as large ones.
TYPED_TEST(FastSoftmaxTest, IsTheFormulaRelativeToEachValue) {
  for (const int inner : {1, 3, 40}) {
    ParityCase c;
    c.param = "type: 'Softmax'";
    c.shapes = {{1, 41, inner}};
    auto fast = this->Fast(c);
    std::vector<TypeParam> x(41 * inner);
    for (std::size_t i = 0; i < x.size(); ++i) {
      x[i] = -2 * static_cast<TypeParam>(i / inner);
    }
    SetData(x, fast.bottom[0]);
    fast.Forward();
    double sum = 0;
    for (int channel = 0; channel < 41; ++channel) {
      sum += std::exp(-2. * channel);
    }
    for (std::size_t i = 0; i < x.size(); ++i) {
      EXPECT_NEAR(fast.top[0]->cpu_data()[i] * sum / std::exp(double(x[i])), 1,
                  8 * std::numeric_limits<TypeParam>::epsilon())
          << inner << " at " << i;
    }
  }
}

TYPED_TEST(FastSoftmaxTest, KeepsWhatIsNotFinite) {
  const TypeParam nan = std::numeric_limits<TypeParam>::quiet_NaN();
  const TypeParam inf = std::numeric_limits<TypeParam>::infinity();
  for (const int inner : {1, 3}) {
    ParityCase c;
    c.param = "type: 'Softmax'";
    c.shapes = {{5, 3, inner}};
    const std::vector<std::vector<TypeParam>> columns = {{1, nan, 2},
                                                         {nan, 1, 2},
                                                         {inf, 1, 2},
                                                         {-inf, 1, 2},
                                                         {-inf, -inf, -inf}};
    Bench<TypeParam> bvlc(c, [](const caffe::LayerParameter& param) {
      return std::make_shared<caffe::SoftmaxLayer<TypeParam>>(param);
    });
    auto fast = this->Fast(c);
    for (auto* bench : {&bvlc, &fast}) {
      for (int i = 0; i < 5 * 3 * inner; ++i) {
        bench->bottom[0]->mutable_cpu_data()[i] =
            columns[i / (3 * inner)][i / inner % 3];
      }
      bench->Forward();
    }
    ASSERT_NO_FATAL_FAILURE(
        ExpectWithin(32, Data(*bvlc.top[0]), Data(*fast.top[0]), "top"));
  }
}

TYPED_TEST(FastSoftmaxTest, DoesNotDependOnTheThreads) {
  for (const std::vector<int>& shape :
       std::vector<std::vector<int>>{{100, 1000}, {1, 21, 60, 60}}) {
    ParityCase c;
    c.param = "type: 'Softmax'";
    c.shapes = {shape};
    ExpectSameOnTwoThreads<caffe::SoftmaxLayer, TypeParam>(c);
  }
}

TYPED_TEST(FastSoftmaxTest, TakesThePlaceOfBvlcsUnlessThatIsAskedFor) {
  ExpectReplaces<caffe::SoftmaxLayer, TypeParam>("Softmax", "softmax_param");
}

/// BVLC's loss shows which softmax it makes.
template <typename Dtype>
class LossWithInner : public caffe::SoftmaxWithLossLayer<Dtype> {
 public:
  using caffe::SoftmaxWithLossLayer<Dtype>::SoftmaxWithLossLayer;
  const caffe::Layer<Dtype>* inner() const {
    return this->softmax_layer_.get();
  }
};

TYPED_TEST(FastSoftmaxTest, ServesWithinTheLoss) {
  caffe::Blob<TypeParam> scores(4, 3, 1, 1), label(4, 1, 1, 1), loss;
  FillNormal(1, &scores);
  SetData<TypeParam>({0, 2, 1, 2}, &label);
  std::vector<TypeParam> values;
  for (const std::string engine : {"DEFAULT", "CAFFE"}) {
    LossWithInner<TypeParam> layer(FromText<caffe::LayerParameter>(
        "type: 'SoftmaxWithLoss' softmax_param { engine: " + engine + " }"));
    layer.SetUp({&scores, &label}, {&loss});
    const caffe::Layer<TypeParam>& inner = *layer.inner();
    EXPECT_EQ(typeid(inner) != typeid(caffe::SoftmaxLayer<TypeParam>),
              engine == "DEFAULT");
    layer.Forward({&scores, &label}, {&loss});
    values.push_back(loss.cpu_data()[0]);
  }
  EXPECT_NEAR(values[0], values[1],
              8 * std::numeric_limits<TypeParam>::epsilon());
}

}  // namespace
}  // namespace ul2q
