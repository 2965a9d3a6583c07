// What becomes of a report of advface-audit at the command line: commands that are pasted elsewhere, quoting,
// verifying and signing; comparing stands in audit_compare_cases.cpp, and what of a report follows from what
// in report_check_cases.cpp.
#define BOOST_TEST_MODULE cli_audit_reports
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <fstream>
#include <functional>

#include "advface/keys/key.h"
#include "advface/keys/signature.h"
#include "audit_test_util.h"
#include "sealed_report.h"
#include "tools/audit/audit_page.h"

using namespace advf;
using namespace advf::test;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

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
  BOOST_TEST((picture.starts_with("<svg") && picture.find("rank_1, by linkage") != std::string::npos &&
              picture.find(">“AdvFace”<") != std::string::npos));
}

BOOST_AUTO_TEST_CASE(reports_are_verified) {
  const Audited& a = audited();
  const std::string report = a.dir / "report/report.json";
  const Outcome good = succeed("audit", {"verify", report, "--rerun", kRerun});
  BOOST_TEST(good.out.find("The report is intact.") != std::string::npos);
  BOOST_TEST(good.out.find("Without a signature") != std::string::npos);
  json changed = a.report;
  for (json& row : changed["rows"])
    if (row["id"] == kRerun) {
      row["measures"]["rank_1"]["mean"] = 0.123;
      row["measures"]["auc"]["low"] = 0.123;
      row["counts"]["linkability"] = !row["counts"]["linkability"].get<bool>();
    }
  for (json& g : changed["groups"])
    if (g["attacker"] == "linkage" && g["protection"] == "none") g["value"]["mean"] = 0.123;
  const std::string other = write_json(a.dir, "changed.json", sealed(changed));
  const Outcome bad = run_program("audit", {"verify", other, "--rerun", kRerun});
  BOOST_TEST(bad.code == 1);
  BOOST_TEST(count(bad.out, "DIFFERS") == 3u, bad.out + bad.err);
  for (const char* told : {"DIFFERS in its interval", "counts: is {"})
    BOOST_TEST(bad.out.find(told) != std::string::npos, told << " in " << bad.out);
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
      {"data_folder", [](json& r) { r["data_folder"] = "/"; }},
      {"inputs", [](json& r) { r["inputs"].erase(r["inputs"].size() - 1); }}};  // the photographs
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
           [](json& r) { r["steps"].erase(0); }, [](json& r) { r["steps"][0]["command"] = "true"; }}) {
    const Outcome o = edited(edit);
    BOOST_TEST((o.code == 1 && o.out.find("steps: ARE NOT") != std::string::npos), o.out);
  }
  BOOST_TEST(edited([](json& r) { r["converges"] = true; }).code == 1);
  BOOST_TEST(edited([](json& r) { r["inputs"] = json::array(); }).out.find("NONE") != std::string::npos);
}

// A report with all that lies beside it.
// Of the chapter of pictures nothing but the bytes of PNG files is free: what is written around them follows
// from the report as the rest of the page does.
BOOST_AUTO_TEST_CASE(what_stands_around_pictures_is_told) {
  const Audited& a = audited();
  const auto follows = [&](const std::string& page) {
    const tools::PagePictures pictures(page);
    return page == tools::audit_page(a.report, tools::has_pictures(page) ? &pictures : nullptr);
  };
  const auto changed = [&](const std::string& was, const std::string& is) {
    std::string page = a.page;
    const size_t at = page.find(was);
    BOOST_REQUIRE_MESSAGE(at != std::string::npos, was);
    return page.replace(at, was.size(), is);
  };
  BOOST_TEST((tools::has_pictures(a.page) && follows(a.page)));
  std::string page = a.page;
  // A photograph stands in several tables, and must be the same in all; what is stored stands in one.
  char& letter = page[page.find("base64,", page.find("<img class=\"cells\"")) + 40];
  letter = letter == 'A' ? 'B' : 'A';
  BOOST_TEST(follows(page));
  const std::string png = "src=\"data:image/png;base64,";
  for (const auto& [was, is] : std::vector<std::pair<std::string, std::string>>{
           {png, "src=\"http://elsewhere/x.png\" data-was=\"" + png.substr(5)},
           {png, "onerror=\"alert(1)\" " + png},
           {png, png + "\" alt=\"\"><script>document.title='holds'</script><img " + png},
           {png + "iVBOR", png + "PHN2Zy"},
           {"<img class=\"cells\"", "<b>holds</b><img class=\"cells\""},
           {"alt=\"photograph of", "alt=\"no photograph of"},
           {"Stored and drawn: ", "Nothing is drawn: "},
           {"<div class=\"gallery\">", "<div class=\"gallery\"><h1>Every protection holds</h1>"},
           {"give it to nobody", "give it to everybody"}})
    BOOST_TEST(!follows(changed(was, is)), is);
}

