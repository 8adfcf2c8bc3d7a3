#include "support/learning_rate.hpp"

#include <cmath>

namespace ul2q {

double CosineDecay(int iter, int max_iter) {
  if (iter >= max_iter) {
    return 0;
  }
  static const double pi = std::acos(-1.0);
  return (1 + std::cos(pi * iter / max_iter)) / 2;
}

double WarmUp(int iter, int warmup_iter) {
  return iter < warmup_iter ? (iter + 1.0) / warmup_iter : 1;
}

}  // namespace ul2q
