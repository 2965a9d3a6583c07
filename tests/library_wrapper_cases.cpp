// advface.hpp: what it adds to the C interface.
#include <boost/test/unit_test.hpp>
#include <stdexcept>

#include "advface/networks/decoder.h"
#include "library_test_util.h"

using namespace advf;
using namespace advf::test;

namespace {

// call(): throws an advface::Error of this code, whose text has this word.
template <class Call>
void throws(const Call& call, advface_status code, const std::string& word) {
  BOOST_CHECK_EXCEPTION(call(), advface::Error, [&](const advface::Error& e) {
    BOOST_TEST(e.code() == code);
    BOOST_TEST(std::string(e.what()).find(word) != std::string::npos, e.what());
    return true;
  });
}

advface::Rows some_rows(int64_t n) { return {kToyDim, LibraryWorld::features(n)}; }

}  // namespace

// C would read another name, which may be somebody's.
BOOST_AUTO_TEST_CASE(texts_with_a_zero_are_refused) {
  const TempDir dir;
  const advface::Store store = advface::Store::create(dir / "people.db", toy_space(), {{"protect", "none"}});
  store.add(some_rows(2), {"anna", "bob"});
  const std::string zero("anna\0evil", 9);
  throws([&] { store.remove(zero); }, ADVFACE_INVALID_ARGUMENT, "behind a zero");
  throws([&] { store.verify(zero, some_rows(1)); }, ADVFACE_INVALID_ARGUMENT, "behind a zero");
  throws([&] { store.add(some_rows(1), {zero}); }, ADVFACE_INVALID_ARGUMENT, "behind a zero");
  throws(
      [&] {
        advface::Protection(toy_space(), {{"protect", std::string("noise\0x", 7)}});
      },
      ADVFACE_INVALID_ARGUMENT, "behind a zero");
  store.verify("anna", some_rows(1));  // she is there
  // A number that nobody was given is nobody's, and no damage.
  for (const int64_t number :
       {int64_t(7), (int64_t(1) << 40) - 1, int64_t(1) << 40, std::numeric_limits<int64_t>::max()}) {
    char text[8];
    uint64_t needed = 0;
    advface_error* error = nullptr;
    BOOST_TEST(advface_store_subject(store.get(), number, nullptr, text, sizeof text, &needed, &error) ==
               ADVFACE_NOT_FOUND);
    advface_error_free(error);
  }
}

// A text of any depth is an error, and no end of the stack.
BOOST_AUTO_TEST_CASE(descriptions_that_are_nested_deep) {
  for (const int levels : {65, 100, 200000}) {
    const std::string deep(size_t(levels), '['), back(size_t(levels), ']');
    BOOST_CHECK_THROW(advface::Protection(toy_space(), {}, nullptr, "{\"protection\":" + deep + back + "}"),
                      advface::Error);
  }
}

BOOST_AUTO_TEST_CASE(rows_that_are_no_whole_rows) {
  const advface::Protection noise(toy_space(), {{"protect", "noise"}});
  advface::Rows rows = some_rows(3);
  BOOST_TEST(rows.array().read_only == 0);
  BOOST_TEST(std::as_const(rows).array().read_only == 1);
  rows.values.pop_back();
  throws([&] { noise.protect(rows, 0); }, ADVFACE_INVALID_ARGUMENT, "35 values");
  rows.row = 0;
  throws([&] { noise.protect(rows, 0); }, ADVFACE_INVALID_ARGUMENT, "rows of 0");
  rows.values.clear();
  BOOST_TEST(rows.count() == 0);
  const std::vector<float> few(5);
  const advface_array beyond = view(few, {2, 3});
  BOOST_TEST(beyond.bytes == 20u);  // told where it is used
}

BOOST_AUTO_TEST_CASE(records_of_the_wrapper) {
  const TempDir dir;
  const advface::Key key = advface::Key::create(dir / "key");
  const advface::Rows rows = some_rows(6);
  const advface::Protection lock(toy_space(), {{"protect", "rotation"}}, &key),
      set(toy_space(), {{"protect", "rotation"}, {"key-mode", "per-set"}}, &key);
  throws([&] { lock.protect(rows); }, ADVFACE_INVALID_ARGUMENT, "records");
  BOOST_TEST((set.protect(rows).values == set.protect(rows, 100).values));
  const advface::Rows stored = lock.protect(rows, 7);
  throws([&] { advface::score(lock, stored, rows); }, ADVFACE_INVALID_ARGUMENT, "records");
  for (const double score : advface::score(lock, stored, rows, 7)) BOOST_TEST(std::abs(score - 1) < 1e-5);
  BOOST_TEST(std::abs(advface::score(lock, stored, rows, 8)[0] - 1) > 1e-3);
}

BOOST_AUTO_TEST_CASE(long_calls_of_the_wrapper_are_stopped) {
  const std::string shadow = library_world().at("e.safetensors");
  const advface::Recogniser recogniser = toy_handle();
  const advface::Protection slow(space_of(recogniser),
                                 {{"shadow", shadow}, {"epsilon", "0.2"}, {"steps", "100000"}});
  const advface::Rows rows = some_rows(300);
  int asked = 0;
  throws([&] { slow.protect(rows, 0, [&] { return ++asked < 3; }); }, ADVFACE_INTERRUPTED, "interrupted");
  BOOST_TEST(asked == 3);
  const advface::GoOn fails = []() -> bool { throw std::out_of_range("mine"); };
  BOOST_CHECK_EXCEPTION(slow.protect(rows, 0, fails), std::out_of_range,
                        [](const auto& e) { return std::string(e.what()) == "mine"; });
}

