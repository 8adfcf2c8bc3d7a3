// A fast layer, as Caffe's registry makes it, beside BVLC's.
#ifndef UL2Q_TESTS_FLOAT_ENGINE_PARITY_HPP_
#define UL2Q_TESTS_FLOAT_ENGINE_PARITY_HPP_

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <ostream>
#include <string>
#include <typeinfo>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/common.hpp"
#include "caffe/layer.hpp"
#include "caffe/layer_factory.hpp"
#include "caffe/proto/caffe.pb.h"
#include "support.hpp"

namespace ul2q {

/// A layer, what goes in, and what is asked of it.
struct ParityCase {
  std::string name;
  std::string param;                     ///< LayerParameter, in text
  std::vector<std::vector<int>> shapes;  ///< of the bottoms
  bool in_place = false;                 ///< the first top is the first bottom
  int tops = 1;
  caffe::Phase phase = caffe::TRAIN;
  std::vector<bool> propagate_down = {};        ///< all, if empty
  std::vector<bool> param_propagate_down = {};  ///< all, if empty
  double mean = 0, sigma = 1;                   ///< of the bottoms
  bool random_params = false;  ///< positive ones, not the fillers'
  /// In roundings of the largest element; what sums of floats differ by.
  double tolerance = 32;
};

inline std::ostream& operator<<(std::ostream& out, const ParityCase& c) {
  return out << c.name;
}

template <typename Dtype>
void ExpectWithin(double roundings, const std::vector<Dtype>& expected,
                  const std::vector<Dtype>& actual, const std::string& what) {
  ASSERT_EQ(expected.size(), actual.size()) << what;
  double largest = 1;
  for (const Dtype value : expected) {
    if (std::isfinite(value)) {
      largest = std::max(largest, std::abs(static_cast<double>(value)));
    }
  }
  const double tolerance =
      roundings * std::numeric_limits<Dtype>::epsilon() * largest;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (std::isfinite(expected[i])) {
      ASSERT_NEAR(expected[i], actual[i], tolerance) << what << " at " << i;
    } else {
      ASSERT_EQ(std::isnan(expected[i]), std::isnan(actual[i]))
          << what << " at " << i;
      ASSERT_TRUE(std::isnan(expected[i]) || expected[i] == actual[i])
          << what << " at " << i;
    }
  }
}

/// `n` normal values, the same for the same seed; drawn once.
template <typename Dtype>
std::vector<Dtype> Values(std::size_t n, unsigned seed, double mean = 0,
                          double sigma = 1) {
  static const std::vector<double> table = Normal<double>(65537, 1);
  std::vector<Dtype> values(n);
  std::size_t at = seed * std::size_t{7919} % table.size();
  for (Dtype& value : values) {
    value = static_cast<Dtype>(mean + sigma * table[at]);
    at = at + 1 < table.size() ? at + 1 : 0;
  }
  return values;
}

/// A layer with its blobs. Random values are the same for the same case.
template <typename Dtype>
class Bench {
 public:
  using Layer = caffe::Layer<Dtype>;
  using Blobs = std::vector<caffe::Blob<Dtype>*>;

  /// `make`: the layer from its LayerParameter.
  template <typename Make>
  Bench(const ParityCase& c, const Make& make) : case_(c) {
    for (const std::vector<int>& shape : c.shapes) {
      bottom.push_back(New());
      bottom.back()->Reshape(shape);
    }
    FillBottoms(0);  // a layer may look at them when it is set up
    for (int i = 0; i < c.tops; ++i) {
      top.push_back(c.in_place && i == 0 ? bottom[0] : New());
    }
    auto param = FromText<caffe::LayerParameter>(c.param);
    param.set_phase(c.phase);
    caffe::Caffe::set_random_seed(17);
    layer = make(param);
    layer->SetUp(bottom, top);
    for (std::size_t i = 0; i < c.param_propagate_down.size(); ++i) {
      layer->set_param_propagate_down(i, c.param_propagate_down[i]);
    }
    unsigned seed = 1000;
    for (const auto& blob : layer->blobs()) {
      if (c.random_params) {
        auto values = Values<Dtype>(blob->count(), seed++);
        for (Dtype& value : values) {
          value = std::abs(value) + Dtype(0.5);
        }
        SetData(values, blob.get());
      }
      SetDiff(Values<Dtype>(blob->count(), seed++), blob.get());
    }
  }

