// Writes sets as older versions of the programs did (docs/formats.md), which are read and no longer written.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "advface/core/feature_file.h"
#include "file_test_util.h"
#include "nn/nets/net_metadata.h"
#include "tensor/hash.h"
#include "tensor/io/npy.h"

namespace advf::test {

// SET.npy.index of these rows (n, row...); what is not UTF-8 of a name is replaced.
inline std::string older_index(const Tensor& rows, const std::vector<std::string>& names,
                               const Metadata& made_by) {
  const auto line = [](const nlohmann::json& value) {
    return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  };
  std::string index =
      line({{"format", "advface-set-1"}, {"made_by", made_by}, {"row", shape_text(row_of(rows.shape()))}});
  const size_t bytes = rows.bytes() / names.size();
  for (size_t r = 0; r < names.size(); ++r)
    index +=
        line({{"checksum", hex(fnv1a({rows.raw() + r * bytes, bytes}))}, {"name", names[r]}, {"record", r}});
  return index;
}

inline void write_older_set(const std::string& path, const Tensor& rows,
                            const std::vector<std::string>& names, const Metadata& made_by) {
  save_npy(path, rows);
  write_bytes(path + ".index", older_index(rows, names, made_by));
}

// The features of a file with its description, as a set: photo 0, photo 1, ...
inline void write_older_set(const std::string& path, const std::string& features) {
  const FeatureFile file = open_feature_file(features);
  std::vector<std::string> names;
  for (int64_t r = 0; r < file.rows.count(); ++r) names.push_back("photo " + std::to_string(r));
  write_older_set(path, file.rows.range(0, file.rows.count()), names,
                  {{"recogniser", file.info.recogniser},
                   {"cut", file.info.cut},
                   {"protection", file.info.protection.to_json()}});
}

}  // namespace advf::test
