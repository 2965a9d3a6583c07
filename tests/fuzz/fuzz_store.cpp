// A store whose file is damaged anywhere, as a list of places and bytes: an Error, or an answer to all that
// is asked of a store.
#include <fstream>
#include <string>
#include <vector>

#include "../store_questions.h"
#include "fuzz.h"

namespace {

using namespace advf;

constexpr int64_t kDimension = 8;
const std::string& path() {
  static const std::string file = (scratch_folder() / "people.db").string();
  return file;
}

Tensor some_rows(int64_t n) {
  std::vector<float> values;
  for (int64_t i = 0; i < n * kDimension; ++i) values.push_back(float(i % 13) / 8 - 0.5f);
  return Tensor::from(values, {n, kDimension});
}

// The bytes of a good one.
std::string good_store() {
  {
    Store::create(path());
    Store store(path(), Database::Access::write);
    const StoredSet set = store.begin_set(
        "default", Generation::current,
        {{"0123456789abcdef", "embedding", {}}, {{kDimension}, FeatureDomain::real}, kDimension});
    std::vector<StoredRecord> records;
    for (int64_t i = 0; i < 40; ++i) records.push_back({i, "person " + std::to_string(i), "a.jpg", "{}", ""});
    store.reserve_numbers(set, 40);
    store.add(set, some_rows(40), records);
    std::vector<int64_t> people;
    for (int64_t i = 0; i < 40; ++i) people.push_back(i / 2);
    score_all_pairs(some_rows(40), some_rows(40), people).write(store, set);
    store.forget();
  }
  std::ifstream in(path(), std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void ask(Database::Access access) {
  Store store(path(), access, Patience{.seconds = 0.1});
  test::ask_everything(store, some_rows(1), access == Database::Access::write);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::string good = good_store();
  std::string bytes = good;
  // Four bytes each: a page, a place in its head or anywhere, a byte.
  for (size_t i = 0; i + 4 <= size; i += 4) {
    const size_t page = size_t(data[i]) * 32768 % bytes.size();
    const size_t place = (data[i + 1] & 128) ? (size_t(data[i + 1] & 127) << 8) + data[i + 2] : data[i + 2];
    bytes[(page + place) % bytes.size()] = char(data[i + 3]);
  }
  if (size % 4 == 1) bytes.resize(bytes.size() * data[size - 1] / 256);
  for (const auto access : {Database::Access::read, Database::Access::write}) {
    for (const char* end : {"-wal", "-shm"}) std::filesystem::remove(path() + end);
    std::ofstream(path(), std::ios::binary).write(bytes.data(), std::streamsize(bytes.size()));
    fuzz(data, size, [access](auto) { ask(access); });
  }
  return 0;
}
