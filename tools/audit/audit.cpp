// advface-audit: every attacker on every protection, as one call that can be cut off and goes on, and the
// report of what came of it.
#include "tools/audit/audit.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>

#include "advface/core/recogniser.h"
#include "tensor/backend.h"
#include "tensor/io/atomic_file.h"

using namespace advf;
using namespace advf::tools;

namespace advf::tools {

namespace fs = std::filesystem;

std::string programs_folder() {
  std::error_code failed;
  const fs::path self = fs::read_symlink("/proc/self/exe", failed);
  check(!failed, "/proc/self/exe: ", failed.message());
  for (const char* program : {"train", "evaluate", "extract", "protect"}) {
    const fs::path other = self.parent_path() / (std::string("advface-") + program);
    check(access(other.c_str(), X_OK) == 0, other.string(),
          ": is not there, or cannot be run; advface-audit calls it, and "
          "expects it beside itself");
  }
  return self.parent_path().string();
}

void AuditCall::add_to(CLI::App& app) {
  app.add_option("config", config,
                 "file that says what is audited (advface-audit init writes one); or, instead:")
      ->type_name("CONFIG");
  faces.add_features_to(app);
  for (const char* name : {"--recogniser", "--images"}) app.get_option(name)->required(false);
  faces.add_labels_to(app);
  app.add_option("--second-recogniser", second,
                 "card of a recogniser that the defence never saw, which judges faces");
  app.add_option("--pairs", pairs,
                 "pairs for the accuracy of recognition; without it pairs of the test people are drawn");
  app.add_option("--attributes", attributes, "columns of --labels that the attacker attributes asks about")
      ->delimiter(',');
  CLI::Option* small =
      app.add_flag("--quick", quick, "for a first look; its attackers have not converged, and it says so");
  app.add_flag("--full", full, "the whole matrix, with several seeds")->excludes(small);
  app.get_option("--cache")->description(
      "folder where networks, features and results are kept and found again (default: "
      "$XDG_CACHE_HOME/advface, or ~/.cache/advface)");
  app.add_option(
      "--jobs,--part", share,
      "i/n: only the i-th of n shares of the pairs; several calls with one --cache share the work, and a "
      "last one without --jobs makes the report (default: what mpirun, srun or an array job of Slurm says, "
      "else "
      "all)");
  common.add_to(app);
}

std::string AuditCall::cache_folder() const {
  if (!faces.cache.empty()) return faces.cache;
  const char* base = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  check((base && *base) || (home && *home), "neither XDG_CACHE_HOME nor HOME is set; say --cache DIR");
  return base && *base ? std::string(base) + "/advface" : std::string(home) + "/.cache/advface";
}

AuditConfig AuditCall::read() const {
  const std::string size = quick ? "quick" : full ? "full" : "default";
  if (!config.empty()) {
    as_usage([&] {
      check(faces.recogniser.empty() && faces.images.empty() && !quick && !full && second.empty() &&
                pairs.empty() && attributes.empty(),
            "what is audited stands in ", config,
            "; leave --recogniser, --images, --quick and the like to it");
    });
    return read_audit_config(config);
  }
  as_usage([&] {
    check(!faces.recogniser.empty() && !faces.images.empty(),
          "name a file that says what is audited (advface-audit init writes one), or "
          "--recogniser and --images");
  });
  const Recogniser recogniser = Recogniser::load(faces.recogniser);
  nlohmann::json text = {
      {"version", 1},
      {"size", size},
      {"recogniser", faces.recogniser},
      {"images", faces.images},
      {"protections", usual_protections(size, recogniser.feature_shape(faces.cut_of(recogniser)),
                                        people_to_train_on(faces))},
      {"seed", common.seed}};
  for (const auto& [key, value] : std::initializer_list<std::pair<const char*, const std::string*>>{
           {"second_recogniser", &second},
           {"pairs", &pairs},
           {"labels", &faces.labels},
           {"list", &faces.list},
           {"cut", &faces.cut},
           {"detector", &faces.detection.card},
           {"landmarks", &faces.detection.landmarks}})
    if (!value->empty()) text[key] = *value;
  if (!faces.eyes.empty()) text["eyes"] = faces.eyes;
  const std::vector<std::string> asked = attributes.empty() ? usual_attributes(faces.labels) : attributes;
  if (!asked.empty()) text["attributes"] = asked;
  return parse_audit_config(text.dump(), "the call", fs::current_path().string());
}

CLI::App* add_init_verb(CLI::App& app, InitCall& call) {
  CLI::App* sub = app.add_subcommand("init", "writes a file, with comments, that says what is audited");
  call.faces.add_features_to(*sub);
  call.faces.add_labels_to(*sub);
  sub->add_option("--second-recogniser", call.second, "card of a recogniser that the defence never saw");
  CLI::Option* small = sub->add_flag("--quick", call.quick, "for a first look");
  sub->add_flag("--full", call.full, "for everything")->excludes(small);
  sub->add_option("--out", call.out, "the file")->required();
  call.common.add_to(*sub);
  return sub;
}

int audit_init(InitCall& call) {
  call.common.activate();
  const std::string size = call.quick ? "quick" : call.full ? "full" : "default";
  check(!fs::exists(call.out), call.out, ": is there already; an audit's file is not replaced");
  const Recogniser recogniser = Recogniser::load(call.faces.recogniser);
  if (!call.second.empty()) Recogniser::load(call.second);
  check(fs::is_directory(call.faces.images), call.faces.images, ": is no folder");
  FaceSettings faces = call.faces;
  const std::vector<std::string> attributes = usual_attributes(faces.labels);
  // As the file will find them.
  const fs::path folder = fs::absolute(call.out).parent_path();
  for (std::string* path :
       {&faces.recogniser, &faces.images, &faces.labels, &faces.detection.card, &call.second})
    if (!path->empty() && !fs::path(*path).is_absolute()) *path = fs::relative(*path, folder).string();
  const std::string text =
      example_config(faces, call.second, size, attributes, recogniser.feature_shape(faces.cut_of(recogniser)),
                     people_to_train_on(call.faces), call.common.seed);
  parse_audit_config(text, call.out, folder.string());
  AtomicFile file(call.out);
  file.write(text);
  file.commit();
  call.common.write_json({{"out", call.out}, {"size", size}});
  std::cout << call.out << ": look it through, then: advface-audit plan " << call.out << "\n";
  return 0;
}

}  // namespace advf::tools

