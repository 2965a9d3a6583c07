// NCCL's own header beside what cuda/nccl_library.h declares of it: compiled where there is that header, and
// never run.
#include <nccl.h>

#include <tuple>
#include <type_traits>

#include "cuda/nccl_library.h"

namespace advf::cuda {
namespace {

// Whether a call takes both alike: the same type, an enumeration and its int, pointers to what each has a
// name of its own for, and the id, which goes by value.
template <class Ours, class Theirs>
constexpr bool alike() {
  if constexpr (std::is_same_v<Ours, Theirs>) return true;
  if constexpr (std::is_enum_v<Theirs>) return std::is_same_v<Ours, int> && sizeof(Theirs) == sizeof(int);
  if constexpr (std::is_same_v<Ours, NcclUniqueId>) return std::is_same_v<Theirs, ncclUniqueId>;
  if constexpr (std::is_same_v<Ours, NcclComm>) return std::is_same_v<Theirs, ncclComm_t>;
  if constexpr (std::is_pointer_v<Ours> && std::is_pointer_v<Theirs>)
    if constexpr (!std::is_same_v<Ours, NcclComm>)
      return alike<std::remove_pointer_t<Ours>, std::remove_pointer_t<Theirs>>();
  return false;
}
template <class R, class... A, class S, class... B>
constexpr bool alike(R (*)(A...), S (*)(B...)) {
  if constexpr (sizeof...(A) != sizeof...(B))
    return false;
  else
    return alike<R, S>() && (alike<A, B>() && ...);
}

#define ADVF_ALIKE(name)                                                                                    \
  static_assert(alike(decltype(NcclLibrary::name)(nullptr), static_cast<decltype(&::nccl##name)>(nullptr)), \
                #name)
ADVF_ALIKE(GetVersion);
ADVF_ALIKE(GetErrorString);
ADVF_ALIKE(GetUniqueId);
ADVF_ALIKE(CommInitRank);
ADVF_ALIKE(CommGetAsyncError);
ADVF_ALIKE(CommDestroy);
ADVF_ALIKE(CommAbort);
ADVF_ALIKE(GroupStart);
ADVF_ALIKE(GroupEnd);
ADVF_ALIKE(Send);
ADVF_ALIKE(Recv);
ADVF_ALIKE(AllGather);
static_assert(!alike(decltype(NcclLibrary::Send)(nullptr), static_cast<decltype(&::ncclRecv)>(nullptr)));
static_assert(sizeof(NcclUniqueId) == sizeof(ncclUniqueId) &&
              alignof(NcclUniqueId) == alignof(ncclUniqueId) &&
              sizeof(NcclUniqueId::internal) == NCCL_UNIQUE_ID_BYTES);
static_assert(int(ncclSuccess) == kNcclSuccess && int(ncclUint8) == kNcclUint8);

}  // namespace
}  // namespace advf::cuda
