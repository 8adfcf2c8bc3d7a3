#ifndef UL2Q_SUPPORT_INDEX_CHECK_HPP_
#define UL2Q_SUPPORT_INDEX_CHECK_HPP_

#include <glog/logging.h>

namespace ul2q {

/// Throws CaffeError unless 0 <= index < size; `what` names it, e.g. "label".
/// In front of every read at an index that a user's data gave.
inline void CheckIndex(int index, int size, const char* what) {
  CHECK(0 <= index && index < size)
      << what << " " << index << " is out of range; must be in 0.." << size - 1;
}

}  // namespace ul2q

#endif  // UL2Q_SUPPORT_INDEX_CHECK_HPP_
