// The file of an audit: what it says, what is wrong with it, and what it stands for.
#include <boost/test/unit_test.hpp>

#include "advface/keys/key.h"
#include "file_test_util.h"
#include "tools/audit/audit_config.h"

using namespace advf;
using namespace advf::test;
using namespace advf::tools;
using nlohmann::json;

namespace {

const std::string kMinimal =
    R"({"version": 1, "recogniser": "r.json", "images": "faces", "protections": [{"name": "A", "protect": ["shuffle"]}]})";
AuditConfig config(const json& changed) {
  json c = json::parse(kMinimal);
  c.update(changed);
  return parse_audit_config(c.dump(), "audit.json", "");
}

}  // namespace

BOOST_AUTO_TEST_CASE(files_are_read_and_what_is_wrong_is_named) {
  const AuditConfig c = config({{"eyes", {1, 2, 3, 4}}, {"budget", {{"decoder_epochs", 7}}}});
  BOOST_TEST(c.budget.decoder_epochs == 7);
  BOOST_TEST(c.budget.linkage_epochs == audit_sizes()[1].budget.linkage_epochs);
  BOOST_TEST(c.protections.size() == 2u);
  BOOST_TEST(c.protections[0].raw());
  const AuditConfig fitted = config(
      {{"protections",
        {{{"name", "P"}, {"protect", {"attributes"}}, {"fit", {{"attributes", {"Male", "Young"}}}}}}}});
  BOOST_TEST(fitted.protections.back().links.at(0).fit.at(0).second.at(0) == "Male,Young");
  // What was understood reads as the same again.
  const json once = to_json(c);
  BOOST_TEST(to_json(parse_audit_config(once.dump(), "again", "")) == once);

  const auto refused = [](const std::string& text, const std::vector<std::string>& words) {
    try {
      parse_audit_config(text, "audit.json", "");
      BOOST_ERROR("taken: " << text);
    } catch (const Error& e) {
      BOOST_TEST(std::string(e.what()).starts_with("audit.json: "), e.what());
      for (const std::string& word : words)
        BOOST_TEST(std::string(e.what()).find(word) != std::string::npos,
                   "\"" << e.what() << "\" lacks " << word);
    }
  };
  const auto wrong = [&](const json& changed, const std::vector<std::string>& words) {
    json c = json::parse(kMinimal);
    c.update(changed);
    refused(c.dump(), words);
  };
  wrong({{"recognizer", "x"}}, {"audit.json", "recognizer", "did you mean recogniser"});
  wrong({{"budget", {{"decoder_epoch", 3}}}}, {"budget", "decoder_epoch", "did you mean decoder_epochs"});
  wrong({{"budget", {{"decoder_epochs", 0}}}}, {"decoder_epochs", "0", "below 1"});
  wrong({{"budget", {{"decoder_epochs", 1.5}}}}, {"decoder_epochs", "1.5", "no whole number"});
  wrong({{"budget", {{"images", uint64_t(1) << 63}}}}, {"images", "no whole number"});
  wrong({{"size", "quik"}}, {"size is quik", "did you mean quick"});
  wrong({{"version", 2}}, {"version 2"});
  wrong({{"attackers", {"adaptiv"}}}, {"adaptiv", "did you mean adaptive"});
  wrong({{"attackers", {"transfer", "transfer"}}}, {"twice"});
  wrong({{"eyes", {1, 2, 3}}}, {"eyes", "four numbers"});
  // Nothing that is there is taken for absent.
  for (const char* key : {"size", "labels", "seed", "attackers", "budget", "eyes", "protections", "cut"})
    wrong({{key, nullptr}}, {key + std::string(" is null; give it a value, or leave the key out")});
  wrong({{"budget", {{"images", nullptr}}}}, {"budget: images is null"});
  const auto noise = [&](const json& length, const std::vector<std::string>& words) {
    wrong({{"protections", {{{"name", "A"}, {"protect", {"noise"}}, {"noise-length", length}}}}}, words);
  };
  noise(nullptr, {"A: noise-length is null; give it a value"});
  noise({1, 2}, {"A: noise-length is [1,2], neither a text nor a number"});
  noise(json::object(), {"A: noise-length is {}, neither a text nor a number"});
  noise("long", {"A: noise-length", "long"});
  noise(true, {"A: noise-length", "true"});
  wrong({{"protections", {{{"name", nullptr}, {"protect", {"noise"}}}}}}, {"name is null"});
  wrong({{"protections", {{{"name", "A"}, {"protect", nullptr}}}}}, {"A: protect is null"});
  wrong({{"protections", {{{"name", "A"}, {"protect", {"projection"}}, {"fit", {{"dims", nullptr}}}}}}},
        {"A: fit: dims is null"});
  wrong({{"part", "train"}}, {"part is train"});
  wrong({{"protections", json::array()}}, {"no protections"});
  const auto one = [](const json& protection) { return json{{"protections", {protection}}}; };
  wrong(one({{"protect", {"advface"}}}), {"no name"});
  wrong(one({{"name", "A"}}), {"A", "protect"});
  wrong(one({{"name", "A"}, {"protect", {"advfac"}}}), {"advfac", "did you mean advface"});
  wrong(one({{"name", "A"}, {"protect", {"advface"}}, {"epsilom", 0.1}}),
        {"A", "epsilom", "did you mean epsilon"});
  wrong(one({{"name", "A"}, {"protect", {"advface"}}, {"epsilon", "much"}}), {"A", "epsilon", "much"});
  wrong(one({{"name", "A"}, {"protect", {"advface"}}, {"epsilon", -1}}), {"A", "epsilon"});
  wrong(one({{"name", "A"}, {"protect", {"noise"}}, {"privacy-epsilon", 3}}), {"A", "privacy-epsilon"});
  wrong(one({{"name", "A"}, {"protect", {"rotation"}}, {"key", "mine.key"}}), {"A", "key", "of its own"});
  wrong(one({{"name", "A/B"}, {"protect", {"shuffle"}}}), {"A/B", "slash"});
  wrong(one({{"name", "A"}, {"protect", {"shuffle", "shuffle"}}}), {"twice"});
  // Numbers with which nothing can be computed.
  wrong(one({{"name", "A"}, {"protect", {"advface"}}, {"epsilon", 1e308}}), {"A", "epsilon is 1e+308"});
  wrong(one({{"name", "A"}, {"protect", {"advface"}}, {"step-size", 1e300}}), {"A: step-size is"});
  wrong(one({{"name", "A"}, {"protect", {"noise"}}, {"noise-length", 1e99}}), {"A: noise-length is 1e+99"});
  // By the key that can be set: settings have names of their own in files, and options have dashes.
  wrong(one({{"name", "A"}, {"protect", {"noise"}}, {"noise-length", "long"}}),
        {"A: noise-length is \"long\""});
  wrong(one({{"name", "A"}, {"protect", {"noise"}}, {"noise-length", 0}}),
        {"A: noise-length is 0, and must"});
  for (const char* near : {"noise_length", "length", "noise-lenght"})
    wrong(one({{"name", "A"}, {"protect", {"noise"}}, {near, 0.4}}),
          {"A: ", near, "did you mean noise-length?"});
  wrong(one({{"name", "A"}, {"protect", {"noise"}}, {"epsilon", 3}}), {"did you mean privacy-epsilon?"});
  wrong(one({{"name", "A"}, {"protect", {"noise"}}, {"noise", 3}}), {"no key noise; there are name"});
  wrong(one({{"name", "A"}, {"protect", {"noise"}}, {"mechanism", "laplace"}}),
        {"A: mechanism laplace needs privacy-epsilon"});
  wrong(one({{"name", "A"}, {"protect", {"noise"}}, {"mechanism", "laplace"}, {"noise-length", 0.4}}),
        {"A: noise-length goes with mechanism length alone"});
  wrong(one({{"name", "A"}, {"protect", {"projection"}}, {"fit", {{"shrinkage", 1e308}}}}),
        {"A: fit", "shrinkage"});
  // Nothing is learnt for these, so that there are no keys to name.
  wrong(one({{"name", "A"}, {"protect", {"noise"}}, {"fit", {{"dims", 3}}}}),
        {"A: fit: noise is not fitted", "leave the key out"});
  wrong(one({{"name", "A"}, {"protect", {"noise"}}, {"fit", json::object()}}),
        {"A: fit: noise is not fitted"});
  wrong(one({{"name", "A"}, {"protect", {"shuffle", "noise"}}, {"fit", {{"dims", 3}}}}),
        {"A: fit: shuffle, noise are not fitted"});
  wrong(one({{"name", "A"}, {"protect", {"projection", "noise"}}, {"fit", {{"dimensions", 3}}}}),
        {"A: fit: no key dimensions; there are dims"});
  wrong({{"eyes", {1, 2, 1e308, 4}}}, {"eyes", "1e+308"});
  wrong(one({{"name", "A"}, {"protect", {"generator"}}, {"fit", {{"steps", 3}}}}), {"A: fit", "steps"});
  wrong(one({{"name", "A"}, {"protect", {"generator"}}, {"fit", {{"epsilon", 1e308}}}}),
        {"A: fit", "epsilon"});
  wrong({{"protections",
          {{{"name", "A"}, {"protect", {"shuffle"}}}, {{"name", "A"}, {"protect", {"shuffle"}}}}}},
        {"two protections are called A"});
  for (const char* text : {"", "{", "[]", "3", "{\"version\": 1}"}) refused(text, {});
  // Of a key that stands twice one line would count, and nobody knows which.
  const auto doubled = [&](const std::string& from, const std::string& to, const std::string& key) {
    std::string text = kMinimal;
    refused(text.replace(text.find(from), from.size(), to), {"the key " + key + " stands there twice"});
  };
  doubled("\"images\"", "\"images\": \"others\", /* of last year */ \"images\"", "images");
  doubled("\"name\"", "\"name\": \"B\", \"name\"", "protections.name");
  doubled("\"version\"", "\"budget\": {\"seeds\": 1, \"images\": 0, \"seeds\": 2}, \"version\"",
          "budget.seeds");
}

