#include "compat/hdf5_file.hpp"

#include <glog/logging.h>

#include <utility>

#include "compat/files.hpp"

namespace ul2q {
namespace {

/// File access properties: closing a file closes the objects in it.
class CloseAll {
 public:
  CloseAll() : id_(H5Pcreate(H5P_FILE_ACCESS)) {
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
    H5Pset_fclose_degree(id_, H5F_CLOSE_STRONG);
  }
  ~CloseAll() { H5Pclose(id_); }
  CloseAll(const CloseAll&) = delete;
  CloseAll& operator=(const CloseAll&) = delete;
  operator hid_t() const { return id_; }

 private:
  hid_t id_;
};

}  // namespace

Hdf5File Hdf5File::Open(const std::string& path) {
  CheckReadable(path);
  const hid_t id = H5Fopen(path.c_str(), H5F_ACC_RDONLY, CloseAll());
  CHECK_GE(id, 0) << path << " is no readable HDF5 file";
  return Hdf5File(id, path);
}

Hdf5File Hdf5File::Create(const std::string& path) {
  const hid_t id =
      H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, CloseAll());
  CHECK_GE(id, 0) << "Cannot write the HDF5 file " << path
                  << ": is its folder there and writable, and the file not "
                     "open elsewhere?";
  return Hdf5File(id, path);
}

Hdf5File::Hdf5File(hid_t id, std::string path)
    : id_(id), path_(std::move(path)) {}

Hdf5File::Hdf5File(Hdf5File&& other) noexcept
    : id_(std::exchange(other.id_, H5I_INVALID_HID)),
      path_(std::move(other.path_)) {}

Hdf5File::~Hdf5File() {
  if (id_ >= 0) {
    H5Fclose(id_);
  }
}

void Hdf5File::Close() {
  CHECK_GE(H5Fclose(std::exchange(id_, H5I_INVALID_HID)), 0)
      << "Cannot write all of " << path_;
}

}  // namespace ul2q
