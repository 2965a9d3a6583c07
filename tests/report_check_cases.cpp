// What of a report of advface-audit follows from its settings, inputs and other parts. Part of the suite
// `cli_audit_reports`.
#include <boost/test/unit_test.hpp>
#include <functional>
#include <set>
#include <stdexcept>

#include "audit_test_util.h"
#include "tools/audit/audit_facts.h"
#include "tools/audit/audit_people.h"
#include "tools/audit/audit_plan.h"
#include "tools/audit/audit_report.h"
#include "tools/audit/report_checks.h"

using namespace advf;
using namespace advf::test;
using nlohmann::json;

// A setting that was changed in the report and the digest made again: the commands and hashes of steps are
// not those that it gives. So are steps and rows that were taken away, put in, or are of something else.
BOOST_AUTO_TEST_CASE(steps_and_rows_follow_from_the_settings) {
  const Audited& a = audited();
  const auto config_of = [](const json& report) {
    return tools::parse_audit_config(report["config"].dump(), "report.json", "/");
  };
  const tools::AuditConfig config = config_of(a.report);
  const tools::AuditFacts facts = tools::audit_facts(config, {});
  const auto wrong = [&](const std::function<void(json&)>& edit) {
    json report = a.report;
    edit(report);
    const tools::AuditConfig changed = config_of(report);
    const tools::AuditPlan plan = tools::make_audit_plan(changed, facts, ADVF_PROGRAMS, {});
    std::string all;
    for (const std::string& one : tools::wrong_steps(report, changed, facts, plan)) all += one + "\n";
    for (const std::string& one : tools::wrong_rows(report, changed, plan)) all += one + "\n";
    return all;
  };
  BOOST_TEST(wrong([](json&) {}) == "");
  BOOST_TEST(wrong([](json& r) { r.erase("programs"); }) == "");  // of an older version
  BOOST_TEST(wrong([](json& r) {  // an attacker who could not be run, as a report has it
               for (json& step : r["steps"]) {
                 if (step["id"] != "reconstruction by adaptive, AdvFace") continue;
                 step["seconds"] = nullptr;
                 r["failed"].push_back({{"step", step["id"]}, {"hash", step["hash"]}, {"reason", "no room"}});
               }
               r["unmeasured"].push_back({{"protection", "AdvFace"}, {"attacker", "adaptive"}});
               for (size_t i = 0; i < r["rows"].size(); ++i)
                 if (r["rows"][i]["id"] == "AdvFace/adaptive/protected") r["rows"].erase(i);
             }) == "");
  const auto told = [&](const std::string& what, const std::function<void(json&)>& edit) {
    const std::string all = wrong(edit);
    BOOST_TEST(all.find(what) != std::string::npos, what << " in " << all);
  };
  const auto row = [](json& r, const char* id) -> json& {
    for (json& one : r["rows"])
      if (one["id"] == id) return one;
    throw std::runtime_error(id);
  };
  const char* adaptive = "AdvFace/adaptive/protected";
  told("the command of decoder of AdvFace", [](json& r) { r["config"]["budget"]["decoder_epochs"] = 50; });
  told("the hash of decoder of AdvFace", [](json& r) { r["config"]["budget"]["decoder_epochs"] = 50; });
  told("the command of stored, AdvFace", [](json& r) { r["config"]["protections"][1]["epsilon"] = "0.01"; });
  told("the command of linkage, AdvFace", [](json& r) {
    r.erase("programs");
    r["config"]["seed"] = 5;
  });
  told("is of no pair that was planned", [](json& r) { r["config"]["seed"] = 5; });
  told("the hash of pairs", [](json& r) { r["programs"]["evaluate"] = "sha256:0"; });
  told("no digest of advface-train", [](json& r) { r["programs"].erase("train"); });
  // Everywhere, so that the report agrees with itself.
  told("the hash of linkage, AdvFace", [](json& r) {
    std::string hash, text = r.dump();
    for (const json& step : r["steps"])
      if (step["id"] == "linkage, AdvFace") hash = step["hash"];
    for (size_t at; (at = text.find(hash)) != std::string::npos;)
      text.replace(at, hash.size(), "0123456789abcdef");
    r = json::parse(text);
  });
  told("what linkage, AdvFace needs", [](json& r) {
    for (json& step : r["steps"])
      if (step["id"] == "linkage, AdvFace") step["needs"] = json::array();
  });
  told("and " + std::to_string(a.report["steps"].size()) + " are planned",
       [](json& r) { r["steps"].erase(0); });
  told("`failed` does not", [](json& r) {
    r["failed"].push_back({{"step", r["steps"][0]["id"]}, {"hash", r["steps"][0]["hash"]}, {"reason", "?"}});
  });
  told("`failed` does not", [](json& r) { r["steps"][0]["seconds"] = nullptr; });
  told("`unmeasured` does not", [](json& r) {
    r["unmeasured"].push_back({{"protection", "AdvFace"}, {"attacker", "stored"}});
  });
  told("AdvFace, adaptive was measured, and has no row", [&](json& r) {
    for (size_t i = 0; i < r["rows"].size(); ++i)
      if (r["rows"][i]["id"] == adaptive) r["rows"].erase(i);
  });
  told(std::string(adaptive) + " is there twice", [&](json& r) {
    const json again = row(r, adaptive);
    r["rows"].push_back(again);
  });
  told("is called otherwise", [&](json& r) { row(r, adaptive)["id"] = "AdvFace/oracle/protected"; });
  told("is of no pair", [&](json& r) { row(r, adaptive)["attacker"] = "oracle"; });
  told("is not of its step", [&](json& r) { row(r, adaptive)["command"] = "true"; });
  told("is not of its step",
       [&](json& r) { row(r, adaptive)["step"] = row(r, "none/linkage/the recogniser alone/raw")["step"]; });
}

