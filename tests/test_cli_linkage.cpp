// Audits without a picture at the command line: linkage networks from training to verdict, attributes; calls
// that are refused.
#define BOOST_TEST_MODULE cli_linkage
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "cli_test_util.h"
#include "tensor/io/safetensors.h"

using namespace advf;
using namespace advf::test;
using nlohmann::json;

namespace {

// The toy world with a projection, linkage networks against it and against noise, and labels that say more.
struct World {
  TempDir dir;
  Args data = toy_world().images() + toy_world().recogniser();
  Args noise{"--protect", "noise", "--noise-length", "0.6"};
  Args project{"--protect", "projection", "--projection", at("projection.safetensors")};

  World() {
    succeed("train", Args{"fit", "projection", "--dims", "6", "--out", at("projection.safetensors")} + data);
    succeed("train", training("4") + noise + Args{"--out", at("noise.st"), "--json", at("noise.json")});
    succeed("train",
            training("40") + project + Args{"--out", at("project.st"), "--json", at("project.json")});
    // Whether the person's number is even; what nobody shows; whether he smiles, as -1 and 1.
    std::ofstream labels(at("labels.csv"));
    labels << "file,identity,Even,Never,Smiling\n";
    const std::vector<std::string> lines = lines_of(read_bytes(toy_world().at("faces/labels.csv")));
    for (size_t i = 1; i < lines.size(); ++i) {
      const std::string file = lines[i].substr(0, lines[i].find(','));
      const std::string folder = file.substr(0, file.find('/'));
      labels << file << ',' << folder << ',' << (folder.back() % 2 == 0 ? 1 : 0) << ",0,"
             << (lines[i].back() == '1' ? "1" : "-1") << '\n';
    }
  }
  std::string at(const std::string& name) const { return dir / name; }
  Args training(const std::string& epochs) const {
    return Args{"linkage", "--batch", "16", "--epochs", epochs, "--width", "64"} + data;
  }
  Args labels() const { return {"--labels", at("labels.csv")}; }
};

const World& here() {
  static const World w;
  return w;
}

json linkage(const Args& args) {
  const TempDir dir;
  const Outcome o = succeed("evaluate", Args{"linkage", "--json", dir / "l.json"} + here().data + args);
  BOOST_TEST(o.out.find("rank 10") != std::string::npos);
  return read_json(dir / "l.json");
}

json attributes(const Args& args) {
  const TempDir dir;
  const Outcome o = succeed("evaluate", Args{"attributes", "--json", dir / "a.json", "--epochs", "5"} +
                                            here().data + here().labels() + args);
  BOOST_TEST(o.out.find("balanced accuracy") != std::string::npos);
  return read_json(dir / "a.json");
}

std::vector<std::string> fields_of(const std::string& line) {
  std::vector<std::string> fields;
  std::istringstream text(line);
  for (std::string field; std::getline(text, field, '\t');) fields.push_back(field);
  return fields;
}

void check_interval(const json& v, const std::string& what) {
  BOOST_REQUIRE_MESSAGE((v.is_object() && v.size() == 3u), what << ": " << v.dump());
  const double low = v["low"], mean = v["mean"], high = v["high"];
  BOOST_TEST((0 <= low && low <= mean && mean <= high && high <= 1), what << ": " << v.dump());
}

}  // namespace

BOOST_AUTO_TEST_CASE(networks_say_what_they_were_trained_on) {
  const json noise = read_json(here().at("noise.json")), project = read_json(here().at("project.json"));
  BOOST_TEST(noise["trained_on"] == "protected, noise length 0.6");
  BOOST_TEST(noise["history"].size() == 4u);
  BOOST_TEST(noise["validation_cosine_unaided"].is_number());
  // Of features in a space of their own the recogniser alone knows nothing.
  BOOST_TEST(project["validation_cosine_unaided"].is_null());
  BOOST_TEST(project["history"][39]["validation_cosine"].get<double>() >
             project["history"][0]["validation_cosine"].get<double>());
  const TensorFile file = load_safetensors(here().at("project.st"));
  BOOST_TEST(file.metadata.at("format") == "advface-linkage-1");
  BOOST_TEST((file.metadata.at("net.feature") == "6" && file.metadata.at("net.out") == "16"));
  BOOST_TEST(file.metadata.at("protection").find("projection") != std::string::npos);
}