BOOST_AUTO_TEST_CASE(a_store_of_the_wrapper) {
  const TempDir dir;
  const advface::Key key = advface::Key::create(dir / "key");
  const advface::Rows rows = some_rows(2);
  const auto store = advface::Store::create(dir / "people.db", toy_space(), {{"protect", "rotation"}}, &key);
  const auto never = [] { return false; };
  throws([&] { store.add(rows, {"anna", "ben"}, never); }, ADVFACE_INTERRUPTED, "interrupted");
  store.add(rows, {"anna", "ben"});
  throws([&] { store.remove("ben", never); }, ADVFACE_INTERRUPTED, "interrupted");
  const advface::Rows ben{kToyDim, {rows.values.begin() + kToyDim, rows.values.end()}};
  BOOST_TEST(store.identify(ben, 1)[0].subject == "ben");
  BOOST_TEST(std::abs(store.verify("ben", ben) - 1) < 1e-5);
  const advface::Rows others{kToyDim, LibraryWorld::features(20, 77)};
  std::vector<std::string> people;
  for (int i = 0; i < 20; ++i) people.push_back("other " + std::to_string(i));
  throws([&] { store.calibrate(others, people); }, ADVFACE_FAILED, "more people");
  const double threshold = store.calibrate(others, people, 0.1);
  BOOST_TEST(threshold > -1);
  BOOST_TEST(threshold < 1);
  store.remove("ben");
  throws([&] { store.verify("ben", ben); }, ADVFACE_NOT_FOUND, "ben");
}

BOOST_AUTO_TEST_CASE(numbers_that_run_over) {
  const advface::Protection noise(toy_space(), {{"protect", "noise"}});
  for (const int64_t first : {int64_t(-1), std::numeric_limits<int64_t>::max()})
    throws([&] { noise.protect(some_rows(2), first); }, ADVFACE_INVALID_ARGUMENT, "no 2 numbers from");
  noise.protect(some_rows(1), std::numeric_limits<int64_t>::max() - 1);
}

BOOST_AUTO_TEST_CASE(probes_neighbours_and_reports_of_the_wrapper) {
  const TempDir dir;
  const advface::Key key = advface::Key::create(dir / "key");
  BOOST_TEST(key.describe().find("\"check\"") != std::string::npos);
  const advface::Rows rows = some_rows(6);
  const advface::Protection lock(toy_space(), {{"protect", "rotation"}}, &key),
      signs(toy_space(), {{"protect", "quantise"}});
  std::vector<advface_report> reports;
  const advface::Rows stored = lock.protect(rows, 7, {}, &reports);
  BOOST_REQUIRE(reports.size() == 6u);
  BOOST_TEST(reports[5].record == 12);
  const std::vector<int64_t> numbers{7, 8, 9, 10, 11, 12};
  BOOST_TEST((lock.probe(rows, numbers).values == stored.values));
  throws([&] { lock.probe(rows); }, ADVFACE_INVALID_ARGUMENT, "records");
  BOOST_TEST(signs.probe(rows).row == kToyDim);
  const auto found = advface::nearest(&lock, stored, rows, 2, numbers);
  BOOST_REQUIRE(found.size() == 6u);
  for (size_t i = 0; i < 6; ++i) {
    BOOST_REQUIRE(found[i].size() == 2u);
    BOOST_TEST(found[i][0].row == int64_t(i));
    BOOST_TEST(std::abs(found[i][0].score - 1) < 1e-5);
  }
  BOOST_TEST(advface::nearest(nullptr, rows, rows, 9)[0].size() == 6u);
  throws([&] { advface::nearest(nullptr, rows, rows, 0); }, ADVFACE_INVALID_ARGUMENT, "K from 1");
}

BOOST_AUTO_TEST_CASE(a_decoder_and_a_detector_of_the_wrapper) {
  const advface::Decoder decoder(library_world().at("e.safetensors"));
  BOOST_TEST(decoder.describe().find("image_size") != std::string::npos);
  const int64_t side = advf::Decoder::load(library_world().at("e.safetensors"))->info().spec.image_size;
  const advface::Rows images = decoder.reconstruct(some_rows(3), side);
  BOOST_TEST(images.count() == 3);
  BOOST_TEST(images.row == 3 * side * side);
  throws([&] { decoder.reconstruct(some_rows(3), side + 1); }, ADVFACE_INVALID_ARGUMENT, "images");
  const advface::Detector detector(library_world().at("detector.json"));
  const Image picture = LibraryWorld::photograph(0);
  const advface_array pixels =
      advface::frame(picture.pixels.data(), picture.width, picture.height, picture.width * 3, 3);
  const auto faces = detector.find(pixels, ADVFACE_RGB);
  for (size_t i = 0; i < faces.size(); ++i) BOOST_TEST(faces[i].of == int32_t(faces.size()));
}
