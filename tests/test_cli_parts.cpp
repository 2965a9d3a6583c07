// Runs in parts, by option or by who has started several programs at once: joined they are the bits of one
// run.
#define BOOST_TEST_MODULE cli_parts
#include <cstdlib>
#include <ctime>

#include "cli_test_util.h"
#include "tensor/hash.h"
#include "tensor/io/npy.h"
#include "tensor/io/process.h"
#include "tools/options/cli.h"
#include "tools/options/part.h"
#include "tools/options/part_progress.h"

using namespace advf;
using namespace advf::test;
using advf::tools::Part;

namespace {

const ToyWorld& world() { return toy_world(); }

// Set for as long as it lives.
class Variables {
 public:
  explicit Variables(std::vector<std::pair<std::string, std::string>> values) : values_(std::move(values)) {
    for (const auto& [name, value] : values_) ::setenv(name.c_str(), value.c_str(), 1);
  }
  ~Variables() {
    for (const auto& [name, unused] : values_) ::unsetenv(name.c_str());
  }
  Variables(const Variables&) = delete;

 private:
  std::vector<std::pair<std::string, std::string>> values_;
};

std::string part_name(const std::string& name, int i, int of) { return Part{i, of}.path(name); }

void same_files(const std::string& a, const std::string& b, const std::vector<std::string>& endings) {
  for (const std::string& end : endings)
    BOOST_TEST((read_bytes(a + end) == read_bytes(b + end)), a + end << " differs from " << b + end);
}

}  // namespace

BOOST_AUTO_TEST_CASE(parts_are_all_rows_once) {
  for (const int64_t n : {0, 1, 7, 64, 65, 66, 1000})
    for (const int64_t batch : {1, 8, 32})
      for (const int64_t of : {1, 2, 3, 40}) {
        int64_t next = 0;
        for (int64_t i = 1; i <= of; ++i) {
          const auto [begin, end] = Part{i, of}.range(n, batch);
          BOOST_TEST((begin == next && end >= begin && (begin % batch == 0 || begin == n)));
          BOOST_TEST((end - begin != 1 || batch == 1 || n == 1));
          next = end;
        }
        BOOST_TEST(next == n);
      }
  // Nobody is left alone who was not alone in the whole.
  BOOST_TEST((Part{2, 2}.range(17, 8) == std::pair<int64_t, int64_t>(8, 17)));
  BOOST_TEST((Part{2, 4}.path("a.b/z.npy") == "a.b/z.2-of-4.npy" && Part{2, 4}.path("z") == "z.2-of-4"));
  BOOST_TEST((Part{1, 1}.path("z.npy") == "z.npy" && Part{2, 4}.path("").empty()));
  for (const std::string name : {"a.b/z.npy", "a.b/z", "z", "z.1.json", "z.1-of-2x.npy"}) {
    const auto part = tools::part_name(Part{2, 4}.path(name));
    BOOST_TEST((part && part->out == name && part->part.number == 2 && part->part.of == 4), name);
  }
  for (const char* name : {"z.npy", "z", "z.2-of-x.npy", "z.5-of-4", "z.02-of-4.npy"})
    BOOST_TEST(!tools::part_name(name), name);
}

BOOST_AUTO_TEST_CASE(features_come_in_parts) {
  const TempDir dir;
  const Args extract = Args{"--batch", "16"} + world().images() + world().recogniser();
  succeed("extract", extract + Args{"--out", dir / "whole.npy"});
  for (int rank = 0; rank < 3; ++rank) {
    const Variables mpirun({{"OMPI_COMM_WORLD_RANK", std::to_string(rank)}, {"OMPI_COMM_WORLD_SIZE", "3"}});
    const Outcome o =
        run_program("extract", extract + Args{"--out", dir / "z.npy", "--json", dir / "j.json"});
    BOOST_TEST((o.code == 0 && o.err.find("part " + std::to_string(rank + 1) + "/3") != std::string::npos),
               o.err);
    BOOST_TEST(std::filesystem::exists(part_name(dir / "j.json", rank + 1, 3)));
  }
  succeed("inspect", {"--join", dir / "z.npy", "--json", dir / "joined"});
  BOOST_TEST((read_json(dir / "joined")["parts"] == 3 &&
              read_json(dir / "joined")["rows"] == load_npy(dir / "z.npy").dim(0)));
  same_files(dir / "z.npy", dir / "whole.npy", {"", ".json", ".txt"});
  // An array job, each of whose tasks runs two at once; more parts than batches: some have no rows.
  const int tasks = 20;
  for (int id = 1; id <= tasks; ++id)
    for (const char* rank : {"0", "1"}) {
      const Variables slurm({{"SLURM_ARRAY_TASK_ID", std::to_string(id)},
                             {"SLURM_ARRAY_TASK_MIN", "1"},
                             {"SLURM_ARRAY_TASK_MAX", std::to_string(tasks)},
                             {"SLURM_PROCID", rank},
                             {"SLURM_STEP_NUM_TASKS", "2"}});
      succeed("extract", extract + Args{"--out", dir / "y.npy"});
    }
  BOOST_TEST(load_npy(part_name(dir / "y.npy", 1, 2 * tasks)).dim(0) == 0);
  succeed("inspect", {"--join", dir / "y.npy"});
  same_files(dir / "y.npy", dir / "whole.npy", {"", ".json", ".txt"});
}

