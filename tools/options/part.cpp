#include "tools/options/part.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <optional>
#include <set>

namespace advf::tools {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMostParts = 1'000'000;

std::optional<int64_t> whole_number(std::string_view text) {
  int64_t value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0 || value > kMostParts) return {};
  return value;
}

constexpr const char* kSayIt = "; --part i/n (of advface-audit --jobs i/n) says which part this is";

// A variable of the environment; nothing where it is not set.
std::optional<int64_t> variable(const char* name) {
  const char* text = std::getenv(name);
  if (!text) return {};
  const auto value = whole_number(text);
  if (!value)
    throw WrongCall(std::string("the environment says ") + name + "=" + text + ", which is no number" +
                    kSayIt);
  return value;
}

// Names of a rank and of how many there are.
constexpr std::pair<const char*, const char*> kProcesses[] = {
    {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},
    {"PMI_RANK", "PMI_SIZE"},
    {"SLURM_PROCID", "SLURM_STEP_NUM_TASKS"}};

// How many parts there are to be, by the names of those that lie beside OUT.
int64_t parts_beside(const std::string& out) {
  const fs::path path(out), folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  std::set<int64_t> counts;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(folder, none)) {
    const auto name = part_name(entry.path().string());
    if (name && fs::path(name->out).filename() == path.filename()) counts.insert(name->part.of);
  }
  check(!counts.empty(), out, ": there is no part of it (",
        fs::path(Part{1, 4}.path(out)).filename().string(), " and so on); --part i/n makes them");
  check(counts.size() == 1, out, ": there are parts of ", *counts.begin(), " and of ", *counts.rbegin(),
        "; remove those that are not meant");
  return *counts.begin();
}

// Who it is among `size`, from 0.
struct Rank {
  int64_t rank = 0, size = 1;
};

Rank rank_of(const char* rank, const char* size) {
  const auto of = variable(size), mine = variable(rank);
  // The script of a job is process 0 of one.
  if (!of && mine && *mine > 0)
    throw WrongCall(std::string("the environment has ") + rank + "=" + std::to_string(*mine) + ", but no " +
                    size + " that says of how many" + kSayIt);
  if (!of) return {};
  if (!mine || *of < 1 || *mine >= *of)
    throw WrongCall(std::string("the environment has ") + size + "=" + std::to_string(*of) + ", but " + rank +
                    " is no number below that" + kSayIt);
  return {*mine, *of};
}

Rank among_processes() {
  for (const auto& [rank, size] : kProcesses)
    if (const Rank found = rank_of(rank, size); found.size > 1) return found;
  return {};
}

Rank among_array_tasks() {
  const auto id = variable("SLURM_ARRAY_TASK_ID");
  if (!id) return {};
  const auto least = variable("SLURM_ARRAY_TASK_MIN"), most = variable("SLURM_ARRAY_TASK_MAX");
  if (!least || !most)
    throw WrongCall("the environment has SLURM_ARRAY_TASK_ID=" + std::to_string(*id) +
                    ", but no SLURM_ARRAY_TASK_MIN and _MAX that say of how many" + kSayIt);
  const int64_t first = *least, last = *most, step = variable("SLURM_ARRAY_TASK_STEP").value_or(1),
                count = variable("SLURM_ARRAY_TASK_COUNT").value_or(last - first + 1);
  if (step != 1 || last - first + 1 != count || *id < first || *id > last)
    throw WrongCall(
        std::string(
            "the tasks of this array job are not numbered one by one, as where some are submitted again, so "
            "that nobody knows which part is whose; use --array=1-N") +
        kSayIt);
  if (first > 1)
    throw WrongCall("the tasks of this array job begin at " + std::to_string(first) +
                    ", as where one is submitted again, and nobody knows of how many; use --array=1-N, and "
                    "--part i/N (of advface-audit --jobs i/N) for a part that is run again");
  return {*id - first, count};
}

}  // namespace

std::pair<int64_t, int64_t> Part::range(int64_t n, int64_t batch) const {
  const int64_t batches = std::max<int64_t>(1, (n + batch - 2) / batch);
  const auto begin_of = [&](int64_t part) { return std::min(n, batches * (part - 1) / of * batch); };
  return {begin_of(number), number == of ? n : begin_of(number + 1)};
}

