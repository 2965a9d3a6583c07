// advface-evaluate certificate: what is proved of a protection, beside what attackers reach, as JSON and
// lines.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "advface/attackers/registry.h"
#include "advface/audit/certificate_audit.h"
#include "tools/evaluate/audit_json.h"
#include "tools/evaluate/evaluate.h"

namespace advf::tools {
namespace {

void check_options(const CertificateOptions& o) {
  o.faces.check_cut();
  as_usage([&] {
    check(o.protect.asked(), "give the protection of which something is to be proved: --protect");
    for (const std::string& text : o.attackers) {
      check(!text.starts_with('='), "--attacker \"", text, "\" gives no name before the =");
      named_attacker(split_attacker(text).what, o.common.seed);
    }
  });
}

CertificateSettings settings_of(const CertificateOptions& o) {
  CertificateSettings s;
  s.faces = o.faces;
  s.protection = o.protect.specs(o.common.seed);
  s.attackers = o.attackers;
  s.part = o.split;
  s.limit = o.limit;
  s.prior = o.prior;
  s.image_size = o.image_size;
  s.directions = o.directions;
  s.pixel_noise = o.pixel_noise;
  s.split_seed = o.split_seed;
  s.seed = o.common.seed;
  return s;
}

nlohmann::json naming_json(const Naming& naming, uint64_t seed) {
  std::vector<int64_t> person(naming.nearest.size());
  for (size_t i = 0; i < person.size(); ++i) person[i] = int64_t(i);
  return {{"people", naming.people},
          {"at_most", naming.at_most ? nlohmann::json(*naming.at_most) : nlohmann::json()},
          {"nearest", interval_json(naming.nearest, person, seed)}};
}

nlohmann::json invertibility_json(const Invertibility& v, const CertificateOptions& o) {
  const Estimate dfil = estimate(v.dfil);
  nlohmann::json records = nlohmann::json::array(), reached = nlohmann::json::array();
  for (size_t i = 0; i < v.files.size(); ++i)
    records.push_back({{"file", v.files[i]},
                       {"dfil", v.dfil[i]},
                       {"mse_at_least", {{"unbiased", unbiased_bound(v.dfil[i])}}}});
  for (const Reached& r : v.reached)
    reached.push_back({{"attacker", r.attacker}, {"mse", interval_json(r.mse, v.people, o.common.seed)}});
  return {{"images", v.files.size()},
          {"image_size", v.image_size},
          {"dfil", {{"mean", dfil.mean}, {"error", dfil.error}}},
          {"pixel_noise", o.pixel_noise},
          {"prior",
           {{"photographs", v.prior_photographs},
            {"variance", v.prior_variance},
            {"information", {{"mean", v.information.mean}, {"error", v.information.error}}}}},
          {"mse_at_least",
           {{"unbiased", v.unbiased}, {"pixel_noise", v.any_prior}, {"gaussian_faces", v.gaussian_prior}}},
          {"reached", reached},
          {"records", records}};
}

void print_proved(const nlohmann::json& proved) {
  if (proved.empty()) std::printf("nothing is proved of it\n");
  if (proved.contains("without_key"))
    std::printf("without the key: %s of the features is learned\n",
                proved["without_key"] == "not proved"       ? "it is not proved how little"
                : proved["without_key"] == "inner products" ? "nothing but inner products"
                                                            : "nothing");
  if (proved.contains("privacy"))
    std::printf("privacy of a record%s: epsilon %.4g, delta %.3g\n",
                proved["privacy"].contains("as_long_as") ? ", as long as nobody knows the seed" : "",
                proved["privacy"]["epsilon"].get<double>(), proved["privacy"]["delta"].get<double>());
  if (proved.contains("least_cosine")) {
    const double least = proved["least_cosine"];
    std::printf("cosine to the feature: at least %.4f (%.2f degrees)\n", least,
                std::acos(std::clamp(least, -1.0, 1.0)) * 180 / 3.14159265358979);
  }
}

void print_invertibility(const nlohmann::json& v) {
  const nlohmann::json& least = v["mse_at_least"];
  std::printf(
      "mean squared error of %lld x %lld pixels, dFIL %.4g: at least %.3g of whoever is unbiased;\n  %.3g of "
      "anybody "
      "on faces of the normal prior of %lld photographs (the mean face there: %.3g);\n  %.3g of anybody on "
      "photographs with pixel noise %.3g\n",
      static_cast<long long>(v["image_size"]), static_cast<long long>(v["image_size"]),
      v["dfil"]["mean"].get<double>(), least["unbiased"].get<double>(), least["gaussian_faces"].get<double>(),
      static_cast<long long>(v["prior"]["photographs"]), v["prior"]["variance"].get<double>(),
      least["pixel_noise"].get<double>(), v["pixel_noise"].get<double>());
  for (const nlohmann::json& row : v["reached"]) {
    const nlohmann::json& mse = row["mse"];
    std::printf("  reached by %s: %.4f [%.4f, %.4f]\n", row["attacker"].get<std::string>().c_str(),
                mse["mean"].get<double>(), mse["low"].get<double>(), mse["high"].get<double>());
  }
}

}  // namespace

int evaluate_certificate(CertificateOptions& o) {
  o.common.activate();
  install_interrupt_handler();
  check_options(o);
  const Certificate c = certify(settings_of(o), console());
  nlohmann::json result = {{"part", o.split},
                           {"recogniser", o.faces.recogniser},
                           {"cut", c.cut},
                           {"protection", to_json(c.protection)},
                           {"proved", to_json(c.proved)},
                           {"named", naming_json(c.naming, o.common.seed)},
                           {"invertibility", nlohmann::json()}};
  if (c.invertibility) result["invertibility"] = invertibility_json(*c.invertibility, o);
  o.common.write_json(result);
  std::printf("%s\n", c.protection.describe().c_str());
  print_proved(result["proved"]);
  const nlohmann::json& named = result["named"];
  std::printf("one of %lld people, by who has their features: ", static_cast<long long>(c.naming.people));
  if (c.naming.at_most) std::printf("named with probability at most %.4f; ", *c.naming.at_most);
  std::printf("the nearest is the right one in %s\n", interval_text(named["nearest"]).c_str());
  if (c.invertibility)
    print_invertibility(result["invertibility"]);
  else
    std::printf("no bound on the error of reconstructions: %s\n", c.no_invertibility.c_str());
  return 0;
}

CLI::App* add_certificate_verb(CLI::App& app, CertificateOptions& o) {
  CLI::App* sub = app.add_subcommand(
      "certificate", "what is proved of a protection whoever attacks, beside what attackers reach");
  o.faces.add_to(*sub);
  o.faces.add_labels_to(*sub);
  o.protect.add_to(*sub, "Protection");
  sub->add_option("--attacker", o.attackers,
                  "attacker whose error stands beside the bound, as in reconstruction; repeated");
  sub->add_option("--split", o.split, "the test people of the split, or its validation people")
      ->capture_default_str()
      ->check(CLI::IsMember({"test", "validation"}));
  sub->add_option("--limit", o.limit, "photographs that are differentiated and reconstructed")
      ->capture_default_str()
      ->check(CLI::Range(int64_t(2), int64_t(100000)));
  sub->add_option("--prior", o.prior, "photographs of other people, at most, that say what faces are like")
      ->capture_default_str()
      ->check(CLI::Range(int64_t(2), int64_t(100000)));
  sub->add_option("--image-size", o.image_size,
                  "side in pixels of the images that bounds are of, where no attacker says it")
      ->capture_default_str()
      ->check(CLI::Range(int64_t(8), int64_t(256)));
  sub->add_option("--directions", o.directions,
                  "products with the Jacobian for each image; as many as a feature has values: exact")
      ->capture_default_str()
      ->check(CLI::Range(int64_t(1), int64_t(1) << 20));
  sub->add_option("--pixel-noise", o.pixel_noise,
                  "deviation of the noise that photographs have in them, of which one bound is")
      ->capture_default_str()
      ->check(number_in(1e-6, 1));
  sub->add_option("--split-seed", o.split_seed, "of the split by person, where no --attacker says it")
      ->capture_default_str()
      ->check(CLI::Range(uint64_t(0), uint64_t(INT64_MAX)))
      ->check(not_negative());
  o.common.add_to(*sub);
  return sub;
}

}  // namespace advf::tools
