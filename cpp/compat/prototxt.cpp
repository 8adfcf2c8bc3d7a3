#include "compat/prototxt.hpp"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/text_format.h>

#include <regex>
#include <set>
#include <sstream>
#include <vector>

namespace ul2q {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;

/// Keeps the first error; the later ones follow from it.
class FirstError : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int line, google::protobuf::io::ColumnNumber column,
                const std::string& message) override {
    if (message_.empty()) {
      line_ = line;
      column_ = column;
      message_ = message;
    }
  }
  int line() const { return line_; }
  int column() const { return column_; }
  const std::string& message() const { return message_; }

 private:
  int line_ = 0;
  int column_ = 0;
  std::string message_;
};

std::string ReadAll(google::protobuf::io::ZeroCopyInputStream* input) {
  std::string text;
  const void* data = nullptr;
  int size = 0;
  while (input->Next(&data, &size)) {
    text.append(static_cast<const char*>(data), size);
  }
  return text;
}

/// The enums of all fields called `name` in `message` and the messages below.
void CollectEnums(const Descriptor& message, const std::string& name,
                  std::set<const Descriptor*>* seen,
                  std::vector<const EnumDescriptor*>* enums) {
  if (!seen->insert(&message).second) {
    return;
  }
  for (int i = 0; i < message.field_count(); ++i) {
    const FieldDescriptor& field = *message.field(i);
    if (field.enum_type() != nullptr && field.name() == name) {
      enums->push_back(field.enum_type());
    } else if (field.message_type() != nullptr) {
      CollectEnums(*field.message_type(), name, seen, enums);
    }
  }
}

/// What would have been right, for the two errors that a typo makes.
std::string Suggestion(const std::string& error, const Descriptor& root) {
  static const std::regex kEnum(
      "Unknown enumeration value of \"(.*)\" for field \"(.*)\"\\.");
  static const std::regex kField(
      "Message type \"(.*)\" has no field named \"(.*)\"\\.");
  std::ostringstream known;
  std::smatch match;
  if (std::regex_match(error, match, kEnum)) {
    std::set<const Descriptor*> seen;
    std::vector<const EnumDescriptor*> enums;
    CollectEnums(root, match[2], &seen, &enums);
    for (const EnumDescriptor* type : enums) {
      for (int i = 0; i < type->value_count(); ++i) {
        known << " " << type->value(i)->name();
      }
    }
  } else if (std::regex_match(error, match, kField)) {
    const Descriptor* type =
        root.file()->pool()->FindMessageTypeByName(match[1]);
    for (int i = 0; type != nullptr && i < type->field_count(); ++i) {
      known << " " << type->field(i)->name();
    }
  }
  return known.str().empty() ? "" : " Known:" + known.str() + ".";
}

/// The name of the layer whose braces enclose line `line` (from 0), or "".
///
/// Works on text that does not parse, so it only counts braces outside
/// comments and strings from the last "layer {" (or "layers {") on.
std::string EnclosingLayer(const std::string& text, int line) {
  static const std::regex kOpen("^\\s*layers?\\s*:?\\s*\\{");
  static const std::regex kName("\\bname\\s*:\\s*[\"']([^\"']*)[\"']");
  std::istringstream lines(text);
  std::string current, name;
  bool inside = false;
  int depth = 0;
  for (int number = 0; std::getline(lines, current); ++number) {
    current = current.substr(0, current.find('#'));
    if (depth == 0 && std::regex_search(current, kOpen)) {
      if (number > line) {
        break;
      }
      inside = true;
      name.clear();
    }
    std::smatch match;
    // A layer's own name stands at its first level.
    if (inside && name.empty() && depth <= 1 &&
        std::regex_search(current, match, kName)) {
      name = match[1];
    }
    for (char c : current) {
      depth += (c == '{') - (c == '}');
    }
    if (inside && depth == 0) {
      if (number >= line) {
        break;
      }
      inside = false;
      name.clear();
    }
  }
  return inside ? name : "";
}

}  // namespace

std::string ParsePrototxt(google::protobuf::io::ZeroCopyInputStream* input,
                          google::protobuf::Message* message) {
  const std::string text = ReadAll(input);
  google::protobuf::io::ArrayInputStream stream(text.data(), text.size());
  FirstError error;
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&error);
  if (parser.Parse(&stream, message)) {
    return "";
  }
  std::ostringstream out;
  out << error.line() + 1 << ":" << error.column() + 1 << ": "
      << error.message() << Suggestion(error.message(), *message->GetDescriptor());
  const std::string layer = EnclosingLayer(text, error.line());
  if (!layer.empty()) {
    out << " (in layer '" << layer << "')";
  }
  return out.str();
}

}  // namespace ul2q
