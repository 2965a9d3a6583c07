// A stand-in of NCCL for emulated devices, whose memory is the host's: MPI carries what NCCL would.
// $NCCL_DOUBLE names what is to go wrong. Built without a symbol as well (NCCL_DOUBLE_WITHOUT_SEND).
#define OMPI_SKIP_MPICXX 1
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>

#include <algorithm>
#include <cstdlib>
#include <set>
#include <string>
#include <vector>

#include "cuda/nccl_library.h"

using namespace advf::cuda;

struct advf::cuda::NcclCommunicator {
  MPI_Comm mpi;
  int rank;
};

namespace {

constexpr NcclResult kSystemError = 2, kInvalidUsage = 5;

bool wrong(const char* what) {
  const char* asked = std::getenv("NCCL_DOUBLE");
  return asked && std::string(asked) == what;
}

struct Transfer {
  const void* send;
  void* receive;
  int count, peer;
  NcclComm comm;
};
bool grouped = false;
std::vector<Transfer> group;
cudaStream_t stream_of_group{};

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

NcclResult ncclGetVersion(int* version) {
  *version = wrong("old") ? 2804 : 29901;
  return kNcclSuccess;
}

const char* ncclGetErrorString(NcclResult result) {
  return result == kSystemError ? "unhandled system error (of the double)" : "invalid usage (of the double)";
}

NcclResult ncclGetUniqueId(NcclUniqueId* id) {
  for (char& c : id->internal) c = char(&c - id->internal - 50);
  return wrong("id") ? kSystemError : kNcclSuccess;
}

// As NCCL, it refuses two ranks on one device; and an id that is not rank 0's.
NcclResult ncclCommInitRank(NcclComm* comm, int ranks, NcclUniqueId id, int rank) {
  int size = 0, number = 0, device = -1;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  MPI_Comm_rank(MPI_COMM_WORLD, &number);
  cudaGetDevice(&device);
  std::vector<int> devices(static_cast<size_t>(size));
  MPI_Allgather(&device, 1, MPI_INT, devices.data(), 1, MPI_INT, MPI_COMM_WORLD);
  NcclUniqueId good{};
  ncclGetUniqueId(&good);
  const bool same_id = std::equal(good.internal, good.internal + sizeof good.internal, id.internal);
  const bool own_device = std::set<int>(devices.begin(), devices.end()).size() == devices.size();
  if (!same_id || !own_device || ranks != size || rank != number) return kInvalidUsage;
  if (wrong("start") && rank == size - 1) return kSystemError;
  *comm = new NcclCommunicator{MPI_COMM_WORLD, rank};
  return kNcclSuccess;
}

NcclResult ncclCommGetAsyncError(NcclComm, NcclResult* error) {
  *error = wrong("later") ? kSystemError : kNcclSuccess;
  return kNcclSuccess;
}

NcclResult ncclCommDestroy(NcclComm comm) {
  delete comm;
  return kNcclSuccess;
}
NcclResult ncclCommAbort(NcclComm comm) { return ncclCommDestroy(comm); }

NcclResult ncclGroupStart() {
  grouped = true;
  return kNcclSuccess;
}

NcclResult ncclGroupEnd() {
  grouped = false;
  if (cudaStreamSynchronize(stream_of_group) != cudaSuccess) return kSystemError;
  constexpr int kTag = 7;
  std::vector<MPI_Request> requests;
  for (const Transfer& t : group) {
    MPI_Request& request = requests.emplace_back();
    if (t.send)
      MPI_Isend(t.send, t.count, MPI_BYTE, t.peer, kTag, t.comm->mpi, &request);
    else
      MPI_Irecv(t.receive, t.count, MPI_BYTE, t.peer, kTag, t.comm->mpi, &request);
  }
  MPI_Waitall(int(requests.size()), requests.data(), MPI_STATUSES_IGNORE);
  group.clear();
  return kNcclSuccess;
}

#ifndef NCCL_DOUBLE_WITHOUT_SEND
NcclResult ncclSend(const void* data, size_t count, NcclType type, int peer, NcclComm comm,
                    cudaStream_t stream) {
  if (wrong("send") && comm->rank == 1) return kSystemError;
  if (!grouped || type != kNcclUint8) return kInvalidUsage;
  stream_of_group = stream;
  group.push_back({data, nullptr, int(count), peer, comm});
  return kNcclSuccess;
}
#endif

NcclResult ncclRecv(void* data, size_t count, NcclType type, int peer, NcclComm comm, cudaStream_t stream) {
  if (!grouped || type != kNcclUint8) return kInvalidUsage;
  stream_of_group = stream;
  group.push_back({nullptr, data, int(count), peer, comm});
  return kNcclSuccess;
}

NcclResult ncclAllGather(const void* mine, void* all, size_t count, NcclType type, NcclComm comm,
                         cudaStream_t stream) {
  if (wrong("gather")) return kSystemError;
  if (type != kNcclUint8 || cudaStreamSynchronize(stream) != cudaSuccess) return kInvalidUsage;
  MPI_Allgather(mine, int(count), MPI_BYTE, all, int(count), MPI_BYTE, comm->mpi);
  return kNcclSuccess;
}

}  // extern "C"