BOOST_AUTO_TEST_CASE(the_page_goes_with_the_report) {
  const Audited& a = audited();
  const TempDir dir;
  fs::copy(a.dir / "report", dir / "report");
  const std::string report = dir / "report/report.json", page = dir / "report/report.html";
  const Outcome whole = succeed("audit", {"verify", report});
  for (const char* told :
       {"digest: the report is as it was written\n", "shape: as ", "programs: those that are here",
        "people: as they were, and they make", "page: as it follows", "inputs: as it follows",
        "steps: as they were planned", "rows: one or more", "The report is intact.\n"})
    BOOST_TEST(whole.out.find(told) != std::string::npos, told << " in " << whole.out);
  // Pictures, too, are bound by the page's digest.
  std::string text = read_bytes(page);
  const size_t picture = text.find("base64,") + 40;
  text[picture] = text[picture] == 'A' ? 'B' : 'A';
  write_bytes(page, text);
  const Outcome other = run_program("audit", {"verify", report});
  BOOST_TEST((other.code == 1 && other.out.find("report.html IS NOT as it was written") != std::string::npos),
             other.out);
  // Who makes the digests again, and says something else on the page, is told all the same; and who lays the
  // file out anew changes nothing that it says.
  const size_t at = text.find(" leaks");
  BOOST_REQUIRE(at != std::string::npos);
  write_bytes(page, text.replace(at, 6, " holds"));
  json changed = a.report;
  tools::seal(changed, text);
  write_bytes(report, changed.dump());
  const Outcome said = run_program("audit", {"verify", report});
  BOOST_TEST(said.code == 1);
  for (const char* told : {"page: DOES NOT follow", "laid out anew", "steps: as they were planned"})
    BOOST_TEST(said.out.find(told) != std::string::npos, told << " in " << said.out);
  // What nobody knows is told by the schema.
  changed["certified"] = true, changed["rows"][0]["certified"] = true, changed.erase("page");
  changed = sealed(changed);
  write_bytes(report, changed.dump());
  const Outcome shape = run_program("audit", {"verify", report});
  BOOST_TEST((shape.code == 1 && count(shape.out, "has certified") == 2u), shape.out);
  BOOST_TEST(shape.out.find("has programs and lacks \"page\"") != std::string::npos, shape.out);
}

// Programs that are newer, or others: what the report says is held against them as far as that goes, and the
// rest is told.
BOOST_AUTO_TEST_CASE(other_programs_are_told) {
  const Audited& a = audited();
  const TempDir dir;
  for (const char* program : {"train", "evaluate", "extract", "protect", "audit"}) {
    const std::string name = std::string("/advface-") + program;
    if (program == std::string("audit") || program == std::string("extract"))
      fs::copy(ADVF_PROGRAMS + name, dir.path().string() + name);
    else
      fs::create_symlink(ADVF_PROGRAMS + name, dir.path().string() + name);
  }
  std::ofstream(dir / "advface-extract", std::ios::app) << "newer";
  const auto verify = [&](const std::string& report) {
    const std::string log = dir / "log";
    const int status = std::system(
        ("'" + dir.path().string() + "/advface-audit' verify '" + report + "' > '" + log + "' 2>&1").c_str());
    return std::pair(WEXITSTATUS(status), read_bytes(log));
  };
  const auto [code, out] = verify(a.dir / "report/report.json");
  BOOST_TEST(code == 3, out);
  for (const char* told : {"programs: NOT THE SAME as here: advface-extract;", "steps: as they were planned",
                           "not compared: whether its own programs", "intact as far as it could be compared"})
    BOOST_TEST(out.find(told) != std::string::npos, told << " in " << out);
  json changed = a.report;
  changed["config"]["budget"]["probe_epochs"] = 99;
  const auto [bad, said] = verify(write_json(a.dir, "edited.json", sealed(changed)));
  BOOST_TEST((bad == 1 && said.find("the command of attributes, none") != std::string::npos), said);
}

