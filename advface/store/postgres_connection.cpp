#include "advface/store/postgres_connection.h"

#include <poll.h>

#include <algorithm>
#include <cstdlib>
#include <new>
#include <utility>

#include "advface/core/context.h"

namespace advf {
namespace {

bool holds_password(const std::string& url, std::string& error) {
  char* said = nullptr;
  PQconninfoOption* options = libpq().conninfoParse(url.c_str(), &said);
  if (said) {
    error = said;
    libpq().freemem(said);
  }
  bool holds = false;
  for (PQconninfoOption* o = options; o && o->keyword; ++o)
    holds = holds || (std::string_view(o->keyword).ends_with("password") && o->val && *o->val);
  if (options) libpq().conninfoFree(options);
  return holds;
}

}  // namespace

using Result = PostgresConnection::Result;

PostgresConnection::PostgresConnection(const std::string& url, std::string name, Waiter& waiter)
    : name_(std::move(name)), waiter_(waiter) {
  if (!url.starts_with("postgresql://") && !url.starts_with("postgres://"))
    throw WrongCall(
        "the name of a database on a server begins with postgresql:// "
        "(postgresql://[user@]host[:port]/database)");
  std::string error;
  if (holds_password(url, error))
    throw WrongCall(
        "a password in the name of a database is seen by everybody on this machine, and was not used; put it "
        "into ~/.pgpass, a service file or PGPASSWORD");
  if (!error.empty()) throw WrongCall(name_ + ": " + one_line(error.c_str()));
  try {
    connect(url);
  } catch (...) {
    libpq().finish(std::exchange(connection_, nullptr));
    throw;
  }
}

void PostgresConnection::connect(const std::string& url) {
  const char* const keys[] = {"keepalives_idle",           "keepalives_interval",
                              "keepalives_count",          "tcp_user_timeout",
                              "fallback_application_name", "dbname",
                              "client_encoding",           nullptr};
  const char* const values[] = {"10", "5", "3", "30000", "advface", url.c_str(), "UTF8", nullptr};
  connection_ = libpq().connectStartParams(keys, values, 1);
  if (!connection_) throw std::bad_alloc();
  // What a server says to who asks nothing, that it goes down as well, is told by the next question.
  libpq().setNoticeProcessor(
      connection_, [](void*, const char*) {}, nullptr);
  const double most = std::max(waiter_.seconds(), 10.0);
  const auto begun = std::chrono::steady_clock::now();
  short events = POLLOUT;
  for (PostgresPollingStatusType state = PGRES_POLLING_WRITING; state != PGRES_POLLING_OK;) {
    if (libpq().status(connection_) == CONNECTION_BAD || state == PGRES_POLLING_FAILED)
      fail(name_, ": no connection: ", one_line(libpq().errorMessage(connection_)));
    waiter_.check_stop();
    check(std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count() < most, name_,
          ": the server did not answer within ", most, " seconds");
    pollfd ready{libpq().socket(connection_), events, 0};
    if (::poll(&ready, 1, 50) <= 0) continue;
    state = libpq().connectPoll(connection_);
    events = state == PGRES_POLLING_READING ? POLLIN : POLLOUT;
  }
}

Result PostgresConnection::next_result() {
  while (libpq().isBusy(connection_)) {
    pollfd ready{libpq().socket(connection_), POLLIN, 0};
    const int some = ::poll(&ready, 1, 50);
    if (some > 0 && !libpq().consumeInput(connection_)) break;  // the next result says that it is lost
    if (some <= 0 && !ending_ && waiter_.asked_to_stop()) {
      stop_query();
      waiter_.raise_stop();
    }
  }
  return {libpq().getResult(connection_), libpq().clear};
}

void PostgresConnection::stop_query() {
  char why[256];
  PGcancel* cancel = libpq().getCancel(connection_);
  if (cancel) {
    libpq().cancel(cancel, why, sizeof why);
    libpq().freeCancel(cancel);
  }
  drop_results();
}

void PostgresConnection::drop_results() {
  while (Result(libpq().getResult(connection_), libpq().clear)) {
  }
}

Result PostgresConnection::answer(int sent) {
  if (!sent) raise(nullptr);
  Result last(nullptr, libpq().clear), failed(nullptr, libpq().clear);
  while (Result next = next_result()) {
    const ExecStatusType status = libpq().resultStatus(next.get());
    if (status == PGRES_COPY_IN) return next;
    if (status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE) {
      if (!failed) failed = std::move(next);
    } else {
      last = std::move(next);
    }
  }
  if (failed) raise(failed.get());
  if (!last) raise(nullptr);
  const char* rows = libpq().cmdTuples(last.get());
  changes_ = *rows ? std::atoll(rows) : 0;
  return last;
}

void PostgresConnection::raise(const PGresult* failed) const {
  const auto field = [&](int which) {
    const char* text = failed ? libpq().resultErrorField(failed, which) : nullptr;
    return std::string(text ? text : "");
  };
  const std::string code = field(PG_DIAG_SQLSTATE);
  std::string said = field(PG_DIAG_MESSAGE_PRIMARY);
  if (said.empty()) said = one_line(libpq().errorMessage(connection_));
  if (libpq().status(connection_) == CONNECTION_BAD || code.starts_with("57P")) {
    if (committing_)
      fail(name_,
           ": the connection was lost while a step was committed, so that nobody here knows whether it "
           "was (",
           said, "); advface-store log tells what is there");
    fail(name_, ": the connection was lost (", said,
         "); this step was undone, and what was done before it stays; call again");
  }
  if (code == "55P03")
    fail(name_, ": another program is in the way, and did not end within ", waiter_.seconds(),
         " seconds; nothing was written");
  if (code == "42501") fail(name_, ": ", said, "; this user of the database has not that right");
  if (code == "25006") fail(name_, " cannot be written: ", said);
  if (code.starts_with("53"))
    fail(name_, ": ", said, "; this step was undone, and what was done before it stays");
  if (code == "57014") fail(name_, ": the server ended it: ", said, "; this step was undone");
  if (code == "40001" || code == "40P01") fail(name_, ": others were in the way: ", said, "; call again");
  if (code.starts_with("XX")) throw DamagedDatabase(name_ + " is damaged (" + said + ")");
  const std::string detail = field(PG_DIAG_MESSAGE_DETAIL);
  fail(name_, ": ", said, detail.empty() ? "" : "; ", detail);
}

Result PostgresConnection::query(const std::string& sql, const BoundValues& values) {
  return answer(libpq().sendQueryParams(connection_, sql.c_str(), values.count(), nullptr, values.pointers(),
                                        values.lengths(), values.formats(), 1));
}

Result PostgresConnection::query_prepared(const std::string& sql, const BoundValues& values) {
  auto found = prepared_.find(sql);
  if (found == prepared_.end()) {
    const std::string name = "s" + std::to_string(prepared_.size());
    answer(libpq().sendPrepare(connection_, name.c_str(), sql.c_str(), 0, nullptr));
    found = prepared_.emplace(sql, name).first;
  }
  return answer(libpq().sendQueryPrepared(connection_, found->second.c_str(), values.count(),
                                          values.pointers(), values.lengths(), values.formats(), 1));
}

void PostgresConnection::copy(const std::string& table, const std::string& columns, size_t count, int64_t n,
                              const std::function<void(int64_t, std::span<SqlValue>)>& fill) {
  query("COPY " + table + "(" + columns + ") FROM STDIN (FORMAT binary)");
  CopyRows rows(count);
  const auto send = [&] {
    if (libpq().putCopyData(connection_, rows.bytes().data(), int(rows.bytes().size())) != 1) raise(nullptr);
    rows.clear();
  };
  std::vector<SqlValue> values(count);
  try {
    for (int64_t i = 0; i < n; ++i) {
      fill(i, values);
      rows.add(values);
      if (rows.bytes().size() > size_t(1) << 20) send();
    }
  } catch (...) {
    libpq().putCopyEnd(connection_, "stopped");
    drop_results();
    throw;
  }
  rows.end();
  send();
  answer(libpq().putCopyEnd(connection_, nullptr) == 1);
}

bool PostgresConnection::in_transaction() const {
  const PGTransactionStatusType status = libpq().transactionStatus(connection_);
  return status != PQTRANS_IDLE && status != PQTRANS_UNKNOWN;
}

void PostgresConnection::commit() {
  ending_ = committing_ = true;
  try {
    query("COMMIT");
  } catch (...) {
    ending_ = committing_ = false;
    throw;
  }
  ending_ = committing_ = false;
}

void PostgresConnection::roll_back() noexcept {
  if (!in_transaction()) return;
  ending_ = true;
  try {
    query("ROLLBACK");
  } catch (...) {  // the server does it where the connection is lost
  }
  ending_ = false;
}

}  // namespace advf
