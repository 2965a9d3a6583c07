#include "cuda/nccl.h"

#include <dlfcn.h>

#include <algorithm>
#include <map>
#include <mutex>

#include "cuda/context.h"
#include "cuda/kernels/map.h"
#include "cuda/nccl_library.h"
#include "tensor/ops/sum_in_order.h"

namespace advf {
namespace cuda {
namespace {

constexpr int kLeastVersion = 20900;  // 2.9: since then one rule of numbering, with all that is used here

struct Loaded : NcclLibrary {
  std::string version;
};

std::string name_of_version(int v) {
  if (v < 10000) return std::to_string(v / 1000) + "." + std::to_string(v / 100 % 10);
  return std::to_string(v / 10000) + "." + std::to_string(v / 100 % 100) + "." + std::to_string(v % 100);
}

Loaded load(const std::string& name) {
  void* library = ::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  const char* why = library ? nullptr : ::dlerror();
  check(library, "NCCL cannot be loaded: ", why ? why : name.c_str());
  Loaded nccl{};
  const auto find = [&](auto& function, const char* symbol) {
    void* found = ::dlsym(library, symbol);
    check(found, name, " has no ", symbol, "; take that of NCCL 2.9 or newer");
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(found);
  };
#define ADVF_FIND(symbol) find(nccl.symbol, "nccl" #symbol)
  ADVF_FIND(GetVersion);
  ADVF_FIND(GetErrorString);
  ADVF_FIND(GetUniqueId);
  ADVF_FIND(CommInitRank);
  ADVF_FIND(CommGetAsyncError);
  ADVF_FIND(CommDestroy);
  ADVF_FIND(CommAbort);
  ADVF_FIND(GroupStart);
  ADVF_FIND(GroupEnd);
  ADVF_FIND(Send);
  ADVF_FIND(Recv);
  ADVF_FIND(AllGather);
#undef ADVF_FIND
  int version = 0;
  const NcclResult result = nccl.GetVersion(&version);
  check(result == kNcclSuccess, name, ": ", nccl.GetErrorString(result));
  nccl.version = name_of_version(version);
  check(version >= kLeastVersion, name, " is NCCL ", nccl.version, "; 2.9 or newer is needed");
  return nccl;
}

// Stays to the end of the process.
const Loaded& loaded(const std::string& name) {
  static std::mutex& mutex = *new std::mutex;
  static auto& all = *new std::map<std::string, Loaded>;
  const std::lock_guard lock(mutex);
  const auto found = all.find(name);
  return found != all.end() ? found->second : all.emplace(name, load(name)).first->second;
}

void check_nccl(const NcclLibrary& nccl, NcclResult result, const char* what) {
  check(result == kNcclSuccess, "NCCL: ", what, ": ", nccl.GetErrorString(result));
}

struct AddInOrder {
  const float* blocks;
  int64_t count, n;
  __device__ void operator()(const float*, float* sum, int64_t i) const {
    sum_in_order<1>(blocks + i, count, n, sum);
  }
};

class NcclLink : public DeviceLink {
 public:
  NcclLink(const NcclLibrary& nccl, const NcclUniqueId& id, int rank, int ranks)
      : nccl_(nccl), context_(context()), ranks_(ranks) {
    check_nccl(nccl_, nccl_.CommInitRank(&comm_, ranks, id, rank), "linking the ranks");
  }
  ~NcclLink() override {
    // Destroying waits for the others, of whom some may have no link where this one was never used.
    if (!used_) {
      nccl_.CommAbort(comm_);
      return;
    }
    cudaStreamSynchronize(context_.stream);  // what is on its way still needs it
    nccl_.CommDestroy(comm_);
  }
  NcclLink(const NcclLink&) = delete;

  void gather(const void* mine, void* all, size_t bytes) override {
    const std::lock_guard lock(context_.mutex);
    check_link();
    check_nccl(nccl_, nccl_.AllGather(mine, all, bytes, kNcclUint8, comm_, context_.stream), "gathering");
  }

  void exchange(const void* out, void* in, size_t bytes) override {
    constexpr const char* kWhat = "exchanging";
    const std::lock_guard lock(context_.mutex);
    check_link();
    check_nccl(nccl_, nccl_.GroupStart(), kWhat);
    for (int r = 0; r < ranks_; ++r) {
      const size_t at = size_t(r) * bytes;
      check_nccl(
          nccl_,
          nccl_.Send(static_cast<const std::byte*>(out) + at, bytes, kNcclUint8, r, comm_, context_.stream),
          kWhat);
      check_nccl(nccl_,
                 nccl_.Recv(static_cast<std::byte*>(in) + at, bytes, kNcclUint8, r, comm_, context_.stream),
                 kWhat);
    }
    check_nccl(nccl_, nccl_.GroupEnd(), kWhat);
  }

  void add(const float* blocks, int64_t count, int64_t n, float* sum) override {
    const std::lock_guard lock(context_.mutex);
    launch_map(MapArgs<float, 1, 1>{{nullptr}, {sum}, n, false}, AddInOrder{blocks, count, n},
               context_.stream);
  }

 private:
  // What was enqueued before may have failed since.
  void check_link() {
    used_ = true;
    NcclResult error = kNcclSuccess;
    check_nccl(nccl_, nccl_.CommGetAsyncError(comm_, &error), "looking at the link");
    check_nccl(nccl_, error, "on the way");
  }

  const NcclLibrary& nccl_;
  Context& context_;
  int ranks_;
  NcclComm comm_ = nullptr;
  bool used_ = false;
};

}  // namespace
}  // namespace cuda

std::string nccl_version(const std::string& library) { return cuda::loaded(library).version; }

NcclId new_nccl_id(const std::string& library) {
  const cuda::Loaded& nccl = cuda::loaded(library);
  cuda::NcclUniqueId made{};
  cuda::check_nccl(nccl, nccl.GetUniqueId(&made), "making an id");
  NcclId id;
  std::copy_n(made.internal, id.size(), id.begin());
  return id;
}

std::unique_ptr<DeviceLink> nccl_link(const std::string& library, const NcclId& id, int rank, int ranks) {
  cuda::NcclUniqueId taken{};
  std::copy_n(id.begin(), id.size(), taken.internal);
  return std::make_unique<cuda::NcclLink>(cuda::loaded(library), taken, rank, ranks);
}

}  // namespace advf