// What is not there is told, as is what to do; it is no change, and not intact either.
BOOST_AUTO_TEST_CASE(what_is_absent_is_told) {
  const Audited& a = audited();
  const TempDir dir;
  const auto says = [](const Outcome& o, int code, const std::vector<std::string>& all) {
    BOOST_TEST(o.code == code, o.out + o.err);
    for (const std::string& told : all)
      BOOST_TEST(o.out.find(told) != std::string::npos, told << " in " << o.out << o.err);
  };
  fs::copy(a.dir / "report", dir / "report");
  const std::string report = dir / "report/report.json";
  for (const char* file : {"people.json", "report.html"}) fs::remove(dir / (std::string("report/") + file));
  const std::vector<std::string> gone{"people.json is not there, and is part of the audit",
                                      "report.html is not there, and is part of the audit",
                                      "intact as far as it could be compared"};
  says(run_program("audit", {"verify", report}), 3, gone);
  if (has_keys()) {
    succeed("audit", {"new-key", dir / "key"});
    says(run_program("audit", {"sign", report, "--signing-key", dir / "key"}), 0,
         {"signed, but not compared: what the page says"});
    BOOST_TEST(fs::exists(report + ".sig"));
  }
  // Made where the inputs lay in a folder that is gone here.
  const std::string folder = a.report["data_folder"], elsewhere = dir / "gone";
  std::string text = a.report.dump();
  for (size_t at = 0; (at = text.find(folder, at)) != std::string::npos; at += elsewhere.size())
    text.replace(at, folder.size(), elsewhere);
  json moved = json::parse(text);
  const std::string page = tools::audit_page(moved);
  tools::seal(moved, page);
  fs::copy(a.dir / "report/people.json", dir / "report/people.json");
  write_bytes(dir / "report/report.html", page);
  write_bytes(report, tools::report_text(moved));
  const Outcome absent = run_program("audit", {"verify", report});
  says(absent, 3,
       {"gone/rec.json: is not there\n", "not compared: inputs that are not there (",
        "put them into " + elsewhere + ", or name the folder that holds what lay there with --data DIR"});
  BOOST_TEST(absent.out.find("CHANGED") == std::string::npos, absent.out);
  says(succeed("audit", {"verify", report, "--data", folder}), 0,
       {"inputs: as it follows", "config: as it follows", "steps: as they were planned",
        "The report is intact.\n"});
  complain("audit", {"verify"}, run_program("audit", {"verify", report, "--data", dir / "nowhere"}), 2,
           {"--data", "is no folder", elsewhere});
  moved["rows"][0]["measures"]["accuracy"]["mean"] = 0.123;
  write_bytes(report, tools::report_text(sealed(moved)));
  says(run_program("audit", {"verify", report}), 1, {"The report is not what was made"});
  const Outcome rerun = run_program("audit", {"verify", report, "--rerun", kRerun});
  BOOST_TEST((rerun.code == 1 && rerun.err.find("--rerun takes the inputs") != std::string::npos), rerun.err);
  // No help where a folder is a file.
  for (const Args& args : {Args{"verify", report + "/report.json"}, Args{a.file, "--out", report + "/x"}}) {
    const Outcome o = run_program("audit", args);
    BOOST_TEST((o.code == 1 &&
                o.err.find("Not a directory: " + report + " is a file; name a path") != std::string::npos),
               o.err);
  }
}