int main(int argc, char** argv) {
  CLI::App app(
      "Audits protections of face features: trains and runs every attacker that its file names, and writes a "
      "report.",
      "advface-audit");
  app.require_subcommand(0, 1);
  app.footer(
      "Examples:\n"
      "  advface-audit init --recogniser facenet.json --images celeba/images --labels celeba/labels.csv \\\n"
      "    --eyes 34.5,55.5,54,55.5 --second-recogniser mobile.json --out audit.json\n"
      "  advface-audit plan audit.json\n"
      "  advface-audit audit.json --out report\n"
      "  advface-audit compare before/report.json after/report.json\n"
      "  advface-audit verify report/report.json --rerun \"two locks/adaptive/protected\"\n"
      "  advface-audit --recogniser rec.json --images faces/images --labels faces/labels.csv --quick --out "
      "report");
  AuditCall run_call, plan_call;
  run_call.add_to(app);
  app.add_option("--out", run_call.out, "folder for report.html, report.json and audit.json, the settings");
  app.add_flag("--without-pictures", run_call.without_pictures,
               "no photograph, and nothing that attackers drew, stands in report.html");
  CLI::App* plan =
      app.add_subcommand("plan", "what would be run: every pair, with its time, memory and disk");
  plan_call.add_to(*plan);
  CompareCall compare;
  CLI::App* compare_app = add_compare_verb(app, compare);
  TableCall table;
  CLI::App* table_app = add_table_verb(app, table);
  VerifyCall verify;
  CLI::App* verify_app = add_verify_verb(app, verify);
  SignCall sign, fresh;
  CLI::App* sign_app = add_sign_verb(app, sign);
  CLI::App* new_key_app = add_new_key_verb(app, fresh);
  InitCall init;
  CLI::App* init_app = add_init_verb(app, init);
  return run(app, argc, argv, [&] {
    if (*init_app) return audit_init(init);
    if (*plan) return audit_plan(plan_call);
    if (*compare_app) return audit_compare(compare);
    if (*table_app) return audit_table(table);
    if (*verify_app) return audit_verify(verify);
    if (*sign_app) return audit_sign(sign);
    if (*new_key_app) return audit_new_key(fresh);
    return audit_run(run_call);
  });
}