// Interrupted and gone on with, at any number of threads: the same bytes.
BOOST_AUTO_TEST_CASE(a_resumed_training_ends_at_the_same_file) {
  const TempDir dir;
  const std::string part = dir / "part";
  struct Run {
    std::string whole;
    Args call;
  };
  for (const Run& run : {Run{here().at("noise.st"), here().training("4") + here().noise},
                         Run{here().at("project.st"), here().training("40") + here().project}}) {
    Surroundings around;
    around.interrupt_when = part + ".checkpoint";
    const Args call = run.call + Args{"--out", part};
    BOOST_TEST(run_program("train", call, around).code == 130);
    refuse(dir.path().string(), "train", call + Args{"--resume", "--people", "30"}, 1, {"another run"},
           Late::yes);
    succeed("train", call + Args{"--resume", "--threads", "1"});
    BOOST_TEST((read_bytes(part) == read_bytes(run.whole)));
    std::filesystem::remove(part);
  }
}

// Fewer people are some of more.
BOOST_AUTO_TEST_CASE(training_on_so_many_people) {
  const TempDir dir;
  const auto people = [&](const std::string& count) {
    const std::string file = dir / count;
    succeed("train", here().training("1") + here().noise +
                         Args{"--people", count, "--out", file, "--json", dir / "j"});
    BOOST_TEST(read_json(dir / "j")["train_people"] == std::stoi(count));
    BOOST_TEST(read_json(dir / "j")["train_images"] == 2 * std::stoi(count));
    const std::vector<int64_t> list = load_safetensors(file).tensors.at("people").to_vector<int64_t>();
    return std::set<int64_t>(list.begin(), list.end());
  };
  const auto few = people("10"), more = people("25");
  BOOST_TEST((few.size() == 10u && more.size() == 25u));
  BOOST_TEST(std::includes(more.begin(), more.end(), few.begin(), few.end()));
  refuse(dir.path().string(), "train",
         here().training("1") + here().noise + Args{"--people", "99", "--out", dir / "no"}, 1,
         {"--people 99", "to train on"});
}