// A generator that no file holds is trained, for the ball that `fit` names.
BOOST_AUTO_TEST_CASE(a_generator_is_asked_for) {
  const json p = {{"name", "G"}, {"protect", {"generator"}}, {"fit", {{"epsilon", 0.1}}}};
  const AuditConfig c = config({{"protections", {p}}, {"budget", {{"generator_epochs", 3}}}});
  BOOST_TEST(c.budget.generator_epochs == 3);
  const json once = to_json(c);
  BOOST_TEST(once["protections"][1]["fit"]["epsilon"] == "0.1");
  BOOST_TEST(to_json(parse_audit_config(once.dump(), "again", "")) == once);
}

BOOST_AUTO_TEST_CASE(a_locked_protection_is_measured_with_the_key_leaked_too) {
  if (!has_keys()) return;
  const AuditConfig c =
      config({{"protections", {{{"name", "L"}, {"protect", {"default"}}, {"fit", {{"dims", 16}}}}}}});
  BOOST_REQUIRE(c.protections.size() == 3u);
  BOOST_TEST(c.protections[1].locked());
  BOOST_TEST(c.protections[2].name == "L (key leaked)");
  BOOST_TEST(!c.protections[2].locked());
  BOOST_TEST(c.protections[2].has("projection"));
  BOOST_TEST(c.protections[2].has("quantise"));
  // Under a lock alone lies the raw feature, which is measured in any case.
  BOOST_TEST(config({{"protections", {{{"name", "L"}, {"protect", {"rotation"}}}}}}).protections.size() ==
             2u);
}

