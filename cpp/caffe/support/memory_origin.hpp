#ifndef UL2Q_SUPPORT_MEMORY_ORIGIN_HPP_
#define UL2Q_SUPPORT_MEMORY_ORIGIN_HPP_

#include <memory>
#include <utility>

namespace ul2q {

class BlobCodes;  // support/packed_blob.hpp

/// What the values in memory were decoded from, or null. It stays when they
/// change: CodesOf of packed_blob.hpp tells whether they have. Threads may ask
/// and set at the same time.
class MemoryOrigin {
 public:
  std::shared_ptr<const BlobCodes> get() const {
    return std::atomic_load(&codes_);
  }
  void set(std::shared_ptr<const BlobCodes> codes) {
    std::atomic_store(&codes_, std::move(codes));
  }

 private:
  std::shared_ptr<const BlobCodes> codes_;
};

}  // namespace ul2q

#endif  // UL2Q_SUPPORT_MEMORY_ORIGIN_HPP_
