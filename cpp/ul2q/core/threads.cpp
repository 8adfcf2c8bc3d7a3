#include "ul2q/core/threads.hpp"

#include <omp.h>
#include <pthread.h>

#include <algorithm>

namespace ul2q {
namespace {

bool are_dismissed = true;  ///< the idle threads, at the last fork()

void BeforeFork() {
  are_dismissed = omp_pause_resource_all(omp_pause_soft) == 0;
}

/// Where they could not be dismissed, within a parallel region, the child does
/// without.
void InChild() {
  if (!are_dismissed) {
    omp_set_num_threads(1);
  }
}

int GivenNow() {
  int given = 1;
#pragma omp parallel
  {
#pragma omp single
    given = omp_get_num_threads();
  }
  return given;
}

[[maybe_unused]] const bool prepared = [] {
  UseThreadsThatAreGiven();
  return pthread_atfork(&BeforeFork, nullptr, &InChild) == 0;
}();

}  // namespace

void UseThreadsThatAreGiven() {
  const int named = omp_get_max_threads();
  int given = std::min(named, omp_get_thread_limit());
  if (omp_get_dynamic() != 0) {
    given = std::min(given, GivenNow());
    omp_set_dynamic(0);
  }
  if (given < named) {
    omp_set_num_threads(given);
  }
}

}  // namespace ul2q
