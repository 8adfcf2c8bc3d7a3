# What BVLC's training on several GPUs, by NCCL, needs here, where a failed check throws.

# A destructor must not throw.
ul2q_repair(src/caffe/parallel.cpp
  FROM [[  CUDA_CHECK(cudaFree(data_));
  CUDA_CHECK(cudaFree(diff_));]]
  TO [[  cudaFree(data_);
  cudaFree(diff_);]])
ul2q_repair(src/caffe/parallel.cpp
  FROM [[    CUDA_CHECK(cudaStreamDestroy(stream_));]]
  TO [[    cudaStreamDestroy(stream_);]])

# The parameters move into NCCL's memory when nothing can fail any more: they would be left in memory that is gone.
ul2q_repair(src/caffe/parallel.cpp
  FROM [[    comm_(), solver_(solver), barrier_() {
  this->Configure(solver.get());
  Init();]]
  TO [[    comm_(), stream_(), solver_(solver), barrier_() {
  Init();
  this->Configure(solver.get());]])
ul2q_repair(src/caffe/parallel.cpp
  FROM [[    solver_(solver), barrier_() {
  this->Configure(solver.get());
  Caffe::set_multiprocess(true);]]
  TO [[    comm_(), stream_(), solver_(solver), barrier_() {
  Caffe::set_multiprocess(true);]])
ul2q_repair(src/caffe/parallel.cpp
  FROM [[                              Caffe::solver_rank()));
  Init();]]
  TO [[                              Caffe::solver_rank()));
  Init();
  this->Configure(solver.get());]])

# NCCL reads and writes on the device: what the CPU has written goes there first, what it has read is out of date then.
ul2q_repair(src/caffe/parallel.cpp
  FROM [[  NCCL_CHECK(ncclBcast(data_,]]
  TO [[  for (Blob<Dtype>* blob : solver_->net()->learnable_params()) { blob->mutable_gpu_data(); }
  NCCL_CHECK(ncclBcast(data_,]])
ul2q_repair(src/caffe/parallel.cpp
  FROM [[    NCCL_CHECK(ncclAllReduce(diff_,]]
  TO [[    for (Blob<Dtype>* blob : solver_->net()->learnable_params()) { blob->mutable_gpu_diff(); }
    NCCL_CHECK(ncclAllReduce(diff_,]])
ul2q_repair(src/caffe/parallel.cpp
  FROM [[      size += blobs[i]->count();
    }
    if (barrier_) {]]
  TO [[      size += blobs[i]->count();
      blobs[i]->mutable_gpu_diff();
    }
    if (barrier_) {]])

# Solvers in threads wait for each other, without end if one has failed, or has been stopped by a signal: that ends the
# process, which is the `caffe` tool's.
ul2q_repair(src/caffe/parallel.cpp
  FROM [[#include "caffe/parallel.hpp"]]
  TO [[#include "caffe/parallel.hpp"
#include "support/run_or_exit.hpp"]])
ul2q_repair(src/caffe/parallel.cpp
  FROM [[  void InternalThreadEntry() {
    // Create solver and install callbacks]]
  TO [[  void InternalThreadEntry() { ul2q::RunOrExit([this] { Train(); }); }

  void Train() {
    // Create solver and install callbacks]])
ul2q_repair(src/caffe/parallel.cpp
  FROM [[  barrier.wait();
  // Init NCCL
  InitSingleProcess(&nccls);
  barrier.wait();
  // Run first solver on current thread
  Broadcast();
  solver_->Solve();
  barrier.wait();]]
  TO [[  barrier.wait();
  ul2q::RunOrExit([&] {
    // Init NCCL
    InitSingleProcess(&nccls);
    barrier.wait();
    // Run first solver on current thread
    Broadcast();
    solver_->Solve();
    if (solver_->iter() < solver_->param().max_iter()) { std::_Exit(EXIT_SUCCESS); }
  });
  barrier.wait();]])