BOOST_AUTO_TEST_CASE(linkage_of_raw_and_protected_probes) {
  const Args call = here().noise + Args{"--attacker", "mine=" + here().at("noise.st")};
  const json result = linkage(call);
  BOOST_TEST((result["part"] == "test" && result["people"] == result["probes"]));  // two photographs each
  BOOST_TEST(result["distractors"] == 0);
  BOOST_TEST(result["impostor_pairs"] == result["probes"].get<int>() * (result["people"].get<int>() - 1));
  std::map<std::string, json> rows;
  for (const json& row : result["rows"]) {
    const std::string name = row["attacker"].get<std::string>() + "/" + row["kind"].get<std::string>();
    for (const char* key : {"rank_1", "rank_10", "auc"}) check_interval(row[key], name + ", " + key);
    check_interval(row["tar_at_far"]["1e-3"], name + ", TAR");
    BOOST_TEST(row["rank_1"]["mean"] <= row["rank_10"]["mean"]);
    BOOST_TEST(row["far"].get<double>() <= 1e-3);
    rows[name] = row;
  }
  BOOST_TEST(rows.size() == 3u);
  BOOST_TEST(rows["none/raw"]["auc"]["mean"].get<double>() > 0.7);
  BOOST_TEST(rows["none/raw"]["auc"]["mean"] > rows["none/protected"]["auc"]["mean"]);
  BOOST_TEST(rows.contains("mine/protected"));
  BOOST_TEST(result["protections"]["protected, noise length 0.6"][0]["name"] == "noise");
  BOOST_TEST((result["left_out"].size() == 1u && result["left_out"][0]["features"] == "raw"));
  BOOST_TEST(linkage(call + Args{"--threads", "1"}) == linkage(call + Args{"--threads", "2"}));

  // The same features from a file; another part; fewer images.
  const TempDir dir;
  linkage(call + Args{"--scores", dir / "scores.tsv"});
  const auto scores = lines_of(read_bytes(dir / "scores.tsv"));
  BOOST_TEST(scores[0] == "attacker\tfeatures\timage\tperson\trank_1\trank_10\tauc\taccepted\tcosine");
  BOOST_TEST(scores.size() == 1 + 3 * result["probes"].get<size_t>());
  double found = 0;
  for (const std::string& line : scores)
    if (line.starts_with("mine\tprotected, noise length 0.6\t")) found += std::stod(fields_of(line)[4]);
  BOOST_TEST(std::abs(found / result["probes"].get<double>() -
                      rows["mine/protected"]["rank_1"]["mean"].get<double>()) < 1e-8);
  succeed("protect", Args{"--in", toy_world().at("z.npy"), "--out", dir / "p.npy"} + here().noise);
  const json given =
      linkage(Args{"--protected", "file=" + dir / "p.npy", "--attacker", "mine=" + here().at("noise.st")});
  for (size_t i = 0; i < given["rows"].size(); ++i)
    for (const char* key : {"rank_1", "rank_10", "auc", "tar_at_far", "threshold"})
      BOOST_TEST(given["rows"][i][key] == result["rows"][i][key]);
  BOOST_TEST(linkage(call + Args{"--split", "validation"})["rows"] != result["rows"]);
  const json few = linkage(call + Args{"--limit", "5"});
  BOOST_TEST((few["probes"] == 2 && few["distractors"] == 1));
  // Everybody of the part may be linked without a network.
  BOOST_TEST(linkage({})["rows"].size() == 1u);
}

// What a protection has moved to a space of its own only a network reads.
BOOST_AUTO_TEST_CASE(linkage_of_moved_features) {
  const json result = linkage(here().project + Args{"--attacker", here().at("project.st"), "--attacker",
                                                    "noise=" + here().at("noise.st")});
  std::map<std::string, std::string> reasons;
  for (const json& pair : result["left_out"])
    reasons[pair["attacker"].get<std::string>() + "/" + pair["features"].get<std::string>()] = pair["reason"];
  BOOST_TEST(reasons.size() == 4u);
  BOOST_TEST(reasons["none/protected, projection dims 6"].find("space of their own") != std::string::npos);
  BOOST_TEST(reasons["noise/protected, projection dims 6"].find("[6]") != std::string::npos);
  BOOST_TEST(reasons["noise/raw"].find("noise length 0.6") != std::string::npos);
  BOOST_TEST(result["rows"].size() == 2u);
  BOOST_TEST(result["rows"][1]["attacker"] == here().at("project.st"));
  BOOST_TEST(result["rows"][1]["kind"] == "protected");
}

