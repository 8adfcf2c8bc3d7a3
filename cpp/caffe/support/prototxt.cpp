#include "support/prototxt.hpp"

#include <glog/logging.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/text_format.h>

#include <algorithm>
#include <cstddef>
#include <regex>
#include <set>
#include <sstream>
#include <tuple>
#include <vector>

#include "support/fork_fields.hpp"
#include "support/near_names.hpp"

namespace ul2q {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::io::Tokenizer;

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

/// A name that the parser does not know: a field's, or an enum's value.
struct UnknownName {
  std::string message;  ///< whose field it would be; "" of a value
  std::string field;
  std::string value;  ///< "" of a field
  const ForkField* of_fork = nullptr;

  const std::string& name() const { return value.empty() ? field : value; }
};

/// The unknown name that an error is about; without one, `field` is "".
UnknownName UnknownNameOf(const std::string& error) {
  static const std::regex kEnum(
      "Unknown enumeration value of \"(.*)\" for field \"(.*)\"\\.");
  static const std::regex kField(
      "Message type \"(.*)\" has no field named \"(.*)\"\\.");
  UnknownName unknown;
  std::smatch match;
  if (std::regex_match(error, match, kEnum)) {
    unknown.value = match[1];
    unknown.field = match[2];
    unknown.of_fork = FindForkValue(unknown.field, unknown.value);
  } else if (std::regex_match(error, match, kField)) {
    unknown.message = match[1];
    unknown.field = match[2];
    unknown.of_fork = FindForkField(unknown.message, unknown.field);
  }
  return unknown;
}

/// What would have been right, for the two errors that a typo makes.
std::string Suggestion(const UnknownName& unknown, const Descriptor& root) {
  if (unknown.of_fork != nullptr) {
    return " It is " + unknown.of_fork->fork +
           ", not of this Caffe: " + unknown.of_fork->remedy + ".";
  }
  std::vector<std::string> known;
  if (!unknown.value.empty()) {
    std::set<const Descriptor*> seen;
    std::vector<const EnumDescriptor*> enums;
    CollectEnums(root, unknown.field, &seen, &enums);
    std::set<std::string> names;  // several messages may have such a field
    for (const EnumDescriptor* type : enums) {
      for (int i = 0; i < type->value_count(); ++i) {
        if (names.insert(type->value(i)->name()).second) {
          known.push_back(type->value(i)->name());
        }
      }
    }
  } else if (!unknown.field.empty()) {
    const Descriptor* type =
        root.file()->pool()->FindMessageTypeByName(unknown.message);
    for (int i = 0; type != nullptr && i < type->field_count(); ++i) {
      known.push_back(type->field(i)->name());
    }
  }
  if (known.empty()) {
    return "";
  }
  std::string suggestion = DidYouMean(unknown.name(), known) + " Known:";
  for (const std::string& other : known) {
    suggestion += " " + other;
  }
  return suggestion + ".";
}

/// The tokens of a text that need not parse, without its comments.
std::vector<Tokenizer::Token> Tokens(const std::string& text) {
  google::protobuf::io::ArrayInputStream stream(text.data(), text.size());
  FirstError ignored;
  Tokenizer tokenizer(&stream, &ignored);
  // TextFormat sets its own tokenizer so.
  tokenizer.set_allow_f_after_float(true);
  tokenizer.set_allow_multiline_strings(true);
  tokenizer.set_comment_style(Tokenizer::SH_COMMENT_STYLE);
  tokenizer.set_require_space_after_number(false);
  std::vector<Tokenizer::Token> tokens;
  while (tokenizer.Next()) {
    tokens.push_back(tokenizer.current());
  }
  return tokens;
}

/// A block whose end has not come yet.
struct OpenBlock {
  std::string field;
  int line;          // from 1
  std::string name;  // what its field `name` says, e.g. a layer's; or ""
};

/// The blocks that are open before tokens[place].
std::vector<OpenBlock> OpenBlocks(const std::vector<Tokenizer::Token>& tokens,
                                  std::size_t place) {
  std::vector<OpenBlock> open;
  std::string field;
  for (std::size_t i = 0; i < place && i < tokens.size(); ++i) {
    const Tokenizer::Token& token = tokens[i];
    const bool is_value = i > 0 && tokens[i - 1].text == ":";
    if (token.type == Tokenizer::TYPE_IDENTIFIER && !is_value) {
      field = token.text;
    } else if (token.type == Tokenizer::TYPE_STRING && field == "name" &&
               !open.empty()) {
      Tokenizer::ParseString(token.text, &open.back().name);
    } else if (token.text == "{" || token.text == "<") {
      open.push_back({field, token.line + 1, ""});
    } else if ((token.text == "}" || token.text == ">") && !open.empty()) {
      open.pop_back();
    }
  }
  return open;
}

/// That a brace is missing before tokens[place], or "" if that is not what is
/// wrong: the text ends within a block, or the field that comes is none of the
/// block's but one of a block's around it. A string without an end takes the
/// rest of the text with it, braces included, and is no missing brace.
std::string MissingBrace(const std::string& error, const Descriptor& root,
                         const std::vector<Tokenizer::Token>& tokens,
                         std::size_t place) {
  static const std::regex kField(
      "Message type \".*\" has no field named \"(.*)\"\\.");
  const std::vector<OpenBlock> open = OpenBlocks(tokens, place);
  const OpenBlock* unclosed = nullptr;
  std::string before;
  std::smatch match;
  if (place >= tokens.size()) {
    // Not where a string without an end swallows the brace.
    const bool is_expected = error.compare(0, 8, "Expected") == 0;
    unclosed = is_expected && !open.empty() ? &open.back() : nullptr;
  } else if (std::regex_match(error, match, kField)) {
    const Descriptor* type = &root;
    for (const OpenBlock& block : open) {
      if (type == nullptr) {
        break;
      }
      if (type->FindFieldByName(match[1]) != nullptr) {
        unclosed = &block;  // the innermost one counts
      }
      const FieldDescriptor* field = type->FindFieldByName(block.field);
      type = field == nullptr ? nullptr : field->message_type();
    }
    before = " before '" + match[1].str() + "'";
  }
  if (unclosed == nullptr) {
    return "";
  }
  const std::string name =
      unclosed->name.empty() ? "" : " '" + unclosed->name + "'";
  return "a } is missing" + before + ": the { of " + unclosed->field + name +
         " in line " + std::to_string(unclosed->line) + " is not closed";
}

/// The name of the innermost layer whose braces enclose tokens[place], or "".
std::string EnclosingLayer(const std::vector<Tokenizer::Token>& tokens,
                           std::size_t place) {
  struct Message {
    bool is_layer;
    std::size_t begin, end;
    std::string name;
  };
  std::vector<Message> messages;
  std::vector<std::size_t> open;  // indices of those that are still open
  std::string field;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const Tokenizer::Token& token = tokens[i];
    if (token.type == Tokenizer::TYPE_IDENTIFIER) {
      field = token.text;
    } else if (token.type == Tokenizer::TYPE_STRING) {
      if (field == "name" && !open.empty()) {
        Tokenizer::ParseString(token.text, &messages[open.back()].name);
      }
    } else if (token.text == "{" || token.text == "<") {
      open.push_back(messages.size());
      messages.push_back(
          {field == "layer" || field == "layers", i, tokens.size(), ""});
    } else if ((token.text == "}" || token.text == ">") && !open.empty()) {
      messages[open.back()].end = i;
      open.pop_back();
    }
  }
  const auto innermost = std::find_if(
      messages.rbegin(), messages.rend(), [=](const Message& message) {
        return message.is_layer && message.begin < place &&
               place <= message.end;
      });
  return innermost == messages.rend() ? "" : innermost->name;
}

