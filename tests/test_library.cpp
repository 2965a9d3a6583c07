// The library through its C interface: the bits of the code below it, and every way to call it wrongly, which
// ends with an error object and never with the host.
#define BOOST_TEST_MODULE library
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "advface/protections/protection_chain.h"
#include "library_test_util.h"

using namespace advf;
using namespace advf::test;

// The layout of what callers compile in (docs/library.md, "What may change when").
static_assert(sizeof(advface_array) == 120 && offsetof(advface_array, shape) == 32);
static_assert(offsetof(advface_array, read_only) == 112);
static_assert(sizeof(advface_control) == 24 && sizeof(advface_setting) == 16);
static_assert(sizeof(advface_space) == 72 && sizeof(advface_cut) == 56);
static_assert(sizeof(advface_face) == 184 && sizeof(advface_report) == 64);

namespace {

// What the code below the library makes of the same, without it.
std::vector<float> protected_below(const ProtectionRequest& request, std::vector<float> features,
                                   const Recogniser* recogniser) {
  ProtectionInput input;
  input.space = {{kToyDim}, FeatureDomain::sphere, false};
  input.what = "the features";
  if (recogniser) input = input_of(*recogniser, "e", "the features");
  input.to_keep = true;
  ProtectionChain chain(request.specs(1), input);
  const int64_t n = int64_t(features.size()) / kToyDim;
  const FeatureRows rows =
      protected_rows(chain, Tensor::from(features, {n, kToyDim}), {}, {}, int64_t(1) << 20, {});
  return rows.range(0, n).to_vector<float>();
}

const char* const kSet = "000102030405060708090a0b0c0d0e0f";

}  // namespace

BOOST_AUTO_TEST_CASE(protections_give_the_bits_of_the_code_below) {
  const LibraryWorld& world = library_world();
  const auto recogniser = toy_handle();
  const Recogniser below = Recogniser::load(world.at("toy.json"));
  const TempDir dir;
  const std::string key = dir / "key", shadow = world.at("e.safetensors");
  Key::fresh().write_new(key);
  const std::vector<ProtectionRequest> requests{
      {{"noise"}, {{"noise_length", {"0.3"}}}},
      {{"rotation"}, {{"key", {key}}, {"key_set", {kSet}}}},
      {{"rotation"}, {{"key", {key}}, {"key_set", {kSet}}, {"key_mode", {"per-set"}}}},
      {{"noise", "quantise"}, {{"noise_length", {"0.3"}}, {"bits", {"4"}}}},
      {{}, {{"shadow", {shadow}}, {"epsilon", {"0.2"}}, {"steps", {"3"}}}},
  };
  std::vector<float> features = LibraryWorld::features(300);  // more than one call below takes
  for (const ProtectionRequest& request : requests) {
    SettingList settings;
    for (const std::string& name : request.names) settings.push_back({"protect", name.c_str()});
    for (const auto& [name, texts] : request.settings) settings.push_back({name.c_str(), texts[0].c_str()});
    const auto protection = protection_handle(space_of(recogniser), settings);
    const std::vector<float> expected = protected_below(request, features, &below);
    BOOST_TEST((protect_all(protection.get(), features) == expected));
    // In place.
    std::vector<float> same = features;
    const std::vector<int64_t> numbers = counted(300);
    const advface_array records = view(numbers, {300});
    advface_array in = view(same, {300, kToyDim}), out = in;
    if (expected.size() != features.size()) continue;
    works([&](advface_error** e) {
      return advface_protect(protection.get(), &in, &records, nullptr, &out, nullptr, e);
    });
    BOOST_TEST((same == expected));
  }
}

