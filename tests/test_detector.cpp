// Finding faces: decodings (also against OpenCV's, oracles/detector_oracle.py), suppression,
// alignment, warping, quality, the choice of a face, landmarks of other tools, and the network that is none.
#define BOOST_TEST_MODULE detector
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdlib>
#include <numbers>

#include "advface/core/faces.h"
#include "advface/detect/alignment.h"
#include "advface/detect/contact_sheet.h"
#include "advface/detect/decoding.h"
#include "advface/detect/detected_cut.h"
#include "advface/detect/face_list.h"
#include "advface/detect/face_quality.h"
#include "advface/detect/landmark_file.h"
#include "advface/synthetic/synthetic_scene.h"
#include "detector_test_util.h"
#include "file_test_util.h"
#include "recogniser_test_util.h"
#include "tensor/io/npy.h"
#include "tensor/parallel.h"

using namespace advf;
using namespace advf::test;

namespace {

SceneOptions oracle_scene() {
  SceneOptions o;
  o.max_roll = 15;
  o.faces = 8;
  o.least_head = 36;
  o.most_head = 80;
  return o;
}

}  // namespace

BOOST_AUTO_TEST_CASE(yunet_is_decoded_as_opencv_does) {
  if (const char* file = std::getenv("ADVF_WRITE_SCENE"))
    write_png(file, draw_scene(1, 0, oracle_scene()).image);
  const Tensor outputs = load_npy(ADVF_TEST_DATA + std::string("/detector/outputs.npy")),
               expected = load_npy(ADVF_TEST_DATA + std::string("/detector/faces.npy"));
  // 320 x 240 filled up to 320 x 256: cells of strides 8, 16, 32.
  BOOST_REQUIRE((outputs.shape() == Shape{40 * 32 + 20 * 16 + 10 * 8, 16}));
  std::vector<Face> faces;
  int64_t begin = 0;
  for (const int64_t stride : {8, 16, 32}) {
    DetectorLevel level;
    level.stride = stride;
    level.rows = 256 / stride;
    level.columns = 320 / stride;
    std::vector<float> score, object, box, points;
    for (int64_t i = begin; i < begin + level.cells(); ++i) {
      const float* v = outputs.data<float>() + 16 * i;
      score.push_back(v[0]);
      object.push_back(v[1]);
      box.insert(box.end(), v + 2, v + 6);
      points.insert(points.end(), v + 6, v + 16);
    }
    begin += level.cells();
    level.scores = score;
    level.objects = object;
    level.boxes = box;
    level.landmarks = points;
    decoding("yunet").decode(level, 0.6, faces);
  }
  BOOST_TEST(faces.size() > size_t(expected.dim(0)), "nothing was to be suppressed");
  const double worst = largest_difference(suppress(faces, 0.3), expected);
  BOOST_TEST(worst < 0.01);
  BOOST_TEST(expected.dim(0) >= 3);
}

BOOST_AUTO_TEST_CASE(yunet_end_to_end) {
  const std::string folder = models();
  if (folder.empty()) return;
  const TempDir dir;
  write_bytes(dir / "yunet.json", with(kYunetCard, "net.onnx", folder + "/yunet_2026may.onnx"));
  const Detector detector = Detector::load(dir / "yunet.json");
  // As it was drawn for the oracle: another compiler draws the same scene a little otherwise.
  const Image scene = load_image(ADVF_TEST_DATA + std::string("/detector/scene.png"));
  const Tensor expected = load_npy(ADVF_TEST_DATA + std::string("/detector/faces.npy"));
  BOOST_TEST(largest_difference(detector.find(scene), expected) < 0.5);
  for (const char* other : {"facenet_casia_160.json", "mobilefacenet_112.json"})
    refused([&] { Detector::load(folder + "/" + other); }, {other, "card of a recogniser", "--recogniser"});
  refused([&] { Recogniser::load(dir / "yunet.json"); }, {"yunet.json", "card of a detector", "--detector"});
}

