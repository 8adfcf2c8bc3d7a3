// What a data set of HDF5 holds is compared with what is wanted before anything
// is read. The files are written with HDF5 itself, as others write them.

#include <gtest/gtest.h>
#include <hdf5.h>

#include <functional>
#include <string>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/hdf5.hpp"
#include "support.hpp"
#include "support/hdf5_data_set.hpp"
#include "support/hdf5_file.hpp"

namespace ul2q {
namespace {

/// A file with one data set, "d".
class Hdf5DataSetTest : public testing::Test {
 protected:
  ~Hdf5DataSetTest() override { Close(); }

  /// `values` may be null: HDF5 then stores none, and would read zeros.
  hid_t Write(hid_t type, const std::vector<hsize_t>& extents,
              const void* values = nullptr) {
    const hid_t space = H5Screate_simple(static_cast<int>(extents.size()),
                                         extents.data(), nullptr);
    return WriteIn(space, type, values);
  }

  hid_t WriteIn(hid_t space, hid_t type, const void* values) {
    Close();
    const std::string path = folder_ / "f.h5";
    file_ = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    const hid_t set = H5Dcreate2(file_, "d", type, space, H5P_DEFAULT,
                                 H5P_DEFAULT, H5P_DEFAULT);
    EXPECT_GE(set, 0);
    if (values != nullptr) {
      EXPECT_GE(H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values), 0);
    }
    H5Dclose(set);
    H5Sclose(space);
    return file_;
  }

  void ExpectError(const std::function<void()>& read,
                   const std::vector<std::string>& words) {
    try {
      read();
      ADD_FAILURE() << "nothing was thrown: " << words.front();
    } catch (const CaffeError& error) {
      ExpectWords(error.what(), words);
    }
  }

 private:
  void Close() {
    if (file_ >= 0) {
      H5Fclose(file_);
    }
  }

