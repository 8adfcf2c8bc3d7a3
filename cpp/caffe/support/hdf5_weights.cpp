#include "support/hdf5_weights.hpp"

#include <glog/logging.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <sstream>
#include <utility>

#include "caffe/blob.hpp"

namespace ul2q {
namespace {

using Paths = std::vector<std::string>;

const std::string kData = "data/";  // the group of all layers
const std::string kDiff = "diff/";  // that of their gradients

struct Escape {
  char character;
  const char* written;
};
constexpr Escape kEscapes[] = {{'%', "%25"}, {'/', "%2F"}, {'\0', "%00"}};

/// Whether a name would be read as one that has been escaped.
bool LooksEscaped(const std::string& name) {
  if (name == "%" || name == "%2E") {
    return true;
  }
  return std::any_of(std::begin(kEscapes), std::end(kEscapes),
                     [&](const Escape& escape) {
                       return name.find(escape.written) != std::string::npos;
                     });
}

/// The layer whose group bears this name.
std::string LayerOfGroup(const std::string& group) {
  if (group == "%") {
    return "";
  }
  if (group == "%2E") {
    return ".";
  }
  std::string layer;
  for (std::size_t i = 0; i < group.size(); ++i) {
    const auto* const escape = std::find_if(
        std::begin(kEscapes), std::end(kEscapes), [&](const Escape& one) {
          return group.compare(i, 3, one.written) == 0;
        });
    const bool is_escape = escape != std::end(kEscapes);
    layer += is_escape ? escape->character : group[i];
    i += is_escape ? 2 : 0;
  }
  // BVLC's file may have such a name as it is.
  return Hdf5LayerName(layer) == group ? layer : group;
}

/// Where BVLC's writer put a layer: HDF5 reads the name as a path.
std::string PathOfBvlc(const std::string& layer) {
  std::string path = layer.compare(0, 1, "/") == 0 ? "" : "data";
  std::istringstream parts(layer);
  for (std::string part; std::getline(parts, part, '/');) {
    if (!part.empty() && part != ".") {
      path += (path.empty() ? "" : "/") + part;
    }
  }
  return path;
}

herr_t AddPath(hid_t /*group*/, const char* name, const H5L_info_t* link,
               void* paths) {
  if (link->type == H5L_TYPE_HARD) {
    static_cast<Paths*>(paths)->emplace_back(name);
  }
  return 0;
}

bool IsGroup(hid_t file, const std::string& path) {
  const hid_t object = H5Oopen(file, path.c_str(), H5P_DEFAULT);
  const bool is_group = H5Iget_type(object) == H5I_GROUP;
  H5Oclose(object);
  return is_group;
}

/// The number that a name is, or -1.
int Index(const std::string& name) {
  int index = -1;
  const char* const end = name.data() + name.size();
  const auto parsed = std::from_chars(name.data(), end, index);
  return parsed.ec == std::errc() && parsed.ptr == end ? index : -1;
}

}  // namespace

std::string Hdf5LayerName(const std::string& layer) {
  if (layer.empty()) {
    return "%";
  }
  if (layer == ".") {
    return "%2E";
  }
  const bool is_one_name = layer.find('/') == std::string::npos &&
                           layer.find('\0') == std::string::npos;
  if (is_one_name && !LooksEscaped(layer)) {
    return layer;
  }
  std::string name;
  for (const char character : layer) {
    const auto* const escape = std::find_if(
        std::begin(kEscapes), std::end(kEscapes),
        [&](const Escape& one) { return one.character == character; });
    if (escape != std::end(kEscapes)) {
      name += escape->written;
    } else {
      name += character;
    }
  }
  return name;
}

hid_t Hdf5LayerGroup(hid_t parent, const std::string& layer) {
  const std::string name = Hdf5LayerName(layer);
  const hid_t group = H5Lexists(parent, name.c_str(), H5P_DEFAULT) > 0
                          ? H5Gopen2(parent, name.c_str(), H5P_DEFAULT)
                          : H5Gcreate2(parent, name.c_str(), H5P_DEFAULT,
                                       H5P_DEFAULT, H5P_DEFAULT);
  CHECK_GE(group, 0) << "Cannot write " << Hdf5File::Written()
                     << ": HDF5 failed to make a group for layer '" << layer
                     << "'";
  return group;
}

Hdf5Weights::Hdf5Weights(const std::string& path)
    : file_(Hdf5File::Open(path)) {
  const bool is_state = H5Lexists(file_, "iter", H5P_DEFAULT) > 0;
  CHECK_GT(H5Lexists(file_, "data", H5P_DEFAULT), 0)
      << path << " holds no weights: it "
      << (is_state ? "is the state of a solver; its weights are in the "
                     ".caffemodel.h5 beside it"
                   : "has no group 'data'");
  Paths paths;
  CHECK_GE(H5Lvisit(file_, H5_INDEX_NAME, H5_ITER_NATIVE, &AddPath, &paths), 0)
      << path << " is damaged";
  for (const std::string& found : paths) {
    if (found.compare(0, kDiff.size(), kDiff) == 0) {
      continue;
    }
    if (IsGroup(file_, found)) {
      groups_[found];
      continue;
    }
    const std::size_t slash = found.rfind('/');
    const int index =
        slash == std::string::npos ? -1 : Index(found.substr(slash + 1));
    if (index >= 0) {
      groups_[found.substr(0, slash)].emplace(index, found);
    }
  }
}

std::vector<std::string> Hdf5Weights::layers() const {
  std::vector<std::string> layers;
  for (const auto& [path, blobs] : groups_) {
    if (blobs.empty()) {
      continue;
    }
    if (path.compare(0, kData.size(), kData) == 0) {
      const std::string name = path.substr(kData.size());
      layers.push_back(name.find('/') == std::string::npos ? LayerOfGroup(name)
                                                           : name);
    } else if (path != "data") {
      layers.push_back("/" + path);
    }
  }
  std::sort(layers.begin(), layers.end());
  return layers;
}

std::map<int, Hdf5DataSet> Hdf5Weights::Open(const std::string& layer) const {
  std::map<int, Hdf5DataSet> blobs;
  const std::string path = Find(layer);
  if (!path.empty()) {
    for (const auto& [index, data_set] : groups_.at(path)) {
      blobs.emplace(index, Hdf5DataSet(file_, data_set));
    }
  }
  return blobs;
}

bool Hdf5Weights::Has(const std::string& layer) const {
  return !Find(layer).empty();
}

template <typename Dtype>
void Hdf5Weights::Read(
    const std::string& layer, const std::vector<bool>& is_shared,
    const std::vector<boost::shared_ptr<caffe::Blob<Dtype>>>& blobs,
    BlobValues<Dtype>* values) const {
  const std::map<int, Hdf5DataSet> held = Open(layer);
  bool fits =
      held.empty() || held.rbegin()->first < static_cast<int>(blobs.size());
  for (std::size_t i = 0; i < blobs.size(); ++i) {
    fits = fits && (is_shared[i] || held.count(static_cast<int>(i)) != 0);
  }
  CHECK(fits) << "Incompatible number of blobs for layer " << layer
              << ": it has " << blobs.size() << ", the weights have "
              << held.size();
  for (const auto& [index, data_set] : held) {
    const auto& blob = *blobs[static_cast<std::size_t>(index)];
    const std::vector<int> shape = data_set.shape();
    CHECK(shape == blob.shape())
        << "Cannot load blob " << index << ": shape mismatch. The weights are "
        << "of shape " << caffe::Blob<Dtype>(shape).shape_string()
        << ", the layer's are " << blob.shape_string();
  }
  for (const auto& [index, data_set] : held) {
    caffe::Blob<Dtype>* blob = blobs[static_cast<std::size_t>(index)].get();
    std::vector<Dtype> read(static_cast<std::size_t>(blob->count()));
    data_set.Read(read.data(), read.size());
    values->emplace_back(blob, std::move(read));
  }
}

template void Hdf5Weights::Read(
    const std::string&, const std::vector<bool>&,
    const std::vector<boost::shared_ptr<caffe::Blob<float>>>&,
    BlobValues<float>*) const;
template void Hdf5Weights::Read(
    const std::string&, const std::vector<bool>&,
    const std::vector<boost::shared_ptr<caffe::Blob<double>>>&,
    BlobValues<double>*) const;

std::string Hdf5Weights::Find(const std::string& layer) const {
  for (const std::string& path :
       {kData + Hdf5LayerName(layer), PathOfBvlc(layer)}) {
    // The group of all layers is none of a layer.
    if (path != "data" && groups_.count(path) != 0) {
      return path;
    }
  }
  return "";
}

}  // namespace ul2q
