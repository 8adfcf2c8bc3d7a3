#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "caffe/proto/caffe.pb.h"
#include "ul2q/quantizer.hpp"

namespace ul2q {
namespace {

// The proto's enum and the registry are the same list.
TEST(Registry, HasTheMethodsOfTheProto) {
  const auto* methods = caffe::QuantizerParameter::Method_descriptor();
  ASSERT_EQ(static_cast<size_t>(methods->value_count()), Methods().size());
  for (int i = 0; i < methods->value_count(); ++i) {
    std::string name = methods->value(i)->name();
    std::transform(name.begin(), name.end(), name.begin(), ::tolower);
    EXPECT_EQ(name, Methods()[i]->name);
  }
}

}  // namespace
}  // namespace ul2q