BOOST_AUTO_TEST_CASE(what_is_described_is_made_again) {
  const TempDir dir;
  const auto key = made<advface_key>(
      advface_key_free, [&](auto** h, auto** e) { return advface_key_new((dir / "key").c_str(), h, e); });
  const auto other = made<advface_key>(
      advface_key_free, [&](auto** h, auto** e) { return advface_key_new((dir / "other").c_str(), h, e); });
  const SettingList rotation{{"protect", "rotation"}};
  const auto protection = protection_handle(toy_space(), rotation, key.get());
  const std::string description =
      text_from([&](auto... rest) { return advface_protection_describe(protection.get(), rest...); });
  const auto json = nlohmann::json::parse(description);
  BOOST_TEST(json["needs_key"] == true);
  BOOST_TEST(json["proved"]["without_key"] == "nothing");
  const auto again = protection_handle(toy_space(), {}, key.get(), description.c_str());
  std::vector<float> features = LibraryWorld::features(9);
  const std::vector<float> stored = protect_all(protection.get(), features);
  BOOST_TEST((protect_all(again.get(), features) == stored));
  BOOST_TEST((protect_all(protection_handle(toy_space(), rotation, key.get()).get(), features) != stored));
  const auto make = [&](const advface_space& space, const SettingList& settings, const advface_key* k,
                        const char* text) {
    return [=](advface_error** e) {
      advface_protection* unused = nullptr;
      return advface_protection_make(&space, settings.data(), settings.size(), k, text, nullptr, &unused, e);
    };
  };
  const char* text = description.c_str();
  is_refused(make(toy_space(), {}, other.get(), text), ADVFACE_FAILED, {"wrong key"});
  is_refused(make(toy_space(), {}, nullptr, text), ADVFACE_INVALID_ARGUMENT, {"--key"});
  is_refused(make(toy_space(), rotation, key.get(), text), ADVFACE_INVALID_ARGUMENT, {"described"});
  is_refused(make(toy_space(), {{"key-mode", "per-set"}}, key.get(), text), ADVFACE_INVALID_ARGUMENT,
             {"key_mode", "no file"});
  is_refused(make(toy_space(), {}, key.get(), "{"), ADVFACE_INVALID_ARGUMENT, {"no JSON"});
  is_refused(make(toy_space(), {}, key.get(), "[]"), ADVFACE_INVALID_ARGUMENT, {"nothing protects"});
  is_refused(make(toy_space(), {{"protect", "rotatoin"}}, key.get(), nullptr), ADVFACE_INVALID_ARGUMENT,
             {"rotatoin", "rotation"});
  is_refused(make(toy_space(), {{"protect", "noise"}, {"nose-length", "1"}}, nullptr, nullptr),
             ADVFACE_INVALID_ARGUMENT, {"nose_length", "noise_length"});
  is_refused(make(toy_space(), {{"protect", "noise"}, {"noise-length", "1"}, {"noise-length", "2"}}, nullptr,
                  nullptr),
             ADVFACE_INVALID_ARGUMENT, {"2 times"});
  is_refused(make(toy_space(), {{"protect", "noise"}}, key.get(), nullptr), ADVFACE_INVALID_ARGUMENT,
             {"--key", "noise"});
  is_refused(make(toy_space(), {{"protect", nullptr}}, nullptr, nullptr), ADVFACE_INVALID_ARGUMENT, {"NULL"});
  is_refused(make(toy_space(), {{"protect", "\xff"}}, nullptr, nullptr), ADVFACE_INVALID_ARGUMENT, {"UTF-8"});
  is_refused(make(toy_space(), {}, nullptr, nullptr), ADVFACE_INVALID_ARGUMENT, {"protect"});
  advface_space space = toy_space();
  space.size = 8;
  is_refused(make(space, rotation, key.get(), nullptr), ADVFACE_INVALID_ARGUMENT,
             {"advface_space", "sizeof"});
  for (const int64_t d : {int64_t(0), int64_t(-5), int64_t(1) << 40})
    is_refused(make(toy_space(d), rotation, key.get(), nullptr), ADVFACE_INVALID_ARGUMENT, {"dimension 0"});
}

