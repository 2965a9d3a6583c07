// What an audit runs: calls of the other programs, each of which makes a network or measures one pair of a
// protection and an attacker, in an order in which each finds what it needs. A step is known by a hash of all
// that its result depends on, so that it is made once, by whichever call of whichever audit comes first.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tools/audit/audit_config.h"
#include "tools/audit/audit_facts.h"

namespace advf::tools {

// Where the steps compute, as options of all programs have it.
struct AuditDevice {
  std::string device = "cpu", precision = "f32";

  std::vector<std::string> options() const;  // none for the usual ones
  std::string text() const;                  // "cuda, bf16"
};

// A word of a command.
struct AuditWord {
  enum class Kind {
    text,    // as it is
    input,   // a file or folder of the user's; what lies in it counts, not its name
    made,    // what another step has made
    out,     // where this step writes
    beside,  // a file that the audit writes into the step's folder
    key,     // a key for measurements, by its number
    cache,   // where features are kept, which changes no result
  };
  Kind kind = Kind::text;
  std::string text;         // of made, out and beside: the file's name in the step's folder
  std::string before = {};  // stands before the path, in the same word: "transfer="
  int64_t number = 0;       // of a step, or a key

  bool operator==(const AuditWord&) const = default;
};

struct AuditStep {
  std::string id, title;  // "decoder, two locks", for the order of a report and for people
  std::string program;    // "train": advface-train
  std::vector<AuditWord> words;
  std::vector<std::pair<std::string, std::string>> files = {};  // name and bytes of what lies beside
  bool resumes = false;                                         // goes on from a checkpoint
  double seconds = 0;                                           // expected
  int64_t memory = 0, disk = 0;                                 // bytes, expected
  std::string hash = {};

  std::vector<int64_t> needs() const;
};

// A protection and who attacks it, or what is measured of it else.
struct AuditPair {
  std::string protection, attacker;  // attacker: of audit_attackers(), or one of the kPairs below
  int64_t seed = 1;
  int64_t step = 0;
  int64_t trained = -1;  // the step that trained who attacks; -1 where nobody was
};
inline constexpr const char* kAccuracy = "accuracy";  // what recognition pays
inline constexpr const char* kStored = "stored";      // bytes and time of a record, and what it looks like
inline constexpr const char* kCertificate = "certificate";  // what is proved

using ProgramDigests = std::map<std::string, std::string>;

struct AuditPlan {
  std::vector<AuditStep> steps;  // each after those that it needs
  std::vector<AuditPair> pairs;
  struct LeftOut {
    std::string protection, attacker, reason;
  };
  std::vector<LeftOut> left_out;
  std::vector<std::string> people_shown;  // files of photographs in the report's pictures
  AuditDevice device;
  std::string data_folder;  // that all inputs lie in
  // Digests of the programs that steps are calls of, by the name without "advface-".
  ProgramDigests programs;

  double seconds() const;
};

// Fills in AuditStep::hash: by the program's bytes, its words, the bytes of what they name, and the steps
// before it. Throws Error where a program is not among `programs`.
void hash_steps(std::vector<AuditStep>& steps, const AuditConfig& config, const AuditFacts& facts,
                const ProgramDigests& programs);
// programs: the folder of advface-train and the others, whose bytes count as well.
AuditPlan make_audit_plan(const AuditConfig& config, const AuditFacts& facts, const std::string& programs,
                          const AuditDevice& device);

}  // namespace advf::tools
