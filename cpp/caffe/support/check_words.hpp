#ifndef UL2Q_SUPPORT_CHECK_WORDS_HPP_
#define UL2Q_SUPPORT_CHECK_WORDS_HPP_

#include <string>

namespace ul2q {

/// What a comparison of BVLC's that carries no message means for who wrote the
/// prototxt or the data, e.g. "transform_param.crop_size is larger than the
/// image" for "datum_height >= crop_size (8 vs. 30)"; "" if it is not known.
std::string CheckWords(const std::string& check);

}  // namespace ul2q

#endif  // UL2Q_SUPPORT_CHECK_WORDS_HPP_
