#include "support/weights_file.hpp"

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <fstream>

#include "caffe/proto/caffe.pb.h"
#include "caffe/util/io.hpp"

namespace ul2q {
namespace {

constexpr std::size_t kLooked = 4096;  // at the beginning of a file

std::string BeginningOf(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string beginning(kLooked, '\0');
  file.read(beginning.data(), static_cast<std::streamsize>(kLooked));
  beginning.resize(static_cast<std::size_t>(file.gcount()));
  return beginning;
}

bool IsText(const std::string& bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](char byte) {
    const auto character = static_cast<unsigned char>(byte);
    return character >= 0x80 || std::isprint(character) != 0 ||
           std::isspace(character) != 0;
  });
}

}  // namespace

std::string WhyNoWeights(const std::string& path) {
  const std::string beginning = BeginningOf(path);
  if (beginning.empty()) {
    return "it is empty";
  }
  caffe::SolverState state;
  if (caffe::ReadProtoFromBinaryFile(path, &state) && state.has_iter() &&
      (state.has_learned_net() || state.history_size() > 0)) {
    const std::string weights = state.learned_net().empty()
                                    ? "the .caffemodel beside it"
                                    : state.learned_net();
    return "it is the state of a solver; its weights are " + weights;
  }
  if (IsText(beginning)) {
    return "it is text; give the binary .caffemodel of a trained net";
  }
  return "it is damaged, or no .caffemodel";
}

}  // namespace ul2q
