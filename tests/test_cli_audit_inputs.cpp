// What an audit is asked for, at the command line: files that init writes, plans, budgets, devices, networks
// that are trained for a protection, and calls that are refused.
#define BOOST_TEST_MODULE cli_audit_inputs
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <functional>
#include <set>

#include "audit_test_util.h"
#include "tensor/io/image.h"

using namespace advf;
using namespace advf::test;
using nlohmann::json;
namespace fs = std::filesystem;

BOOST_AUTO_TEST_CASE(a_plan_says_what_would_be_run_and_runs_nothing) {
  const TempDir dir;
  const Outcome o =
      succeed("audit", {"plan", write_json(dir, "audit.json", quick_audit()), "--cache", dir / "cache"});
  for (const char* word : {"AdvFace", "adaptive", "memory MiB", "left out: “none”, adaptive", "steps, about"})
    BOOST_TEST(o.out.find(word) != std::string::npos, word << " in " << o.out);
  BOOST_TEST(!fs::exists(dir / "cache"));
}

// A decoder of raw features is not asked about those that live in a space of their own, but about locked
// ones, which it takes for such.
BOOST_AUTO_TEST_CASE(pairs_that_cannot_be_are_left_out) {
  const TempDir dir;
  json s = quick_audit();
  s["attackers"] = {"transfer", "oracle", "linkage"};
  s["protections"].push_back({{"name", "shuffled"}, {"protect", {"shuffle"}}});
  s["protections"].push_back({{"name", "shuffled bits"}, {"protect", {"quantise", "shuffle"}}, {"bits", 3}});
  const Outcome o = succeed("audit", {"plan", write_json(dir, "audit.json", s)});
  for (const char* protection : {"shuffled", "shuffled bits"})
    for (const char* attacker : {"transfer", "oracle"})
      BOOST_TEST(o.out.find("left out: “" + std::string(protection) + "”, " + attacker) != std::string::npos,
                 o.out);
  for (const char* asked : {"“shuffled”, linkage", "“locked”, transfer", "“AdvFace”, transfer"})
    BOOST_TEST(o.out.find("left out: " + std::string(asked)) == std::string::npos, o.out);
}

// Of each part some people are compared, whatever the budget: one that they exceed is refused with the least
// that can be, and where more are looked at than it says the plan says so.
BOOST_AUTO_TEST_CASE(a_budget_of_photographs_has_a_least) {
  const TempDir dir;
  const auto plan = [&](int64_t images) {
    json s = quick_audit();
    s["budget"]["images"] = images;
    return run_program("audit", {"plan", write_json(dir, "audit.json", s)});
  };
  const Outcome few = plan(20);
  complain("audit", {"plan"}, few, 1, {"audit.json: budget: images is 20", "give so many or more"},
           Late::yes);
  const size_t at = few.err.find(" photographs: give");
  BOOST_REQUIRE(at != std::string::npos);
  const int64_t least = std::stoll(few.err.substr(few.err.rfind(' ', at - 1)));
  BOOST_TEST((least > 20 && least <= 60), few.err);
  BOOST_TEST(plan(least - 1).code == 1);
  const Outcome enough = plan(least);
  BOOST_TEST(enough.code == 0, enough.err);
  BOOST_TEST(enough.out.find("more photographs than the budget's " + std::to_string(least)) !=
             std::string::npos);
  BOOST_TEST(plan(0).out.find("more photographs") == std::string::npos);
}

// Photographs that cannot be read are found before anything is trained: few are left out of every step, and
// more end the call.
BOOST_AUTO_TEST_CASE(photographs_are_looked_through_first) {
  const TempDir dir;
  fs::copy(toy_world().at("faces/images"), dir / "images", fs::copy_options::recursive);
  std::vector<std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(dir / "images"))
    if (entry.is_regular_file()) files.push_back(entry.path().string());
  std::ranges::sort(files);
  json s = quick_audit();
  s["images"] = dir / "images";
  s["budget"]["images"] = 0;
  const std::string file = write_json(dir, "audit.json", s);
  const Outcome whole = succeed("audit", {"plan", file});
  BOOST_TEST(whole.err.find("cannot be read") == std::string::npos);
  const auto bearable = size_t(0.01 * double(files.size()));
  for (size_t i = 0; i < bearable; ++i) write_bytes(files[7 * i], "no picture");
  if (bearable > 0) {
    const Outcome few = succeed("audit", {"plan", file});
    BOOST_TEST(few.err.find(std::to_string(bearable) + " of " + std::to_string(files.size()) +
                            " photographs cannot be read and are left out") != std::string::npos,
               few.err);
  }
  for (size_t i = 0; i <= bearable; ++i) write_bytes(files[7 * i], "no picture");
  const Outcome many = run_program("audit", {"plan", file});
  BOOST_TEST(many.code == 1);
  BOOST_TEST(
      (many.err.find("audit.json: images: " + std::to_string(bearable + 1) + " of ") != std::string::npos &&
       many.err.find("cannot be read") != std::string::npos),
      many.err);
}