BOOST_AUTO_TEST_CASE(linkage_calls_that_are_refused) {
  const TempDir dir;
  const std::string folder = dir.path().string(), noise = here().at("noise.st");
  const Args call = Args{"linkage"} + here().data;
  refuse(folder, "evaluate", call + Args{"--attacker", dir / "absent"}, 1, {"absent"});
  refuse(folder, "evaluate", call + Args{"--attacker", toy_world().at("shadow.safetensors")}, 1,
         {"shadow.safetensors", "advface-decoder-1"});
  refuse(folder, "evaluate", call + Args{"--attacker", "=x"}, 2, {"=x", "name"});
  refuse(folder, "evaluate", call + Args{"--attacker", "a=" + noise, "--attacker", "a=" + noise}, 1,
         {"two attackers", "a"});
  refuse(folder, "evaluate", call + Args{"--attacker", "none=" + noise}, 1, {"none"});
  refuse(folder, "evaluate", call + Args{"--protected", "p.npy"}, 2, {"NAME=FILE"});
  refuse(folder, "evaluate", call + Args{"--limit", "3", "--attacker", noise}, 1, {"two such people"});
  refuse(folder, "evaluate", call + Args{"--split", "all"}, 2, {"--split"});
  // Nobody is linked by a network that was trained on him.
  TensorFile lie = load_safetensors(noise);
  lie.metadata["split_seed"] = "2";
  save_safetensors(dir / "lie.st", lie.tensors, lie.metadata);
  refuse(folder, "evaluate", call + Args{"--attacker", dir / "lie.st"}, 1, {"lie.st", "trained on", "id_0"});
  refuse(folder, "evaluate", call + Args{"--attacker", "a=" + noise, "--attacker", dir / "lie.st"}, 1,
         {"--split-seed"});
  // An adapter is a linkage network in other hands, but no linkage network is an adapter.
  succeed("train", Args{"adapter", "--batch", "16", "--epochs", "1", "--out", dir / "adapter"} + here().data +
                       here().noise);
  linkage(here().noise + Args{"--attacker", dir / "adapter"});
  refuse(dir.path().string(), "evaluate",
         Args{"recognition", "--pairs", toy_world().at("faces/test/pairs.txt"), "--images",
              toy_world().at("faces/test/images"), "--adapter", noise} +
             toy_world().recogniser() + here().noise,
         1, {"noise.st", "adapter"});
  refuse(folder, "train", here().training("1") + Args{"--out", dir / "no"}, 2, {"--protect"});
}

BOOST_AUTO_TEST_CASE(attributes_of_raw_and_protected_features) {
  const Args asked{"--attributes", "Even,Smiling"};
  const json result = attributes(asked + here().noise);
  std::set<std::string> seen;
  for (const json& row : result["rows"]) {
    const std::string name = row["attribute"].get<std::string>() + "/" + row["probe"].get<std::string>() +
                             "/" + row["trained_on"].get<std::string>() + "/" +
                             row["asked_about"].get<std::string>();
    seen.insert(name);
    check_interval(row["balanced_accuracy"], name);
    check_interval(row["accuracy"], name);
    BOOST_TEST((row["majority_share"] >= 0.5 && row["majority_share"] <= 1));
  }
  BOOST_TEST((result["rows"].size() == 12u && seen.size() == 12u));
  BOOST_TEST(seen.contains("Smiling/mlp/raw/protected, noise length 0.6"));
  BOOST_TEST((result["left_out"].empty() && result["images"] == 2 * result["people"].get<int>()));
  // A row depends on its own attribute and probe alone.
  const json alone = attributes(Args{"--attributes", "Smiling", "--threads", "1"} + here().noise);
  for (size_t i = 0; i < 6; ++i) BOOST_TEST(alone["rows"][i] == result["rows"][i + 6]);
  BOOST_TEST(attributes(asked)["rows"].size() == 4u);
  // Each answer, of which the rows are means.
  const TempDir dir;
  attributes(asked + here().noise + Args{"--scores", dir / "answers.tsv"});
  const auto answers = lines_of(read_bytes(dir / "answers.tsv"));
  BOOST_TEST(answers.size() == 1 + 12 * result["images"].get<size_t>());
  for (const json& row : result["rows"]) {
    double right = 0, images = 0;
    for (const std::string& line : answers) {
      const auto f = fields_of(line);
      if (f[0] != row["attribute"] || f[1] != row["probe"] || f[2] != row["trained_on"] ||
          f[3] != row["asked_about"])
        continue;
      right += std::stod(f[7]), ++images;
      BOOST_TEST((f[6] == "0" || f[6] == "1"));
    }
    BOOST_TEST(std::abs(right / images - row["accuracy"]["mean"].get<double>()) < 1e-9);
  }
  BOOST_TEST(attributes(asked + Args{"--split", "validation"})["rows"] != attributes(asked)["rows"]);
  const json moved = attributes(asked + here().project);
  BOOST_TEST((moved["rows"].size() == 8u && moved["left_out"].size() == 1u));
}

