#ifndef UL2Q_FLOAT_ENGINE_DISPATCH_HPP_
#define UL2Q_FLOAT_ENGINE_DISPATCH_HPP_

#include <tuple>

namespace ul2q {

/// The loops of a file, for float and double.
template <template <typename> class... Loops>
using EngineTable = std::tuple<Loops<float>..., Loops<double>...>;

}  // namespace ul2q

/// Defines Get…Loops<Dtype>(), those of the table of the best instruction set
/// that the processor has. It stands behind HWY_EXPORT(Table), where Table
/// returns the EngineTable of each instruction set; a function could not name
/// what HWY_EXPORT defines.
#define UL2Q_DISPATCH(Loops)                                      \
  template <typename Dtype>                                       \
  const Loops<Dtype>& Get##Loops() {                              \
    return std::get<Loops<Dtype>>(HWY_DYNAMIC_DISPATCH(Table)()); \
  }                                                               \
  template const Loops<float>& Get##Loops();                      \
  template const Loops<double>& Get##Loops()

#endif  // UL2Q_FLOAT_ENGINE_DISPATCH_HPP_
