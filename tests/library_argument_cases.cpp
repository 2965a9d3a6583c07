// Handles, arrays and numbers that cannot be.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "library_test_util.h"

using namespace advf;
using namespace advf::test;

namespace {

constexpr int64_t kRows = 4;

// Noise on vectors of the toy recogniser, with arrays that can be spoilt one after the other.
struct Call {
  Owned<advface_protection> protection =
      protection_handle(toy_space(), {{"protect", "noise"}, {"noise-length", "0.3"}});
  std::vector<float> features = LibraryWorld::features(kRows), out = std::vector<float>(features.size());
  std::vector<int64_t> numbers{0, 1, 2, 3};
  advface_array in = view(features, {kRows, kToyDim}), to = view(out, {kRows, kToyDim}),
                records = view(numbers, {kRows});

  Failure run() {
    return outcome_of([&](advface_error** e) {
      return advface_protect(protection.get(), &in, &records, nullptr, &to, nullptr, e);
    });
  }
};

template <class Spoil>
void spoilt(const Spoil& spoil, const std::vector<std::string>& words,
            advface_status status = ADVFACE_INVALID_ARGUMENT) {
  Call call;
  spoil(call);
  is_refused(
      [&](advface_error** e) {
        return advface_protect(call.protection.get(), &call.in, &call.records, nullptr, &call.to, nullptr, e);
      },
      status, words);
}

}  // namespace

BOOST_AUTO_TEST_CASE(arrays_that_cannot_be) {
  Call good;
  BOOST_TEST(good.run().status == ADVFACE_OK);
  spoilt([](Call& c) { c.in.data = nullptr; }, {"features", "NULL"});
  spoilt([](Call& c) { c.in.type = 77; }, {"features", "77"});
  spoilt([](Call& c) { c.in.type = ADVFACE_I64; }, {"features", "beyond"});
  spoilt([](Call& c) { c.in.rank = 0; }, {"features", "rank"});
  spoilt([](Call& c) { c.in.rank = 6; }, {"features", "rank"});
  spoilt([](Call& c) { c.in.rank = 1; }, {"features", "[4]", "[12]"});
  spoilt([](Call& c) { c.in.shape[0] = -1; }, {"features", "-1"});
  spoilt([](Call& c) { c.in.shape[1] = 11; }, {"[4,11]", "[12]"});
  spoilt([](Call& c) { c.in.bytes -= 1; }, {"features", "beyond"});
  spoilt([](Call& c) { c.in.bytes = 0; }, {"features", "beyond"});
  spoilt([](Call& c) { c.in.offset = 4; }, {"features", "beyond"});
  spoilt([](Call& c) { c.in.offset = ~uint64_t(0) - 3; }, {"features", "beyond"});
  spoilt([](Call& c) { c.in.strides[0] = std::numeric_limits<int64_t>::max(); }, {"features", "beyond"});
  spoilt([](Call& c) { c.in.strides[0] = std::numeric_limits<int64_t>::min(); }, {"features", "beyond"});
  spoilt([](Call& c) { c.in.strides[0] = -48; }, {"features", "beyond"});
  // A row over and over again is more elements than there is memory.
  spoilt([](Call& c) { c.in.strides[0] = 0, c.in.bytes = 48; }, {"overlap"});
  spoilt([](Call& c) { c.in.shape[0] = std::numeric_limits<int64_t>::max(); }, {"features", "elements"});
  spoilt([](Call& c) { c.to.shape[0] = 3; }, {"protected_rows", "[3,12]", "[4,12]"});
  spoilt([](Call& c) { c.to.type = ADVFACE_F16; }, {"protected_rows", "f16"});
  spoilt([](Call& c) { c.to.read_only = 1; }, {"protected_rows", "read_only"});
  spoilt([](Call& c) { c.to.bytes = 16; }, {"protected_rows", "beyond"});
  spoilt([](Call& c) { std::swap(c.to.strides[0], c.to.strides[1]); }, {"protected_rows", "beyond"});
  spoilt(
      [](Call& c) {
        c.out.resize(96), c.to = view(c.out, {kRows, 2 * kToyDim}), c.to.shape[1] = kToyDim;
      },
      {"protected_rows", "C order"});
  spoilt(
      [](Call& c) {
        c.to.data = c.features.data() + 6, c.to.bytes = 168, c.to.shape[0] = 3, c.in.shape[0] = 3,
        c.records.shape[0] = 3;
      },
      {"overlaps"});
  spoilt([](Call& c) { c.records.type = ADVFACE_F64; }, {"records"});
  spoilt([](Call& c) { c.records.shape[0] = 3; }, {"records", "[3]", "[4]"});
  spoilt([](Call& c) { c.numbers[2] = -7; }, {"records", "-7"});
  spoilt([](Call& c) { c.numbers[2] = 0; }, {"records", "twice"});
  Call call;
  for (const bool features : {true, false})
    is_refused(
        [&](advface_error** e) {
          return advface_protect(call.protection.get(), features ? nullptr : &call.in, &call.records, nullptr,
                                 features ? &call.to : nullptr, nullptr, e);
        },
        ADVFACE_INVALID_ARGUMENT, {features ? "features" : "protected_rows", "NULL"});
  advface_array made = advface_array_of(call.out.data(), 4, ADVFACE_F32, 9, nullptr);
  BOOST_TEST(made.rank == 9);  // told where it is used
  // Nobody asks for the error object.
  call.in.rank = 9;
  BOOST_TEST(advface_protect(call.protection.get(), &call.in, nullptr, nullptr, &call.to, nullptr, nullptr) ==
             ADVFACE_INVALID_ARGUMENT);
}

