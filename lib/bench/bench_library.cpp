// What the border costs, and what eight threads on one handle do: bench_library. For each protection, 32
// features of 512 values protected by the code below, as advface-protect does it but for its files, and
// through the C interface (the median of many, in turn); and the best rates of one thread and of eight. With
// SHADOW.safetensors also AdvFace, on vectors of the shadow's.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "advface/keys/key.h"
#include "advface/networks/decoder.h"
#include "advface/protections/protection_chain.h"
#include "advface/protections/protection_request.h"
#include "lib/include/advface.h"
#include "tensor/rng.h"

using namespace advf;

namespace {

constexpr int64_t kBatch = 32;
using Clock = std::chrono::steady_clock;

double seconds_of(const std::function<void()>& f) {
  const auto start = Clock::now();
  f();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::vector<float> unit_vectors(int64_t n, int64_t dimension) {
  std::vector<float> values;
  const Philox rng{7, 1};
  for (int64_t i = 0; i < n; ++i) {
    std::vector<double> v;
    double squares = 0;
    for (int64_t k = 0; k < dimension; ++k) {
      v.push_back(rng.normal(uint64_t(i * dimension + k)));
      squares += v.back() * v.back();
    }
    for (const double x : v) values.push_back(float(x / std::sqrt(squares)));
  }
  return values;
}

struct Case {
  const char* name;
  ProtectionRequest request;
};

void must(advface_status status, advface_error** error) {
  if (status == ADVFACE_OK) return;
  std::fprintf(stderr, "bench_library: %s\n", advface_error_text(*error));
  std::exit(1);
}

double median(std::vector<double> v) {
  std::nth_element(v.begin(), v.begin() + long(v.size() / 2), v.end());
  return v[v.size() / 2];
}

void measure(const Case& c, int64_t dimension = 512) {
  std::vector<float> features = unit_vectors(kBatch, dimension);
  ProtectionInput input;
  input.space = {{dimension}, FeatureDomain::sphere, false};
  input.what = "the features";
  input.to_keep = true;
  ProtectionChain below(c.request.specs(1), input);
  std::vector<advface_setting> settings;
  for (const std::string& name : c.request.names) settings.push_back({"protect", name.c_str()});
  for (const auto& [name, texts] : c.request.settings) settings.push_back({name.c_str(), texts[0].c_str()});
  advface_space space = {};
  space.size = sizeof space;
  space.domain = ADVFACE_SPHERE;
  space.rank = 1;
  space.shape[0] = dimension;
  advface_protection* protection = nullptr;
  advface_error* error = nullptr;
  must(advface_protection_make(&space, settings.data(), settings.size(), nullptr, nullptr, nullptr,
                               &protection, &error),
       &error);

  const int64_t shape[] = {kBatch, dimension};
  const advface_array in =
      advface_array_of(features.data(), features.size() * sizeof(float), ADVFACE_F32, 2, shape);
  std::vector<int64_t> numbers(kBatch);
  std::iota(numbers.begin(), numbers.end(), int64_t(0));
  const int64_t count = kBatch;
  const advface_array records =
      advface_array_of(numbers.data(), numbers.size() * sizeof(int64_t), ADVFACE_I64, 1, &count);
  const Tensor rows = Tensor::from(features, {kBatch, dimension});
  const auto by_library = [&](std::vector<float>& out) {
    advface_array to = advface_array_of(out.data(), out.size() * sizeof(float), ADVFACE_F32, 2, shape);
    must(advface_protect(protection, &in, &records, nullptr, &to, nullptr, &error), &error);
  };
  std::vector<float> out(features.size());
  by_library(out);
  const double once = seconds_of([&] { by_library(out); });
  const int rounds = int(std::clamp(3.0 / (2 * once), 5.0, 3000.0));
  std::vector<double> direct, through;
  for (int i = 0; i < rounds; ++i) {  // in turn, so that the machine's moods meet both
    direct.push_back(seconds_of([&] {
      const FeatureRows all(rows);
      check_rows(all, FeatureDomain::sphere, "features");
      below.look_at(all, numbers, {});
      const Tensor made = below.apply(all.range(0, kBatch), numbers, Tensor(), {}).features;
      std::copy_n(made.data<float>(), made.numel(), out.data());
    }));
    through.push_back(seconds_of([&] { by_library(out); }));
  }
  const auto rate = [&](int threads) {
    const int each = std::max(1, int(0.5 / once) / 8) * 8 / threads;
    const double seconds = seconds_of([&] {
      std::vector<std::thread> all;
      for (int t = 0; t < threads; ++t)
        all.emplace_back([&] {
          std::vector<float> mine(features.size());
          for (int i = 0; i < each; ++i) by_library(mine);
        });
      for (std::thread& t : all) t.join();
    });
    return double(each * threads * kBatch) / seconds;
  };
  double one = 0, eight = 0;
  for (int i = 0; i < 7; ++i) {  // in turn, too
    one = std::max(one, rate(1));
    eight = std::max(eight, rate(8));
  }
  std::printf("%-16s %10.1f us %10.1f us %+7.2f %% %12.0f/s %12.0f/s %6.2f\n", c.name, 1e6 * median(direct),
              1e6 * median(through), 100 * (median(through) / median(direct) - 1), one, eight, eight / one);
  advface_protection_free(protection);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string key =
      (std::filesystem::temp_directory_path() / ("bench_library-" + std::to_string(::getpid()) + ".key"))
          .string();
  Key::fresh().write_new(key);
  std::printf("%-16s %13s %13s %9s %14s %14s %6s\n", "32 features", "below", "library", "more", "1 thread",
              "8 threads", "ratio");
  measure({"rotation", {{"rotation"}, {{"key", {key}}}}});
  measure({"rotation, fast", {{"rotation"}, {{"key", {key}}, {"rotation", {"fast"}}}}});
  measure({"noise", {{"noise"}, {}}});
  if (argc > 1)
    measure({"AdvFace", {{}, {{"shadow", {argv[1]}}, {"epsilon", {"0.2"}}}}},
            Decoder::load(argv[1])->feature()[0]);
  std::filesystem::remove(key);
  return 0;
}