BOOST_AUTO_TEST_CASE(faces_in_memory_give_the_bits_of_files) {
  const auto recogniser = toy_handle();
  const Recogniser below = Recogniser::load(library_world().at("toy.json"));
  constexpr int64_t n = LibraryWorld::kPhotographs, side = kToySize;
  FaceSource source = FaceSource::open(library_world().at("faces"));
  const FaceBatch batch = source.load(0, n, {}, 16);
  const std::vector<float> expected = below.features(below.preprocess(batch.images), "e").to_vector<float>();
  // As a camera has them: blue first, a fourth byte, rows padded, upside down in memory.
  constexpr int64_t stride = side * 4 + 24;
  std::vector<uint8_t> frames(size_t(n * side * stride), 77);
  std::vector<float> floats(size_t(n * side * side * 3));
  for (int64_t i = 0; i < n; ++i) {
    const Image image = LibraryWorld::photograph(i);
    for (int64_t y = 0; y < side; ++y)
      for (int64_t x = 0; x < side; ++x)
        for (int64_t c = 0; c < 3; ++c) {
          const uint8_t v = image.row(int(y))[3 * x + c];
          frames[size_t((i * side + side - 1 - y) * stride + x * 4 + 2 - c)] = v;
          floats[size_t(((i * side + y) * side + x) * 3 + c)] = float(v) / 255;
        }
  }
  advface_array pixels = view(frames, {n, side, side, 4});
  pixels.strides[0] = side * stride;
  pixels.strides[1] = -stride;
  pixels.offset = uint64_t((side - 1) * stride);
  const auto extract = [&](const advface_array& from, int32_t colours) {
    std::vector<float> out(size_t(n * kToyDim));
    advface_array features = view(out, {n, kToyDim});
    works([&](advface_error** e) {
      return advface_extract_faces(recogniser.get(), nullptr, &from, colours, nullptr, &features, e);
    });
    return out;
  };
  BOOST_TEST((extract(pixels, ADVFACE_BGRA) == expected));
  BOOST_TEST((extract(pixels, ADVFACE_RGBA) != expected));
  const std::vector<float> of_floats = extract(view(floats, {n, side, side, 3}), ADVFACE_RGB);
  for (size_t i = 0; i < expected.size(); ++i) BOOST_TEST(std::abs(of_floats[i] - expected[i]) < 1e-2);
  // The whole picture as one place for all: the eyes where the template has them.
  std::vector<advface_array> frame(size_t(n), pixels);
  for (int64_t i = 0; i < n; ++i) {
    advface_array& f = frame[size_t(i)];
    f.rank = 3;
    f.offset += uint64_t(i * side * stride);
    for (int d = 0; d < 3; ++d) f.shape[d] = pixels.shape[d + 1], f.strides[d] = pixels.strides[d + 1];
  }
  const std::vector<Point> eyes = below.card().crop.in_crop();
  advface_cut how = {};
  how.size = sizeof how;
  for (int p = 0; p < 2; ++p) {
    how.eyes[2 * p] = float(eyes[size_t(p)].x * double(side));
    how.eyes[2 * p + 1] = float(eyes[size_t(p)].y * double(side));
  }
  std::vector<float> out(size_t(n * kToyDim));
  advface_array features = view(out, {n, kToyDim});
  works([&](advface_error** e) {
    return advface_extract_pictures(recogniser.get(), "e", frame.data(), n, ADVFACE_BGRA, &how, nullptr,
                                    &features, nullptr, e);
  });
  for (size_t i = 0; i < expected.size(); ++i) BOOST_TEST(std::abs(out[i] - expected[i]) < 1e-3);
  // A picture where that place does not fit is told, and the others are what they were.
  std::vector<uint8_t> narrow(8 * 8 * 4);
  std::vector<advface_array> mixed = frame;
  mixed[1] = view(narrow, {8, 8, 4});
  std::vector<float> again(out.size());
  std::vector<advface_face> faces(size_t(n), advface_face{});
  features = view(again, {n, kToyDim});
  const auto extract_mixed = [&](advface_face* found) {
    return [&, found](advface_error** e) {
      return advface_extract_pictures(recogniser.get(), "e", mixed.data(), n, ADVFACE_BGRA, &how, nullptr,
                                      &features, found, e);
    };
  };
  works(extract_mixed(faces.data()));
  for (int64_t i = 0; i < n; ++i) {
    BOOST_TEST(faces[size_t(i)].reason == (i == 1 ? ADVFACE_FACE_OUTSIDE : ADVFACE_FACE_OK));
    for (int64_t k = 0; k < kToyDim; ++k) {
      const size_t at = size_t(i * kToyDim + k);
      BOOST_TEST((i == 1 ? std::isnan(again[at]) : again[at] == out[at]));
    }
  }
  is_refused(extract_mixed(nullptr), ADVFACE_FAILED, {"picture 1", "outside"});
}

