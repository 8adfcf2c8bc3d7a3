#ifndef UL2Q_SUPPORT_FORK_FIELDS_HPP_
#define UL2Q_SUPPORT_FORK_FIELDS_HPP_

#include <string>

namespace ul2q {

/// What other Caffes have in their prototxts, and this one has not.
struct ForkField {
  std::string fork;    ///< whose it is, e.g. "NVIDIA's"
  std::string remedy;  ///< what to do; empty: nets compute the same without it

  bool is_harmless() const { return remedy.empty(); }
};

/// The field `name` of the message `type` ("caffe.LayerParameter"); null if no
/// fork is known to have it.
const ForkField* FindForkField(const std::string& type,
                               const std::string& name);

/// The value `name` of an enum's field.
const ForkField* FindForkValue(const std::string& field,
                               const std::string& name);

}  // namespace ul2q

#endif  // UL2Q_SUPPORT_FORK_FIELDS_HPP_
