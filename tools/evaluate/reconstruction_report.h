// What advface-evaluate reconstruction says of its rows: JSON and a table, scores of single images, a contact
// sheet.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tensor/io/atomic_file.h"
#include "tensor/io/file_lock.h"
#include "tensor/io/grid.h"
#include "tools/evaluate/reconstruction_result.h"
#include "tools/options/cli.h"

namespace advf::tools {

// With bootstrap intervals over people. `with_another_photo` says how the row does on the images on which
// what identity alone reveals can be told.
nlohmann::json to_json(const ReconstructionRow& row, const TestedImages& about, uint64_t seed);
// What keeps an attacker's rows from meaning anything: on raw features it does no better than the mean face,
// neither in pixels nor in the eyes of the deployed recogniser, which finds more of the person in its images
// or accepts more of them. rows: the first is about the mean face. deployed: what the recogniser is called.
nlohmann::json verdicts(const nlohmann::json& rows, const std::string& deployed);
// rows and verdicts are those above; then all attackers beside what identity alone reveals.
void print_table(const nlohmann::json& rows, const nlohmann::json& verdicts,
                 const std::vector<std::string>& verifiers);

class Sheet {
 public:
  // One row per person, of the first few.
  Sheet(const Tensor& originals, const std::vector<int64_t>& people);
  // Columns of one group stand side by side, groups in the order in which they came.
  void add(const std::string& group, const std::string& label, const Tensor& images);
  void write(const std::string& path) const;

 private:
  struct Column {
    std::string label;
    std::vector<Tensor> cells;
  };
  std::vector<int64_t> samples_;
  std::vector<std::pair<std::string, std::vector<Column>>> groups_;
};

// The images themselves, as PNG: FOLDER/originals/FILE.png and FOLDER/ATTACKER/FEATURES/FILE.png, where FILE
// is the photograph's, with its folders and its ending. An empty name: nothing.
class ImageFolder {
 public:
  // Throws Error where the folder cannot be made, or has files: other files than those of a call that was
  // killed, which go.
  explicit ImageFolder(const std::string& folder);
  void add(const std::vector<std::string>& below, const std::vector<std::string>& names,
           const Tensor& images);
  void finish();  // all are there

 private:
  std::string folder_of(const std::string& name);
  void begin();

  std::string folder_;
  std::optional<FileLock> unfinished_;  // in the folder, until all are there
  int64_t written_ = 0;
  std::map<std::string, std::string> folders_;  // of the names of attackers and features
};

// Scores of single images, tab-separated, for paired comparisons of two settings on the same images. An empty
// path: nothing.
class ScoreFile {
 public:
  explicit ScoreFile(const std::string& path);
  void add(const ReconstructionRow& row, const TestedImages& about);
  void commit() {
    if (file_) file_->commit();
  }

 private:
  std::optional<AtomicFile> file_;
  bool has_header_ = false;
};

}  // namespace advf::tools
