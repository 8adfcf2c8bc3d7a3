#ifndef UL2Q_SUPPORT_HDF5_DATA_SET_HPP_
#define UL2Q_SUPPORT_HDF5_DATA_SET_HPP_

#include <hdf5.h>

#include <string>
#include <vector>

namespace ul2q {

/// A data set of an open HDF5 file. What the file says of it is compared with
/// what is wanted, in 64 bits, before memory is touched.
///
/// Every method throws CaffeError, which names the data set.
class Hdf5DataSet {
 public:
  /// Opens it. `name` may be a path below `location`.
  Hdf5DataSet(hid_t location, const std::string& name);
  ~Hdf5DataSet();
  Hdf5DataSet(Hdf5DataSet&& other) noexcept;
  Hdf5DataSet& operator=(Hdf5DataSet&&) = delete;

  /// The extents of its axes, as those of a blob. Throws if the elements are
  /// no numbers, or more than a blob takes.
  std::vector<int> shape() const;

  /// Reads the numbers in C order; `count` is how many are wanted.
  void Read(float* values, std::size_t count) const;
  void Read(double* values, std::size_t count) const;

  /// Its one number.
  int ReadInt() const;

  /// Its one text: of a fixed length, with or without its end, or of any.
  std::string ReadString() const;

  /// Its bytes, of one axis.
  std::string ReadBytes() const;

 private:
  void CheckNumbers() const;
  hsize_t Count() const;
  void Read(hid_t type, void* values, std::size_t count) const;

  std::string name_;
  hid_t id_;
  hid_t type_;
  std::vector<hsize_t> extents_;
  bool is_empty_;  // no axes and no element
};

}  // namespace ul2q

#endif  // UL2Q_SUPPORT_HDF5_DATA_SET_HPP_
