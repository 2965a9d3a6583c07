// What the verbs of advface-store share: which store and set, what protects it, the features that come in.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "advface/protections/features_to_protect.h"
#include "advface/store/calibration.h"
#include "advface/store/set_protection.h"
#include "advface/store/store.h"
#include "tools/options/face_options.h"

namespace advf::tools {

// A verb of the program, which run() calls where it was chosen.
struct Verb {
  CLI::App* app;
  std::function<int()> run;
};
using Verbs = std::vector<Verb>;
void add_fill_verbs(CLI::App& app, Verbs& verbs);      // init, add
void add_match_verbs(CLI::App& app, Verbs& verbs);     // verify, identify, calibrate, stats
void add_renew_verbs(CLI::App& app, Verbs& verbs);     // renew, migrate
void add_exchange_verbs(CLI::App& app, Verbs& verbs);  // export, import
void add_manage_verbs(CLI::App& app, Verbs& verbs);    // list, show, remove, log, check, backup

// A name on each line.
std::vector<std::string> lines_of_file(const std::string& path);

struct StoreOptions {
  Common common;
  std::string store, set = "default", actor;
  double wait = 30;
  ProtectionFiles files;
  bool looks_for_damage = false;  // opens a store of which it is known that something is wrong, too

  // STORE, --set, --wait and what every program has; with `by` also who does it, for the events.
  void add_to(CLI::App& app, bool by);
  // --key and the other files that a set's protection needs.
  void add_files_to(CLI::App& app);
  Store open(Database::Access access) const;
};

// For people: what became of what was removed (Store::forget()).
std::string what_is_left(bool erased, const std::string& store);

// --rows: as what the values of stored rows are kept.
void add_rows_option(CLI::App& app, RowType& rows);

// The store, made where it is not there; gone again where it was made and keep() was not called.
class NewStore {
 public:
  explicit NewStore(std::string path);
  ~NewStore();
  NewStore(const NewStore&) = delete;
  void keep() { made_ = false; }

 private:
  std::string path_;
  bool made_;
};

// Photographs, or features of a file.
struct FeatureOptions {
  FaceOptions faces;
  std::vector<std::string> photographs;
  std::string in;
  std::optional<int64_t> average;

  void add_to(CLI::App& app, const std::string& whose);
  void check() const;
  bool given() const { return !in.empty() || !photographs.empty(); }
  std::optional<Recogniser> recogniser() const;
  // Raw features that fit the set, each looked at. Throws Error naming both sides for those of another
  // recogniser, cut or dimension, and for protected ones. names: of the rows, for --average; none: as input.
  FeaturesToProtect read(const Store& store, const StoredSet& set, const Recogniser* recogniser,
                         const std::vector<std::string>& names) const;
};

// A decision's threshold, and what stands behind it.
struct Threshold {
  double value = 0;
  std::optional<double> rate;  // the false match rate; empty where nobody has measured it
  std::string note;            // for people: of how many scores, or that there are none
  std::string scores;          // the first part of that: of how many, of whom, when
  int64_t mean_of = 0;         // the calibration's; 0: there is none

  // For decisions about a record that is the mean of so many photographs: the mean of more than the rate is
  // of, or of nobody knows how many (0), is nearer to everybody, and nobody has measured how near. So is a
  // probe that is a mean.
  Threshold for_means_of(int64_t photographs, bool probe_is_mean) const;
  nlohmann::json json() const;
};
struct ThresholdOptions {
  std::optional<double> threshold, fmr;

  void add_to(CLI::App& app);
  // Throws WrongCall where nothing says where to decide.
  Threshold of(Store& store, const StoredSet& set) const;
};

nlohmann::json to_json(const StoredSet& set);
nlohmann::json to_json(const StoredRecord& record);

}  // namespace advf::tools
