// The registry of backends and the scopes that choose one.
#include "tensor/backend.h"

#include <map>
#include <mutex>

#include "tensor/cpu/cpu_backend.h"
#include "tensor/reference/reference_backend.h"

namespace advf {
namespace {

struct Registry {
  std::mutex mutex;
  std::map<std::string, std::function<Backend&()>, std::less<>> entries{
      {"cpu", []() -> Backend& { return cpu_backend(); }},
      {"cpu-bf16", []() -> Backend& { return cpu_bf16_backend(); }},
      {"reference", []() -> Backend& { return reference_backend(); }},
  };
};
Registry& registry() {
  static Registry r;
  return r;
}

thread_local Backend* chosen = nullptr;
thread_local bool meta = false;

}  // namespace

std::unique_ptr<Replay> Backend::record(const std::function<void()>&) { return nullptr; }
void Backend::choose_layouts(std::span<const PlannedStep>, std::span<const uint8_t>, std::span<ValueInfo>,
                             std::span<int64_t>) {}

Backend& backend(std::string_view name) {
  std::function<Backend&()> get;
  {
    std::lock_guard lock(registry().mutex);
    const auto found = registry().entries.find(name);
    if (found == registry().entries.end()) {
      std::string known;
      for (const auto& [key, unused] : registry().entries) known += (known.empty() ? "" : ", ") + key;
      fail("no device named \"", name, "\"; there are: ", known);
    }
    get = found->second;
  }
  return get();
}

void register_backend(std::string name, std::function<Backend&()> get) {
  std::lock_guard lock(registry().mutex);
  registry().entries[std::move(name)] = std::move(get);
}

Backend& host_backend() { return cpu_backend(); }
Backend& current_backend() { return chosen ? *chosen : cpu_backend(); }

BackendScope::BackendScope(Backend& b) : previous_(chosen) { chosen = &b; }
BackendScope::~BackendScope() { chosen = previous_; }

MetaScope::MetaScope(bool on) : previous_(meta) { meta = on; }
MetaScope::~MetaScope() { meta = previous_; }
bool MetaScope::active() { return meta; }

}  // namespace advf
