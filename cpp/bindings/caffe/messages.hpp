#ifndef UL2Q_BINDINGS_CAFFE_MESSAGES_HPP_
#define UL2Q_BINDINGS_CAFFE_MESSAGES_HPP_

#include <google/protobuf/message.h>
#include <pybind11/pybind11.h>

#include <string>

namespace caffe {

/// Whether `object` is a message of Python's protobuf.
bool IsMessage(const pybind11::object& object);

/// Copies a message of Python's into `message`. `user` names the function for
/// the TypeError of a message of another type.
void ParseMessage(const pybind11::object& object, const std::string& user,
                  google::protobuf::Message* message);

}  // namespace caffe

#endif  // UL2Q_BINDINGS_CAFFE_MESSAGES_HPP_
