// What an operator keeps beside a recogniser: protected features of people, in one SQLite file. A set holds
// records that were protected alike, by one chain with one key; a set that is renewed has two generations,
// `current` and `next`, until the one takes the other's place in one transaction. Nothing here protects or
// unlocks: rows come and go as they are stored (advface/store/set_protection.h does both).
//
// A record has a number, by which it is found, and which is never given away twice, and a salt, from which
// comes what is random about it: its rotation under the key, its noise. Salts are drawn at random, so that
// two copies of a store that both grow (a backup that is restored, an export that is imported) give none
// twice.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "advface/core/feature_file.h"
#include "advface/protections/protection.h"
#include "advface/store/database.h"
#include "advface/store/row_type.h"
#include "tensor/tensor.h"

namespace advf {

enum class Generation { current, next };

// What all records of a set have in common.
struct SetDescription {
  FeatureInfo info;                 // whose features, of which card, and how they are protected
  FeatureSpace raw;                 // what is protected
  int64_t dimension = 0;            // of what is stored
  RowType row_type = RowType::f32;  // as what the values of a stored row are kept
};

// A set, in one of its generations.
struct StoredSet : SetDescription {
  int64_t id = 0;
  std::string name;
  Generation generation = Generation::current;
  int64_t records = 0;      // that are there
  int64_t next_number = 0;  // of the next record
  std::string created;      // UTC

  int64_t row_bytes() const { return advf::row_bytes(row_type, dimension); }
};

struct StoredRecord {
  int64_t number = 0;
  std::string subject;     // who it is; once in a set
  std::string photograph;  // name of the file that it was made of, or of several; may be empty
  std::string quality;     // of the photograph, as JSON; may be empty
  std::string created;     // UTC
  int64_t salt = 0;        // what its protection is told as the record (Protection::apply)
  int64_t mean_of = 0;     // of so many photographs its feature is the mean; 0 where nobody noted it
};

struct StoredEvent {
  int64_t number = 0;
  std::string time, actor, what, set, detail, chain;
};

class Store {
 public:
  static constexpr int32_t kVersion = 4;
  static constexpr size_t kLongestName = 4096;  // bytes, of a subject, a set or a photograph

  // A new file, or tables in a database of a server (Database::is_on_server()). Throws Error where there are
  // some.
  static void create(const std::string& path);
  // Whether there is a file of that name, or a database has a store.
  static bool exists(const std::string& path);
  // What create() made, where nobody has begun a set in it since.
  static void remove_unused(const std::string& path);
  // Throws Error for what is no store, for one of a newer version, and where it cannot be written.
  Store(const std::string& path, Database::Access access, const Patience& patience = {});

  const std::string& path() const { return database_->path(); }
  Database& database() { return *database_; }
  // Throws Error where the file and a log that lay beside it are not of one moment, as far as counts tell;
  // then the file is left as it is.
  void check_log();
  // Who does what the events tell. Throws Error for what is no name.
  void set_actor(std::string actor);

  std::vector<StoredSet> sets();  // by name, the current generation first
  // Throws Error that names the sets that there are.
  StoredSet set(const std::string& name, Generation generation = Generation::current);
  std::optional<StoredSet> find_set(const std::string& name, Generation generation);
  // A new set of this name, or the next generation of one that is there. Throws Error where there is one.
  StoredSet begin_set(const std::string& name, Generation generation, const SetDescription& of);

  // Numbers [first, first + n) are the caller's from now on, whatever becomes of them.
  int64_t reserve_numbers(const StoredSet& set, int64_t n);
  // Row i (n, dimension) becomes the record of that number, all or none; gives which i were added. Throws
  // Error for a subject that is there already, unless it is to be skipped, for rows of another dimension, and
  // where the set is no more what it was.
  enum class Known { refused, skipped };
  std::vector<int64_t> add(const StoredSet& set, const Tensor& rows, std::span<const StoredRecord> records,
                           Known known = Known::refused);
  // Those of these who are in the set, and under which number.
  std::unordered_map<std::string, int64_t> numbers_of(const StoredSet& set,
                                                      std::span<const std::string> subjects);
  // The first of these that is in the set, or stands here twice; empty where none is.
  std::string first_known(const StoredSet& set, std::span<const std::string> subjects);

  std::optional<StoredRecord> find(const StoredSet& set, const std::string& subject);
  // Throws Error naming the subject where there is none such.
  StoredRecord record(const StoredSet& set, const std::string& subject);
  // The most photographs that a record of the set is the mean of; 0 where of one nobody noted it, or there is
  // none.
  int64_t largest_mean(const StoredSet& set);
  Tensor feature(const StoredSet& set, int64_t number);  // (1, dimension)
  // Up to `most` records with numbers of at least `from`, in order.
  std::vector<StoredRecord> records(const StoredSet& set, int64_t from, int64_t most);
  // The rows of these numbers, (n, dimension); Throws Error where one is gone.
  Tensor features(const StoredSet& set, std::span<const int64_t> numbers);