/// The place in a text of a token's column, in which a tab goes on to the next
/// multiple of 8.
std::size_t OffsetOf(const std::string& text, int line, int column) {
  std::size_t place = 0;
  for (; line > 0; --line) {
    place = text.find('\n', place) + 1;
  }
  for (int at = 0; at < column; ++place) {
    at += text[place] == '\t' ? 8 - at % 8 : 1;
  }
  return place;
}

/// Where the value of a field ends whose name is tokens[field]: the place
/// behind its last token.
std::size_t EndOfField(const std::vector<Tokenizer::Token>& tokens,
                       std::size_t field) {
  std::size_t end = field + 1;
  end += end < tokens.size() && tokens[end].text == ":" ? 1 : 0;
  int depth = 0;
  for (; end < tokens.size(); ++end) {
    const std::string& token = tokens[end].text;
    depth += token == "{" || token == "<" || token == "[" ? 1 : 0;
    depth -= token == "}" || token == ">" || token == "]" ? 1 : 0;
    if (depth == 0 && token != "-") {
      ++end;
      break;
    }
  }
  while (end < tokens.size() &&
         (tokens[end].text == "," || tokens[end].text == ";" ||
          tokens[end].type == Tokenizer::TYPE_STRING)) {
    ++end;
  }
  return end;
}

