// Any text as the index of an older version's set: an Error, or a record for each of its rows.
#include <fstream>
#include <string>

#include "advface/store/enrolled_set.h"
#include "fuzz.h"
#include "tensor/io/npy.h"

namespace {

using namespace advf;

// The array that every index is tried with: three rows, those of the seeds' checksums.
const std::string& array_path() {
  static const std::string path = [] {
    std::vector<float> values;
    for (int i = 0; i < 12; ++i) values.push_back(float(i) / 8);
    const std::string file = (scratch_folder() / "set.npy").string();
    save_npy(file, Tensor::from(values, {3, 4}));
    return file;
  }();
  return path;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string& set = array_path();
  std::ofstream(npy_index_path(set), std::ios::binary)
      .write(reinterpret_cast<const char*>(data), std::streamsize(size));
  return fuzz(data, size, [&](auto) {
    if (read_enrolled_set(set).records.size() != 3) std::abort();
    open_feature_file(set);
  });
}
