// A build with CUDA trains with a data layer that reads ahead in a thread of
// its own: in CPU mode, which needs no GPU and no driver, and on a GPU.

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>

#include "caffe/net.hpp"
#include "caffe/sgd_solvers.hpp"
#include "caffe/util/db.hpp"
#include "support.hpp"
#include "support/cuda_device.hpp"

namespace ul2q {
namespace {

constexpr int kSide = 8;

/// Noise, brighter on the left in class 0 and on the right in class 1.
void WriteImages(const std::string& path, int count) {
  std::mt19937 engine(3);
  const std::unique_ptr<caffe::db::DB> db(caffe::db::GetDB("lmdb"));
  db->Open(path, caffe::db::NEW);
  const std::unique_ptr<caffe::db::Transaction> write(db->NewTransaction());
  for (int i = 0; i < count; ++i) {
    caffe::Datum datum;
    datum.set_channels(1);
    datum.set_height(kSide);
    datum.set_width(kSide);
    datum.set_label(i % 2);
    for (int pixel = 0; pixel < kSide * kSide; ++pixel) {
      const bool is_bright = (pixel % kSide < kSide / 2) == (i % 2 == 0);
      datum.mutable_data()->push_back(
          static_cast<char>(engine() % 64 + (is_bright ? 64 : 0)));
    }
    write->Put(std::to_string(i), datum.SerializeAsString());
  }
  write->Commit();
}

/// Both modes by name, for the runner's account.
class TrainingTest : public ::testing::TestWithParam<const char*> {
 protected:
  void TearDown() override { caffe::Caffe::set_mode(caffe::Caffe::CPU); }
};

TEST_P(TrainingTest, LearnsWithQuantisedLayersFromADatabase) {
  const std::string mode = GetParam();
  if (mode == "GPU" && !HasCudaDevice()) {
    GTEST_SKIP() << "no CUDA device";
  }
  const TemporaryFolder folder;
  const std::string database = folder / "lmdb";
  WriteImages(database, 64);
  const auto param = FromText<caffe::SolverParameter>(R"(
      base_lr: 0.1 momentum: 0.9 lr_policy: "fixed" max_iter: 30
      snapshot_after_train: false random_seed: 1
      net_param {
        layer { name: "data" type: "Data" top: "data" top: "label"
                transform_param { scale: 0.0078125 }
                data_param { batch_size: 16 backend: LMDB source: ")" +
                                                      database + R"(" } }
        layer { name: "conv" type: "QuantizedConvolution" bottom: "data"
                top: "conv"
                convolution_param { num_output: 4 kernel_size: 3
                                    weight_filler { type: "xavier" } }
                quantization_param { weight { bits: 2 } } }
        layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
        layer { name: "codes" type: "QuantizedActivation" bottom: "conv"
                top: "codes"
                quantization_param { activation { bits: 4 signed: false } } }
        layer { name: "ip" type: "QuantizedInnerProduct" bottom: "codes"
                top: "ip"
                inner_product_param { num_output: 2
                                      weight_filler { type: "xavier" } }
                quantization_param { weight { bits: 8 } } }
        layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip"
                bottom: "label" top: "loss" }
      })");
  caffe::Caffe::set_mode(mode == "GPU" ? caffe::Caffe::GPU : caffe::Caffe::CPU);
  caffe::SGDSolver<float> solver(param);
  const auto loss = [&] {
    solver.net()->Forward();
    return solver.net()->blob_by_name("loss")->cpu_data()[0];
  };
  const float before = loss();
  solver.Solve();
  EXPECT_LT(loss(), before / 4);
}

INSTANTIATE_TEST_SUITE_P(Modes, TrainingTest, ::testing::Values("CPU", "GPU"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace ul2q
