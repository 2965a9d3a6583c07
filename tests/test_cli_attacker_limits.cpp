// What attackers and their audits refuse at the command line, and what they say: outputs that would replace
// or pollute what is read, people of other names, attackers who meet nothing, settings that say nothing; and
// when an attacker counts.
#define BOOST_TEST_MODULE cli_attacker_limits
#include <array>
#include <boost/test/unit_test.hpp>
#include <fstream>

#include "cli_test_util.h"
#include "tools/evaluate/reconstruction_report.h"

using namespace advf;
using namespace advf::test;
using nlohmann::json;

namespace {

const ToyWorld& world() { return toy_world(); }
Args data() { return world().images() + world().recogniser(); }
Args call() { return Args{"reconstruction", "--limit", "5"} + data(); }
std::string shadow() { return world().at("shadow.safetensors"); }
Args fast() { return {"--attacker", "inversion:steps=2,size=32"}; }

// One more recogniser, a decoder of protected features and a linkage network of such; labels with other
// names.
struct More {
  TempDir dir;
  Args noise{"--protect", "noise", "--noise-length", "0.6"};
  std::string second = dir / "second.json", adaptive = dir / "adaptive.st", linkage = dir / "linkage.st",
              others = dir / "others.csv";

  More() {
    succeed("train", Args{"recogniser", "--out", second, "--batch", "16", "--epochs", "1", "--seed", "7"} +
                         world().images() + ToyWorld::tiny_recogniser());
    succeed("train", Args{"attacker", "--out", adaptive} + data() + ToyWorld::tiny_training() + noise);
    succeed("train", Args{"linkage", "--batch", "16", "--epochs", "1", "--width", "64", "--out", linkage} +
                         data() + noise);
    std::ofstream csv(others);
    csv << "file,identity\n";
    for (const std::string& file : tree(world().at("faces/images")))
      if (file.ends_with(".png") || file.ends_with(".jpg"))
        csv << file << ",renamed " << file.substr(0, file.find('/')) << '\n';
  }
};

const More& more() {
  static const More made;
  return made;
}

bool holds(const std::string& text, const std::string& word) { return text.find(word) != std::string::npos; }

}  // namespace

// Whatever names a file that is read: an option, a setting of an attacker, the network beside a card.
BOOST_AUTO_TEST_CASE(outputs_never_replace_what_is_read) {
  const TempDir dir;
  const auto copied = [&](const std::string& file, const std::string& as) {
    std::filesystem::copy_file(file, dir / as);
    return dir / as;
  };
  const std::string decoder = copied(shadow(), "d.st"), reader = copied(more().linkage, "l.st"),
                    card = copied(more().second, "c.json"), result = dir / "r.json";
  const std::string network = copied(std::filesystem::path(more().second).replace_extension(".onnx").string(),
                                     std::string(read_json(card)["model"]));
  write_bytes(result, "{}");
  const auto guarded = [&](const std::string& program, const Args& args, const std::string& file,
                           const std::string& by) {
    const std::string before = read_bytes(file);
    refuse(dir / "", program, args, 2, {"would replace " + file, by + " reads"});
    BOOST_TEST(read_bytes(file) == before);
  };
  const std::string oracle = "oracle:queries=5,decoder=" + decoder,
                    inversion = "i=inversion:steps=2,size=32,reader=" + reader;
  for (const char* output : {"--scores", "--json", "--sheet"}) {
    guarded("evaluate", call() + Args{"--attacker", oracle, output, decoder}, decoder, "--attacker");
    guarded("evaluate", call() + Args{"--attacker", inversion, output, reader}, reader, "--attacker");
    guarded("evaluate", call() + Args{"--attacker", "d=" + decoder, output, decoder}, decoder, "--attacker");
    for (const std::string& file : {card, network})
      guarded("evaluate", call() + fast() + Args{"--second-recogniser", card, output, file}, file,
              "--second-recogniser");
  }
  const Args train = Args{"attacker", "--out", dir / "no"} + data();
  for (const std::string& file : {card, network})
    guarded("train", train + Args{"--loss-recogniser", card, "--samples", file}, file, "--loss-recogniser");
  write_bytes(dir / "p.npy", "features");
  write_bytes(dir / "p.npy.json", "{}");
  guarded("evaluate",
          call() + fast() + Args{"--protected", "p=" + dir / "p.npy", "--json", dir / "p.npy.json"},
          dir / "p.npy.json", "--protected");
}

