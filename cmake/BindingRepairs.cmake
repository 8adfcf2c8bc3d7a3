# What the Python bindings need of BVLC's classes to hold their objects safely, and what a solver says about its state.

# A blob's address leads to the shared pointer that owns it. Layers are handed addresses; a Python layer may keep what it
# was handed for longer than the blob lives.
ul2q_repair(include/caffe/blob.hpp
  FROM [[#include <algorithm>]]
  TO [[#include <boost/enable_shared_from_this.hpp>

#include <algorithm>]])
ul2q_repair(include/caffe/blob.hpp
  FROM [[class Blob {
 public:]]
  TO [[class Blob : public boost::enable_shared_from_this<Blob<Dtype> > {
 public:]])

# Memory tells whether it lives as long as this object, or is another's (a prefetched batch's, or a NumPy array's).
ul2q_repair(include/caffe/syncedmem.hpp
  FROM [[  size_t size() const { return size_; }]]
  TO [[  size_t size() const { return size_; }
  bool owns_cpu_data() const { return own_cpu_data_; }
  uint64_t version() const {
    const bool is_ours = own_cpu_data_ && (gpu_ptr_ == NULL || own_gpu_data_);
    return is_ours && writers_ == 0 ? version_.load() : 0;
  }
  void AddWriter() { ++writers_; }
  void RemoveWriter() {
    Touch();
    --writers_;
  }]])

# Memory has a version, so that what is computed from weights (quantised ones, the engine's formats) is computed once as
# long as nobody writes to them: a number, of no other memory, that is another after each leave to write. 0: somebody may
# write without asking, through a NumPy view or as the memory's owner.
ul2q_repair(include/caffe/syncedmem.hpp
  FROM [[#include <cstdlib>]]
  TO [[#include <atomic>
#include <cstdint>
#include <cstdlib>]])
ul2q_repair(include/caffe/syncedmem.hpp
  FROM [[  void to_cpu();]]
  TO [[  static uint64_t NextVersion() {
    static std::atomic<uint64_t> last(0);
    return ++last;
  }
  void Touch() { version_ = NextVersion(); }
  std::atomic<uint64_t> version_{NextVersion()};
  std::atomic<int> writers_{0};

  void to_cpu();]])
ul2q_repair(src/caffe/syncedmem.cpp
  FROM [[  to_cpu();
  head_ = HEAD_AT_CPU;
  return cpu_ptr_;]]
  TO [[  to_cpu();
  Touch();
  head_ = HEAD_AT_CPU;
  return cpu_ptr_;]])
ul2q_repair(src/caffe/syncedmem.cpp
  FROM [[  to_gpu();
  head_ = HEAD_AT_GPU;
  return gpu_ptr_;]]
  TO [[  to_gpu();
  Touch();
  head_ = HEAD_AT_GPU;
  return gpu_ptr_;]])

# A net and a solver take something of the bindings' with them through their life: callbacks, to which they have bare
# pointers. The first member is the last to go.
ul2q_repair(include/caffe/net.hpp
  FROM [[class Net {
 public:]]
  TO [[class Net {
 public:
  shared_ptr<void> attachment;
]])
ul2q_repair(include/caffe/solver.hpp
  FROM [[class Solver {
 public:]]
  TO [[class Solver {
 public:
  shared_ptr<void> attachment;
]])

# A solver goes on from a state of its own type alone: the history of one is nonsense to another. BVLC's accepts any with
# the right number of blobs. A state without the type, BVLC's own, is accepted.
ul2q_repair(src/caffe/proto/caffe.proto
  FROM [[  optional string learned_net = 2; // The file that stores the learned net.]]
  TO [[  optional string learned_net = 2; // The file that stores the learned net.
  optional string solver_type = 1149; // The type of the solver, e.g. "Adam".]])
ul2q_repair(src/caffe/solvers/sgd_solver.cpp
  FROM [[  state.set_learned_net(model_filename);]]
  TO [[  state.set_learned_net(model_filename);
  state.set_solver_type(this->type());]])
ul2q_repair(src/caffe/solvers/sgd_solver.cpp
  FROM [[  hdf5_save_string(file_hid, "learned_net", model_filename);]]
  TO [[  hdf5_save_string(file_hid, "learned_net", model_filename);
  hdf5_save_string(file_hid, "solver_type", this->type());]])
ul2q_repair(src/caffe/solvers/sgd_solver.cpp
  FROM [[  this->iter_ = state.iter();]]
  TO [[  CHECK(!state.has_solver_type() || state.solver_type() == this->type())
      << state_file << " is of a solver of type " << state.solver_type() << ", not " << this->type();
  this->iter_ = state.iter();]])
ul2q_repair(src/caffe/solvers/sgd_solver.cpp
  FROM [[  this->iter_ = hdf5_load_int(file_hid, "iter");]]
  TO [[  if (H5LTfind_dataset(file_hid, "solver_type")) {
    const string type = hdf5_load_string(file_hid, "solver_type");
    CHECK(type == this->type()) << state_file << " is of a solver of type " << type << ", not " << this->type();
  }
  this->iter_ = hdf5_load_int(file_hid, "iter");]])

# A parameter that was given another shape does not fit its history, which the update would write past the end of.
ul2q_repair(src/caffe/solvers/sgd_solver.cpp
  FROM [[    Normalize(param_id);]]
  TO [[    CHECK_EQ(this->net_->learnable_params()[param_id]->count(), history_[param_id]->count())
        << "a parameter was reshaped to " << this->net_->learnable_params()[param_id]->shape_string()
        << " after its solver was made, from " << history_[param_id]->shape_string();
    Normalize(param_id);]])
