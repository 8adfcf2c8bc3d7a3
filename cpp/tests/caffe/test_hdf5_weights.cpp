// Weights in HDF5: as BVLC writes them, and of layers whose names are no names
// of HDF5's.

#include <gtest/gtest.h>
#include <hdf5.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "caffe/net.hpp"
#include "caffe/proto/caffe.pb.h"
#include "support.hpp"
#include "support/hdf5_data_set.hpp"
#include "support/hdf5_weights.hpp"

namespace ul2q {
namespace {

using Names = std::vector<std::string>;

/// Writes a .caffemodel.h5 as BVLC does: HDF5 takes the name of a layer, whose
/// one blob is (1, 2, 3) + `first`, as a path from the group "data".
class BvlcFile {
 public:
  explicit BvlcFile(const std::string& path)
      : file_(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT)),
        data_(Group(file_, "data")) {}
  ~BvlcFile() {
    H5Gclose(data_);
    H5Fclose(file_);
  }

  void AddLayer(const std::string& name, float first) {
    const hid_t layer = Group(data_, name);
    const float values[] = {first + 1, first + 2, first + 3};
    const hsize_t shape[] = {1, 3};
    const hid_t space = H5Screate_simple(2, shape, nullptr);
    const hid_t set = H5Dcreate2(layer, "0", H5T_NATIVE_FLOAT, space,
                                 H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    EXPECT_GE(
        H5Dwrite(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values),
        0);
    H5Dclose(set);
    H5Sclose(space);
    H5Gclose(layer);
  }
  void AddLayerWithoutBlobs(const std::string& name) {
    H5Gclose(Group(data_, name));
  }

 private:
  static hid_t Group(hid_t parent, const std::string& name) {
    const hid_t group =
        H5Gcreate2(parent, name.c_str(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    EXPECT_GE(group, 0) << name;
    return group;
  }

  hid_t file_;
  hid_t data_;
};

/// A net of an InnerProduct of 3 weights for each name.
caffe::NetParameter NetOf(const Names& layers) {
  auto net = FromText<caffe::NetParameter>(
      "layer { name: 'x' type: 'Input' top: 'x' "
      "input_param { shape { dim: 1 dim: 3 } } }");
  net.mutable_state()->set_phase(caffe::TEST);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    auto layer = FromText<caffe::LayerParameter>(
        "type: 'InnerProduct' bottom: 'x' "
        "inner_product_param { num_output: 1 bias_term: false }");
    layer.set_name(layers[i]);
    layer.add_top("y" + std::to_string(i));
    *net.add_layer() = layer;
  }
  return net;
}

const Names kBvlcNames = {"conv1", "conv1/bn", "conv1/bn/x", "/root",
                          "a%2Fb", "conv.1",   "50%"};

TEST(Hdf5WeightsTest, ReadsWhatBvlcWroteOfNamesWithSlashes) {
  const TemporaryFolder folder;
  const std::string path = folder / "w.caffemodel.h5";
  {
    BvlcFile file(path);
    file.AddLayerWithoutBlobs("relu1");
    file.AddLayerWithoutBlobs("split");
    for (std::size_t i = 0; i < kBvlcNames.size(); ++i) {
      file.AddLayer(kBvlcNames[i], 10.F * static_cast<float>(i));
    }
    file.AddLayer("split/a", 5);
  }
  caffe::Net<float> net(NetOf(kBvlcNames));
  net.CopyTrainedLayersFrom(path);
  for (std::size_t i = 0; i < kBvlcNames.size(); ++i) {
    const float first = 10.F * static_cast<float>(i);
    EXPECT_EQ(Data(*net.layer_by_name(kBvlcNames[i])->blobs()[0]),
              std::vector<float>({first + 1, first + 2, first + 3}))
        << kBvlcNames[i];
  }
  const Names listed = Hdf5Weights(path).layers();
  EXPECT_EQ(listed, Names({"/root", "50%", "a/b", "conv.1", "conv1", "conv1/bn",
                           "conv1/bn/x", "split/a"}));
}

TEST(Hdf5WeightsTest, KeepsLayersOfAnyNameApart) {
  const Names names = {"conv1",   "conv1/bn", "conv1/0", "0",    "conv1/0/1",
                       "/conv1",  "a//b",     "a/b",     "a/",   "a",
                       "a%2Fb",   "a%252Fb",  "%",       "%2E",  ".",
                       "..",      "",         "50%",     "%25",  "a/%2F",
                       "./conv1", "data",     "diff",    "ein ä"};
  const TemporaryFolder folder;
  const std::string path = folder / "w.caffemodel.h5";
  caffe::Net<double> source(NetOf(names)), target(NetOf(names));
  for (std::size_t i = 0; i < names.size(); ++i) {
    FillNormal<double>(static_cast<unsigned>(i),
                       source.layer_by_name(names[i])->blobs()[0].get());
  }
  source.ToHDF5(path, true);
  target.CopyTrainedLayersFrom(path);
  for (std::size_t i = 0; i < names.size(); ++i) {
    // A .caffemodel.h5 of doubles is one of doubles.
    EXPECT_EQ(Data(*target.layer_by_name(names[i])->blobs()[0]),
              Data(*source.layer_by_name(names[i])->blobs()[0]))
        << names[i];
  }
  Names sorted = names;
  std::sort(sorted.begin(), sorted.end());
  EXPECT_EQ(Hdf5Weights(path).layers(), sorted);
}

TEST(Hdf5WeightsTest, WritesNamesWithoutSlashesAsBvlcDoes) {
  for (const char* name : {"conv1", "conv.1", "50%", "%2", "..", "x y", "ä"}) {
    EXPECT_EQ(Hdf5LayerName(name), name);
  }
  const TemporaryFolder folder;
  const std::string path = folder / "w.caffemodel.h5";
  caffe::Net<float>(NetOf({"conv1", "conv1/bn"})).ToHDF5(path);
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  EXPECT_GT(H5Lexists(file, "data/conv1/0", H5P_DEFAULT), 0);
  EXPECT_GT(H5Lexists(file, "data/conv1%2Fbn/0", H5P_DEFAULT), 0);
  EXPECT_EQ(H5Lexists(file, "data/conv1/bn", H5P_DEFAULT), 0);
  H5Fclose(file);
}

TEST(Hdf5WeightsTest, RefusesAnotherShapeBeforeItWrites) {
  const TemporaryFolder folder;
  const std::string path = folder / "w.caffemodel.h5";
  caffe::Net<float>(NetOf({"ip"})).ToHDF5(path);
  caffe::NetParameter wider = NetOf({"ip"});
  wider.mutable_layer(1)->mutable_inner_product_param()->set_num_output(2);
  caffe::Net<float> net(wider);
  try {
    net.CopyTrainedLayersFrom(path);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const CaffeError& error) {
    ExpectWords(error.what(), {path, "Layer 'ip' (InnerProduct)",
                               "shape mismatch", "1 3 (3)", "2 3 (6)"});
  }
}

}  // namespace
}  // namespace ul2q
