// What advface-evaluate reconstruction says of its rows: JSON and a table, scores of single images, a contact
// sheet.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "advface/reconstruction.h"
#include "tensor/io/atomic_file.h"
#include "tensor/io/grid.h"
#include "tools/cli.h"

namespace advf::tools {

// The images that a row is about: all under test, or some of them.
struct Subject {
  std::vector<int64_t> images;          // which of those under test
  std::vector<std::string> files;       // and of each: its name,
  std::vector<std::string> identities;  // the person on it as the labels call him,
  std::vector<int64_t> people;          // and as a number
  Tensor faces;                         // (n,3,S,S), in host memory
  std::vector<Judge> judges;

  Subject only(const std::vector<int64_t>& chosen) const;
  // Those whose person has another photograph in the set.
  const std::vector<int64_t>& with_another_photo() const { return judges[0].other_of; }
};

// What one attacker makes of one set of features.
struct Row {
  std::string attacker, features;
  bool matched = false;       // brightness and contrast are those of the mean face
  double feature_cosine = 1;  // mean, to the raw features
  std::string kind;           // raw, protected, noise, identity or none
  std::optional<double> epsilon;
  ReconstructionScores scores;
};

// With bootstrap intervals over people. `with_another_photo` says how the row does on the images on which
// what identity alone reveals can be told.
nlohmann::json to_json(const Row& row, const Subject& subject, uint64_t seed);
// What keeps an attacker's rows from meaning anything: it does no better than the mean face.
nlohmann::json verdicts(const nlohmann::json& rows);
// rows and verdicts are those above; then all attackers beside what identity alone reveals.
void print_table(const nlohmann::json& rows, const nlohmann::json& verdicts,
                 const std::vector<Judge>& judges);

class Sheet {
 public:
  // One row per person, of the first few.
  Sheet(const Tensor& originals, const std::vector<int64_t>& people);
  void add(const std::string& label, const Tensor& images);
  void write(const std::string& path) const { write_png(path, make_grid(rows_, labels_)); }

 private:
  std::vector<int64_t> samples_;
  std::vector<std::vector<Tensor>> rows_;
  GridLabels labels_;
};

// Scores of single images, tab-separated, for paired comparisons of two settings on the same images. An empty
// path: nothing.
class ScoreFile {
 public:
  ScoreFile(const std::string& path, const std::vector<Judge>& judges);
  void add(const Row& row, const Subject& subject);
  void commit() {
    if (file_) file_->commit();
  }

 private:
  std::optional<AtomicFile> file_;
};

}  // namespace advf::tools
