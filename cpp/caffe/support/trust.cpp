#include "support/trust.hpp"

#include <glog/logging.h>

#include <atomic>
#include <cstdlib>
#include <string>

namespace ul2q {
namespace {

enum class Nets { kAsTheEnvironmentSays, kTrusted, kUntrusted };

std::atomic<Nets> nets{Nets::kAsTheEnvironmentSays};

}  // namespace

void SetUntrusted(bool untrusted) {
  nets = untrusted ? Nets::kUntrusted : Nets::kTrusted;
}

bool IsUntrusted() {
  if (nets != Nets::kAsTheEnvironmentSays) {
    return nets == Nets::kUntrusted;
  }
  const char* const variable = std::getenv("UL2Q_UNTRUSTED");
  const std::string value = variable == nullptr ? "" : variable;
  CHECK(value.empty() || value == "0" || value == "1")
      << "UL2Q_UNTRUSTED is '" << value << "'; must be 0 or 1";
  return value == "1";
}

void RefuseIfUntrusted(const char* does) {
  CHECK(!IsUntrusted())
      << "it " << does << ", and nets are not trusted (UL2Q_UNTRUSTED=1, "
      << "--untrusted or caffe.set_untrusted(True)); remove the layer, or "
      << "trust the net";
}

}  // namespace ul2q
