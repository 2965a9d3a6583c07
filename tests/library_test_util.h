// For tests of the library: toy networks as files, calls through the C interface, and the same work done by
// the code below it.
#pragma once
#include <boost/test/unit_test.hpp>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "advface/keys/key.h"
#include "advface/protections/protection_request.h"
#include "detector_test_util.h"
#include "file_test_util.h"
#include "lib/include/advface.hpp"
#include "method_test_util.h"
#include "tensor/io/image.h"
#include "tensor/io/resample.h"

namespace advf::test {

// A folder with a recogniser (toy.json), shadows of its embedding and of a map (e.safetensors,
// p.safetensors), a detector (detector.json) and photographs (faces/0.png, ...).
class LibraryWorld {
 public:
  static constexpr int64_t kPhotographs = 6;

  explicit LibraryWorld(const std::string& folder) : folder_(folder) {
    write_bytes(at("toy.json"), kToyCard);
    write_bytes(at("toy.onnx"), toy_model());
    write_bytes(at("detector.json"), with_model(kToyDetectorCard));
    write_bytes(at("detector.onnx"), toy_detector());
    const Recogniser r = Recogniser::load(at("toy.json"));
    for (const char* cut : {"e", "p"}) toy_decoder(r, cut)->save(at(std::string(cut) + ".safetensors"));
    for (int64_t i = 0; i < kPhotographs; ++i) {
      std::filesystem::create_directories(at("faces"));
      write_png(at("faces/" + std::to_string(i) + ".png"), photograph(i));
    }
  }
  std::string at(const std::string& name) const { return folder_ + "/" + name; }

  static Image photograph(int64_t i) {
    const Tensor images = toy_images(kPhotographs, 3);
    return to_image(reshape(images.slice_batch(i, i + 1), {3, kToySize, kToySize}));
  }
  // Unit vectors, as the recogniser makes of its pictures.
  static std::vector<float> features(int64_t n, uint64_t seed = 5) {
    return toy_features(toy_recogniser(), "e", n, seed).to_vector<float>();
  }

 private:
  static std::string with_model(std::string card) {
    const std::string from = "toy.onnx";
    return card.replace(card.find(from), from.size(), "detector.onnx");
  }
  std::string folder_;
};

// Made once for each test program.
inline const LibraryWorld& library_world() {
  static const TempDir dir;
  static const LibraryWorld world(dir.path().string());
  return world;
}

struct Failure {
  advface_status status = ADVFACE_OK;
  std::string text;
};

// call(error): the status that it returns and that of its error object are the same.
template <class Call>
Failure outcome_of(const Call& call) {
  advface_error* error = nullptr;
  Failure f;
  f.status = call(&error);
  BOOST_TEST((error != nullptr) == (f.status != ADVFACE_OK));
  if (error) {
    BOOST_TEST(advface_error_code(error) == f.status);
    f.text = advface_error_text(error);
    BOOST_TEST(!f.text.empty());
    advface_error_free(error);
  }
  return f;
}
template <class Call>
void works(const Call& call) {
  const Failure f = outcome_of(call);
  BOOST_REQUIRE_MESSAGE(f.status == ADVFACE_OK, "status " << f.status << ": " << f.text);
}
template <class Call>
void is_refused(const Call& call, advface_status status, const std::vector<std::string>& words) {
  const Failure f = outcome_of(call);
  BOOST_TEST(f.status == status, "status " << f.status << " (" << f.text << "), not " << status);
  for (const std::string& word : words)
    BOOST_TEST(f.text.find(word) != std::string::npos, '"' << f.text << "\" lacks \"" << word << '"');
}

// A handle that frees itself.
template <class T>
using Owned = std::unique_ptr<T, advface_status (*)(T*)>;

template <class T, class Call>
Owned<T> made(advface_status (*free)(T*), const Call& call) {
  T* handle = nullptr;
  works([&](advface_error** e) { return call(&handle, e); });
  return {handle, free};
}

using advface::space_of;
using advface::view;

inline advface::Recogniser toy_handle() { return advface::Recogniser(library_world().at("toy.json")); }
inline advface_space toy_space(int64_t dimension = kToyDim) { return advface::unit_vectors(dimension); }

// Numbers 0, 1, ... of so many records.
inline std::vector<int64_t> counted(int64_t n) {
  std::vector<int64_t> numbers(static_cast<size_t>(n));
  std::iota(numbers.begin(), numbers.end(), int64_t(0));
  return numbers;
}

using SettingList = std::vector<advface_setting>;

inline Owned<advface_protection> protection_handle(const advface_space& space, const SettingList& settings,
                                                   const advface_key* key = nullptr,
                                                   const char* described = nullptr) {
  return made<advface_protection>(advface_protection_free, [&](auto** h, auto** e) {
    return advface_protection_make(&space, settings.data(), settings.size(), key, described, nullptr, h, e);
  });
}

// call(text, bytes, needed, error)
template <class Call>
std::string text_from(const Call& call) {
  uint64_t needed = 0;
  is_refused([&](advface_error** e) { return call(nullptr, uint64_t(0), &needed, e); },
             ADVFACE_BUFFER_TOO_SMALL, {"bytes"});
  std::vector<char> text(needed);
  works([&](advface_error** e) { return call(text.data(), needed, &needed, e); });
  return text.data();
}

inline std::vector<float> protect_all(const advface_protection* protection, std::vector<float>& features,
                                      const advface_control* control = nullptr) {
  const int64_t n = int64_t(features.size()) / kToyDim;
  int64_t shape[ADVFACE_MAX_RANK];
  int32_t rank = 0;
  works([&](advface_error** e) { return advface_protection_out_shape(protection, shape, &rank, e); });
  std::vector<float> out(size_t(n * shape[0]));
  const std::vector<int64_t> numbers = counted(n);
  const advface_array in = view(features, {n, kToyDim}), records = view(numbers, {n});
  advface_array to = view(out, {n, shape[0]});
  works([&](advface_error** e) {
    return advface_protect(protection, &in, &records, control, &to, nullptr, e);
  });
  return out;
}

}  // namespace advf::test
