// The programs on photographs that nobody aligned: a detector, its card and what is left out; landmarks of
// other tools; crops.
#define BOOST_TEST_MODULE cli_photographs
#include <cmath>

#include "cli_test_util.h"
#include "detector_test_util.h"
#include "tensor/io/image.h"
#include "tensor/io/npy.h"

using namespace advf;
using namespace advf::test;

namespace {

const ToyWorld& world() { return toy_world(); }

// Ten pictures for the toy detector: a face in each, but none in 03, and two in 05; 07 has one that leaves
// the picture.
class Photographs {
 public:
  Photographs() {
    write_bytes(dir_ / "toy.json", kToyDetectorCard);
    write_bytes(dir_ / "toy.onnx", toy_detector());
    for (int i = 0; i < 10; ++i) {
      Image image(96, 72, 3);
      for (size_t k = 0; k < image.pixels.size(); ++k)
        image.pixels[k] = uint8_t(k % 3 == 0 ? 0 : 40 + (7 * k + 13 * size_t(i)) % 90);
      if (i == 7) light_cell(image, 0, 0);
      if (i != 3 && i != 7) light_cell(image, 3 + i % 4, 4);
      if (i == 5) light_cell(image, 8, 5);
      std::filesystem::create_directories(images());
      write_png(images() + "/0" + std::to_string(i) + ".png", image);
    }
  }
  std::string images() const { return dir_ / "photographs"; }
  std::string card() const { return dir_ / "toy.json"; }
  Args call() const { return {"--images", images(), "--detector", card()}; }

 private:
  TempDir dir_;
};

const Photographs& photographs() {
  static const Photographs made;
  return made;
}

std::vector<std::string> fields(const std::string& line) {
  std::vector<std::string> out(1);
  for (const char c : line)
    if (c == '\t')
      out.emplace_back();
    else
      out.back() += c;
  return out;
}

}  // namespace

BOOST_AUTO_TEST_CASE(features_of_found_faces) {
  const TempDir dir;
  const std::string out = dir / "z.npy";
  const Args call = photographs().call() + world().recogniser();
  const Outcome o =
      succeed("extract", call + Args{"--out", out, "--sheet", dir / "sheet.png", "--json", dir / "z.json"});
  BOOST_TEST(o.out.find("2 of 10 pictures are left out: 1 no face, 1 outside") != std::string::npos, o.out);
  BOOST_TEST(o.out.find("1 picture has 1 other face") != std::string::npos, o.out);
  const auto result = read_json(dir / "z.json");
  BOOST_TEST((result["images"] == 8 && result["broken"] == 0 && result["left_out"]["no face"] == 1 &&
              result["left_out"]["outside"] == 1 && result["faces"]["found"] == 8 &&
              result["faces"]["others"] == 1));
  const auto faces = lines_of(read_bytes(out + ".tsv"));
  BOOST_REQUIRE_EQUAL(faces.size(), 9u);
  const auto header = fields(faces[0]), first = fields(faces[1]);
  BOOST_TEST((header.size() == first.size() && header[0] == "file" && header.back() == "y5" &&
              first[0] == "00.png"));
  BOOST_TEST(
      (first[3] == "0.00" && first[4] == "8.00" && first[5] == "56.00"));  // (3 - 3) * 8, (4 - 3) * 8, 7 * 8
  const auto rejected = lines_of(read_bytes(out + ".rejected.tsv"));
  BOOST_REQUIRE_EQUAL(rejected.size(), 3u);
  BOOST_TEST((rejected[1].starts_with("03.png\tno face\t") && rejected[2].starts_with("07.png\toutside\t")));
  const Image sheet = load_image(dir / "sheet.png");
  BOOST_TEST(sheet.width > 400);
  // As often as one likes, on any number of threads, whether faces were found before or not.
  for (const char* threads : {"3", "1"}) {
    succeed("extract", call + Args{"--out", dir / "again.npy", "--threads", threads, "--batch", "3",
                                   "--cache", dir / "cache"});
    BOOST_TEST(read_bytes(out) == read_bytes(dir / "again.npy"));
  }
  BOOST_TEST(std::distance(std::filesystem::directory_iterator(dir / "cache"), {}) == 1);
}

