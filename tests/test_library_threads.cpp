// Eight threads on one handle: the bits of one alone, whatever the others do. ThreadSanitizer runs this suite
// as well.
#define BOOST_TEST_MODULE library_threads
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <functional>
#include <thread>

#include "library_test_util.h"

using namespace advf;
using namespace advf::test;

namespace {

constexpr int kThreads = 8, kRounds = 3;

// f(thread) on all of them at once; it returns whether all was well.
void side_by_side(const std::function<bool(int thread)>& f) {
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      for (int round = 0; round < kRounds; ++round)
        if (!f(t)) ++wrong;
    });
  for (std::thread& t : threads) t.join();
  BOOST_TEST(wrong == 0);
}

// Without Boost's checks, which are for one thread.
std::vector<float> protect_quietly(const advface_protection* protection, std::vector<float> features) {
  const int64_t n = int64_t(features.size()) / kToyDim;
  const advface_array in = array_of(features, {n, kToyDim});
  std::vector<float> out(features.size());
  advface_array to = array_of(out, {n, kToyDim});
  if (advface_protect(protection, &in, nullptr, nullptr, &to, nullptr, nullptr) != ADVFACE_OK) return {};
  return out;
}

}  // namespace

BOOST_AUTO_TEST_CASE(one_protection) {
  const auto recogniser = recogniser_handle();
  const TempDir dir;
  const auto key = made<advface_key>(
      advface_key_free, [&](auto** h, auto** e) { return advface_key_new((dir / "key").c_str(), h, e); });
  const std::string shadow = library_world().at("e.safetensors");
  const auto space = space_of(recogniser);
  const std::vector<std::pair<SettingList, const advface_key*>> all{
      {{{"protect", "rotation"}}, key.get()},
      {{{"protect", "noise"}}, nullptr},
      {{{"shadow", shadow.c_str()}, {"epsilon", "0.2"}, {"steps", "2"}}, nullptr},
  };
  for (const auto& [settings, lock] : all) {
    const auto protection = protection_handle(space, settings, lock);
    std::vector<std::vector<float>> features, expected;
    for (int t = 0; t < kThreads; ++t) {
      features.push_back(LibraryWorld::features(9, 5 + uint64_t(t)));
      expected.push_back(protect_quietly(protection.get(), features.back()));
      BOOST_REQUIRE(!expected.back().empty());
    }
    side_by_side([&, p = protection.get()](int t) {
      return protect_quietly(p, features[size_t(t)]) == expected[size_t(t)];
    });
  }
}

BOOST_AUTO_TEST_CASE(one_recogniser) {
  const auto recogniser = recogniser_handle();
  std::vector<uint8_t> pixels;
  for (int64_t i = 0; i < LibraryWorld::kPhotographs; ++i) {
    const Image image = LibraryWorld::photograph(i);
    pixels.insert(pixels.end(), image.pixels.begin(), image.pixels.end());
  }
  const auto extract = [&] {
    std::vector<float> out(LibraryWorld::kPhotographs * kToyDim);
    const advface_array in = array_of(pixels, {LibraryWorld::kPhotographs, kToySize, kToySize, 3});
    advface_array to = array_of(out, {LibraryWorld::kPhotographs, kToyDim});
    if (advface_extract_faces(recogniser.get(), nullptr, &in, ADVFACE_RGB, nullptr, &to, nullptr) !=
        ADVFACE_OK)
      return std::vector<float>();
    return out;
  };
  const std::vector<float> expected = extract();
  side_by_side([&](int) { return extract() == expected; });
}

// Some add, some look, one takes away, and handles come and go.
BOOST_AUTO_TEST_CASE(one_store) {
  const TempDir dir;
  const auto key = made<advface_key>(
      advface_key_free, [&](auto** h, auto** e) { return advface_key_new((dir / "key").c_str(), h, e); });
  const advface_space space = toy_space();
  const advface_setting rotation{"protect", "rotation"};
  const auto store = made<advface_store>(advface_store_close, [&](auto** h, auto** e) {
    return advface_store_create((dir / "people.db").c_str(), nullptr, &space, &rotation, 1, key.get(), h, e);
  });
  std::vector<float> known = LibraryWorld::features(4);
  const char* names[] = {"a", "b", "c", "d"};
  const advface_array rows = array_of(known, {4, kToyDim});
  works([&](advface_error** e) {
    return advface_store_add(store.get(), &rows, names, 4, nullptr, nullptr, e);
  });
  std::atomic<int> next = 0;
  side_by_side([&](int t) {
    if (t % 4 == 0) {
      const std::string name = "new " + std::to_string(next++);
      const char* subject = name.c_str();
      std::vector<float> one = LibraryWorld::features(1, 100 + uint64_t(t));
      const advface_array row = array_of(one, {1, kToyDim});
      return advface_store_add(store.get(), &row, &subject, 1, nullptr, nullptr, nullptr) == ADVFACE_OK;
    }
    std::vector<int64_t> numbers(4);
    std::vector<float> scores(4);
    advface_array to = array_of(numbers, {4, 1}), at = array_of(scores, {4, 1});
    return advface_store_identify(store.get(), &rows, nullptr, &to, &at, nullptr, nullptr) == ADVFACE_OK &&
           numbers == std::vector<int64_t>{0, 1, 2, 3};
  });
}

BOOST_AUTO_TEST_CASE(a_handle_that_is_freed_meanwhile) {
  auto protection = protection_handle(toy_space(), {{"protect", "noise"}});
  advface_protection* const handle = protection.release();
  const std::vector<float> features = LibraryWorld::features(9);
  const std::vector<float> expected = protect_quietly(handle, features);
  std::atomic<int> freed = 0;
  side_by_side([&](int t) {
    if (t == 3 && advface_protection_free(handle) == ADVFACE_OK) ++freed;
    const std::vector<float> out = protect_quietly(handle, features);
    return out.empty() || out == expected;
  });
  BOOST_TEST(freed == 1);
}
