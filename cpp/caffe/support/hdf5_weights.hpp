#ifndef UL2Q_SUPPORT_HDF5_WEIGHTS_HPP_
#define UL2Q_SUPPORT_HDF5_WEIGHTS_HPP_

#include <hdf5.h>

#include <boost/shared_ptr.hpp>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "support/hdf5_data_set.hpp"
#include "support/hdf5_file.hpp"

namespace caffe {
template <typename Dtype>
class Blob;
}

namespace ul2q {

/// The name of a layer's group in a .caffemodel.h5: the layer's own, if HDF5
/// takes it for one name. Else '%', '/' and NUL become "%25", "%2F" and "%00",
/// the name "." becomes "%2E" and the empty one "%". BVLC's writer, which
/// escapes nothing, makes groups within groups of "conv1/bn", or fails.
std::string Hdf5LayerName(const std::string& layer);

/// The group of a layer in `parent`, made if it is not there; to be closed.
hid_t Hdf5LayerGroup(hid_t parent, const std::string& layer);

/// Blobs, and values for them.
template <typename Dtype>
using BlobValues =
    std::vector<std::pair<caffe::Blob<Dtype>*, std::vector<Dtype>>>;

/// The weights in a .caffemodel.h5, ours or BVLC's.
class Hdf5Weights {
 public:
  /// Throws FileNotFound, and CaffeError if the file is no HDF5 or holds no
  /// weights.
  explicit Hdf5Weights(const std::string& path);

  const std::string& path() const { return file_.path(); }

  /// The names of the layers that have blobs, in alphabetical order.
  std::vector<std::string> layers() const;

  /// Which blobs of a layer the file has, and where; none if it does not have
  /// the layer. Blobs that a layer shares with another are not in files.
  std::map<int, Hdf5DataSet> Open(const std::string& layer) const;

  /// Whether the file has the layer, be it without blobs.
  bool Has(const std::string& layer) const;

  /// Reads the values of a layer's blobs and adds them to `values`; nothing is
  /// written to the blobs. `is_shared[i]`: blob i is another layer's, too, and
  /// may lack. Throws CaffeError if the number of blobs or a shape differs.
  template <typename Dtype>
  void Read(const std::string& layer, const std::vector<bool>& is_shared,
            const std::vector<boost::shared_ptr<caffe::Blob<Dtype>>>& blobs,
            BlobValues<Dtype>* values) const;

 private:
  /// The path of a layer's group; "" if the file does not have it.
  std::string Find(const std::string& layer) const;

  Hdf5File file_;
  std::map<std::string, std::map<int, std::string>> groups_;  // by path
};

}  // namespace ul2q

#endif  // UL2Q_SUPPORT_HDF5_WEIGHTS_HPP_
