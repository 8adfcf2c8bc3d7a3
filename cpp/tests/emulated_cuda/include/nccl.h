// The part of NCCL that Caffe calls; its ranks are threads of one process.
#ifndef UL2Q_TESTS_EMULATED_CUDA_NCCL_H_
#define UL2Q_TESTS_EMULATED_CUDA_NCCL_H_

#include "cuda_runtime_api.h"

#define NCCL_UNIQUE_ID_BYTES 128

enum ncclResult_t {
  ncclSuccess = 0,
  ncclUnhandledCudaError = 1,
  ncclInvalidArgument = 4,
};
enum ncclDataType_t { ncclFloat = 7, ncclDouble = 8 };
enum ncclRedOp_t { ncclSum = 0 };

struct ncclUniqueId {
  char internal[NCCL_UNIQUE_ID_BYTES];
};
using ncclComm_t = struct EmulatedNccl*;

const char* ncclGetErrorString(ncclResult_t error);
ncclResult_t ncclGetUniqueId(ncclUniqueId* id);
ncclResult_t ncclCommInitRank(ncclComm_t* communicator, int ranks,
                              ncclUniqueId id, int rank);
ncclResult_t ncclCommInitAll(ncclComm_t* communicators, int ranks,
                             const int* devices);
ncclResult_t ncclCommDestroy(ncclComm_t communicator);
ncclResult_t ncclBcast(void* array, std::size_t count, ncclDataType_t type,
                       int root, ncclComm_t communicator, cudaStream_t stream);
ncclResult_t ncclAllReduce(const void* own, void* sum, std::size_t count,
                           ncclDataType_t type, ncclRedOp_t operation,
                           ncclComm_t communicator, cudaStream_t stream);

#endif  // UL2Q_TESTS_EMULATED_CUDA_NCCL_H_
