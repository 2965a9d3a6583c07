// advface-audit compare at the command line. Part of the suite `cli_audit_reports`.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <functional>
#include <set>

#include "advface/keys/signature.h"
#include "audit_test_util.h"
#include "sealed_report.h"

using namespace advf;
using namespace advf::test;
using nlohmann::json;
namespace fs = std::filesystem;

// Differences of the same people are paired: what all of them share is told, however much people differ.
BOOST_AUTO_TEST_CASE(the_same_people_are_paired) {
  const Audited& a = audited();
  const std::string report = a.dir / "report/report.json", id = "AdvFace/transfer/protected";
  const auto compared = [&](const std::string& after, int code, const Args& more = {}) {
    const Outcome o =
        run_program("audit", Args{"compare", report, after, "--json", a.dir / "compare.json"} + more);
    BOOST_TEST(o.code == code, o.out + o.err);
    return std::pair(read_json(a.dir / "compare.json"), o.out);
  };
  const auto row_of = [&](const json& result, const std::string& measure) {
    for (const json& row : result["rows"])
      if (row["id"] == id && row["measure"] == measure) return row;
    BOOST_FAIL("no row " + id);
    return json();
  };
  const json same = compared(report, 0).first;
  std::set<std::string> paired;
  for (const json& row : same["rows"]) {
    BOOST_TEST(row["paired"] == (row["measure"] != "d_sys" && row["measure"] != "auc"), row.dump());
    if (row["paired"] == false) continue;
    BOOST_TEST((row["difference"]["low"] == 0 && row["difference"]["high"] == 0));
    paired.insert(row["measure"].get<std::string>());
  }
  BOOST_TEST(same["accuracy"].size() == a.report["verdicts"].size());
  for (const json& row : same["accuracy"])
    BOOST_TEST((row["paired"] == true && row["difference"]["low"] == 0 && row["difference"]["high"] == 0),
               row.dump());
  BOOST_TEST((paired == std::set<std::string>{"ssim", "cosine", "replay", "rank_1", "balanced_accuracy"}));

  // Pictures of everybody come out a little better.
  const double more = 0.03;
  json people = read_json(a.dir / "report/people.json"), better = a.report;
  for (json& row : people["rows"])
    if (row["id"] == id && row["measure"] == "ssim")
      for (json& mean : row["of"][0]["means"]) mean = mean.get<double>() + more;
  for (json& row : better["rows"])
    if (row["id"] == id)
      for (const char* end : {"mean", "low", "high"})
        row["measures"]["ssim"][end] = row["measures"]["ssim"][end].get<double>() + more;
  const TempDir dir;
  const std::string text = people.dump();
  write_bytes(dir / "people.json", text);
  better["people"]["digest"] = digest(std::as_bytes(std::span(text)));
  const json told = row_of(compared(write_json(dir, "report.json", sealed(better)), 1).first, "ssim");
  BOOST_TEST((told["paired"] == true && told["worse"] == true));
  BOOST_TEST(std::abs(told["difference"]["low"].get<double>() - more) < 1e-5);
  BOOST_TEST(std::abs(told["difference"]["high"].get<double>() - more) < 1e-5);

  // Every decision about two people in three goes wrong: a loss that no draw of people explains.
  json wrong = read_json(a.dir / "report/people.json"), dearer = a.report;
  for (json& row : wrong["rows"])
    if (row["id"] == "AdvFace/accuracy/protected")
      for (size_t i = 0; i < row["of"][0]["means"].size(); ++i)
        if (i % 3 > 0) row["of"][0]["means"][i] = 0;
  const TempDir paid;
  const std::string lost = wrong.dump();
  write_bytes(paid / "people.json", lost);
  dearer["people"]["digest"] = digest(std::as_bytes(std::span(lost)));
  for (json& v : dearer["verdicts"])
    if (v["protection"] == "AdvFace") v["cost"]["loss"] = v["cost"]["loss"].get<double>() + 0.5;
  const json costs = compared(write_json(paid, "report.json", sealed(dearer)), 1).first;
  for (const json& row : costs["accuracy"])
    BOOST_TEST((row["worse"] == (row["protection"] == "AdvFace") &&
                (row["worse"] == false || row["difference"]["low"] > 0)),
               row.dump());

  // Where people are others, or nobody knows, both intervals count, and the rise is lost in them.
  const auto not_paired = [&](const std::function<void(json&)>& edit, const std::string& reason,
                              const Args& more = {}) {
    json other = better;
    edit(other);
    const auto [result, out] = compared(write_json(dir, "report.json", sealed(other)), 0, more);
    const json row = row_of(result, "ssim");
    for (const json& costs : result["accuracy"])
      BOOST_TEST(
          (costs["paired"] == false && costs["difference"]["low"] < 0 && costs["difference"]["high"] > 0),
          costs.dump());
    BOOST_TEST((row["paired"] == false && row["worse"] == false));
    BOOST_TEST(row["difference"]["low"] < 0);
    BOOST_TEST(row["why_not_paired"].get<std::string>().find(reason) != std::string::npos, row.dump());
    BOOST_TEST(out.find(reason) != std::string::npos, out);
    BOOST_TEST(out.find("not paired") != std::string::npos);
  };
  not_paired([](json& r) { r.erase("people"); }, "before reports came with people.json");
  not_paired([](json& r) { r["people"]["digest"] = "sha256:0"; }, "of another report");
  // Of other photographs, or another recogniser, whose network stands behind its card, nothing is said of a
  // protection, unless somebody asks for it.
  const auto changed = [](json& r, const std::string& key, size_t behind) {
    json& inputs = r["inputs"];
    for (size_t i = 0; i < inputs.size(); ++i)
      if (inputs[i]["path"] == r["config"][key]) inputs.at(i + behind)["digest"] = "sha256:0";
  };
  for (const auto& [key, behind] : {std::pair("images", 0), std::pair("recogniser", 1)}) {
    json other = better;
    changed(other, key, size_t(behind));
    complain("audit", {"compare"},
             run_program("audit", {"compare", report, write_json(dir, "report.json", sealed(other))}), 2,
             {std::string("other files or people (") + key + ")", "--independent"});
  }
  for (const auto& [key, value] : {std::pair("part", json("validation")), std::pair("split_seed", json(7))}) {
    json other = better;
    other["config"][key] = value;
    complain("audit", {"compare"},
             run_program("audit", {"compare", report, write_json(dir, "report.json", sealed(other))}), 2,
             {std::string("other files or people (") + key + ")", "--independent"});
  }
  // What no measure shows.
  json undone = a.report;
  undone["protections"].back()["undone_by"] = "who knows the seed takes it off";
  const Args promised{"compare", report, write_json(dir, "report.json", sealed(undone))};
  const Outcome less = run_program("audit", promised);
  BOOST_TEST((less.code == 1 && less.out.find("who knows the seed takes it off  WORSE") != std::string::npos),
             less.out);
  not_paired([&](json& r) { changed(r, "images", 0), changed(r, "recogniser", 1); },
             "of other files or people: recogniser, images", {"--independent"});
  for (json& set : people["sets"]) set["people"][0] = "00000000000000ff";
  const std::string others = people.dump();
  write_bytes(dir / "people.json", others);
  not_paired([&](json& r) { r["people"]["digest"] = digest(std::as_bytes(std::span(others))); },
             "other people");
  fs::remove(dir / "people.json");
  not_paired([](json&) {}, "is not there");
  write_bytes(dir / "people.json", "{}");
  better["people"]["digest"] = digest(std::as_bytes(std::span("{}", 2)));
  const Args broken{"compare", report, write_json(dir, "report.json", sealed(better))};
  complain("audit", {"compare"}, run_program("audit", broken), 1, {"people.json", "damaged"});
}

