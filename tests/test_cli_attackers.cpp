// Attackers without a file at the command line: inversion, also over a decoder and through protections whose
// features live in a space of their own, and the oracle; the images that attackers make, as files.
#define BOOST_TEST_MODULE cli_attackers
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <map>
#include <set>

#include "cli_test_util.h"
#include "tensor/io/image.h"

using namespace advf;
using namespace advf::test;
using nlohmann::json;

namespace {

Args data() { return toy_world().images() + toy_world().recogniser() + Args{"--limit", "5"}; }
std::string shadow() { return toy_world().at("shadow.safetensors"); }

json reconstruction(const Args& args) {
  const TempDir dir;
  succeed("evaluate", Args{"reconstruction", "--json", dir / "r.json"} + data() + args);
  return read_json(dir / "r.json");
}

// attacker + "/" + features -> row, as it is.
std::map<std::string, json> rows_of(const json& result) {
  std::map<std::string, json> rows;
  for (const json& row : result["rows"])
    if (!row["moment_matched"].get<bool>())
      rows[row["attacker"].get<std::string>() + "/" + row["features"].get<std::string>()] = row;
  return rows;
}

double cosine(const json& row) { return row["cosine"]["deployed"]["mean"]; }

}  // namespace

// Every image that is made lies in the folder, under the names of photograph, attacker and features.
BOOST_AUTO_TEST_CASE(images_of_attackers_without_a_file) {
  const TempDir dir;
  const std::string out = dir / "made/images";
  const Args attackers{"--attacker", "inversion:steps=30,size=32",
                       "--attacker", "from decoder=inversion:steps=30,decoder=" + shadow(),
                       "--attacker", "oracle:queries=60,decoder=" + shadow(),
                       "--attacker", "d=" + shadow()};
  const json r = reconstruction(attackers + Args{"--out", out});
  BOOST_TEST(r["out"] == out);
  auto rows = rows_of(r);
  BOOST_TEST(rows.count("photograph/none") == 1u);
  BOOST_TEST(cosine(rows["photograph/none"]) > 0.99);
  BOOST_TEST(cosine(rows["inversion/raw"]) > cosine(rows["mean face/none"]));
  BOOST_TEST(cosine(rows["from decoder/raw"]) > cosine(rows["d/raw"]));

  std::vector<std::string> originals;
  for (const std::string& file : tree(out + "/originals"))
    if (file.ends_with(".png")) originals.push_back(file);
  BOOST_TEST(originals.size() == 5u);
  for (const char* folder : {"inversion/raw", "from-decoder/raw", "oracle/raw", "d/raw"})
    for (const std::string& file : originals) {
      const Image image = load_image(out + "/" + folder + "/" + file);
      BOOST_TEST((image.width == 32 && image.height == 32), folder);
    }
  for (const auto& entry : std::filesystem::recursive_directory_iterator(out))
    BOOST_TEST((entry.is_directory() || entry.path().extension() == ".png"), entry.path().string());

  // The result says how each was set.
  std::map<std::string, json> told;
  for (const json& a : r["attackers"]) told[a["attacker"]] = a;
  BOOST_TEST((told["inversion"]["kind"] == "inversion" && told["inversion"]["settings"]["steps"] == 30));
  BOOST_TEST(
      (told["oracle"]["settings"]["queries"] == 60 && told["oracle"]["settings"]["answers"] == "scores"));
  BOOST_TEST(told["from decoder"]["settings"]["decoder"].get<std::string>().size() >= 16u);
  BOOST_TEST((told["d"]["kind"] == "decoder" && told["d"]["settings"]["epochs"] == 1));
  // And again, at another number of threads: to the same bits.
  const std::string other = dir / "again";
  json again = reconstruction(attackers + Args{"--out", other, "--threads", "1"});
  BOOST_TEST(again["rows"] == r["rows"]);
  const std::string file = "/from-decoder/raw/" + originals[0];
  BOOST_TEST(read_bytes(other + file) == read_bytes(out + file));
}