// Two calls that both begin at 0 would give two people one draw; what draws nothing needs no numbers.
BOOST_AUTO_TEST_CASE(records_that_are_not_numbered) {
  const TempDir dir;
  const auto key = made<advface_key>(
      advface_key_free, [&](auto** h, auto** e) { return advface_key_new((dir / "key").c_str(), h, e); });
  const std::string shadow = library_world().at("e.safetensors");
  const auto recogniser = toy_handle();
  struct Kind {
    SettingList settings;
    bool keyed, draws, separates;
  };
  const std::vector<Kind> kinds{
      {{{"protect", "rotation"}}, true, true, true},
      {{{"protect", "rotation"}, {"key-mode", "per-set"}}, true, false, false},
      {{{"protect", "noise"}}, false, true, false},
      {{{"protect", "quantise"}, {"protect", "noise"}}, false, true, false},
      {{{"shadow", shadow.c_str()}, {"epsilon", "0.2"}, {"steps", "2"}}, false, true, false},
      {{{"protect", "quantise"}}, false, false, false},
  };
  std::vector<float> features = LibraryWorld::features(kRows), out(features.size());
  std::vector<double> scores(kRows);
  const advface_array in = view(features, {kRows, kToyDim});
  advface_array to = view(out, {kRows, kToyDim}), values = view(scores, {kRows});
  for (const Kind& kind : kinds) {
    const auto protection =
        protection_handle(space_of(recogniser), kind.settings, kind.keyed ? key.get() : nullptr);
    const advface_protection* const p = protection.get();
    const auto told = nlohmann::json::parse(
        text_from([&](auto... rest) { return advface_protection_describe(p, rest...); }));
    BOOST_TEST(told["draws_by_record"] == kind.draws);
    const auto call = [&](bool refused, const auto& f, const char* word) {
      if (refused)
        is_refused(f, ADVFACE_INVALID_ARGUMENT, {"records", word});
      else
        works(f);
    };
    call(
        kind.draws,
        [&](advface_error** e) { return advface_protect(p, &in, nullptr, nullptr, &to, nullptr, e); },
        "a number of its own");
    call(
        kind.separates,
        [&](advface_error** e) { return advface_turn_probe(p, &in, nullptr, nullptr, &to, e); },
        "compared with");
    call(
        kind.separates,
        [&](advface_error** e) { return advface_score(p, &in, nullptr, &in, nullptr, &values, e); },
        "protected with");
  }
}

