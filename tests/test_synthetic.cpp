// Procedural portraits: the same bits on any number of threads, people who differ more than their
// photographs, and files, labels and pairs that agree.
#define BOOST_TEST_MODULE synthetic
#include <unistd.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <set>

#include "advface/core/dataset.h"
#include "advface/synthetic/synthetic_faces.h"
#include "tensor/check.h"
#include "tensor/parallel.h"

using namespace advf;
namespace fs = std::filesystem;

namespace {

// A folder that is gone afterwards.
struct Folder {
  fs::path path = fs::temp_directory_path() / ("advface-synthetic-" + std::to_string(::getpid()));
  Folder() { fs::remove_all(path); }
  ~Folder() { fs::remove_all(path); }
  std::string operator/(const std::string& name) const { return (path / name).string(); }
};

std::string slurp(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<double> pixels_of(const Image& image) { return {image.pixels.begin(), image.pixels.end()}; }

std::string text_of(const Image& image) { return {image.pixels.begin(), image.pixels.end()}; }

double distance(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return std::sqrt(sum / double(a.size()));
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_photograph_depends_on_its_three_numbers_alone) {
  std::vector<Image> one(24), many(24);
  const auto render = [](std::vector<Image>& to) {
    parallel_for(int64_t(to.size()), [&](int64_t i) { to[size_t(i)] = synthetic_face(5, i / 4, i % 4, 64); });
  };
  set_num_threads(1);
  render(one);
  set_num_threads(4);
  render(many);
  set_num_threads(0);
  std::set<std::string> different;
  for (size_t i = 0; i < one.size(); ++i) {
    BOOST_TEST((one[i].pixels == many[i].pixels));
    different.insert(text_of(one[i]));
  }
  BOOST_TEST(different.size() == one.size());
  BOOST_TEST((synthetic_face(6, 0, 0, 64).pixels != one[0].pixels));
}

BOOST_AUTO_TEST_CASE(people_differ_more_than_the_photographs_of_one) {
  // The mean of a few photographs averages pose and light away: halves of one person's photographs must lie
  // nearer to each other than to those of others. This is what an embedding learns.
  constexpr int64_t kPeople = 24, kShots = 16;
  std::vector<std::vector<double>> half(2 * kPeople, std::vector<double>(32 * 32 * 3));
  parallel_for(kPeople, [&](int64_t person) {
    for (int64_t shot = 0; shot < kShots; ++shot) {
      const auto pixels = pixels_of(synthetic_face(1, person, shot, 32));
      auto& sum = half[size_t(2 * person + shot % 2)];
      for (size_t i = 0; i < sum.size(); ++i) sum[i] += pixels[i] / (kShots / 2);
    }
  });
  int nearest_is_self = 0;
  double within = 0, between = 0;
  for (size_t a = 0; a < kPeople; ++a) {
    size_t nearest = 0;
    double best = INFINITY;
    for (size_t b = 0; b < kPeople; ++b) {
      const double d = distance(half[2 * a], half[2 * b + 1]);
      if (d < best) best = d, nearest = b;
      if (a == b)
        within += d / kPeople;
      else
        between += d / (kPeople * (kPeople - 1));
    }
    nearest_is_self += nearest == a;
  }
  BOOST_TEST_MESSAGE("within " << within << ", between " << between << ", nearest is self "
                               << nearest_is_self);
  BOOST_TEST(between > 1.5 * within);
  BOOST_TEST(nearest_is_self >= 16);  // by chance: 1
}

BOOST_AUTO_TEST_CASE(every_style_renders_at_every_size) {
  FaceIdentity person = draw_face_identity(2, 3);
  const FaceShot shot = draw_face_shot(2, 3, 0, person);
  std::set<std::string> different;
  for (int hair = 0; hair < kHairStyles; ++hair)
    for (int beard = 0; beard <= int(BeardStyle::full); ++beard) {
      person.hair_style = HairStyle(hair);
      person.beard = BeardStyle(beard);
      different.insert(text_of(render_face(person, shot, 48, 0)));
    }
  BOOST_TEST(different.size() == size_t(kHairStyles) * 5);
  for (const int size : {16, 33, 160}) {
    const Image image = render_face(person, shot, size, 0);
    BOOST_TEST(image.width == size);
    BOOST_TEST(image.pixels.size() == size_t(size) * size_t(size) * 3);
  }
  BOOST_CHECK_THROW(render_face(person, shot, 15, 0), Error);
  BOOST_CHECK_THROW(render_face(person, shot, 1025, 0), Error);
  BOOST_CHECK_THROW(draw_face_identity(1, -1), Error);
  BOOST_CHECK_THROW(draw_face_shot(1, 0, -1, person), Error);
}

BOOST_AUTO_TEST_CASE(pairs_are_different_and_folds_share_no_person) {
  const auto folds = draw_face_pairs(1, 100, 30, 4, 10, 12);
  BOOST_REQUIRE(folds.size() == 10u);
  std::set<std::array<int64_t, 4>> seen;
  for (size_t f = 0; f < folds.size(); ++f) {
    BOOST_REQUIRE(folds[f].size() == 24u);
    for (size_t i = 0; i < 24; ++i) {
      const FacePair& p = folds[f][i];
      BOOST_TEST(p.genuine() == (i < 12));
      for (int64_t id : {p.identity_a, p.identity_b}) {
        BOOST_TEST(id >= 100);
        BOOST_TEST(id < 130);
        BOOST_TEST(size_t(id - 100) % 10 == f);
      }
      for (int64_t image : {p.image_a, p.image_b}) BOOST_TEST((image >= 0 && image < 4));
      if (p.genuine()) BOOST_TEST(p.image_a != p.image_b);
      std::array<std::pair<int64_t, int64_t>, 2> ends = {
          {{p.identity_a, p.image_a}, {p.identity_b, p.image_b}}};
      std::sort(ends.begin(), ends.end());
      BOOST_TEST(seen.insert({ends[0].first, ends[0].second, ends[1].first, ends[1].second}).second);
    }
  }
  // All there are: 3 people x 6 genuine pairs, 3 x 16 impostor pairs.
  BOOST_TEST(draw_face_pairs(1, 0, 30, 4, 10, 18)[0].size() == 36u);
  BOOST_CHECK_THROW(draw_face_pairs(1, 0, 30, 4, 10, 19), Error);
  BOOST_CHECK_THROW(draw_face_pairs(1, 0, 10, 4, 10, 1), Error);  // nobody to be an impostor of
}

BOOST_AUTO_TEST_CASE(a_set_on_disk_is_consistent) {
  const Folder folder;
  FaceSetOptions options{folder / "set", 5, 3, 20, 3, 32, 9};
  write_face_set(options);
  std::set<std::string> people;
  for (const std::string part : {"set", "set/test"}) {
    const Labels labels = load_labels(folder / (part + "/labels.csv"));
    BOOST_TEST(labels.size() == (part == "set" ? 15 : 60));
    BOOST_TEST(labels.attributes.size() == kFaceAttributes.size());
    size_t files = 0;
    for (const auto& entry : fs::recursive_directory_iterator(folder / (part + "/images")))
      files += entry.is_regular_file();
    BOOST_TEST(int64_t(files) == labels.size());
    std::set<std::string> here;
    for (int64_t i = 0; i < labels.size(); ++i) {
      const Image image = load_image(folder / (part + "/images/" + labels.files[size_t(i)]));
      const int64_t identity = std::stoll(labels.identities[size_t(i)]);
      BOOST_TEST((image.pixels == synthetic_face(9, identity, i % 3, 32).pixels));
      here.insert(labels.identities[size_t(i)]);
    }
    for (const std::string& person : here) BOOST_TEST(people.insert(person).second);
  }
  BOOST_TEST(people.size() == 25u);
  const std::string text = slurp(folder / "set/test/pairs.txt");
  const PairList pairs = parse_pairs(text, "pairs.txt");
  BOOST_TEST(pairs.folds == 10);
  BOOST_TEST(pairs.per_fold == 3);
  BOOST_TEST(pairs.pairs.size() == 60u);
  for (const Pair& pair : pairs.pairs)
    for (const std::string& file : {pair.a, pair.b})
      BOOST_TEST(fs::exists(fs::path(folder / ("set/test/images/" + file)).replace_extension(".png")));
  // The same again, elsewhere, on one thread.
  set_num_threads(1);
  options.out = folder / "again";
  write_face_set(options);
  set_num_threads(0);
  for (const std::string file :
       {"labels.csv", "test/labels.csv", "test/pairs.txt", "images/id_000004/id_000004_0003.png"})
    BOOST_TEST((slurp(folder / ("set/" + file)) == slurp(folder / ("again/" + file))));
}

BOOST_AUTO_TEST_CASE(bad_options_write_nothing) {
  const Folder folder;
  FaceSetOptions options{folder / "set", 2, 2, 4, 3, 32, 9};
  BOOST_CHECK_THROW(write_face_set(options), Error);  // too few people for the pairs
  BOOST_TEST(!fs::exists(folder / "set/labels.csv"));
  options.pairs = 0;
  options.size = 5;
  BOOST_CHECK_THROW(write_face_set(options), Error);
  options.size = 32;
  options.test_identities = 0;
  fs::create_directories(folder / "set");
  std::ofstream(folder / "set/notes.txt") << "mine";
  BOOST_CHECK_THROW(write_face_set(options), Error);  // not empty
  BOOST_TEST(slurp(folder / "set/notes.txt") == "mine");
}
