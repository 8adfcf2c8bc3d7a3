#ifndef UL2Q_SUPPORT_CHECKSUM_HPP_
#define UL2Q_SUPPORT_CHECKSUM_HPP_

#include <cstddef>
#include <string>

namespace google::protobuf {
class Message;
}

namespace ul2q {

// A file that Caffe writes has the CRC-32, as of zlib, of its bytes in it,
// where those who do not know of it pass over it; BVLC's Caffe does.
//
// A message begins with it: a field of number 1151 and type fixed32, which is
// of all bytes behind. A message that is read with the field and written again
// has it at its end, as every field that is not known, and there it means
// nothing.
//
// An HDF5 file has it behind its end, as the line "\ncrc32 0123abcd\n", which
// is of all bytes before. HDF5 does not read there; who changes the file cuts
// the line off.
//
// A file without a checksum is taken as it is.

/// Writes a message into a file that takes its place in one step (NewFile).
/// Throws WriteError.
void WriteMessage(const google::protobuf::Message& message,
                  const std::string& path);

/// Reads a message; false if the file does not parse as one. Throws
/// FileNotFound, and CaffeError if the file cannot be read or is damaged.
bool ReadMessage(const std::string& path, google::protobuf::Message* message);

/// What an HDF5 file of these bytes ends with.
std::string Hdf5Checksum(const char* bytes, std::size_t size);

/// Throws CaffeError if an HDF5 file is damaged.
void CheckHdf5Checksum(const std::string& path);

}  // namespace ul2q

#endif  // UL2Q_SUPPORT_CHECKSUM_HPP_
