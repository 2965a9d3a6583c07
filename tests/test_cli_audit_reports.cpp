// What becomes of a report of advface-audit at the command line: commands that are pasted elsewhere,
// comparing, quoting, verifying and signing.
#define BOOST_TEST_MODULE cli_audit_reports
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <set>

#include "advface/keys/key.h"
#include "advface/keys/signature.h"
#include "audit_test_util.h"
#include "tools/audit/audit_report.h"

using namespace advf;
using namespace advf::test;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

// With the digest that it has to have, as anybody can make it who knows of it.
json sealed(json report) {
  report["digest"] = tools::report_digest(report);
  return report;
}

const char* kRerun = "none/linkage/the recogniser alone/raw";

}  // namespace

// A row's command makes its numbers again for a reader who has the inputs and a cache in folders of his own.
BOOST_AUTO_TEST_CASE(commands_are_pasted_elsewhere) {
  const Audited& a = audited();
  const std::string world = toy_world().at("");
  for (const char* list : {"rows", "steps"})
    for (const json& one : a.report[list])
      for (const std::string& folder : {a.dir.path().string(), world.substr(0, world.size() - 1)})
        BOOST_TEST(one["command"].get<std::string>().find(folder) == std::string::npos, one["command"]);
  const TempDir there;
  const std::string blank = there / "a folder";
  fs::create_directories(blank);
  fs::copy(a.dir / "cache", blank + "/cache", fs::copy_options::recursive);
  fs::copy(std::string(a.report["data_folder"]), blank + "/data", fs::copy_options::recursive);
  for (const char* id : {"AdvFace/transfer/protected", "none/linkage/the recogniser alone/raw"})
    for (const json& row : a.report["rows"]) {
      if (row["id"] != id) continue;
      const std::string folder = blank + "/" + std::to_string(row["images"].get<int>()),
                        result = folder + "/result.json";
      fs::create_directories(folder);
      write_bytes(folder + "/run.sh", "set -eu\ncd '" + folder + "'\nexport PATH='" + ADVF_PROGRAMS +
                                          "':$PATH AUDIT_DATA='" + blank + "/data' AUDIT_CACHE='" + blank +
                                          "/cache'\n" + row["command"].get<std::string>() + "\n");
      const int code = std::system(("bash '" + folder + "/run.sh' > '" + folder + "/log' 2>&1").c_str());
      BOOST_TEST(code == 0, read_bytes(folder + "/log"));
      BOOST_REQUIRE(fs::exists(result));
      const std::string step = a.dir / ("cache/steps/" + row["step"].get<std::string>() + "/result.json");
      BOOST_TEST(read_json(result)["rows"] == read_json(step)["rows"]);
    }
  BOOST_TEST(count(a.page, "href=\"#step-") > 10u);
  for (const json& row : a.report["rows"])
    BOOST_TEST(count(a.page, "<pre id=\"step-" + row["step"].get<std::string>() + "\"") == 1u);
  BOOST_TEST(count(a.page, "export AUDIT_DATA=") == 1u);
}

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
             {std::string("other files (") + key + ")", "--independent"});
  }
  not_paired([&](json& r) { changed(r, "images", 0), changed(r, "recogniser", 1); },
             "of other files: recogniser, images", {"--independent"});
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
  // A protection about which nobody asks any more.
  json more = a.report;
  for (const json& row : a.report["rows"])
    if (row["protection"] == "AdvFace") {
      more["rows"].push_back(row);
      more["rows"].back()["protection"] = "Gone";
    }
  const Outcome gone = run_program("audit", {"compare", write_json(a.dir, "more.json", sealed(more)), report,
                                             "--json", a.dir / "compare.json"});
  BOOST_TEST((gone.code == 1 && count(gone.out, "Gone was asked before") == 1u), gone.out + gone.err);
  BOOST_TEST(read_json(a.dir / "compare.json")["no_more_asked"] == json::array({"Gone"}));
}