// Eyes that the settings have at one place are held against every photograph before anything is trained.
BOOST_AUTO_TEST_CASE(eyes_lie_within_every_photograph) {
  const TempDir dir;
  fs::copy(toy_world().at("faces/images"), dir / "images", fs::copy_options::recursive);
  json s = quick_audit();
  s["images"] = dir / "images";
  s["budget"]["images"] = 0;
  const auto plan = [&](double x2) {
    s["eyes"] = {15, 20, x2, 20};
    return run_program("audit", {"plan", write_json(dir, "audit.json", s)});
  };
  BOOST_TEST(plan(33).code == 0);
  complain("audit", {"plan"}, plan(500), 1, {"audit.json: eyes: ", ".png: is 48 x 48 pixels", "outside"},
           Late::yes);
  std::string one;
  for (const auto& entry : fs::recursive_directory_iterator(dir / "images"))
    if (entry.is_regular_file()) one = std::max(one, entry.path().string());
  const auto replaced_by = [&](int width, int height) {
    const auto png = encode_png(Image(width, height, 3));
    write_bytes(one, {reinterpret_cast<const char*>(png.data()), png.size()});
    return plan(33);
  };
  const std::string name = fs::path(one).filename().string();
  complain("audit", {"plan"}, replaced_by(16, 48), 1,
           {"audit.json: eyes: ", name + ": is 16 x 48 pixels", "outside"}, Late::yes);
  complain("audit", {"plan"}, replaced_by(60, 50), 1,
           {"audit.json: eyes: ", name + " is 60 x 50 pixels, and most others are 48 x 48"}, Late::yes);
}

// Every step computes where the audit is told to, and what another device made is another result.
BOOST_AUTO_TEST_CASE(steps_compute_on_the_device) {
  const TempDir dir;
  json s = quick_audit();
  s["attackers"] = {"linkage"};
  s["protections"] = {{{"name", "noise"}, {"protect", {"noise"}}}};
  // What is drawn and forgotten elsewhere comes out the same again when a row is made anew.
  if (has_keys()) s["protections"][0]["noise-from"] = "secret";
  const std::string file = write_json(dir, "audit.json", s);
  const Outcome plan = succeed("audit", {"plan", file, "--device", "reference"});
  BOOST_TEST(plan.out.find("on this machine (reference)") != std::string::npos, plan.out);
  std::set<std::string> seen;
  for (const char* device : {"cpu", "reference"}) {
    succeed("audit", {file, "--out", dir / device, "--cache", dir / "cache", "--device", device});
    const json report = read_json(dir / (device + std::string("/report.json")));
    BOOST_TEST(report["device"] == device);
    for (const json& step : report["steps"]) {
      const bool told = step["command"].get<std::string>().find("--device reference") != std::string::npos;
      const bool pairs = step["id"] == "pairs";  // nothing is computed
      BOOST_TEST(told == (device == std::string("reference") && !pairs), step["command"]);
      BOOST_TEST((seen.insert(step["hash"].get<std::string>()).second || pairs));
    }
  }
  succeed("audit", {"verify", dir / "reference/report.json", "--rerun",
                    "noise/linkage/the recogniser alone/protected"});
}