BOOST_AUTO_TEST_CASE(values_that_are_no_features) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  spoilt([&](Call& c) { c.features[13] = nan; }, {"row 1", "nan"}, ADVFACE_FAILED);
  spoilt([&](Call& c) { c.features[13] = 1 / 0.0f; }, {"row 1", "inf"}, ADVFACE_FAILED);
  spoilt([](Call& c) { c.features[30] += 1; }, {"row 2", "norm"}, ADVFACE_FAILED);
  spoilt([](Call& c) { std::fill_n(c.features.begin(), 12, 0.0f); }, {"row 0", "zero"}, ADVFACE_FAILED);
  Call call;
  call.features[5] = nan;
  const Failure f = call.run();
  BOOST_TEST(f.status == ADVFACE_FAILED);
  for (const float v : call.out) BOOST_TEST(v == 0);  // told before anything was written
}

BOOST_AUTO_TEST_CASE(every_layout_gives_the_same_bits) {
  Call call;
  const std::vector<float> plain = LibraryWorld::features(kRows);
  BOOST_TEST(call.run().status == ADVFACE_OK);
  const std::vector<float> expected = call.out;
  // Columns first; rows with gaps, at an odd address, from the last to the first.
  std::vector<float> columns(plain.size());
  std::vector<char> gaps(kRows * 60 + 1);
  for (int64_t i = 0; i < kRows; ++i)
    for (int64_t k = 0; k < kToyDim; ++k) {
      const float v = plain[size_t(i * kToyDim + k)];
      columns[size_t(k * kRows + i)] = v;
      std::memcpy(&gaps[size_t(1 + (kRows - 1 - i) * 60 + k * 4)], &v, 4);
    }
  call.in = view(columns, {kRows, kToyDim});
  call.in.strides[0] = 4;
  call.in.strides[1] = kRows * 4;
  BOOST_TEST(call.run().status == ADVFACE_OK);
  BOOST_TEST((call.out == expected));
  const int64_t shape[] = {kRows, kToyDim};
  call.in = advface_array_of(gaps.data(), gaps.size(), ADVFACE_F32, 2, shape);
  call.in.offset = 1 + (kRows - 1) * 60;
  call.in.strides[0] = -60;
  BOOST_TEST(call.run().status == ADVFACE_OK);
  BOOST_TEST((call.out == expected));
  std::vector<double> wide(plain.begin(), plain.end());
  call.in = view(wide, {kRows, kToyDim});
  BOOST_TEST(call.run().status == ADVFACE_OK);
  BOOST_TEST((call.out == expected));
  std::vector<float> none;
  call.in = view(none, {0, kToyDim});
  call.to = view(none, {0, kToyDim});
  call.records.shape[0] = 0;
  BOOST_TEST(call.run().status == ADVFACE_OK);
}