// Parts of a report that say something of one another.
BOOST_AUTO_TEST_CASE(parts_of_a_report_agree) {
  const Audited& a = audited();
  const tools::AuditConfig config = tools::parse_audit_config(a.report["config"].dump(), "report.json", "/");
  const auto wrong = [&](const std::function<void(json&)>& edit) {
    json report = a.report;
    edit(report);
    std::string all;
    for (const std::string& one : tools::contradictions(report, config)) all += one + "\n";
    return all;
  };
  const auto told = [&](const std::string& what, const std::function<void(json&)>& edit) {
    const std::string all = wrong(edit);
    BOOST_TEST(all.find(what) != std::string::npos, what << " in " << all);
  };
  const auto row = [](json& r, const std::string& id) -> json& {
    for (json& one : r["rows"])
      if (one["id"] == id) return one;
    throw std::runtime_error(id);
  };
  BOOST_TEST(wrong([](json&) {}) == "");
  const std::string adaptive = "AdvFace/adaptive/protected",
                    alone = "AdvFace/linkage/the recogniser alone/protected";
  told("ssim is not the better", [&](json& r) { row(r, adaptive)["measures"]["ssim"]["mean"] = 0.01; });
  told("cosine is not that of", [&](json& r) { row(r, adaptive)["measures"]["cosine"]["mean"] = 0.01; });
  told("has no interval", [&](json& r) { row(r, alone)["measures"]["auc"]["low"] = 1.5; });
  told("ssim above nothing", [&](json& r) { row(r, adaptive)["above"]["ssim"]["mean"] = -0.5; });
  told("nothing of its cosine", [&](json& r) { row(r, adaptive)["chance"]["cosine"]["mean"] = 0.5; });
  told("chance is not one", [&](json& r) { row(r, alone)["chance"]["rank_1"]["mean"] = 0.5; });
  told("cosine above nothing", [&](json& r) { row(r, adaptive)["above"]["cosine"]["mean"] = 0.5; });
  for (const char* leak : {"appearance", "identity"})
    told(adaptive + ": whether it counts for " + leak, [&](json& r) {
      json& counts = row(r, adaptive)["counts"][leak];
      counts = !counts.get<bool>();
    });
  told(alone + ": whether it counts for linkability", [&](json& r) {
    json& counts = row(r, alone)["counts"]["linkability"];
    counts = !counts.get<bool>();
  });
  told("whether it counts for attributes", [&](json& r) {
    for (json& one : r["rows"])
      if (one["attacker"] == "attributes")
        one["counts"]["attributes"] = !one["counts"]["attributes"].get<bool>();
  });
  told("does not say why", [&](json& r) { row(r, adaptive)["why_not"] = nullptr; });
  told("more photographs than it can", [&](json& r) { row(r, adaptive)["images"] = 1000; });
  told("not as many photographs as", [&](json& r) { row(r, alone)["images"] = 3; });
  BOOST_REQUIRE(!a.report["groups"].empty());
  const auto group = [](json& r, const char* attacker) -> json& {
    for (json& g : r["groups"])
      if (g["attacker"] == attacker && g["protection"] == "AdvFace") return g;
    throw std::runtime_error(attacker);
  };
  told("both groups together", [&](json& r) { group(r, "attributes")["value"]["mean"] = 0.9; });
  told("its photographs are not those", [&](json& r) { group(r, "attributes")["images"] = 1000; });
  told("its photographs are not those", [&](json& r) { group(r, "linkage")["images"] = 1000; });
  told("no attribute of the settings", [&](json& r) { group(r, "attributes")["attribute"] = "Bearded"; });
  told("is of no row", [&](json& r) { group(r, "attributes")["variant"] = "a guess"; });
  told("neither measured nor left out", [&](json& r) { r["left_out"] = json::array(); });
  told("was run and was not", [](json& r) { r["steps"][0]["seconds"] = nullptr; });
  // Whatever needs what failed says so, and nothing else does.
  const auto fail = [](json& r, const std::string& id, const std::string& reason) {
    for (const json& step : r["steps"])
      if (step["id"] == id) r["failed"].push_back({{"step", id}, {"hash", step["hash"]}, {"reason", reason}});
  };
  const std::string decoder = "decoder of AdvFace", asked = "reconstruction by adaptive, AdvFace";
  BOOST_TEST(wrong([&](json& r) {
               fail(r, decoder, "no room"), fail(r, asked, "needs \"" + decoder + "\", which failed");
             }) == "");
  told("why " + asked + " failed", [&](json& r) { fail(r, decoder, "no room"), fail(r, asked, "no room"); });
  told("why " + asked + " failed",
       [&](json& r) { fail(r, asked, "needs \"" + decoder + "\", which failed"); });
  told("failed without a reason", [&](json& r) { fail(r, decoder, ""); });
  told("the program is called", [](json& r) {
    r["programs"]["audit"] = tools::own_digest();
    r["program"] = "advface-audit 9";
  });
}

