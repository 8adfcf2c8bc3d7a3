#ifndef UL2Q_RUNTIME_STEPS_EACH_ROW_HPP_
#define UL2Q_RUNTIME_STEPS_EACH_ROW_HPP_

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "ul2q/runtime/steps/step.hpp"

namespace ul2q {
namespace runtime {

/// Calls function(inputs, n, output) for each row of each item.
template <typename Value, typename OfRow>
class EachRow : public Step {
 public:
  EachRow(std::vector<Array> from, const Array& to, OfRow of_row)
      : from_(std::move(from)), to_(to), of_row_(std::move(of_row)) {}

  void Run(const Block& block) const override {
    block.ForEach(block.items, [&](std::int64_t item, std::byte*) {
      const Image& out = to_.image;
      Value* y = block.At<Value>(to_, item);
      out.ClearBorder(y);
      std::vector<const Value*> rows(from_.size());
      for (std::int64_t row = 0; row < out.height; ++row) {
        for (std::size_t i = 0; i < from_.size(); ++i) {
          rows[i] = block.At<Value>(from_[i], item) + from_[i].image.At(row, 0);
        }
        of_row_(rows, out.width * out.channel_stride, y + out.At(row, 0));
      }
    });
  }

 private:
  std::vector<Array> from_;
  Array to_;
  OfRow of_row_;
};

template <typename Value, typename OfRow>
std::unique_ptr<Step> ForEachRow(std::vector<Array> from, const Array& to,
                                 OfRow of_row) {
  return std::make_unique<EachRow<Value, OfRow>>(std::move(from), to,
                                                 std::move(of_row));
}

}  // namespace runtime
}  // namespace ul2q

#endif  // UL2Q_RUNTIME_STEPS_EACH_ROW_HPP_