BOOST_AUTO_TEST_CASE(handles_that_cannot_be) {
  Call call;
  advface_protection* const p = call.protection.get();
  int64_t shape[ADVFACE_MAX_RANK];
  int32_t rank = 0;
  const auto ask = [&](const advface_protection* handle) {
    return [&, handle](advface_error** e) { return advface_protection_out_shape(handle, shape, &rank, e); };
  };
  is_refused(ask(nullptr), ADVFACE_INVALID_HANDLE, {"no protection", "NULL"});
  is_refused(ask(reinterpret_cast<advface_protection*>(&call)), ADVFACE_INVALID_HANDLE,
             {"no protection of this"});
  for (const uintptr_t made_up : {uintptr_t(1), ~uintptr_t(0), reinterpret_cast<uintptr_t>(p) + 0x100000})
    is_refused(ask(reinterpret_cast<advface_protection*>(made_up)), ADVFACE_INVALID_HANDLE, {"protection"});
  const auto recogniser = toy_handle();
  is_refused(ask(reinterpret_cast<advface_protection*>(recogniser.get())), ADVFACE_INVALID_HANDLE,
             {"a recogniser was given where a protection belongs"});
  BOOST_TEST(advface_recogniser_free(reinterpret_cast<advface_recogniser*>(p)) == ADVFACE_INVALID_HANDLE);
  BOOST_TEST(advface_protection_free(nullptr) == ADVFACE_OK);
  call.protection.release();
  BOOST_TEST(advface_protection_free(p) == ADVFACE_OK);
  BOOST_TEST(advface_protection_free(p) == ADVFACE_INVALID_HANDLE);
  is_refused(ask(p), ADVFACE_INVALID_HANDLE, {"freed"});
  // What it was made of may go first.
  Owned<advface_protection> of_recogniser{nullptr, advface_protection_free};
  {
    const auto short_lived = toy_handle();
    of_recogniser = protection_handle(space_of(short_lived), {{"protect", "noise"}});
  }
  std::vector<float> features = LibraryWorld::features(2);
  protect_all(of_recogniser.get(), features);
  // Error objects.
  advface_error* error = nullptr;
  advface_protection_out_shape(nullptr, shape, &rank, &error);
  advface_error_free(error);
  advface_error_free(error);
  BOOST_TEST(advface_error_code(error) == ADVFACE_INVALID_HANDLE);
  BOOST_TEST(std::string(advface_error_text(error)) == "");
  BOOST_TEST(std::string(advface_error_text(nullptr)) == "");
  BOOST_TEST(std::string(advface_error_text(reinterpret_cast<advface_error*>(recogniser.get()))) == "");
  // Where results go.
  is_refused(ask(of_recogniser.get()), ADVFACE_OK, {});
  is_refused(
      [&](advface_error** e) { return advface_protection_out_shape(of_recogniser.get(), nullptr, &rank, e); },
      ADVFACE_INVALID_ARGUMENT, {"NULL"});
  is_refused([&](advface_error** e) { return advface_recogniser_load("x.json", nullptr, e); },
             ADVFACE_INVALID_ARGUMENT, {"NULL"});
  advface_recogniser* unused = nullptr;
  for (const char* path : {static_cast<const char*>(nullptr), "", "\xff\xfe"})
    is_refused([&](advface_error** e) { return advface_recogniser_load(path, &unused, e); },
               ADVFACE_INVALID_ARGUMENT, {"card"});
  is_refused([&](advface_error** e) { return advface_recogniser_load("/nowhere/x.json", &unused, e); },
             ADVFACE_FAILED, {"/nowhere/x.json"});
  BOOST_TEST(unused == nullptr);
  is_refused([&](advface_error** e) { return advface_set_threads(-1, e); }, ADVFACE_INVALID_ARGUMENT, {"-1"});
}

BOOST_AUTO_TEST_CASE(pictures_that_cannot_be) {
  const auto recogniser = toy_handle();
  std::vector<uint8_t> pixels(2 * 10 * 10 * 3);
  std::vector<float> out(2 * kToyDim), floats(10 * 10 * 3, 2.0f);
  advface_array features = view(out, {2, kToyDim});
  const auto extract = [&](const advface_array& from, int32_t colours, const char* cut = nullptr) {
    return [&, from, colours, cut](advface_error** e) {
      return advface_extract_faces(recogniser.get(), cut, &from, colours, nullptr, &features, e);
    };
  };
  const advface_array good = view(pixels, {2, 10, 10, 3});
  is_refused(extract(good, ADVFACE_RGBA), ADVFACE_INVALID_ARGUMENT, {"3 values to a pixel"});
  is_refused(extract(good, 9), ADVFACE_INVALID_ARGUMENT, {"colours"});
  is_refused(extract(good, ADVFACE_RGB, "nothing"), ADVFACE_FAILED, {"nothing"});
  is_refused(extract(good, ADVFACE_RGB, "r"), ADVFACE_INVALID_ARGUMENT, {"features", "[2,8,8,8]"});
  advface_array small = good;
  small.bytes = 100;
  is_refused(extract(small, ADVFACE_RGB), ADVFACE_INVALID_ARGUMENT, {"beyond"});
  small = view(pixels, {2, 0, 10, 3});
  is_refused(extract(small, ADVFACE_RGB), ADVFACE_INVALID_ARGUMENT, {"10 x 0"});
  features = view(out, {1, kToyDim});
  is_refused(extract(view(floats, {1, 10, 10, 3}), ADVFACE_RGB), ADVFACE_FAILED, {"0 to 1"});
  is_refused(extract(view(pixels, {10, 10, 3}), ADVFACE_RGB), ADVFACE_INVALID_ARGUMENT, {"(N, H, W, C)"});
  advface_cut how = {};
  how.size = sizeof how;
  how.eyes[0] = 5, how.eyes[2] = 5;  // one upon the other
  const advface_array picture = view(pixels, {10, 10, 3});
  is_refused(
      [&](advface_error** e) {
        return advface_extract_pictures(recogniser.get(), nullptr, &picture, 1, ADVFACE_RGB, &how, nullptr,
                                        &features, nullptr, e);
      },
      ADVFACE_FAILED, {"eye"});
  advface_array spoilt = features;
  spoilt.rank = 1000;
  how.eyes[2] = 8;
  is_refused(
      [&](advface_error** e) {
        return advface_extract_pictures(recogniser.get(), nullptr, &picture, 1, ADVFACE_RGB, &how, nullptr,
                                        &spoilt, nullptr, e);
      },
      ADVFACE_INVALID_ARGUMENT, {"features", "rank"});
  how.eyes[2] = std::nanf("");
  is_refused(
      [&](advface_error** e) {
        return advface_extract_pictures(recogniser.get(), nullptr, &picture, 1, ADVFACE_RGB, &how, nullptr,
                                        &features, nullptr, e);
      },
      ADVFACE_INVALID_ARGUMENT, {"eyes"});
}

