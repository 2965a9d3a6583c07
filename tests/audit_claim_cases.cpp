// What a report may claim: whether one audit attacks less than another, protections that come off with a
// number that others may know, names that would make sentences say something else. Part of the suite
// `audit_rules`.
#include <boost/test/unit_test.hpp>
#include <functional>

#include "advface/keys/key.h"
#include "file_test_util.h"
#include "tools/audit/audit_config.h"
#include "tools/audit/audit_report.h"
#include "tools/audit/audit_verdict.h"
#include "tools/audit/protection_changes.h"
#include "tools/audit/weaker_attacks.h"

using namespace advf;
using namespace advf::test;
using namespace advf::tools;
using nlohmann::json;

namespace {

json row(const std::string& protection, const std::string& attacker, const std::string& variant,
         const std::string& leak) {
  return {{"id", protection + "/" + attacker + "/" + variant},
          {"protection", protection},
          {"attacker", attacker},
          {"variant", variant},
          {"features", protection == "none" ? "raw" : "protected"},
          {"measures", json::object()},
          {"counts", {{leak, true}}},
          {"why_not", nullptr},
          {"converged", true}};
}

json report() {
  json budget;
  for (const BudgetField& f : budget_fields()) budget[f.name] = 8;
  return {{"size", "default"},
          {"converges", true},
          {"config",
           {{"attackers", {"adaptive", "attributes", "linkage"}},
            {"attributes", {"Male", "Smiling"}},
            {"second_recogniser", "mobile.json"},
            {"budget", budget}}},
          {"rows",
           {row("none", "transfer", "", "appearance"), row("P", "adaptive", "", "appearance"),
            row("P", "attributes", "Male, mlp", "attributes"),
            row("P", "attributes", "Smiling, mlp", "attributes"),
            row("Q", "linkage", "a network", "linkability")}},
          {"verdicts",
           {{{"protection", "P"},
             {"leaks", {{"appearance", {{"state", "open"}}}, {"identity", {{"state", "closed"}}}}}}}}};
}

AuditConfig config_of(const json& protection) {
  return parse_audit_config(
      json{{"version", 1}, {"recogniser", "r.json"}, {"images", "faces"}, {"protections", {protection}}}
          .dump(),
      "audit.json", "");
}

}  // namespace

BOOST_AUTO_TEST_CASE(who_attacks_less_is_told) {
  const auto weaker = [](const std::function<void(json&)>& edit) {
    json after = report();
    edit(after);
    return weaker_attacks(report(), after);
  };
  const auto told = [&](const std::string& what, const std::function<void(json&)>& edit) {
    const std::vector<std::string> list = weaker(edit);
    BOOST_TEST((list.size() == 1u && list[0].starts_with(what)), what << ": " << json(list).dump());
  };
  BOOST_TEST(weaker([](json&) {}).empty());
  // As much of the name as tells what is gone, once.
  told("“P/adaptive” was asked before", [](json& r) { r["rows"].erase(1); });
  told("“P/attributes/Male, mlp” was asked before", [](json& r) { r["rows"].erase(2); });
  told("“P/attributes” was asked before", [](json& r) { r["rows"].erase(2), r["rows"].erase(2); });
  told("“Q” was asked before", [](json& r) { r["rows"].erase(4); });
  // Who cannot tell any more, on raw features as well.
  told("“P/adaptive/” counted for appearance, and does not any more: it was tired", [](json& r) {
    r["rows"][1]["counts"]["appearance"] = false;
    r["rows"][1]["why_not"] = "it was tired";
  });
  told("“none/transfer/” had converged", [](json& r) { r["rows"][0]["converged"] = false; });
  // What was concluded, also where the verdict stays as it was.
  for (const char* state : {"no conclusion", "not asked"})
    told("“P”: identity was closed, and now there is no conclusion (a reason)", [&](json& r) {
      r["verdicts"][0]["leaks"]["identity"] = {{"state", state}, {"said", "a reason"}};
    });
  told("“P”: appearance was open",
       [](json& r) { r["verdicts"][0]["leaks"]["appearance"]["state"] = "no conclusion"; });
  told("the attribute Smiling is not asked", [](json& r) { r["config"]["attributes"].erase(1); });
  told("budget: decoder_epochs is 7, was 8", [](json& r) { r["config"]["budget"]["decoder_epochs"] = 7; });
  told("budget: seeds is 1, was 8", [](json& r) { r["config"]["budget"]["seeds"] = 1; });
  told("size: quick", [](json& r) { r["size"] = "quick", r["converges"] = false; });
  told("no second recogniser", [](json& r) { r["config"].erase("second_recogniser"); });
  // More, of who is not asked, and of the protections' own networks: no attack is weaker for it. 0 is all.
  for (const char* key : {"oracle_queries", "inversion_steps", "shadow_epochs", "generator_epochs"})
    BOOST_TEST(weaker([&](json& r) { r["config"]["budget"][key] = 1; }).empty(), key);
  BOOST_TEST(weaker([](json& r) { r["config"]["budget"]["images"] = 0; }).empty());
  BOOST_TEST(weaker([](json& r) { r["rows"].push_back(row("P", "oracle", "", "identity")); }).empty());
  BOOST_TEST((weaker_attacks(report(), report()).empty()));
  json all = report();
  all["config"]["budget"]["images"] = 0;
  BOOST_TEST((weaker_attacks(all, report()) ==
              std::vector<std::string>{"budget: images is 8, was 0, which is all"}));
}