BOOST_AUTO_TEST_CASE(scrfd_reads_distances_and_anchors) {
  // Two anchors a cell, 2 x 1 cells of stride 8. The third cell of four: column 1, anchor 0.
  std::vector<float> score(4, 0.1f), box(16, 0), points(40, 0);
  score[2] = 0.9f;
  const float distances[] = {1, 2, 3, 0.5f};
  std::copy_n(distances, 4, box.begin() + 8);
  for (int i = 0; i < 10; ++i) points[20 + size_t(i)] = float(i) * 0.25f;
  DetectorLevel level{8, 1, 2, 2, score, {}, box, points, 5};
  std::vector<Face> faces;
  decoding("scrfd").decode(level, 0.5, faces);
  BOOST_REQUIRE_EQUAL(faces.size(), 1u);
  const Face& f = faces[0];
  BOOST_TEST((f.x == 0 && f.y == -16 && f.width == 32 && f.height == 20));
  BOOST_TEST(
      (f.landmarks[0].x == 8 && f.landmarks[0].y == 2 && f.landmarks[4].x == 24 && f.landmarks[4].y == 18));
  box[8] = NAN;
  faces.clear();
  decoding("scrfd").decode(level, 0.5, faces);
  BOOST_TEST(faces.empty());
  refused([] { decoding("ssd"); }, {"ssd", "yunet, scrfd, retinaface"});
}

BOOST_AUTO_TEST_CASE(of_faces_found_twice_the_better_stays) {
  const auto at = [](double x, double score) { return Face{x, 0, 10, 10, score, {}}; };
  BOOST_TEST(std::abs(overlap(at(0, 1), at(5, 1)) - 1.0 / 3) < 1e-12);
  BOOST_TEST(overlap(at(0, 1), at(10, 1)) == 0);
  const std::vector<Face> kept =
      suppress({at(0, 0.5), at(1, 0.9), at(6, 0.7), at(40, 0.6), at(41, 0.6)}, 0.3);
  BOOST_REQUIRE_EQUAL(kept.size(), 2u);
  BOOST_TEST((kept[0].x == 1 && kept[1].x == 40));  // of equal score the earlier
  BOOST_TEST(suppress({at(0, 0.5), at(1, 0.9), at(6, 0.7)}, 0.34).size() == 2u);
}

BOOST_AUTO_TEST_CASE(similarity_of_least_squares) {
  // Turned, scaled and shifted points come back exactly,
  const std::vector<Point> from{{1, 2}, {5, 2}, {3, 4}, {2, 6}, {4, 6}};
  const Similarity s{1.2, 0.7, -3, 10};
  std::vector<Point> to;
  for (const Point& p : from) to.push_back({s.x(p.x, p.y), s.y(p.x, p.y)});
  const Similarity found = fit_similarity(from, to);
  BOOST_TEST(std::abs(found.a - s.a) + std::abs(found.b - s.b) + std::abs(found.tx - s.tx) +
                 std::abs(found.ty - s.ty) <
             1e-9);
  // disturbed ones with an error that no small change makes less,
  const Philox rng{3, 0};
  for (size_t i = 0; i < 5; ++i)
    to[i] = {to[i].x + double(rng.uniform(2 * i)), to[i].y + double(rng.uniform(2 * i + 1))};
  const auto error = [&](const Similarity& t) {
    double sum = 0;
    for (size_t i = 0; i < 5; ++i)
      sum += std::pow(distance(to[i], {t.x(from[i].x, from[i].y), t.y(from[i].x, from[i].y)}), 2);
    return sum;
  };
  const Similarity best = fit_similarity(from, to);
  for (const double e : {-1e-3, 1e-3})
    for (const Similarity& other : {Similarity{best.a + e, best.b, best.tx, best.ty},
                                    {best.a, best.b + e, best.tx, best.ty},
                                    {best.a, best.b, best.tx + e, best.ty},
                                    {best.a, best.b, best.tx, best.ty + e}})
      BOOST_TEST(error(other) > error(best));
  // two points are met exactly, and those that coincide are refused.
  const Similarity two = fit_similarity(std::span(from).first(2), std::span(to).first(2));
  BOOST_TEST(distance({two.x(5, 2), two.y(5, 2)}, to[1]) < 1e-9);
  refused([&] { fit_similarity(from, std::vector<Point>(5, {7, 7})); }, {"coincide"});
  refused([&] { fit_similarity(std::vector<Point>(5, {7, 7}), to); }, {"coincide"});
}