// Who makes a failure up, with all that follows from it, is not told by what the report says; but it is
// named, and the exit code is not that of an intact report. --rerun tells.
BOOST_AUTO_TEST_CASE(failures_are_not_taken_for_granted) {
  const Audited& a = audited();
  const TempDir dir;
  json r = a.report;
  json hash;
  for (json& step : r["steps"]) {
    if (step["id"] != "stored, AdvFace") continue;
    step["seconds"] = nullptr, step["peak_memory_bytes"] = nullptr;
    hash = step["hash"];
  }
  r["failed"].push_back({{"step", "stored, AdvFace"}, {"hash", hash}, {"reason", "no room"}});
  r["unmeasured"].push_back({{"protection", "AdvFace"}, {"attacker", "stored"}});
  for (size_t i = 0; i < r["rows"].size(); ++i)
    if (r["rows"][i]["id"] == "AdvFace/stored/protected") r["rows"].erase(i);
  r.update(tools::concluded_keys(tools::parse_audit_config(r["config"].dump(), "report.json", "/"), r));
  const std::string page = tools::audit_page(r);
  tools::seal(r, page);
  write_bytes(dir / "report.html", page);
  fs::copy(a.dir / "report/people.json", dir / "people.json");
  const std::string report = dir / "report.json";
  write_bytes(report, tools::report_text(r));
  const Outcome o = run_program("audit", {"verify", report});
  BOOST_TEST(o.code == 3, o.out);
  for (const char* told : {"failed: stored, AdvFace\n", "not compared: whether 1 step failed",
                           "not compared, in any report: what was measured"})
    BOOST_TEST(o.out.find(told) != std::string::npos, told << " in " << o.out);
  const Outcome again = run_program("audit", {"verify", report, "--rerun", "stored, AdvFace"});
  BOOST_TEST((again.code == 1 && again.out.find("and here it DOES NOT") != std::string::npos), again.out);
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
  for (const char* key : {"digest", "data_folder", "programs", "page"}) changed.erase(key);
  const std::string older = write_json(a.dir, "older.json", changed);
  const Outcome bare = run_program("audit", {"verify", older});
  BOOST_TEST(bare.code == 1, bare.out);
  for (const char* told : {"digest: NONE", "programs: NOT named", "not compared: commands",
                           "not compared: hashes of steps", "steps: as they were planned"})
    BOOST_TEST(bare.out.find(told) != std::string::npos, told << " in " << bare.out);
  if (!has_keys()) return;
  const std::string key = a.dir / "auditor.key";
  succeed("audit", {"new-key", key});
  const auto signature = [&](const std::string& of) {
    return Args{"--signature", of + ".sig", "--public-key", key + ".pub"};
  };
  succeed("audit", {"sign", report, "--signing-key", key});
  // As the version signed it that made it; this one does not, as it finds no digest.
  const std::string bytes = read_bytes(older);
  write_bytes(older + ".sig", sign(std::as_bytes(std::span(bytes)), key));
  BOOST_TEST(succeed("audit", Args{"verify", report} + signature(report)).out.find("goes with the report") !=
             std::string::npos);
  const Outcome bound = run_program("audit", Args{"verify", older} + signature(older));
  BOOST_TEST((bound.code == 3 && bound.out.find("the signature binds") != std::string::npos), bound.out);
  fs::remove(older + ".sig");
  for (const std::string& one : {older, other}) {
    const Outcome refused = run_program("audit", {"sign", one, "--signing-key", key});
    BOOST_TEST((refused.code == 1 && refused.err.find("is not signed") != std::string::npos), refused.err);
    BOOST_TEST(!fs::exists(one + ".sig"));
  }
  complain("audit", {"verify"}, run_program("audit", Args{"verify", other} + signature(report)), 1,
           {".sig", "changed"});
}