// Who has converged follows from settings and how trainings ended.
BOOST_AUTO_TEST_CASE(who_came_to_rest_is_told_again) {
  const Audited& a = audited();
  const tools::AuditConfig config = tools::parse_audit_config(a.report["config"].dump(), "report.json", "/");
  const tools::AuditPlan plan =
      tools::make_audit_plan(config, tools::audit_facts(config, {}), ADVF_PROGRAMS, {});
  bool known = false;
  const auto wrong = [&](const json& report, const tools::AuditConfig& c) {
    return tools::not_at_rest(report, c, plan, known);
  };
  BOOST_TEST((wrong(a.report, config).empty() && known));
  // A quick audit's attackers have not; nor is a measure that nobody has to learn turned over.
  for (size_t i = 0; i < a.report["rows"].size(); ++i) {
    json changed = a.report;
    json& converged = changed["rows"][i]["converged"];
    converged = !converged.get<bool>();
    BOOST_TEST(wrong(changed, config).size() == 1u, changed["rows"][i]["id"]);
  }
  // Of other sizes the trainings tell.
  tools::AuditConfig slow = config;
  slow.size = "default", slow.budget.inversion_steps = 60, slow.budget.linkage_epochs = 20;
  const auto ended = [&](const json& rest, bool converged) {
    json changed = a.report;
    for (json& step : changed["steps"])
      if (step["id"] == "decoder of AdvFace") step["rest"] = rest;
    json one = json::array();
    for (json& row : changed["rows"])
      if (row["id"] == "AdvFace/adaptive/protected") row["converged"] = converged, one.push_back(row);
    changed["rows"] = one;
    return wrong(changed, slow).size();
  };
  BOOST_TEST(ended({{"verdict", "settled"}}, true) == 0u);
  BOOST_TEST(ended({{"verdict", "flat"}}, true) == 0u);
  BOOST_TEST(ended({{"verdict", "falling"}}, true) == 1u);
  BOOST_TEST(ended({{"verdict", "falling"}}, false) == 0u);
  BOOST_TEST(ended({{"verdict", "settled"}}, false) == 1u);
  BOOST_TEST(ended({{"validation_losses", {1.0, 0.9, 0.8}}}, true) == 1u);
  BOOST_TEST(ended({{"validation_losses", std::vector<double>(10, 0.5)}}, true) == 0u);
  BOOST_TEST(known);
  json older = a.report;
  for (json& step : older["steps"]) step.erase("rest");
  BOOST_TEST((wrong(older, config).empty() && known));  // the size decides
  wrong(older, slow);
  BOOST_TEST(!known);
}

// People stand under numbers; nothing else of a person or a setting is written there.
BOOST_AUTO_TEST_CASE(people_have_no_names_and_no_secrets) {
  const Audited& a = audited();
  const json people = read_json(a.dir / "report/people.json");
  std::set<std::string> ids{"format", "version", "sets", "rows", "people", "images",
                            "id",     "measure", "of",   "set",  "means",  "advface-audit-people"};
  for (const json& row : a.report["rows"]) {
    ids.insert(row["id"]);
    for (const auto& [measure, value] : row["measures"].items()) ids.insert(measure);
  }
  const std::function<void(const json&)> look = [&](const json& value) {
    if (value.is_string()) {
      const std::string text = value;
      BOOST_TEST((ids.contains(text) ||
                  (text.size() == 16 && text.find_first_not_of("0123456789abcdef") == std::string::npos)),
                 text);
    }
    if (value.is_object())
      for (const auto& [key, one] : value.items()) BOOST_TEST(ids.contains(key), key);
    if (value.is_structured())
      for (const json& one : value) look(one);
  };
  look(people);
}