// A picture of smooth colours, as a function of the place in [0, 1] x [0, 1].
double colour_at(double x, double y, int c) { return 0.5 + 0.4 * std::sin(5 * x + c) * std::cos(4 * y - c); }

BOOST_AUTO_TEST_CASE(warping_keeps_what_is_seen) {
  constexpr int kSize = 400;
  Image image(kSize, kSize, 3);
  for (int y = 0; y < kSize; ++y)
    for (int x = 0; x < kSize; ++x)
      for (int c = 0; c < 3; ++c)
        image.row(y)[3 * x + c] =
            uint8_t(std::lround(255 * colour_at((x + 0.5) / kSize, (y + 0.5) / kSize, c)));
  for (const double scale : {0.4, 1.0, 1.7, 3.5, 6.0})
    for (const double angle : {0.0, 0.3, 2.0}) {
      constexpr int kOut = 40;
      Similarity s{scale * std::cos(angle), scale * std::sin(angle), 0, 0};
      s.tx = 200 - s.x(kOut / 2.0, kOut / 2.0);
      s.ty = 190 - s.y(kOut / 2.0, kOut / 2.0);
      std::vector<float> out(3 * kOut * kOut);
      warp_into(image, s, kOut, kOut, out.data());
      double worst = 0;
      for (int c = 0; c < 3; ++c)
        for (int y = 0; y < kOut; ++y)
          for (int x = 0; x < kOut; ++x)
            worst = std::max(
                worst, std::abs(double(out[size_t((c * kOut + y) * kOut + x)]) -
                                colour_at(s.x(x + 0.5, y + 0.5) / kSize, s.y(x + 0.5, y + 0.5) / kSize, c)));
      BOOST_TEST(worst < 0.006, "scale " << scale << ", angle " << angle << ": " << worst);
    }
  // Fine stripes become their mean where pictures shrink, and stay where they do not.
  Image stripes(256, 256, 1);
  for (int y = 0; y < 256; ++y)
    for (int x = 0; x < 256; ++x) stripes.row(y)[x] = x % 2 ? 255 : 0;
  std::vector<float> out(3 * 32 * 32);
  warp_into(stripes, {8, 0, 0, 0}, 32, 32, out.data());
  for (const float v : out) BOOST_TEST(std::abs(v - 0.5f) < 0.01f);
  warp_into(stripes, {1, 0, 0, 0}, 32, 32, out.data());
  BOOST_TEST((out[0] < 0.01f && out[1] > 0.99f));
  // Far outside the border goes on, for any numbers.
  for (const Similarity& far : {Similarity{1, 0, 1e9, -1e9}, {1e-9, 0, 0, 0}, {1e7, 0, 0, 0}})
    BOOST_CHECK_NO_THROW(warp_into(stripes, far, 32, 32, out.data()));
  refused([&] { warp_into(stripes, {0, 0, 0, 0}, 32, 32, out.data()); }, {"no size"});
  refused([&] { warp_into(stripes, {NAN, 0, 0, 0}, 32, 32, out.data()); }, {"no size"});
}

