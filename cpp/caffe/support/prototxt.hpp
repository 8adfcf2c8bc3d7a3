#ifndef UL2Q_SUPPORT_PROTOTXT_HPP_
#define UL2Q_SUPPORT_PROTOTXT_HPP_

#include <google/protobuf/io/zero_copy_stream.h>
#include <google/protobuf/message.h>

#include <string>

namespace ul2q {

/// Parses a prototxt into `message`.
///
/// Returns an empty string, or what is wrong with the text:
/// "LINE:COLUMN: reason", the name of the layer that the line stands in and,
/// for an unknown field or enum value, those that exist, the near ones first.
std::string ParsePrototxt(google::protobuf::io::ZeroCopyInputStream* input,
                          google::protobuf::Message* message);

}  // namespace ul2q

#endif  // UL2Q_SUPPORT_PROTOTXT_HPP_
