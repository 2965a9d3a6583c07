// GPUs of a team's ranks that reach each other without the hosts.
#pragma once
#include <memory>
#include <string>

#include "nn/team.h"

namespace advf::tools {

struct LinkedDevices {
  std::unique_ptr<DeviceLink> link;  // null: sums go through the hosts' memory
  std::string told;                  // for people: which way is taken, and why
};
// By NCCL, where every rank has a GPU for itself. All ranks call it, and all get a link, or none of them
// does.
LinkedDevices link_devices(Team& team, const std::string& library);

}  // namespace advf::tools
