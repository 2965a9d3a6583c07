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
  const std::vector<int64_t> numbers = counted(n);
  const advface_array in = view(features, {n, kToyDim}), records = view(numbers, {n});
  std::vector<float> out(features.size());
  advface_array to = view(out, {n, kToyDim});
  if (advface_protect(protection, &in, &records, nullptr, &to, nullptr, nullptr) != ADVFACE_OK) return {};
  return out;
}

}  // namespace

BOOST_AUTO_TEST_CASE(one_protection) {
  const auto recogniser = toy_handle();
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

// One call at a time is in a handle with plans; who waits is asked, and another goes on.
BOOST_AUTO_TEST_CASE(who_waits_for_another_call_is_asked) {
  const auto recogniser = toy_handle();
  const std::string shadow = library_world().at("e.safetensors");
  const auto slow = protection_handle(space_of(recogniser),
                                      {{"shadow", shadow.c_str()}, {"epsilon", "0.2"}, {"steps", "100000"}});
  std::vector<float> features = LibraryWorld::features(300);
  const std::vector<int64_t> numbers = counted(300);
  const advface_array in = view(std::as_const(features), {300, kToyDim}), records = view(numbers, {300});
  std::atomic<bool> begun = false, over = false;
  const auto protect = [&](const advface_control& control) {
    std::vector<float> out(features.size());
    advface_array to = view(out, {300, kToyDim});
    return advface_protect(slow.get(), &in, &records, &control, &to, nullptr, nullptr);
  };
  using Ask = std::function<bool()>;
  const auto asking = [](const Ask& ask) {
    advface_control control = {};
    control.size = sizeof control;
    control.user = const_cast<Ask*>(&ask);
    control.go_on = [](void* user, int32_t* answer) { *answer = (*static_cast<const Ask*>(user))() ? 1 : 0; };
    return control;
  };
  const Ask until_over = [&] {
    begun = true;
    return !over;
  };
  std::atomic<advface_status> first = ADVFACE_OK;
  std::thread works_on([&] { first = protect(asking(until_over)); });
  while (!begun) std::this_thread::yield();
  int asked = 0;
  const Ask twice = [&] { return ++asked < 2; };
  BOOST_TEST(protect(asking(twice)) == ADVFACE_INTERRUPTED);
  BOOST_TEST(asked == 2);
  BOOST_TEST(first == ADVFACE_OK);  // it is still at work
  over = true;
  works_on.join();
  BOOST_TEST(first == ADVFACE_INTERRUPTED);
}

BOOST_AUTO_TEST_CASE(one_recogniser) {
  const auto recogniser = toy_handle();
  std::vector<uint8_t> pixels;
  for (int64_t i = 0; i < LibraryWorld::kPhotographs; ++i) {
    const Image image = LibraryWorld::photograph(i);
    pixels.insert(pixels.end(), image.pixels.begin(), image.pixels.end());
  }
  const auto extract = [&] {
    std::vector<float> out(LibraryWorld::kPhotographs * kToyDim);
    const advface_array in = view(pixels, {LibraryWorld::kPhotographs, kToySize, kToySize, 3});
    advface_array to = view(out, {LibraryWorld::kPhotographs, kToyDim});
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
    return advface_store_create((dir / "people.db").c_str(), nullptr, &space, &rotation, 1, key.get(),
                                nullptr, h, e);
  });
  std::vector<float> known = LibraryWorld::features(4);
  const char* names[] = {"a", "b", "c", "d"};
  const advface_array rows = view(known, {4, kToyDim});
  works([&](advface_error** e) {
    return advface_store_add(store.get(), &rows, names, 4, nullptr, nullptr, e);
  });
  std::atomic<int> next = 0;
  side_by_side([&](int t) {
    if (t % 4 == 0) {
      const std::string name = "new " + std::to_string(next++);
      const char* subject = name.c_str();
      std::vector<float> one = LibraryWorld::features(1, 100 + uint64_t(t));
      const advface_array row = view(one, {1, kToyDim});
      return advface_store_add(store.get(), &row, &subject, 1, nullptr, nullptr, nullptr) == ADVFACE_OK;
    }
    std::vector<int64_t> numbers(4);
    std::vector<float> scores(4);
    advface_array to = view(numbers, {4, 1}), at = view(scores, {4, 1});
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
