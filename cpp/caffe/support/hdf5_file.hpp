#ifndef UL2Q_SUPPORT_HDF5_FILE_HPP_
#define UL2Q_SUPPORT_HDF5_FILE_HPP_

#include <hdf5.h>

#include <memory>
#include <string>
#include <vector>

#include "support/new_file.hpp"

namespace google::protobuf {
class Message;
}

namespace ul2q {

/// Whether a file is one of HDF5. A file that is not makes HDF5 print nothing.
bool IsHdf5(const std::string& path);

/// Whether this process has the HDF5 file at `path` open: HDF5 does not open it
/// to be written then.
bool IsOpenHdf5(const std::string& path);

/// An open HDF5 file. It is closed with all that is open in it when the object
/// goes: what stays open cannot be written again by this process.
///
/// From the first one on HDF5 does not print its stack of errors to stderr:
/// each becomes an exception anyway.
class Hdf5File {
 public:
  /// Opens a file to read. Throws FileNotFound, or CaffeError if it is no HDF5,
  /// or damaged by its checksum (checksum.hpp).
  static Hdf5File Open(const std::string& path);

  /// Begins a file that takes its place when it is closed (NewFile); one that
  /// is not closed is forgotten. Until then it is in memory: HDF5 would crash
  /// at the process's exit over a file that it could not write. Throws
  /// CaffeError.
  static Hdf5File Create(const std::string& path);

  Hdf5File(Hdf5File&& other) noexcept;
  Hdf5File& operator=(Hdf5File&&) = delete;
  ~Hdf5File();

  const std::string& path() const { return path_; }

  /// The path of the file that this thread writes, for messages.
  static const std::string& Written();

  /// Closes the file; WriteError if not all of it could be written.
  void Close();

  operator hid_t() const { return id_; }  // NOLINT: takes hid_t's place

 private:
  Hdf5File(hid_t id, std::string path, std::unique_ptr<NewFile> written);

  hid_t id_;
  std::string path_;
  std::unique_ptr<NewFile> written_;  // null if the file is read
};

/// Writes numbers as a data set of these extents; of none, it has one number.
/// Without the time, so that the same values give the same bytes. Throws
/// CaffeError.
void SaveDataSet(hid_t location, const std::string& name, hid_t type,
                 const std::vector<hsize_t>& extents, const void* values);
/// Writes a text so.
void SaveText(hid_t location, const std::string& name, const std::string& text);

/// Writes a message as a data set of bytes, and reads it; where there is no
/// such data set the message becomes empty. Both throw CaffeError.
void SaveMessage(const google::protobuf::Message& message, hid_t file,
                 const char* name);
void LoadMessage(hid_t file, const char* name,
                 google::protobuf::Message* message);

}  // namespace ul2q

#endif  // UL2Q_SUPPORT_HDF5_FILE_HPP_