std::string Part::path(const std::string& file) const {
  if (whole() || file.empty()) return file;
  const fs::path path(file);
  const std::string name = path.stem().string() + "." + std::to_string(number) + "-of-" + std::to_string(of) +
                           path.extension().string();
  return (path.parent_path() / name).string();
}

std::optional<FeaturePart> Part::described(int64_t n, int64_t batch, uint64_t seed,
                                           const std::string& input) const {
  if (whole()) return {};
  const auto [begin, end] = range(n, batch);
  return FeaturePart{number, of, begin, end, n, seed, input};
}

Part parse_part(const std::string& option, const std::string& text) {
  const size_t slash = text.find('/');
  const std::string_view all(text);
  const auto number = slash == std::string::npos ? std::nullopt : whole_number(all.substr(0, slash)),
             of = slash == std::string::npos ? std::nullopt : whole_number(all.substr(slash + 1));
  if (!number || !of) throw WrongCall(option + " takes i/n, as 2/4, not " + text);
  if (*number < 1 || *number > *of)
    throw WrongCall(option + " " + text + ": there is no part " + std::to_string(*number) + " of " +
                    std::to_string(*of));
  return {*number, *of};
}

std::optional<PartName> part_name(const std::string& file) {
  const fs::path path(file);
  // The ending of a name that has none is ".2-of-4".
  for (const std::string& ending : {path.extension().string(), std::string()}) {
    const std::string all = path.filename().string(), stem = all.substr(0, all.size() - ending.size());
    const size_t dot = stem.rfind('.'), of = stem.rfind("-of-");
    if (dot == std::string::npos || of == std::string::npos || of < dot) continue;
    const auto number = whole_number(std::string_view(stem).substr(dot + 1, of - dot - 1)),
               count = whole_number(std::string_view(stem).substr(of + 4));
    if (!number || !count || *number < 1 || *number > *count) continue;
    PartName name{(path.parent_path() / (stem.substr(0, dot) + ending)).string(), {*number, *count}};
    if (name.part.path(name.out) == file) return name;
  }
  return {};
}

std::vector<std::string> part_files(const std::string& out) {
  const int64_t of = parts_beside(out);
  std::string missing;
  std::vector<std::string> files;
  std::error_code none;
  for (int64_t i = 1; i <= of; ++i) {
    files.push_back(Part{i, of}.path(out));
    if (!fs::exists(files.back(), none))
      missing += (missing.empty() ? "" : ", ") + std::to_string(i) + "/" + std::to_string(of);
  }
  check(missing.empty(), out, ": parts are missing: ", missing, "; run them again (--part)");
  return files;
}

Part part_of_launcher() {
  const Rank process = among_processes(), task = among_array_tasks();
  return {task.rank * process.size + process.rank + 1, task.size * process.size};
}

std::string several_processes() {
  for (const auto& [rank, size] : kProcesses)
    if (const auto of = variable(size); of && *of > 1) return size + ("=" + std::to_string(*of));
  return "";
}

void forget_launcher() {
  for (const auto& [rank, size] : kProcesses) ::unsetenv(rank), ::unsetenv(size);
  ::unsetenv("SLURM_ARRAY_TASK_ID");
}

void PartOption::add_to(CLI::App& app, const std::string& out, const std::string& join) {
  app.add_option("--part", text_,
                 "part i of n alone, as 2/4, to " + Part{2, 4}.path(out) + "; " + join +
                     " puts the parts together (default: what mpirun, srun or an array job of Slurm says, "
                     "else the whole)")
      ->check([](const std::string& text) {
        return text.empty() ? std::string("takes i/n, as 2/4, not nothing") : std::string();
      });
}

Part PartOption::part() const {
  const Part part = text_.empty() ? part_of_launcher() : parse_part("--part", text_);
  if (!part.whole() && text_.empty())
    std::cerr << "part " << part.text() << ", by the environment (--part 1/1 for the whole)\n";
  else if (text_.empty() && variable("SLURM_ARRAY_TASK_ID"))
    std::cerr << "the whole, as the only task of an array (--part i/N for a part that is run again)\n";
  return part;
}

Part PartOption::part_of_features(const std::string& out) const {
  const Part found = part();
  if (!found.whole() && !out.ends_with(".npy"))
    throw WrongCall("parts are put together as FILE.npy: give --out " + out + ".npy");
  return found;
}

}  // namespace advf::tools
