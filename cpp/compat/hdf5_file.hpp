#ifndef UL2Q_COMPAT_HDF5_FILE_HPP_
#define UL2Q_COMPAT_HDF5_FILE_HPP_

#include <hdf5.h>

#include <string>

namespace ul2q {

/// An open HDF5 file. It is closed with all that is open in it when the object
/// goes: what stays open cannot be written again by this process.
///
/// From the first one on HDF5 does not print its stack of errors to stderr:
/// each becomes an exception anyway.
class Hdf5File {
 public:
  /// Opens a file to read. Throws FileNotFound, or CaffeError if it is no HDF5.
  static Hdf5File Open(const std::string& path);

  /// Makes a new file, or an existing one empty. Throws CaffeError.
  static Hdf5File Create(const std::string& path);

  Hdf5File(Hdf5File&& other) noexcept;
  Hdf5File& operator=(Hdf5File&&) = delete;
  ~Hdf5File();

  /// Closes the file; CaffeError if not all of it could be written.
  void Close();

  operator hid_t() const { return id_; }  // NOLINT: takes hid_t's place

 private:
  Hdf5File(hid_t id, std::string path);

  hid_t id_;
  std::string path_;
};

}  // namespace ul2q

#endif  // UL2Q_COMPAT_HDF5_FILE_HPP_
