#include "advface/core/feature_file.h"

#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "advface/core/json_text.h"
#include "advface/core/text_file.h"
#include "advface/detect/face_list.h"
#include "advface/protections/registry.h"
#include "advface/store/enrolled_set.h"
#include "tensor/io/atomic_file.h"

namespace advf {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr const char* kFormat = "advface-features-1";

FeatureInfo read_info(const std::string& path, const FeatureRows& rows, const std::string& array) {
  const json root = parse_json(read_text(path), path);
  check(root.is_object() && root.value("format", json()) == kFormat &&
            root.value("rows", json()).is_string() && root.value("recogniser", json()).is_string() &&
            root.value("cut", json()).is_string() && root.contains("protection"),
        path, ": does not describe a file of features (no \"format\": \"", kFormat,
        "\" and what belongs to it)");
  check(root["rows"] == rows.sample_hash(), path, ": describes other features than those of ", array,
        "; put the file back that belongs to it, or remove ", path);
  return {root["recogniser"], root["cut"], ProtectionId::from_json(root["protection"].dump(), path)};
}

}  // namespace

std::string feature_info_path(const std::string& path) {
  return path + (path.ends_with(".npy") ? ".json" : ".npy.json");
}

FeatureFile open_feature_file(const std::string& path) {
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
  return file;
}

namespace {

// array: where the rows lie as yet.
std::string description_of(const std::string& array, const FeatureInfo& info) {
  const json root = {{"format", kFormat},
                     {"rows", FeatureRows::open(array).sample_hash()},
                     {"recogniser", info.recogniser},
                     {"cut", info.cut},
                     {"protection", json::parse(info.protection.to_json())}};
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
  check(!fs::exists(npy_index_path(path), none), path, ": is a set that grows by advface-protect --append (",
        npy_index_path(path), " lies beside it); choose another file, or remove both");
  check(
      !info_.protection.needs_key() || fs::is_regular_file(array_.written_at(), none), path,
      ": is no file, beside which a description could say under which name (key_set) these rows are locked; "
      "without it they could never be compared with anything");
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

}  // namespace advf
