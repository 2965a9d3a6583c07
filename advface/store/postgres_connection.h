// A session with a PostgreSQL server: what is sent, and what comes back or goes wrong.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>

#include "advface/store/database.h"
#include "advface/store/libpq.h"
#include "advface/store/postgres_rows.h"

namespace advf {

class PostgresConnection {
 public:
  using Result = std::unique_ptr<PGresult, decltype(&PQclear)>;

  // name: in messages. Who is asked to stop by the waiter is asked during every call but commit() and
  // roll_back(). Throws WrongCall for a URL that libpq does not understand, or that holds a password.
  PostgresConnection(const std::string& url, std::string name, Waiter& waiter);
  ~PostgresConnection() { libpq().finish(connection_); }
  PostgresConnection(const PostgresConnection&) = delete;

  // One or several statements; the last one's result, as text.
  Result query(const std::string& sql) { return answer(libpq().sendQuery(connection_, sql.c_str())); }
  // One, with values for $1, $2, ...; its rows in binary.
  Result query(const std::string& sql, const BoundValues& values);
  // The same for what is asked often.
  Result query_prepared(const std::string& sql, const BoundValues& values);
  // Row i is what fill(i, values) sets, in the order of columns.
  void copy(const std::string& table, const std::string& columns, size_t count, int64_t n,
            const std::function<void(int64_t, std::span<SqlValue>)>& fill);
  void commit();
  void roll_back() noexcept;

  bool in_transaction() const;
  int64_t changes() const { return changes_; }  // rows that the last statement wrote, removed or gave

 private:
  void connect(const std::string& url);
  Result next_result();
  // The last result of what was sent; the first that failed is raised.
  Result answer(int sent);
  void drop_results();
  void stop_query();
  [[noreturn]] void raise(const PGresult* failed) const;

  const std::string name_;
  Waiter& waiter_;
  PGconn* connection_ = nullptr;
  std::map<std::string, std::string> prepared_;  // names of statements
  int64_t changes_ = 0;
  bool ending_ = false, committing_ = false;
};

}  // namespace advf
