// Any text as the index of an enrolled set: an Error, or a set that another record can be appended to and
// that is read again with it.
#include <fstream>
#include <string>

#include "advface/store/enrolled_set.h"
#include "fuzz.h"
#include "tensor/io/npy.h"

namespace {

using namespace advf;

const Shape kRow{4};

// The array that every index is tried with: three rows, those of the seeds' checksums.
struct Folder {
  std::string array;  // its bytes
  Folder() {
    std::vector<float> values;
    for (int i = 0; i < 12; ++i) values.push_back(float(i) / 8);
    {
      EnrolledSet set(set_path(), kRow, {{"epsilon", "0.02"}});
      set.append(Tensor::from(values, {3, 4}), std::vector<std::string>{"a", "b", "c"});
      set.commit();
    }
    std::ifstream in(set_path(), std::ios::binary);
    array.assign(std::istreambuf_iterator<char>(in), {});
  }
  std::string set_path() const { return (scratch_folder() / "set.npy").string(); }
  static const Folder& one() {
    static const Folder folder;
    return folder;
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const Folder& folder = Folder::one();
  const std::string set = folder.set_path();
  std::ofstream(set, std::ios::binary).write(folder.array.data(), std::streamsize(folder.array.size()));
  std::ofstream(npy_index_path(set), std::ios::binary)
      .write(reinterpret_cast<const char*>(data), std::streamsize(size));
  EnrolledRows before;
  try {
    before = read_enrolled_set(set);
  } catch (const Error&) {
    // Whoever appends looks at less, and must not crash either.
    try {
      EnrolledSet(set, kRow, {{"epsilon", "0.02"}});
    } catch (const Error&) {
    }
    return 0;
  }
  try {
    EnrolledSet more(set, kRow, before.made_by);
    more.append(Tensor::from(std::vector<float>{1, 2, 3, 4}, {1, 4}), std::vector<std::string>{"d"});
    more.commit();
  } catch (const Error& e) {
    std::fprintf(stderr, "a set that was read could not be appended to: %s\n", e.what());
    std::abort();
  }
  const EnrolledRows after = read_enrolled_set(set);  // an Error here is a find
  if (after.records.size() != before.records.size() + 1) std::abort();
  return 0;
}