BOOST_AUTO_TEST_CASE(records_are_protected_in_parts) {
  const TempDir dir;
  succeed("key", {"new", dir / "key"});
  const std::string name(32, 'a');
  const Args ascent{"--steps", "2", "--shadow", world().at("shadow.safetensors")},
      lock{"--protect", "rotation", "--key", dir / "key", "--key-set", name};
  int kind = 0;
  for (const Args& how :
       {ascent, ascent + Args{"--bn", "batch"}, Args{"--protect", "noise", "--noise-length", "0.1"} + lock}) {
    const std::string out = dir / ("p" + std::to_string(++kind) + ".npy"),
                      whole = dir / ("w" + std::to_string(kind) + ".npy");
    const Args protect = Args{"--in", world().at("z.npy"), "--batch", "24"} + how;
    succeed("protect", protect + Args{"--out", whole, "--report", whole + ".lines"});
    std::string lines;
    for (int i = 1; i <= 4; ++i) {
      succeed("protect",
              protect + Args{"--out", out, "--report", out + ".lines", "--part", std::to_string(i) + "/4"});
      lines += read_bytes(part_name(out + ".lines", i, 4));
    }
    succeed("inspect", {"--join", out});
    same_files(out, whole, {"", ".json"});
    BOOST_TEST((lines == read_bytes(whole + ".lines")));
  }
  // Whoever takes a part for the whole would open its rows by the wrong numbers.
  const std::string part = part_name(dir / "p3.npy", 2, 4);
  const std::string folder = dir.path().string();
  refuse(folder, "key",
         {"rotate", "--key", dir / "key", "--new-key", dir / "next", "--in", part, "--out", dir / "t.npy"}, 1,
         {"p3.2-of-4.npy", "one part of several", "--join"}, Late::yes);
  refuse(folder, "protect", Args{"--in", part, "--out", dir / "t.npy"} + ascent, 1, {"one part of several"},
         Late::yes);
}

