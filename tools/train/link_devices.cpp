#include "tools/train/link_devices.h"

#include <algorithm>
#include <set>
#include <vector>

#include "cuda/cuda_backend.h"
#include "cuda/nccl.h"
#include "tensor/check.h"

namespace advf::tools {
namespace {

// What the first rank says of which f() throws an Error; empty where none does.
template <class F>
std::string first_trouble(Team& team, const F& f) {
  std::vector<char> text;
  try {
    f();
  } catch (const Error& e) {
    const std::string mine = e.what();
    text.assign(mine.begin(), mine.end());
    text.push_back('\n');
  }
  text = team.joined(std::move(text));
  return {text.begin(), std::find(text.begin(), text.end(), '\n')};
}

}  // namespace

LinkedDevices link_devices(Team& team, const std::string& library) {
  LinkedDevices linked;
  std::string version;
  NcclId id{};
  std::string trouble = first_trouble(team, [&] { version = nccl_version(library); });
  const auto all = team.joined(std::vector{cuda_device_uuid()});
  const size_t devices = std::set(all.begin(), all.end()).size();
  if (devices < all.size())
    trouble = std::to_string(all.size()) + " ranks share " + std::to_string(devices) + " of them";
  if (trouble.empty() && !team.agree(version)) trouble = "the ranks have several versions of NCCL";
  if (trouble.empty())
    trouble = first_trouble(team, [&] {
      if (team.rank() == 0) id = new_nccl_id(library);
    });
  if (trouble.empty()) {
    const std::vector<char> bytes =
        team.joined(team.rank() == 0 ? std::vector<char>(id.begin(), id.end()) : std::vector<char>());
    std::copy_n(bytes.begin(), id.size(), id.begin());
    trouble = first_trouble(team, [&] { linked.link = nccl_link(library, id, team.rank(), team.size()); });
  }
  if (trouble.empty()) {
    linked.told = "the GPUs of " + std::to_string(team.size()) + " ranks meet by NCCL " + version;
  } else {
    linked.link.reset();
    linked.told = "the GPUs' sums go through the hosts' memory: " + trouble;
  }
  return linked;
}

}  // namespace advf::tools
