// An audit of the toy world at the command line: its report against the published schema and as a page, going
// on after a kill, shares of the work, the same numbers again, comparing, verifying and signing.
#define BOOST_TEST_MODULE cli_audit
#include <fcntl.h>
#include <sys/file.h>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <functional>
#include <iostream>
#include <map>
#include <set>

#include "advface/keys/key.h"
#include "advface/keys/signature.h"
#include "audit_test_util.h"
#include "json_schema.h"
#include "small_disk.h"
#include "tools/audit/audit_report.h"

using namespace advf;
using namespace advf::test;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

// What most cases look at: one audit, made once.
struct Audited {
  TempDir dir;
  std::string file = write_json(dir, "audit.json", quick_audit());
  Outcome first =
      succeed("audit", {file, "--out", dir / "report", "--cache", dir / "cache", "--threads", "2"});
  json report = read_json(dir / "report/report.json");
  std::string page = read_bytes(dir / "report/report.html");

  // For a look at it in a browser, which is a test of its own.
  Audited() {
    if (const char* kept = std::getenv("ADVF_KEPT_PAGE")) write_bytes(kept, page);
  }
};
const Audited& audited() {
  static const Audited a;
  return a;
}

size_t count(const std::string& text, const std::string& what) {
  size_t n = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + what.size())) ++n;
  return n;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_report_is_as_the_schema_says) {
  Schema schema(read_json(std::string(ADVF_TEST_DATA) + "/../../docs/audit.schema.json"));
  const std::vector<std::string> errors = schema.errors(audited().report);
  BOOST_TEST(errors.empty(), (errors.empty() ? "" : errors[0]));
  // The check itself can fail.
  json broken = audited().report;
  broken["rows"][0].erase("measures");
  broken["surprise"] = 1;
  BOOST_TEST(schema.errors(broken).size() == 2u);
}

BOOST_AUTO_TEST_CASE(every_pair_has_rows_and_a_verdict) {
  const json& r = audited().report;
  BOOST_TEST(r["failed"].empty(), r["failed"].dump());
  std::set<std::string> pairs;
  for (const json& row : r["rows"])
    pairs.insert(row["protection"].get<std::string>() + "/" + row["attacker"].get<std::string>());
  for (const char* pair :
       {"none/accuracy", "none/transfer", "none/inversion", "none/linkage", "none/attributes",
        "AdvFace/accuracy", "AdvFace/stored", "AdvFace/transfer", "AdvFace/adaptive", "AdvFace/inversion",
        "AdvFace/linkage", "AdvFace/attributes", "none/mean face"})
    BOOST_TEST(pairs.contains(pair), "no row of " << pair);
  std::map<std::string, json> verdicts;
  for (const json& v : r["verdicts"]) verdicts[v["protection"]] = v;
  BOOST_TEST(verdicts.size() == (has_keys() ? 3u : 1u));
  // A quick audit gives nobody a green light.
  for (const auto& [name, v] : verdicts) {
    BOOST_TEST(v["verdict"] != "holds", name);
    const json& c = v["cost"];
    const double low = c["loss_low"], loss = c["loss"], high = c["loss_high"];
    BOOST_TEST((low <= loss + 0.01 && loss - 0.01 <= high && high - low < 0.5), c.dump());
  }
  BOOST_TEST(r["summary"].size() == 3u);
  if (!has_keys()) return;
  for (const char* pair : {"locked/adaptive", "locked/unlinkability", "locked (key leaked)/adaptive"})
    BOOST_TEST(pairs.contains(pair), "no row of " << pair);
  // A rotation turns probes with the record: accuracy is that of what lies under it.
  BOOST_TEST(verdicts["locked"]["cost"]["accuracy"] == verdicts["locked (key leaked)"]["cost"]["accuracy"]);
}

BOOST_AUTO_TEST_CASE(groups_are_of_both_kinds) {
  std::set<std::string> measures;
  for (const json& g : audited().report["groups"]) {
    BOOST_TEST(g["attribute"] == "Smiling");
    measures.insert(g["measure"].get<std::string>());
  }
  BOOST_TEST(measures.contains("ssim"));
}