BOOST_AUTO_TEST_CASE(aligned_landmarks_lie_where_the_template_has_them) {
  const FaceTemplate wide{"arcface112", 0.25, {}};
  const std::vector<Point> wanted = wide.in_crop();
  Face face;
  const Similarity truth{0.9, -0.8, 120, 80};
  for (const Point& p : wanted)
    face.landmarks.push_back({truth.x(p.x * 160, p.y * 160), truth.y(p.x * 160, p.y * 160)});
  const Similarity five = align(face, wide, 160);
  face.landmarks.resize(2);
  const Similarity eyes = align(face, wide, 160);
  for (const Similarity& s : {five, eyes})
    BOOST_TEST(std::abs(s.a - truth.a) + std::abs(s.b - truth.b) + std::abs(s.tx - truth.tx) < 1e-9);
  const FaceTemplate own{"points", 0, {{0.3, 0.4}, {0.7, 0.4}, {0.5, 0.6}, {0.35, 0.8}, {0.65, 0.8}}};
  BOOST_TEST((own.in_crop()[1].x == 0.7));
  const FaceBox box = face_box({30, 40, 70, 40}, own);
  BOOST_TEST((std::abs(box.x0) < 1e-4f && std::abs(box.x1 - 100) < 1e-4f));
  refused([] { FaceTemplate{"oval", 0, {}}.in_crop(); }, {"oval", "arcface112"});
}

BOOST_AUTO_TEST_CASE(angles_told_by_landmarks) {
  const auto quality = [](const std::vector<Point>& points) {
    Face face;
    face.landmarks = points;
    FaceQuality q;
    estimate_angles(face, q);
    return q;
  };
  std::vector<Point> front = FaceTemplate{}.in_crop();
  BOOST_TEST(std::abs(quality(front).yaw) < 2);
  BOOST_TEST(std::abs(quality(front).pitch) < 2);
  const double turn = 0.4;
  std::vector<Point> rolled;
  for (const Point& p : front)
    rolled.push_back(
        {p.x * std::cos(turn) - p.y * std::sin(turn), p.x * std::sin(turn) + p.y * std::cos(turn)});
  BOOST_TEST(std::abs(quality(rolled).roll - quality(front).roll - turn * 180 / std::numbers::pi) < 1e-6);
  BOOST_TEST(std::abs(quality(rolled).yaw - quality(front).yaw) < 1e-6);
  front[2].x += 0.1;
  BOOST_TEST(quality(front).yaw > 20);
  front[2].y += 0.1;
  BOOST_TEST(quality(front).pitch > 15);
}

// The toy detector finds bright squares of 8 pixels, one a cell (detector_test_util.h).
BOOST_AUTO_TEST_CASE(scales_choice_and_rejections) {
  const auto finder = toy_finder();
  const auto cut = [&](const Image& image, FaceChoice choice, const std::string& name, double least = 1) {
    DetectionSettings s;
    s.choice = choice;
    s.min_face = least;
    return detected_cut(finder, FaceTemplate{}, s).cut(image, name, "folder/" + name, 32);
  };
  Image two(96, 64, 3);
  light_cell(two, 1, 3);
  light_cell(two, 5, 4);
  BOOST_TEST(finder->find(two, "a", "a").size() == 2u);
  const CutResult all = cut(two, FaceChoice::all, "two");
  BOOST_TEST((all.faces == 2u && all.found[1].number == 2 && all.found[1].of == 2 &&
              all.pixels.size() == size_t(2 * 3 * 32 * 32)));
  const CutResult central = cut(two, FaceChoice::central, "two");
  BOOST_TEST((central.faces == 1u && central.found[0].face.x == 16 && central.found[0].number == 2 &&
              central.found[0].of == 2));
  const CutResult only = cut(two, FaceChoice::only, "two");
  BOOST_TEST((only.faces == 0u && only.reason == Reason::several_faces));
  for (const char* word : {"folder/two", "2 faces", "at (", "--faces largest"})
    BOOST_TEST(only.why.find(word) != std::string::npos, only.why);
  const CutResult small = cut(two, FaceChoice::largest, "two", 500);
  BOOST_TEST((small.reason == Reason::small && small.why.find("--min-face") != std::string::npos));
  const Image none(96, 64, 3);
  const CutResult nobody = cut(none, FaceChoice::largest, "none");
  BOOST_TEST((nobody.reason == Reason::no_face && nobody.why.find("96 x 64") != std::string::npos));
  Image corner(96, 64, 3);
  light_cell(corner, 0, 0);  // whose eyes lie above the picture
  BOOST_TEST((cut(corner, FaceChoice::largest, "corner").reason == Reason::outside));
  for (const auto& [w, h] : {std::pair(1, 1), {1, 500}, {3000, 2}})
    BOOST_TEST(
        (cut(Image(w, h, 1), FaceChoice::largest, std::to_string(w) + "x" + std::to_string(h)).reason ==
         Reason::no_face));
}

