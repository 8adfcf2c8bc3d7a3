#include "ul2q/layers/quantizer_parameter.hpp"

#include <boost/algorithm/string/case_conv.hpp>
#include <regex>

#include "caffe/common.hpp"

namespace caffe {
namespace {

/// "fit is paper" as a prototxt has it: "fit is PAPER".
string WithEnumNames(const string& message) {
  const google::protobuf::Descriptor* fields = QuantizerParameter::descriptor();
  string names;
  for (int i = 0; i < fields->enum_type_count(); ++i) {
    for (int j = 0; j < fields->enum_type(i)->value_count(); ++j) {
      names +=
          (names.empty() ? "" : "|") + fields->enum_type(i)->value(j)->name();
    }
  }
  const std::regex word("\\b(" + names + ")\\b", std::regex::icase);
  string result;
  auto rest = message.begin();
  for (std::sregex_iterator match(message.begin(), message.end(), word), end;
       match != end; ++match) {
    result.append(rest, match->prefix().second);
    result += boost::algorithm::to_upper_copy(match->str());
    rest = match->suffix().first;
  }
  return result.append(rest, message.end());
}

}  // namespace

ul2q::QuantizerOptions OptionsOf(const QuantizerParameter& parameter) {
  const auto lower = [](const string& name) {
    return boost::algorithm::to_lower_copy(name);
  };
  ul2q::QuantizerOptions options;
  if (parameter.has_bits()) {
    options.bits = parameter.bits();
  }
  options.fit =
      ul2q::ParseFit(lower(QuantizerParameter::Fit_Name(parameter.fit())));
  if (parameter.has_shift()) {
    options.shift = ul2q::ParseShift(
        lower(QuantizerParameter::Shift_Name(parameter.shift())));
  }
  options.rounding = ul2q::ParseRounding(
      lower(QuantizerParameter::Rounding_Name(parameter.rounding())));
  options.is_signed = parameter.signed_();
  return options;
}

string MethodName(const QuantizerParameter& parameter) {
  return boost::algorithm::to_lower_copy(
      QuantizerParameter::Method_Name(parameter.method()));
}

QuantizerParameter OptionsOfCodes(const QuantizerParameter& parameter) {
  const string name = MethodName(parameter);
  QuantizerParameter options;
  options.set_method(parameter.method());
  options.set_granularity(parameter.granularity());
  for (const ul2q::Method* method : ul2q::Methods()) {
    if (method->name == name) {
      options.set_bits(parameter.has_bits() ? parameter.bits()
                                            : method->min_bits);
      options.set_shift(parameter.has_shift()    ? parameter.shift()
                        : method->has_mean_shift ? QuantizerParameter::MEAN
                                                 : QuantizerParameter::ZERO);
    }
  }
  return options;
}

template <typename Dtype>
std::unique_ptr<ul2q::Quantizer<Dtype>> MakeQuantizer(
    const QuantizerParameter& parameter, const string& field) {
  const string prefix = "quantization_param." + field + ".";
  if (field == "activation") {
    if (parameter.granularity() == QuantizerParameter::CHANNEL) {
      LOG(FATAL) << prefix << "granularity is CHANNEL; activations have one "
                 << "scale, TENSOR";
    }
  } else {
    if (parameter.has_signed_()) {
      LOG(FATAL) << prefix << "signed is for quantization_param.activation; "
                 << "weights and biases are signed, leave it out";
    }
    if (parameter.has_moving_average_fraction()) {
      LOG(FATAL) << prefix << "moving_average_fraction is for "
                 << "quantization_param.activation; leave it out";
    }
    if (field == "bias" &&
        parameter.granularity() == QuantizerParameter::CHANNEL) {
      LOG(FATAL) << prefix << "granularity is CHANNEL, but there is one bias "
                 << "a channel; use TENSOR";
    }
  }
  try {
    return ul2q::MakeQuantizer<Dtype>(MethodName(parameter),
                                      OptionsOf(parameter));
  } catch (const ul2q::OptionError& error) {
    const string example =
        "; write quantization_param { " + field + " { bits: N } }";
    LOG(FATAL) << prefix << WithEnumNames(error.what())
               << (parameter.has_bits() ? "" : example);
  }
  return nullptr;  // not reached
}

template std::unique_ptr<ul2q::Quantizer<float>> MakeQuantizer(
    const QuantizerParameter&, const string&);
template std::unique_ptr<ul2q::Quantizer<double>> MakeQuantizer(
    const QuantizerParameter&, const string&);

}  // namespace caffe
