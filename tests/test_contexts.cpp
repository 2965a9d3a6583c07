// Two threads side by side, each with its own backend and its own context: neither sees the other's progress,
// notes or stop, and the results are those of each alone, bit for bit. ThreadSanitizer runs this suite as
// well.
#define BOOST_TEST_MODULE contexts
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <map>
#include <thread>

#include "advface/core/face_set.h"
#include "advface/core/face_stream.h"
#include "advface/protections/ascent/advface_protection.h"
#include "advface/protections/protection_chain.h"
#include "file_test_util.h"
#include "method_test_util.h"
#include "tensor/io/image.h"
#include "tensor/parallel.h"

using namespace advf;
using namespace advf::test;

namespace {

constexpr int kPhotographs = 6;

// What one thread works on: its files. Networks are loaded by each thread for itself.
struct Files {
  TempDir dir;
  Files() {
    write_bytes(dir / "toy.json", kToyCard);
    write_bytes(dir / "toy.onnx", toy_model());
    write_bytes(dir / "faces/readme.txt", "no picture");
    const Recogniser r = Recogniser::load(dir / "toy.json");
    for (const char* cut : {"e", "p"}) toy_decoder(r, cut)->save(dir / (std::string(cut) + ".safetensors"));
    const Tensor faces = toy_images(kPhotographs, 3);
    for (int64_t i = 0; i < kPhotographs; ++i) {
      constexpr int kSide = kToySize;
      Image image(kSide, kSide, 3);
      const auto v = faces.slice_batch(i, i + 1).to_vector<float>();
      const size_t plane = size_t(kToySize * kToySize);
      for (size_t k = 0; k < image.pixels.size(); ++k)
        image.pixels[k] = uint8_t(v[k % 3 * plane + k / 3] * 255);
      write_png(dir / ("faces/" + std::to_string(i) + ".png"), image);
    }
  }
};

// What a context heard.
struct Heard {
  std::map<std::string, int64_t> units;  // of each line of progress, summed
  std::vector<std::string> notes;
};

class Line : public ProgressLine {
 public:
  explicit Line(int64_t& units) : units_(units) {}
  void advance(int64_t n, const std::string&) override { units_ += n; }
  void finish() override {}

 private:
  int64_t& units_;
};

Context listening(Heard& heard) {
  Context context;
  context.progress = [&heard](const std::string& what, int64_t, const std::string&) {
    return std::make_unique<Line>(heard.units[what]);
  };
  context.note = [&heard](const std::string& line) { heard.notes.push_back(line); };
  return context;
}

// Photographs to features to protected features, on one backend.
Tensor work(const Files& files, const char* device, const std::string& cut, const Context& context) {
  const BackendScope scope(backend(device));
  FaceSettings faces;
  faces.recogniser = files.dir / "toy.json";
  faces.images = files.dir / "faces";
  faces.extract_batch = 4;
  const Recogniser recogniser = Recogniser::load(faces.recogniser);
  FaceSource source = faces.open_images(context);
  const FeatureSet set = extract(faces, recogniser, cut, source, context);
  auto spec = std::make_shared<AdvFaceSpec>();
  spec->ascent = {.epsilon = 0.3, .steps = 3};
  spec->shadows = {files.dir / (cut + ".safetensors")};
  ProtectionChain protection({spec}, input_of(recogniser, cut, "the features"));
  const FeatureRows rows = protected_rows(protection, set.features, {}, {}, int64_t(1) << 20, context);
  return rows.range(0, rows.count());
}

struct Job {
  const char* device;
  std::string cut;
};
const Job kJobs[] = {{"cpu", "p"}, {"reference", "e"}, {"cpu", "e"}};

}  // namespace

BOOST_AUTO_TEST_CASE(each_thread_has_its_own_context_and_device) {
  const Files files;
  std::vector<Tensor> alone;
  for (const Job& job : kJobs) alone.push_back(work(files, job.device, job.cut, {}));
  std::vector<Tensor> made(std::size(kJobs));
  std::vector<Heard> heard(std::size(kJobs));
  std::vector<std::string> errors(std::size(kJobs));
  std::vector<std::thread> threads;
  for (size_t j = 0; j < std::size(kJobs); ++j)
    threads.emplace_back([&, j] {
      try {
        for (int round = 0; round < 3; ++round) {
          heard[j] = {};
          made[j] = work(files, kJobs[j].device, kJobs[j].cut, listening(heard[j]));
        }
      } catch (const std::exception& e) {
        errors[j] = e.what();
      }
    });
  for (std::thread& t : threads) t.join();
  for (size_t j = 0; j < std::size(kJobs); ++j) {
    BOOST_TEST_CONTEXT(kJobs[j].device << " " << kJobs[j].cut) {
      BOOST_TEST(errors[j] == "");
      BOOST_REQUIRE(made[j].defined());
      BOOST_TEST(same_bits(made[j], alone[j]));
      BOOST_TEST((heard[j].units ==
                  std::map<std::string, int64_t>{{"features", kPhotographs}, {"protect", kPhotographs}}));
      BOOST_TEST(heard[j].notes.size() == 1u);  // the file that is no picture
    }
  }
}

