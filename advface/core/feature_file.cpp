#include "advface/core/feature_file.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "advface/core/json_text.h"
#include "advface/core/text_file.h"
#include "advface/detect/face_list.h"
#include "advface/protections/protection.h"
#include "advface/protections/registry.h"
#include "advface/store/enrolled_set.h"
#include "tensor/io/atomic_file.h"

namespace advf {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr const char* kFormat = "advface-features-1";

}  // namespace

std::optional<FeaturePart> part_in(const json& root, const std::string& path) {
  const auto found = root.find("part");
  if (found == root.end()) return {};
  const auto number = [&](const char* key) {
    const auto value = found->find(key);
    check(value != found->end() && value->is_number_unsigned(), path, ": its \"part\" has no number \"", key,
          "\"");
    return value->get<uint64_t>();
  };
  check(found->is_object() && found->value("input", json()).is_string() &&
            found->value("rows", json("")).is_string(),
        path, ": \"part\" does not say which part of what it is");
  const auto at = [&](const char* key) { return int64_t(std::min(number(key), uint64_t(1) << 48)); };
  FeaturePart part{at("number"), at("of"),       at("first"),       at("end"),
                   at("total"),  number("seed"), (*found)["input"], found->value("rows", "")};
  const json lists = found->value("lists", json::object());
  check(lists.is_object(), path, ": \"lists\" of its \"part\" is no object");
  for (const auto& [ending, hash] : lists.items()) {
    check(hash.is_string(), path, ": \"lists\" of its \"part\" has no text for ", ending);
    part.lists[ending] = hash;
  }
  check(part.number >= 1 && part.number <= part.of && part.first <= part.end && part.end <= part.total, path,
        ": \"part\" says what cannot be");
  return part;
}

json to_json(const FeaturePart& p) {
  json part = {{"number", p.number}, {"of", p.of},     {"first", p.first}, {"end", p.end},
               {"total", p.total},   {"seed", p.seed}, {"input", p.input}};
  if (!p.rows.empty()) part["rows"] = p.rows;
  if (!p.lists.empty()) part["lists"] = p.lists;
  return part;
}

namespace {

FeatureInfo read_info(const std::string& path, const FeatureRows& rows, const std::string& array) {
  const json root = parse_json(read_text(path), path);
  check(root.is_object() && root.value("format", json()) == kFormat &&
            root.value("rows", json()).is_string() && root.value("recogniser", json()).is_string() &&
            root.value("cut", json()).is_string() && root.contains("protection") &&
            root.value("card", json("")).is_string() && root.value("salts", json("")).is_string(),
        path, ": does not describe a file of features (no \"format\": \"", kFormat,
        "\" and what belongs to it)");
  check(root["rows"] == rows.sample_hash(), path, ": describes other features than those of ", array,
        "; put the file back that belongs to it, or remove ", path);
  return {root["recogniser"],
          root["cut"],
          ProtectionId::from_json(root["protection"].dump(), path),
          root.value("card", ""),
          root.value("salts", ""),
          part_in(root, path)};
}

bool separates_records(const ProtectionId& id, const std::string& path) {
  return id.known() && std::ranges::any_of(id.applied, [&](const AppliedProtection& applied) {
           return spec_of(applied, path)->separates_records();
         });
}

}  // namespace

std::string feature_info_path(const std::string& path) {
  return path + (path.ends_with(".npy") ? ".json" : ".npy.json");
}

FeatureFile open_feature_file(const std::string& path, OtherSalts salts) {
  FeatureFile file{FeatureRows::open(path), {}};
  const std::string description = feature_info_path(path);
  std::error_code none;
  if (fs::exists(npy_index_path(path), none))
    file.info = info_of_set(path, file.rows.row());
  else if (fs::exists(description, none))
    file.info = read_info(description, file.rows, path);
  else
    file.info.protection.unknown = path + " has no " + fs::path(description).filename().string() +
                                   " beside it, which would say how its features were made";
  const Shape& row = file.rows.row();
  check(!file.info.protection.known() || space_after(file.info.protection, {row}).row == row, path,
        ": rows of shape ", row, " cannot be ", file.info.protection.describe());
  if (salts == OtherSalts::taken || !separates_records(file.info.protection, path)) return file;
  check(file.info.salts_list.empty(), path,
        ": is a set of a store, whose records have salts of their own; advface-store import reads it");
  check(!file.info.part, path,
        ": is one part of several, whose rows are not numbered from 0; put them together ",
        "with advface-inspect --join");
  return file;
}

namespace {

// array: where the rows lie as yet.
std::string description_of(const std::string& array, const FeatureInfo& info) {
  const FeatureRows rows = FeatureRows::open(array);
  json root = {{"format", kFormat},
               {"rows", rows.sample_hash()},
               {"recogniser", info.recogniser},
               {"cut", info.cut},
               {"protection", json::parse(info.protection.to_json())}};
  if (!info.card.empty()) root["card"] = info.card;
  if (!info.salts_list.empty()) root["salts"] = info.salts_list;
  if (info.part) {
    FeaturePart part = *info.part;
    part.rows = rows.hash();
    root["part"] = to_json(part);
  }
  return root.dump(1) + "\n";
}

}  // namespace

void write_feature_info(const std::string& path, const FeatureInfo& info) {
  std::error_code none;
  if (!fs::is_regular_file(path, none)) return;
  AtomicFile file(feature_info_path(path));
  file.write(description_of(path, info));
  file.commit();
}

FeatureFileWriter::FeatureFileWriter(const std::string& path, const Shape& row, FeatureInfo info)
    : path_(path), info_(std::move(info)), array_(path, DType::f32, row) {
  std::error_code none;
  check(!fs::exists(npy_index_path(path), none), path, ": is a set of an older version (",
        npy_index_path(path), " lies beside it); choose another file, or remove both");
  check(
      !info_.protection.needs_key() || fs::is_regular_file(array_.written_at(), none), path,
      ": is no file, beside which a description could say under which name (key_set) these rows are locked; "
      "without it they could never be compared with anything");
}

void FeatureFileWriter::bind_list(const std::string& ending, const std::string& written_at) {
  if (info_.part) info_.part->lists[ending] = file_fingerprint(written_at);
}

void FeatureFileWriter::finish() {
  array_.finish();
  std::error_code none;
  if (description_ || !fs::is_regular_file(array_.written_at(), none)) return;
  description_ = std::make_unique<AtomicFile>(feature_info_path(path_));
  description_->write(description_of(array_.written_at(), info_));
  description_->finish();
}

void FeatureFileWriter::commit() {
  finish();
  std::remove(feature_info_path(path_).c_str());
  remove_face_lists(path_);
  array_.commit();
  if (description_) description_->commit();
}

void check_comes_from(const FeatureInfo& info, const std::string& file, const std::string& recogniser,
                      const std::string& cut, const std::string& what) {
  check(info.recogniser.empty() || info.recogniser == recogniser, file, " comes from recogniser ",
        info.recogniser, ", but ", what, " is ", recogniser);
  check(info.cut.empty() || info.cut == cut, file, " is cut at ", info.cut, ", but ", what, " is asked for ",
        cut);
}

void check_same_card(const FeatureInfo& info, const std::string& file, const std::string& card,
                     const std::string& what) {
  check(info.card.empty() || card.empty() || info.card == card, file, " is of the same network as ", what,
        ", but of another card, which cuts faces or scales their values otherwise; take the card with which "
        "it was made");
}

}  // namespace advf
