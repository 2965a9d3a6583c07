// The resident `rotation`, the first lock: a unit vector z is stored as R z, R drawn at random under a key
// (protections/rotation.h) that lies elsewhere. What is stored says nothing about z without it; with it the
// probe goes through the same R, and every cosine is what it was. docs/keys.md: construction, what it
// withstands, what not.
#pragma once
#include <memory>
#include <mutex>
#include <string>

#include "advface/keys/key.h"
#include "advface/protections/protection.h"
#include "advface/protections/rotation.h"

namespace advf {

enum class KeyMode { per_record, per_set };  // who shares a rotation

template <>
const std::vector<Choice<KeyMode>>& choices<KeyMode>();
template <>
const std::vector<Choice<RotationKind>>& choices<RotationKind>();

// Where the key comes from; read once, however many protections are made of it.
class KeySource {
 public:
  std::string file;
  int64_t descriptor = -1;

  bool named() const { return !file.empty() || descriptor >= 0; }
  std::string what() const;  // names it in messages
  std::shared_ptr<const Key> key() const;
  void take(std::shared_ptr<const Key> key) { key_ = std::move(key); }  // one that comes from no file

 private:
  mutable std::shared_ptr<const Key> key_;
};

struct RotationSpec : ProtectionSpec {
  std::shared_ptr<KeySource> source = std::make_shared<KeySource>();
  KeyMode mode = KeyMode::per_record;
  RotationKind kind = RotationKind::exact;
  // 32 hexadecimal digits: the set, whose records have salts by their numbers; empty: not chosen yet. And the
  // key's check value, and that of the set, its mode and kind under the key, where a file states them (older
  // ones have not the latter).
  std::string set, check_value, set_check;
  uint64_t seed = 1;  // names the set of what is only measured

  std::unique_ptr<ProtectionSpec> clone() const override { return std::make_unique<RotationSpec>(*this); }
  Settings settings() override;
  void check_valid() const override;
  void check_complete() const override;
  void check_stated() const override;
  std::string summary() const override;
  bool changes_probe() const override { return true; }
  bool separates_records() const override { return mode == KeyMode::per_record; }
  bool needs_key() const override { return true; }
  std::vector<std::string> names_of_key() const override {
    return {"key", "key_set", "key_check", "set_check"};
  }
  FeatureSpace out(const FeatureSpace& in) const override { return {in.row, in.domain, true}; }
  std::unique_ptr<Protection> make(const ProtectionInput& input) const override;
};

// Turns rows from one key to another, R_new R_old^T, a batch at a time in memory; never raw on the way out.
// Both specs as they stand in a file's description.
class KeyChange {
 public:
  // The set gets a new name, so that a key that comes again gives other rotations; begun: what an earlier
  // change, with which this one goes on, said of it. Throws Error, naming both, where `before` was not
  // applied with this key.
  KeyChange(const AppliedProtection& before, std::shared_ptr<const Key> old_key,
            std::shared_ptr<const Key> new_key, const std::string& source,
            const AppliedProtection* begun = nullptr);
  AppliedProtection after() const;
  // Row i is record records[i], and stays it, or becomes new_records[i]. May be called from several threads.
  Tensor change(const Tensor& rows, std::span<const int64_t> records) const {
    return change(rows, records, records);
  }
  Tensor change(const Tensor& rows, std::span<const int64_t> records,
                std::span<const int64_t> new_records) const;

 private:
  // Of per-set keys one product turns all rows; made when the first rows say how long they are.
  const Tensor& matrix(int64_t d) const;

  RotationSpec before_, after_;
  std::shared_ptr<const Key> old_, new_;
  mutable std::mutex making_;
  mutable Tensor matrix_;  // (D,D), R_new R_old^T of a row at its left
};

}  // namespace advf
