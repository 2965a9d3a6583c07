// For tests of advface-audit: an audit of the toy world that takes seconds.
#pragma once
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>

#include "advface/keys/key.h"
#include "cli_test_util.h"

namespace advf::test {

inline nlohmann::json quick_audit() {
  nlohmann::json protections = {
      {{"name", "AdvFace"}, {"protect", {"advface"}}, {"epsilon", 0.1}, {"steps", 3}}};
  if (has_keys())
    protections.push_back({{"name", "locked"}, {"protect", {"quantise", "rotation"}}, {"bits", 3}});
  return {{"version", 1},
          {"size", "quick"},
          {"recogniser", toy_world().at("rec.json")},
          {"images", toy_world().at("faces/images")},
          {"labels", toy_world().at("faces/labels.csv")},
          {"attributes", {"Smiling"}},
          {"attackers", {"transfer", "adaptive", "inversion", "linkage", "attributes", "unlinkability"}},
          {"protections", protections},
          {"budget",
           {{"images", 100},
            {"test_images", 12},
            {"inversion_images", 6},
            {"inversion_steps", 2},
            {"shadow_epochs", 1},
            {"decoder_epochs", 1},
            {"linkage_epochs", 1},
            {"probe_epochs", 1}}}};
}

inline std::string write_json(const TempDir& dir, const std::string& name, const nlohmann::json& value) {
  write_bytes(dir / name, value.dump());
  return dir / name;
}

// What most cases look at: one audit, made once.
struct Audited {
  TempDir dir;
  std::string file = write_json(dir, "audit.json", quick_audit());
  Outcome first =
      succeed("audit", {file, "--out", dir / "report", "--cache", dir / "cache", "--threads", "2"});
  nlohmann::json report = read_json(dir / "report/report.json");
  std::string page = read_bytes(dir / "report/report.html");

  // For a look at it in a browser, which is a test of its own.
  Audited() {
    if (const char* kept = std::getenv("ADVF_KEPT_PAGE")) write_bytes(kept, page);
  }
};
inline const Audited& audited() {
  static const Audited a;
  return a;
}

inline size_t count(const std::string& text, const std::string& what) {
  size_t n = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + what.size())) ++n;
  return n;
}

}  // namespace advf::test
