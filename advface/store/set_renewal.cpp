#include "advface/store/set_renewal.h"

#include <limits>

#include "advface/protections/registry.h"
#include "advface/protections/rotation_protection.h"

namespace advf {
namespace {

// The lock that lies over all else; null where there is none.
const AppliedProtection* lock_of(const StoredSet& set) {
  const auto& applied = set.info.protection.applied;
  return !applied.empty() && applied.back().name == "rotation" ? &applied.back() : nullptr;
}

const AppliedProtection& lock_to_open(const Store& store, const StoredSet& set) {
  const AppliedProtection* lock = lock_of(set);
  check(lock, store.path(), ": the set ", set.name, " is ", set.info.protection.describe(),
        "; a key opens a rotation that was applied last, and there is none");
  return *lock;
}

// What opens it.
std::shared_ptr<ProtectionChain> lock_under(const Store& store, const StoredSet& set,
                                            const ProtectionId& under, std::shared_ptr<const Key> key) {
  auto spec = spec_of(lock_to_open(store, set), store.path());
  dynamic_cast<RotationSpec&>(*spec).source->take(std::move(key));
  ProtectionInput input;
  input.space = space_after(under, set.raw);
  input.space.row = {set.dimension};
  input.space.domain = FeatureDomain::sphere;  // a rotation takes nothing else, so that it was
  input.what = store.path();
  input.before = under;
  input.beside = &set.info.protection;
  input.beside_what = store.path();
  input.to_keep = true;
  return std::make_shared<ProtectionChain>(ProtectionSpecs{std::move(spec)}, input);
}

}  // namespace

bool is_locked_with(const StoredSet& set, const Key& key) {
  const AppliedProtection* lock = lock_of(set);
  if (!lock) return false;
  const auto id = lock->networks.find("key");
  return id != lock->networks.end() && id->second == key.info().id;
}

SetRenewal SetRenewal::to_key(const Store& store, const StoredSet& current,
                              std::shared_ptr<const Key> old_key, std::shared_ptr<const Key> new_key,
                              const StoredSet* next) {
  const auto change =
      std::make_shared<const KeyChange>(lock_to_open(store, current), std::move(old_key), std::move(new_key),
                                        store.path(), next ? lock_of(*next) : nullptr);
  SetRenewal renewal;
  renewal.info_ = current.info;
  renewal.info_.protection.applied.back() = change->after();
  renewal.dimension_ = current.dimension;
  renewal.renew_ = [change](const Tensor& rows, std::span<const int64_t> salts,
                            std::span<const int64_t> new_salts,
                            const Context&) { return change->change(rows, salts, new_salts); };
  return renewal;
}

SetRenewal SetRenewal::to_protection(const Store& store, const StoredSet& current,
                                     std::shared_ptr<const Key> old_key, const ProtectionSpecs& specs,
                                     const StoredSet* next) {
  ProtectionId under = current.info.protection;
  std::shared_ptr<ProtectionChain> lock;
  if (old_key) {
    lock_to_open(store, current);
    under.applied.pop_back();
    lock = lock_under(store, current, under, std::move(old_key));
  }
  ProtectionInput input;
  input.space = space_after(under, current.raw);
  input.space.row = {current.dimension};
  if (lock) input.space.domain = FeatureDomain::sphere;
  input.recogniser = current.info.recogniser;
  input.cut = current.info.cut;
  input.what = store.path();
  input.before = under;
  input.to_keep = true;
  if (next) input.beside = &next->info.protection;
  input.beside_what = store.path();
  const auto chain = std::make_shared<ProtectionChain>(specs, input);
  SetRenewal renewal;
  renewal.info_ = {current.info.recogniser, current.info.cut, under.then(chain->id()), current.info.card};
  renewal.dimension_ = chain->out().row[0];
  renewal.renew_ = [chain, lock](const Tensor& rows, std::span<const int64_t> salts,
                                 std::span<const int64_t> new_salts, const Context& context) {
    constexpr int64_t kMemory = std::numeric_limits<int64_t>::max();  // never in a file on the way
    Tensor opened = rows;
    if (lock) opened = lock->unlocked(FeatureRows(rows), salts, kMemory, context).range(0, rows.dim(0));
    return chain->apply(opened, new_salts, Tensor(), context).features;
  };
  return renewal;
}

}  // namespace advf
