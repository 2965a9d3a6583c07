// The two generations of a set (store.h).
#include <algorithm>
#include <set>

#include "advface/store/record_columns.h"

namespace advf {
namespace {

constexpr int64_t kEraseAtOnce = 4096;

// Of the first generation, in a range of ids, what the other, so much further on, has not.
constexpr const char* kNotYet =
    "AS old WHERE id >= ? AND id < ? AND NOT EXISTS(SELECT 1 FROM records WHERE id = old.id + "
    "?)";

Statement& bind_generations(Statement& statement, const StoredSet& current, const StoredSet& next,
                            int64_t from) {
  statement.bind(0, row_id(current.id, from)).bind(1, row_id(current.id + 1, 0));
  return statement.bind(2, row_id(next.id, 0) - row_id(current.id, 0));
}

}  // namespace

std::vector<StoredRecord> Store::not_yet_renewed(const StoredSet& current, const StoredSet& next,
                                                 int64_t from, int64_t most) {
  Statement some(*database_, std::string(kRecordColumns) + kNotYet + " ORDER BY id LIMIT ?");
  bind_generations(some, current, next, from).bind(3, most);
  std::vector<StoredRecord> list;
  while (some.step()) list.push_back(read_record(some));
  check_in_order(list, from, path());
  return list;
}

std::set<int64_t> Store::numbers_among(const StoredSet& set, std::span<const StoredRecord> records) {
  std::set<int64_t> list;
  if (records.empty()) return list;
  const auto [low, high] = std::ranges::minmax_element(records, {}, &StoredRecord::number);
  Statement there(*database_, "SELECT id FROM records WHERE id >= ? AND id <= ?");
  there.bind(0, row_id(set.id, low->number)).bind(1, row_id(set.id, high->number));
  while (there.step()) list.insert(number_of_row(there.number(0)));
  return list;
}

void Store::renew(const StoredSet& current, const StoredSet& next, const Tensor& rows,
                  std::span<const StoredRecord> records) {
  Transaction all(*database_);
  check_is_current(current);
  check_is_current(next);
  const std::set<int64_t> in_current = numbers_among(current, records),
                          in_next = numbers_among(next, records);
  std::vector<StoredRecord> kept;
  std::vector<int64_t> which;
  for (size_t i = 0; i < records.size(); ++i) {
    const int64_t number = records[i].number;
    if (!in_current.contains(number) || in_next.contains(number))
      continue;  // removed meanwhile, or made by another call
    kept.push_back(records[i]);
    which.push_back(int64_t(i));
  }
  if (!kept.empty()) insert(next, FeatureRows(rows).at(which), kept, Known::refused);
  tell("renew", current.name, std::to_string(kept.size()) + " records");
  all.commit();
}

void Store::switch_to_next(const std::string& name, bool leave_behind) {
  Transaction all(*database_);
  const StoredSet current = set(name), next = set(name, Generation::next);
  Statement count(*database_, std::string("SELECT count(*) FROM records ") + kNotYet);
  bind_generations(count, current, next, 0).step();
  const int64_t lacking = count.number(0);
  Statement all_of(*database_, "SELECT count(*) FROM records WHERE id >= ? AND id < ?");
  all_of.bind(0, row_id(current.id, 0)).bind(1, row_id(current.id + 1, 0)).step();
  check(all_of.number(0) == current.records, path(), " is damaged: the set ", name, " has ", all_of.number(0),
        " records, but ", current.records,
        " are counted; nobody is lost that a backup has. Nothing was switched");
  check(lacking == 0 || leave_behind, path(), ": ", lacking, " of ", current.records, " records of the set ",
        name, " are not renewed yet; go on with it, or give --leave-behind, which removes them");
  check_salts(next);
  Statement retire(*database_, "UPDATE sets SET state = 'retired' WHERE id = ?");
  retire.bind(0, current.id).run();
  Statement take_place(*database_, "UPDATE sets SET state = 'current' WHERE id = ?");
  take_place.bind(0, next.id).run();
  // Of what differs in the key alone a score says what it said.
  if (current.info.recogniser == next.info.recogniser && current.info.cut == next.info.cut &&
      current.info.protection.is_like_but_for_key(next.info.protection)) {
    Statement carry(*database_,
                    "UPDATE calibrations SET set_id = ? WHERE set_id = ? AND NOT EXISTS(SELECT 1 FROM "
                    "calibrations AS own WHERE own.set_id = ?)");
    carry.bind(0, next.id).bind(1, current.id).bind(2, next.id).run();
  }
  note_removal();
  tell("switch", name,
       std::to_string(next.records) + " records, " + std::to_string(lacking) + " left behind");
  all.commit();
}

void Store::give_up_next(const std::string& name) {
  Transaction all(*database_);
  const auto begun = find_set(name, Generation::next);
  const StoredSet next = begun ? *begun : set(name, Generation::next);
  Statement retire(*database_, "UPDATE sets SET state = 'retired' WHERE id = ?");
  retire.bind(0, next.id).run();
  note_removal();
  tell("give up renewal", name, std::to_string(next.records) + " records");
  all.commit();
}

void Store::finish_import(const std::string& name) {
  Transaction all(*database_);
  const auto made = find_set(name, Generation::next);
  check(made && !find_set(name, Generation::current), path(), ": the set ", name,
        " came from elsewhere meanwhile");
  Statement take_place(*database_, "UPDATE sets SET state = 'current' WHERE id = ?");
  take_place.bind(0, made->id).run();
  tell("import", name, std::to_string(made->records) + " records");
  all.commit();
}

void Store::give_up_imports() {
  for (const StoredSet& set : sets())
    if (set.generation == Generation::next && !find_set(set.name, Generation::current) &&
        who_imports(set.name).empty())
      give_up_next(set.name);
}

void Store::erase_retired(const std::function<bool()>& stop) {
  while (true) {
    Statement one(*database_, "SELECT id FROM sets WHERE state = 'retired' LIMIT 1");
    if (!one.step()) return;
    const int64_t id = one.number(0);
    one.run();
    erase_generation(id, stop);
  }
}

void Store::finish_erasures(const std::function<bool()>& stop) {
  // Over a server who writes may not have the right to erase; check --repair does.
  if (!database_->erases_at_once()) return;
  if (database_->number("SELECT count(*) FROM sets WHERE state = 'retired'") > 0) erase_retired(stop);
  if (database_->number("SELECT count(*) FROM to_forget") > 0) forgot();
}

void Store::erase_generation(int64_t id, const std::function<bool()>& stop) {
  const auto erase_some = [&](const char* table) {
    Statement some(*database_, std::string("DELETE FROM ") + table + " WHERE id IN (SELECT id FROM " + table +
                                   " WHERE id >= ? AND id < ? LIMIT ?)");
    some.bind(0, row_id(id, 0)).bind(1, row_id(id + 1, 0)).bind(2, kEraseAtOnce).run();
    return database_->changes();
  };
  for (int64_t more = 1; more > 0;) {
    if (stop && stop()) throw Interrupted();
    Transaction all(*database_);
    more = erase_some("features") + erase_some("records");
    if (more == 0) {
      for (const char* sql : {"DELETE FROM calibrations WHERE set_id = ?", "DELETE FROM sets WHERE id = ?"}) {
        Statement last(*database_, sql);
        last.bind(0, id).run();
      }
    }
    all.commit();
  }
}

}  // namespace advf
