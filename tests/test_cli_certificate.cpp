// What is proved, at the command line: the certificate of several protections, the report of a record, the
// floor of identity beside accuracy; calls that are refused.
#define BOOST_TEST_MODULE cli_certificate
#include <boost/test/unit_test.hpp>
#include <cmath>

#include "advface/keys/key.h"
#include "cli_evaluate_test_util.h"
#include "cli_test_util.h"

using namespace advf;
using namespace advf::test;
using nlohmann::json;

const ToyWorld& advf::test::world() { return toy_world(); }

namespace {

Args data() {
  return toy_world().images() + toy_world().recogniser() +
         Args{"--labels", toy_world().at("faces/labels.csv")};
}
Args gaussian(const std::string& epsilon) {
  return {"--protect", "noise", "--mechanism", "gaussian", "--privacy-epsilon", epsilon};
}
Args certificate_call() { return Args{"certificate", "--limit", "5", "--image-size", "32"} + data(); }

struct Certified {
  json result;
  std::string text;
};
Certified certificate(const Args& args) {
  const TempDir dir;
  const Outcome o = succeed("evaluate", certificate_call() + Args{"--json", dir / "c.json"} + args);
  return {read_json(dir / "c.json"), o.out};
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

json first_report(const Args& args) {
  const TempDir dir;
  succeed("protect", Args{"--in", toy_world().at("z.npy"), "--out", dir / "p.npy", "--report",
                          dir / "r.jsonl", "--json", dir / "p.json"} +
                         args);
  const json first = json::parse(lines_of(read_bytes(dir / "r.jsonl"))[0]);
  const json proved = first.value("proved", json::object());
  BOOST_TEST(read_json(dir / "p.json")["proved"] == proved);
  return proved;
}

}  // namespace

BOOST_AUTO_TEST_CASE(noise_with_a_guarantee) {
  const Certified c =
      certificate(gaussian("8") + Args{"--attacker", "mine=" + toy_world().at("shadow.safetensors")});
  const json& r = c.result;
  BOOST_TEST((r["proved"]["privacy"]["epsilon"] == 8 && r["proved"]["privacy"]["delta"] == 1e-5));
  BOOST_TEST(r["proved"]["privacy"]["named_at_most"].size() == 3u);
  const double at_most = r["named"]["at_most"], nearest = r["named"]["nearest"]["mean"];
  BOOST_TEST((at_most > 1 / r["named"]["people"].get<double>() && at_most < 1));
  BOOST_TEST(nearest <= at_most + 0.2);  // of some ten people
  const json& v = r["invertibility"];
  BOOST_TEST((v["images"] == 5 && v["image_size"] == 32 && v["records"].size() == 5u));
  const json& least = v["mse_at_least"];
  const double variance = v["prior"]["variance"], prior = least["gaussian_faces"];
  BOOST_TEST((prior > 0 && prior < variance));
  BOOST_TEST((least["pixel_noise"] > 0 && least["pixel_noise"] < 0.0004));
  BOOST_TEST(std::abs(least["unbiased"].get<double>() * v["dfil"]["mean"].get<double>() - 1) < 1e-9);
  BOOST_TEST((v["reached"].size() == 2u && v["reached"][0]["attacker"] == "mean face" &&
              v["reached"][1]["attacker"] == "mine"));
  for (const json& row : v["reached"]) BOOST_TEST(row["mse"]["mean"].get<double>() > prior);
  for (const char* part : {"epsilon 8", "named with probability at most", "dFIL", "reached by mine"})
    BOOST_TEST(has(c.text, part), c.text);
  // Exactly, which along random signs it is on average; more noise, less information; the same on any number
  // of threads.
  const json exact = certificate(gaussian("8") + Args{"--directions", "16"}).result["invertibility"];
  BOOST_TEST(
      std::abs(exact["dfil"]["mean"].get<double>() / certificate(gaussian("8") + Args{"--directions", "12"})
                                                         .result["invertibility"]["dfil"]["mean"]
                                                         .get<double>() -
               1) < 0.4);
  const json louder = certificate(gaussian("2") + Args{"--directions", "16"}).result["invertibility"];
  BOOST_TEST(louder["dfil"]["mean"] < exact["dfil"]["mean"]);
  BOOST_TEST(louder["mse_at_least"]["gaussian_faces"] > exact["mse_at_least"]["gaussian_faces"]);
  BOOST_TEST(
      certificate(gaussian("8") + Args{"--directions", "16", "--threads", "1"}).result["invertibility"] ==
      exact);
  const json laplace =
      certificate({"--protect", "noise", "--mechanism", "laplace", "--privacy-epsilon", "30"}).result;
  BOOST_TEST((laplace["proved"]["privacy"]["delta"] == 0 && laplace["invertibility"]["dfil"]["mean"] > 0));
}

BOOST_AUTO_TEST_CASE(other_protections) {
  const Certified length = certificate({"--protect", "noise", "--noise-length", "0.5"});
  BOOST_TEST(std::abs(length.result["proved"]["least_cosine"].get<double>() - 0.875) < 1e-9);
  BOOST_TEST((length.result["named"]["at_most"].is_null() && length.result["invertibility"].is_null()));
  BOOST_TEST(has(length.text, "no bound on the error of reconstructions"), length.text);
  const Certified ascent = certificate(toy_world().shadow() + Args{"--epsilon", "0.1", "--steps", "2"});
  BOOST_TEST(std::abs(ascent.result["proved"]["least_cosine"].get<double>() - std::sqrt(1 - 0.16)) < 1e-6);
  BOOST_TEST(ascent.result["named"]["nearest"]["mean"].get<double>() >
             2 / ascent.result["named"]["people"].get<double>());  // it hides no identity
  BOOST_TEST(has(certificate({"--protect", "quantise"}).text, "nothing is proved"));
  const Certified late = certificate(Args{"--protect", "shuffle"} + gaussian("8"));
  BOOST_TEST((late.result["invertibility"].is_null() && has(late.text, "noise must come first")));
}

BOOST_AUTO_TEST_CASE(a_lock, *boost::unit_test::precondition([](auto) { return has_keys(); })) {
  const TempDir dir;
  succeed("key", {"new", dir / "key"});
  const Args lock{"--protect", "rotation", "--key", dir / "key"};
  const Certified locked = certificate(lock);
  BOOST_TEST(locked.result["proved"]["without_key"] == "nothing");
  BOOST_TEST(locked.result["named"]["nearest"]["mean"] < 0.5);
  BOOST_TEST(has(locked.text, "without the key: nothing"), locked.text);
  const Args set = lock + Args{"--key-mode", "per-set"};
  BOOST_TEST(certificate(set).result["proved"]["without_key"] == "inner products");
  BOOST_TEST(certificate(Args{"--protect", "quantise"} + set).result["proved"]["without_key"] ==
             "not proved");
  BOOST_TEST(has(certificate(lock + Args{"--rotation", "fast"}).text, "not proved"));
}

BOOST_AUTO_TEST_CASE(reports_say_what_is_proved) {
  BOOST_TEST(first_report({"--protect", "quantise"}).empty());
  const json noise = first_report(gaussian("8"));
  BOOST_TEST((noise.size() == 1u && noise["privacy"]["epsilon"] == 8));
  const double two = noise["privacy"]["named_at_most"]["2"],
               many = noise["privacy"]["named_at_most"]["1000000"];
  BOOST_TEST((two > 0.5 && two < 1 && many < 0.01 && many > 1e-6));
  BOOST_TEST(noise["privacy"]["as_long_as"] == "nobody knows the seed");
  BOOST_TEST(!first_report(gaussian("8") + Args{"--noise-from", "secret"})["privacy"].contains("as_long_as"));
  const json kept = first_report(toy_world().shadow() +
                                 Args{"--epsilon", "0.4", "--steps", "2", "--keep-recognition", "0.9"});
  BOOST_TEST(std::abs(kept["least_cosine"].get<double>() - 0.9) < 1e-9);
}

BOOST_AUTO_TEST_CASE(the_floor_beside_accuracy) {
  const json raw = recognition({});
  for (const char* far : {"1e-2", "1e-3"}) {
    const json& floor = raw["identity_floor"][far];
    BOOST_TEST(floor["bits_at_least"].get<double>() >= 0);
    BOOST_TEST((floor["tar_at_least"] <= raw["operating_points"][far]["tar"] &&
                floor["far_at_most"] > raw["operating_points"][far]["far"]));
    BOOST_TEST(floor["people"].size() == 3u);
    for (const auto& [people, list] : floor["people"].items()) {
      BOOST_TEST(between(list["list"], 0, std::stod(people)));
      BOOST_TEST(between(list["named_at_least"], 0, 1));
    }
  }
  BOOST_TEST(raw["identity_floor"]["1e-3"]["bits"].is_null());  // none of 20 impostors passed
  BOOST_TEST(!raw.contains("settled"));
  const Args weak = toy_world().shadow() + Args{"--epsilon", "0.001", "--steps", "1"};
  const json settled = recognition(weak)["settled"],
             both = recognition(weak + Args{"--side", "both"})["settled"];
  BOOST_TEST(std::abs(std::acos(both["least_cosine"].get<double>()) /
                          std::acos(settled["least_cosine"].get<double>()) -
                      2) < 1e-3);
  for (const char* kind : {"genuine_accepted", "impostors_refused"})
    BOOST_TEST(between(settled["1e-2"][kind], 0, 1));
  BOOST_TEST(settled["1e-2"]["impostors_refused"].get<double>() > 0.5);
  BOOST_TEST(!recognition({"--protect", "quantise"}).contains("settled"));
}

BOOST_AUTO_TEST_CASE(certificates_that_are_refused) {
  const TempDir dir;
  const std::string folder = dir.path().string(), shadow = toy_world().at("shadow.safetensors");
  const auto no = [&](const Args& args, int code, const std::vector<std::string>& words) {
    refuse(folder, "evaluate", certificate_call() + args, code, words);
  };
  no({}, 2, {"--protect"});
  no(gaussian("8") + Args{"--limit", "1"}, 2, {"--limit"});
  no(gaussian("8") + Args{"--pixel-noise", "0"}, 2, {"--pixel-noise"});
  no(gaussian("8") + Args{"--pixel-noise", "nan"}, 2, {"--pixel-noise"});
  no(gaussian("8") + Args{"--directions", "0"}, 2, {"--directions"});
  no(gaussian("8") + Args{"--attacker", "=x"}, 2, {"=x", "name"});
  no(gaussian("8") + Args{"--attacker", dir / "absent"}, 1, {"absent"});
  no(gaussian("8") + Args{"--attacker", "oracle:decoder=" + shadow}, 1, {"oracle", "matching side"});
  no(gaussian("0"), 2, {"epsilon"});
  no(Args{"--protect", "noise", "--attacker", shadow}, 1, {"--attacker", "--mechanism gaussian"});
  no(Args{"--protect", "shuffle", "--attacker", shadow} + gaussian("8"), 1, {"first"});
}
