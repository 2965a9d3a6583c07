// renew: another key or protection from what is stored. migrate: another recogniser, for which people must
// come again. Both fill a next generation beside the current one, which is used until the switch.
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <iostream>
#include <thread>

#include "advface/protections/rotation_protection.h"
#include "advface/store/set_renewal.h"
#include "tensor/io/atomic_file.h"
#include "tools/options/progress.h"
#include "tools/options/protection_options.h"
#include "tools/store/store_options.h"

namespace advf::tools {
namespace {

struct RenewOptions : StoreOptions {
  ProtectionOptions protect;
  KeySource old_key;
  std::string new_key, recogniser, cut, out;
  bool again = false, keep_both = false, switch_now = false, leave_behind = false, give_up = false;
  int64_t batch = 4096;
};

// The next generation takes over, and nothing of the old one stays.
int end_renewal(const RenewOptions& o, Store& store, nlohmann::json result) {
  const StoredSet next = store.set(o.set, Generation::next);
  store.switch_to_next(o.set, o.leave_behind);
  store.erase_retired();
  const bool erased = store.forget();
  result.update({{"switched", true}, {"records", next.records}});
  o.common.write_json(result);
  std::cout << "the set " << o.set << " is now " << store.set(o.set).info.protection.describe() << ": "
            << next.records << " records; of what it was " << what_is_left(erased, o.store) << "\n";
  return 0;
}

int give_up(const RenewOptions& o, Store& store) {
  store.give_up_next(o.set);
  store.erase_retired();
  store.forget();
  o.common.write_json({{"given_up", true}});
  std::cout << "the set " << o.set << " stays as it is; its next generation is erased\n";
  return 0;
}

// Another call was faster, and this one goes on with what it has begun, or under the key that it has made.
class BegunMeanwhile : public Error {
 public:
  BegunMeanwhile() : Error("the set is being renewed already") {}
};

// What was to be the next generation is the current one: another call of the same did the rest.
bool others_ended_it(Store& store, const std::string& name, const StoredSet& next) {
  const auto now = store.find_set(name, Generation::current);
  return now && now->id == next.id;
}

// Throws where a renewal to something else is under way.
void check_goes_on(const Store& store, const std::string& name, const std::optional<StoredSet>& begun,
                   const SetDescription& next) {
  if (!begun) return;
  const std::string difference = begun->info.protection.difference(next.info.protection);
  check(begun->info.recogniser == next.info.recogniser && begun->info.cut == next.info.cut &&
            begun->info.card == next.info.card && begun->info.protection == next.info.protection,
        store.path(), ": the set ", name, " is being renewed to what is ", begun->info.protection.describe(),
        ", but this would be ", next.info.protection.describe(),
        difference.empty() ? "" : " (" + difference + ")", "; go on with that, or give it up with --give-up");
}
StoredSet begin_or_go_on(Store& store, const std::string& name, const std::optional<StoredSet>& begun,
                         const SetDescription& next) {
  check_goes_on(store, name, begun, next);
  if (begun) return *begun;
  try {
    return store.begin_set(name, Generation::next, next);
  } catch (const Error&) {
    if (store.find_set(name, Generation::next)) throw BegunMeanwhile();
    throw;
  }
}

// Who is not in the next generation yet: a name on each line.
int64_t list_missing(const RenewOptions& o, Store& store, const StoredSet& current, const StoredSet& next) {
  std::unique_ptr<AtomicFile> file;
  if (!o.out.empty()) file = std::make_unique<AtomicFile>(o.out);
  int64_t missing = 0;
  for (int64_t from = 0;;) {
    const auto some = store.not_yet_renewed(current, next, from, 4096);
    if (some.empty()) break;
    for (const StoredRecord& r : some) {
      ++missing;
      if (file) file->write(r.subject + "\n");
    }
    from = some.back().number + 1;
  }
  if (file) file->commit();
  return missing;
}

// People whose features must be made again come one by one (add --next).
int wait_for_people(const RenewOptions& o, Store& store, const StoredSet& current, const StoredSet& next) {
  const int64_t missing = list_missing(o, store, current, next);
  o.common.write_json({{"switched", false}, {"must_come_again", missing}, {"came", next.records}});
  std::cout << missing << " of " << current.records << " people of the set " << o.set << " must come again"
            << (o.out.empty() ? "" : " (" + o.out + ")")
            << ": advface-store add --next takes them, and both generations are good until --switch\n";
  return 0;
}

std::shared_ptr<const Key> new_key(const RenewOptions& o, bool& made) {
  std::error_code none;
  made = !std::filesystem::exists(o.new_key, none);
  return std::make_shared<const Key>(made ? Key::fresh() : Key::read(o.new_key));
}

// Batch by batch; where it stops, the same call goes on. Calls that run at once over a server share them out,
// and the last one does what those leave that are killed.
void renew_all(const RenewOptions& o, Store& store, const StoredSet& current, const StoredSet& next,
               const SetRenewal& renewal) {
  if (store.not_yet_renewed(current, next, 0, 1).empty()) return;
  Progress progress("renew", std::max<int64_t>(current.records - next.records, 0), "records");
  for (int64_t from = 0, of_others = 0;;) {
    if (interrupted()) {
      progress.finish();
      std::cerr << "stopped; the same command goes on from there\n";
      throw Interrupted();
    }
    auto some = store.not_yet_renewed(current, next, from, o.batch);
    if (some.empty()) {
      if (of_others == 0) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      from = of_others = 0;
      continue;
    }
    const int64_t piece = some[0].number / o.batch, end = (piece + 1) * o.batch;
    if (store.database().claim(current.id, piece)) {
      std::erase_if(some, [&](const StoredRecord& r) { return r.number >= end; });
      std::vector<int64_t> numbers, salts, new_salts;
      for (StoredRecord& r : some) {
        numbers.push_back(r.number);
        salts.push_back(r.salt);
        new_salts.push_back(r.salt = fresh_salt());
      }
      const Tensor rows = renewal.renewed(store.features(current, numbers), salts, new_salts, console());
      store.renew(current, next, rows, some);  // leaves out what another call has just done
      progress.advance(int64_t(some.size()));
      store.database().release(current.id, piece);
    } else {
      ++of_others;
    }
    from = end;
  }
  progress.finish();
}

void check_options(const RenewOptions& o) {
  as_usage([&] {
    check(int(o.switch_now) + int(o.give_up) <= 1, "give --switch or --give-up");
    if (o.switch_now || o.give_up) return;
    check(o.new_key.empty() != !o.protect.asked(), "say what is new: --new-key FILE, or --protect NAME");
    check(o.new_key.empty() || o.old_key.named(), "--new-key needs --old-key, which opens what is stored");
    check(!o.again || o.new_key.empty(), "--from-photographs is for --protect");
  });
}

int renew_in(Store& store, const RenewOptions& o) {
  const ProtectionSpecs specs =
      o.protect.asked() ? specs_for_store(o.protect.specs(o.common.seed)) : ProtectionSpecs();
  const StoredSet current = store.set(o.set);
  if (o.switch_now) return end_renewal(o, store, {});
  if (o.give_up) return give_up(o, store);
  const std::optional<StoredSet> begun = store.find_set(o.set, Generation::next);
  if (o.again) {
    ProtectionInput input = raw_input(store, current);
    input.to_keep = true;
    if (begun) input.beside = &begun->info.protection;
    input.beside_what = o.store;
    const SetProtection protection(specs, input);
    SetDescription described = current;
    described.info.protection = protection.id();
    described.dimension = protection.dimension();
    return wait_for_people(o, store, current, begin_or_go_on(store, o.set, begun, described));
  }
  const std::shared_ptr<const Key> old_key = o.old_key.named() ? o.old_key.key() : nullptr;
  bool made = false;
  const std::shared_ptr<const Key> key = o.new_key.empty() ? nullptr : new_key(o, made);
  if (key && !made && !begun && is_locked_with(current, *key) && old_key->info().id != key->info().id) {
    o.common.write_json({{"switched", true}, {"records", current.records}});
    std::cout << "the set " << o.set << " is locked with " << o.new_key << " already: " << current.records
              << " records; what an earlier call had left of the old one is erased\n";
    return 0;
  }
  const SetRenewal renewal =
      key ? SetRenewal::to_key(store, current, old_key, key, begun ? &*begun : nullptr)
          : SetRenewal::to_protection(store, current, old_key, specs, begun ? &*begun : nullptr);
  SetDescription described = current;
  described.info = renewal.info();
  described.dimension = renewal.dimension();
  check_goes_on(store, o.set, begun, described);
  store.check_salts(current);
  if (made) {  // only when nothing speaks against the rest
    try {
      key->write_new(o.new_key);
    } catch (const Error&) {
      std::error_code none;
      if (std::filesystem::exists(o.new_key, none)) throw BegunMeanwhile();
      throw;
    }
    std::cerr << "a new key, " << key->info().id << " -> " << o.new_key << "\n";
  }
  const StoredSet next = begin_or_go_on(store, o.set, begun, described);
  try {
    renew_all(o, store, current, next, renewal);
    if (!o.keep_both) return end_renewal(o, store, {});
    o.common.write_json({{"switched", false}, {"records", store.set(o.set, Generation::next).records}});
  } catch (const Interrupted&) {
    throw;
  } catch (const Error&) {
    if (!others_ended_it(store, o.set, next)) throw;
    const StoredSet now = store.set(o.set);
    o.common.write_json({{"switched", true}, {"records", now.records}});
    std::cout << "the set " << o.set << " is now " << now.info.protection.describe() << ": " << now.records
              << " records; another call of renew has ended it meanwhile\n";
    return 0;
  }
  std::cout << "the set " << o.set
            << " has both generations; verify and identify --next use the new one, and renew "
               "--switch ends the old\n";
  return 0;
}

int renew(const RenewOptions& o) {
  o.common.activate();
  check_options(o);
  Store store = o.open(Database::Access::write);
  constexpr int kTimes = 3;  // one call makes the key, one begins the set
  for (int i = 1;; ++i) try {
      return renew_in(store, o);
    } catch (const BegunMeanwhile&) {
      if (i == kTimes) throw;
    }
}

int migrate(const RenewOptions& o) {
  o.common.activate();
  as_usage([&] { check(int(o.switch_now) + int(o.give_up) <= 1, "give --switch or --give-up"); });
  Store store = o.open(Database::Access::write);
  const StoredSet current = store.set(o.set);
  if (o.switch_now) return end_renewal(o, store, {});
  if (o.give_up) return give_up(o, store);
  as_usage([&] {
    check(!o.recogniser.empty(), "say to which recogniser: --recogniser CARD");
    check(o.protect.none() || o.protect.asked(),
          "say how to protect its features: --protect NAME, or --protect none");
  });
  const ProtectionSpecs specs =
      o.protect.none() ? ProtectionSpecs() : specs_for_store(o.protect.specs(o.common.seed));
  const Recogniser recogniser = Recogniser::load(o.recogniser);
  const std::string& cut = o.cut.empty() ? recogniser.card().default_cut : o.cut;
  check(recogniser.fingerprint() != current.info.recogniser || cut != current.info.cut, o.recogniser,
        " is the recogniser that the set ", o.set,
        " is of, at the same cut; renew changes how it is protected");
  const std::optional<StoredSet> begun = store.find_set(o.set, Generation::next);
  ProtectionInput input = input_of(recogniser, cut, o.recogniser);
  check(input.space.row.rank() == 1, o.recogniser, ": features of shape ", input.space.row,
        " are maps; a store keeps vectors: name the embedding with --cut");
  input.to_keep = true;
  if (begun) input.beside = &begun->info.protection;
  input.beside_what = o.store;
  const SetProtection protection(specs, input);
  const SetDescription described{{input.recogniser, input.cut, protection.id(), input.card},
                                 input.space,
                                 protection.dimension(),
                                 current.row_type};
  return wait_for_people(o, store, current, begin_or_go_on(store, o.set, begun, described));
}

void add_ends(CLI::App& verb, RenewOptions& o) {
  verb.add_flag("--switch", o.switch_now,
                "end it: the next generation takes over, and the old one is erased");
  verb.add_flag("--leave-behind", o.leave_behind,
                "with --switch, also where some are lacking, who are removed");
  verb.add_flag("--give-up", o.give_up, "end it: the current generation stays, and the next one is erased");
  verb.add_option("--out", o.out, "a list of who must come again, a name on each line");
}

}  // namespace

void add_renew_verbs(CLI::App& app, Verbs& verbs) {
  auto changed = std::make_shared<RenewOptions>();
  CLI::App* verb =
      app.add_subcommand("renew", "protects a set anew, from what is stored; both are good until the switch");
  changed->add_to(*verb, true);
  verb->add_option("--old-key", changed->old_key.file, "the key of the set as it is, which opens its lock");
  verb->add_option("--old-key-fd", changed->old_key.descriptor,
                   "it comes over this open file descriptor instead");
  verb->add_option("--new-key", changed->new_key, "the key that takes its place; made where there is none");
  changed->protect.add_to(*verb, "New protection, over what lies under the lock");
  verb->add_flag("--from-photographs", changed->again,
                 "begin with nobody: each is added again (add --next), as raw features are not stored");
  verb->add_flag("--keep-both", changed->keep_both, "do not switch yet");
  add_ends(*verb, *changed);
  verb->add_option("--batch", changed->batch, "records at a time")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 20));
  verbs.push_back({verb, [changed] { return renew(*changed); }});

  auto moved = std::make_shared<RenewOptions>();
  verb = app.add_subcommand("migrate",
                            "begins a generation for another recogniser, and lists who must come again");
  moved->add_to(*verb, true);
  verb->add_option("--recogniser", moved->recogniser, "the other recogniser's card");
  verb->add_option("--cut", moved->cut, "the tensor that is the feature (default: what its card says)");
  moved->protect.add_to(*verb, "Protection");
  moved->protect.allow_none(*verb);
  add_ends(*verb, *moved);
  verbs.push_back({verb, [moved] { return migrate(*moved); }});
}

}  // namespace advf::tools