// No measure shows that a seed undoes a protection now, or that less is proved.
BOOST_AUTO_TEST_CASE(what_is_promised_no_more_is_told) {
  const json proved{{"privacy", {{"epsilon", 1.0}, {"delta", 1e-5}}}, {"without_key", "nothing"}};
  const json noise{{"name", "noise"}, {"settings", {{"length", 1.4}}}, {"networks", json::object()}};
  const json before{{"protections", {{{"name", "P"}, {"applied", {noise}}, {"proved", proved}}}}};
  const auto changed = [&](const std::function<void(json&)>& edit) {
    json after = before;
    edit(after["protections"][0]);
    return protection_changes(before, after);
  };
  const auto lost = [&](const std::string& what, const std::function<void(json&)>& edit) {
    const auto list = changed(edit).lost;
    BOOST_TEST((list.size() == 1u && list[0].find(what) != std::string::npos),
               what << ": " << json(list).dump());
  };
  BOOST_TEST((changed([](json&) {}).lost.empty() && changed([](json&) {}).settings.empty()));
  lost("comes off with a number", [](json& p) { p["undone_by"] = "who knows the seed"; });
  lost("epsilon 4.0, was 1.0", [](json& p) { p["proved"]["privacy"]["epsilon"] = 4.0; });
  lost("delta", [](json& p) { p["proved"]["privacy"]["delta"] = 1e-3; });
  lost("only as long as nobody knows",
       [](json& p) { p["proved"]["privacy"]["as_long_as"] = "nobody knows it"; });
  lost("nothing is proved", [](json& p) { p["proved"].erase("privacy"); });
  lost("inner products, was nothing", [](json& p) { p["proved"]["without_key"] = "inner products"; });
  lost("there is no key, was nothing", [](json& p) { p["proved"].erase("without_key"); });
  const auto more = [](json& p) { p["proved"]["privacy"]["epsilon"] = 0.5; };
  BOOST_TEST(changed(more).lost.empty());
  const auto settings = changed([](json& p) { p["applied"][0]["settings"]["length"] = 2; }).settings;
  BOOST_TEST((settings == std::vector<std::string>{"“P”: noise: length 1.4 -> 2"}));
  BOOST_TEST((changed([](json& p) { p["applied"][0]["name"] = "shuffle"; }).settings ==
              std::vector<std::string>{"“P”: is shuffle, was noise"}));
  // Of what was not measured nothing is known.
  BOOST_TEST(changed([](json& p) { p.erase("proved"), p.erase("applied"); }).lost.empty());
}

// What anybody takes off who knows a number holds nothing, whatever those reach who were not told it.
BOOST_AUTO_TEST_CASE(what_comes_off_with_the_seed_does_not_hold) {
  const auto concluded = [](const json& protection, bool older = false) {
    json report = {{"rows", json::array()}, {"unmeasured", json::array()}};
    if (!older) report["programs"] = json::object();
    return concluded_keys(config_of(protection), report);
  };
  const json noise = {{"name", "N"}, {"protect", {"noise"}}};
  json secret = noise;
  secret["noise-from"] = "secret";
  for (const json& p : {noise, json{{"name", "N"}, {"protect", {"advface", "noise"}}},
                        json{{"name", "N"}, {"protect", {"shuffle"}}}}) {
    const json keys = concluded(p);
    BOOST_TEST(keys["protections"][1].contains("undone_by"), p.dump());
    const std::string sentence = keys["verdicts"][0]["sentence"];
    BOOST_TEST(sentence.find("whoever knows the seed") != std::string::npos, sentence);
    BOOST_TEST(keys["summary"][2].get<std::string>().starts_with("Whoever knows the seed undoes “N”"));
    BOOST_TEST(!concluded(p, true)["protections"][1].contains("undone_by"));
  }
  for (const json& p : {secret, json{{"name", "N"}, {"protect", {"advface"}}}}) {
    const json keys = concluded(p);
    BOOST_TEST((!keys["protections"][1].contains("undone_by") && !keys["verdicts"][0].contains("undone_by")),
               p.dump());
    BOOST_TEST(keys["summary"][2].get<std::string>().find("seed") == std::string::npos);
  }
  json verdicts = {{{"protection", "N"}, {"verdict", "holds"}, {"sentence", "N: closed."}},
                   {{"protection", "M"}, {"verdict", "holds"}, {"sentence", "M: closed."}},
                   {{"protection", "O"}, {"verdict", "leaks"}, {"sentence", "O: open."}}};
  note_undone(verdicts, {{{"name", "N"}, {"undone_by", "whoever"}},
                         {{"name", "M"}},
                         {{"name", "O"}, {"undone_by", "whoever"}}});
  BOOST_TEST((verdicts[0]["verdict"] == "no conclusion" && verdicts[1]["verdict"] == "holds" &&
              verdicts[2]["verdict"] == "leaks"));
  BOOST_TEST(
      (verdicts[0]["sentence"] == "N: closed. No attacker here does what can be done at once: whoever." &&
       verdicts[1]["sentence"] == "M: closed."));
}

