#include "support/hdf5_data_set.hpp"

#include <glog/logging.h>

#include <algorithm>
#include <climits>
#include <cstddef>
#include <utility>

namespace ul2q {
namespace {

/// The longest text that is read: those of Caffe's files are paths and names.
constexpr std::size_t kLongestText = 1 << 16;

hid_t OpenDataSet(hid_t location, const std::string& name) {
  hid_t id = H5I_INVALID_HID;
  H5E_BEGIN_TRY { id = H5Dopen2(location, name.c_str(), H5P_DEFAULT); }
  H5E_END_TRY;
  CHECK_GE(id, 0) << "Failed to find HDF5 dataset " << name;
  return id;
}

const char* NameOfClass(H5T_class_t type_class) {
  switch (type_class) {
    case H5T_INTEGER:
      return "integers";
    case H5T_FLOAT:
      return "floating-point numbers";
    case H5T_TIME:
      return "times";
    case H5T_STRING:
      return "texts";
    case H5T_BITFIELD:
      return "bit fields";
    case H5T_OPAQUE:
      return "opaque bytes";
    case H5T_COMPOUND:
      return "records";
    case H5T_REFERENCE:
      return "references";
    case H5T_ENUM:
      return "names (an enumeration, as h5py writes booleans)";
    case H5T_VLEN:
      return "lists of any length";
    case H5T_ARRAY:
      return "arrays";
    default:
      return "elements of an unknown kind";
  }
}

}  // namespace

Hdf5DataSet::Hdf5DataSet(hid_t location, const std::string& name)
    : name_(name),
      id_(OpenDataSet(location, name)),
      type_(H5Dget_type(id_)),
      is_empty_(true) {
  const hid_t space = H5Dget_space(id_);
  const int axes = H5Sget_simple_extent_ndims(space);
  if (axes > 0) {
    extents_.resize(static_cast<std::size_t>(axes));
    if (H5Sget_simple_extent_dims(space, extents_.data(), nullptr) < 0) {
      extents_.clear();
    }
  }
  is_empty_ = H5Sget_simple_extent_type(space) == H5S_NULL;
  const bool is_readable = space >= 0 && type_ >= 0 && axes >= 0 &&
                           extents_.size() == static_cast<std::size_t>(axes);
  if (space >= 0) {
    H5Sclose(space);
  }
  if (!is_readable) {
    if (type_ >= 0) {
      H5Tclose(type_);
    }
    H5Dclose(id_);
    LOG(FATAL) << "the HDF5 dataset " << name << " is damaged";
  }
}

Hdf5DataSet::~Hdf5DataSet() {
  if (id_ >= 0) {
    H5Tclose(type_);
    H5Dclose(id_);
  }
}

Hdf5DataSet::Hdf5DataSet(Hdf5DataSet&& other) noexcept
    : name_(std::move(other.name_)),
      id_(std::exchange(other.id_, H5I_INVALID_HID)),
      type_(std::exchange(other.type_, H5I_INVALID_HID)),
      extents_(std::move(other.extents_)),
      is_empty_(other.is_empty_) {}

std::vector<int> Hdf5DataSet::shape() const {
  CheckNumbers();
  std::vector<int> shape;
  hsize_t count = 1;
  for (const hsize_t extent : extents_) {
    CHECK(extent <= INT_MAX && (count == 0 || extent <= INT_MAX / count))
        << "the HDF5 dataset " << name_ << " has more than " << INT_MAX
        << " numbers, more than a blob takes";
    count *= extent;
    shape.push_back(static_cast<int>(extent));
  }
  return shape;
}

void Hdf5DataSet::Read(float* values, std::size_t count) const {
  Read(H5T_NATIVE_FLOAT, values, count);
}

void Hdf5DataSet::Read(double* values, std::size_t count) const {
  Read(H5T_NATIVE_DOUBLE, values, count);
}

int Hdf5DataSet::ReadInt() const {
  long long value = 0;  // NOLINT(google-runtime-int): HDF5's native type
  CHECK(H5Tget_class(type_) == H5T_INTEGER)
      << "the HDF5 dataset " << name_ << " must be an integer; it holds "
      << NameOfClass(H5Tget_class(type_));
  Read(H5T_NATIVE_LLONG, &value, 1);
  CHECK(INT_MIN <= value && value <= INT_MAX)
      << "the HDF5 dataset " << name_ << " is " << value
      << "; must be an integer of 32 bits";
  return static_cast<int>(value);
}

std::string Hdf5DataSet::ReadString() const {
  CHECK(H5Tget_class(type_) == H5T_STRING)
      << "the HDF5 dataset " << name_ << " must be a text; it holds "
      << NameOfClass(H5Tget_class(type_));
  CHECK_EQ(Count(), 1U) << "the HDF5 dataset " << name_ << " must be one text";
  std::string text;
  herr_t status = 0;
  if (H5Tis_variable_str(type_) > 0) {
    // Its length is not asked for before: H5Dvlen_get_buf_size of HDF5 1.10
    // crashes where a data set has no axes. No text is longer than its file.
    char* read = nullptr;
    status = H5Dread(id_, type_, H5S_ALL, H5S_ALL, H5P_DEFAULT, &read);
    if (read != nullptr) {
      text = read;
      const hid_t space = H5Dget_space(id_);
      H5Dvlen_reclaim(type_, space, H5P_DEFAULT, &read);
      H5Sclose(space);
    }
  } else {
    const std::size_t size = H5Tget_size(type_);
    CHECK_LE(size, kLongestText)
        << "the HDF5 dataset " << name_ << " must be a text of at most "
        << kLongestText << " bytes";
    text.assign(size, '\0');
    status = H5Dread(id_, type_, H5S_ALL, H5S_ALL, H5P_DEFAULT, text.data());
    text.resize(std::min(text.size(), text.find('\0')));
    if (H5Tget_strpad(type_) == H5T_STR_SPACEPAD) {
      text.resize(text.find_last_not_of(' ') + 1);
    }
  }
  CHECK_GE(status, 0) << "Failed to read the HDF5 dataset " << name_;
  return text;
}

std::string Hdf5DataSet::ReadBytes() const {
  CHECK(H5Tget_class(type_) == H5T_INTEGER && H5Tget_size(type_) == 1 &&
        extents_.size() == 1 && extents_[0] <= INT_MAX)
      << "the HDF5 dataset " << name_ << " must be bytes of one axis";
  std::string bytes(extents_[0], '\0');
  Read(H5T_NATIVE_UCHAR, bytes.data(), bytes.size());
  return bytes;
}

void Hdf5DataSet::CheckNumbers() const {
  const H5T_class_t type_class = H5Tget_class(type_);
  CHECK(type_class == H5T_FLOAT || type_class == H5T_INTEGER)
      << "the HDF5 dataset " << name_ << " must hold numbers; it holds "
      << NameOfClass(type_class);
  CHECK(!is_empty_) << "the HDF5 dataset " << name_ << " is empty";
}

hsize_t Hdf5DataSet::Count() const {
  hsize_t count = is_empty_ ? 0 : 1;
  for (const hsize_t extent : extents_) {
    CHECK(count == 0 || extent <= ULLONG_MAX / count)
        << "the HDF5 dataset " << name_ << " is damaged";
    count *= extent;
  }
  return count;
}

void Hdf5DataSet::Read(hid_t type, void* values, std::size_t count) const {
  CheckNumbers();
  const hsize_t held = Count();
  CHECK(held == count) << "the HDF5 dataset " << name_ << " holds " << held
                       << (held == 1 ? " number; " : " numbers; ") << count
                       << (count == 1 ? " is wanted" : " are wanted");
  CHECK_GE(H5Dread(id_, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values), 0)
      << "Failed to read the HDF5 dataset " << name_ << ": it is damaged";
}

}  // namespace ul2q