BOOST_AUTO_TEST_CASE(one_several_or_all_faces) {
  const TempDir dir;
  const Args call = photographs().call() + world().recogniser();
  const Outcome only = succeed("extract", call + Args{"--out", dir / "only.npy", "--faces", "only"});
  BOOST_TEST(only.out.find("1 several faces") != std::string::npos, only.out);
  succeed("extract", call + Args{"--out", dir / "all.npy", "--faces", "all"});
  const auto names = lines_of(read_bytes(dir / "all.npy.txt"));
  BOOST_TEST(names.size() == 9u);
  BOOST_TEST((std::find(names.begin(), names.end(), "05.png#2") != names.end()));
  // The list read back gives the same faces, in any order.
  write_bytes(dir / "back.txt", "05.png#2\n05.png\n00.png\n");
  const Args listed = call + Args{"--faces", "listed", "--list", dir / "back.txt", "--out", dir / "back.npy"};
  succeed("extract", listed);
  const auto all = load_npy(dir / "all.npy").to_vector<float>(),
             back = load_npy(dir / "back.npy").to_vector<float>();
  const auto row_of = [&](const std::string& name) {
    return (std::find(names.begin(), names.end(), name) - names.begin()) * ToyWorld::kDimension;
  };
  for (const auto& [row, name] : {std::pair(0, "05.png#2"), {1, "05.png"}, {2, "00.png"}})
    BOOST_TEST(std::equal(back.begin() + row * ToyWorld::kDimension,
                          back.begin() + (row + 1) * ToyWorld::kDimension, all.begin() + row_of(name)),
               name);
  write_bytes(dir / "back.txt", "05.png#3\n05.png\n");
  BOOST_TEST(succeed("extract", listed).out.find("1 no face") != std::string::npos);
  const Outcome small = run_program("extract", call + Args{"--out", dir / "small.npy", "--min-face", "400"});
  BOOST_TEST((small.code == 1 && small.err.find("--min-face") != std::string::npos), small.err);
  BOOST_TEST(!std::filesystem::exists(dir / "small.npy.tsv"));
  const std::string folder = dir.path().string();
  // What was left out is listed before too much of it ends the run.
  const Args strict = call + Args{"--out", dir / "x.npy", "--max-rejected", "0.1"};
  complain("extract", strict, run_program("extract", strict), 1,
           {photographs().images(), "2 of 10", "10 %", "03.png", dir / "x.npy.rejected.tsv"}, Late::yes);
  const auto rejected = lines_of(read_bytes(dir / "x.npy.rejected.tsv"));
  BOOST_TEST((rejected.size() == 3u && rejected[2].starts_with("07.png\toutside")));
  BOOST_TEST(!std::filesystem::exists(dir / "x.npy"));
  std::string pairs = "a,b,genuine,fold\n";
  for (const char* what : {"1,0", "0,0", "1,1", "0,1"}) pairs += std::string("03.png,07.png,") + what + "\n";
  write_bytes(dir / "pairs.csv", pairs);
  const Args asked = Args{"recognition", "--pairs", dir / "pairs.csv", "--rejected", dir / "r.tsv"} + call;
  complain("evaluate", asked, run_program("evaluate", asked), 1, {"2 of 2", dir / "r.tsv"}, Late::yes);
  BOOST_TEST(read_bytes(dir / "r.tsv") == read_bytes(dir / "x.npy.rejected.tsv"));
  refuse(folder, "extract", call + Args{"--out", dir / "x.npy", "--faces", "best"}, 2, {"--faces", "best"});
  refuse(folder, "extract", call + Args{"--out", dir / "x.npy", "--eyes", "1,2,3,2"}, 2,
         {"--eyes", "--detector"});
  refuse(folder, "train",
         Args{"shadow", "--out", dir / "s", "--faces", "all"} + call + ToyWorld::tiny_training(), 2,
         {"--faces all", "advface-extract"});
  refuse(
      folder, "extract",
      Args{"--images", photographs().images(), "--detector", world().at("rec.json"), "--out", dir / "x.npy"} +
          world().recogniser(),
      1, {"rec.json", "card of a recogniser"});
  refuse(
      folder, "extract",
      Args{"--images", photographs().images(), "--recogniser", photographs().card(), "--out", dir / "x.npy"},
      1, {"toy.json", "card of a detector", "--detector"});
}

