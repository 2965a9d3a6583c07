#include "advface/store/libpq.h"

#include <dlfcn.h>

#include "tensor/check.h"

namespace advf {
namespace {

Libpq load() {
  void* library = ::dlopen("libpq.so.5", RTLD_NOW | RTLD_LOCAL);
  check(library, "libpq.so.5, the client of PostgreSQL, is not there; install it (Debian: libpq5)");
  const auto find = [&](auto& function, const char* name) {
    void* found = ::dlsym(library, name);
    check(found, "libpq.so.5 has no ", name, "; take that of PostgreSQL 14 or newer");
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(found);
  };
  Libpq pq{};
#define ADVF_FIND(name) find(pq.name, "PQ" #name)
  ADVF_FIND(conninfoParse);
  ADVF_FIND(conninfoFree);
  ADVF_FIND(freemem);
  ADVF_FIND(connectStartParams);
  ADVF_FIND(connectPoll);
  ADVF_FIND(finish);
  ADVF_FIND(status);
  ADVF_FIND(transactionStatus);
  ADVF_FIND(socket);
  ADVF_FIND(errorMessage);
  ADVF_FIND(setNoticeProcessor);
  ADVF_FIND(sendQuery);
  ADVF_FIND(sendQueryParams);
  ADVF_FIND(sendPrepare);
  ADVF_FIND(sendQueryPrepared);
  ADVF_FIND(consumeInput);
  ADVF_FIND(isBusy);
  ADVF_FIND(getResult);
  ADVF_FIND(putCopyData);
  ADVF_FIND(putCopyEnd);
  ADVF_FIND(getCancel);
  ADVF_FIND(cancel);
  ADVF_FIND(freeCancel);
  ADVF_FIND(resultStatus);
  ADVF_FIND(resultErrorField);
  ADVF_FIND(clear);
  ADVF_FIND(ntuples);
  ADVF_FIND(getisnull);
  ADVF_FIND(getlength);
  ADVF_FIND(getvalue);
  ADVF_FIND(cmdTuples);
#undef ADVF_FIND
  return pq;
}

}  // namespace

const Libpq& libpq() {
  static const Libpq pq = load();  // stays to the end of the process
  return pq;
}

}  // namespace advf
