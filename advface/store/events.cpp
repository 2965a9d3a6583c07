// The events of a store, and what can be wrong with one (store.h).
#include <cmath>

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

StoredEvent read_event(const Statement& row) {
  return {row.number(0), row.text(1), row.text(2), row.text(3), row.text(4), row.text(5), row.text(6)};
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

// A build without keys has made another digest.
bool goes_with(const std::string& before, const StoredEvent& e) {
  if (e.chain.starts_with("fnv64:")) return e.chain == "fnv64:" + hex(fnv1a(chained(before, e)));
  return e.chain == chain_of(before, e);
}

}  // namespace

void Store::tell(const std::string& what, const std::string& set, const std::string& detail) {
  StoredEvent event{1, utc_now(), actor_, what, set, detail, ""};
  std::string before;
  {
    Statement last(database_, std::string(kEventColumns) + "ORDER BY number DESC LIMIT 1");
    if (last.step()) {
      const StoredEvent e = read_event(last);
      event.number = e.number + 1;
      before = e.chain;
    }
  }
  event.chain = chain_of(before, event);
  Statement insert(database_, "INSERT INTO events VALUES(?, ?, ?, ?, ?, ?, ?)");
  insert.bind(0, event.number).bind(1, event.time).bind(2, event.actor).bind(3, event.what);
  insert.bind(4, event.set).bind(5, event.detail).bind(6, event.chain).run();
}

std::vector<StoredEvent> Store::events(int64_t from, int64_t most) {
  Statement some(database_, std::string(kEventColumns) + "WHERE number >= ? ORDER BY number LIMIT ?");
  some.bind(0, from).bind(1, most);
  std::vector<StoredEvent> list;
  while (some.step()) list.push_back(read_event(some));
  check_in_order(list, from, path());
  return list;
}

std::string Store::verify_events(const std::string& known) {
  Statement all(database_, std::string(kEventColumns) + "ORDER BY number");
  std::string before;
  bool met = known.empty();
  for (int64_t number = 1; all.step(); ++number) {
    const StoredEvent e = read_event(all);
    check(e.number == number, path(), ": event ", number, " is missing");
    check(goes_with(before, e), path(), ": event ", number,
          " does not go with the chain: it, or one before it, was changed");
    before = e.chain;
    met = met || before == known;
  }
  check(met, path(), ": no event has the digest ", known, "; events were removed or made anew since");
  return before;
}

std::vector<std::string> Store::problems(const std::function<bool()>& stop) {
  std::vector<std::string> list;
  const auto note = [&](auto&&... parts) {
    std::ostringstream text;
    (text << ... << parts);
    list.push_back(text.str());
  };
  Transaction one_moment(database_, Transaction::Kind::read);
  {
    Statement pages(database_, "PRAGMA integrity_check(20)");
    while (pages.step())
      if (pages.text(0) != "ok") note(pages.text(0));
  }
  if (!list.empty()) return list;  // what else is read of such pages says nothing
  if (const int64_t pages = database_.pages_with_remains(stop); pages > 0)
    note(pages, " pages hold remains of rows that were moved (check --repair overwrites them)");
  for (const auto& [what, sql] :
       {std::pair("records without a feature",
                  "SELECT count(*) FROM records WHERE id NOT IN (SELECT id FROM features)"),
        {"features without a record",
         "SELECT count(*) FROM features WHERE id NOT IN (SELECT id FROM records)"},
        {"records of no set",
         "SELECT count(*) FROM records WHERE set_id NOT IN (SELECT id FROM sets) OR "
         "id >> 40 <> set_id"},
        {"sets that were replaced and are not erased yet (check --repair does)",
         "SELECT count(*) FROM sets WHERE state = 'retired'"},
        {"calibrations of no set",
         "SELECT count(*) FROM calibrations WHERE set_id NOT IN (SELECT id FROM sets)"},
        {"records that share a salt with another",
         "SELECT count(*) FROM (SELECT 1 FROM records GROUP BY set_id, salt HAVING count(*) > 1)"},
        {"removals whose bytes may still lie in the file or its log (check --repair erases them)",
         "SELECT count(*) FROM to_forget"},
        {"sets that are being imported, or whose import broke off (check --repair erases them)",
         "SELECT count(*) FROM sets WHERE state = 'next' AND name NOT IN "
         "(SELECT name FROM sets WHERE state = 'current')"},
        {"sets that no event tells of",
         "SELECT count(*) FROM sets WHERE name NOT IN (SELECT set_name FROM events)"}})
    if (const int64_t n = database_.number(sql); n > 0) note(n, " ", what);
  for (const StoredSet& set : sets()) {
    const std::string what = "set " + set.name + (set.generation == Generation::next ? " (next)" : "");
    int64_t records = 0;
    const FeatureDomain domain = space_after(set.info.protection, set.raw).domain;  // of what is stored
    std::vector<float> values(static_cast<size_t>(set.dimension));
    Statement rows(database_,
                   "SELECT r.id, r.checksum, f.feature FROM records r JOIN features f ON f.id = r.id WHERE "
                   "r.id >= ? AND r.id < ? ORDER BY r.id");
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
      else {
        unpack_row(set.row_type, blob, values);
        if (const std::string wrong = what_is_wrong(values, domain); !wrong.empty())
          note(what, ": record ", number, " ", wrong);
      }
    }
    if (records != set.records) note(what, ": ", records, " records, but ", set.records, " are counted");
  }
  try {
    verify_events();
  } catch (const Error& e) {
    note(e.what());
  }
  return list;
}

}  // namespace advf