// A face has one number, whatever is asked for, and one that is left out beside another is listed under it.
BOOST_AUTO_TEST_CASE(a_face_keeps_its_number) {
  const TempDir dir;
  std::filesystem::create_directories(dir / "p");
  Image image(96, 72, 3);
  light_cell(image, 0, 0);  // leaves the picture
  light_cell(image, 4, 4);
  light_cell(image, 8, 5);
  write_png(dir / "p/a.png", image);
  const Args call = Args{"--images", dir / "p", "--detector", photographs().card()} + world().recogniser();
  const Outcome all =
      succeed("extract", call + Args{"--faces", "all", "--out", dir / "all.npy", "--json", dir / "all.json"});
  BOOST_TEST(all.out.find("left out of pictures with others: 1 face: 1 outside") != std::string::npos,
             all.out);
  BOOST_TEST(all.out.find("of 1 picture;") != std::string::npos, all.out);
  BOOST_TEST(all.out.find("other face;") == std::string::npos, all.out);
  const auto faces = read_json(dir / "all.json")["faces"];
  BOOST_TEST((faces["found"] == 2 && faces["others"] == 0 && faces["left_out"]["outside"] == 1));
  const auto names = lines_of(read_bytes(dir / "all.npy.txt")),
             rejected = lines_of(read_bytes(dir / "all.npy.rejected.tsv"));
  BOOST_TEST((names == std::vector<std::string>{"a.png#2", "a.png#3"}));
  BOOST_REQUIRE_EQUAL(rejected.size(), 2u);
  BOOST_TEST(rejected[1].starts_with("a.png#1\toutside\t"), rejected[1]);
  // The one in the middle is the second of the picture, and the name says so where one is chosen by it.
  succeed("extract",
          call + Args{"--faces", "central", "--out", dir / "central.npy", "--json", dir / "c.json"});
  BOOST_TEST((read_json(dir / "c.json")["faces"]["others"] == 2));
  const auto line = fields(lines_of(read_bytes(dir / "central.npy.tsv")).at(1));
  BOOST_TEST((line[0] == "a.png" && line[1] == "2" && line[2] == "3"));
  BOOST_TEST(read_bytes(dir / "central.npy.txt") == "a.png\n");
  const auto values = [&](const std::string& file) { return load_npy(dir / file).to_vector<float>(); };
  BOOST_TEST((load_npy(dir / "all.npy").slice_batch(0, 1).to_vector<float>() == values("central.npy")));
  write_bytes(dir / "named.txt", line[0] + "#" + line[1] + "\n");
  for (const char* choice : {"largest", "all", "listed"}) {
    succeed("extract",
            call + Args{"--faces", choice, "--list", dir / "named.txt", "--out", dir / "named.npy"});
    BOOST_TEST(values("named.npy") == values("central.npy"), choice);
    BOOST_TEST(read_bytes(dir / "named.npy.txt") == read_bytes(dir / "named.txt"), choice);
  }
  // Features of a cache know what was left out as well.
  write_png(dir / "p/b.png", image);
  write_bytes(dir / "pairs.csv",
              "a,b,genuine,fold\na.png,b.png,1,0\na.png,b.png,0,0\na.png,b.png,1,1\na.png,b.png,0,1\n");
  std::string first;
  for (int i = 0; i < 2; ++i) {
    succeed("evaluate", Args{"recognition", "--pairs", dir / "pairs.csv", "--cache", dir / "cache",
                             "--min-face", "56", "--faces", "central", "--rejected", dir / "r.tsv"} +
                            call);
    if (i == 0) first = read_bytes(dir / "r.tsv");
  }
  BOOST_TEST(read_bytes(dir / "r.tsv") == first);
}