BOOST_AUTO_TEST_CASE(attribute_calls_that_are_refused) {
  const TempDir dir;
  const std::string folder = dir.path().string();
  const Args bare = Args{"attributes"} + here().data, call = bare + here().labels();
  refuse(folder, "evaluate", bare + Args{"--attributes", "Even"}, 2, {"--labels"});
  refuse(folder, "evaluate", call, 2, {"--attributes"});
  refuse(folder, "evaluate", call + Args{"--attributes", "Smilling"}, 1,
         {"labels.csv", "Smilling", "did you mean Smiling"});
  refuse(folder, "evaluate", call + Args{"--attributes", "Even,Even"}, 2, {"Even", "twice"});
  refuse(folder, "evaluate", call + Args{"--attributes", "Never"}, 1,
         {"labels.csv", "Never is 1 for 0 of the people trained on"});
  refuse(folder, "evaluate", call + Args{"--attributes", "Even", "--width", "0"}, 2, {"--width"});
  std::string text = read_bytes(here().at("labels.csv"));
  write_bytes(dir / "three.csv", text.replace(text.rfind(','), std::string::npos, ",2\n"));
  refuse(folder, "evaluate", bare + Args{"--attributes", "Even", "--labels", dir / "three.csv"}, 1,
         {"three.csv", "Smiling is \"2\""});
  std::string plain = "file,identity\n";
  for (const std::string& line : lines_of(read_bytes(here().at("labels.csv"))))
    if (!line.starts_with("file")) plain += line.substr(0, line.find(',', line.find(',') + 1)) + "\n";
  write_bytes(dir / "plain.csv", plain);
  refuse(folder, "evaluate", bare + Args{"--attributes", "Even", "--labels", dir / "plain.csv"}, 1,
         {"plain.csv", "no attributes"});
}

// A linkage network and a probe as shadows: noise that they do not see through, from training to verdict.
BOOST_AUTO_TEST_CASE(noise_against_who_links_and_who_asks_for_attributes) {
  const TempDir dir;
  const std::string probe = dir / "probe.st", network = dir / "network.st";
  succeed("train", Args{"probe", "--attributes", "Smiling,Even", "--epochs", "8", "--batch", "16", "--width",
                        "32", "--out", probe, "--json", dir / "p.json"} +
                       here().data + here().labels());
  const json made = read_json(dir / "p.json");
  BOOST_TEST((made["attributes"] == json({"Smiling", "Even"}) && made["history"].size() == 8u));
  BOOST_TEST(made["history"][7]["train_loss"].get<double>() < made["history"][0]["train_loss"].get<double>());
  BOOST_TEST(made["history"][7]["validation_accuracy"].get<double>() >= 0);
  // Who has learnt to see through AdvFace's noise.
  succeed("train", here().training("2") + toy_world().shadow() +
                       Args{"--epsilon", "0.1", "--steps", "2", "--out", network});
  const auto protect = [&](const Args& more) {
    succeed("protect", Args{"--in", toy_world().at("z.npy"), "--out", dir / "q.npy", "--epsilon", "0.1",
                            "--json", dir / "q.json"} +
                           more);
    return read_json(dir / "q.json");
  };
  const json linked = protect({"--shadow", network, "--objective", "linkage"});
  BOOST_TEST(linked["mean_loss_after"].get<double>() > linked["mean_loss_before"].get<double>());
  BOOST_TEST(linked["protection"][0]["settings"]["objective"] == "linkage");
  const json asked = protect({"--shadow", probe, "--objective", "attribute", "--steps", "30"});
  BOOST_TEST(asked["mean_loss_after"].get<double>() > 0.5 * asked["mean_loss_before"].get<double>());
  BOOST_TEST(asked["mean_loss_after"].get<double>() <= 0);
  // There is no image whose difference could be told; and one network is no ensemble.
  const Outcome said =
      succeed("protect", {"--in", toy_world().at("z.npy"), "--out", dir / "q.npy", "--shadow", network,
                          "--objective", "linkage", "--ensemble", "hardest"});
  BOOST_TEST((said.out.find("loss of the objective linkage") != std::string::npos &&
              said.out.find("image") == std::string::npos),
             said.out);
  BOOST_TEST(said.err.find("--ensemble hardest is of several shadows") != std::string::npos, said.err);
  const json told = attributes(
      Args{"--attributes", "Smiling", "--shadow", probe, "--objective", "attribute", "--epsilon", "0.1"});
  BOOST_TEST(!told["rows"].empty());

  const std::string folder = dir.path().string();
  const Args call{"--in", toy_world().at("z.npy"), "--out", dir / "r.npy"};
  refuse(folder, "protect", call + Args{"--shadow", probe, "--objective", "linkage"}, 1,
         {"probe.st", "linkage network"});
  refuse(folder, "protect", call + Args{"--shadow", network, "--objective", "attribute"}, 1,
         {"network.st", "probe"});
  refuse(folder, "protect", call + Args{"--shadow", network}, 1, {"network.st"});
  refuse(folder, "protect", call + Args{"--shadow", network, "--objective", "linkage", "--loss", "structure"},
         2, {"looks at no image"});
  refuse(folder, "train",
         Args{"probe", "--attributes", "Never", "--out", dir / "n.st"} + here().data + here().labels(), 1,
         {"Never"}, Late::yes);
  refuse(folder, "train",
         Args{"probe", "--attributes", "Sming", "--out", dir / "n.st"} + here().data + here().labels(), 1,
         {"Sming"}, Late::yes);
  refuse(
      folder, "train",
      Args{"generator", "--shadow", network, "--objective", "linkage", "--out", dir / "g.st"} + here().data,
      2, {"generator", "--protect advface"});
}

