// Keys through the programs: making and destroying them, protecting with one, verification that stays what it
// was, attackers without the key and with it, and every call that is refused. Changing it: test_cli_rotate.
#define BOOST_TEST_MODULE cli_keys
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <iostream>
#include <limits>

#include "advface/core/feature_file.h"
#include "advface/keys/key.h"
#include "cli_test_util.h"
#include "file_test_util.h"
#include "method_test_util.h"
#include "tensor/io/npy.h"
#include "tensor/ops.h"

using namespace advf;
using namespace advf::test;
using nlohmann::json;

namespace {

bool ready() {
  if (!has_keys()) std::cout << "SKIPPED: this build has no keys (ADVF_KEYS is off)\n";
  return has_keys();
}

struct World {
  TempDir dir;
  std::string key = dir / "key";
  Args lock{"--protect", "rotation", "--key", key};
  Args data =
      toy_world().images() + toy_world().recogniser() + Args{"--labels", toy_world().at("faces/labels.csv")};
  World() { succeed("key", {"new", key}); }
};
const World& here() {
  static const World w;
  return w;
}

Args features(const std::string& out) { return {"--in", toy_world().at("z.npy"), "--out", out}; }

// The secret, which nothing may ever show.
std::string secret_of(const std::string& file) {
  const std::string text = read_bytes(file);
  return text.substr(text.find("key ", 20) + 4, 64);
}

std::vector<double> points_of(const json& result) {
  std::vector<double> list{result["accuracy"]["mean"], result["eer"]};
  for (const char* far : {"1e-2", "1e-3"}) list.push_back(result["operating_points"][far]["threshold"]);
  return list;
}

Args test_faces() {
  return Args{"--images", toy_world().at("faces/test/images"),
              "--labels", toy_world().at("faces/test/labels.csv"),
              "--pairs",  toy_world().at("faces/test/pairs.txt")} +
         toy_world().recogniser();
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_key_from_its_making_to_its_end) {
  if (!ready()) return;
  const TempDir dir;
  const std::string key = dir / "key";
  const Outcome made = succeed("key", {"new", key}), seen = succeed("key", {"inspect", key});
  const std::string id = Key::read(key).info().id;
  BOOST_TEST(made.out.find(id) != std::string::npos);
  for (const std::string& part : {id, Key::read(key).info().date, Key::read(key).info().check})
    BOOST_TEST(seen.out.find(part) != std::string::npos, seen.out);
  BOOST_TEST((made.out + seen.out + seen.err).find(secret_of(key)) == std::string::npos);
  refuse(dir.path().string(), "key", {"new", key}, 1, {key, "never replaced"});
  succeed("key", {"inspect", key, "--json", dir / "seen.json"});
  const KeyInfo info = Key::read(key).info();
  BOOST_TEST((read_json(dir / "seen.json") ==
              json{{"file", key}, {"key", info.id}, {"date", info.date}, {"check", info.check}}));
  succeed("key", {"new", dir / "another", "--json", dir / "made.json"});
  BOOST_TEST((read_json(dir / "made.json")["key"] == Key::read(dir / "another").info().id));
  succeed("key", {"destroy", dir / "another", "--json", dir / "gone.json"});
  BOOST_TEST((read_json(dir / "gone.json") == json{{"file", dir / "another"}, {"destroyed", true}}));
  refuse(dir.path().string(), "key", {"new", dir / "k", "--json", dir / "k"}, 2, {"would both write"});
  refuse(dir.path().string(), "key", {"inspect", key, "--json", key}, 2, {"--json would replace"});
  chmod(key.c_str(), 0644);
  refuse(dir.path().string(), "key", {"inspect", key}, 1, {key, "644", "chmod 600"});
  refuse(dir.path().string(), "protect",
         features(dir / "p.npy") + Args{"--protect", "rotation", "--key", key}, 1, {key, "644"});
  chmod(key.c_str(), 0600);
  BOOST_TEST(succeed("key", {"destroy", key}).out.find("flash") != std::string::npos);
  BOOST_TEST(!std::filesystem::exists(key));
  refuse(dir.path().string(), "key", {"destroy", toy_world().at("z.npy")}, 1, {"no key file"});
  refuse(dir.path().string(), "key", {}, 2, {"subcommand"});
}

BOOST_AUTO_TEST_CASE(what_is_stored_is_compared_as_before) {
  if (!ready()) return;
  const TempDir dir;
  const std::string p = dir / "p.npy";
  const Outcome done =
      succeed("protect", features(p) + here().lock + Args{"--json", dir / "p.json", "--report", dir / "r"});
  const FeatureFile stored = open_feature_file(p);
  BOOST_TEST(stored.info.protection.describe() == "protected, rotation per-record");
  for (const std::string& text :
       {done.out, done.err, read_bytes(dir / "p.json"), read_bytes(p + ".json"), read_bytes(dir / "r")})
    BOOST_TEST(text.find(secret_of(here().key)) == std::string::npos);
  // Nothing is left of the raw feature.
  double most = 0;
  const Tensor z = load_npy(toy_world().at("z.npy")), x = load_npy(p);
  double mean = 0;
  for (int64_t r = 0; r < z.dim(0); ++r)
    mean += cosine({z.data<float>() + r * z.dim(1), size_t(z.dim(1))},
                   {x.data<float>() + r * z.dim(1), size_t(z.dim(1))}) /
            double(z.dim(0));
  most = std::max(most, std::abs(mean));
  BOOST_TEST(most < 5 * 0.25 / std::sqrt(200.0));
  refuse(dir.path().string(), "protect", Args{"--in", p, "--out", dir / "no.npy"} + here().lock, 1,
         {p, "locked already"});
  // A new set each time, but for one that is named; chunks and threads change nothing.
  const std::string set = stored.info.protection.applied[0].settings.at("key_set").substr(1, 32);
  succeed("protect", features(dir / "q.npy") + here().lock);
  BOOST_TEST(read_bytes(p) != read_bytes(dir / "q.npy"));
  succeed("protect",
          features(dir / "q.npy") + here().lock + Args{"--key-set", set, "--batch", "7", "--threads", "1"});
  BOOST_TEST(read_bytes(p) == read_bytes(dir / "q.npy"));

  const auto scores = [&](const Args& more) {
    succeed("evaluate", Args{"recognition", "--json", dir / "e.json"} + test_faces() + more);
    return points_of(read_json(dir / "e.json"));
  };
  const std::vector<double> raw = scores({});
  succeed("extract", Args{"--images", toy_world().at("faces/test/images"), "--out", dir / "t.npy"} +
                         toy_world().recogniser());
  succeed("protect", Args{"--in", dir / "t.npy", "--out", dir / "tp.npy"} + here().lock);
  const Args file{"--protected", dir / "tp.npy", "--protected-list", dir / "t.npy.txt"};
  for (const Args& more :
       {here().lock, here().lock + Args{"--key-mode", "per-set"}, here().lock + Args{"--rotation", "fast"},
        here().lock + Args{"--side", "probe"}, here().lock + file}) {
    const std::vector<double> locked = scores(more);
    for (size_t i = 0; i < raw.size(); ++i)
      BOOST_TEST(std::abs(locked[i] - raw[i]) < 1e-6, i << " of " << more.back());
  }
  // Records that were turned each by itself say nothing to each other.
  for (const Args& more : {here().lock, here().lock + file})
    refuse(dir.path().string(), "evaluate", Args{"recognition", "--side", "both"} + test_faces() + more, 1,
           {"--side both", "two stored records", "rotation per-record", "gallery or probe"});
  const std::vector<double> both = scores(here().lock + Args{"--key-mode", "per-set", "--side", "both"});
  for (size_t i = 0; i < raw.size(); ++i) BOOST_TEST(std::abs(both[i] - raw[i]) < 1e-6);
  refuse(dir.path().string(), "train",
         Args{"fit", "projection", "--dims", "8", "--out", dir / "no", "--features", p, "--list",
              toy_world().at("z.npy.txt")} +
             here().data,
         1, {p, "two stored records"});
  // A description whose set is damaged is told, with the right key.
  const std::string description = read_bytes(dir / "tp.npy.json");
  std::string damaged = description;
  char& digit = damaged[damaged.find("key_set") + 12];
  digit = digit == '0' ? '1' : '0';
  write_bytes(dir / "tp.npy.json", damaged);
  refuse(dir.path().string(), "evaluate", Args{"recognition"} + test_faces() + file + here().lock, 1,
         {"tp.npy", "key_set", "damaged"});
  write_bytes(dir / "tp.npy.json", description);
  // Against what is stored with another key nothing is computed.
  succeed("key", {"new", dir / "other"});
  refuse(dir.path().string(), "evaluate",
         Args{"recognition"} + test_faces() + file + Args{"--protect", "rotation", "--key", dir / "other"}, 1,
         {dir / "other", "the wrong key", dir / "tp.npy"});
  refuse(dir.path().string(), "evaluate",
         Args{"recognition"} + test_faces() + file + here().lock + Args{"--key-mode", "per-set"}, 1,
         {"tp.npy", "per-record", "per-set"});
  refuse(dir.path().string(), "evaluate", Args{"recognition"} + test_faces() + file, 1,
         {"tp.npy", "--protect"});
}

// --protect default: projection, one bit a value, rotation; a setting of any of them can still be chosen.
BOOST_AUTO_TEST_CASE(two_locks_by_one_name) {
  if (!ready()) return;
  const TempDir dir;
  succeed("train", Args{"fit", "projection", "--dims", "8", "--out", dir / "projection"} + here().data);
  const Args both = Args{"--projection", dir / "projection", "--key", here().key};
  const auto stored = [&](const Args& more) {
    succeed("protect", features(dir / "p.npy") + more + both + Args{"--key-set", std::string(32, 'a')});
    return read_bytes(dir / "p.npy");
  };
  const std::string by_name = stored({"--protect", "default"});
  BOOST_TEST(open_feature_file(dir / "p.npy").info.protection.describe() ==
             "protected, projection dims 8, then quantise bits 1, then rotation per-record");
  const Args links{"--protect", "projection", "--protect", "quantise", "--protect", "rotation"};
  BOOST_TEST((by_name == stored(links + Args{"--bits", "1"})));
  BOOST_TEST((stored({"--protect", "default", "--bits", "3"}) == stored(links + Args{"--bits", "3"})));
  // It still recognises, and with the lock as well as without.
  const auto scores = [&](const Args& more) {
    succeed("evaluate", Args{"recognition", "--json", dir / "e.json", "--projection", dir / "projection"} +
                            test_faces() + more);
    return points_of(read_json(dir / "e.json"));
  };
  const std::vector<double> locked = scores({"--protect", "default", "--key", here().key}),
                            open =
                                scores({"--protect", "projection", "--protect", "quantise", "--bits", "1"});
  for (size_t i = 0; i < open.size(); ++i) BOOST_TEST(std::abs(locked[i] - open[i]) < 1e-5);
  // Beside what it has stored it may be named as it was, or by what probes go through.
  succeed("extract", Args{"--images", toy_world().at("faces/test/images"), "--out", dir / "t.npy"} +
                         toy_world().recogniser());
  succeed("protect", Args{"--in", dir / "t.npy", "--out", dir / "tp.npy", "--protect", "default"} + both);
  const Args file{"--protected", dir / "tp.npy", "--protected-list", dir / "t.npy.txt", "--key", here().key};
  const std::vector<double> by_default = scores(file + Args{"--protect", "default"});
  BOOST_TEST((by_default == scores(file + Args{"--protect", "projection", "--protect", "rotation"})));
  for (size_t i = 0; i < open.size(); ++i) BOOST_TEST(std::abs(by_default[i] - open[i]) < 1e-5);
  refuse(dir.path().string(), "evaluate",
         Args{"recognition", "--projection", dir / "projection", "--protect", "default", "--protect", "noise",
              "--noise-length", "0.1"} +
             test_faces() + file,
         2,
         {"tp.npy", "projection dims 8, then quantise bits 1, then rotation", "--protect noise",
          "leave it out"});
  const auto wrong = [&](const Args& more, const std::vector<std::string>& words) {
    refuse(dir.path().string(), "protect", features(dir / "no.npy") + Args{"--protect", "default"} + more, 2,
           words);
  };
  wrong({"--projection", dir / "projection"}, {"rotation", "--key"});
  wrong({"--key", here().key}, {"projection", "--projection"});
  wrong(both + Args{"--protect", "quantise"}, {"quantise", "twice"});
  wrong(both + Args{"--epsilon", "0.1"}, {"--epsilon", "projection, quantise, rotation"});
  // One rotation of bits is found without its key: nothing is kept so, in one call or in two. It is measured.
  const auto shown = [&](const Args& in, const Args& more) {
    refuse(dir.path().string(), "protect",
           in + Args{"--key", here().key, "--key-mode", "per-set", "--out", dir / "no.npy"} + more, 1,
           {"per-set", "quantise", "--key-mode per-record"}, Late::yes);
  };
  const Args raw{"--in", toy_world().at("z.npy")};
  shown(raw, {"--protect", "default", "--projection", dir / "projection"});
  shown(raw, {"--protect", "quantise", "--protect", "rotation"});
  succeed("protect", raw + Args{"--protect", "quantise", "--out", dir / "bits.npy"});
  shown({"--in", dir / "bits.npy"}, {"--protect", "rotation"});
  scores({"--protect", "default", "--key", here().key, "--key-mode", "per-set"});
}

// Who has the rows alone is at chance; who has the key has what lies under it.
BOOST_AUTO_TEST_CASE(attackers_without_the_key_and_with_it) {
  if (!ready()) return;
  const TempDir dir;
  const Args with = here().data + here().lock;
  succeed("train", Args{"attacker", "--out", dir / "a"} + toy_world().images() + toy_world().recogniser() +
                       ToyWorld::tiny_training());
  const auto run = [&](const Args& verb) {
    succeed("evaluate", verb + with + Args{"--json", dir / "j.json"});
    return read_json(dir / "j.json");
  };
  // Inversion and the trained decoder take the rows for raw ones; the oracle asks the matching side, which
  // has the key.
  const json made =
      run({"reconstruction", "--leaked-key", "--attacker", "decoder=" + (dir / "a"), "--attacker",
           "inversion:steps=5", "--attacker", "oracle:queries=20,decoder=" + (dir / "a"), "--limit", "8"});
  BOOST_TEST(made["left_out"].empty(), made["left_out"].dump());
  const std::string locked = "protected, rotation per-record", leaked = locked + ", key leaked";
  std::map<std::string, json> rows;
  for (const json& row : made["rows"])
    if (!row["moment_matched"].get<bool>())
      rows[row["attacker"].get<std::string>() + " " + row["features"].get<std::string>()] = row;
  for (const std::string attacker : {"decoder", "inversion", "oracle"})
    for (const std::string& set : {std::string("raw"), locked, leaked})
      BOOST_TEST(rows.contains(attacker + " " + set), attacker << " " << set);
  // By three measures: of a decoder this small one alone may agree by chance.
  const auto same = [&](const std::string& attacker, const std::string& a, const std::string& b) {
    const json &one = rows[attacker + " " + a], &two = rows[attacker + " " + b];
    const auto near = [](const json& x, const json& y, double most) {
      return std::abs(x["mean"].get<double>() - y["mean"].get<double>()) < most;
    };
    return near(one["ssim"], two["ssim"], 1e-4) && near(one["psnr"], two["psnr"], 1e-3) &&
           near(one["cosine"]["deployed"], two["cosine"]["deployed"], 1e-4);
  };
  BOOST_TEST((same("decoder", "raw", leaked) && !same("decoder", "raw", locked)));
  BOOST_TEST(!same("inversion", "raw", locked));
  BOOST_TEST(same("oracle", "raw", locked));
  BOOST_TEST(made["protections"][leaked].empty());

  const json linked = run({"linkage", "--leaked-key"});
  std::map<std::string, double> auc;
  for (const json& row : linked["rows"]) auc[row["features"]] = row["auc"]["mean"];
  BOOST_TEST(std::abs(auc.at(leaked) - auc.at("raw")) < 1e-6);
  BOOST_TEST(std::abs(auc.at(locked) - 0.5) < 0.25);
  BOOST_TEST(run({"linkage"})["rows"].size() == 2u);

  // Probes trained on raw features say of what lies under the lock what they say of raw ones.
  const json asked = run({"attributes", "--attributes", "Smiling", "--epochs", "1", "--leaked-key"});
  std::map<std::string, double> told;
  for (const json& row : asked["rows"])
    if (row["probe"] == "logistic")
      told[row["trained_on"].get<std::string>() + ", " + row["asked_about"].get<std::string>()] =
          row["accuracy"]["mean"];
  BOOST_TEST(told.size() == 5u);
  BOOST_TEST(told.at("raw, " + leaked) == told.at("raw, raw"));

  const std::string folder = dir.path().string();
  refuse(folder, "evaluate", Args{"linkage", "--leaked-key"} + here().data, 2, {"--leaked-key", "rotation"});
  refuse(folder, "evaluate", Args{"linkage", "--leaked-key"} + with + Args{"--protect", "noise"}, 2,
         {"--leaked-key", "last"});
}

// Whoever knows pairs of one set learns its one rotation, but not those of single records.
BOOST_AUTO_TEST_CASE(who_knows_pairs_trains_on_them) {
  if (!ready()) return;
  const TempDir dir;
  const Args lock = here().lock + Args{"--key-mode", "per-set"};
  succeed("train", Args{"linkage", "--epochs", "2", "--out", dir / "l"} + here().data + lock);
  succeed("evaluate",
          Args{"linkage", "--attacker", "pairs=" + (dir / "l"), "--json", dir / "j"} + here().data + lock);
  BOOST_TEST(read_json(dir / "j")["rows"].size() ==
             3u);  // the recogniser on both, the network on what is stored
}

// A pipe with a name, at whose other end nobody is, keeps nobody waiting; over a descriptor a pipe is read.
BOOST_AUTO_TEST_CASE(keys_that_are_no_regular_files) {
  if (!ready()) return;
  const TempDir dir;
  const std::string pipe = dir / "pipe", text = read_bytes(here().key);
  BOOST_REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
  Surroundings soon;
  soon.limit = std::chrono::milliseconds(20'000);
  for (const Outcome& o :
       {run_program("key", {"inspect", pipe}, soon),
        run_program("protect", features(dir / "p.npy") + Args{"--protect", "rotation", "--key", pipe},
                    soon)}) {
    BOOST_TEST(o.code == 1);
    BOOST_TEST(o.err.find(pipe + ": is no regular file") != std::string::npos, o.err);
  }
  int ends[2];
  BOOST_REQUIRE(::pipe(ends) == 0);
  BOOST_REQUIRE(::write(ends[1], text.data(), text.size()) == ssize_t(text.size()));
  ::close(ends[1]);
  succeed("protect",
          features(dir / "p.npy") + Args{"--protect", "rotation", "--key-fd", std::to_string(ends[0])});
  ::close(ends[0]);
}

// The file that a key comes of over a descriptor is no place for anything else.
BOOST_AUTO_TEST_CASE(a_key_over_a_descriptor_is_kept) {
  if (!ready()) return;
  const TempDir dir;
  const std::string key = dir / "fk.key", text = read_bytes(here().key);
  write_bytes(key, text);
  chmod(key.c_str(), 0600);
  std::filesystem::create_symlink(key, dir / "link");
  const int file = ::open(key.c_str(), O_RDONLY);
  BOOST_REQUIRE(file >= 0);
  const Args call = features(dir / "q.npy") + Args{"--protect", "rotation", "--key-fd", std::to_string(file)};
  for (const Args& more : {Args{"--json", key}, Args{"--report", key}, Args{"--json", dir / "link"}})
    refuse(dir.path().string(), "protect", call + more, 2,
           {more[0] + " would replace " + more[1], "--key-fd " + std::to_string(file)});
  BOOST_TEST(read_bytes(key) == text);
  succeed("protect", call + Args{"--json", dir / "q.json"});
  ::close(file);
}

BOOST_AUTO_TEST_CASE(calls_that_are_refused) {
  const TempDir dir;
  const std::string folder = dir.path().string();
  const Args rotate{"--protect", "rotation"};
  if (!ready()) {
    refuse(folder, "protect", features(dir / "p.npy") + rotate + Args{"--key", dir / "k"}, 2, {"ADVF_KEYS"});
    refuse(folder, "key", {"new", dir / "k"}, 1, {"ADVF_KEYS"});
    return;
  }
  refuse(folder, "protect", features(dir / "p.npy") + rotate, 2, {"--key FILE", "--key-fd"});
  refuse(folder, "protect", features(dir / "p.npy") + here().lock + Args{"--key-fd", "3"}, 2, {"not both"});
  refuse(folder, "protect", features(dir / "p.npy") + rotate + Args{"--key-fd", "63"}, 1, {"descriptor 63"});
  refuse(folder, "protect", features(dir / "p.npy") + rotate + Args{"--key-fd", "4294967305"}, 2,
         {"--key-fd", "4294967305"});
  refuse(folder, "protect", features(dir / "p.npy") + rotate + Args{"--key", dir / "absent"}, 1,
         {"absent", "No such file"});
  refuse(folder, "protect", features(dir / "p.npy") + here().lock + rotate, 2,
         {"rotation twice", "name each protection once"});
  refuse(folder, "key", {"new", dir / "no" + "/x.key"}, 1, {dir / "no" + "/x.key: No such file"});
  refuse(folder, "protect", features(dir / "p.npy") + here().lock + Args{"--key-set", "12"}, 2,
         {"--key-set is", "32"});
  refuse(folder, "protect", features(dir / "p.npy") + here().lock + Args{"--key-mode", "per-day"}, 2,
         {"--key-mode is", "per-day"});
  // Nobody could say later under which name the rows of these are locked.
  refuse(folder, "protect", features("/dev/null") + here().lock, 1, {"/dev/null", "key_set"});
  succeed("protect",
          features(dir / "upper.npy") + here().lock + Args{"--key-set", "00112233445566778899AABBCCDDEEFF"});
  succeed("protect",
          features(dir / "lower.npy") + here().lock + Args{"--key-set", "00112233445566778899aabbccddeeff"});
  BOOST_TEST(read_bytes(dir / "upper.npy") == read_bytes(dir / "lower.npy"));
  // Without a description it is the values that are wrong.
  const Tensor z = load_npy(toy_world().at("z.npy"));
  std::vector<float> values = z.to_vector<float>();
  values[18] = std::numeric_limits<float>::quiet_NaN();
  save_npy(dir / "nan.npy", Tensor::from(values, z.shape()));
  refuse(folder, "protect", Args{"--in", dir / "nan.npy", "--out", dir / "p.npy"} + here().lock, 1,
         {"nan.npy: row 1: value 2 is nan", "finite"});
  save_npy(dir / "twice.npy", affine(z, 2, 0));
  refuse(folder, "protect", Args{"--in", dir / "twice.npy", "--out", dir / "p.npy"} + here().lock, 1,
         {"twice.npy: row 0 has norm 2", "unit vectors", "normalise"});
  save_npy(dir / "long.npy", affine(load_npy(toy_world().at("z.npy")), 3, 0));
  refuse(folder, "protect",
         Args{"--in", dir / "long.npy", "--out", dir / "p.npy"} + toy_world().recogniser() + here().lock, 1,
         {"long.npy", "norm"});
  refuse(folder, "protect",
         features(dir / "p.npy") + here().lock + Args{"--protect", "advface"} + toy_world().shadow(), 1,
         {"rotation"});
}

// Noise that nobody can make again: it comes of the key, or of what is drawn for the run; so does the start
// of an ascent.
BOOST_AUTO_TEST_CASE(noise_comes_of_what_nobody_knows) {
  if (!ready()) return;
  const TempDir dir;
  succeed("key", {"new", dir / "other"});
  struct Secret {
    Args protect;
    std::string setting, option, key;
  };
  for (const Secret& s :
       {Secret{toy_world().shadow() + Args{"--steps", "2"}, "start", "--start", "--start-key"},
        Secret{{"--protect", "noise"}, "noise_from", "--noise-from", "--noise-key"}}) {
    const auto protect = [&](const Args& more) {
      succeed("protect", s.protect + Args{s.option, "secret"} + features(dir / "p.npy") + more);
      return read_bytes(dir / "p.npy");
    };
    const Args with_key{s.key, here().key};
    const std::string one = protect(with_key);
    BOOST_TEST((one == protect(with_key)));
    BOOST_TEST((one == protect(with_key + Args{"--seed", "7"})));
    BOOST_TEST((one != protect({s.key, dir / "other"})));
    const std::string drawn = protect({});
    BOOST_TEST((drawn != one && drawn != protect({})));
    const json settings = read_json(dir / "p.npy.json")["protection"][0]["settings"];
    BOOST_TEST((settings[s.setting] == "secret" && !settings.contains("seed")));
    BOOST_TEST(read_bytes(dir / "p.npy.json").find(secret_of(here().key)) == std::string::npos);
    const std::string folder = dir.path().string();
    const Args call = s.protect + features(dir / "q.npy");
    refuse(folder, "protect", call + with_key, 2, {s.key, s.option + " secret"});
    refuse(folder, "protect", call + Args{s.option, "secret", s.key, dir / "p.npy"}, 1, {"p.npy"});
    refuse(folder, "protect", call + Args{s.option, "sometimes"}, 2, {"sometimes"});
  }
}