// Nobody reaches what lies under a lock without its key; with it he does.
BOOST_AUTO_TEST_CASE(what_a_lock_hides_does_not_come_off) {
  if (!has_keys()) return;
  const json keys =
      concluded_keys(config_of({{"name", "L"}, {"protect", {"noise", "rotation"}}}),
                     {{"rows", json::array()}, {"unmeasured", json::array()}, {"programs", json::object()}});
  BOOST_REQUIRE(keys["protections"].size() == 3u);
  BOOST_TEST((!keys["protections"][1].contains("undone_by") && keys["protections"][2].contains("undone_by")));
}

BOOST_AUTO_TEST_CASE(names_that_would_mislead_are_refused) {
  const auto why = [](const std::string& name) -> std::string {
    try {
      config_of({{"name", name}, {"protect", {"shuffle"}}});
      return "";
    } catch (const Error& e) {
      return e.what();
    }
  };
  for (const char* name : {"mean face", "Mean-Face", "photograph", "none", "None", "raw features", "transfer",
                           "identity", "leaks", "no conclusion", "unprotected"})
    BOOST_TEST(why(name).find("stands for something else in reports") != std::string::npos,
               name << ": " << why(name));
  for (const char* name : {"a ", " a", "a  b", "-", "..", " ", "a\x01z", "a\x7f"})
    BOOST_TEST(why(name).find("a name has a letter or a digit") != std::string::npos,
               name << ": " << why(name));
  for (const char* name : {"a\u201d leaks nothing. \u201cb", "a \"b\"", "\u00aba\u00bb", "\u2067esion\u2069",
                           "\u061ca", "a\ufe0fb"})
    BOOST_TEST(why(name).find("quotation marks") != std::string::npos, name << ": " << why(name));
  for (const char* name : {"a\u200bb", "\u202eesion", "a\u00adb"}) BOOST_TEST(why(name) != "", name);
  // Cyrillic o; a Greek alpha.
  for (const char* name : {"n\u043eise", "\u03b1dvface", "two l\u043ecks", "h\u043elds"})
    BOOST_TEST(why(name).find("in one alphabet") != std::string::npos, name << ": " << why(name));
  BOOST_TEST(why("\u041d\u041e\u0410\u0422") == "");  // of one alphabet
  BOOST_TEST(why("safe, leaks nothing") == "");       // is set apart
  const auto both = [](const std::string& one, const std::string& other) -> std::string {
    try {
      parse_audit_config(
          json{{"version", 1},
               {"recogniser", "r.json"},
               {"images", "faces"},
               {"protections",
                {{{"name", one}, {"protect", {"shuffle"}}}, {{"name", other}, {"protect", {"noise"}}}}}}
              .dump(),
          "audit.json", "");
      return "";
    } catch (const Error& e) {
      return e.what();
    }
  };
  // TAXI in Latin letters and in Greek ones; capitals; dashes.
  for (const char* other : {"\u03a4\u0391\u03a7\u0399", "taxi", "Taxi", "TA-XI"})
    BOOST_TEST(both("TAXI", other).find("look alike") != std::string::npos,
               other << ": " << both("TAXI", other));
  BOOST_TEST(both("TAXI", "TAXI").find("two protections are called TAXI") != std::string::npos);
  BOOST_TEST(both("TAXI", "TAXI 2") == "");
  BOOST_TEST(both("noise 0.4", "noise 0.04") == "");
  BOOST_TEST(why("").find("name is empty") != std::string::npos, why(""));
  for (const char* name :
       {"a", "noise", "projection 64, 1 bit", "Gesichter \u00fcber alles", "\u7532", "none at all"})
    BOOST_TEST(why(name) == "", name);
}
