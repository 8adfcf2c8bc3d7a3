#ifndef UL2Q_SUPPORT_IN_PLACE_HPP_
#define UL2Q_SUPPORT_IN_PLACE_HPP_

#include <string>

namespace caffe {
class LayerParameter;
}

namespace ul2q {

/// Whether a layer of this type, float or quantised, computes the same where a
/// top of it is one of its bottoms. True of a type that is not known: it
/// decides by itself.
bool CanWorkInPlace(const std::string& type);

/// Throws CaffeError if a layer that has a top which is one of its bottoms, by
/// name, cannot work in place.
void CheckInPlace(const caffe::LayerParameter& layer);

}  // namespace ul2q

#endif  // UL2Q_SUPPORT_IN_PLACE_HPP_