  void FillBottoms(unsigned seed) {
    for (std::size_t i = 0; i < bottom.size(); ++i) {
      SetData(Values<Dtype>(bottom[i]->count(), 100 * seed + i, case_.mean,
                            case_.sigma),
              bottom[i]);
    }
  }

  void Forward() {
    caffe::Caffe::set_random_seed(23);
    layer->Forward(bottom, top);
  }

  /// Diffs that propagate_down leaves alone keep the values set here.
  void Backward(unsigned seed) {
    for (std::size_t i = 0; i < bottom.size(); ++i) {
      SetDiff(Normal<Dtype>(bottom[i]->count(), 200 * seed + i), bottom[i]);
    }
    for (std::size_t i = 0; i < top.size(); ++i) {
      SetDiff(Values<Dtype>(top[i]->count(), 300 * seed + i), top[i]);
    }
    std::vector<bool> propagate_down = case_.propagate_down;
    propagate_down.resize(bottom.size(), case_.propagate_down.empty());
    layer->Backward(top, propagate_down, bottom);
  }

  std::shared_ptr<Layer> layer;
  Blobs bottom, top;

 private:
  caffe::Blob<Dtype>* New() {
    blobs_.push_back(std::make_unique<caffe::Blob<Dtype>>());
    return blobs_.back().get();
  }

  ParityCase case_;
  std::vector<std::unique_ptr<caffe::Blob<Dtype>>> blobs_;
};

template <typename Dtype>
void ExpectSameBlobs(double tolerance,
                     const std::vector<caffe::Blob<Dtype>*>& expected,
                     const std::vector<caffe::Blob<Dtype>*>& actual,
                     const std::string& what,
                     const std::vector<bool>& has_diff = {}) {
  ASSERT_EQ(expected.size(), actual.size()) << what;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const std::string blob = what + " " + std::to_string(i);
    ASSERT_EQ(expected[i]->shape(), actual[i]->shape()) << blob;
    ASSERT_NO_FATAL_FAILURE(ExpectWithin(tolerance, Data(*expected[i]),
                                         Data(*actual[i]), blob + "'s data"));
    if (has_diff.empty() || has_diff[i]) {
      ASSERT_NO_FATAL_FAILURE(ExpectWithin(tolerance, Diff(*expected[i]),
                                           Diff(*actual[i]), blob + "'s diff"));
    }
  }
}

template <typename Dtype>
void ExpectSame(const ParityCase& c, const Bench<Dtype>& bvlc,
                const Bench<Dtype>& fast, const std::string& when) {
  const auto pointers = [](const Bench<Dtype>& bench) {
    std::vector<caffe::Blob<Dtype>*> blobs;
    for (const auto& blob : bench.layer->blobs()) {
      blobs.push_back(blob.get());
    }
    return blobs;
  };
  ASSERT_NO_FATAL_FAILURE(
      ExpectSameBlobs(c.tolerance, bvlc.top, fast.top, when + ": top"));
  // Some of BVLC's layers work in diffs that nobody has asked for.
  ASSERT_NO_FATAL_FAILURE(ExpectSameBlobs(c.tolerance, bvlc.bottom, fast.bottom,
                                          when + ": bottom", c.propagate_down));
  ASSERT_NO_FATAL_FAILURE(ExpectSameBlobs(
      c.tolerance, pointers(bvlc), pointers(fast), when + ": parameter"));
}

/// The fast layer of these parameters, which takes the place of `Bvlc` in
/// Caffe's registry; a test failure where it does not.
template <template <typename> class Bvlc, typename Dtype>
std::shared_ptr<caffe::Layer<Dtype>> MakeFast(
    const caffe::LayerParameter& param) {
  const auto layer = caffe::LayerRegistry<Dtype>::CreateLayer(param);
  const caffe::Layer<Dtype>& object = *layer;
  EXPECT_TRUE(dynamic_cast<const Bvlc<Dtype>*>(&object) != nullptr &&
              typeid(object) != typeid(Bvlc<Dtype>))
      << "not a fast layer: " << param.ShortDebugString();
  return {layer.get(), [layer](caffe::Layer<Dtype>*) {}};
}