// Lists of an earlier call do not stay beside what another has made.
BOOST_AUTO_TEST_CASE(lists_of_earlier_calls_go) {
  const TempDir dir;
  const std::string z = dir / "z.npy";
  const Args call = photographs().call() + world().recogniser() + Args{"--out", z};
  succeed("extract", call);
  BOOST_TEST(tree(dir.path().string()).size() == 5u);
  const Args whole = Args{"--images", photographs().images(), "--out", z} + world().recogniser();
  succeed("extract", whole);
  BOOST_TEST((tree(dir.path().string()) == std::vector<std::string>{"z.npy", "z.npy.json", "z.npy.txt"}));
  // Nor beside protected features; but what somebody else has put there is left alone.
  succeed("extract", call);
  write_bytes(z + ".rejected.tsv", "mine\n");
  succeed("protect", Args{"--in", world().at("z.npy"), "--out", z, "--steps", "1"} + world().shadow());
  BOOST_TEST(!std::filesystem::exists(z + ".tsv"));
  BOOST_TEST(read_bytes(z + ".rejected.tsv") == "mine\n");
}

// What is damaged in the cache is told and found anew; the picture is not to blame.
BOOST_AUTO_TEST_CASE(damaged_lines_of_found_faces) {
  const TempDir dir;
  const Args call = photographs().call() + world().recogniser() + Args{"--cache", dir / "cache"};
  succeed("extract", call + Args{"--out", dir / "a.npy"});
  const std::string file = dir / ("cache/" + tree(dir / "cache").at(0));
  const std::string good = read_bytes(file);
  for (const std::string& bad : {good.substr(0, good.rfind(';') + 3), good.substr(0, good.size() - 4) + "\n",
                                 std::string(good).replace(good.find("56 ", good.find("00.png")), 2, "57")}) {
    write_bytes(file, bad);
    const Outcome o = succeed("extract", call + Args{"--out", dir / "b.npy"});
    BOOST_TEST(o.err.find(file + ": 1 damaged line; faces are looked for anew") != std::string::npos, o.err);
    BOOST_TEST(o.err.find("left out") == std::string::npos, o.err);
    BOOST_TEST(read_bytes(dir / "a.npy") == read_bytes(dir / "b.npy"));
    BOOST_TEST(read_bytes(file) == good);
  }
}

BOOST_AUTO_TEST_CASE(enrolment_wants_one_face) {
  const TempDir dir;
  const std::string folder = dir.path().string();
  const auto enrol = [&](const std::string& picture) {
    return Args{"--image",    photographs().images() + "/" + picture,
                "--out",      dir / (picture + ".npy"),
                "--steps",    "1",
                "--detector", photographs().card()} +
           world().recogniser() + world().shadow();
  };
  refuse(folder, "protect", enrol("03.png"), 1, {"03.png", "no face", "nothing was written"}, Late::yes);
  refuse(folder, "protect", enrol("05.png"), 1, {"05.png", "2 faces", "--faces largest"}, Late::yes);
  succeed("protect", enrol("01.png"));
  succeed("protect", enrol("05.png") + Args{"--faces", "largest"});
  BOOST_TEST(load_npy(dir / "05.png.npy").dim(0) == 1);
}