// Where a protection moves features elsewhere, an attacker without a file looks through it.
BOOST_AUTO_TEST_CASE(attackers_look_through_protections) {
  const TempDir dir;
  succeed("train", Args{"fit", "projection", "--dims", "8", "--out", dir / "p.st"} + toy_world().images() +
                       toy_world().recogniser());
  const Args attackers{"--attacker", "inversion:steps=40,size=32",
                       "--attacker", "oracle:queries=80,decoder=" + shadow(),
                       "--attacker", "d=" + shadow()};
  for (const Args& protect :
       {Args{"--protect", "projection", "--projection", dir / "p.st"}, Args{"--protect", "shuffle"},
        Args{"--protect", "projection", "--projection", dir / "p.st", "--protect", "shuffle"}}) {
    const json r = reconstruction(attackers + protect);
    auto rows = rows_of(r);
    size_t met = 0;
    for (const auto& [name, row] : rows)
      if (row["kind"] == "protected") {
        ++met;
        BOOST_TEST(!name.starts_with("d/"), name);
      }
    BOOST_TEST(met == 2u);
    BOOST_TEST(r["left_out"].size() >= 1u);
    BOOST_TEST(r["left_out"][0]["attacker"] == "d");
  }
}

// Who trained a network on what is stored inverts what that makes of it.
BOOST_AUTO_TEST_CASE(inversion_behind_a_reader) {
  const TempDir dir;
  const Args protect{"--protect", "shuffle"};
  succeed("train", Args{"linkage", "--epochs", "20", "--out", dir / "l.st"} + toy_world().images() +
                       toy_world().recogniser() + protect);
  const std::string read = "inversion:steps=40,size=32,reader=" + (dir / "l.st");
  const json r =
      reconstruction(Args{"--attacker", "read=" + read, "--attacker", "blind=inversion:steps=40,size=32",
                          "--attacker", "both=" + read + ",decoder=" + shadow()} +
                     protect);
  const auto rows = rows_of(r);
  std::set<std::string> met;
  for (const auto& [name, row] : rows)
    if (name.starts_with("read/") || name.starts_with("both/")) met.insert(name);
  BOOST_TEST(
      (met == std::set<std::string>{"read/protected, shuffle seed 1", "both/protected, shuffle seed 1"}),
      r["left_out"].dump());
  BOOST_TEST(cosine(rows.at("read/protected, shuffle seed 1")) > cosine(rows.at("mean face/none")));
  BOOST_TEST(rows.size() == 7u);
  BOOST_TEST(r["attackers"].dump().find("reader") != std::string::npos);
  // Only what is asked about.
  const json some = reconstruction(
      Args{"--attacker", "blind=inversion:steps=2,size=32", "--sets", "raw,identity"} + protect);
  BOOST_TEST(rows_of(some).size() == 4u);
  BOOST_TEST(rows_of(some).count("blind/raw") == 1u);
  refuse(dir / "", "evaluate",
         Args{"reconstruction"} + data() + Args{"--attacker", "inversion", "--sets", "guarded"}, 2,
         {"--sets", "guarded", "protected"}, Late::no);
  refuse(dir / "", "evaluate",
         Args{"reconstruction"} + data() + Args{"--attacker", "inversion:reader=" + shadow()}, 1,
         {shadow(), "linkage network"}, Late::no);
}

BOOST_AUTO_TEST_CASE(attackers_that_do_not_fit_are_refused) {
  const TempDir dir;
  write_bytes(dir / "file", "no folder");
  const auto refused = [&](const Args& args, int code, const std::vector<std::string>& words,
                           Late late = Late::no) {
    refuse(dir / "", "evaluate", Args{"reconstruction"} + data() + args, code, words, late);
  };
  refused({"--attacker", "oracle"}, 2, {"oracle:decoder=FILE"});
  refused({"--attacker", "oracle:decoder=" + shadow() + ",answers=all"}, 2, {"answers", "all", "scores"});
  refused({"--attacker", "inversion:stepz=3"}, 2, {"stepz", "did you mean steps?", "decoder"});
  refused({"--attacker", "inversion:decoder=" + (dir / "none")}, 1, {"none", "No such file"});
  refused({"--attacker", "inversion:size=64,decoder=" + shadow()}, 1, {shadow(), "32", "64"});
  refused({"--attacker", "inversion:size=48", "--attacker", "d=" + shadow()}, 1, {"48", "32"});
  refused({"--attacker", "d=" + shadow(), "--out", dir / "file/below"}, 1, {"file/below", "Not a directory"});
  refused({"--attacker", "inversion:steps=2,size=32", "--split", "all", "--thresholds", dir / "none"}, 1,
          {"none"});
  refused({"--attacker", "oracle:answers=accepts,decoder=" + shadow(), "--protect", "shuffle"}, 1,
          {"answers=scores", "space of their own"});
}
