// What is known of a file of features: whose they are, where they were cut, how they were protected. It
// stands in FILE.npy.json beside FILE.npy, or in the index of a set of an older version, so that no program
// has to guess.
#pragma once
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>

#include "advface/core/feature_rows.h"
#include "advface/protections/protection_id.h"
#include "tensor/io/atomic_file.h"
#include "tensor/io/npy.h"

namespace advf {

// One of several files that are made beside one another: of [first, end) of the `total` rows or photographs
// of an input.
struct FeaturePart {
  int64_t number = 1, of = 1;  // counted from 1
  int64_t first = 0, end = 0, total = 0;
  uint64_t seed = 1;      // of the run
  std::string input;      // tells inputs apart
  std::string rows = {};  // FeatureRows::hash() of what is in the file; empty: of none, or not known
  // Of the lists beside the file, by what their names have behind its own (".txt"): file_fingerprint() of
  // protections/protection.h. None where they are not known.
  std::map<std::string, std::string> lists = {};
};
nlohmann::json to_json(const FeaturePart& part);
// What "part" of an object says of it; nothing where there is none. Throws Error naming the file for what
// cannot be.
std::optional<FeaturePart> part_in(const nlohmann::json& root, const std::string& path);

struct FeatureInfo {
  std::string recogniser, cut;  // fingerprint, and name of the tensor; empty where they are not known
  ProtectionId protection;
  std::string card = {};  // feeding_hash() of the recogniser's card; empty where it is not known
  // Of the list beside the rows in which stands what the protection knew as the record of row r, where that
  // is not r (a set that advface-store has exported): FNV-1a of its bytes, 16 hexadecimal digits.
  std::string salts_list = {};
  std::optional<FeaturePart> part = {};  // where it is one of several files
};

struct FeatureFile {
  FeatureRows rows;
  FeatureInfo info;
};

// Behind the name of a file of features: the list of the files that its rows were made of, a line each.
constexpr const char* kFileListEnding = ".txt";

// FILE.npy.json, also for a FILE without an ending.
std::string feature_info_path(const std::string& path);

// Opens FILE.npy with what lies beside it: FILE.npy.json, or the index of a set. Where nothing does,
// info.protection says that it is unknown. Throws Error naming the file for a description that is damaged, or
// of other rows, and, unless the caller knows better, where every record's salt opens it and that is not its
// row: they are listed, or the file is a part.
enum class OtherSalts { refused, taken };
FeatureFile open_feature_file(const std::string& path, OtherSalts salts = OtherSalts::refused);

// Writes FILE.npy.json for the rows that lie in FILE.npy. Nothing where that is no regular file (a pipe).
void write_feature_info(const std::string& path, const FeatureInfo& info);

// A file of features in the making, streamed, with what is known of them. Both appear with commit(); at no
// moment does the description of other rows lie beside an array, nor do lists of faces that others were made
// of.
class FeatureFileWriter {
 public:
  // Throws Error where the file is a set of an older version, whose index would describe other rows.
  FeatureFileWriter(const std::string& path, const Shape& row, FeatureInfo info);
  void append_rows(const Tensor& rows) { array_.append_rows(rows); }
  int64_t rows() const { return array_.rows(); }
  // A list that is to lie beside the file, under its name and `ending`; its bytes are in `written_at` by now.
  // Of a file that is a part the description binds it. Before finish().
  void bind_list(const std::string& ending, const std::string& written_at);
  void set_salts_list(std::string hash) { info_.salts_list = std::move(hash); }  // before finish()
  void finish();                                                                 // as AtomicFile has it
  void commit();

 private:
  std::string path_;
  FeatureInfo info_;
  NpyWriter array_;
  std::unique_ptr<AtomicFile> description_;
};

// The features come from this recogniser's cut, as far as the file knows; else throws Error naming both.
void check_comes_from(const FeatureInfo& info, const std::string& file, const std::string& recogniser,
                      const std::string& cut, const std::string& what);
// The same network may be fed otherwise: throws Error naming both where the features are known to be of
// another card than this one (its feeding_hash(); empty: not known).
void check_same_card(const FeatureInfo& info, const std::string& file, const std::string& card,
                     const std::string& what);

}  // namespace advf