// A network behind a projection: what it stores of one photograph is nearer to what the others have in
// common.
BOOST_AUTO_TEST_CASE(a_network_behind_a_projection) {
  const TempDir dir;
  const std::string net = dir / "net.st", fitted = here().at("projection.safetensors");
  const Args training = Args{"projection", "--projection", fitted,  "--batch", "16",     "--epochs",    "20",
                             "--width",    "32",           "--out", net,       "--json", dir / "n.json"} +
                        here().data;
  succeed("train", training);
  const json made = read_json(dir / "n.json");
  BOOST_TEST(made["dims"] == 6);
  BOOST_TEST(made["history"][19]["train_loss"].get<double>() <
             0.9 * (1 - made["validation_cosine_unaided"].get<double>()));
  const auto protect = [&](const Args& more) {
    succeed("protect", Args{"--in", toy_world().at("z.npy"), "--out", dir / "p.npy"} + more);
    return read_bytes(dir / "p.npy");
  };
  const std::string plain = protect({"--protect", "projection", "--projection", fitted}),
                    trained = protect({"--protect", "projection", "--projection", net});
  BOOST_TEST((plain.size() == trained.size() && plain != trained));
  const auto recognition = [&](const std::string& file) {
    succeed("evaluate", Args{"recognition", "--images", toy_world().at("faces/test/images"), "--pairs",
                             toy_world().at("faces/test/pairs.txt"), "--protect", "projection",
                             "--projection", file, "--json", dir / "r.json"} +
                            toy_world().recogniser());
    return read_json(dir / "r.json")["accuracy"]["mean"].get<double>();
  };
  BOOST_TEST(recognition(net) > recognition(fitted) - 0.25);
  const std::string folder = dir.path().string();
  refuse(folder, "train", Args{"projection", "--projection", net, "--out", dir / "m.st"} + here().data, 1,
         {"net.st", "network already"});
  refuse(folder, "train",
         Args{"projection", "--projection", here().at("noise.st"), "--out", dir / "m.st"} + here().data, 1,
         {"noise.st", "projection"});
  refuse(folder, "train",
         Args{"projection", "--projection", fitted, "--split-seed", "5", "--out", dir / "m.st"} + here().data,
         1, {"split-seed"}, Late::yes);
}