BOOST_AUTO_TEST_CASE(people_make_the_means_of_rows) {
  const Audited& a = audited();
  const json people = read_json(a.dir / "report/people.json");
  const auto wrong = [&](const std::function<void(json & report, json & people)>& edit) {
    json report = a.report, values = people;
    edit(report, values);
    return tools::not_of_people(report, tools::PeopleValues::parse(values.dump(), "people.json"));
  };
  using Names = std::vector<std::string>;
  BOOST_TEST(wrong([](json&, json&) {}).empty());
  const auto shifted = [&](const std::string& id, const std::string& measure) {
    return wrong([&](json& r, json&) {
      for (json& row : r["rows"])
        if (row["id"] == id)
          row["measures"][measure]["mean"] = row["measures"][measure]["mean"].get<double>() - 0.01;
    });
  };
  BOOST_TEST((shifted("AdvFace/adaptive/protected", "ssim") == Names{"AdvFace/adaptive/protected: ssim"}));
  BOOST_TEST((wrong([&](json& r, json&) {
                for (json& row : r["rows"])
                  if (row["id"] == "AdvFace/adaptive/protected") row["images"] = 5;
              }).size() == 3u));
  // Those under test, and no others, make the ends of intervals as well.
  const tools::PeopleValues values = tools::PeopleValues::parse(people.dump(), "people.json");
  const tools::AuditConfig config = tools::parse_audit_config(a.report["config"].dump(), "report.json", "/");
  const std::vector<std::string> tested = tools::audit_facts(config, {}).test_identities;
  BOOST_TEST(tools::not_of_tested(a.report, values, tested).empty());
  for (const auto& [measure, end] :
       {std::pair("ssim", "low"), std::pair("cosine", "high"), std::pair("replay", "high")}) {
    json report = a.report;
    for (json& row : report["rows"])
      if (row["id"] == "AdvFace/adaptive/protected")
        row["measures"][measure][end] = row["measures"][measure][end].get<double>() + 0.01;
    BOOST_TEST((tools::not_of_tested(report, values, tested) ==
                Names{std::string("AdvFace/adaptive/protected: ") + measure + " has another interval"}));
  }
  const std::vector<std::string> fewer(tested.begin() + 2, tested.end());
  const Names others = tools::not_of_tested(a.report, values, fewer);
  BOOST_TEST((!others.empty() && others[0].ends_with(" of who is not under test")));
  std::vector<std::string> once;
  for (const std::string& name : tested)
    if (once.empty() || once.back() != name) once.push_back(name);
  const Names more = tools::not_of_tested(a.report, values, once);
  BOOST_TEST((!more.empty() && more[0].ends_with(" of more photographs than there are")));
  BOOST_TEST((wrong([&](json& r, json&) {
                for (json& row : r["rows"])
                  if (row["id"] == "AdvFace/accuracy/protected") {
                    json& high = row["measures"]["accuracy_loss"]["high"];
                    high = high.get<double>() + 0.01;
                  }
              }) == Names{"AdvFace/accuracy/protected: accuracy"}));
  BOOST_TEST((shifted("AdvFace/accuracy/protected", "accuracy_loss") ==
              Names{"AdvFace/accuracy/protected: accuracy"}));
  const std::string first =
      people["rows"][0]["id"].get<std::string>() + ": " + people["rows"][0]["measure"].get<std::string>();
  BOOST_TEST((wrong([](json&, json& p) { p["rows"].erase(0); }) == Names{first}));
  BOOST_TEST((wrong([](json&, json& p) {
                p["rows"].push_back(p["rows"][0]);
                p["rows"].back()["id"] = "AdvFace/telepathy/protected";
              }).size() == 1u));
}

// Networks that are fitted with other settings are two, also where the values are the same.
BOOST_AUTO_TEST_CASE(fits_of_other_settings_are_two_steps) {
  json s = quick_audit();
  s["attackers"] = {"linkage"};
  s["protections"] = json::array();
  for (const auto& [name, setting] :
       {std::pair("A", "dims"), std::pair("B", "shrinkage"), std::pair("C", "dims")})
    s["protections"].push_back({{"name", name}, {"protect", {"projection"}}, {"fit", {{setting, 8}}}});
  const tools::AuditConfig config = tools::parse_audit_config(s.dump(), "audit.json", "/");
  // Facts of the same inputs: there are too few people for a projection of the usual dimensions.
  const tools::AuditFacts facts =
      tools::audit_facts(tools::parse_audit_config(quick_audit().dump(), "audit.json", "/"), {});
  const tools::AuditPlan plan = tools::make_audit_plan(config, facts, ADVF_PROGRAMS, {});
  int fits = 0;
  for (const tools::AuditStep& step : plan.steps) fits += step.id.starts_with("fit projection");
  BOOST_TEST(fits == 2);
}