// As docs/audit.md says: by anybody, with grep and sha256sum.
BOOST_AUTO_TEST_CASE(the_digest_is_of_the_file_without_its_line) {
  std::string rest;
  for (const std::string& line : lines_of(read_bytes(audited().dir / "report/report.json")))
    if (!line.starts_with("  \"digest\":")) rest += line + "\n";
  BOOST_TEST(digest(std::as_bytes(std::span(rest))) == audited().report["digest"].get<std::string>());
}

// A table for pages: each protection in a line, of each attacker the strongest, as the report has it.
BOOST_AUTO_TEST_CASE(reports_are_quoted) {
  const Audited& a = audited();
  const Outcome o = succeed("audit", {"table", a.dir / "report/report.json"});
  const std::vector<std::string> lines = lines_of(o.out);
  BOOST_REQUIRE(lines.size() == 4 + a.report["protections"].size());
  for (size_t i = 3; i < lines.size(); ++i) BOOST_TEST(count(lines[i], "|") == count(lines[2], "|"));
  BOOST_TEST(lines[2].find("adaptive: ssim") != std::string::npos);
  double most = 0;
  for (const json& row : a.report["rows"])
    if (row["protection"] == "AdvFace" && row["attacker"] == "linkage" && row["features"] == "protected")
      most = std::max(most, row["measures"]["rank_1"]["mean"].get<double>());
  char text[16];
  std::snprintf(text, sizeof text, "%.3f [", most);
  BOOST_TEST(lines[5].find(text) != std::string::npos, text << " in " << lines[5]);
  complain("audit", {"table"}, run_program("audit", {"table", a.file}), 1, {"audit.json", "no report"});
  succeed("audit", {"table", a.dir / "report/report.json", "--picture", a.dir / "costs.svg"});
  const std::string picture = read_bytes(a.dir / "costs.svg");
  BOOST_TEST((picture.starts_with("<svg") && picture.find("AdvFace (linkage)") != std::string::npos));
}

BOOST_AUTO_TEST_CASE(reports_are_verified) {
  const Audited& a = audited();
  const std::string report = a.dir / "report/report.json";
  const Outcome good = succeed("audit", {"verify", report, "--rerun", kRerun});
  BOOST_TEST(good.out.find("The report is intact.") != std::string::npos);
  BOOST_TEST(good.out.find("Without a signature") != std::string::npos);
  json changed = a.report;
  for (json& row : changed["rows"])
    if (row["id"] == kRerun) row["measures"]["rank_1"]["mean"] = 0.123;
  for (json& g : changed["groups"])
    if (g["attacker"] == "linkage" && g["protection"] == "none") g["value"]["mean"] = 0.123;
  const std::string other = write_json(a.dir, "changed.json", sealed(changed));
  const Outcome bad = run_program("audit", {"verify", other, "--rerun", kRerun});
  BOOST_TEST(bad.code == 1);
  BOOST_TEST(bad.out.find("DIFFERS") != std::string::npos, bad.out + bad.err);
  BOOST_TEST(bad.out.find("groups: 0 of ") != std::string::npos, bad.out);
  changed = a.report;
  changed["verdicts"][0]["verdict"] = "holds";
  changed["inputs"][0]["digest"] = "sha256:0";
  const Outcome forged = run_program("audit", {"verify", write_json(a.dir, "forged.json", changed)});
  BOOST_TEST(forged.code == 1);
  for (const char* told : {"verdicts: DOES NOT follow", "CHANGED", "digest: the report IS NOT"})
    BOOST_TEST(forged.out.find(told) != std::string::npos, told << " in " << forged.out);
  complain("audit", {"verify"}, run_program("audit", {"verify", report, "--rerun", "none/linkage"}), 2,
           {"none/linkage", "no such row"});
}