BOOST_AUTO_TEST_CASE(reports_are_compared) {
  const Audited& a = audited();
  const std::string report = a.dir / "report/report.json";
  const Outcome same = succeed("audit", {"compare", report, report, "--json", a.dir / "compare.json"});
  BOOST_TEST(read_json(a.dir / "compare.json")["worse"] == false);
  json worse = a.report;
  for (json& row : worse["rows"])
    if (row["id"] == "AdvFace/adaptive/protected")
      for (const char* end : {"mean", "low", "high"})
        row["measures"]["ssim"][end] = row["measures"]["ssim"][end].get<double>() + 0.9;
  complain("audit", {"compare"},
           run_program("audit", {"compare", report, write_json(a.dir, "worse.json", worse)}), 1,
           {"worse.json", "not as it was written"});
  worse.erase("digest");
  complain("audit", {"compare"},
           run_program("audit", {"compare", write_json(a.dir, "worse.json", worse), report}), 1,
           {"worse.json", "no digest"});
  const std::string other = write_json(a.dir, "worse.json", sealed(worse));
  const Outcome told = run_program("audit", {"compare", report, other});
  BOOST_TEST(told.code == 1);
  BOOST_TEST(told.out.find("WORSE") != std::string::npos);
  BOOST_TEST(succeed("audit", {"compare", other, report}).out.find("WORSE") == std::string::npos);
  BOOST_TEST(succeed("audit", {"compare", report, other, "--threshold", "1"}).out.find("WORSE") ==
             std::string::npos);
  // Of which nothing was concluded, and which leaks now.
  json vague = a.report, leaking = a.report;
  vague["verdicts"][0]["verdict"] = "no conclusion", leaking["verdicts"][0]["verdict"] = "leaks";
  const std::string before = write_json(a.dir, "vague.json", sealed(vague));
  const std::string after = write_json(a.dir, "leaking.json", sealed(leaking));
  const Outcome leaks = run_program("audit", {"compare", before, after});
  BOOST_TEST((leaks.code == 1 && leaks.out.find("leaks, was no conclusion  WORSE") != std::string::npos),
             leaks.out + leaks.err);
  BOOST_TEST(succeed("audit", {"compare", after, before}).out.find("WORSE") == std::string::npos);
  // A protection about which nobody asks any more.
  json more = a.report;
  for (const json& row : a.report["rows"])
    if (row["protection"] == "AdvFace") {
      more["rows"].push_back(row);
      more["rows"].back()["protection"] = "Gone";
    }
  const Outcome gone = run_program("audit", {"compare", write_json(a.dir, "more.json", sealed(more)), report,
                                             "--json", a.dir / "compare.json"});
  BOOST_TEST((gone.code == 1 && count(gone.out, "“Gone” was asked before") == 1u), gone.out + gone.err);
  BOOST_TEST(read_json(a.dir / "compare.json")["weaker"].size() == 1u);
  const Args allowed{"compare", a.dir / "more.json", report, "--weaker"};
  BOOST_TEST(succeed("audit", allowed).out.find("as --weaker allows") != std::string::npos);
  // The same numbers by a smaller budget are no comfort.
  json less = a.report;
  less["config"]["budget"]["decoder_epochs"] = 0;
  const Outcome small =
      run_program("audit", {"compare", report, write_json(a.dir, "less.json", sealed(less))});
  BOOST_TEST((small.code == 1 && small.out.find("decoder_epochs is 0, was 1  WEAKER") != std::string::npos),
             small.out);
}