BOOST_AUTO_TEST_CASE(pictures_in_a_folder) {
  const TempDir dir;
  for (int i = 0; i < 6; ++i) {
    Image image(96, 64, 3);
    if (i != 2) light_cell(image, 2 + i, 4);
    if (i == 4) light_cell(image, 2, 5);
    std::filesystem::create_directories(dir / "p");
    write_png(dir / ("p/" + std::to_string(i) + ".png"), image);
  }
  const auto finder = toy_finder();
  DetectionSettings settings;
  settings.min_face = 1;
  const FaceCut cut = detected_cut(finder, FaceTemplate{}, settings);
  FaceSource source = FaceSource::open(dir / "p");
  std::vector<float> pixels;
  for (const int threads : {1, 3}) {
    set_num_threads(threads);
    // A finder of its own, so that it looks again.
    FaceSource again = FaceSource::open(dir / "p");
    const FaceCut fresh = detected_cut(toy_finder(), FaceTemplate{}, settings);
    const auto values = again.load(0, 6, fresh, 24).images.to_vector<float>();
    BOOST_TEST((pixels.empty() || pixels == values), "other pixels with " << threads << " threads");
    pixels = values;
  }
  set_num_threads(0);
  const FaceBatch batch = source.load(0, 6, cut, 24);
  BOOST_TEST((batch.good == std::vector<int64_t>{0, 1, 3, 4, 5} && batch.found.size() == 5u));
  BOOST_REQUIRE_EQUAL(batch.broken.size(), 1u);
  BOOST_TEST((batch.broken[0].index == 2 && batch.broken[0].reason == Reason::no_face &&
              source.broken_count() == 0));
  BOOST_TEST(count_by_reason(source).at("no face") == 1);
  BOOST_TEST(left_out_summary(source) == "1 of 6 pictures are left out: 1 no face");
  BOOST_TEST(batch.found[3].of == 2);
  settings.choice = FaceChoice::all;
  const FaceBatch every = source.load(0, 6, detected_cut(finder, FaceTemplate{}, settings), 24);
  BOOST_TEST((every.good == std::vector<int64_t>{0, 1, 3, 4, 4, 5} && every.images.dim(0) == 6));
  source.set_max_rejected_share(0.1);
  refused([&] { source.load(0, 6, cut, 24); }, {"1 of 6", "no face", "10 %", "2.png"});
  BOOST_TEST(cut.key() != detected_cut(finder, FaceTemplate{"arcface112", 0.1, {}}, settings).key());
  const std::string header = face_list_header(), line = face_list_line("a.png", batch.found[0]);
  BOOST_TEST(std::count(header.begin(), header.end(), '\t') == std::count(line.begin(), line.end(), '\t'));
  // As many crops as there are fill rows below the picture.
  const std::vector<Image> thumbs(30, Image(112, 112, 3));
  const auto crowd = [&](size_t n) { return std::vector<FoundFace>(n, batch.found[0]); };
  const Image drawn = draw_faces(Image(640, 480, 3), crowd(30), thumbs);
  BOOST_TEST((drawn.width == 640 && drawn.height > 480 + 5 * 112));
  ContactSheet sheet;
  const Tensor crops = every.images.on_host();
  for (int i = 0; i < 500; ++i)
    sheet.add(crops.data<float>(), 24, "a.png", i % 2 ? &every.found[0] : nullptr);
  BOOST_TEST(sheet.draw("title").width > 500);
}