BOOST_AUTO_TEST_CASE(crops_as_files) {
  const TempDir dir;
  succeed("align",
          photographs().call() + Args{"--out", dir / "crops", "--size", "48", "--json", dir / "a.json"});
  BOOST_TEST((read_json(dir / "a.json")["crops"] == 8));
  BOOST_TEST(tree(dir / "crops").size() == 8u);
  // The same crops from the landmarks that the list names, in the words of another tool.
  std::string csv = "file,x1,y1,x2,y2,x3,y3,x4,y4,x5,y5\n";
  const auto faces = lines_of(read_bytes(dir / "crops.tsv"));
  for (size_t i = 1; i < faces.size(); ++i) {
    const auto f = fields(faces[i]);
    csv += f[0];
    for (size_t k = f.size() - 10; k < f.size(); ++k) csv += "," + f[k];
    csv += "\n";
  }
  write_bytes(dir / "points.csv", csv);
  const Args images{"--images", photographs().images()};
  succeed("align", images + Args{"--landmarks", dir / "points.csv", "--out", dir / "again", "--size", "48"});
  for (const std::string& name : tree(dir / "crops")) {
    const Image a = load_image(dir / ("crops/" + name)), b = load_image(dir / ("again/" + name));
    BOOST_TEST((a.width == 48 && a.pixels == b.pixels), name);
  }
  const std::string folder = dir.path().string();
  // Landmarks of pictures that are not there, and eyes that are exchanged.
  write_bytes(dir / "more.csv", csv + "gone.png,1,2,9,2,5,6,2,9,8,9\n");
  const Outcome lost =
      succeed("align", images + Args{"--landmarks", dir / "more.csv", "--out", dir / "more", "--size", "48"});
  BOOST_TEST(lost.err.find("more.csv: 1 of its 9 pictures is not in " + photographs().images() +
                           ": gone.png") != std::string::npos,
             lost.err);
  write_bytes(dir / "swapped.csv", csv + "09.png,9,2,1,2,5,6,2,9,8,9\n");
  refuse(folder, "align", images + Args{"--landmarks", dir / "swapped.csv", "--out", dir / "new"}, 1,
         {"swapped.csv", "face 9, of 09.png", "eyes are exchanged"});
  refuse(folder, "align", photographs().call() + Args{"--out", dir / "crops"}, 1,
         {"crops", "absent or empty"});
  refuse(folder, "align", images + Args{"--out", dir / "new"}, 2, {"--detector"});
  const Args none = photographs().call() + Args{"--out", dir / "none", "--min-face", "90"};
  for (const char* most : {"0.5", "1"}) {
    complain("align", none, run_program("align", none + Args{"--max-rejected", most}), 1,
             {"none.rejected.tsv"}, Late::yes);
    BOOST_TEST(lines_of(read_bytes(dir / "none.rejected.tsv")).size() == 11u);
    BOOST_TEST(std::filesystem::remove(dir / "none.rejected.tsv"));
    BOOST_TEST(!std::filesystem::exists(dir / "none"));
  }
  write_bytes(dir / "bad.csv", "file,x1,y1,x2,y2\n01.png,1,2,x,4\n");
  // The lists beside the crops are outputs like others.
  const std::string points = read_bytes(dir / "points.csv");
  write_bytes(dir / "fresh.tsv", points);
  refuse(folder, "align", images + Args{"--landmarks", dir / "fresh.tsv", "--out", dir / "fresh"}, 2,
         {"--out would replace", "fresh.tsv", "--landmarks reads"});
  BOOST_TEST(read_bytes(dir / "fresh.tsv") == points);
  refuse(folder, "align", images + Args{"--landmarks", dir / "bad.csv", "--out", dir / "new"}, 1,
         {"bad.csv", "01.png", "\"x\""});
}