// A generator is trained where none is named, against a shadow that is as well; who climbs has a shadow that
// is fitted; and what is secret comes of keys: who learns has another one than what he attacks, and so has
// the second of two sets.
BOOST_AUTO_TEST_CASE(what_is_not_named_is_made) {
  const TempDir dir;
  json s = quick_audit();
  s["attackers"] = {"linkage", "unlinkability"};
  s["protections"] = {
      {{"name", "G"}, {"protect", {"generator"}}, {"fit", {{"epsilon", 0.1}}}},
      {{"name", "I"}, {"protect", {"advface"}}, {"objective", "inversion"}, {"steps", 2}, {"epsilon", 0.2}}};
  if (has_keys())
    s["protections"].push_back({{"name", "N"}, {"protect", {"noise", "rotation"}}, {"noise-from", "secret"}});
  s["budget"]["generator_epochs"] = 1;
  succeed("audit", {write_json(dir, "audit.json", s), "--out", dir / "report", "--cache", dir / "cache",
                    "--threads", "2"});
  const json report = read_json(dir / "report/report.json");
  BOOST_TEST(report["failed"].empty());
  std::string shadow;
  bool fitted = false;
  std::map<std::string, std::string> commands;
  for (const json& step : report["steps"]) {
    commands[step["id"]] = step["command"];
    if (step["id"] == "shadow") shadow = step["hash"];
    fitted = fitted || step["id"] == "fit advface";
    if (step["id"] != "generator, 0.1") continue;
    BOOST_TEST((step["needs"] == json::array({shadow})));
    BOOST_TEST(step["command"].get<std::string>().find("--epsilon 0.1") != std::string::npos);
  }
  BOOST_TEST(fitted);
  // The word behind an option.
  const auto named = [&](const std::string& id, const std::string& option) {
    const std::string& text = commands[id];
    const size_t at = text.find(option);
    BOOST_TEST(at != std::string::npos, id << " has no " << option << ": " << text);
    if (at == std::string::npos) return std::string();
    const size_t from = at + option.size();
    return text.substr(from, text.find(' ', from) - from);
  };
  if (has_keys()) {
    const std::string stored = named("linkage, N", "--noise-key ");
    BOOST_TEST((stored == named("linkage, N", "--key ") && stored != named("linkage of N", "--noise-key ")));
    BOOST_TEST(stored == named("unlinkability, N", "--noise-key "));
    const std::string other = named("unlinkability, N", "--other noise-key=");
    BOOST_TEST((other != stored && other == named("unlinkability, N", "--other key=")));
    BOOST_TEST(stored == named("linkage, N (key leaked)", "--noise-key "));
  }
  bool measured = false;
  for (const json& row : report["rows"]) {
    if (row["id"] == "I/stored/protected")
      BOOST_TEST((row["protection_id"][0]["settings"]["objective"] == "inversion" &&
                  row["measures"]["cosine_to_raw"]["mean"] < 1));
    if (row["id"] == "G/stored/protected") {
      measured = true;
      BOOST_TEST(row["protection_id"][0]["name"] == "generator");
      BOOST_TEST(row["measures"]["cosine_to_raw"]["mean"].get<double>() < 1);
    }
  }
  BOOST_TEST(measured);
}

BOOST_AUTO_TEST_CASE(init_writes_a_file_that_can_be_run) {
  const TempDir dir;
  const Args data{"--recogniser", toy_world().at("rec.json"),
                  "--images",     toy_world().at("faces/images"),
                  "--labels",     toy_world().at("faces/labels.csv")};
  succeed("audit", Args{"init", "--out", dir / "audit.json", "--quick"} + data);
  const Outcome o = succeed("audit", {"plan", dir / "audit.json"});
  BOOST_TEST(o.out.find("AdvFace 0.02") != std::string::npos);
  refuse(dir.path().string(), "audit", Args{"init", "--out", dir / "audit.json"} + data, 1,
         {"audit.json", "already"});
}

