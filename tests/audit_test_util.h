// For tests of advface-audit: an audit of the toy world that takes seconds.
#pragma once
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

}  // namespace advf::test
