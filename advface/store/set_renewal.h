// How a stored row becomes one of the next generation, without its photograph: under another key, or under
// another protection over what lies under the lock. Raw features, where they are under the lock alone, are in
// memory for that long and never on a disk.
#pragma once
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "advface/keys/key.h"
#include "advface/protections/protection_chain.h"
#include "advface/store/store.h"

namespace advf {

// Whether the lock that is the last protection of the set is of this key.
bool is_locked_with(const StoredSet& set, const Key& key);

class SetRenewal {
 public:
  // Another key for the lock that is the last protection of the set, under a new name of the set (key_set),
  // so that a key that comes again gives other rotations. next: the generation that an earlier call has
  // begun, with which this one goes on; null: none. Throws Error where there is no lock, and for the wrong
  // old key.
  static SetRenewal to_key(const Store& store, const StoredSet& current, std::shared_ptr<const Key> old_key,
                           std::shared_ptr<const Key> new_key, const StoredSet* next);
  // These protections over what the set holds, or over what lies under its lock where old_key opens it.
  // Throws Error, naming the protection, where they do not take what is there.
  static SetRenewal to_protection(const Store& store, const StoredSet& current,
                                  std::shared_ptr<const Key> old_key, const ProtectionSpecs& specs,
                                  const StoredSet* next);

  const FeatureInfo& info() const { return info_; }  // of the next generation
  int64_t dimension() const { return dimension_; }
  // Row i has salts[i], and gets new_salts[i]; (n, dimension of the current) -> (n, dimension()).
  Tensor renewed(const Tensor& rows, std::span<const int64_t> salts, std::span<const int64_t> new_salts,
                 const Context& context) const {
    return renew_(rows, salts, new_salts, context);
  }

 private:
  FeatureInfo info_;
  int64_t dimension_ = 0;
  std::function<Tensor(const Tensor&, std::span<const int64_t>, std::span<const int64_t>, const Context&)>
      renew_;
};

}  // namespace advf