BOOST_AUTO_TEST_CASE(what_does_not_go_together_is_told) {
  const TempDir dir;
  const std::string folder = dir.path().string(), out = dir / "p.npy";
  const Args protect =
      Args{"--in", world().at("z.npy"), "--steps", "1", "--shadow", world().at("shadow.safetensors"), "--out",
           out};
  for (const auto& [text, words] : std::vector<std::pair<std::string, std::vector<std::string>>>{
           {"5/4", {"--part 5/4", "no part 5 of 4"}},
           {"0/4", {"no part 0"}},
           {"2", {"i/n"}},
           {"a/4", {"i/n"}},
           {"-1/4", {"i/n"}},
           {"", {"i/n", "nothing"}},
           {"1/99999999", {"i/n"}}})
    refuse(folder, "protect", protect + Args{"--part", text}, 2, words);
  succeed("key", {"new", dir / "key"});
  refuse(folder, "protect",
         Args{"--in", world().at("z.npy"), "--protect", "rotation", "--key", dir / "key", "--out", out,
              "--part", "1/2"},
         2, {"--key-set"});
  {
    const Variables wrong({{"OMPI_COMM_WORLD_RANK", "4"}, {"OMPI_COMM_WORLD_SIZE", "4"}});
    refuse(folder, "protect", protect, 2, {"OMPI_COMM_WORLD_SIZE=4", "--part"});
    refuse(folder, "inspect", {"--join", out}, 2, {"OMPI_COMM_WORLD_SIZE=4", "work of one process"});
    refuse(folder, "evaluate", {"join", "--json", out}, 2, {"join is the work of one process"});
    const Args train = Args{"recogniser", "--out", dir / "r.json"} + world().images();
    refuse(folder, "train", train, 2, {"OMPI_COMM_WORLD_SIZE=4", "advface-train-mpi"});
    const Variables no_number({{"OMPI_COMM_WORLD_RANK", "0"}, {"OMPI_COMM_WORLD_SIZE", "many"}});
    refuse(folder, "train", train, 2, {"OMPI_COMM_WORLD_SIZE=many", "no number"});
    refuse(folder, "protect", protect + Args{"--steps", "0", "--part", "1/1"}, 2,
           {"steps"});  // said: not by the environment
  }
  {
    const Variables gap({{"SLURM_ARRAY_TASK_ID", "3"},
                         {"SLURM_ARRAY_TASK_MIN", "1"},
                         {"SLURM_ARRAY_TASK_MAX", "9"},
                         {"SLURM_ARRAY_TASK_STEP", "2"}});
    refuse(folder, "protect", protect, 2, {"--array=1-N"});
  }
  {
    const Variables again(
        {{"SLURM_ARRAY_TASK_ID", "3"}, {"SLURM_ARRAY_TASK_MIN", "3"}, {"SLURM_ARRAY_TASK_MAX", "3"}});
    refuse(folder, "protect", protect, 2, {"begin at 3", "--part i/N"});
  }
  {
    const Variables half(std::vector<std::pair<std::string, std::string>>{{"PMI_RANK", "1"}});
    refuse(folder, "protect", protect, 2, {"PMI_RANK=1", "PMI_SIZE"});
  }
  {
    const Variables half({{"SLURM_PROCID", "1"}, {"SLURM_NTASKS", "3"}});
    refuse(folder, "protect", protect, 2, {"SLURM_PROCID=1", "SLURM_STEP_NUM_TASKS"});
  }
  {
    const Variables alone(std::vector<std::pair<std::string, std::string>>{{"SLURM_ARRAY_TASK_ID", "3"}});
    refuse(folder, "protect", protect, 2, {"SLURM_ARRAY_TASK_ID=3", "_MIN"});
  }
  refuse(folder, "extract",
         Args{"--out", dir / "p", "--part", "1/2"} + world().images() + world().recogniser(), 2, {"p.npy"});
  const auto join = [&](const std::vector<std::string>& words) {
    refuse(folder, "inspect", {"--join", out}, 1, words, Late::yes);
  };
  refuse(folder, "inspect", {"--join", dir / "key"}, 2, {"--join", "FILE.npy"});
  join({"p.npy", "no part of it"});
  const auto make = [&](const std::string& text, const Args& more = {}) {
    succeed("protect", protect + Args{"--part", text} + more);
  };
  make("1/3");
  make("3/3");
  join({"p.npy", "missing: 2/3", "run them again"});
  for (const auto& [more, word] :
       std::vector<std::pair<Args, std::string>>{{{"--seed", "5"}, "not of one run"},
                                                 {{"--epsilon", "0.3"}, "the protection"},
                                                 {{"--batch", "7"}, "--batch"}}) {
    make("2/3", more);
    join({"p.2-of-3.npy", word});
  }
  save_npy(dir / "other.npy", load_npy(world().at("z.npy")).slice_batch(0, 100));
  succeed("protect", {"--in", dir / "other.npy", "--steps", "1", "--shadow", world().at("shadow.safetensors"),
                      "--out", out, "--part", "2/3"});
  join({"p.2-of-3.npy", "the input"});
  make("2/3");
  make("1/2");
  join({"parts of 2 and of 3"});
  for (const char* end : {"", ".json"}) std::filesystem::remove(part_name(out, 1, 2) + end);
  std::filesystem::copy(part_name(out, 1, 3), part_name(out, 2, 3),
                        std::filesystem::copy_options::overwrite_existing);
  std::filesystem::copy(part_name(out, 1, 3) + ".json", part_name(out, 2, 3) + ".json",
                        std::filesystem::copy_options::overwrite_existing);
  join({"p.2-of-3.npy", "does not say that it is part 2"});
}

