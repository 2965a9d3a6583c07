// Any text as a set in JSON lines, or as the list beside its rows: an Error, or records whose numbers and
// names a store can take or refuse.
#include "advface/store/set_exchange.h"
#include "fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  advf::fuzz(data, size, [text](auto) {
    const advf::ExchangedSet set = advf::parse_json_lines(text, "fuzz");
    if (int64_t(set.records.size()) != set.rows.count()) std::abort();
    for (const advf::StoredRecord& r : set.records)
      if (r.number < 0 || r.number >= int64_t(1) << 40 || r.salt < 0 || r.salt > advf::kMostSalt)
        std::abort();
  });
  return advf::fuzz(data, size, [text](auto) {
    const advf::RecordList list = advf::parse_record_list(text, "fuzz", 2);
    if (list.records.size() != 2 || list.raw.row[0] < 1) std::abort();
  });
}