BOOST_AUTO_TEST_CASE(faces_are_found_in_frames) {
  const auto recogniser = toy_handle();
  const auto detector = made<advface_detector>(advface_detector_free, [](auto** h, auto** e) {
    return advface_detector_load(library_world().at("detector.json").c_str(), 0, h, e);
  });
  Image lit(120, 96, 3, 9), dark(64, 64, 3);
  light_cell(lit, 6, 5);
  for (size_t i = 0; i < lit.pixels.size(); i += 7) lit.pixels[i] = uint8_t(lit.pixels[i] | (i & 15));
  std::vector<advface_array> frames{view(lit.pixels, {96, 120, 3}), view(dark.pixels, {64, 64, 3})};
  std::vector<advface_face> faces(3);
  uint64_t count = 0;
  works([&](advface_error** e) {
    return advface_detector_find(detector.get(), &frames[0], ADVFACE_RGB, 0, faces.data(), 3, &count, e);
  });
  BOOST_REQUIRE_EQUAL(count, 1u);
  BOOST_TEST(faces[0].points == 5);
  advface_cut how = {};
  how.size = sizeof how;
  how.detector = detector.get();
  how.least_side = 10;
  std::vector<float> out(2 * kToyDim);
  advface_array features = view(out, {2, kToyDim});
  const auto extract = [&](advface_face* found) {
    return [&, found](advface_error** e) {
      return advface_extract_pictures(recogniser.get(), nullptr, frames.data(), 2, ADVFACE_RGB, &how, nullptr,
                                      &features, found, e);
    };
  };
  works(extract(faces.data()));
  BOOST_TEST(faces[0].reason == ADVFACE_FACE_OK);
  BOOST_TEST(faces[0].of == 1);
  BOOST_TEST(faces[1].reason == ADVFACE_FACE_NONE);
  BOOST_TEST(std::isfinite(out[0]));
  BOOST_TEST(std::isnan(out[kToyDim]));
  is_refused(extract(nullptr), ADVFACE_FAILED, {"picture 1", "no face"});
  // The bits of the same photograph as a file.
  const Recogniser below = Recogniser::load(library_world().at("toy.json"));
  DetectionSettings settings;
  settings.min_face = 10;
  settings.card = "detector.json";
  const auto finder = std::make_shared<const FaceFinder>(Detector::load(library_world().at("detector.json")));
  const CutResult cut = detected_cut(finder, below.card().crop, settings).cut(lit, "a.png", "a.png", 16);
  BOOST_REQUIRE_EQUAL(cut.faces, 1u);
  const auto expected = below.features(below.preprocess(Tensor::from(cut.pixels, {1, 3, 16, 16})), "e");
  BOOST_TEST((std::vector<float>(out.begin(), out.begin() + kToyDim) == expected.to_vector<float>()));
  how.choice = 9;
  is_refused(extract(nullptr), ADVFACE_INVALID_ARGUMENT, {"choice"});
}

BOOST_AUTO_TEST_CASE(decoders_reconstruct) {
  const auto decoder = made<advface_decoder>(advface_decoder_free, [](auto** h, auto** e) {
    return advface_decoder_load(library_world().at("e.safetensors").c_str(), h, e);
  });
  std::vector<float> features = LibraryWorld::features(70), images(70 * 3 * kToySize * kToySize);
  const advface_array in = view(features, {70, kToyDim});
  advface_array out = view(images, {70, 3, kToySize, kToySize});
  works([&](advface_error** e) { return advface_decoder_reconstruct(decoder.get(), &in, nullptr, &out, e); });
  const auto below = Decoder::load(library_world().at("e.safetensors"));
  BOOST_TEST((images == below->reconstruct(Tensor::from(features, {70, kToyDim})).to_vector<float>()));
  const auto told = nlohmann::json::parse(
      text_from([&](auto... rest) { return advface_decoder_describe(decoder.get(), rest...); }));
  BOOST_TEST(told["image_size"] == kToySize);
  is_refused(
      [&](advface_error** e) { return advface_decoder_reconstruct(decoder.get(), &out, nullptr, &out, e); },
      ADVFACE_INVALID_ARGUMENT, {"features"});
}