BOOST_AUTO_TEST_CASE(examples_are_files_that_can_be_read) {
  FaceSettings faces;
  faces.recogniser = "r \"quoted\".json";
  faces.images = "faces";
  for (const AuditSize& size : audit_sizes())
    for (const bool maps : {false, true}) {
      const std::string text =
          example_config(faces, "", size.name, {"Eyeglasses"}, maps ? Shape{8, 7, 7} : Shape{512}, 500, 1);
      const AuditConfig c = parse_audit_config(text, "audit.json", "");
      BOOST_TEST(c.size == size.name);
      BOOST_TEST(c.faces.recogniser == std::filesystem::absolute(faces.recogniser).string());
      BOOST_TEST(c.protections.size() >= 2u);
      // Lines that are commented out hold what they say: with them the file means the same.
      std::string whole;
      for (size_t at = 0; at < text.size();) {
        const size_t end = text.find('\n', at);
        std::string line = text.substr(at, end - at);
        const bool budget =
            line.starts_with("  // \"budget\"") || line.starts_with("  //   \"") || line == "  // },";
        if (budget) line.replace(2, 2, "  ");
        whole += line + "\n";
        at = end + 1;
      }
      BOOST_TEST(to_json(parse_audit_config(whole, "audit.json", "")) == to_json(c));
    }
}

// A projection takes more people than it has dimensions, and fewer than the values of a feature.
BOOST_AUTO_TEST_CASE(usual_projections_are_of_what_there_is) {
  const auto dims = [](int64_t values, int64_t people) {
    for (const json& p : usual_protections("default", Shape{values}, people))
      if (p["name"] == "projection") return p.contains("fit") ? p["fit"]["dims"].get<int64_t>() : int64_t(-1);
    return int64_t(-2);
  };
  BOOST_TEST((dims(512, 1000) == -1 && dims(512, 0) == -1));
  BOOST_TEST((dims(512, 50) == 25 && dims(16, 50) == 8 && dims(512, 1) == 1));
}
