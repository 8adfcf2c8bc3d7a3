#ifndef UL2Q_SUPPORT_RESUME_HPP_
#define UL2Q_SUPPORT_RESUME_HPP_

#include <string>

#include "caffe/proto/caffe.pb.h"
#include "caffe/util/rng.hpp"

namespace caffe {
template <typename Dtype>
class Solver;
}

namespace ul2q {

/// Notes where training stands beyond weights and history: the state of this
/// thread's random numbers, and that of each layer of all nets
/// (caffe::Layer::SaveState).
template <typename Dtype>
void SaveResumeState(caffe::Solver<Dtype>* solver, caffe::ResumeState* state);

/// Whose state it is that a solver is brought to.
enum class StateOf { kRootSolver, kThisSolver };

/// Brings a solver there. Layers that the state does not know stay as they are.
/// A snapshot has the state of the first of parallel solvers: the others, which
/// must not draw the same, keep their random numbers.
template <typename Dtype>
void RestoreResumeState(const caffe::ResumeState& state,
                        caffe::Solver<Dtype>* solver,
                        StateOf owner = StateOf::kRootSolver);

/// The weights of a solver's state: the file of the name `learned_net` ends in
/// beside the state if there is one, for folders that have been moved or
/// copied, else `learned_net` itself. Throws FileNotFound.
std::string LearnedNet(const std::string& state_file,
                       const std::string& learned_net);

/// A generator's state as text, and back. Throws CaffeError.
std::string ToText(const caffe::rng_t& generator);
void FromText(const std::string& text, caffe::rng_t* generator);

}  // namespace ul2q

#endif  // UL2Q_SUPPORT_RESUME_HPP_
