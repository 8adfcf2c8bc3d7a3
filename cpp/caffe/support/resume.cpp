#include "support/resume.hpp"

#include <glog/logging.h>
#include <unistd.h>

#include <locale>
#include <map>
#include <sstream>
#include <vector>

#include "caffe/net.hpp"
#include "caffe/solver.hpp"
#include "support/files.hpp"

namespace ul2q {
namespace {

/// The train net, then the test nets.
template <typename Dtype>
std::vector<caffe::Net<Dtype>*> NetsOf(caffe::Solver<Dtype>* solver) {
  std::vector<caffe::Net<Dtype>*> nets{solver->net().get()};
  for (const auto& net : solver->test_nets()) {
    nets.push_back(net.get());
  }
  return nets;
}

}  // namespace

template <typename Dtype>
void SaveResumeState(caffe::Solver<Dtype>* solver, caffe::ResumeState* state) {
  state->Clear();
  state->set_generator(ToText(*caffe::caffe_rng()));
  for (caffe::Net<Dtype>* net : NetsOf(solver)) {
    caffe::NetResumeState* of_net = state->add_net();
    for (const auto& layer : net->layers()) {
      caffe::LayerState of_layer;
      layer->SaveState(&of_layer);
      if (of_layer.ByteSizeLong() > 0) {
        of_layer.set_name(layer->layer_param().name());
        *of_net->add_layer() = of_layer;
      }
    }
  }
}

template <typename Dtype>
void RestoreResumeState(const caffe::ResumeState& state,
                        caffe::Solver<Dtype>* solver, StateOf owner) {
  const bool is_own =
      owner == StateOf::kThisSolver || caffe::Caffe::root_solver();
  const std::vector<caffe::Net<Dtype>*> nets = NetsOf(solver);
  for (int i = 0; i < state.net_size() && i < static_cast<int>(nets.size());
       ++i) {
    std::map<std::string, const caffe::LayerState*> by_name;
    for (const caffe::LayerState& layer : state.net(i).layer()) {
      by_name[layer.name()] = &layer;
    }
    for (const auto& layer : nets[i]->layers()) {
      const auto found = by_name.find(layer->layer_param().name());
      if (found != by_name.end()) {
        const LayerScope scope(layer->layer_param());
        caffe::LayerState of_layer = *found->second;
        if (!is_own) {
          of_layer.clear_generator();
        }
        layer->RestoreState(of_layer);
      }
    }
  }
  // This comes last: each thread that a layer starts draws a seed.
  if (state.has_generator() && is_own) {
    FromText(state.generator(), caffe::caffe_rng());
  }
}

template void SaveResumeState(caffe::Solver<float>*, caffe::ResumeState*);
template void SaveResumeState(caffe::Solver<double>*, caffe::ResumeState*);
template void RestoreResumeState(const caffe::ResumeState&,
                                 caffe::Solver<float>*, StateOf);
template void RestoreResumeState(const caffe::ResumeState&,
                                 caffe::Solver<double>*, StateOf);

std::string LearnedNet(const std::string& state_file,
                       const std::string& learned_net) {
  const std::string::size_type folder = state_file.rfind('/') + 1;
  const std::string::size_type base = learned_net.rfind('/') + 1;
  const std::string beside =
      state_file.substr(0, folder) + learned_net.substr(base);
  if (access(beside.c_str(), R_OK) == 0) {
    return beside;
  }
  CheckReadable(learned_net);
  return learned_net;
}

std::string ToText(const caffe::rng_t& generator) {
  std::ostringstream text;
  text.imbue(std::locale::classic());
  text << generator;
  return text.str();
}

void FromText(const std::string& text, caffe::rng_t* generator) {
  // Boost reads on to the next word, and fails at an end without a space.
  std::istringstream stream(text + " ");
  stream.imbue(std::locale::classic());
  caffe::rng_t read;
  CHECK(stream >> read)
      << "the state of the random numbers in the snapshot is damaged";
  *generator = read;
}

}  // namespace ul2q