BOOST_AUTO_TEST_CASE(the_page_needs_nothing_else_and_can_be_read_by_everybody) {
  const std::string& page = audited().page;
  BOOST_TEST(page.find("<html lang=\"en\">") != std::string::npos);
  BOOST_TEST(count(page, "<h1>") == 1u);
  // No address outside the page but the namespace of SVG, and no picture or script from elsewhere.
  std::string rest = page;
  for (size_t at; (at = rest.find("http://www.w3.org/2000/svg")) != std::string::npos;) rest.erase(at, 26);
  BOOST_TEST(rest.find("http://") == std::string::npos);
  BOOST_TEST(rest.find("https://") == std::string::npos);
  BOOST_TEST(rest.find("<link") == std::string::npos);
  BOOST_TEST(count(page, "<img ") > 10u);
  BOOST_TEST(count(page, "<img ") == count(page, "src=\"data:image/png;base64,"));
  for (size_t begin = page.find("<img "); begin != std::string::npos; begin = page.find("<img ", begin + 1)) {
    const size_t close = page.find('>', begin);
    BOOST_REQUIRE(page.substr(begin, close - begin).find(" alt=\"") != std::string::npos);
    BOOST_TEST(page.substr(begin, close - begin).find(" alt=\"\"") == std::string::npos);
  }
  // Headings go down one at a time, ids are there once, tables have captions and heads.
  int level = 1;
  for (size_t at = page.find("<h"); at != std::string::npos; at = page.find("<h", at + 1)) {
    if (!std::isdigit(static_cast<unsigned char>(page[at + 2]))) continue;
    const int next = page[at + 2] - '0';
    BOOST_TEST(next <= level + 1);
    level = next;
  }
  std::set<std::string> ids;
  for (size_t at = page.find(" id=\""); at != std::string::npos; at = page.find(" id=\"", at + 1)) {
    const size_t end = page.find('"', at + 5);
    BOOST_TEST(ids.insert(page.substr(at + 5, end - at - 5)).second, "twice: " << page.substr(at, end - at));
  }
  BOOST_TEST(count(page, "<table") == count(page, "<caption>"));
  BOOST_TEST(count(page, "<table") == count(page, "<thead "));
  BOOST_TEST(count(page, "<svg") >= 2u);
  // Elements are closed.
  for (const char* name : {"table", "tr", "td", "th", "p", "ul", "li", "div", "main", "header", "footer",
                           "details", "pre", "figure", "svg", "h2", "h3"})
    BOOST_TEST(count(page, std::string("<") + name + ">") + count(page, std::string("<") + name + " ") ==
                   count(page, std::string("</") + name + ">"),
               name);
  const Outcome o = succeed("audit", {audited().file, "--out", audited().dir / "bare", "--cache",
                                      audited().dir / "cache", "--without-pictures"});
  BOOST_TEST(read_bytes(audited().dir / "bare/report.html").find("<img") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(what_is_there_is_not_made_again) {
  const Audited& a = audited();
  const Outcome again = succeed("audit", {a.file, "--out", a.dir / "again", "--cache", a.dir / "cache"});
  BOOST_TEST(again.err.find("training") == std::string::npos, again.err);
  BOOST_TEST(again.err.find("measuring") == std::string::npos);
  BOOST_TEST(tools::without_times(read_json(a.dir / "again/report.json")) == tools::without_times(a.report));
}

// Whatever became of a cache: a step whose files are not what it made is made again.
BOOST_AUTO_TEST_CASE(what_is_damaged_is_made_again) {
  const Audited& a = audited();
  const TempDir dir;
  fs::copy(a.dir / "cache", dir / "cache", fs::copy_options::recursive);
  const auto file = [&](const std::string& id, const std::string& name) {
    for (const json& step : a.report["steps"])
      if (step["id"] == id) return dir / ("cache/steps/" + step["hash"].get<std::string>() + "/" + name);
    BOOST_FAIL("no step " + id);
    return std::string();
  };
  const std::string net = file("linkage of AdvFace", "out.safetensors"),
                    result = file("linkage, none", "result.json");
  std::string bytes = read_bytes(net);
  bytes[bytes.size() / 2] ^= 1;
  write_bytes(net, bytes);
  write_bytes(result, read_bytes(result).substr(0, 40));
  const Outcome o =
      succeed("audit", {a.file, "--out", dir / "report", "--cache", dir / "cache", "--threads", "2"});
  BOOST_TEST(count(o.err, "is damaged") == 2u, o.err);
  BOOST_TEST(tools::without_times(read_json(dir / "report/report.json"))["rows"] ==
             tools::without_times(a.report)["rows"]);
}

// Features of photographs lie beside the steps, and are believed by nobody who did not sum them up: with one
// bit of theirs wrong the numbers of a step that reads them come out as they were.
BOOST_AUTO_TEST_CASE(damaged_features_are_made_again) {
  const Audited& a = audited();
  const TempDir dir;
  fs::copy(a.dir / "cache", dir / "cache", fs::copy_options::recursive);
  size_t damaged = 0;
  for (const auto& entry : fs::directory_iterator(dir / "cache/features")) {
    const std::string path = entry.path().string();
    if (!path.ends_with(".npy") || path.ends_with(".index.npy")) continue;
    std::string bytes = read_bytes(path);
    for (size_t at = bytes.size() / 2; at < bytes.size(); at += 16) bytes[at + 1] ^= 0x40;
    write_bytes(path, bytes);
    ++damaged;
  }
  BOOST_REQUIRE(damaged > 0);
  for (const json& step : a.report["steps"])
    if (step["id"].get<std::string>().starts_with("linkage, "))
      fs::remove_all(dir / ("cache/steps/" + step["hash"].get<std::string>()));
  succeed("audit", {a.file, "--out", dir / "report", "--cache", dir / "cache", "--threads", "2"});
  const json report = read_json(dir / "report/report.json");
  BOOST_TEST(tools::without_times(report)["rows"] == tools::without_times(a.report)["rows"]);
  BOOST_TEST(report["people"] == a.report["people"]);
}

// Elsewhere, in two shares, interrupted and killed at any moment, the numbers are the same.
BOOST_AUTO_TEST_CASE(shares_and_kills_change_no_number) {
  const Audited& a = audited();
  const TempDir dir;
  const auto share = [&](const std::string& which) {
    return Args{a.file, "--cache", dir / "cache", "--jobs", which, "--threads", "1"};
  };
  // Cut off as soon as a first step stands there; then whoever comes goes on.
  Surroundings early;
  early.interrupt_after = "[3/";
  const Outcome cut = run_program("audit", share("1/2"), early);
  BOOST_TEST(cut.code == 130, cut.err);
  BOOST_TEST(!fs::exists(dir / "report"));
  std::thread other([&] { run_program("audit", share("2/2")); });
  int kills = 0;
  for (const int after : {100, 300, 900, 1700}) {
    Surroundings soon;
    soon.limit = std::chrono::milliseconds(after);
    const Outcome killed = run_program("audit", share("1/2"), soon);
    BOOST_TEST((killed.code == 137 || killed.code == 0), killed.code << ": " << killed.err);
    kills += killed.code == 137;
  }
  BOOST_TEST(kills > 0);
  const Outcome one = run_program("audit", share("1/2"));
  other.join();
  BOOST_TEST(one.code == 0, one.err);
  const Outcome merged = succeed("audit", {a.file, "--cache", dir / "cache", "--out", dir / "report"});
  BOOST_TEST(merged.err.find("training") == std::string::npos, merged.err);
  const json report = read_json(dir / "report/report.json");
  BOOST_TEST(tools::without_times(report)["rows"] == tools::without_times(a.report)["rows"]);
  BOOST_TEST(report["verdicts"].size() == a.report["verdicts"].size());
}

// Each attack is made with every seed, and the worst speaks for the protection.
BOOST_AUTO_TEST_CASE(of_several_seeds_the_worst_counts) {
  const Audited& a = audited();
  json s = quick_audit();
  s["attackers"] = {"linkage"}, s["budget"]["seeds"] = 2;
  s["protections"] = json::array({s["protections"][0]});
  const TempDir dir;
  succeed("audit", {write_json(dir, "audit.json", s), "--out", dir / "report", "--cache", a.dir / "cache",
                    "--threads", "2"});
  const json report = read_json(dir / "report/report.json");
  const json& leak = report["verdicts"][0]["leaks"]["linkability"];
  BOOST_REQUIRE(leak.contains("value"));
  const std::string measure = leak["measure"];
  const json* worst = nullptr;
  std::set<int64_t> seeds;
  for (const json& row : report["rows"]) {
    if (row["protection"] != "AdvFace" || row["features"] != "protected") continue;
    if (row["attacker"] == "linkage") seeds.insert(row["seed"].get<int64_t>());
    if (row["id"] == leak["worst"]) worst = &row;
  }
  BOOST_TEST((seeds == std::set<int64_t>{1, 2}));
  BOOST_REQUIRE(worst);
  BOOST_TEST(leak["value"] == (*worst)["measures"][measure]);
  // The other seed did not clearly better.
  for (const json& row : report["rows"])
    if (row["protection"] == "AdvFace" && row["features"] == "protected" &&
        row["attacker"] == (*worst)["attacker"] && row["variant"] == (*worst)["variant"])
      BOOST_TEST(row["measures"][measure]["low"].get<double>() <= leak["value"]["high"].get<double>());
}

BOOST_AUTO_TEST_CASE(two_audits_do_not_write_one_report) {
  const Audited& a = audited();
  const int other = ::open((a.dir / "report/.lock").c_str(), O_RDWR);
  BOOST_REQUIRE(other >= 0);
  BOOST_REQUIRE(::flock(other, LOCK_EX) == 0);
  const Args call{a.file, "--out", a.dir / "report", "--cache", a.dir / "cache"};
  complain("audit", call, run_program("audit", call), 1, {a.dir / "report", "another audit"}, Late::yes);
  ::close(other);
}

// A cache without room is told at once; a report without room leaves the one that is there.
BOOST_AUTO_TEST_CASE(a_full_disk) {
  const Audited& a = audited();
  const SmallDisk disk;
  if (!disk.mounted()) return;
  const Args cached{a.file, "--out", a.dir / "elsewhere", "--cache", disk.path() + "/cache"};
  complain("audit", cached, run_program("audit", cached), 1, {disk.path() + "/cache", "MiB free"}, Late::yes);
  const Args call{a.file, "--out", disk.path() + "/report", "--cache", a.dir / "cache"};
  complain("audit", call, run_program("audit", call), 1, {"report.html", "No space left on device"},
           Late::yes);
  BOOST_TEST(!fs::exists(disk.path() + "/report/report.json"));
}

BOOST_AUTO_TEST_CASE(a_step_that_fails_takes_only_its_own_with_it) {
  const Audited& a = audited();
  const TempDir dir;
  fs::copy(a.dir / "cache", dir / "cache", fs::copy_options::recursive);
  // The adaptive decoder of AdvFace is gone, and cannot be made: a folder stands in its place.
  std::string net, folder;
  for (const json& step : a.report["steps"])
    if (step["id"] == "decoder of AdvFace") net = step["hash"];
  BOOST_REQUIRE(!net.empty());
  folder = dir / ("cache/steps/" + net);
  fs::remove_all(folder);
  fs::create_directories(folder + "/out.safetensors");
  for (const json& step : a.report["steps"])
    for (const json& needed : step["needs"])
      if (needed == net) fs::remove_all(dir / ("cache/steps/" + step["hash"].get<std::string>()));
  const Outcome o = run_program("audit", {a.file, "--out", dir / "report", "--cache", dir / "cache"});
  BOOST_TEST(o.code == 1);
  BOOST_TEST(o.err.find("failed: decoder of AdvFace") != std::string::npos, o.err);
  const json report = read_json(dir / "report/report.json");
  BOOST_TEST(report["failed"].size() == 2u);
  bool transfer = false;
  for (const json& row : report["rows"]) {
    BOOST_TEST(row["id"] != "AdvFace/adaptive/protected");
    transfer |= row["id"] == "AdvFace/transfer/protected";
  }
  BOOST_TEST(transfer);
}

// Differences of the same people are paired: what all of them share is told, however much people differ.
BOOST_AUTO_TEST_CASE(the_same_people_are_paired) {
  const Audited& a = audited();
  const std::string report = a.dir / "report/report.json", id = "AdvFace/transfer/protected";
  const auto compared = [&](const std::string& after, int code) {
    const Outcome o = run_program("audit", {"compare", report, after, "--json", a.dir / "compare.json"});
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
  const json told = row_of(compared(write_json(dir, "report.json", better), 1).first, "ssim");
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
  const json costs = compared(write_json(paid, "report.json", dearer), 1).first;
  for (const json& row : costs["accuracy"])
    BOOST_TEST((row["worse"] == (row["protection"] == "AdvFace") &&
                (row["worse"] == false || row["difference"]["low"] > 0)),
               row.dump());

  // Where people are others, or nobody knows, both intervals count, and the rise is lost in them.
  const auto not_paired = [&](const std::function<void(json&)>& edit, const std::string& reason) {
    json other = better;
    edit(other);
    const auto [result, out] = compared(write_json(dir, "report.json", other), 0);
    const json row = row_of(result, "ssim");
    BOOST_TEST((row["paired"] == false && row["worse"] == false));
    BOOST_TEST(row["difference"]["low"] < 0);
    BOOST_TEST(row["why_not_paired"].get<std::string>().find(reason) != std::string::npos, row.dump());
    BOOST_TEST(out.find(reason) != std::string::npos, out);
    BOOST_TEST(out.find("not paired") != std::string::npos);
  };
  not_paired([](json& r) { r.erase("people"); }, "before reports came with people.json");
  not_paired([](json& r) { r["people"]["digest"] = "sha256:0"; }, "of another report");
  not_paired(
      [](json& r) {
        for (json& input : r["inputs"])
          if (input["path"] == r["config"]["images"]) input["digest"] = "sha256:0";
      },
      "other images");
  for (json& set : people["sets"]) set["people"][0] = "00000000000000ff";
  const std::string others = people.dump();
  write_bytes(dir / "people.json", others);
  not_paired([&](json& r) { r["people"]["digest"] = digest(std::as_bytes(std::span(others))); },
             "other people");
  fs::remove(dir / "people.json");
  not_paired([](json&) {}, "is not there");
  write_bytes(dir / "people.json", "{}");
  better["people"]["digest"] = digest(std::as_bytes(std::span("{}", 2)));
  const Args broken{"compare", report, write_json(dir, "report.json", better)};
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
  const std::string other = write_json(a.dir, "worse.json", worse);
  const Outcome told = run_program("audit", {"compare", report, other});
  BOOST_TEST(told.code == 1);
  BOOST_TEST(told.out.find("WORSE") != std::string::npos);
  BOOST_TEST(succeed("audit", {"compare", other, report}).out.find("WORSE") == std::string::npos);
  BOOST_TEST(succeed("audit", {"compare", report, other, "--threshold", "1"}).out.find("WORSE") ==
             std::string::npos);
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
  const Outcome good =
      succeed("audit", {"verify", report, "--rerun", "none/linkage/the recogniser alone/raw"});
  BOOST_TEST(good.out.find("The report is intact.") != std::string::npos);
  json changed = a.report;
  for (json& row : changed["rows"])
    if (row["id"] == "none/linkage/the recogniser alone/raw") row["measures"]["rank_1"]["mean"] = 0.123;
  const std::string other = write_json(a.dir, "changed.json", changed);
  const Outcome bad =
      run_program("audit", {"verify", other, "--rerun", "none/linkage/the recogniser alone/raw"});
  BOOST_TEST(bad.code == 1);
  BOOST_TEST(bad.out.find("DIFFERS") != std::string::npos, bad.out + bad.err);
  changed = a.report;
  changed["verdicts"][0]["verdict"] = "holds";
  changed["inputs"][0]["digest"] = "sha256:0";
  const Outcome forged = run_program("audit", {"verify", write_json(a.dir, "forged.json", changed)});
  BOOST_TEST(forged.code == 1);
  BOOST_TEST(forged.out.find("DO NOT follow") != std::string::npos);
  BOOST_TEST(forged.out.find("CHANGED") != std::string::npos);
  const auto edited = [&](const std::function<void(json&)>& edit) {
    json report_of = a.report;
    edit(report_of);
    return run_program("audit", {"verify", write_json(a.dir, "edited.json", report_of)});
  };
  BOOST_TEST(edited([](json&) {}).code == 0);
  BOOST_TEST(edited([](json& r) { r["summary"][0] = "All is well."; }).out.find("DOES NOT follow") !=
             std::string::npos);
  BOOST_TEST(edited([](json& r) { r["converges"] = true; }).code == 1);
  BOOST_TEST(edited([](json& r) { r["inputs"] = json::array(); }).out.find("NONE") != std::string::npos);
  complain("audit", {"verify"}, run_program("audit", {"verify", report, "--rerun", "none/linkage"}), 2,
           {"none/linkage", "no such row"});
  if (!has_keys()) return;
  succeed("audit", {"new-key", a.dir / "auditor.key"});
  succeed("audit", {"sign", report, "--signing-key", a.dir / "auditor.key"});
  const Args signature{"--signature", report + ".sig", "--public-key", a.dir / "auditor.key.pub"};
  BOOST_TEST(succeed("audit", Args{"verify", report} + signature).out.find("goes with the report") !=
             std::string::npos);
  complain("audit", {"verify"}, run_program("audit", Args{"verify", other} + signature), 1,
           {".sig", "changed"});
}
