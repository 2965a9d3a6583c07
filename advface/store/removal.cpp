// How people leave a store, and what stays of them (store.h).
#include <algorithm>
#include <set>

#include "advface/core/utc_time.h"
#include "advface/store/record_columns.h"

namespace advf {

void Store::remove(const std::string& name, std::span<const std::string> subjects) {
  Transaction all(*database_);
  set(name);  // told where there is none
  Statement record(*database_, "DELETE FROM records WHERE id = ?");
  Statement feature(*database_, "DELETE FROM features WHERE id = ?");
  Statement count(*database_, "UPDATE sets SET records = records - 1 WHERE id = ?");
  std::vector<StoredRecord> gone;
  std::set<std::string_view> done;
  for (const std::string& subject : subjects) {
    if (!done.insert(subject).second) continue;
    const size_t before = gone.size();
    for (const Generation generation : {Generation::current, Generation::next}) {
      const auto of = find_set(name, generation);
      const auto found = of ? find(*of, subject) : std::nullopt;
      if (!found) continue;
      record.bind(0, row_id(of->id, found->number)).run();
      feature.bind(0, row_id(of->id, found->number)).run();
      count.bind(0, of->id).run();
      if (gone.size() == before) gone.push_back(*found);
    }
    check(gone.size() > before, path(), ": nobody in the set ", name, " is called ", subject,
          "; nobody was removed");
  }
  note_removal();
  tell("remove", name, std::to_string(gone.size()) + " records: " + numbers_text(gone));
  all.commit();
}

void Store::remove_set(const std::string& name) {
  {
    Transaction all(*database_);
    const StoredSet current = set(name);
    Statement retire(*database_, "UPDATE sets SET state = 'retired' WHERE name = ?");
    retire.bind(0, name).run();
    note_removal();
    tell("remove set", name, std::to_string(current.records) + " records");
    all.commit();
  }
  erase_retired();
}

void Store::remove_orphans() {
  Transaction all(*database_);
  const std::string of_nobody =
      "FROM features WHERE NOT EXISTS(SELECT 1 FROM records WHERE records.id = features.id)";
  const int64_t orphans = database_->number("SELECT count(*) " + of_nobody);
  database_->execute("DELETE " + of_nobody);
  const std::string counted =
      "(SELECT count(*) FROM records WHERE set_id = sets.id AND EXISTS(SELECT 1 FROM features WHERE "
      "features.id = records.id))";
  const int64_t wrong = database_->number("SELECT count(*) FROM sets WHERE records <> " + counted);
  if (orphans == 0 && wrong == 0) return;
  database_->execute("UPDATE sets SET records = " + counted + " WHERE records <> " + counted);
  note_removal();
  tell("repair", "",
       std::to_string(orphans) + " features of nobody, " + std::to_string(wrong) + " wrong counts");
  all.commit();
}

std::vector<std::string> Store::also_in(const std::string& set, std::span<const std::string> subjects) {
  std::vector<std::string> list;
  for (const StoredSet& other : sets()) {
    if (other.name == set) continue;
    const bool has = std::ranges::any_of(
        subjects, [&](const std::string& subject) { return find(other, subject).has_value(); });
    if (has && std::ranges::find(list, other.name) == list.end()) list.push_back(other.name);
  }
  return list;
}

void Store::note_removal() {
  Statement note(*database_, "INSERT INTO to_forget VALUES(?)");
  const std::string now = utc_now();
  note.bind(0, now).run();
}

bool Store::forgot() {
  const int64_t removals = database_->number("SELECT count(*) FROM to_forget");
  if (!database_->erase_removed()) return false;
  // What was removed meanwhile is for who did it.
  Statement forget(*database_, "DELETE FROM to_forget WHERE (SELECT count(*) FROM to_forget) = ?");
  forget.bind(0, removals).run();
  return true;
}

bool Store::forget(Forget which) {
  if (which == Forget::at_once && !database_->erases_at_once()) return false;
  check(forgot(), path(),
        ": what was removed is in no set any more, but its bytes may still lie in the file, as another "
        "program reads; call "
        "advface-store check --repair when none does");
  return true;
}

}  // namespace advf
