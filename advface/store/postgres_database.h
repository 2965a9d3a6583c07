// A database of a PostgreSQL server. Its tables lie in the schema "advface"; writers wait for one another, as
// those of a file do (an advisory lock that a transaction holds), so that whatever breaks off leaves all or
// nothing, and events stay one chain.
#pragma once
#include <memory>
#include <string>

#include "advface/store/database.h"

namespace advf {

// url: postgresql://[user@][host][:port][/database][?...], as libpq has it. Throws WrongCall for one that
// holds a password: it belongs into ~/.pgpass, a service file or the environment (PGPASSWORD), where other
// users of the machine do not read it. Throws Error where the build has no PostgreSQL (ADVF_POSTGRES).
std::unique_ptr<Database> open_postgres_database(const std::string& url, Database::Access access,
                                                 const Patience& patience);

}  // namespace advf