// The images that attackers make, and what judges say of them, come in parts as well.
BOOST_AUTO_TEST_CASE(reconstruction_comes_in_parts) {
  const TempDir dir;
  succeed("faces", {"--out", dir / "faces", "--identities", "100", "--per-identity", "2", "--test-identities",
                    "80", "--image-size", "48", "--pairs", "2"});
  const nlohmann::json deployed = {{"threshold", 0.5},
                                   {"fingerprint", read_json(world().at("z.json"))["recogniser"]}};
  write_bytes(dir / "thresholds.json",
              nlohmann::json{{"judges", {{"deployed", deployed}}}, {"fmr", 1e-3}}.dump());
  // One photograph is alone, so that some are not in what identity shows.
  for (const auto& person : std::filesystem::directory_iterator(dir / "faces/test/images")) {
    std::filesystem::remove(std::filesystem::directory_iterator(person.path())->path());
    break;
  }
  const std::string images = dir / "faces/test/images";
  succeed("extract", Args{"--images", images, "--out", dir / "z.npy"} + world().recogniser());
  const Args noise{"--protect", "noise", "--noise-length", "0.1"};
  const auto protect = [&] {
    succeed("protect", Args{"--in", dir / "z.npy", "--out", dir / "noise.npy"} + noise);
  };
  protect();
  const std::string decoder = dir / "decoder.safetensors";
  std::string weights = read_bytes(world().at("shadow.safetensors"));
  write_bytes(decoder, weights);
  const Args how = Args{"reconstruction",
                        "--images",
                        images,
                        "--protected",
                        "noisy=" + dir / "noise.npy",
                        "--attacker",
                        "deconv=" + decoder,
                        "--split",
                        "all",
                        "--thresholds",
                        dir / "thresholds.json",
                        "--steps",
                        "1"} +
                   world().recogniser() + world().shadow();
  const Outcome whole =
      succeed("evaluate", how + Args{"--json", dir / "whole.json", "--scores", dir / "whole.tsv"});
  BOOST_TEST(read_json(dir / "whole.json")["images"] == 159);
  const std::string out = dir / "p.json", folder = dir.path().string();
  const auto make = [&](const std::string& text, const Args& more = {}) {
    succeed("evaluate", how + Args{"--json", out, "--part", text} + more);
  };
  const auto clear = [&](int of) {
    for (int i = 1; i <= of; ++i) std::filesystem::remove(part_name(out, i, of));
  };
  // Three batches: of five parts two have no image.
  for (const int of : {2, 5}) {
    for (int i = of; i >= 1; --i) make(std::to_string(i) + "/" + std::to_string(of));
    const Outcome joined = succeed("evaluate", {"join", "--json", out, "--scores", dir / "p.tsv"});
    BOOST_TEST((read_bytes(out) == read_bytes(dir / "whole.json")), of);
    BOOST_TEST((read_bytes(dir / "p.tsv") == read_bytes(dir / "whole.tsv")), of);
    BOOST_TEST(joined.out == whole.out);
    std::filesystem::remove(out);
    if (of == 5) break;
    succeed("inspect", {"--progress", folder, "--json", dir / "progress.json"});
    BOOST_TEST((read_json(dir / "progress.json")["runs"][0]["done"] == 159));
    std::filesystem::remove(dir / "progress.json");
    clear(of);
  }
  const auto refused = [&](const Args& args, int code, const std::vector<std::string>& words) {
    refuse(folder, "evaluate", args, code, words, Late::yes);
  };
  refused({"join", "--json", dir / "q.json"}, 1, {"q.json", "no part of it"});
  refused(how + Args{"--part", "1/2"}, 2, {"--part 1/2", "--json"});
  for (const char* option : {"--scores", "--sheet"})
    refused(how + Args{"--part", "1/2", "--json", out, option, dir / "x.png"}, 2, {option, "all images"});
  clear(5);
  make("1/2");
  refused({"join", "--json", out}, 1, {"p.json", "missing: 2/2"});
  const std::string second = part_name(out, 2, 2);
  for (const auto& [more, words] :
       std::vector<std::pair<Args, std::vector<std::string>>>{{{"--seed", "5"}, {"the seed", "5"}},
                                                              {{"--epsilon", "0.3"}, {"protections", "0.3"}},
                                                              {{"--limit", "100"}, {"the input"}}}) {
    make("2/2", more);
    std::vector<std::string> all{"p.2-of-2.json"};
    all.insert(all.end(), words.begin(), words.end());
    refused({"join", "--json", out}, 1, all);
  }
  // Files of the same name may hold something else.
  std::vector<std::string> photographs;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(images))
    if (entry.is_regular_file()) photographs.push_back(entry.path().string());
  std::sort(photographs.begin(), photographs.end());
  const std::string before = read_bytes(photographs[0]);
  write_bytes(photographs[0], read_bytes(photographs.back()));
  make("2/2");
  refused({"join", "--json", out}, 1, {"p.2-of-2.json", "the input"});
  write_bytes(photographs[0], before);
  weights[weights.size() / 2] ^= 1;  // the last bits of a weight
  write_bytes(decoder, weights);
  make("2/2");
  refused({"join", "--json", out}, 1, {"p.2-of-2.json", "the attackers", "network"});
  weights[weights.size() / 2] ^= 1;
  write_bytes(decoder, weights);
  Tensor rows = load_npy(dir / "z.npy");
  rows.mutable_data<float>()[0] *= -1;
  save_npy(dir / "other.npy", rows);
  succeed("protect", Args{"--in", dir / "other.npy", "--out", dir / "other-noise.npy"} + noise);
  for (const char* end : {"", ".json"})
    std::filesystem::rename(dir / "other-noise.npy" + end, dir / "noise.npy" + end);
  make("2/2");
  refused({"join", "--json", out}, 1, {"p.2-of-2.json", "the input"});
  protect();
  // What a killed call has left among the pictures goes; what somebody else has there stays.
  const std::string pictures = dir / "pictures.2-of-2";
  write_bytes(pictures + "/.unfinished", "");
  write_bytes(pictures + "/deconv/left.png", "");
  make("2/2", {"--out", dir / "pictures"});
  BOOST_TEST(std::filesystem::exists(pictures + "/originals"));
  BOOST_TEST((!std::filesystem::exists(pictures + "/deconv/left.png") &&
              !std::filesystem::exists(pictures + "/.unfinished")));
  BOOST_TEST(!std::filesystem::exists(dir / "pictures"));
  refused(how + Args{"--part", "2/2", "--json", out, "--out", dir / "pictures"}, 1, {"not empty"});
  const nlohmann::json good = read_json(second);
  const auto sealed = [](nlohmann::json part) {
    part.erase("checksum");
    part["checksum"] = hex(fnv1a(tools::json_text(part)));
    return part;
  };
  BOOST_TEST((sealed(good) == good));
  const auto damaged = [&](const std::function<void(nlohmann::json&)>& damage, const std::string& word) {
    nlohmann::json bad = good;
    damage(bad);
    write_bytes(second, sealed(bad).dump());
    refused({"join", "--json", out}, 1, {"p.2-of-2.json", word});
  };
  {
    nlohmann::json bad = good;
    bad["rows"][2]["measures"][0]["values"][0] = 0.5;
    write_bytes(second, bad.dump());
    refused({"join", "--json", out}, 1, {"p.2-of-2.json", "checksum"});
  }
  damaged([](auto& j) { j["format"] = "x"; }, "no part of advface-evaluate");
  damaged([](auto& j) { j["part"]["number"] = 1; }, "part 2 of 2");
  damaged([](auto& j) { j["part"]["first"] = 65; }, "damaged");
  damaged([](auto& j) { j["rows"][2]["measures"][0]["values"].erase(0); }, "damaged");
  damaged([](auto& j) { j["images"]["with_another_photo"][0] = 1000; }, "damaged");
  damaged([](auto& j) { j["rows"].erase(0); }, "the number of rows");
  damaged([](auto& j) { j.erase("told"); }, "damaged");
  write_bytes(second, good.dump().substr(0, 1000));
  refused({"join", "--json", out}, 1, {"p.2-of-2.json"});
}