// The toy detector's faces, found once and read by a second program, that is, finder.
BOOST_AUTO_TEST_CASE(found_faces_are_kept_on_disk) {
  const TempDir dir;
  Image image(96, 64, 3);
  light_cell(image, 3, 4);
  light_cell(image, 7, 5);
  write_png(dir / "a.png", image);
  write_png(dir / "b.png", Image(96, 64, 3));
  const auto finder = [&](const std::string& cache, double enlarge = 1) {
    return std::make_unique<const FaceFinder>(
        Detector::from_bytes(parse_detector_card(kToyDetectorCard, "toy.json"), toy_detector()),
        DetectorView{{640}, enlarge}, cache);
  };
  const std::string cache = dir / "cache";
  std::vector<Face> faces = finder(cache)->find(image, "a.png", dir / "a.png");
  finder(cache)->find(Image(96, 64, 3), "b.png", dir / "b.png");
  BOOST_REQUIRE_EQUAL(faces.size(), 2u);
  // The picture that is handed over shows nobody: what comes back was kept, to the last bit.
  const std::vector<Face> kept = finder(cache)->find(Image(96, 64, 3), "a.png", dir / "a.png");
  BOOST_REQUIRE_EQUAL(kept.size(), 2u);
  BOOST_TEST((kept[1].score == faces[1].score && kept[1].x == faces[1].x &&
              kept[1].height == faces[1].height && kept[1].landmarks[4].y == faces[1].landmarks[4].y));
  BOOST_TEST(finder(cache)->find(image, "b.png", dir / "b.png").empty());
  // Another picture under the name, or another way of looking, is looked at.
  write_png(dir / "b.png", image);
  BOOST_TEST(finder(cache)->find(image, "b.png", dir / "b.png").size() == 2u);
  BOOST_TEST(finder(cache, 2)->find(Image(96, 64, 3), "a.png", dir / "a.png").empty());
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(cache)) files.push_back(entry.path().string());
  BOOST_REQUIRE_EQUAL(files.size(), 2u);
  for (const std::string& file : files) {
    const std::string good = read_bytes(file);
    survive(
        good,
        [&](const std::string& bytes) {
          write_bytes(file, bytes);
          for (const double enlarge : {1.0, 2.0}) {
            FoundFaces all(cache, finder("", enlarge)->key());
            all.get(dir / "a.png");
          }
        },
        40);
    write_bytes(file, good.substr(1));
  }
  FoundFaces headless(cache, finder("", 1)->key());
  BOOST_TEST(headless.take_damage().find("1 damaged line") != std::string::npos);
  BOOST_TEST(!headless.get(dir / "a.png"));
  std::filesystem::remove_all(cache);
  refused([&] { finder(dir / "a.png"); }, {"--cache", "a.png", "no folder"});
}