BOOST_AUTO_TEST_CASE(what_cannot_be_is_told_at_once) {
  const TempDir dir;
  const auto wrong = [&](const json& changed, int code, std::vector<std::string> words) {
    words.push_back("audit.json: ");
    json s = quick_audit();
    s.update(changed);
    const std::string file = write_json(dir, "audit.json", s);
    const Outcome o = run_program("audit", {file, "--out", dir / "out", "--cache", dir / "cache"});
    complain("audit", {file}, o, code, words, Late::yes);
    BOOST_TEST(!fs::exists(dir / "out"));
  };
  wrong({{"budget", {{"imges", 3}}}}, 1, {"imges", "did you mean images"});
  wrong({{"budget", {{"seeds", 1000000}}}}, 1, {"seeds", "above 20"});
  wrong({{"attackers", json::array()}}, 1, {"attackers is empty"});
  wrong({{"protections", {{{"name", "P"}, {"protect", {"projection"}}, {"fit", {{"dims", 79}}}}}}}, 1,
        {"P", "79 dimensions"});
  if (has_keys()) {
    const auto one = [](const json& protection) { return json{{"protections", {protection}}}; };
    wrong(one({{"name", "P"}, {"protect", {"rotation", "quantise"}}}), 1,
          {"P: ", "key goes last", "quantise"});
    wrong(one({{"name", "P"}, {"protect", {"quantise", "rotation"}}, {"key-mode", "per-set"}}), 1,
          {"P: key-mode per-set", "take key-mode per-record"});
    wrong(one({{"name", "P"}, {"protect", {"default"}}, {"key-mode", "per-set"}}), 1,
          {"P: key-mode per-set"});
  }
  wrong({{"recogniser", dir / "none.json"}}, 1, {"none.json"});
  wrong({{"images", dir / "none"}}, 1, {"none"});
  wrong({{"cut", "nowhere"}}, 1, {"nowhere"});
  wrong({{"attributes", {"Wings"}}}, 1, {"Wings"});
  wrong({{"attributes", {"Male", "Male"}}}, 1, {"attributes: one is named twice"});
  for (const json& names : {json("Wings"), json{"Smiling", "Wings"}})
    wrong({{"protections", {{{"name", "P"}, {"protect", {"attributes"}}, {"fit", {{"attributes", names}}}}}}},
          1, {"protections: ", "Wings"});
  wrong({{"attributes", {"Wings"}}, {"attackers", {"transfer"}}}, 1, {"attributes: ", "Wings"});
  wrong({{"second_recogniser", toy_world().at("rec.json")}}, 1, {"rec.json", "second"});
  wrong({{"protections", {{{"name", "D"}, {"protect", {"duet"}}}}}}, 1, {"D", "duet", "maps"});
  wrong({{"protections", {{{"name", "S"}, {"protect", {"advface"}}, {"shadow", dir / "none.safetensors"}}}}},
        1, {"S", "none.safetensors"});
  wrong({{"protections", {{{"name", "S"}, {"protect", {"advface"}}, {"epsilon", 1e308}}}}}, 1,
        {"S", "epsilon is 1e+308"});
  // What leaves features as they are is no protection.
  const auto idle = [&](json protection, const std::string& why) {
    protection["name"] = "I";
    wrong({{"protections", json::array({protection})}}, 1, {"I: ", why});
  };
  idle({{"protect", {"advface"}}, {"epsilon", 0}}, "protects nothing: epsilon is 0;");
  idle({{"protect", {"advface"}}, {"epsilon", 1e-9}}, "epsilon is 1e-09, which is lost in the rounding");
  idle({{"protect", {"advface"}}, {"keep-recognition", 1}}, "keep-recognition is 1");
  idle({{"protect", {"generator"}}, {"keep-recognition", 1}}, "keep-recognition is 1");
  idle({{"protect", {"generator"}}, {"fit", {{"epsilon", 0}}}}, "fit: protects nothing: epsilon is 0");
  idle({{"protect", {"noise"}}, {"noise-length", 0}}, "I: noise-length is 0");
  idle({{"protect", {"noise"}}, {"noise-length", 1e-8}}, "protects nothing: noise-length is 1e-08");
  idle({{"protect", {"noise"}}, {"noise-length", 2}},
       "protects nothing: noise-length is 2, which turns every unit vector round");
  idle({{"protect", {"projection", "noise"}}, {"fit", {{"dims", 8}}}, {"noise-length", 2}},
       "protects nothing: noise-length is 2");
  idle({{"protect", {"advface", "quantise"}}, {"epsilon", 0}}, "protects nothing: epsilon is 0;");
  wrong({{"pairs", dir / "none.csv"}}, 1, {"pairs", "none.csv"});
  write_bytes(dir / "pairs.csv",
              "a,b,genuine,fold\nx.png,y.png,1,0\nx.png,z.png,0,0\nx.png,y.png,1,1\nx.png,z.png,0,1\n");
  wrong({{"pairs", dir / "pairs.csv"}}, 1, {"pairs", "x.png"});
  // One person; people with one photograph each; one person in two spellings.
  const auto labels = [&](const std::function<std::string(int)>& name) {
    std::string text = "file,identity\n";
    int i = 0;
    for (const std::string& line : lines_of(read_bytes(toy_world().at("faces/labels.csv"))))
      if (const std::string file = line.substr(0, line.find(',')); file != "file")
        text += file + ",\"" + name(i++) + "\"\n";
    write_bytes(dir / "labels.csv", text);
    return json{{"labels", dir / "labels.csv"}, {"attackers", {"transfer"}}, {"attributes", json::array()}};
  };
  wrong(labels([](int) { return std::string("anna"); }), 1, {"labels.csv", "one person", "anna"});
  wrong(labels([](int i) { return "p" + std::to_string(i); }), 1, {"labels.csv", "two photographs"});
  wrong(labels([](int i) {
          return i == 0 ? "Anna_Smith" : i == 1 ? "anna smith" : "p" + std::to_string(i / 2);
        }),
        1, {"Anna_Smith", "anna smith", "spellings"});
  // The Cyrillic letter, which nobody tells by its look; and a number that a spreadsheet has shortened.
  wrong(labels([](int i) { return i == 0   ? "Anna"
                                  : i == 1 ? "\u0410nna"
                                           : "p" + std::to_string(i / 2); }), 1,
        {"\"Anna\" (Latin letters)", "\"\u0410nna\" (Latin and Cyrillic letters)", "spellings"});
  wrong(labels([](int i) { return i == 0   ? "7"
                                  : i == 1 ? "007"
                                           : "p" + std::to_string(i / 2); }), 1,
        {"\"007\" and \"7\"", "spellings", "a letter before it"});
  wrong(labels([](int i) {
          return i == 0 ? "Jens Jørgensen" : i == 1 ? "jens joergensen" : "p" + std::to_string(i / 2);
        }),
        1, {"Jens Jørgensen", "jens joergensen", "spellings", "a number behind it"});
  // Photographs that nobody has labelled are counted, and what can be done is said.
  json unlabelled = labels([](int i) { return "p" + std::to_string(i / 2); });
  const std::vector<std::string> lines = lines_of(read_bytes(dir / "labels.csv"));
  std::string fewer;
  for (size_t i = 0; i + 3 < lines.size(); ++i) fewer += lines[i] + "\n";
  write_bytes(dir / "labels.csv", fewer);
  wrong(
      unlabelled, 1,
      {"labels: ", "labels.csv: lacks a label of 3 of " + std::to_string(lines.size() - 1) + " photographs (",
       "add their lines", "--list"});
  // Who may be one person or two is told, and no error.
  const auto planned = [&](const std::string& first, const std::string& second) {
    json s = quick_audit();
    s.update(labels([&](int i) {
      const std::string family = "family" + std::string(1, char('a' + i / 4 % 26));
      return i >= 80 ? "p" + std::to_string(i / 2) : i % 4 < 2 ? first + family : family + second;
    }));
    return succeed("audit", {"plan", write_json(dir, "audit.json", s)}).err;
  };
  const std::string told = planned("Anna ", ", Anna");
  for (const char* word : {"note: ", "labels.csv", "family", "look alike", "more pairs"})
    BOOST_TEST(told.find(word) != std::string::npos, word << " in " << told);
  BOOST_TEST(planned("Anna ", ", Eva").find("look alike") == std::string::npos);
  // What this program writes would be read as photographs by the next call.
  fs::create_directories(dir / "faces/within");
  json among = quick_audit();
  among["images"] = "faces";
  const std::string same = write_json(dir, "among.json", among);
  const std::string inside = dir / "faces/within/new", outside = dir / "out";
  for (const auto& [out, cache] : {std::pair(inside, outside), std::pair(outside, inside)})
    refuse(dir.path().string(), "audit", {same, "--out", out, "--cache", cache}, 2,
           {out == inside ? "--out would" : "--cache would", inside + " among the photographs of"});
  const std::string file = write_json(dir, "audit.json", quick_audit());
  complain("audit", {file}, run_program("audit", {"plan", file, "--device", "abacus"}), 2,
           {"--device", "abacus"});
  complain("audit", {file}, run_program("audit", {file}), 2, {"--out"});
  complain("audit", {}, run_program("audit", {"--out", dir / "out"}), 2, {"advface-audit init"});
  complain("audit", {file}, run_program("audit", {file, "--jobs", "3/2", "--out", dir / "out"}), 2,
           {"--jobs", "3"});
  complain("audit", {file}, run_program("audit", {file, "--part", "3/2", "--out", dir / "out"}), 2,
           {"no part 3 of 2"});
  complain("audit", {file}, run_program("audit", {file, "--quick", "--out", dir / "out"}), 2, {"--quick"});
  write_bytes(dir / "plain", "x");
  complain("audit", {file},
           run_program("audit", {file, "--out", dir / "plain/out", "--cache", dir / "cache"}), 1, {"plain"},
           Late::yes);
  complain("audit", {file},
           run_program("audit", {file, "--out", dir / "out", "--cache", dir / "plain/cache"}), 1,
           {"plain/cache"}, Late::yes);
  complain("audit", {"compare"}, run_program("audit", {"compare", file, file}), 1,
           {"audit.json", "no report"});
}
