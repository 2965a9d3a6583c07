// An audit of the toy world at the command line: its report against the published schema and as a page, going
// on after a kill, shares of the work, the same numbers again.
#define BOOST_TEST_MODULE cli_audit
#include <fcntl.h>
#include <sys/file.h>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <functional>
#include <iostream>
#include <map>
#include <set>

#include "advface/core/text_file.h"
#include "advface/keys/key.h"
#include "audit_test_util.h"
#include "small_disk.h"
#include "tools/audit/audit_report.h"
#include "tools/audit/json_schema.h"

using namespace advf;
using namespace advf::test;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

std::vector<std::string> fields_of(const std::string& line, char separator) {
  std::vector<std::string> fields;
  for (const std::string_view field : split_fields(line, separator)) fields.emplace_back(field);
  return fields;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_report_is_as_the_schema_says) {
  const json schema = read_json(std::string(ADVF_TEST_DATA) + "/../../docs/audit.schema.json");
  BOOST_TEST(schema == tools::report_schema());
  const std::vector<std::string> errors = tools::schema_errors(schema, audited().report);
  BOOST_TEST(errors.empty(), (errors.empty() ? "" : errors[0]));
  // The check itself can fail.
  json broken = audited().report;
  broken["rows"][0].erase("measures");
  broken["surprise"] = 1;
  BOOST_TEST(tools::schema_errors(schema, broken).size() == 2u);
  // Older reports lack these.
  for (const char* key : {"programs", "page"}) BOOST_TEST(audited().report.contains(key), key);
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

// What takes no time is not planned to take long: a small recogniser is read at once.
BOOST_AUTO_TEST_CASE(small_steps_are_planned_as_such) {
  for (const json& step : audited().report["steps"]) {
    const std::string id = step["id"];
    const double expected = step["expected_seconds"];
    BOOST_TEST(expected > 0);
    if (id == "pairs" || id == "stored, locked" || id == "linkage, none")
      BOOST_TEST(expected < 0.3, id << ": " << expected);
  }
}

BOOST_AUTO_TEST_CASE(groups_are_of_both_kinds) {
  std::set<std::string> measures;
  for (const json& g : audited().report["groups"]) {
    BOOST_TEST(g["attribute"] == "Smiling");
    measures.insert(g["measure"].get<std::string>());
  }
  for (const char* measure : {"ssim", "rank_1", "accuracy_of_probe"})
    BOOST_TEST(measures.contains(measure), measure);
  // Of linkage the mean over those probes of the table of scores that are of the group.
  const json& r = audited().report;
  std::map<std::string, bool> smiles;
  const std::vector<std::string> labels = lines_of(read_bytes(toy_world().at("faces/labels.csv")));
  const std::vector<std::string> head = fields_of(labels[0], ',');
  const auto column = size_t(std::ranges::find(head, "Smiling") - head.begin());
  for (const std::string& line : labels)
    smiles[fields_of(line, ',')[0]] = fields_of(line, ',')[column] == "1";
  std::string step;
  for (const json& row : r["rows"])
    if (row["id"] == "none/linkage/the recogniser alone/raw") step = row["step"];
  double found[2] = {}, probes[2] = {};
  for (const std::string& line :
       lines_of(read_bytes(audited().dir / ("cache/steps/" + step + "/scores.tsv")))) {
    const std::vector<std::string> fields = fields_of(line, '\t');
    if (fields[0] != "none") continue;
    found[smiles[fields[2]]] += std::stod(fields[4]), ++probes[smiles[fields[2]]];
  }
  int told = 0;
  for (const json& g : r["groups"]) {
    if (g["protection"] != "none" || g["attacker"] != "linkage") continue;
    const bool has = g["has"];
    BOOST_TEST((g["variant"] == "the recogniser alone" && g["images"] == probes[has]), g.dump());
    BOOST_TEST(std::abs(g["value"]["mean"].get<double>() - found[has] / probes[has]) < 1e-9);
    ++told;
  }
  BOOST_TEST(told == (probes[0] >= 5) + (probes[1] >= 5));
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

// Whatever a protection is called, it is not taken for what is said of it: but for commands and names of
// steps, which are code, its name stands between quotation marks.
BOOST_AUTO_TEST_CASE(names_are_set_apart_in_every_sentence) {
  const auto without = [](std::string text, const std::string& from, const std::string& to) {
    for (size_t at = 0; (at = text.find(from, at)) != std::string::npos;)
      text.erase(at, text.find(to, at) + to.size() - at);
    return text;
  };
  const Audited& a = audited();
  std::string said = without(without(a.page, "<pre", "</pre>"), "<code>", "</code>");
  for (const json& sentence : a.report["summary"]) said += sentence.get<std::string>();
  for (const json& v : a.report["verdicts"]) said += v["sentence"].get<std::string>();
  said += succeed("audit", {"table", a.dir / "report/report.json"}).out;
  BOOST_TEST(count(said, "AdvFace") > 10u);
  const std::string rest = without(said, "\u201c", "\u201d");
  const size_t at = rest.find("AdvFace");
  BOOST_TEST(at == std::string::npos,
             rest.substr(at == std::string::npos ? 0 : at - std::min<size_t>(at, 80), 160));
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
