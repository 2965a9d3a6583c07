#include "advface/store/store.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <set>

#include "advface/core/text_file.h"
#include "advface/core/utc_time.h"
#include "advface/keys/signature.h"
#include "advface/protections/random_noise.h"
#include "advface/store/new_database_file.h"
#include "advface/store/record_columns.h"
#include "advface/store/schema.h"
#include "tensor/backend.h"
#include "tensor/hash.h"
#include "tensor/io/process.h"

namespace advf {
namespace {

const char* state_of(Generation generation) { return generation == Generation::current ? "current" : "next"; }

constexpr const char* kSetColumns =
    "SELECT id, name, state, recogniser, cut, protection, raw_dimension, domain, dimension, records, "
    "next_number, created, card, row_type FROM sets ";

StoredSet read_set(const Statement& row, const std::string& path) {
  StoredSet set;
  set.id = row.number(0);
  set.name = row.text(1);
  const std::string what = path + ": set " + set.name;
  set.generation = row.text(2) == "next" ? Generation::next : Generation::current;
  set.info = {row.text(3), row.text(4), ProtectionId::from_json(row.text(5), what), row.text(12)};
  set.raw.row = {row.number(6)};
  set.raw.domain = domain_from(row.text(7), what);
  set.dimension = row.number(8);
  set.records = row.number(9);
  set.next_number = row.number(10);
  set.created = row.text(11);
  set.row_type = row_type_from(row.text(13), what);
  check(set.id > 0 && set.id < kMostNumbers >> 18 && set.raw.row[0] > 0 && set.dimension > 0 &&
            set.dimension <= 1 << 24 && set.records >= 0 && set.records <= kMostNumbers &&
            set.next_number >= 0 && set.next_number <= kMostNumbers,
        what, " is damaged: its numbers cannot be");
  return set;
}

constexpr const char *kBeginImport = "begin import", *kByProcess = ", by process ";

void check_name(const std::string& name, const std::string& what) {
  check(!name.empty(), what, " is empty");
  check(name.size() <= Store::kLongestName, what, " has ", name.size(), " bytes, more than ",
        Store::kLongestName);
  check(is_utf8(name), what, " is no UTF-8");
  for (const char c : name) check(uint8_t(c) >= 32 && c != 127, what, " holds a control character");
  // Those beyond ASCII, and those that turn the direction of what follows: a terminal or a log would show
  // another name. As UTF-8 has them: U+0080 to 9F, U+202A to 202E, U+2066 to 2069.
  for (size_t i = 0; i + 1 < name.size(); ++i) {
    const auto at = [&](size_t k) { return i + k < name.size() ? uint8_t(name[i + k]) : uint8_t(0); };
    const bool c1 = at(0) == 0xC2 && at(1) >= 0x80 && at(1) <= 0x9F;
    const bool turns = at(0) == 0xE2 && ((at(1) == 0x80 && at(2) >= 0xAA && at(2) <= 0xAE) ||
                                         (at(1) == 0x81 && at(2) >= 0xA6 && at(2) <= 0xA9));
    check(!c1 && !turns, what, " holds a control character");
  }
}

// For a message: control characters become question marks.
std::string printable(std::string text) {
  for (char& c : text)
    if (uint8_t(c) < 32 || c == 127) c = '?';
  return text;
}

// Of somebody new. Files of names lose blanks at an end, which would make of him somebody else; of two names
// that differ in what nobody sees people take one for the other. U+200B, U+2060, U+FEFF.
void check_new_name(const std::string& name, const std::string& what) {
  check_name(name, what);
  check(trimmed(name) == name, what, " begins or ends with a blank, which files of names do not keep");
  for (const char* unseen : {"\u200b", "\u2060", "\ufeff"})
    check(name.find(unseen) == std::string::npos, what, " holds a blank that nobody sees");
}

}  // namespace

int64_t fresh_salt() { return int64_t(drawn_seed() & uint64_t(kMostSalt)); }

int64_t row_checksum(std::span<const std::byte> row) { return int64_t(fnv1a(row)); }
int64_t bound_salt(int64_t checksum, int64_t salt) { return checksum ^ salt; }

int64_t row_id(int64_t set, int64_t number) {
  return int64_t((uint64_t(set) << kNumberBits) + uint64_t(number));  // of a damaged file it may be anything
}
int64_t number_of_row(int64_t id) { return id & (kMostNumbers - 1); }

void Store::create(const std::string& path) {
  const auto make = [](const std::string& name) {
    const auto database = Database::open(name, Database::Access::create);
    make_tables(*database);
  };
  if (Database::is_on_server(path))
    make(path);
  else
    NewDatabaseFile(path).make(make);
}

bool Store::exists(const std::string& path) {
  if (Database::is_on_server(path)) return Database::open(path, Database::Access::read)->version() > 0;
  std::error_code none;
  return std::filesystem::exists(path, none);
}

void Store::remove_unused(const std::string& path) {
  {
    Store store(path, Database::Access::write);
    Transaction alone(*store.database_);
    if (store.database_->number("SELECT count(*) FROM sets") > 0) return;
    store.database_->drop_tables();
    alone.commit();
  }
  std::error_code none;
  if (!Database::is_on_server(path))
    for (const char* end : {"", "-wal", "-shm"}) std::filesystem::remove(path + end, none);
}

Store::Store(const std::string& path, Database::Access access, const Patience& patience)
    : database_(Database::open(path, access, patience)) {
  check_tables(*database_, access);
}

void Store::check_log() {
  if (!database_->found_log()) return;
  const auto check_theirs = [&](bool good) {
    check(good, path(), " and ", path(),
          "-wal, the log that lay beside it, are not of one moment. Where the file ",
          "is a backup that was put back, remove that log and ", path(),
          "-shm; else advface-store check says what is damaged");
  };
  try {
    Transaction one_moment(*database_, Transaction::Kind::read);
    check_theirs(database_->has_all_pages());
    for (const StoredSet& set : sets()) {
      Statement count(*database_, "SELECT count(*) FROM records WHERE set_id = ?");
      count.bind(0, set.id).step();
      check_theirs(count.number(0) == set.records);
    }
    check_theirs(last_event_is_chained());
  } catch (const DamagedDatabase&) {
    check_theirs(false);
  }
  database_->trust_log();
}

void Store::set_actor(std::string actor) {
  check_name(actor, "the name of who does it");
  actor_ = std::move(actor);
}

std::vector<StoredSet> Store::sets() {
  Statement all(*database_, std::string(kSetColumns) + "WHERE state <> 'retired' ORDER BY name, state");
  std::vector<StoredSet> list;
  while (all.step()) list.push_back(read_set(all, path()));
  return list;
}

std::optional<StoredSet> Store::find_set(const std::string& name, Generation generation) {
  Statement one(*database_, std::string(kSetColumns) + "WHERE name = ? AND state = ?");
  one.bind(0, name).bind(1, std::string_view(state_of(generation)));
  if (!one.step()) return {};
  return read_set(one, path());
}

StoredSet Store::set(const std::string& name, Generation generation) {
  if (auto found = find_set(name, generation)) return *found;
  check(generation == Generation::current || !find_set(name, Generation::current), path(), ": the set ", name,
        " is not being renewed");
  std::string known;
  for (const StoredSet& s : sets())
    if (s.generation == Generation::current) known += (known.empty() ? "" : ", ") + s.name;
  fail(path(), " has no set ", name,
       known.empty() ? "; advface-store init makes one" : "; there are: ", known);
}

StoredSet Store::begin_set(const std::string& name, Generation generation, const SetDescription& of) {
  check_name(name, "the name of a set");
  Transaction all(*database_);
  check(!find_set(name, generation), path(), ": the set ", name,
        generation == Generation::current ? " is there already" : " is being renewed already");
  check(generation == Generation::next || !find_set(name, Generation::next), path(),
        ": an import of the set ", name, " broke off; advface-store check --repair erases it");
  const auto current = find_set(name, Generation::current);
  const int64_t next_number = current ? current->next_number : 0;
  Statement insert(*database_,
                   "INSERT INTO sets(name, state, recogniser, cut, protection, raw_dimension, domain, "
                   "dimension, next_number, created, card, row_type) "
                   "VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
  const std::string protection = of.info.protection.to_json(), now = utc_now();
  insert.bind(0, name).bind(1, std::string_view(state_of(generation))).bind(2, of.info.recogniser);
  insert.bind(3, of.info.cut).bind(4, protection).bind(5, of.raw.row[0]);
  insert.bind(6, std::string_view(name_of(of.raw.domain))).bind(7, of.dimension).bind(8, next_number);
  insert.bind(9, now).bind(10, of.info.card).bind(11, std::string_view(name_of(of.row_type)));
  insert.run();
  if (generation == Generation::next && !current)
    tell(kBeginImport, name,
         of.info.protection.describe() + kByProcess + std::to_string(::getpid()) + " on " + host_name());
  else
    tell(generation == Generation::current ? "set" : "renewal", name, of.info.protection.describe());
  all.commit();
  return *find_set(name, generation);
}

std::string Store::who_imports(const std::string& name) {
  Statement last(*database_,
                 "SELECT detail FROM events WHERE what = ? AND set_name = ? ORDER BY number DESC LIMIT 1");
  last.bind(0, std::string_view(kBeginImport)).bind(1, name);
  if (!last.step()) return "";
  const std::string detail = last.text(0);
  const size_t by = detail.rfind(kByProcess), on = detail.rfind(" on ");
  if (by == std::string::npos || on == std::string::npos || on < by || detail.substr(on + 4) != host_name())
    return "";
  const size_t digits = by + std::strlen(kByProcess);
  const long process = std::strtol(detail.substr(digits, on - digits).c_str(), nullptr, 10);
  if (process <= 0 || process == ::getpid() || !is_running(pid_t(process))) return "";
  return "process " + std::to_string(process) + " on " + host_name();
}

int64_t Store::reserve_numbers(const StoredSet& set, int64_t n) {
  Transaction all(*database_);
  check_is_current(set);
  // Both generations count on, so that a number means one record in both.
  Statement last(*database_, "SELECT max(next_number) FROM sets WHERE name = ?");
  last.bind(0, set.name);
  last.step();
  const int64_t first = last.number(0);
  check(n <= kMostNumbers - first, path(), ": the set ", set.name, " has no number left");
  Statement count(*database_, "UPDATE sets SET next_number = ? WHERE name = ?");
  count.bind(0, first + n).bind(1, set.name).run();
  all.commit();
  return first;
}

void Store::check_is_current(const StoredSet& set) {
  const auto now = find_set(set.name, set.generation);
  check(now && now->id == set.id, path(), ": the set ", set.name,
        " was renewed or removed meanwhile; nothing was written");
}

std::vector<int64_t> Store::insert(const StoredSet& set, const Tensor& rows,
                                   std::span<const StoredRecord> records, Known known) {
  check(rows.shape() == Shape({int64_t(records.size()), set.dimension}) && rows.dtype() == DType::f32, path(),
        ": rows of shape ", rows.shape(), " for ", records.size(), " records of ", set.dimension, " values");
  const std::string now = utc_now();
  const size_t d = size_t(set.dimension), bytes = size_t(set.row_bytes());
  std::vector<std::byte> packed(records.size() * bytes);
  const auto row = [&](size_t i) { return std::span(packed).subspan(i * bytes, bytes); };
  for (size_t i = 0; i < records.size(); ++i) {
    const StoredRecord& r = records[i];
    const std::string who = path() + ": record " + std::to_string(r.number);
    check_name(r.subject, who + ": the subject's name");
    if (!r.photograph.empty()) check_name(r.photograph, who + ": the photograph's name");
    pack_row(set.row_type, {rows.data<float>() + i * d, d}, row(i));
  }
  const std::vector<bool> is_new =
      database_->insert({"records",
                         {"id", "set_id", "subject", "photograph", "quality", "created", "checksum", "salt",
                          "mean_of", "bound"},
                         "set_id, subject"},
                        int64_t(records.size()), [&](int64_t i, std::span<SqlValue> values) {
                          const StoredRecord& r = records[size_t(i)];
                          const int64_t checksum = row_checksum(row(size_t(i)));
                          const SqlValue all[] = {row_id(set.id, r.number),
                                                  set.id,
                                                  r.subject,
                                                  r.photograph,
                                                  r.quality,
                                                  r.created.empty() ? now : r.created,
                                                  checksum,
                                                  r.salt,
                                                  r.mean_of,
                                                  bound_salt(checksum, r.salt)};
                          std::ranges::copy(all, values.begin());
                        });
  std::vector<int64_t> added;
  for (size_t i = 0; i < records.size(); ++i) {
    check(is_new[i] || known == Known::skipped, path(), ": ", records[i].subject, " is in the set ", set.name,
          " already; remove that record first. Nothing was written");
    if (is_new[i]) added.push_back(int64_t(i));
  }
  database_->insert({"features", {"id", "feature"}}, int64_t(added.size()),
                    [&](int64_t i, std::span<SqlValue> values) {
                      const size_t which = size_t(added[size_t(i)]);
                      values[0] = row_id(set.id, records[which].number);
                      values[1] = std::span<const std::byte>(row(which));
                    });
  Statement count(*database_, "UPDATE sets SET records = records + ? WHERE id = ?");
  count.bind(0, int64_t(added.size())).bind(1, set.id).run();
  return added;
}

std::vector<int64_t> Store::add(const StoredSet& set, const Tensor& rows,
                                std::span<const StoredRecord> records, Known known) {
  Transaction all(*database_);
  check_is_current(set);
  for (const StoredRecord& r : records)
    check_new_name(r.subject, path() + ": record " + std::to_string(r.number) + ": the subject's name");
  std::vector<int64_t> added = insert(set, rows, records, known);
  std::vector<StoredRecord> told;
  for (const int64_t i : added) told.push_back(records[size_t(i)]);
  // The digest binds the event to these very records, and not to others of the same numbers.
  std::string which;
  for (const StoredRecord& r : told) which += bound_by_event(r.number, r.salt);
  tell(set.generation == Generation::next ? "add next" : "add", set.name,
       std::to_string(told.size()) + " records: " + numbers_text(told) + ", " +
           digest(std::as_bytes(std::span(which))));
  all.commit();
  return added;
}

std::unordered_map<std::string, int64_t> Store::numbers_of(const StoredSet& set,
                                                           std::span<const std::string> subjects) {
  constexpr size_t kAtOnce = 1024;
  std::unordered_map<std::string, int64_t> there;
  std::optional<Statement> some;
  size_t asked = 0;
  for (size_t begin = 0; begin < subjects.size(); begin += kAtOnce) {
    const auto names = subjects.subspan(begin, std::min(kAtOnce, subjects.size() - begin));
    if (names.size() != asked) {
      asked = names.size();
      std::string marks = "(?)";
      for (size_t i = 1; i < asked; ++i) marks += ", (?)";
      // One look into the index for each name: of a join a server that has not yet counted a table that has
      // just been filled thinks that it may as well read all of it.
      some.emplace(*database_, "WITH asked(name) AS (VALUES " + marks +
                                   ") SELECT name, (SELECT id FROM records WHERE subject = asked.name AND "
                                   "set_id = ?) FROM asked");
    }
    for (size_t i = 0; i < asked; ++i) some->bind(int(i), names[i]);
    some->bind(int(asked), set.id);
    while (some->step())
      if (!some->is_null(1)) there.emplace(some->text(0), number_of_row(some->number(1)));
    some->reset();
  }
  return there;
}

std::string Store::first_known(const StoredSet& set, std::span<const std::string> subjects) {
  const auto there = numbers_of(set, subjects);
  std::set<std::string_view> seen;
  for (const std::string& subject : subjects) {
    check_new_name(subject, "the name \"" + printable(subject.substr(0, 40)) + "\"");
    if (there.contains(subject) || !seen.insert(subject).second) return subject;
  }
  return "";
}

std::optional<StoredRecord> Store::find(const StoredSet& set, const std::string& subject) {
  Statement one(*database_, std::string(kRecordColumns) + "WHERE set_id = ? AND subject = ?");
  one.bind(0, set.id).bind(1, subject);
  if (!one.step()) return {};
  return read_record(one);
}

StoredRecord Store::record(const StoredSet& set, const std::string& subject) {
  if (auto found = find(set, subject)) return *found;
  fail(path(), ": nobody in the set ", set.name, " is called ", subject);
}

int64_t Store::largest_mean(const StoredSet& set) {
  // Both by the index of those that are not of one.
  Statement unknown(*database_, "SELECT 1 FROM records WHERE set_id = ? AND mean_of <> 1 AND mean_of = 0");
  if (unknown.bind(0, set.id).step()) return 0;
  Statement largest(*database_, "SELECT max(mean_of) FROM records WHERE set_id = ? AND mean_of <> 1");
  largest.bind(0, set.id);
  if (largest.step() && !largest.is_null(0)) return largest.number(0);
  return set.records > 0 ? 1 : 0;
}

Tensor Store::feature(const StoredSet& set, int64_t number) { return features(set, std::span(&number, 1)); }

std::vector<StoredRecord> Store::records(const StoredSet& set, int64_t from, int64_t most) {
  if (from >= kMostNumbers) return {};  // beyond any that is given
  Statement some(*database_, std::string(kRecordColumns) + "WHERE id >= ? AND id < ? ORDER BY id LIMIT ?");
  some.bind(0, row_id(set.id, from)).bind(1, row_id(set.id + 1, 0)).bind(2, most);
  std::vector<StoredRecord> list;
  while (some.step()) list.push_back(read_record(some));
  check_in_order(list, from, path());
  return list;
}

Tensor Store::features(const StoredSet& set, std::span<const int64_t> numbers) {
  const BackendScope on_host(host_backend());
  Statement some(
      *database_,
      "SELECT f.id, f.feature, r.checksum, r.salt, r.bound FROM features f JOIN records r ON r.id = f.id "
      "WHERE f.id >= ? AND f.id <= ? ORDER BY f.id");
  Tensor rows = Tensor::zeros({int64_t(numbers.size()), set.dimension});
  const size_t bytes = size_t(set.row_bytes()), d = size_t(set.dimension);
  for (size_t begin = 0; begin < numbers.size();) {
    size_t end = begin + 1;  // those that lie together are read together
    while (end < numbers.size() && numbers[end] > numbers[end - 1] && numbers[end] <= numbers[end - 1] + 8)
      ++end;
    some.bind(0, row_id(set.id, numbers[begin])).bind(1, row_id(set.id, numbers[end - 1]));
    size_t i = begin;
    while (i < end && some.step()) {
      if (some.number(0) != row_id(set.id, numbers[i])) continue;
      const auto blob = some.blob(1);
      check(blob.size() == bytes, path(), " is damaged: record ", numbers[i], " of the set ", set.name,
            " has ", blob.size(), " bytes, not ", bytes);
      check(row_checksum(blob) == some.number(2), path(), " is damaged: record ", numbers[i], " of the set ",
            set.name, " is not what was enrolled");
      check_salt(set, path(), numbers[i], some.number(2), some.number(3), some.number(4));
      unpack_row(set.row_type, blob, {rows.mutable_data<float>() + i * d, d});
      ++i;
    }
    check(i == end, path(), ": record ", i < end ? numbers[i] : 0, " of the set ", set.name, " is gone");
    some.reset();
    begin = end;
  }
  return rows;
}

}  // namespace advf
