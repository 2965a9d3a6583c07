// The functions of NCCL that are used, declared here after its documentation ("NCCL API", NVIDIA), so that a
// build needs no header of it. tests/nccl_declarations.cpp compares them with the header where there is one.
#pragma once
#include <cuda_runtime.h>

#include <cstddef>
#include <string>

namespace advf::cuda {

struct NcclUniqueId {
  char internal[128];
};
using NcclComm = struct NcclCommunicator*;
using NcclResult = int;  // an enumeration there; 0: success
using NcclType = int;    // an enumeration there
constexpr NcclResult kNcclSuccess = 0;
constexpr NcclType kNcclUint8 = 1;

// By the names of the library without "nccl".
struct NcclLibrary {
  NcclResult (*GetVersion)(int* version);
  const char* (*GetErrorString)(NcclResult result);
  NcclResult (*GetUniqueId)(NcclUniqueId* id);
  NcclResult (*CommInitRank)(NcclComm* comm, int ranks, NcclUniqueId id, int rank);
  NcclResult (*CommGetAsyncError)(NcclComm comm, NcclResult* error);
  NcclResult (*CommDestroy)(NcclComm comm);
  NcclResult (*CommAbort)(NcclComm comm);
  NcclResult (*GroupStart)();
  NcclResult (*GroupEnd)();
  NcclResult (*Send)(const void* data, size_t count, NcclType type, int peer, NcclComm comm,
                     cudaStream_t stream);
  NcclResult (*Recv)(void* data, size_t count, NcclType type, int peer, NcclComm comm, cudaStream_t stream);
  NcclResult (*AllGather)(const void* mine, void* all, size_t count, NcclType type, NcclComm comm,
                          cudaStream_t stream);
};

}  // namespace advf::cuda
