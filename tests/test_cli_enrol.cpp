// Enrolment through the programs: photographs, protected in one call, and several of a person.
#define BOOST_TEST_MODULE cli_enrol
#include <algorithm>
#include <cmath>

#include "cli_test_util.h"
#include "method_test_util.h"
#include "tensor/io/image.h"
#include "tensor/io/npy.h"

using namespace advf;
using namespace advf::test;
using nlohmann::json;

namespace {

const ToyWorld& world() { return toy_world(); }

Args protect(const Args& more) { return Args{"--steps", "2"} + world().shadow() + more; }

std::string photograph(size_t i) {
  return world().at("faces/images/" + lines_of(read_bytes(world().at("z.npy.txt"))).at(i));
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_photograph_in_one_call) {
  const TempDir dir;
  succeed("protect", protect({"--in", world().at("z.npy"), "--out", dir / "all.npy"}));
  const Tensor all = load_npy(dir / "all.npy");
  const auto enrol = [&](const std::string& out, const Args& images) {
    succeed("protect", protect({"--out", dir / out}) + images + world().recogniser());
    return load_npy(dir / out);
  };
  BOOST_TEST(same_bits(enrol("one.npy", {"--image", photograph(0)}), all.slice_batch(0, 1)));
  BOOST_TEST(same_bits(
      enrol("three.npy", {"--image", photograph(0), "--image", photograph(1), "--image", photograph(2)}),
      all.slice_batch(0, 3)));

  // As a camera held sideways stores it: what is seen is enrolled, and its eyes are those of the options.
  const Image seen = to_rgb(load_image(photograph(0)));
  Image stored(seen.height, seen.width, 3);
  for (int y = 0; y < seen.height; ++y)
    for (int x = 0; x < seen.width; ++x)
      std::copy_n(seen.row(y) + 3 * x, 3, stored.row(seen.width - 1 - x) + 3 * y);
  const auto png = encode_png(stored);
  const std::string bytes(reinterpret_cast<const char*>(png.data()), png.size());
  write_bytes(dir / "turned.png", in_png(bytes, exif(6, true), false));
  write_bytes(dir / "plain.png", bytes);
  for (const Args& cut : {Args{}, Args{"--eyes", "15,20,33,20"}}) {
    const auto one = [&](const std::string& image, const std::string& out) {
      succeed("protect", protect({"--image", image, "--out", dir / out}) + world().recogniser() + cut);
      return read_bytes(dir / out);
    };
    BOOST_TEST((one(dir / "turned.png", "turned.npy") == one(photograph(0), "upright.npy")));
    BOOST_TEST((one(dir / "plain.png", "plain.npy") != one(photograph(0), "upright.npy")));
  }

  // Cut out by the eyes, at another cut, with the photograph as the reference: as the steps one by one.
  const Args eyes = world().recogniser() + Args{"--eyes", "15,20,33,20"};
  write_bytes(dir / "list", lines_of(read_bytes(world().at("z.npy.txt"))).at(5) + "\n");
  const Args listed = Args{"--list", dir / "list"} + world().images() + eyes;
  succeed("extract", listed + Args{"--out", dir / "z.npy"});
  const Args original = protect({"--objective", "original"});
  succeed("protect", original + listed + Args{"--in", dir / "z.npy", "--out", dir / "p.npy"});
  succeed("protect", original + eyes + Args{"--image", photograph(5), "--out", dir / "q.npy"});
  BOOST_TEST((read_bytes(dir / "p.npy") == read_bytes(dir / "q.npy")));
}

BOOST_AUTO_TEST_CASE(what_cannot_be_enrolled_is_refused) {
  const TempDir dir;
  const std::string folder = dir.path().string(), z = world().at("z.npy");
  const Args out{"--out", dir / "p.npy"};
  write_bytes(dir / "broken.jpg", "no picture");
  save_npy(dir / "wide.npy", Tensor::full({2, 17}, 0.1));
  save_npy(dir / "bad.npy", Tensor::full({2, ToyWorld::kDimension}, 0.1));
  refuse(folder, "protect", protect(out + Args{"--in", dir / "bad.npy"}), 1, {"bad.npy", "row 0"}, Late::yes);
  refuse(folder, "protect", protect(out + Args{"--in", dir / "wide.npy"}), 1, {"wide.npy", "[17]", "[16]"});
  refuse(folder, "protect", protect(out + Args{"--image", dir / "broken.jpg"}) + world().recogniser(), 1,
         {"broken.jpg", "nothing was written"}, Late::yes);
  const std::vector<std::pair<Args, std::vector<std::string>>> calls = {
      {out, {"--in", "--image"}},
      {out + Args{"--in", z, "--image", "a.jpg"}, {"--in", "--image"}},
      {{"--in", z}, {"--out is required"}},
      {out + Args{"--image", "a.jpg"}, {"--image", "--recogniser"}},
      {out + Args{"--in", z, "--cut", "embedding"}, {"--cut", "--image"}},
      // Once a set grew so.
      {{"--in", z, "--append", dir / "set.npy"}, {"--append", "advface-store"}},
      {{"--image", "a.jpg", "--image", "b.jpg", "--name", "anna", "--name", "ben", "--append",
        dir / "set.npy"},
       {"--append", "advface-store"}},
      {out + Args{"--image", "a.jpg", "--name", "anna"}, {"--name", "advface-store add", "--subject"}}};
  for (const auto& [call, words] : calls) refuse(folder, "protect", protect(call), 2, words);
  BOOST_TEST(succeed("protect", {"--help"}).out.find("--append") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(interrupted_or_out_of_space_the_older_file_stays) {
  const TempDir dir;
  const std::string out = dir / "p.npy", folder = dir.path().string();
  const Args call = protect({"--in", world().at("z.npy"), "--out", out, "--batch", "1"});
  write_bytes(out, "what was there");
  Surroundings around;
  around.max_file_bytes = 4096;
  refuse(folder, "protect", call, 1, {out, "writing failed"}, Late::yes, around);
  around = {};
  around.interrupt_when = dir / "report.tmp";
  refuse(folder, "protect", call + Args{"--report", dir / "report"}, 130, {"interrupted"}, Late::yes, around);
  BOOST_TEST(read_bytes(out) == "what was there");
  succeed("protect", call);
  BOOST_TEST(load_npy(out).dim(0) == ToyWorld::kPeople * ToyWorld::kPhotos);
}

namespace {

// Of six people four photographs each, with their features: images/, labels.csv and z.npy below the folder.
struct FourEach {
  FourEach() {
    succeed("faces",
            {"--out", dir / "faces", "--identities", "6", "--per-identity", "4", "--image-size", "48"});
    succeed("extract", Args{"--out", dir / "z.npy"} + images() + world().recogniser());
  }
  Args images() const { return {"--images", dir / "faces/images"}; }
  TempDir dir;
};

// The unit vector along the mean of these rows.
std::vector<float> unit_mean(const Tensor& rows, const std::vector<int64_t>& of) {
  const auto all = rows.to_vector<float>();
  const size_t d = size_t(rows.dim(1));
  std::vector<float> mean(d);
  double square = 0;
  for (size_t k = 0; k < d; ++k) {
    for (const int64_t r : of) mean[k] += all[size_t(r) * d + k];
    square += double(mean[k]) * double(mean[k]);
  }
  for (float& v : mean) v = float(double(v) / std::sqrt(square));
  return mean;
}

// The largest difference of what both hold, in any order: a permutation is none.
double apart(std::vector<float> a, std::vector<float> b) {
  std::sort(a.begin(), a.end());
  std::sort(b.begin(), b.end());
  double most = a.size() == b.size() ? 0 : 1e9;
  for (size_t k = 0; k < std::min(a.size(), b.size()); ++k)
    most = std::max(most, std::fabs(double(a[k]) - double(b[k])));
  return most;
}

}  // namespace

BOOST_AUTO_TEST_CASE(enrolled_with_several_photographs) {
  const FourEach set;
  const TempDir& dir = set.dir;
  const Args shuffle{"--protect", "shuffle"}, listed{"--in", dir / "z.npy", "--list", dir / "z.npy.txt"};
  const Tensor z = load_npy(dir / "z.npy");
  for (const int64_t most : {4, 3}) {
    succeed("protect", shuffle + listed + world().recogniser() +
                           Args{"--average", std::to_string(most % 4), "--out", dir / "p.npy", "--report",
                                dir / "r", "--json", dir / "j"});
    const Tensor p = load_npy(dir / "p.npy");
    BOOST_REQUIRE(p.dim(0) == 6);
    for (int64_t i = 0; i < 6; ++i) {
      std::vector<int64_t> mine{4 * i, 4 * i + 1, 4 * i + 2, 4 * i + 3};
      mine.resize(size_t(most));
      BOOST_TEST(apart(p.slice_batch(i, i + 1).to_vector<float>(), unit_mean(z, mine)) < 1e-6);
    }
    const auto people = lines_of(read_bytes(dir / "p.npy.csv"));
    BOOST_TEST((people.size() == 7 && people[0] == "person,photographs"));
    BOOST_TEST(people[1] == "id_000000," + std::to_string(most));
    const json line = json::parse(lines_of(read_bytes(dir / "r"))[5]), result = read_json(dir / "j");
    BOOST_TEST((line["person"] == "id_000005" && line["photographs"] == most));
    BOOST_TEST((result["records"] == 6 && result["photographs"] == 6 * most));
  }
  // Photographs of one person.
  Args photographs;
  for (size_t i = 4; i < 8; ++i)
    photographs =
        photographs + Args{"--image", dir / "faces/images/" + lines_of(read_bytes(dir / "z.npy.txt"))[i]};
  succeed("protect",
          shuffle + photographs + world().recogniser() + Args{"--average", "0", "--out", dir / "one.npy"});
  BOOST_TEST(apart(load_npy(dir / "one.npy").to_vector<float>(), unit_mean(z, {4, 5, 6, 7})) < 1e-6);
  BOOST_TEST(lines_of(read_bytes(dir / "one.npy.csv"))[1].ends_with(",4"));

  const Args out{"--average", "0", "--out", dir / "q.npy"};
  write_bytes(dir / "six.txt", "a/1\na/2\na/3\nb/1\nb/2\nb/3\n");
  const auto wrong = [&](const Args& args, int code, const std::vector<std::string>& words) {
    refuse(dir.path().string(), "protect", shuffle + args, code, words);
  };
  wrong(Args{"--in", dir / "z.npy"} + out, 2, {"--average needs --list"});
  wrong(Args{"--in", dir / "p.npy", "--list", dir / "z.npy.txt"} + out, 1, {"names 24 files", "6 rows"});
  wrong(Args{"--in", dir / "p.npy", "--list", dir / "six.txt"} + out, 1,
        {"protected already", "average the raw"});
  wrong(listed + Args{"--labels", dir / "none.csv"} + out, 1, {"none.csv"});
  wrong(listed + Args{"--people-out", dir / "z.npy"} + out, 2, {"--people-out", "would replace", "z.npy"});
  wrong(listed + Args{"--out", dir / "q.npy"}, 2, {"--list is for"});
}

// The audits enrol people so as well, and a photograph is never on both sides.
BOOST_AUTO_TEST_CASE(audits_of_people_enrolled_with_several_photographs) {
  const FourEach set;
  const TempDir& dir = set.dir;
  const auto file = [](int person, int photograph) {
    const std::string id = "id_00000" + std::to_string(person);
    return id + "/" + id + "_000" + std::to_string(photograph) + ".png";
  };
  std::string csv = "a,b,genuine,fold\n";
  for (int i = 0; i < 6; ++i)
    for (const bool genuine : {true, false})
      csv += file(i, 1) + "," + file(genuine ? i : (i + 1) % 6, 2) + (genuine ? ",1," : ",0,") +
             std::to_string(i % 2) + "\n";
  write_bytes(dir / "pairs.csv", csv);
  const Args pairs = Args{"recognition", "--pairs", dir / "pairs.csv"} + set.images() + world().recogniser();
  const auto recognition = [&](const Args& more) {
    succeed("evaluate", pairs + more + Args{"--json", dir / "r.json"});
    return read_json(dir / "r.json");
  };
  const json one = recognition({"--average", "1"}), plain = recognition({}),
             all = recognition({"--average", "0"});
  BOOST_TEST((one["photographs"] == 1.0 && one["operating_points"] == plain["operating_points"]));
  BOOST_TEST(all["photographs"] == 3.0);  // four, less the probe
  BOOST_TEST(all["operating_points"] != plain["operating_points"]);
  BOOST_TEST(recognition({"--average", "2", "--protect", "noise", "--noise-length", "0.1"})["photographs"] ==
             2.0);
  const std::string folder = dir.path().string();
  refuse(folder, "evaluate", pairs + Args{"--average", "2", "--side", "both"}, 2,
         {"--average is for the gallery"});
  refuse(folder, "evaluate", pairs + Args{"--average", "-1"}, 2, {"--average"});

  const Args inversion =
      Args{"reconstruction", "--attacker", "inversion:steps=2", "--sets", "raw", "--limit", "8",
           "--json",         dir / "j"} +
      world().recogniser();
  succeed("evaluate", inversion + world().images());
  std::filesystem::rename(dir / "j", dir / "t.json");
  const auto rows = [&](const Args& more) {
    succeed("evaluate", inversion + set.images() + Args{"--thresholds", dir / "t.json"} + more);
    return read_json(dir / "j")["rows"];
  };
  const json as_before = rows({});
  BOOST_TEST(rows({"--average", "1"}) == as_before);
  BOOST_TEST(rows({"--average", "0"}) != as_before);
  // What is protected here is called as one likes.
  const json named = rows({"--average", "0", "--protect", "noise", "--noise-length", "0.2", "--sets",
                           "protected", "--called", "few", "--sheet", dir / "s.png", "--sheet-plain"});
  BOOST_TEST(std::any_of(named.begin(), named.end(),
                         [](const json& row) { return row["features"] == "protected, few"; }));
  refuse(folder, "evaluate",
         inversion + set.images() + Args{"--thresholds", dir / "t.json", "--called", "few"}, 2, {"--called"});
}