BOOST_AUTO_TEST_CASE(one_is_stopped_and_the_other_goes_on) {
  const Files files;
  const Tensor alone = work(files, "cpu", "p", {});
  std::atomic<bool> stop = false;
  std::atomic<int> interrupted = 0;
  Context stopped;
  stopped.stop = [&] { return stop.load(); };
  std::thread endless([&] {
    try {
      for (;;) work(files, "cpu", "e", stopped);
    } catch (const Interrupted&) {
      ++interrupted;
    }
  });
  Tensor made;
  std::thread other([&] {
    made = work(files, "cpu", "p", {});
    stop = true;
    made = work(files, "cpu", "p", {});
  });
  other.join();
  endless.join();
  BOOST_TEST(interrupted == 1);
  BOOST_TEST(same_bits(made, alone));
}

// Files that are read ahead on a thread of their own give what files read one by one give, in any batches,
// with the same errors; two threads may do so side by side, and may leave off in the middle.
BOOST_AUTO_TEST_CASE(files_are_read_ahead) {
  const Files files;
  write_bytes(files.dir / "faces/broken.png", "no picture");
  const std::vector<int64_t> order{5, 0, 6, 3, 3, 1};  // the last file is the broken one
  const auto open = [&] {
    FaceSource source = FaceSource::open(files.dir / "faces");
    source.set_max_broken_share(1);
    return source;
  };
  FaceSource plain = open();
  const FaceBatch expected = plain.load(order, {}, 16);
  BOOST_REQUIRE_EQUAL(expected.broken.size(), 1u);
  const auto streamed = [&](int64_t batch, size_t most) {
    FaceSource source = open();
    FaceStream stream(source, order, {}, 16, batch);
    std::vector<float> values;
    size_t broken = 0;
    for (size_t i = 0; i < most && !stream.done(); ++i) {
      const FaceBatch some = stream.next();
      const auto v = some.images.to_vector<float>();
      values.insert(values.end(), v.begin(), v.end());
      broken += some.broken.size();
    }
    return std::pair(values, broken);
  };
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int t = 0; t < 2; ++t)
    threads.emplace_back([&] {
      for (const int64_t batch : {1, 2, 4, 100})
        if (streamed(batch, 100) != std::pair(expected.images.to_vector<float>(), size_t(1))) ++wrong;
      for (const size_t most : {0, 1}) streamed(2, most);
    });
  for (std::thread& t : threads) t.join();
  BOOST_TEST(wrong == 0);
  FaceSource strict = open();
  strict.set_max_broken_share(0);
  refused(
      [&] {
        FaceStream stream(strict, order, {}, 16, 2);
        while (!stream.done()) stream.next();
      },
      {"1 of 7 pictures cannot be read", "broken.png"});
}

// Once loaded a network does not change: two threads run one, eagerly and by plans of their own.
BOOST_AUTO_TEST_CASE(a_loaded_network_is_shared) {
  const Files files;
  const auto decoder = Decoder::load(files.dir / "e.safetensors");
  const Recogniser recogniser = Recogniser::load(files.dir / "toy.json");
  const Tensor z = toy_features(recogniser, "e", 9);
  const auto run = [&](BatchNormMode mode) {
    Ascent ascent(*decoder, {.epsilon = 0.3, .steps = 2, .batch_norm = mode});
    const Tensor stored = ascent.protect(z, 0).features;
    return concat({reshape(decoder->reconstruct(z), {9, 3 * kToySize * kToySize}), stored}, 1);
  };
  const Tensor plain = run(BatchNormMode::running), by_batch = run(BatchNormMode::batch);
  BOOST_TEST(!same_bits(plain, by_batch));
  Tensor one, other;
  std::thread first([&] { one = run(BatchNormMode::running); });
  std::thread second([&] { other = run(BatchNormMode::batch); });
  first.join();
  second.join();
  BOOST_TEST(same_bits(one, plain));
  BOOST_TEST(same_bits(other, by_batch));
}
