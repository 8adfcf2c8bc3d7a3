#include "support/solver_state.hpp"

#include <glog/logging.h>
#include <hdf5_hl.h>

#include "caffe/util/hdf5.hpp"
#include "caffe/util/io.hpp"
#include "support/blob_values.hpp"
#include "support/files.hpp"
#include "support/resume.hpp"

namespace ul2q {
namespace {

void CheckHistorySize(const std::string& path, std::size_t size,
                      std::size_t expected) {
  CHECK_EQ(size, expected)
      << path << " has the history of another net or another type of solver";
}

void CheckSolverType(const std::string& path, const std::string& type,
                     const std::string& expected) {
  CHECK(type == expected) << path << " is of a solver of type " << type
                          << ", not " << expected;
}

}  // namespace

template <typename Dtype>
void ReadSolverState(
    const std::string& path, const std::string& solver_type,
    const std::vector<boost::shared_ptr<caffe::Blob<Dtype>>>& history,
    caffe::SolverState* state) {
  caffe::ReadProtoFromBinaryFileOrDie(path, state);
  if (state->has_learned_net()) {
    state->set_learned_net(LearnedNet(path, state->learned_net()));
  }
  CheckHistorySize(path, state->history_size(), history.size());
  for (std::size_t i = 0; i < history.size(); ++i) {
    const caffe::BlobProto& blob = state->history(static_cast<int>(i));
    CHECK(history[i]->ShapeEquals(blob))
        << path << " has the history of another net: blob " << i
        << " is not of shape " << history[i]->shape_string();
    NamingFile(path, [&] { CheckBlobValues(blob); });
  }
  if (state->has_solver_type()) {
    CheckSolverType(path, state->solver_type(), solver_type);
  }
}

template void ReadSolverState(
    const std::string&, const std::string&,
    const std::vector<boost::shared_ptr<caffe::Blob<float>>>&,
    caffe::SolverState*);
template void ReadSolverState(
    const std::string&, const std::string&,
    const std::vector<boost::shared_ptr<caffe::Blob<double>>>&,
    caffe::SolverState*);

void CheckSolverState(hid_t file, const std::string& path,
                      const std::string& solver_type,
                      std::size_t history_size) {
  const hid_t history = H5Gopen2(file, "history", H5P_DEFAULT);
  CHECK_GE(history, 0) << "Error reading history from " << path;
  CheckHistorySize(path, caffe::hdf5_get_num_links(history), history_size);
  H5Gclose(history);
  if (H5LTfind_dataset(file, "learned_net") != 0) {
    LearnedNet(path, caffe::hdf5_load_string(file, "learned_net"));
  }
  if (H5LTfind_dataset(file, "solver_type") != 0) {
    CheckSolverType(path, caffe::hdf5_load_string(file, "solver_type"),
                    solver_type);
  }
}

}  // namespace ul2q
