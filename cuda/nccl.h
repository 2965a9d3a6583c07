// The GPUs of several ranks linked by NCCL, NVIDIA's library for that, which is found when a program asks for
// it: a build needs nothing of it.
#pragma once
#include <array>
#include <memory>
#include <string>

#include "tensor/device_link.h"

namespace advf {

// As the linker's search finds it.
constexpr const char* kNcclLibrary = "libnccl.so.2";

// E.g. "2.21.5". Throws Error where the library is not there, is too old or is another one.
std::string nccl_version(const std::string& library);

// What ranks that are to be linked have in common: one of them makes it and gives it to all.
using NcclId = std::array<char, 128>;
NcclId new_nccl_id(const std::string& library);

// All ranks call it, each with the device that it computes on, no two with the same one; returns when all
// have. Throws Error with what NCCL says where it cannot be.
std::unique_ptr<DeviceLink> nccl_link(const std::string& library, const NcclId& id, int rank, int ranks);

}  // namespace advf