// Who looks at the folder sees every part, and which are to be run again.
BOOST_AUTO_TEST_CASE(all_parts_are_seen_from_one_place) {
  const TempDir dir;
  const Args extract =
      Args{"--batch", "16", "--out", dir / "z.npy"} + world().images() + world().recogniser();
  succeed("extract", extract + Args{"--part", "1/5"});
  const std::string first = part_name(dir / "z.npy", 1, 5);
  BOOST_TEST(!std::filesystem::exists(first + ".progress"));
  const int64_t rows = load_npy(first).dim(0);
  constexpr int kNobody = (1 << 22) + 1;  // above the highest number that a process has
  const auto told = [&](int part, const std::string& state, int64_t done, int64_t ago,
                        const std::string& host = "node7") {
    write_bytes(part_name(dir / "z.npy", part, 5) + ".progress",
                nlohmann::json{{"format", "advface-progress-1"},
                               {"what", "extract"},
                               {"unit", "images"},
                               {"part", part},
                               {"of", 5},
                               {"total", 100},
                               {"host", host},
                               {"process", kNobody},
                               {"state", state},
                               {"done", done},
                               {"seconds", 5.0},
                               {"at", int64_t(std::time(nullptr)) - ago}}
                    .dump());
  };
  const auto seen = [&] {
    succeed("inspect", {"--progress", dir.path().string(), "--json", dir / "j"});
    const nlohmann::json result = read_json(dir / "j")["runs"];
    BOOST_REQUIRE(result.size() == 1u);
    BOOST_TEST((result[0]["out"] == dir / "z.npy" && result[0]["parts"] == 5));
    return result[0];
  };
  told(2, "running", 25, 1);
  told(3, "running", 40, 300);
  told(4, "stopped", 50, 10);
  nlohmann::json run = seen();
  std::vector<std::string> states;
  for (const auto& row : run["each"]) states.push_back(row["state"]);
  BOOST_TEST((states == std::vector<std::string>{"done", "running", "silent", "stopped", "missing"}),
             run.dump());
  BOOST_TEST((run["done"] == rows + 115 && run["total"] == rows + 300 && run["per_second"] == 5.0));
  BOOST_TEST(run["seconds_left"].is_null());  // of what nobody runs nobody knows
  const std::string text = succeed("inspect", {"--progress", dir.path().string()}).out;
  for (const char* part : {"3/5", "4/5", "5/5"})
    BOOST_TEST(text.find(std::string("run it with --part ") + part) != std::string::npos, text);
  for (const int part : {3, 4, 5}) told(part, "running", 50, 0);
  run = seen();
  BOOST_TEST((run["per_second"] == 35.0 && run["seconds_left"] == 15.0));
  told(5, "running", 50, 0, host_name());  // killed: its process is gone
  BOOST_TEST(seen()["each"][4]["state"] == "stopped");

  // What a part tells while it runs, where it stops, and where it is done.
  const std::string out = part_name(dir / "y.npy", 2, 5);
  const FeaturePart second{2, 5, 10, 20, 50, 1, "input"};
  {
    const tools::PartProgress progress("protect", 10, "features", second, out);
    BOOST_TEST(read_json(out + ".progress")["state"] == "running");
  }
  BOOST_TEST(read_json(out + ".progress")["state"] == "stopped");
  {
    tools::PartProgress progress("protect", 10, "features", second, out);
    progress.advance(10);
    progress.finish();
  }
  BOOST_TEST(!std::filesystem::exists(out + ".progress"));
  { const tools::PartProgress whole("protect", 10, "features", {}, dir / "whole.npy"); }
  BOOST_TEST(!std::filesystem::exists(dir / "whole.npy.progress"));

  write_bytes(first + ".progress", "{\"format\": 3}");
  complain("inspect", {"--progress"}, run_program("inspect", {"--progress", dir.path().string()}), 1,
           {"1-of-5.npy.progress", "format", "remove it"});
  std::filesystem::remove(first + ".progress");
  std::filesystem::rename(first, part_name(dir / "z.npy", 1, 4));
  complain("inspect", {"--progress"}, run_program("inspect", {"--progress", dir.path().string()}), 1,
           {"z.1-of-4.npy", "its name says"});
  const TempDir empty;
  complain("inspect", {"--progress"}, run_program("inspect", {"--progress", empty.path().string()}), 1,
           {"no part of a run"});
  complain("inspect", {"--progress"}, run_program("inspect", {"--progress", first}), 1, {"no folder"});
}
