#ifndef UL2Q_SUPPORT_SOLVER_STATE_HPP_
#define UL2Q_SUPPORT_SOLVER_STATE_HPP_

#include <hdf5.h>

#include <boost/shared_ptr.hpp>
#include <cstddef>
#include <string>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/proto/caffe.pb.h"

namespace ul2q {

/// Reads a .solverstate for a solver of type `solver_type` ("Adam", say) with
/// this history. The state's learned_net becomes the file that LearnedNet
/// finds. Throws FileNotFound, and CaffeError if the file is damaged, or is the
/// state of another type of solver or of another net.
template <typename Dtype>
void ReadSolverState(
    const std::string& path, const std::string& solver_type,
    const std::vector<boost::shared_ptr<caffe::Blob<Dtype>>>& history,
    caffe::SolverState* state);

/// Throws the same for an open .solverstate.h5, the shapes of whose history
/// are checked when it is read.
void CheckSolverState(hid_t file, const std::string& path,
                      const std::string& solver_type, std::size_t history_size);

}  // namespace ul2q

#endif  // UL2Q_SUPPORT_SOLVER_STATE_HPP_