// By who knows of the digest: what follows from the rest is made again, each key by itself.
BOOST_AUTO_TEST_CASE(what_follows_is_made_again) {
  const Audited& a = audited();
  const auto edited = [&](const std::function<void(json&)>& edit) {
    json report = a.report;
    edit(report);
    return run_program("audit", {"verify", write_json(a.dir, "edited.json", sealed(report))});
  };
  const std::vector<std::pair<const char*, std::function<void(json&)>>> edits = {
      {"summary", [](json& r) { r["summary"][0] = "All is well."; }},
      {"intervals", [](json& r) { r["intervals"] = 0; }},
      {"protections",
       [](json& r) { r["protections"][1]["locked"] = !r["protections"][1]["locked"].get<bool>(); }},
      {"size", [](json& r) { r["size"] = "full"; }},
      {"left_out", [](json& r) { r["left_out"] = json::array(); }},
      {"data", [](json& r) { r["data"]["test_people"] = 1000; }},
      {"people_shown", [](json& r) { r["people_shown"].erase(0); }},
      {"data_folder", [](json& r) { r["data_folder"] = "/"; }}};
  const Outcome all = edited([&](json& r) {
    for (const auto& [key, edit] : edits) edit(r);
  });
  BOOST_TEST((all.code == 1 && count(all.out, "DOES NOT follow") == edits.size()), all.out);
  for (const auto& [key, edit] : edits)
    BOOST_TEST(all.out.find(key + std::string(": DOES NOT follow")) != std::string::npos,
               key << ": " << all.out);
  for (const auto& edit : std::vector<std::function<void(json&)>>{
           [](json& r) {
             r["unmeasured"].push_back({{"protection", "AdvFace"}, {"attacker", "stored"}});
           },
           [](json& r) { r["steps"].erase(0); }, [](json& r) { r["rows"][0]["command"] = "true"; }}) {
    const Outcome o = edited(edit);
    BOOST_TEST((o.code == 1 && o.out.find("steps: ARE NOT") != std::string::npos), o.out);
  }
  BOOST_TEST(edited([](json& r) { r["converges"] = true; }).code == 1);
  BOOST_TEST(edited([](json& r) { r["inputs"] = json::array(); }).out.find("NONE") != std::string::npos);
}

// By who does not know of it: whatever changes, the digest is another one.
BOOST_AUTO_TEST_CASE(every_key_is_bound_by_the_digest) {
  const json& report = audited().report;
  BOOST_TEST(tools::is_as_written(report));
  for (const auto& [key, value] : report.items()) {
    json changed = report;
    changed[key] = "another";
    BOOST_TEST(!tools::is_as_written(changed), key);
    changed.erase(key);
    BOOST_TEST(!tools::is_as_written(changed), key);
  }
}

// Of reports without a digest, as older ones are, nothing but a signature says that they are as they were.
BOOST_AUTO_TEST_CASE(a_signature_binds_a_report) {
  const Audited& a = audited();
  const std::string report = a.dir / "report/report.json";
  json changed = a.report;
  changed["date"] = "2020-01-01T00:00:00Z";
  const std::string other = write_json(a.dir, "dated.json", changed);
  changed = a.report;
  changed.erase("digest"), changed.erase("data_folder");
  const std::string older = write_json(a.dir, "older.json", changed);
  const Outcome bare = run_program("audit", {"verify", older});
  BOOST_TEST((bare.code == 1 && bare.out.find("digest: NONE") != std::string::npos), bare.out);
  if (!has_keys()) return;
  succeed("audit", {"new-key", a.dir / "auditor.key"});
  const auto signature = [&](const std::string& of) {
    return Args{"--signature", of + ".sig", "--public-key", a.dir / "auditor.key.pub"};
  };
  for (const std::string& one : {report, older})
    succeed("audit", {"sign", one, "--signing-key", a.dir / "auditor.key"});
  BOOST_TEST(succeed("audit", Args{"verify", report} + signature(report)).out.find("goes with the report") !=
             std::string::npos);
  BOOST_TEST(succeed("audit", Args{"verify", older} + signature(older)).out.find("the signature binds") !=
             std::string::npos);
  complain("audit", {"verify"}, run_program("audit", Args{"verify", other} + signature(report)), 1,
           {".sig", "changed"});
}
