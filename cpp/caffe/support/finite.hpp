#ifndef UL2Q_SUPPORT_FINITE_HPP_
#define UL2Q_SUPPORT_FINITE_HPP_

namespace google::protobuf {
class Message;
}

namespace ul2q {

/// Throws CaffeError if a number of a layer's or a solver's parameters is NaN
/// or infinite, as prototxt can have it, and names the field. A Clip layer may
/// have infinite bounds. Values of blobs are not looked at.
void CheckNumbersAreFinite(const google::protobuf::Message& parameters);

}  // namespace ul2q

#endif  // UL2Q_SUPPORT_FINITE_HPP_
