#include "tools/evaluate/reconstruction_report.h"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <filesystem>
#include <numeric>
#include <set>
#include <sstream>
#include <utility>

#include "tools/evaluate/audit_json.h"

namespace advf::tools {
namespace {

constexpr int64_t kSheetRows = 8;

std::string cell(const nlohmann::json& value, const char* format) {
  if (!value.is_object()) return "-";
  char text[64];
  std::snprintf(text, sizeof text, format, value["mean"].get<double>());
  return text;
}

bool as_is(const nlohmann::json& row) { return !row["moment_matched"].get<bool>(); }

// All attackers on the images on which what identity alone reveals can be told, a line each.
void print_beside_identity(const nlohmann::json& rows) {
  if (std::none_of(rows.begin(), rows.end(), [](const auto& r) { return r["kind"] == "identity"; })) return;
  std::printf("SSIM on the %s images of people with another photograph",
              rows[0]["with_another_photo"]["images"].dump().c_str());
  std::string attacker;
  for (const auto& r : rows) {
    if (!as_is(r)) continue;
    if (r["attacker"] != attacker) {
      attacker = r["attacker"];
      std::printf("\n%-12s", attacker.c_str());
    } else {
      std::printf(" |");
    }
    std::printf(" %s %s", r["features"].get<std::string>().c_str(),
                cell(r["with_another_photo"]["ssim"], "%.3f").c_str());
  }
  std::printf("\n");
}

// How often the matching side was asked for a feature; null of who asks nobody.
nlohmann::json queries_json(const std::vector<int64_t>& queries) {
  if (queries.empty()) return {};
  const int64_t all = std::accumulate(queries.begin(), queries.end(), int64_t(0));
  return {{"mean", double(all) / double(queries.size())},
          {"most", *std::max_element(queries.begin(), queries.end())}};
}

}  // namespace

nlohmann::json to_json(const ReconstructionRow& row, const TestedImages& test, uint64_t seed) {
  const std::vector<int64_t>& others = test.with_another_photo;
  const std::vector<int64_t> their_people = picked(test.people, others);
  nlohmann::json json = {{"attacker", row.attacker},
                         {"features", row.features},
                         {"kind", row.kind},
                         {"moment_matched", row.matched}};
  json["feature_cosine"] = row.feature_cosine ? nlohmann::json(*row.feature_cosine) : nlohmann::json();
  json["queries"] = queries_json(row.queries);
  json["epsilon"] = row.epsilon ? nlohmann::json(*row.epsilon) : nlohmann::json();
  nlohmann::json& beside = json["with_another_photo"] = {{"images", others.size()}};
  for (const Measure& m : row.measures) {
    const nlohmann::json::json_pointer at("/" + m.name);
    json[at] = interval_json(m.values, m.is_for_all() ? test.people : picked(test.people, *m.of), seed);
    if (m.beside_identity) beside[at] = interval_json(picked(m.values, others), their_people, seed);
  }
  return json;
}

nlohmann::json verdicts(const nlohmann::json& rows, const std::string& deployed) {
  nlohmann::json list = nlohmann::json::array();
  const nlohmann::json& mean_face = rows[0];  // the first row is about it
  const double similarity = mean_face["ssim"]["mean"];
  for (const auto& r : rows) {
    if (r["features"] != "raw" || !as_is(r)) continue;
    const bool pixels = r["ssim"]["low"].get<double>() > similarity;
    const auto beyond = [&](const nlohmann::json::json_pointer& measure) {
      return r[measure]["low"] > mean_face[measure]["high"];
    };
    using At = nlohmann::json::json_pointer;
    // Nearer to its person than to the others, where there are such; else than the mean face is.
    const At own("/cosine/" + deployed), others("/cosine_of_others/" + deployed);
    const bool nearer = r.contains(others) ? r[own]["low"] > r[others]["high"] : beyond(own);
    const bool identity = nearer || beyond(At("/replay_rate/" + deployed + "/same_photo"));
    list.push_back({{"attacker", r["attacker"]},
                    {"ssim_above_mean_face", r["ssim"]["mean"].get<double>() - similarity},
                    {"counts", pixels || identity},
                    {"counts_in_pixels", pixels},
                    {"counts_in_identity", identity}});
  }
  return list;
}

void print_table(const nlohmann::json& rows, const nlohmann::json& verdicts,
                 const std::vector<std::string>& verifiers) {
  std::printf("%-12s %-28s %-8s %6s %6s %7s", "attacker", "features", "scored", "SSIM", "PSNR", "MSE");
  for (const std::string& v : verifiers) std::printf(" | %s: cosine, replay same, other", v.c_str());
  std::printf("\n");
  for (const auto& r : rows) {
    std::printf("%-12s %-28s %-8s %6s %6s %7s", r["attacker"].get<std::string>().c_str(),
                r["features"].get<std::string>().c_str(), as_is(r) ? "as is" : "matched",
                cell(r["ssim"], "%.3f").c_str(), cell(r["psnr"], "%.2f").c_str(),
                cell(r["mse"], "%.4f").c_str());
    for (const std::string& v : verifiers)
      std::printf(" | %6s %6s %6s", cell(r["cosine"][v], "%.3f").c_str(),
                  cell(r["replay_rate"][v]["same_photo"], "%.3f").c_str(),
                  cell(r["replay_rate"][v]["other_photo"], "%.3f").c_str());
    std::printf("\n");
  }
  for (const auto& r : rows)
    if (as_is(r) && r["queries"].is_object())
      std::printf("%s asked %.1f times for each of the features %s, at most %s\n",
                  r["attacker"].get<std::string>().c_str(), r["queries"]["mean"].get<double>(),
                  r["features"].get<std::string>().c_str(), r["queries"]["most"].dump().c_str());
  print_beside_identity(rows);
  for (const auto& v : verdicts)
    if (!v["counts"].get<bool>())
      std::printf("no conclusion from %s: on raw features it does not beat the mean face\n",
                  v["attacker"].get<std::string>().c_str());
    else if (!v["counts_in_pixels"].get<bool>())
      std::printf(
          "%s shows who it is, not how the photograph looks: its cosine and replay count, not its SSIM\n",
          v["attacker"].get<std::string>().c_str());
}

Sheet::Sheet(const Tensor& originals, const std::vector<int64_t>& people) {
  std::set<int64_t> seen;
  for (size_t i = 0; i < people.size() && int64_t(samples_.size()) < kSheetRows; ++i)
    if (seen.insert(people[i]).second) samples_.push_back(int64_t(i));
  add("", "original", originals);
}

void Sheet::add(const std::string& group, const std::string& label, const Tensor& images) {
  auto at = std::find_if(groups_.begin(), groups_.end(), [&](const auto& g) { return g.first == group; });
  if (at == groups_.end()) at = groups_.insert(at, {group, {}});
  Column column{label, {}};
  const Shape one{images.dim(1), images.dim(2), images.dim(3)};
  for (const int64_t i : samples_)
    // A copy: the slice would keep all images.
    column.cells.push_back(Tensor::from(images.slice_batch(i, i + 1).to_vector<float>(), one));
  at->second.push_back(std::move(column));
}

void Sheet::write(const std::string& path) const {
  std::vector<std::vector<Tensor>> rows(samples_.size());
  GridLabels labels;
  for (const auto& group : groups_)
    for (const Column& column : group.second) {
      labels.columns.push_back(column.label);
      for (size_t i = 0; i < rows.size(); ++i) rows[i].push_back(column.cells[i]);
    }
  write_png(path, make_grid(rows, labels));
}

namespace {

// Lies among the images as long as they are not all there.
constexpr const char* kUnfinished = ".unfinished";

// A name as a folder has it: what is neither letter, digit, point nor underscore becomes a dash. Letters
// beyond ASCII are bytes above it.
std::string folder_name(const std::string& text) {
  std::string name;
  for (const char c : text) {
    const unsigned char byte = static_cast<unsigned char>(c);
    const bool kept = std::isalnum(byte) || byte >= 0x80 || c == '.' || c == '_';
    if (kept)
      name += c;
    else if (!name.empty() && name.back() != '-')
      name += '-';
  }
  while (!name.empty() && (name.back() == '-' || name.front() == '.'))
    name.back() == '-' ? name.pop_back() : void(name.erase(0, 1));
  return name.empty() ? "unnamed" : name;
}

}  // namespace

ImageFolder::ImageFolder(const std::string& folder) : folder_(folder) {
  if (folder.empty()) return;
  namespace fs = std::filesystem;
  std::error_code none;
  // It comes with the first image, so that a call that is refused leaves no folder.
  fs::path there = fs::absolute(folder);
  while (!fs::exists(there, none) && there.has_relative_path()) there = there.parent_path();
  check(fs::is_directory(there, none), folder, ": Not a directory; images cannot be written there");
  if (fs::exists(fs::path(folder) / kUnfinished, none)) {
    begin();
    for (const auto& left : fs::directory_iterator(folder))
      if (left.path().filename() != kUnfinished) fs::remove_all(left.path());
    return;
  }
  check(!fs::exists(folder, none) || fs::is_empty(folder, none), folder,
        ": is not empty, and its files would lie among the images; choose another folder or empty this one");
  AtomicFile probe((there / "probe").string());
}

void ImageFolder::begin() {
  namespace fs = std::filesystem;
  if (unfinished_) return;
  std::error_code failed;
  fs::create_directories(folder_, failed);
  check(!failed, folder_, ": ", failed.message());
  unfinished_.emplace((fs::path(folder_) / kUnfinished).string());
  check(unfinished_->held(), folder_, ": another call writes its images there now; choose another folder");
}

void ImageFolder::finish() {
  if (!unfinished_) return;
  std::error_code none;
  std::filesystem::remove(std::filesystem::path(folder_) / kUnfinished, none);
  unfinished_.reset();
}

// Each name of its own, as a folder has it.
std::string ImageFolder::folder_of(const std::string& name) {
  const auto known = folders_.find(name);
  if (known != folders_.end()) return known->second;
  std::string folder = folder_name(name);
  const auto taken = [&](const std::string& text) {
    return std::any_of(folders_.begin(), folders_.end(), [&](const auto& f) { return f.second == text; });
  };
  for (int number = 2; taken(folder); ++number) folder = folder_name(name) + "-" + std::to_string(number);
  return folders_[name] = folder;
}

void ImageFolder::add(const std::vector<std::string>& below, const std::vector<std::string>& names,
                      const Tensor& images) {
  if (folder_.empty()) return;
  begin();
  namespace fs = std::filesystem;
  fs::path place(folder_);
  for (const std::string& part : below) place /= folder_of(part);
  const Tensor host = images.on_host();
  const Shape one{host.dim(1), host.dim(2), host.dim(3)};
  for (size_t i = 0; i < names.size(); ++i) {
    // The name as it is: a.jpg and a.png may be two photographs.
    const fs::path file = place / (fs::path(names[i]).relative_path().lexically_normal() += ".png");
    try {
      std::error_code failed;
      fs::create_directories(file.parent_path(), failed);
      check(!failed, file.parent_path().string(), ": ", failed.message());
      write_png(file.string(), to_image(host.slice_batch(int64_t(i), int64_t(i) + 1).view(one)));
    } catch (const Error& e) {
      fail(e.what(), "; ", folder_, " has the ", written_, " images that came before it");
    }
    ++written_;
  }
}

ScoreFile::ScoreFile(const std::string& path) {
  if (!path.empty()) file_.emplace(path);
}

void ScoreFile::add(const ReconstructionRow& row, const TestedImages& test) {
  if (!file_) return;
  std::string header = "attacker\tfeatures\tmoment_matched\timage\tperson";
  std::vector<const Measure*> told;
  for (const Measure& m : row.measures) {
    if (!m.is_for_all()) continue;
    told.push_back(&m);
    std::string column = m.name;
    std::replace(column.begin(), column.end(), '/', '_');
    header += "\t" + column;
  }
  if (!std::exchange(has_header_, true)) file_->write(header + "\n");
  for (size_t i = 0; i < test.files.size(); ++i) {
    std::ostringstream line;
    line.precision(7);
    line << row.attacker << '\t' << row.features << '\t' << row.matched << '\t' << test.files[i] << '\t'
         << person_text(test.identities[i]);
    for (const Measure* m : told) line << '\t' << m->values[i];
    file_->write(line.str() + "\n");
  }
}

}  // namespace advf::tools