/// Makes spaces of a field, tokens[field] and its value.
void Blank(const std::vector<Tokenizer::Token>& tokens, std::size_t field,
           std::string* text) {
  const Tokenizer::Token& first = tokens[field];
  const Tokenizer::Token& last = tokens[EndOfField(tokens, field) - 1];
  const std::size_t end = OffsetOf(*text, last.line, last.end_column);
  for (std::size_t i = OffsetOf(*text, first.line, first.column); i < end;
       ++i) {
    char& character = (*text)[i];
    character = character == '\n' ? '\n' : ' ';
  }
}

/// The token that an error is about, or behind it.
std::size_t PlaceOf(const FirstError& error,
                    const std::vector<Tokenizer::Token>& tokens) {
  const int line = std::max(error.line(), 0);  // -1: the text as a whole
  const int column = error.column();
  const auto token =
      std::find_if(tokens.begin(), tokens.end(), [=](const auto& t) {
        return std::tie(t.line, t.column) >= std::tie(line, column);
      });
  return token - tokens.begin();
}

/// Takes what an error is about out of the text, if that is a field of a fork's
/// that nets compute the same without.
bool DropHarmless(const FirstError& error, std::string* text,
                  std::set<std::string>* dropped) {
  const UnknownName unknown = UnknownNameOf(error.message());
  if (unknown.of_fork == nullptr || !unknown.of_fork->is_harmless()) {
    return false;
  }
  const std::vector<Tokenizer::Token> tokens = Tokens(*text);
  // protobuf finds out one token late; a value stands behind name and colon.
  const std::size_t before = unknown.value.empty() ? 1 : 3;
  const std::size_t place = PlaceOf(error, tokens);
  if (place < before || tokens[place - before].text != unknown.field) {
    return false;
  }
  Blank(tokens, place - before, text);
  dropped->insert(unknown.value.empty() ? unknown.field
                                        : unknown.field + ": " + unknown.value);
  return true;
}

}  // namespace

std::string WithoutHarmlessFields(const std::string& text,
                                  google::protobuf::Message* message) {
  std::string left = text;
  std::set<std::string> dropped;
  for (bool is_done = false; !is_done;) {
    google::protobuf::io::ArrayInputStream stream(left.data(), left.size());
    FirstError error;
    google::protobuf::TextFormat::Parser parser;
    parser.RecordErrorsTo(&error);
    is_done =
        parser.Parse(&stream, message) || !DropHarmless(error, &left, &dropped);
  }
  if (!dropped.empty()) {
    LOG(WARNING) << "Left out, as nets compute the same without: "
                 << Listed({dropped.begin(), dropped.end()});
  }
  return left;
}

std::string ParsePrototxt(google::protobuf::io::ZeroCopyInputStream* input,
                          google::protobuf::Message* message) {
  const std::string text = WithoutHarmlessFields(ReadAll(input), message);
  google::protobuf::io::ArrayInputStream stream(text.data(), text.size());
  FirstError error;
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&error);
  if (parser.Parse(&stream, message)) {
    return "";
  }
  int line = std::max(error.line(), 0);
  int column = error.column();
  const std::vector<Tokenizer::Token> tokens = Tokens(text);
  auto token = tokens.begin() + PlaceOf(error, tokens);
  const Descriptor& root = *message->GetDescriptor();
  const std::string suggestion =
      Suggestion(UnknownNameOf(error.message()), root);
  if (!suggestion.empty() && token != tokens.begin()) {
    --token;  // protobuf finds out about an unknown name one token late
    line = token->line;
    column = token->column;
  }
  const std::string brace =
      MissingBrace(error.message(), root, tokens, token - tokens.begin());
  std::ostringstream out;
  out << line + 1 << ":" << column + 1 << ": "
      << (brace.empty() ? error.message() + suggestion : brace);
  const std::string layer = EnclosingLayer(tokens, token - tokens.begin());
  if (!layer.empty()) {
    out << " (in layer '" << layer << "')";
  }
  return out.str();
}

}  // namespace ul2q
