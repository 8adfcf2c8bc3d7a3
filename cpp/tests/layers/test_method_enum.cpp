#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "caffe/proto/caffe.pb.h"
#include "ul2q/core/method.hpp"

namespace ul2q {
namespace {

// The proto's enum and the registry are the same list.
TEST(Registry, HasTheMethodsOfTheProto) {
  const auto* methods = caffe::QuantizerParameter::Method_descriptor();
  std::set<std::string> expected, registered;
  for (int i = 0; i < methods->value_count(); ++i) {
    expected.insert(methods->value(i)->name());
  }
  for (const Method* method : Methods()) {
    std::string name = method->name;
    std::transform(name.begin(), name.end(), name.begin(), ::toupper);
    registered.insert(name);
  }
  EXPECT_EQ(registered, expected);
}

}  // namespace
}  // namespace ul2q
