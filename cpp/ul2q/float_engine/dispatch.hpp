#ifndef UL2Q_FLOAT_ENGINE_DISPATCH_HPP_
#define UL2Q_FLOAT_ENGINE_DISPATCH_HPP_

#include <tuple>

// Loops that are compiled for several instruction sets, of which the processor
// at hand gets the best. `Loops<Dtype>` is a struct of pointers to them. A file
// that has such loops is included by Highway once more for each instruction
// set, and has, in this order,
//
//   the struct, unless it is a header's, in a guard of the file's own
//   HWY_TARGET_INCLUDE, the file's own name, and Highway's headers
//   HWY_BEFORE_NAMESPACE();
//   in namespace ul2q::HWY_NAMESPACE:
//     the loops, and MakeLoops<Dtype>(), which returns a Loops<Dtype>
//     UL2Q_LOOP_TABLE(Loops);
//   HWY_AFTER_NAMESPACE();
//   #if HWY_ONCE
//   in namespace ul2q: UL2Q_EXPORT_LOOPS(Loops);
//   whatever calls them
//   #endif
//
// Between HWY_BEFORE_NAMESPACE and HWY_AFTER_NAMESPACE the compiler turns plain
// loops into the vector instructions of each set.

namespace ul2q {

/// The loops of a file, for float and double.
template <template <typename> class Loops>
using LoopTableOf = std::tuple<Loops<float>, Loops<double>>;

}  // namespace ul2q

/// Defines Table(), which returns the loops of one instruction set.
#define UL2Q_LOOP_TABLE(Loops)                                  \
  const LoopTableOf<Loops>& Table() {                           \
    static const LoopTableOf<Loops> table{MakeLoops<float>(),   \
                                          MakeLoops<double>()}; \
    return table;                                               \
  }                                                             \
  static_assert(true, "a semicolon follows")

/// Defines Get…Loops<Dtype>(), those of the best instruction set that the
/// processor has.
#define UL2Q_EXPORT_LOOPS(Loops)                                  \
  HWY_EXPORT(Table);                                              \
  template <typename Dtype>                                       \
  const Loops<Dtype>& Get##Loops() {                              \
    return std::get<Loops<Dtype>>(HWY_DYNAMIC_DISPATCH(Table)()); \
  }                                                               \
  template const Loops<float>& Get##Loops();                      \
  template const Loops<double>& Get##Loops()

#endif  // UL2Q_FLOAT_ENGINE_DISPATCH_HPP_