  // From every generation, with all that is told of them. Throws Error, and removes nobody, where one is not
  // there. The bytes are overwritten; forget() is for those in the log.
  void remove(const std::string& set, std::span<const std::string> subjects);
  // A set with all its generations.
  void remove_set(const std::string& set);
  // The other sets in which somebody has one of these names.
  std::vector<std::string> also_in(const std::string& set, std::span<const std::string> subjects);
  // Erases features of which no record tells, and counts records anew, after damage.
  void remove_orphans();
  // No byte of what was removed stays in the file or its log. Throws Error where a reader is in the way: call
  // again; until then problems() tells it. Where that takes a call that rewrites all that is there
  // (Database::erases_at_once()), at_once leaves it for one and gives false.
  enum class Forget { at_once, thoroughly };
  bool forget(Forget which = Forget::at_once);

  // Before a set is made anew with its salts: throws Error where one of them is not what was enrolled, so far
  // as records and events tell. For a salt that is wrong now would turn its person away for good.
  void check_salts(const StoredSet& set);
  // Of the current generation, those that the next one lacks, by number.
  std::vector<StoredRecord> not_yet_renewed(const StoredSet& current, const StoredSet& next, int64_t from,
                                            int64_t most);
  // Row i is that of record i, as the next generation has it; what is told of a record stays. A record that
  // was removed meanwhile is left out. Those that are there already are replaced.
  void renew(const StoredSet& current, const StoredSet& next, const Tensor& rows,
             std::span<const StoredRecord> records);
  // The next generation takes the current one's place, which is erased then. Throws Error where records are
  // lacking, unless `leave_behind`; those go. And where a salt of the next generation was changed.
  void switch_to_next(const std::string& set, bool leave_behind);
  void give_up_next(const std::string& set);
  // A next generation of what has no current one is a set that comes as a whole: finish_import() makes it the
  // current one. give_up_imports() erases those that broke off.
  void finish_import(const std::string& set);
  void give_up_imports();
  // Which process imports this set, where it still runs on this machine: "process 7 on host"; else empty.
  std::string who_imports(const std::string& set);
  // Erases what a switch has left, some thousand records at a time; for another call where it broke off.
  void erase_retired(const std::function<bool()>& stop = {});

  // Goes on with what an erasure that broke off has left: rows of generations that were replaced, bytes in
  // the log. Where a reader is in the way, that stays for another call, and problems() tells it.
  void finish_erasures(const std::function<bool()>& stop = {});

  // Events form a chain: each has the digest of the one before it and of itself.
  void tell(const std::string& what, const std::string& set, const std::string& detail);
  std::vector<StoredEvent> events(int64_t from, int64_t most);
  // The digest of the last one; empty where none is. Throws Error naming the first event that does not go
  // with the chain, and where `known`, a digest that was noted before, is not in it.
  std::string verify_events(const std::string& known = {});

  // What is wrong, a line each; none where all is well. Reads everything.
  std::vector<std::string> problems(const std::function<bool()>& stop = {});

 private:
  bool last_event_is_chained();
  void check_is_current(const StoredSet& set);
  // Of the set's records, those with numbers between those of `records`.
  std::set<int64_t> numbers_among(const StoredSet& set, std::span<const StoredRecord> records);
  void note_removal();  // in the transaction that removes
  bool forgot();        // forget(); false where a reader is in the way
  // What of the records that are there events contradict, a line each.
  struct Contradictions {
    std::vector<std::string> lost, changed;  // records that nobody removed; numbers and salts
  };
  Contradictions hold_against_events(const StoredSet& set);
  // How many records of the set have a salt that does not go with what it is bound to; the first of them.
  int64_t changed_salts(const StoredSet& set, int64_t& first);
  void erase_generation(int64_t id, const std::function<bool()>& stop);
  std::vector<int64_t> insert(const StoredSet& set, const Tensor& rows, std::span<const StoredRecord> records,
                              Known known);

  std::unique_ptr<Database> database_;
  std::string actor_;
};

// Below 2^59, so that what protects has the bits above for streams of its own (tensor/rng.h). Of 10^8 records
// two have the same one with a probability of 1 %.
int64_t fresh_salt();
constexpr int64_t kMostSalt = (int64_t(1) << 59) - 1;

// Of a row's bytes, for a record: it finds damage, and is no signature.
int64_t row_checksum(std::span<const std::byte> row);
// What stands beside a record's salt and its row's checksum, and tells a change of either: their exclusive
// or. One of them that is changed is told with certainty, in no time, and SQL can say it; it is no signature
// either.
int64_t bound_salt(int64_t checksum, int64_t salt);
// Of rows in the table of features: sets in order, and the records of one by number.
int64_t row_id(int64_t set, int64_t number);
int64_t number_of_row(int64_t id);

}  // namespace advf