// Pictures that a call makes must not be read as photographs by the next.
BOOST_AUTO_TEST_CASE(no_picture_is_written_among_the_photographs) {
  const std::string images = world().at("faces/images");
  const auto refused = [&](const std::string& program, const Args& args) {
    refuse(images, program, args, 2, {"among the photographs of", "another"});
  };
  for (const std::string& out : {images, images + "/", images + "/made/here", images + "/../images/made"})
    refused("evaluate", call() + fast() + Args{"--out", out});
  refused("evaluate", call() + fast() + Args{"--sheet", images + "/sheet.png"});
  refused("train", Args{"shadow", "--out", images + "/s.safetensors"} + data());
  // Beside the folder, also where it is called alike.
  refuse(world().at("faces"), "evaluate",
         call() + fast() + Args{"--out", images + "-made", "--thresholds", "no"}, 1, {"no: "});
}

BOOST_AUTO_TEST_CASE(folders_of_images) {
  const TempDir dir;
  const Args good = call() + fast();
  // A call that is refused, and one that ends before the first image, leave no folder.
  refuse(dir / "", "evaluate", good + Args{"--out", dir / "a/b", "--attacker", dir / "none"}, 1, {"none"});
  std::filesystem::create_directory(dir / "used");
  write_bytes(dir / "used/file", "of somebody");
  refuse(dir / "", "evaluate", good + Args{"--out", dir / "used"}, 1, {"used", "not empty"});
  for (const char* name : {"originals", "mean face", "photograph"})
    refuse(dir / "", "evaluate",
           good + Args{"--attacker", name + std::string("=") + shadow(), "--out", dir / "no"}, 1,
           {"\"" + std::string(name) + "\"", "another name"});
  // Names of other letters stay apart, and have their own.
  succeed("evaluate", call() + Args{"--attacker", "\xd0\xb0=inversion:steps=1,size=32", "--attacker",
                                    "\xd0\xb1=inversion:steps=1,size=32", "--sets", "raw", "--out",
                                    dir / "made", "--json", dir / "r.json"});
  BOOST_TEST((std::filesystem::exists(dir / "made/\xd0\xb0/raw") &&
              std::filesystem::exists(dir / "made/\xd0\xb1/raw")));
  const json r = read_json(dir / "r.json");
  BOOST_TEST((r["out"] == dir / "made" && r.contains("sheet") && r["sheet"].is_null()));
  // A disk that is full: what is there is said.
  Surroundings full;
  full.max_file_bytes = 1200;
  const Outcome o = run_program("evaluate", good + Args{"--out", dir / "full"}, full);
  BOOST_TEST(o.code == 1);
  BOOST_TEST(holds(o.err, dir / "full" + " has the 0 images that came before it"), o.err);
  BOOST_TEST(!holds(o.err, "nothing was written"), o.err);
}

// Whether people of other names are the same nobody can tell, and so it is told.
BOOST_AUTO_TEST_CASE(people_of_other_names_are_told) {
  const std::string words = "was trained on people of other names (0 of ";
  const Args renamed{"--labels", more().others};
  const Args decoder = call() + Args{"--attacker", "d=" + shadow(), "--sets", "raw"};
  BOOST_TEST(!holds(succeed("evaluate", decoder).err, words));
  const std::string told = succeed("evaluate", decoder + renamed).err;
  BOOST_TEST((holds(told, shadow() + ": " + words) && holds(told, "cannot be told")), told);
  const Args inverted = call() + Args{"--attacker", "inversion:steps=1,decoder=" + shadow(), "--sets", "raw"};
  BOOST_TEST(holds(succeed("evaluate", inverted + renamed).err, words));
  const Args linkage = Args{"linkage"} + data() + more().noise + Args{"--attacker", "l=" + more().linkage};
  BOOST_TEST(!holds(succeed("evaluate", linkage).err, words));
  BOOST_TEST(holds(succeed("evaluate", linkage + renamed).err, more().linkage + ": " + words));
  // Networks of a protection, too.
  const Args guarded = call() + fast() + world().shadow() + Args{"--steps", "1", "--sets", "protected"};
  BOOST_TEST(!holds(succeed("evaluate", guarded).err, words));
  BOOST_TEST(holds(succeed("evaluate", guarded + renamed).err, "a network of what is protected"));
}

