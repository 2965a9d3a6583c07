// The events of a store, and what can be wrong with one (store.h).
#include <cmath>
#include <optional>
#include <sstream>

#include "advface/core/feature_domain.h"
#include "advface/core/utc_time.h"
#include "advface/keys/signature.h"
#include "advface/protections/registry.h"
#include "advface/store/record_columns.h"
#include "tensor/hash.h"

namespace advf {
namespace {

constexpr int64_t kRowsAtOnce = 4096;
constexpr const char* kEventColumns =
    "SELECT number, time, actor, what, set_name, detail, chain FROM events ";

// More are in no store; of a damaged one a number may be anything, also one that nothing can be added to.
constexpr int64_t kMostEvents = int64_t(1) << 53;

StoredEvent read_event(const Statement& row, const std::string& path) {
  const int64_t number = row.number(0);
  check(number > 0 && number < kMostEvents, path, " is damaged: an event has the number ", number,
        "; a backup has what was there");
  return {number, row.text(1), row.text(2), row.text(3), row.text(4), row.text(5), row.text(6)};
}

// What the digest is of. Every text stands with its length before it, so that none can be read as another.
std::string chained(const std::string& before, const StoredEvent& e) {
  std::string text = std::to_string(e.number) + "\n";
  for (const std::string& part : {before, e.time, e.actor, e.what, e.set, e.detail})
    text += std::to_string(part.size()) + ":" + part + "\n";
  return text;
}

std::string chain_of(const std::string& before, const StoredEvent& e) {
  const std::string text = chained(before, e);
  return digest(std::as_bytes(std::span(text)));
}

// Of a row's values, where its bytes are what was stored.
std::string what_is_wrong(std::span<const float> row, FeatureDomain domain) {
  const double length = norm(row);
  if (!std::isfinite(length)) return "holds what is no number";
  if (domain == FeatureDomain::sphere && !is_unit_norm(length))
    return "has the norm " + std::to_string(length) + ", but the set is of unit vectors";
  return "";
}

// What an event "add" tells: "3 records: 4 to 6, sha256:...", and what was removed of these numbers since.
struct Addition {
  int64_t event = 0, count = 0, low = 0, high = 0;
  std::string digest;
  int64_t removed = 0;
};
std::optional<Addition> addition_of(const StoredEvent& e) {
  Addition a;
  a.event = e.number;
  std::istringstream text(e.detail);
  std::string word;
  if (!(text >> a.count >> word) || !word.starts_with("record") || !(text >> a.low)) return {};
  a.high = a.low;
  if (text.peek() != ',' && text >> word && word == "to") text >> a.high;
  for (const int64_t n : {a.count, a.low, a.high})
    if (n < 0 || n >= kMostNumbers)
      return {};  // of no record; that the text was changed is told by the chain
  if (text.peek() == ',') text.get();
  text >> a.digest;
  return a;
}

// A build without keys has made another digest.
bool is_digest_of(const std::string& told, const std::string& text) {
  if (told.starts_with("fnv64:")) return told == "fnv64:" + hex(fnv1a(text));
  return told == digest(std::as_bytes(std::span(text)));
}
bool goes_with(const std::string& before, const StoredEvent& e) {
  return is_digest_of(e.chain, chained(before, e));
}

}  // namespace

void Store::tell(const std::string& what, const std::string& set, const std::string& detail) {
  StoredEvent event{1, utc_now(), actor_, what, set, detail, ""};
  std::string before;
  {
    Statement last(*database_, std::string(kEventColumns) + "ORDER BY number DESC LIMIT 1");
    if (last.step()) {
      const StoredEvent e = read_event(last, path());
      event.number = e.number + 1;
      before = e.chain;
    }
  }
  event.chain = chain_of(before, event);
  Statement insert(*database_, "INSERT INTO events VALUES(?, ?, ?, ?, ?, ?, ?)");
  insert.bind(0, event.number).bind(1, event.time).bind(2, event.actor).bind(3, event.what);
  insert.bind(4, event.set).bind(5, event.detail).bind(6, event.chain).run();
}

bool Store::last_event_is_chained() {
  Statement last(*database_, std::string(kEventColumns) + "ORDER BY number DESC LIMIT 2");
  if (!last.step()) return true;
  const StoredEvent e = read_event(last, path());
  return goes_with(last.step() ? read_event(last, path()).chain : "", e);
}

std::vector<StoredEvent> Store::events(int64_t from, int64_t most) {
  Statement some(*database_, std::string(kEventColumns) + "WHERE number >= ? ORDER BY number LIMIT ?");
  some.bind(0, from).bind(1, most);
  std::vector<StoredEvent> list;
  while (some.step()) list.push_back(read_event(some, path()));
  check_in_order(list, from, path());
  return list;
}

std::string Store::verify_events(const std::string& known) {
  Statement all(*database_, std::string(kEventColumns) + "ORDER BY number", Rows::many);
  std::string before;
  bool met = known.empty();
  for (int64_t number = 1; all.step(); ++number) {
    const StoredEvent e = read_event(all, path());
    check(e.number == number, path(), ": event ", number, " is missing");
    check(goes_with(before, e), path(), ": event ", number,
          " does not go with the chain: it, or one before it, was changed");
    before = e.chain;
    met = met || before == known;
  }
  check(met, path(), ": no event has the digest ", known, "; events were removed or made anew since");
  return before;
}

Store::Contradictions Store::hold_against_events(const StoredSet& set) {
  std::vector<Addition> additions;
  Statement told(*database_, std::string(kEventColumns) + "WHERE set_name = ? ORDER BY number", Rows::many);
  told.bind(0, set.name);
  while (told.step()) {
    const StoredEvent e = read_event(told, path());
    const auto numbers = e.what == "add" || e.what == "remove" ? addition_of(e) : std::nullopt;
    if (e.what == "remove set" || e.what == "switch") additions.clear();  // other records, other salts
    if (!numbers) continue;
    if (e.what == "add") additions.push_back(*numbers);
    for (Addition& a : additions)
      if (e.what == "remove" && numbers->low <= a.high && a.low <= numbers->high) a.removed += numbers->count;
  }
  Contradictions found_out;
  for (const Addition& a : additions) {
    Statement there(*database_, "SELECT id, salt FROM records WHERE id >= ? AND id < ? ORDER BY id");
    there.bind(0, row_id(set.id, a.low)).bind(1, row_id(set.id, a.high + 1));
    std::string which;
    int64_t found = 0;
    for (; there.step(); ++found) which += bound_by_event(number_of_row(there.number(0)), there.number(1));
    const std::string event = "set " + set.name + ": event " + std::to_string(a.event);
    if (found + a.removed < a.count)
      found_out.lost.push_back(event + " tells of " + std::to_string(a.count) + " records, of which " +
                               std::to_string(found) + " are there, and no event removed the others");
    else if (a.removed == 0 && !a.digest.empty() && !is_digest_of(a.digest, which))
      found_out.changed.push_back(event +
                                  " tells of other records than are there: a number or a salt was changed");
  }
  return found_out;
}

int64_t Store::changed_salts(const StoredSet& set, int64_t& first) {
  Statement wrong(*database_,
                  "SELECT count(*), min(id) FROM records WHERE id >= ? AND id < ? AND bound <> "
                  "(checksum | salt) - (checksum & salt)");
  wrong.bind(0, row_id(set.id, 0)).bind(1, row_id(set.id + 1, 0)).step();
  if (wrong.number(0) > 0) first = number_of_row(wrong.number(1));
  return wrong.number(0);
}

void Store::check_salts(const StoredSet& set) {
  const std::string advice =
      "; a backup has what was there, or remove who is turned away and add them again. Nothing was written";
  int64_t first = 0;
  const int64_t wrong = changed_salts(set, first);
  check(wrong == 0, path(), " is damaged: the salts of ", wrong, " records of the set ", set.name,
        " were changed, the first that of record ", first, advice);
  if (set.generation != Generation::current) return;
  const Contradictions told = hold_against_events(set);
  check(told.changed.empty(), path(), " is damaged: ", told.changed.empty() ? "" : told.changed[0], advice);
}

std::vector<std::string> Store::problems(const std::function<bool()>& stop) {
  std::vector<std::string> list;
  const auto note = [&](auto&&... parts) {
    std::ostringstream text;
    (text << ... << parts);
    list.push_back(text.str());
  };
  Transaction one_moment(*database_, Transaction::Kind::read);
  for (const std::string& found : database_->damage()) note(found);
  if (!list.empty()) return list;  // what else is read of such pages says nothing
  if (const int64_t pages = database_->pages_with_remains(stop); pages > 0)
    note(pages, " pages hold remains of rows that were moved (check --repair overwrites them)");
  for (const auto& [what, sql] :
       {std::pair("records without a feature",
                  "SELECT count(*) FROM records WHERE NOT EXISTS(SELECT 1 FROM features WHERE features.id = "
                  "records.id)"),
        {"features without a record",
         "SELECT count(*) FROM features WHERE NOT EXISTS(SELECT 1 FROM records WHERE records.id = "
         "features.id)"},
        {"records of no set",
         "SELECT count(*) FROM records WHERE set_id NOT IN (SELECT id FROM sets) OR "
         "(id >> 40) <> set_id"},
        {"sets that were replaced and are not erased yet (check --repair does)",
         "SELECT count(*) FROM sets WHERE state = 'retired'"},
        {"calibrations of no set",
         "SELECT count(*) FROM calibrations WHERE set_id NOT IN (SELECT id FROM sets)"},
        {"records that share a salt with another",
         "SELECT count(*) FROM (SELECT 1 FROM records GROUP BY set_id, salt HAVING count(*) > 1) AS shared"},
        {"removals whose bytes may still lie in what is stored (check --repair erases them)",
         "SELECT count(*) FROM to_forget"},
        {"sets that are being imported, or whose import broke off (check --repair erases them)",
         "SELECT count(*) FROM sets WHERE state = 'next' AND name NOT IN "
         "(SELECT name FROM sets WHERE state = 'current')"},
        {"sets that no event tells of",
         "SELECT count(*) FROM sets WHERE name NOT IN (SELECT set_name FROM events)"}})
    if (const int64_t n = database_->number(sql); n > 0) note(n, " ", what);
  for (const StoredSet& set : sets()) {
    const std::string what = "set " + set.name + (set.generation == Generation::next ? " (next)" : "");
    int64_t records = 0;
    const FeatureDomain domain = space_after(set.info.protection, set.raw).domain;  // of what is stored
    std::vector<float> values(static_cast<size_t>(set.dimension));
    Statement rows(*database_,
                   "SELECT r.id, r.checksum, f.feature, r.salt, r.bound FROM records r JOIN features f ON "
                   "f.id = r.id WHERE "
                   "r.id >= ? AND r.id < ? ORDER BY r.id",
                   Rows::many);
    rows.bind(0, row_id(set.id, 0)).bind(1, row_id(set.id + 1, 0));
    for (; rows.step(); ++records) {
      if (stop && records % kRowsAtOnce == 0 && stop()) throw Interrupted();
      const auto blob = rows.blob(2);
      const int64_t number = number_of_row(rows.number(0));
      if (list.size() > 100) break;
      if (number >= set.next_number) note(what, ": record ", number, " has a number that was never given");
      if (blob.size() != size_t(set.row_bytes()))
        note(what, ": record ", number, " has ", blob.size(), " bytes, not those of ", set.dimension,
             " values");
      else if (row_checksum(blob) != rows.number(1))
        note(what, ": record ", number, " is not what was stored: its checksum is another");
      else if (rows.number(4) != bound_salt(rows.number(1), rows.number(3)))
        note(what, ": record ", number, " has another salt than it was stored with: a salt was changed");
      else {
        unpack_row(set.row_type, blob, values);
        if (const std::string wrong = what_is_wrong(values, domain); !wrong.empty())
          note(what, ": record ", number, " ", wrong);
      }
    }
    if (records != set.records) note(what, ": ", records, " records, but ", set.records, " are counted");
    if (set.generation == Generation::current) {
      const Contradictions told = hold_against_events(set);
      list.insert(list.end(), told.lost.begin(), told.lost.end());
      list.insert(list.end(), told.changed.begin(), told.changed.end());
    }
  }
  try {
    verify_events();
  } catch (const Error& e) {
    note(e.what());
  }
  return list;
}

}  // namespace advf
