#include "advface/store/schema.h"

#include <iterator>

#include "advface/store/store.h"
#include "tensor/check.h"

namespace advf {
namespace {

// Step i leads from version i to version i + 1; a step that was released is never changed. Features lie in a
// table of their own, so that a search through all of them reads nothing else; their pages take 15 rows of
// 512 numbers.
constexpr const char* kSteps[] = {
    R"sql(
CREATE TABLE sets(
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  state TEXT NOT NULL CHECK(state IN ('current', 'next', 'retired')),
  recogniser TEXT NOT NULL,
  cut TEXT NOT NULL,
  protection TEXT NOT NULL,
  raw_dimension INTEGER NOT NULL,
  domain TEXT NOT NULL,
  dimension INTEGER NOT NULL,
  records INTEGER NOT NULL DEFAULT 0,
  next_number INTEGER NOT NULL DEFAULT 0,
  created TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX generation_of_set ON sets(name, state) WHERE state <> 'retired';
CREATE TABLE records(
  id INTEGER PRIMARY KEY,
  set_id INTEGER NOT NULL,
  subject TEXT NOT NULL,
  photograph TEXT NOT NULL,
  quality TEXT NOT NULL,
  created TEXT NOT NULL,
  checksum INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX subject_of_set ON records(set_id, subject);
CREATE TABLE features(id INTEGER PRIMARY KEY, feature BLOB NOT NULL) STRICT;
CREATE TABLE events(
  number INTEGER PRIMARY KEY,
  time TEXT NOT NULL,
  actor TEXT NOT NULL,
  what TEXT NOT NULL,
  set_name TEXT NOT NULL,
  detail TEXT NOT NULL,
  chain TEXT NOT NULL
) STRICT;
CREATE TABLE calibrations(
  set_id INTEGER PRIMARY KEY,
  created TEXT NOT NULL,
  source TEXT NOT NULL,
  people INTEGER NOT NULL,
  threshold REAL NOT NULL,
  impostors INTEGER NOT NULL,
  highest BLOB NOT NULL,
  impostor_bins BLOB NOT NULL,
  genuine INTEGER NOT NULL,
  genuine_bins BLOB NOT NULL
) STRICT;
)sql",
    // Until then a record's number was its salt. Which recogniser's card (how faces are cut and their values
    // scaled), as what a row's numbers are kept, and whether bytes of what was removed may still lie in the
    // log, was not told.
    R"sql(
ALTER TABLE records ADD COLUMN salt INTEGER NOT NULL DEFAULT 0;
UPDATE records SET salt = id & 1099511627775;
ALTER TABLE sets ADD COLUMN card TEXT NOT NULL DEFAULT '';
ALTER TABLE sets ADD COLUMN row_type TEXT NOT NULL DEFAULT 'f32';
CREATE TABLE to_forget(since TEXT NOT NULL) STRICT;
)sql",
    // Of how many photographs a record is the mean, 0 where nobody noted it, and of how many those were at
    // most that a calibration was made with.
    R"sql(
ALTER TABLE records ADD COLUMN mean_of INTEGER NOT NULL DEFAULT 0;
CREATE INDEX means_of_set ON records(set_id, mean_of) WHERE mean_of <> 1;
ALTER TABLE calibrations ADD COLUMN mean_of INTEGER NOT NULL DEFAULT 1;
)sql",
    // Until then nothing in a record told that its salt was changed. What bound_salt() gives, in what both
    // engines know of bits; a salt that was changed before is told by the event that added it.
    R"sql(
ALTER TABLE records ADD COLUMN bound INTEGER NOT NULL DEFAULT 0;
UPDATE records SET bound = (checksum | salt) - (checksum & salt);
)sql"};
static_assert(std::size(kSteps) == size_t(Store::kVersion));

void step_up(Database& database, int64_t from) {
  Transaction all(database);
  if (from == 0) database.begin_tables();
  for (int64_t version = from; version < Store::kVersion; ++version)
    database.execute(database.in_dialect(kSteps[version]));
  database.set_version(Store::kVersion);
  all.commit();
}

}  // namespace

void make_tables(Database& database) {
  step_up(database, 0);
  database.end_tables();
}

void check_tables(Database& database, Database::Access access) {
  const int64_t version = database.version();
  check(version > 0, database.path(), " has no store; advface-store init makes one");
  check(version <= Store::kVersion, database.path(), " is a store of version ", version,
        ", but this program knows versions up to ", Store::kVersion, "; use a newer one");
  if (version == Store::kVersion) return;
  check(access != Database::Access::read, database.path(), " is a store of version ", version,
        "; open it once for writing (advface-store check --repair) to bring it to version ", Store::kVersion);
  step_up(database, version);
  // Until version 3 pages were split without a look at what stayed behind. Where readers are in the way,
  // check tells of it.
  database.overwrite_remains();
}

}  // namespace advf
