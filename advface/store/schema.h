// The tables of a store, and how a file of an older version becomes one of this (docs/formats.md).
#pragma once
#include "advface/store/database.h"

namespace advf {

// A database without tables.
void make_tables(Database& database);
// Throws Error for what is no store, or one of a newer version; brings an older one up to date, which takes
// the right to write.
void check_tables(Database& database, Database::Access access);

}  // namespace advf
