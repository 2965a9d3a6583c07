// For tests of advface-evaluate: recognition on the toy world's test pairs, and what its result must hold.
#pragma once
#include <string>

#include "cli_test_util.h"

namespace advf::test {

// The suite's own: with attackers where it has them.
const ToyWorld& world();

inline bool between(const nlohmann::json& v, double low, double high) {
  return v.is_number() && v.get<double>() >= low && v.get<double>() <= high;
}

inline Args test_images() { return {"--images", world().at("faces/test/images")}; }

inline nlohmann::json recognition(const Args& args) {
  const TempDir dir;
  const Outcome o = succeed("evaluate", Args{"recognition", "--pairs", world().at("faces/test/pairs.txt"),
                                             "--json", dir / "r.json"} +
                                            test_images() + world().recogniser() + args);
  const nlohmann::json r = read_json(dir / "r.json");
  BOOST_TEST(o.out.find("accuracy") != std::string::npos);
  BOOST_TEST(between(r["accuracy"]["mean"], 0.2, 1));
  BOOST_TEST(between(r["accuracy"]["std"], 0, 0.5));
  for (const char* far : {"1e-2", "1e-3"}) {
    BOOST_TEST(between(r["tar_at_far"][far], 0, 1));
    BOOST_TEST(r["operating_points"][far]["tar"] == r["tar_at_far"][far]);
    BOOST_TEST(r["operating_points"][far]["far"].get<double>() <= (far[3] == '2' ? 1e-2 : 1e-3));
  }
  BOOST_TEST(r["tar_at_far"]["1e-3"].get<double>() <= r["tar_at_far"]["1e-2"].get<double>());
  BOOST_TEST(between(r["eer"], 0, 0.7));
  BOOST_TEST(r["pairs"] == 40);
  BOOST_TEST(r["pairs_left_out"] == 0);
  return r;
}

}  // namespace advf::test
