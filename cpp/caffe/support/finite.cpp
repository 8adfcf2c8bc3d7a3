#include "support/finite.hpp"

#include <glog/logging.h>
#include <google/protobuf/message.h>

#include <cmath>
#include <string>
#include <vector>

#include "caffe/proto/caffe.pb.h"

namespace ul2q {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

void CheckNumber(double value, const FieldDescriptor& field,
                 const std::string& name) {
  const bool may_be_infinite =
      field.containing_type() == caffe::ClipParameter::descriptor();
  CHECK(std::isfinite(value) || (may_be_infinite && !std::isnan(value)))
      << name << " is " << value << "; must be a finite number";
}

/// `path`: the fields around the message, each with a point behind it.
void CheckMessage(const Message& message, const std::string& path) {
  // Weights, and nets of a solver, which are looked at layer by layer.
  if (message.GetDescriptor() == caffe::BlobProto::descriptor() ||
      message.GetDescriptor() == caffe::NetParameter::descriptor()) {
    return;
  }
  const Reflection& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    const std::string name = path + field->name();
    const int size =
        field->is_repeated() ? reflection.FieldSize(message, field) : 0;
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_FLOAT:
        if (!field->is_repeated()) {
          CheckNumber(reflection.GetFloat(message, field), *field, name);
        }
        for (int i = 0; i < size; ++i) {
          CheckNumber(reflection.GetRepeatedFloat(message, field, i), *field,
                      name);
        }
        break;
      case FieldDescriptor::CPPTYPE_DOUBLE:
        if (!field->is_repeated()) {
          CheckNumber(reflection.GetDouble(message, field), *field, name);
        }
        for (int i = 0; i < size; ++i) {
          CheckNumber(reflection.GetRepeatedDouble(message, field, i), *field,
                      name);
        }
        break;
      case FieldDescriptor::CPPTYPE_MESSAGE:
        if (!field->is_repeated()) {
          CheckMessage(reflection.GetMessage(message, field), name + ".");
        }
        for (int i = 0; i < size; ++i) {
          CheckMessage(reflection.GetRepeatedMessage(message, field, i),
                       name + ".");
        }
        break;
      default:
        break;
    }
  }
}

}  // namespace

void CheckNumbersAreFinite(const Message& parameters) {
  CheckMessage(parameters, "");
}

}  // namespace ul2q