/// BVLC's layer is made where the `engine` of these options asks for it, a fast
/// one elsewhere.
template <template <typename> class Bvlc, typename Dtype>
void ExpectReplaces(const std::string& type, const std::string& field,
                    const std::string& options = "") {
  const auto param_of = [&](const std::string& engine) {
    return FromText<caffe::LayerParameter>("type: '" + type + "' " + field +
                                           " { " + options + " " + engine +
                                           " }");
  };
  MakeFast<Bvlc, Dtype>(param_of(""));
  const auto layer =
      caffe::LayerRegistry<Dtype>::CreateLayer(param_of("engine: CAFFE"));
  const caffe::Layer<Dtype>& object = *layer;
  EXPECT_TRUE(typeid(object) == typeid(Bvlc<Dtype>));
}

/// Both layers forward and backward twice (averages move, diffs add up): the
/// same tops, diffs and parameters.
template <template <typename> class Bvlc, typename Dtype>
void ExpectParity(const ParityCase& c) {
  SCOPED_TRACE(c.name);
  Bench<Dtype> bvlc(c, [](const caffe::LayerParameter& param) {
    return std::make_shared<Bvlc<Dtype>>(param);
  });
  Bench<Dtype> fast(c, &MakeFast<Bvlc, Dtype>);
  for (unsigned pass = 1; pass <= 2; ++pass) {
    for (Bench<Dtype>* bench : {&bvlc, &fast}) {
      bench->FillBottoms(pass);
      bench->Forward();
    }
    const std::string when = "pass " + std::to_string(pass);
    ASSERT_NO_FATAL_FAILURE(ExpectSame(c, bvlc, fast, when + " forward"));
    for (Bench<Dtype>* bench : {&bvlc, &fast}) {
      bench->Backward(pass);
    }
    ASSERT_NO_FATAL_FAILURE(ExpectSame(c, bvlc, fast, when + " backward"));
  }
}

/// The same bits on one thread and on two.
template <template <typename> class Bvlc, typename Dtype>
void ExpectSameOnTwoThreads(const ParityCase& c) {
  SCOPED_TRACE(c.name);
  const int threads = omp_get_max_threads();
  const auto make = &MakeFast<Bvlc, Dtype>;
  Bench<Dtype> one(c, make), two(c, make);
  for (Bench<Dtype>* bench : {&one, &two}) {
    omp_set_num_threads(bench == &one ? 1 : 2);
    bench->FillBottoms(1);
    bench->Forward();
    bench->Backward(1);
  }
  omp_set_num_threads(threads);
  ParityCase exact = c;
  exact.tolerance = 0;
  ExpectSame(exact, one, two, "two threads");
}

/// After a batch of the case's shape one without elements.
template <template <typename> class Bvlc, typename Dtype>
void ExpectTakesEmptyBatch(const ParityCase& c) {
  SCOPED_TRACE(c.name);
  Bench<Dtype> bench(c, &MakeFast<Bvlc, Dtype>);
  bench.Forward();
  std::vector<int> shape = c.shapes[0];
  shape[0] = 0;
  for (caffe::Blob<Dtype>* bottom : bench.bottom) {
    bottom->Reshape(shape);
  }
  std::vector<std::vector<Dtype>> diffs;
  for (const auto& blob : bench.layer->blobs()) {
    diffs.push_back(Diff(*blob));
  }
  bench.Forward();
  bench.Backward(1);
  EXPECT_EQ(bench.top[0]->shape(), shape);
  for (std::size_t i = 0; i < diffs.size(); ++i) {
    EXPECT_EQ(diffs[i], Diff(*bench.layer->blobs()[i]));
  }
}

}  // namespace ul2q

#endif  // UL2Q_TESTS_FLOAT_ENGINE_PARITY_HPP_