// A number behind a name says which face is meant, wherever names are read.
BOOST_AUTO_TEST_CASE(names_with_the_number_of_a_face) {
  const TempDir dir;
  const std::string folder = dir.path().string();
  const Args call = photographs().call() + world().recogniser();
  succeed("extract", call + Args{"--out", dir / "all.npy", "--faces", "all"});
  write_bytes(dir / "second.txt", "05.png#2\n");
  const Args second = Args{"--list", dir / "second.txt", "--out", dir / "second.npy"};
  succeed("extract", call + second);
  const auto names = lines_of(read_bytes(dir / "all.npy.txt"));
  const Tensor all = load_npy(dir / "all.npy"), one = load_npy(dir / "second.npy");
  const int64_t row = std::find(names.begin(), names.end(), "05.png#2") - names.begin();
  BOOST_TEST((one.to_vector<float>() == all.slice_batch(row, row + 1).to_vector<float>()));
  // Pairs of one picture and of two of its faces.
  const auto threshold = [&](const std::string& a) {
    std::string pairs = "a,b,genuine,fold\n";
    for (int fold = 0; fold < 2; ++fold)
      for (int genuine = 0; genuine < 2; ++genuine)
        pairs += (genuine ? "00.png" : a) + ",06.png," + std::to_string(genuine) + "," +
                 std::to_string(fold) + "\n";
    write_bytes(dir / "pairs.csv", pairs);
    succeed("evaluate", Args{"recognition", "--pairs", dir / "pairs.csv", "--json", dir / "r.json"} + call);
    return read_json(dir / "r.json")["operating_points"]["1e-2"]["threshold"].get<double>();
  };
  BOOST_TEST(threshold("05.png") != threshold("05.png#2"));
  // Where nothing looks for faces, where the name is that of a file, and options without a detector.
  refuse(folder, "extract", Args{"--images", photographs().images()} + world().recogniser() + second, 1,
         {"05.png", "face 2", "--detector"}, Late::yes);
  std::filesystem::create_directories(dir / "odd");
  for (const char* name : {"odd/05.png", "odd/05.png#2"})
    std::filesystem::copy_file(photographs().images() + "/05.png", dir / name);
  refuse(folder, "extract",
         Args{"--images", dir / "odd", "--detector", photographs().card()} + world().recogniser() + second, 1,
         {"05.png#2", "rename"});
  for (const Args& alone : {Args{"--faces", "all"}, Args{"--min-face", "50"}, Args{"--detector", ""}})
    refuse(folder, "extract",
           Args{"--images", photographs().images(), "--out", dir / "no.npy"} + world().recogniser() + alone,
           2, {alone[0], "--landmarks"});
  // What a detector's card names is read, too.
  std::filesystem::copy_file(photographs().card(), dir / "toy.json");
  const std::string network =
      read_bytes(std::filesystem::path(photographs().card()).replace_extension(".onnx"));
  write_bytes(dir / "toy.onnx", network);
  const Args mine = Args{"--images", photographs().images(), "--detector", dir / "toy.json"};
  refuse(folder, "extract", mine + world().recogniser() + Args{"--out", dir / "toy.onnx"}, 2,
         {"--out would replace", "toy.onnx"});
  refuse(folder, "inspect",
         {dir / "toy.json", "--picture", photographs().images() + "/05.png", "--out", dir / "toy.onnx"}, 2,
         {"--out would replace", "toy.onnx"});
  BOOST_TEST(read_bytes(dir / "toy.onnx") == network);
}