BOOST_AUTO_TEST_CASE(dlpack_tensors) {
  struct Tensor1 {
    void* data;
    int32_t device, device_id, ndim;
    uint8_t code, bits;
    uint16_t lanes;
    int64_t *shape, *strides;
    uint64_t byte_offset;
    void *manager, *deleter;
  };
  std::vector<float> values = LibraryWorld::features(kRows);
  int64_t shape[] = {kRows, kToyDim}, strides[] = {1, kRows}, backwards[] = {-kToyDim, 1};
  Tensor1 t = {values.data(), 1, 0, 2, 2, 32, 1, shape, nullptr, 0, nullptr, nullptr};
  advface_array a = {};
  const auto read = [&](advface_error** e) { return advface_array_from_dlpack(&t, 0, &a, e); };
  works(read);
  BOOST_TEST(a.bytes == values.size() * 4);
  BOOST_TEST(a.strides[0] == kToyDim * 4);
  Call call;
  BOOST_TEST(call.run().status == ADVFACE_OK);
  const std::vector<float> expected = call.out;
  call.in = a;
  BOOST_TEST(call.run().status == ADVFACE_OK);
  BOOST_TEST((call.out == expected));
  t.strides = strides;
  works(read);
  BOOST_TEST(a.strides[1] == kRows * 4);
  t.strides = backwards;
  t.byte_offset = (kRows - 1) * kToyDim * 4;
  works(read);
  BOOST_TEST(a.data == values.data());
  BOOST_TEST(a.offset == t.byte_offset);
  const auto spoil = [&](auto change, const char* word) {
    Tensor1 whole = t;
    change(t);
    is_refused(read, ADVFACE_INVALID_ARGUMENT, {word});
    t = whole;
  };
  int64_t vast[] = {std::numeric_limits<int64_t>::max(), 2};
  spoil([](Tensor1& x) { x.device = 2; }, "device");
  spoil([](Tensor1& x) { x.bits = 16, x.code = 4; }, "type code");
  spoil([](Tensor1& x) { x.lanes = 4; }, "lanes");
  spoil([](Tensor1& x) { x.ndim = 7; }, "rank");
  spoil([](Tensor1& x) { x.shape = nullptr; }, "rank");
  spoil([&](Tensor1& x) { x.shape = vast; }, "further");
  spoil([&](Tensor1& x) { x.strides = vast; }, "stride");
  spoil([](Tensor1& x) { x.byte_offset = ~uint64_t(0) - 48; }, "byte_offset");
  spoil([](Tensor1& x) { x.byte_offset = 0 - reinterpret_cast<uintptr_t>(x.data); }, "byte_offset");
  // Version 1 has its number in front, and the tensor behind.
  struct Versioned {
    uint32_t major, minor;
    void *manager, *deleter;
    uint64_t flags;
    Tensor1 tensor;
  } v = {1, 1, nullptr, nullptr, 0, t};
  const auto read_versioned = [&](advface_error** e) { return advface_array_from_dlpack(&v, 1, &a, e); };
  works(read_versioned);
  BOOST_TEST(a.offset == t.byte_offset);
  BOOST_TEST(!a.read_only);
  v.flags = 1;
  works(read_versioned);
  BOOST_TEST(a.read_only);
  v.tensor.data = nullptr;
  works(read_versioned);
  spoilt([&](Call& c) { c.in = a; }, {"features", "NULL"});
  v.major = 2;
  is_refused(read_versioned, ADVFACE_INVALID_ARGUMENT, {"version 2.1"});
  is_refused([&](advface_error** e) { return advface_array_from_dlpack(nullptr, 0, &a, e); },
             ADVFACE_INVALID_ARGUMENT, {"NULL"});
}