  TemporaryFolder folder_;
  hid_t file_ = H5I_INVALID_HID;
};

TEST_F(Hdf5DataSetTest, ReadsNumbersOfOtherTypes) {
  const short values[] = {1, -2, 3, 4, 5, 6};  // NOLINT(google-runtime-int)
  const hid_t file = Write(H5T_NATIVE_SHORT, {2, 3}, values);
  caffe::Blob<float> blob;
  caffe::hdf5_load_nd_dataset(file, "d", 0, kMaxBlobAxes, &blob, true);
  EXPECT_EQ(blob.shape(), std::vector<int>({2, 3}));
  EXPECT_EQ(Data(blob), std::vector<float>({1, -2, 3, 4, 5, 6}));
}

TEST_F(Hdf5DataSetTest, RefusesExtentsThatAreEqualInThirtyTwoBitsOnly) {
  // 2³² + 2 is 2 in 32 bits. Nothing is stored, so the file is small.
  const hid_t file = Write(H5T_NATIVE_FLOAT, {(hsize_t(1) << 32) + 2});
  caffe::Blob<float> blob(std::vector<int>({2}));
  ExpectError([&] { caffe::hdf5_load_nd_dataset(file, "d", 0, 4, &blob); },
              {"HDF5 dataset d", "more than 2147483647 numbers"});
}

TEST_F(Hdf5DataSetTest, RefusesAProductThatNoBlobTakes) {
  const hid_t file = Write(H5T_NATIVE_FLOAT, {1 << 16, 1 << 16});
  caffe::Blob<float> blob;
  ExpectError(
      [&] { caffe::hdf5_load_nd_dataset(file, "d", 0, 4, &blob, true); },
      {"HDF5 dataset d", "more than 2147483647 numbers"});
}

TEST_F(Hdf5DataSetTest, RefusesElementsThatAreNoNumbers) {
  const hid_t text = H5Tcopy(H5T_C_S1);
  const hid_t file = Write(text, {2});
  caffe::Blob<float> blob;
  ExpectError(
      [&] { caffe::hdf5_load_nd_dataset(file, "d", 0, 4, &blob, true); },
      {"HDF5 dataset d", "must hold numbers; it holds texts"});
  H5Tclose(text);
}

TEST_F(Hdf5DataSetTest, RefusesADataSetWithoutElements) {
  const hid_t file = WriteIn(H5Screate(H5S_NULL), H5T_NATIVE_FLOAT, nullptr);
  caffe::Blob<float> blob;
  ExpectError(
      [&] { caffe::hdf5_load_nd_dataset(file, "d", 0, 4, &blob, true); },
      {"HDF5 dataset d is empty"});
}

TEST_F(Hdf5DataSetTest, ReadsOneIntegerAndRefusesMore) {
  const int values[] = {7, 8, 9};
  EXPECT_EQ(caffe::hdf5_load_int(Write(H5T_NATIVE_INT, {1}, values), "d"), 7);
  EXPECT_EQ(caffe::hdf5_load_int(
                WriteIn(H5Screate(H5S_SCALAR), H5T_NATIVE_INT, values), "d"),
            7);
  hid_t file = Write(H5T_NATIVE_INT, {3}, values);
  ExpectError([&] { caffe::hdf5_load_int(file, "d"); },
              {"HDF5 dataset d holds 3 numbers; 1 is wanted"});
  const long long large = 1LL << 40;  // NOLINT(google-runtime-int)
  file = Write(H5T_NATIVE_LLONG, {1}, &large);
  ExpectError([&] { caffe::hdf5_load_int(file, "d"); },
              {"HDF5 dataset d is 1099511627776; must be"});
  const float half = 0.5F;
  file = Write(H5T_NATIVE_FLOAT, {1}, &half);
  ExpectError([&] { caffe::hdf5_load_int(file, "d"); },
              {"HDF5 dataset d must be an integer"});
}

TEST_F(Hdf5DataSetTest, ReadsTextsOfEachKind) {
  const char* const text = "SGD";
  const hid_t variable = H5Tcopy(H5T_C_S1);
  H5Tset_size(variable, H5T_VARIABLE);
  // As h5py writes a str.
  hid_t file = WriteIn(H5Screate(H5S_SCALAR), variable, &text);
  EXPECT_EQ(caffe::hdf5_load_string(file, "d"), "SGD");
  ExpectError(
      [&] {
        const char* const two[] = {"SGD", "Adam"};
        caffe::hdf5_load_string(Write(variable, {2}, two), "d");
      },
      {"HDF5 dataset d must be one text"});
  H5Tclose(variable);

  // As h5py writes a NumPy array of S3: without an end.
  const hid_t fixed = H5Tcopy(H5T_C_S1);
  H5Tset_size(fixed, 3);
  H5Tset_strpad(fixed, H5T_STR_NULLPAD);
  EXPECT_EQ(
      caffe::hdf5_load_string(WriteIn(H5Screate(H5S_SCALAR), fixed, text), "d"),
      "SGD");
  // As BVLC writes it: with one.
  H5Tset_size(fixed, 4);
  H5Tset_strpad(fixed, H5T_STR_NULLTERM);
  EXPECT_EQ(
      caffe::hdf5_load_string(WriteIn(H5Screate(H5S_SCALAR), fixed, text), "d"),
      "SGD");
  H5Tset_size(fixed, std::size_t(1) << 20);
  file = WriteIn(H5Screate(H5S_SCALAR), fixed, nullptr);
  ExpectError([&] { caffe::hdf5_load_string(file, "d"); },
              {"HDF5 dataset d must be a text of at most 65536 bytes"});
  H5Tclose(fixed);
}

TEST_F(Hdf5DataSetTest, RefusesAMessageOfMoreThanOneAxis) {
  const hid_t file = Write(H5T_NATIVE_UCHAR, {2, 2, 2, 2});
  caffe::ResumeState message;
  ExpectError([&] { LoadMessage(file, "d", &message); },
              {"HDF5 dataset d must be bytes of one axis"});
}

TEST_F(Hdf5DataSetTest, NamesADataSetThatIsNotThere) {
  const hid_t file = Write(H5T_NATIVE_FLOAT, {1});
  ExpectError([&] { Hdf5DataSet(file, "a/b"); },
              {"Failed to find HDF5 dataset a/b"});
}

}  // namespace
}  // namespace ul2q