BOOST_AUTO_TEST_CASE(landmarks_of_other_tools) {
  const std::string five = "file,x1,y1,x2,y2,x3,y3,x4,y4,x5,y5\n";
  const LandmarkFile file = parse_landmarks(five + "a/b.png,10,20,30,20,20,30,12,40,28,40\n", "p.csv");
  const Face& face = file.faces.at("a/b.png").at(0);
  BOOST_TEST((face.landmarks.size() == 5u && face.landmarks[4].y == 40 && face.width > 50));
  BOOST_TEST(
      parse_landmarks("file,x1,y1,x2,y2\na.png,1,2,3.5,2\n", "p.csv").faces.at("a.png")[0].landmarks.size() ==
      2u);
  refused([&] { parse_landmarks("file,a,b\n", "p.csv"); }, {"p.csv", "file,x1,y1"});
  refused([&] { parse_landmarks(five + "a.png,1,2,3,4,5,6,7,8,9,x\n", "p.csv"); },
          {"p.csv", "a.png", "\"x\"", "coordinate"});
  refused([&] { parse_landmarks(five + "a.png,1,2,1,2,5,6,7,8,9,9\n", "p.csv"); }, {"a.png", "both eyes"});
  refused([&] { parse_landmarks(five + "../a.png,1,2,3,2,5,6,7,8,9,9\n", "p.csv"); }, {"relative"});
  refused([&] { parse_landmarks(five, "p.csv"); }, {"names no faces"});
  // Exchanged eyes would turn or mirror the crop; turned faces and those that look aside are none of that.
  const std::string two = "file,x1,y1,x2,y2\n";
  for (const std::string& text :
       {five + "a.png,30,20,10,20,20,30,12,40,28,40\n", five + "a.png,30,20,10,20,20,30,28,40,12,40\n",
        two + "a.png,30,20,10,22\n"})
    refused([&] { parse_landmarks(text, "p.csv"); }, {"p.csv: face 1, of a.png", "eyes are exchanged"});
  refused([&] { parse_landmarks(five + "a.png,10,20,30,20,20,30,28,40,12,40\n", "p.csv"); },
          {"a.png", "corners of the mouth are exchanged"});
  for (const std::string& text :
       {five + "a.png,30,40,10,40,20,30,28,20,12,20\n", five + "a.png,20,10,20,30,10,20,0,12,0,28\n",
        five + "a.png,20,20,19,22,10,30,21,40,20,41\n", two + "a.png,10,30,11,10\n"})
    BOOST_TEST(parse_landmarks(text, "p.csv").faces.size() == 1u);
  // Outside the picture.
  const auto finder = std::make_shared<const FaceFinder>(
      parse_landmarks(five + "a.png,110,20,130,20,120,30,112,40,128,40\n", "p.csv").faces, "print");
  const FaceCut cut = detected_cut(finder, FaceTemplate{}, DetectionSettings());
  const CutResult result = cut.cut(Image(64, 64, 3), "a.png", "folder/a.png", 32);
  BOOST_TEST((result.reason == Reason::outside && result.why.find("folder/a.png") != std::string::npos &&
              result.why.find("eye at (110, 20)") != std::string::npos),
             result.why);
}

BOOST_AUTO_TEST_CASE(scenes_have_the_faces_that_they_say) {
  const Scene a = draw_scene(7, 3), b = draw_scene(7, 3);
  BOOST_TEST((a.image.pixels == b.image.pixels && a.faces.size() >= 2u));
  for (const SceneFace& f : a.faces) {
    BOOST_TEST((f.face.x >= 0 && f.face.y >= 0 && f.face.x + f.face.width <= 320 &&
                f.face.y + f.face.height <= 240));
    // Whose aligned crop has skin, not ground, in its middle: it resembles what a portrait shows there.
    std::vector<float> crop(3 * 32 * 32);
    warp_into(a.image, align(f.face, {}, 32), 32, 32, crop.data());
    FaceQuality q;
    measure_crop(crop.data(), 32, q);
    estimate_angles(f.face, q);
    BOOST_TEST((q.sharpness > 0 && q.exposure > 0.02 && std::abs(q.roll) < 60));
    for (const Point& p : f.face.landmarks)
      BOOST_TEST((p.x > f.face.x - 0.2 * f.face.width && p.x < f.face.x + 1.2 * f.face.width));
  }
}

// Faces at one place, as a detector sees them in a crowd: each label has a place of its own.
BOOST_AUTO_TEST_CASE(labels_of_faces_do_not_meet) {
  FoundFace face;
  face.face.x = 300;
  face.face.y = 200;
  face.face.width = face.face.height = 40;
  face.face.score = 0.5f;
  for (Point& p : face.face.landmarks) p = {320, 220};
  const auto red = [&](size_t faces) {
    const Image drawn = draw_faces(Image(640, 480, 3), std::vector<FoundFace>(faces, face), {});
    int count = 0;
    for (size_t i = 0; i < drawn.pixels.size(); i += 3)
      count += drawn.pixels[i] == 255 && drawn.pixels[i + 1] == 60;
    return count;
  };
  const int none = red(0), label = red(2) - red(1);  // the box itself is one and the same
  BOOST_TEST(none == 0);
  BOOST_TEST(label > 100);
  for (const size_t faces : {3u, 8u}) BOOST_TEST(red(faces) - red(faces - 1) > 0.9 * label);
}