BOOST_AUTO_TEST_CASE(scores) {
  std::vector<float> stored = LibraryWorld::features(50), probes = LibraryWorld::features(50, 6);
  std::vector<double> scores(50);
  const advface_array rows = view(stored, {50, kToyDim}), raw = view(probes, {50, kToyDim});
  advface_array out = view(scores, {50});
  works([&](advface_error** e) { return advface_score(nullptr, &rows, nullptr, &raw, nullptr, &out, e); });
  for (size_t i = 0; i < 50; ++i)
    BOOST_TEST(scores[i] == cosine({&stored[i * kToyDim], kToyDim}, {&probes[i * kToyDim], kToyDim}));
  // Behind a lock, and longer vectors: the same, to rounding.
  const TempDir dir;
  const auto key = made<advface_key>(
      advface_key_free, [&](auto** h, auto** e) { return advface_key_new((dir / "key").c_str(), h, e); });
  for (const char* mode : {"per-record", "per-set"}) {
    const auto lock =
        protection_handle(toy_space(), {{"protect", "rotation"}, {"key-mode", mode}}, key.get());
    std::vector<float> locked = protect_all(lock.get(), stored);
    const advface_array turned = view(locked, {50, kToyDim});
    std::vector<double> same(50);
    std::vector<int64_t> numbers = counted(50);
    const advface_array records = view(numbers, {50});
    advface_array to = view(same, {50});
    works([&](advface_error** e) {
      return advface_score(lock.get(), &turned, &records, &raw, nullptr, &to, e);
    });
    for (size_t i = 0; i < 50; ++i) BOOST_TEST(std::abs(same[i] - scores[i]) < 1e-5);
    std::vector<int64_t> near(50 * 2), expected(50 * 2);
    std::vector<float> at(50 * 2), expected_at(50 * 2);
    const auto nearest = [&](const advface_protection* p, const advface_array& from,
                             std::vector<int64_t>& numbers, std::vector<float>& values) {
      advface_array n = view(numbers, {50, 2}), v = view(values, {50, 2});
      works([&](advface_error** e) {
        return advface_nearest(p, &from, p ? &records : nullptr, &raw, nullptr, &n, &v, e);
      });
    };
    nearest(lock.get(), turned, near, at);
    for (float& v : stored) v *= 3;  // cosines do not see it
    nearest(nullptr, rows, expected, expected_at);
    for (float& v : stored) v /= 3;
    for (size_t i = 0; i < at.size(); ++i) BOOST_TEST(std::abs(at[i] - expected_at[i]) < 1e-5);
    BOOST_TEST(near == expected);
    // A wrong number turns the probe elsewhere.
    std::fill(numbers.begin(), numbers.end(), 7);
    works([&](advface_error** e) {
      return advface_score(lock.get(), &turned, &records, &raw, nullptr, &to, e);
    });
    BOOST_TEST((std::abs(same[0] - scores[0]) > 1e-3) == (std::string(mode) == "per-record"));
  }
  const advface_array few = view(probes, {49, kToyDim});
  is_refused(
      [&](advface_error** e) { return advface_score(nullptr, &rows, nullptr, &few, nullptr, &out, e); },
      ADVFACE_INVALID_ARGUMENT, {"49", "50"});
  std::vector<int64_t> numbers(50);
  advface_array none = view(numbers, {50}), values = view(stored, {50, 1});
  is_refused(
      [&](advface_error** e) {
        return advface_nearest(nullptr, &rows, nullptr, &raw, nullptr, &none, &values, e);
      },
      ADVFACE_INVALID_ARGUMENT, {"rows", "K"});
  is_refused([&](advface_error** e) { return advface_score(nullptr, &rows, &none, &raw, nullptr, &out, e); },
             ADVFACE_INVALID_ARGUMENT, {"records"});
}