BOOST_AUTO_TEST_CASE(a_long_call_is_stopped) {
  const auto recogniser = toy_handle();
  const std::string shadow = library_world().at("e.safetensors");
  const auto protection = protection_handle(
      space_of(recogniser), {{"shadow", shadow.c_str()}, {"epsilon", "0.2"}, {"steps", "4000"}});
  std::vector<float> features = LibraryWorld::features(300), out(features.size());
  const std::vector<int64_t> numbers = counted(300);
  const advface_array in = view(features, {300, kToyDim}), records = view(numbers, {300});
  advface_array to = view(out, {300, kToyDim});
  struct Asked {
    int times = 0, most = 0;
    const advface_protection* protection = nullptr;
    advface_status within = ADVFACE_OK;
  } asked;
  advface_control control = {};
  control.size = sizeof control;
  control.user = &asked;
  const auto protect = [&](advface_error** e) {
    return advface_protect(protection.get(), &in, &records, &control, &to, nullptr, e);
  };
  control.go_on = [](void* user, int32_t* answer) {
    auto& a = *static_cast<Asked*>(user);
    *answer = ++a.times < a.most ? 1 : 0;
  };
  asked.most = 3;
  is_refused(protect, ADVFACE_INTERRUPTED, {"interrupted"});
  BOOST_TEST(asked.times == 3);
  control.go_on = [](void*, int32_t*) {};  // one that fails on its way says nothing
  is_refused(protect, ADVFACE_INTERRUPTED, {"interrupted"});
  control.go_on = [](void*, int32_t*) { throw 1; };
  is_refused(protect, ADVFACE_INTERNAL, {"callback"});
  control.go_on = [](void* user, int32_t*) {
    auto& a = *static_cast<Asked*>(user);
    int64_t shape[ADVFACE_MAX_RANK];
    int32_t rank = 0;
    a.within = advface_protection_out_shape(a.protection, shape, &rank, nullptr);
  };
  asked.protection = protection.get();
  is_refused(protect, ADVFACE_INTERRUPTED, {"interrupted"});
  BOOST_TEST(asked.within == ADVFACE_INVALID_ARGUMENT);
  control.go_on = nullptr;
  is_refused(protect, ADVFACE_INVALID_ARGUMENT, {"go_on"});
  control.size = 3;
  is_refused(protect, ADVFACE_INVALID_ARGUMENT, {"advface_control"});
}

// Scores of many records behind a lock take as long as protecting them does.
BOOST_AUTO_TEST_CASE(comparisons_are_stopped) {
  constexpr int64_t n = 100000;
  const TempDir dir;
  const auto key = made<advface_key>(
      advface_key_free, [&](auto** h, auto** e) { return advface_key_new((dir / "key").c_str(), h, e); });
  const advface_setting rotation{"protect", "rotation"};
  const auto lock = protection_handle(toy_space(), {rotation}, key.get());
  const advface_space space = toy_space();
  const auto store = made<advface_store>(advface_store_close, [&](auto** h, auto** e) {
    return advface_store_create((dir / "people.db").c_str(), nullptr, &space, &rotation, 1, key.get(),
                                nullptr, h, e);
  });
  std::vector<float> features(size_t(n * kToyDim)), out(features.size());
  for (size_t i = 0; i < features.size(); i += kToyDim) features[i] = 1;
  std::vector<double> scores(n);
  const std::vector<int64_t> numbers = counted(n);
  const advface_array in = view(std::as_const(features), {n, kToyDim}), records = view(numbers, {n}),
                      one = view(std::as_const(features), {1, kToyDim});
  advface_array to = view(out, {n, kToyDim}), values = view(scores, {n});
  const char* name = "anna";
  works(
      [&](advface_error** e) { return advface_store_add(store.get(), &one, &name, 1, nullptr, nullptr, e); });
  advface_control control = {};
  control.size = sizeof control;
  control.go_on = [](void*, int32_t*) {};
  is_refused(
      [&](advface_error** e) { return advface_turn_probe(lock.get(), &in, &records, &control, &to, e); },
      ADVFACE_INTERRUPTED, {"interrupted"});
  is_refused(
      [&](advface_error** e) { return advface_score(lock.get(), &in, &records, &in, &control, &values, e); },
      ADVFACE_INTERRUPTED, {"interrupted"});
  is_refused(
      [&](advface_error** e) {
        return advface_store_verify(store.get(), name, &in, &control, &values, nullptr, e);
      },
      ADVFACE_INTERRUPTED, {"interrupted"});
}

// The child has none of the threads: every call says so, and freeing harms nobody.
BOOST_AUTO_TEST_CASE(a_forked_process_is_told) {
  auto recogniser = toy_handle();
  const pid_t child = ::fork();
  if (child == 0) {
    advface_error* error = nullptr;
    char text[8];
    const bool right =
        advface_recogniser_describe(recogniser.get(), text, sizeof text, nullptr, &error) == ADVFACE_FORKED &&
        advface_error_code(error) == ADVFACE_FORKED && std::strstr(advface_error_text(error), "fork()") &&
        advface_recogniser_free(recogniser.get()) == ADVFACE_FORKED && advface_threads() == 0;
    advface_error_free(error);
    ::_exit(right ? 0 : 1);
  }
  int status = -1;
  BOOST_REQUIRE_EQUAL(::waitpid(child, &status, 0), child);
  BOOST_TEST(status == 0);
  works([&](advface_error** e) {
    uint64_t needed = 0;
    std::vector<char> text(65536);
    return advface_recogniser_describe(recogniser.get(), text.data(), text.size(), &needed, e);
  });
}
