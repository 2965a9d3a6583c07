// The verbs of advface-audit.
#pragma once
#include <string>

#include "tools/audit/audit_config.h"
#include "tools/options/cli.h"
#include "tools/options/face_options.h"

namespace advf::tools {

// What tells which audit: a file, or the options of the common case.
struct AuditCall {
  Common common;
  FaceOptions faces;
  std::string config, second, pairs, out, cache, share;
  std::vector<std::string> protections, attributes;
  bool quick = false, full = false, without_pictures = false;

  void add_to(CLI::App& app);
  AuditConfig read() const;
  std::string cache_folder() const;
};

int audit_run(AuditCall& call);
int audit_plan(AuditCall& call);

struct InitCall {
  Common common;
  FaceOptions faces;
  std::string second, out;
  bool quick = false, full = false;
};
CLI::App* add_init_verb(CLI::App& app, InitCall& call);
int audit_init(InitCall& call);

struct CompareCall {
  Common common;
  std::string before, after;
  double threshold = 0.02;
  bool independent = false;  // other photographs or recognisers are no mistake
  bool weaker = false;       // nor are attackers that ask less
};
CLI::App* add_compare_verb(CLI::App& app, CompareCall& call);
int audit_compare(CompareCall& call);

struct TableCall {
  Common common;
  std::vector<std::string> reports;
  std::string picture;
};
CLI::App* add_table_verb(CLI::App& app, TableCall& call);
int audit_table(TableCall& call);

// Of verify: nothing contradicts, but not everything that is compared could be.
inline constexpr int kNotAllCompared = 3;
struct VerifyCall {
  Common common;
  std::string report, rerun, data, signature, public_key;
};
CLI::App* add_verify_verb(CLI::App& app, VerifyCall& call);
int audit_verify(VerifyCall& call);

struct SignCall {
  Common common;
  std::string report, key, data, out;
};
CLI::App* add_sign_verb(CLI::App& app, SignCall& call);
int audit_sign(SignCall& call);
CLI::App* add_new_key_verb(CLI::App& app, SignCall& call);
int audit_new_key(SignCall& call);

// The folder that this program lies in, where the others lie.
std::string programs_folder();

}  // namespace advf::tools
