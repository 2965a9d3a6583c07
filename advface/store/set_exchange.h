// A set as files that others read: rows as .npy with a list beside it, JSON lines, or safetensors; and back.
// Records keep their numbers and salts. Formats: docs/formats.md.
#pragma once
#include <string>
#include <vector>

#include "advface/core/context.h"
#include "advface/store/store.h"

namespace advf {

// What a file says of a set.
struct ExchangedSet {
  FeatureInfo info;
  FeatureSpace raw;       // of the features that were protected
  std::string card = {};  // as SetDescription has it
  FeatureRows rows;       // (n, dimension), as they are stored
  std::vector<StoredRecord> records;
};

enum class ExchangeFormat { npy, json_lines, safetensors };
// By its ending: .npy, .jsonl, .safetensors. Throws WrongCall for another.
ExchangeFormat exchange_format(const std::string& path);
std::string exchange_list_path(const std::string& path);  // beside FILE.npy

// Every record as it is at one moment, its values as f32. Files appear whole or not at all, and their owner
// alone may read them.
void export_set(Store& store, const StoredSet& of, const std::string& path, const Context& context);

// Also a set of an older version (enrolled_set.h, its index beside it), and any features with their
// description, whose rows then are records 0, 1, ... named FILE:row. Throws Error naming file and place for
// what is damaged, or does not fit itself.
ExchangedSet read_set_file(const std::string& path);
ExchangedSet parse_json_lines(std::string_view text, const std::string& path);
// The list beside FILE.npy, of so many rows.
struct RecordList {
  FeatureSpace raw;
  std::string card;
  bool has_salts = false;  // else a record's number was its salt
  std::vector<StoredRecord> records;
};
RecordList parse_record_list(std::string_view text, const std::string& path, int64_t rows);

// A new set of all of it, which appears when it is whole.
StoredSet import_set(Store& store, const std::string& name, const ExchangedSet& from, RowType row_type,
                     const Context& context);

}  // namespace advf