BOOST_AUTO_TEST_CASE(attackers_who_meet_nothing) {
  const TempDir dir;
  const std::string adaptive = "a=" + more().adaptive;
  const auto refused = [&](const Args& args, const std::vector<std::string>& words) {
    refuse(dir / "", "evaluate", args, 1, words);
  };
  refused(call() + Args{"--attacker", adaptive},
          {"a meets none of the features", "\"raw\"", "noise length 0.6"});
  refused(call() + Args{"--attacker", adaptive, "--protect", "shuffle"},
          {"a meets none of the features", "\"protected, shuffle seed 1\"", "space of their own"});
  refused(call() + Args{"--attacker", adaptive, "--sets", "raw"} + more().noise, {"a meets none", "\"raw\""});
  refused(call() + Args{"--attacker", "d=" + shadow(), "--sets", "protected"}, {"--sets"});
  refused(Args{"linkage"} + data() + Args{"--attacker", "l=" + more().linkage},
          {"l meets none of the features", "\"raw\"", "noise length 0.6"});
  // Beside another it is told.
  const std::string told =
      succeed("evaluate", call() + Args{"--attacker", adaptive, "--sets", "raw"} + fast()).err;
  BOOST_TEST(holds(told, "a meets 0 of 1 sets of features; not \"raw\": it was trained on"), told);
}

BOOST_AUTO_TEST_CASE(a_second_recogniser_is_another_of_the_same_crop) {
  const TempDir dir;
  refuse(dir / "", "evaluate", call() + fast() + Args{"--second-recogniser", world().at("rec.json")}, 1,
         {"rec.json", "the deployed recogniser itself"});
  refuse(dir / "", "train",
         Args{"attacker", "--out", dir / "no", "--loss-recogniser", world().at("rec.json")} + data() +
             ToyWorld::tiny_training(),
         1, {"rec.json", "the deployed recogniser itself"});
  // Also where whole images are used.
  json card = read_json(more().second);
  card["crop"]["margin"] = 0.25;
  card["model"] = std::filesystem::path(more().second).replace_extension(".onnx").string();
  write_bytes(dir / "wide.json", card.dump());
  refuse(dir / "", "evaluate", call() + fast() + Args{"--second-recogniser", dir / "wide.json"}, 1,
         {"wide.json", "0.25", "same crop"});
}

BOOST_AUTO_TEST_CASE(settings_of_attackers_that_are_refused) {
  const TempDir dir;
  const auto refused = [&](const Args& args, const std::vector<std::string>& words) {
    refuse(dir / "", "evaluate", call() + args, 2, words);
  };
  const auto inversion = [&](const std::string& settings, const std::vector<std::string>& words) {
    refused({"--attacker", "inversion:" + settings}, words);
  };
  inversion("latent_rate=0.1", {"latent_rate", "decoder=FILE"});
  inversion("steps=2,steps=3", {"steps twice"});
  inversion("decoder=", {"decoder names no file"});
  inversion("grid=0,decoder=" + shadow(), {"grid=0", "latent_rate=0", "nothing"});
  for (const char* bad : {"rate=1e30", "smoothness=1e30", "rate=nan", "latent_rate=1e30"})
    inversion(bad, {std::string(bad).substr(0, std::string(bad).find('='))});
  for (const char* text : {"invertion:steps=3", "x=invertion:steps=3", "invertion"})
    refused({"--attacker", text}, {"no attacker \"invertion\"", "did you mean inversion?"});
  refused(fast() + world().shadow() + Args{"--epsilons", "0.02,nan"}, {"--epsilons", "nan"});
  refused(fast() + Args{"--seed", "-1"}, {"--seed", "-1 is negative"});
  const Outcome o = run_program("evaluate", call() + fast() + Args{"--limit", "-1"});
  BOOST_TEST((o.code == 2 && o.err.size() < 200), o.err);
  refuse(dir / "", "evaluate", call() + fast() + Args{"--split", "all"}, 1,
         {"inversion", "mean face", "--split all leaves nobody"});
}

