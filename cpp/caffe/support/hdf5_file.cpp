#include "support/hdf5_file.hpp"

#include <glog/logging.h>
#include <google/protobuf/message.h>
#include <hdf5_hl.h>

#include <algorithm>
#include <climits>
#include <cstddef>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "support/checksum.hpp"
#include "support/files.hpp"
#include "support/hdf5_data_set.hpp"

namespace ul2q {
namespace {

thread_local std::string written;

/// File access properties: closing a file closes the objects in it.
class Access {
 public:
  Access() : id_(H5Pcreate(H5P_FILE_ACCESS)) {
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
    H5Pset_fclose_degree(id_, H5F_CLOSE_STRONG);
  }
  ~Access() { H5Pclose(id_); }
  Access(const Access&) = delete;
  Access& operator=(const Access&) = delete;
  operator hid_t() const { return id_; }

  /// The file is made in memory, and stays there.
  void SetInMemory() {
    constexpr std::size_t kGrowth = 1 << 20;
    H5Pset_fapl_core(id_, kGrowth, false);
  }

 private:
  hid_t id_;
};

/// An open file's bytes; empty if HDF5 fails.
std::vector<char> ImageOf(hid_t file) {
  std::vector<char> image;
  if (H5Fflush(file, H5F_SCOPE_GLOBAL) >= 0) {
    image.resize(std::max<ssize_t>(0, H5Fget_file_image(file, nullptr, 0)));
    if (H5Fget_file_image(file, image.data(), image.size()) < 0) {
      image.clear();
    }
  }
  return image;
}

}  // namespace

bool IsHdf5(const std::string& path) {
  htri_t is_hdf5 = 0;
  H5E_BEGIN_TRY { is_hdf5 = H5Fis_hdf5(path.c_str()); }
  H5E_END_TRY;
  return is_hdf5 > 0;
}

bool IsOpenHdf5(const std::string& path) {
  const ssize_t count = H5Fget_obj_count(H5F_OBJ_ALL, H5F_OBJ_FILE);
  std::vector<hid_t> files(
      static_cast<std::size_t>(std::max<ssize_t>(0, count)));
  H5Fget_obj_ids(H5F_OBJ_ALL, H5F_OBJ_FILE, files.size(), files.data());
  return std::any_of(files.begin(), files.end(), [&path](hid_t file) {
    std::string name(PATH_MAX, '\0');
    const ssize_t length = H5Fget_name(file, name.data(), name.size());
    name.resize(static_cast<std::size_t>(std::max<ssize_t>(0, length)));
    std::error_code ignored;  // one of them is not there
    return std::filesystem::equivalent(name, path, ignored);
  });
}

Hdf5File Hdf5File::Open(const std::string& path) {
  CheckHdf5Checksum(path);
  const hid_t id = H5Fopen(path.c_str(), H5F_ACC_RDONLY, Access());
  CHECK_GE(id, 0) << path << " is no readable HDF5 file";
  return Hdf5File(id, path, nullptr);
}

Hdf5File Hdf5File::Create(const std::string& path) {
  auto file = std::make_unique<NewFile>(path);
  Access access;
  access.SetInMemory();
  const hid_t id = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access);
  CHECK_GE(id, 0) << "Cannot write the HDF5 file " << path;
  written = path;
  return Hdf5File(id, path, std::move(file));
}

Hdf5File::Hdf5File(hid_t id, std::string path, std::unique_ptr<NewFile> written)
    : id_(id), path_(std::move(path)), written_(std::move(written)) {}

Hdf5File::Hdf5File(Hdf5File&& other) noexcept
    : id_(std::exchange(other.id_, H5I_INVALID_HID)),
      path_(std::move(other.path_)),
      written_(std::move(other.written_)) {}

Hdf5File::~Hdf5File() {
  if (id_ >= 0) {
    H5Fclose(id_);
  }
}

const std::string& Hdf5File::Written() { return written; }

void Hdf5File::Close() {
  const std::vector<char> image = written_ ? ImageOf(id_) : std::vector<char>();
  CHECK_GE(H5Fclose(std::exchange(id_, H5I_INVALID_HID)), 0)
      << "Cannot close " << path_;
  if (written_) {
    CHECK(!image.empty()) << "Cannot write " << path_ << ": HDF5 failed";
    written_->Write(image.data(), image.size());
    const std::string checksum = Hdf5Checksum(image.data(), image.size());
    written_->Write(checksum.data(), checksum.size());
    written_->Commit();
  }
}

void SaveDataSet(hid_t location, const std::string& name, hid_t type,
                 const std::vector<hsize_t>& extents, const void* values) {
  const hid_t space = extents.empty()
                          ? H5Screate(H5S_SCALAR)
                          : H5Screate_simple(static_cast<int>(extents.size()),
                                             extents.data(), nullptr);
  const hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_obj_track_times(properties, false);
  const hid_t set = H5Dcreate2(location, name.c_str(), type, space, H5P_DEFAULT,
                               properties, H5P_DEFAULT);
  const bool is_written = set >= 0 && H5Dwrite(set, type, H5S_ALL, H5S_ALL,
                                               H5P_DEFAULT, values) >= 0;
  if (set >= 0) {
    H5Dclose(set);
  }
  H5Pclose(properties);
  H5Sclose(space);
  CHECK(is_written) << "Cannot write " << written
                    << ": HDF5 failed to make the data set " << name;
}

void SaveText(hid_t location, const std::string& name,
              const std::string& text) {
  const hid_t type = H5Tcopy(H5T_C_S1);
  H5Tset_size(type, text.size() + 1);
  try {
    SaveDataSet(location, name, type, {}, text.c_str());
  } catch (...) {
    H5Tclose(type);
    throw;
  }
  H5Tclose(type);
}

void SaveMessage(const google::protobuf::Message& message, hid_t file,
                 const char* name) {
  const std::string bytes = message.SerializeAsString();
  SaveDataSet(file, name, H5T_NATIVE_UCHAR, {bytes.size()}, bytes.data());
}

void LoadMessage(hid_t file, const char* name,
                 google::protobuf::Message* message) {
  message->Clear();
  if (H5LTfind_dataset(file, name) <= 0) {
    return;
  }
  const std::string bytes = Hdf5DataSet(file, name).ReadBytes();
  CHECK(message->ParseFromString(bytes))
      << "the data set " << name << " is damaged";
}

}  // namespace ul2q
