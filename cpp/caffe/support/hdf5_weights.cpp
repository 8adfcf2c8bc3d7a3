#include "support/hdf5_weights.hpp"

#include <glog/logging.h>

#include "caffe/util/hdf5.hpp"
#include "support/hdf5_file.hpp"

namespace ul2q {

std::vector<std::string> LayersWithWeights(const std::string& path) {
  const Hdf5File file = Hdf5File::Open(path);
  // What is opened here closes with the file.
  const hid_t layers = H5Gopen2(file, "data", H5P_DEFAULT);
  CHECK_GE(layers, 0) << path << " holds no weights";
  std::vector<std::string> names;
  for (int i = 0; i < caffe::hdf5_get_num_links(layers); ++i) {
    const std::string name = caffe::hdf5_get_name_by_idx(layers, i);
    const hid_t blobs = H5Gopen2(layers, name.c_str(), H5P_DEFAULT);
    CHECK_GE(blobs, 0) << path << " is damaged: '" << name << "' is no layer";
    if (caffe::hdf5_get_num_links(blobs) > 0) {
      names.push_back(name);
    }
  }
  return names;
}

}  // namespace ul2q
