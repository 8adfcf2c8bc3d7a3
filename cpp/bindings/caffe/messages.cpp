#include "bindings/caffe/messages.hpp"

namespace py = pybind11;

namespace caffe {

bool IsMessage(const py::object& object) {
  return py::hasattr(object, "SerializeToString") &&
         py::hasattr(object, "DESCRIPTOR");
}

void ParseMessage(const py::object& object, const std::string& user,
                  google::protobuf::Message* message) {
  const auto type =
      object.attr("DESCRIPTOR").attr("full_name").cast<std::string>();
  if (type != message->GetTypeName()) {
    throw py::type_error(user + " takes a " + message->GetTypeName() +
                         ", not a " + type);
  }
  const std::string bytes =
      py::bytes(object.attr("SerializeToString")()).cast<std::string>();
  if (!message->ParseFromString(bytes)) {
    throw py::value_error(user + ": the message is no " +
                          message->GetTypeName());
  }
}

}  // namespace caffe