BOOST_AUTO_TEST_CASE(a_detector_explains_itself) {
  const TempDir dir;
  const Outcome o = succeed("inspect", {photographs().card(), "--picture", photographs().images() + "/05.png",
                                        "--out", dir / "drawn.png", "--json", dir / "i.json"});
  for (const char* word : {"detector", "scrfd", "landmarks at stride 8", "2 faces", "face 2"})
    BOOST_TEST(o.out.find(word) != std::string::npos, o.out);
  const auto result = read_json(dir / "i.json");
  BOOST_TEST((result["kind"] == "detector" && result["picture"]["faces"].size() == 2u));
  BOOST_TEST(load_image(dir / "drawn.png").width == 640);
  const Outcome nobody =
      succeed("inspect", {photographs().card(), "--picture", photographs().images() + "/03.png"});
  BOOST_TEST(nobody.out.find("programs that take --detector") != std::string::npos, nobody.out);
  const std::string folder = dir.path().string();
  refuse(folder, "inspect", {world().at("rec.json"), "--picture", "x.png"}, 2,
         {"rec.json", "no card of a detector"});
  refuse(folder, "inspect", {photographs().card(), "--out", dir / "x.png"}, 2, {"--picture"});
}

// Boxes are those of the picture as a viewer shows it; one of 20,000 x 20,000 pixels is refused before it is
// decoded.
BOOST_AUTO_TEST_CASE(turned_and_huge_pictures) {
  const TempDir dir;
  const Image upright = load_image(photographs().images() + "/01.png");
  Image turned(upright.height, upright.width, 3);  // orientation 6: a viewer turns it clockwise
  for (int y = 0; y < upright.height; ++y)
    for (int x = 0; x < upright.width; ++x)
      std::copy_n(upright.row(y) + 3 * x, 3, turned.row(upright.width - 1 - x) + 3 * y);
  const std::vector<std::byte> png = encode_png(turned);
  write_bytes(dir / "p/turned.png",
              in_png({reinterpret_cast<const char*>(png.data()), png.size()}, exif(6, true), false));
  write_png(dir / "p/upright.png", upright);
  std::string huge = "P6\n20000 20000\n255\n";
  write_bytes(dir / "p/huge.ppm", huge);
  write_png(dir / "p/one.png", Image(1, 1, 3));
  const Outcome o = succeed("extract", Args{"--images", dir / "p", "--detector", photographs().card(),
                                            "--out", dir / "z.npy", "--max-broken", "0.3"} +
                                           world().recogniser());
  BOOST_TEST(o.err.find("huge.ppm: a picture of 20000 x 20000") != std::string::npos, o.err);
  const auto faces = lines_of(read_bytes(dir / "z.npy.tsv"));
  BOOST_REQUIRE_EQUAL(faces.size(), 3u);
  BOOST_TEST((faces[1].substr(faces[1].find('\t')) == faces[2].substr(faces[2].find('\t'))));
}

// With features from a cache as without, by way of another program.
BOOST_AUTO_TEST_CASE(cached_by_detector) {
  const TempDir dir;
  std::string csv = "a,b,genuine,fold\n";
  for (const auto& [a, b, genuine, fold] :
       {std::tuple("00", "04", 1, 0), {"01", "02", 0, 0}, {"05", "06", 1, 1}, {"08", "09", 0, 1}})
    csv +=
        std::string(a) + ".png," + b + ".png," + std::to_string(genuine) + "," + std::to_string(fold) + "\n";
  write_bytes(dir / "pairs.csv", csv);
  const Args call = Args{"recognition", "--pairs", dir / "pairs.csv", "--cache", dir / "cache"} +
                    photographs().call() + world().recogniser();
  succeed("evaluate", call + Args{"--json", dir / "a.json"});
  const size_t files = tree(dir / "cache").size();
  write_bytes(dir / "some.txt", "00.png\n04.png\n01.png\n");
  refuse(dir.path().string(), "evaluate", call + Args{"--list", dir / "some.txt"}, 1,
         {"some.txt does not name 02.png, which the pairs need"});
  succeed("evaluate", call + Args{"--json", dir / "b.json"});
  BOOST_TEST(tree(dir / "cache").size() == files);
  BOOST_TEST(read_json(dir / "a.json")["accuracy"] == read_json(dir / "b.json")["accuracy"]);
  succeed("evaluate", call + Args{"--min-score", "0.95"});
  BOOST_TEST(tree(dir / "cache").size() > files);
}