BOOST_AUTO_TEST_CASE(trainings_tell_their_options_and_clean_up) {
  for (const char* verb : {"attacker", "shadow"}) {
    const std::string help = succeed("train", {verb, "--help"}).out;
    for (const char* option : {"--identity-weight", "--structure-weight", "--pixel-weight",
                               "--loss-recogniser ", "--loss-recogniser-weight"})
      BOOST_TEST(holds(help, option), verb << " lacks " << option);
  }
  const TempDir dir;
  const std::string out = dir / "d", mine = out + ".checkpoint.tmp-" + std::to_string(::getpid());
  const Args train =
      Args{"attacker", "--image-size",   "32",       "--batch", "16", "--epochs", "4", "--average",
           "2",        "--decoder-loss", "identity", "--out",   out} +
      data();
  Surroundings around;
  around.interrupt_when = out + ".checkpoint";
  BOOST_TEST(run_program("train", train, around).code == 130);
  // The loss ends where the data begin.
  const Args other = train + Args{"--resume", "--lr", "0.1"};
  complain("train", other, run_program("train", other), 1,
           {"another run", "loss \"identity, weight 0.5\", data of shape [", "lr 0.1"}, Late::yes);
  // What a process that is no more has left goes, what one that runs writes stays.
  write_bytes(out + ".checkpoint.tmp-999999999", "half a checkpoint");
  write_bytes(mine, "of somebody else");
  succeed("train", train + Args{"--resume", "--json", dir / "d.json"});
  BOOST_TEST((!std::filesystem::exists(out + ".checkpoint.tmp-999999999") && std::filesystem::exists(mine)));
  // The curve is of other weights than the file has.
  const json flat = read_json(dir / "d.json")["flat"];
  BOOST_TEST(flat["verdict"].get<std::string>().ends_with(" before averaging"), flat.dump());
  BOOST_TEST(flat["curve_is_of"] == "the weights before averaging");
}

// Who asks says how often.
BOOST_AUTO_TEST_CASE(queries_that_were_asked_are_counted) {
  const TempDir dir;
  const Args attackers{"--attacker", "few=oracle:queries=7,answers=accepts,decoder=" + shadow(),
                       "--attacker", "many=oracle:queries=40,decoder=" + shadow(),
                       "--attacker", "d=" + shadow()};
  const Outcome o = succeed("evaluate", call() + attackers + Args{"--sets", "raw", "--json", dir / "r.json"});
  BOOST_TEST(holds(o.out, "many asked 40.0 times for each of the features raw, at most 40"), o.out);
  const json result = read_json(dir / "r.json");
  for (const json& row : result["rows"]) {
    const json& queries = row["queries"];
    if (row["attacker"] == "many")
      BOOST_TEST((queries == json{{"mean", 40.0}, {"most", 40}}), queries.dump());
    else if (row["attacker"] == "few")
      BOOST_TEST((queries["most"] == 7 && queries["mean"] <= 7), queries.dump());
    else
      BOOST_TEST(queries.is_null());
  }
}

namespace {

json verdict_row(const std::string& attacker, std::array<double, 3> ssim, std::array<double, 3> cosine,
                 std::array<double, 3> replay) {
  const auto interval = [](const std::array<double, 3>& v) {
    return json{{"low", v[0]}, {"mean", v[1]}, {"high", v[2]}};
  };
  return {{"attacker", attacker},
          {"features", attacker == "mean face" ? "none" : "raw"},
          {"moment_matched", false},
          {"ssim", interval(ssim)},
          {"cosine", {{"deployed", interval(cosine)}}},
          {"replay_rate", {{"deployed", {{"same_photo", interval(replay)}}}}}};
}

}  // namespace

// An attacker counts in pixels, by its cosine, or by being let in.
BOOST_AUTO_TEST_CASE(when_an_attacker_counts) {
  const json mean = verdict_row("mean face", {0.3, 0.32, 0.34}, {0.1, 0.2, 0.3}, {0, 0.05, 0.1});
  const auto counts = [&](const json& row) {
    const json told = tools::verdicts(json::array({mean, row}), "deployed")[0];
    BOOST_TEST(told["counts"] ==
               (told["counts_in_pixels"].get<bool>() || told["counts_in_identity"].get<bool>()));
    return std::pair<bool, bool>{told["counts_in_pixels"], told["counts_in_identity"]};
  };
  using P = std::pair<bool, bool>;
  BOOST_TEST(
      (counts(verdict_row("a", {0.3, 0.32, 0.34}, {0.1, 0.2, 0.3}, {0, 0.1, 0.2})) == P{false, false}));
  BOOST_TEST((counts(verdict_row("a", {0.33, 0.4, 0.5}, {0.1, 0.2, 0.3}, {0, 0, 0})) == P{true, false}));
  BOOST_TEST((counts(verdict_row("a", {0.2, 0.3, 0.4}, {0.31, 0.4, 0.5}, {0, 0, 0})) == P{false, true}));
  BOOST_TEST(
      (counts(verdict_row("a", {0.2, 0.3, 0.4}, {0, 0.2, 0.4}, {0.15, 0.525, 0.9})) == P{false, true}));
}
