#ifndef UL2Q_SUPPORT_PROTOTXT_HPP_
#define UL2Q_SUPPORT_PROTOTXT_HPP_

#include <google/protobuf/io/zero_copy_stream.h>
#include <google/protobuf/message.h>

#include <string>

namespace ul2q {

/// A prototxt without the fields of other Caffes' that nets compute the same
/// without, spaces in their place; a warning names them. `message` is of the
/// type that the text should be; it is overwritten.
std::string WithoutHarmlessFields(const std::string& text,
                                  google::protobuf::Message* message);

/// Parses a prototxt into `message`.
///
/// Returns an empty string, or what is wrong with the text:
/// "LINE:COLUMN: reason", the name of the layer that the line stands in and,
/// for an unknown field or enum value, which other Caffe has it and what to do,
/// or those that exist, the near ones first. Harmless fields of other Caffes
/// are left out.
std::string ParsePrototxt(google::protobuf::io::ZeroCopyInputStream* input,
                          google::protobuf::Message* message);

}  // namespace ul2q

#endif  // UL2Q_SUPPORT_PROTOTXT_HPP_
