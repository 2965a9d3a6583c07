// advface-bench: how fast the ops of a backend run, against what the same machine can do, measured in the
// same run. Rows are bound ops (no allocation, no dispatch): the decoder's layers with their gradients and
// the convolutions of FaceNet (Inception-ResNet-v1, 160x160), then products and element-wise ops, which are
// bound by memory; at last whole networks, end to end.
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>

#include "tensor/backend.h"
#include "tensor/cpu/kernels.h"
#include "tensor/op.h"
#include "tensor/parallel.h"
#include "tensor/rng.h"
#include "tools/bench_models.h"
#include "tools/bench_plan.h"
#include "tools/bench_shapes.h"
#include "tools/cli.h"

using namespace advf;
using namespace advf::tools;

namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

struct Timing {
  double median = 0, min = 0;
};

// One run to warm up, then `repeat` runs, each of them at least a millisecond's worth of calls.
Timing measure(int repeat, const std::function<void()>& body) {
  body();
  const auto start = Clock::now();
  body();
  const int calls = int(std::clamp(1e-3 / std::max(seconds_since(start), 1e-7), 1.0, 1000.0));
  std::vector<double> times;
  for (int i = 0; i < repeat; ++i) {
    const auto begin = Clock::now();
    for (int c = 0; c < calls; ++c) body();
    times.push_back(seconds_since(begin) / calls);
  }
  std::sort(times.begin(), times.end());
  return {times[times.size() / 2], times[0]};
}

// FLOP/s of multiply-adds that touch no memory, on all threads at once, with the kernels' instruction set.
double peak_flops(int repeat) {
  const cpu::KernelTable* kernels = cpu::kernels();
  if (!kernels) return 0;
  constexpr int64_t kRounds = 2'000'000;  // milliseconds: the scheduler has to spread the threads
  std::vector<float> sinks(size_t(num_threads()) * 16);
  const double flops = kernels->fma_peak(1, sinks.data()) * kRounds;
  const Timing t = measure(repeat, [&] {
    parallel_for(num_threads(), [&](int64_t i) { kernels->fma_peak(kRounds, &sinks[size_t(i) * 16]); });
  });
  return flops * num_threads() / t.min;
}

// Bytes read and written per second by memcpy of far more than the caches hold, on all threads.
double copy_bandwidth(int repeat) {
  constexpr size_t kPart = size_t(1) << 20, kParts = 192;
  const Tensor from = Tensor::full({int64_t(kPart * kParts / 4)}, 1), to = Tensor::full(from.shape(), 2);
  const Timing t = measure(repeat, [&] {
    parallel_for(kParts, [&](int64_t i) {
      std::memcpy(to.raw() + size_t(i) * kPart, from.raw() + size_t(i) * kPart, kPart);
    });
  });
  return 2.0 * kPart * kParts / t.min;
}

Tensor random_tensor(const Shape& shape, uint64_t seed) {
  std::vector<float> v(size_t(shape.numel()));
  const Philox rng{seed, 1};
  for (size_t i = 0; i < v.size(); ++i) v[i] = float(rng.uniform(i, 0.1, 1.0));
  return Tensor::from(v, shape);
}

struct Result {
  const BenchCase* row;
  Timing time;
  double flops, bytes;
};

Result run_row(const BenchCase& row, int repeat) {
  OpCall call{row.op, row.attrs, {}, {}};
  std::vector<Tensor> in, out;
  std::vector<View> in_views, out_views, constants;
  double bytes = 0;
  for (const Shape& s : row.in) {
    in.push_back(s == kAbsent ? Tensor() : random_tensor(s, 1 + in.size()));
    call.in.push_back({s, DType::f32, in.back().defined()});
    in_views.emplace_back(in.back());
    constants.emplace_back(nullptr, s, DType::f32);
    if (in.back().defined()) bytes += double(in.back().bytes());
  }
  row.op->infer(call);
  for (const ValueInfo& v : call.out) {
    out.push_back(Tensor::full(v.shape, 0, v.dtype));
    out_views.emplace_back(out.back());
    bytes += double(out.back().bytes());
  }
  if (row.constant_weight) constants[1] = in_views[1];
  const auto bound = current_backend().bind(call, row.constant_weight ? constants : std::vector<View>{});
  const Tensor scratch = Tensor::full({int64_t(bound->scratch_bytes() / 4 + 16)}, 0);
  return {&row, measure(repeat, [&] { bound->run(in_views, out_views, scratch.raw()); }), flops_of(call),
          bytes};
}

struct Summary {
  double log_sum = 0;
  int count = 0;
  void add(double share) {
    log_sum += std::log(share);
    ++count;
  }
  double geometric_mean() const { return count ? std::exp(log_sum / count) : 0; }
};

struct Options {
  Common common;
  std::string filter, models;
  int repeat = 15;
  bool csv = false;
};

// End to end: images per second. Rows whose model is not there say so.
void bench_models(const Options& options, double peak, nlohmann::json& rows) {
  bool titled = options.csv;
  for (const ModelCase& row : model_cases()) {
    if (("model " + row.name).find(options.filter) == std::string::npos) continue;
    if (interrupted()) return;
    if (!titled)
      std::printf("\n%-59s %10s %10s %9s %9s %6s\n", "end to end", "median ms", "min ms", "images/s",
                  "GFLOP/s", "peak");
    titled = true;
    if (!row.needs.empty() && options.models.empty()) {
      std::fprintf(options.csv ? stderr : stdout, "%-59s skipped: give the folder of %s with --models\n",
                   row.name.c_str(), row.needs.c_str());
      continue;
    }
    const ModelCase::Work work = row.make(options.models + "/" + row.needs);
    const Timing t = measure(options.repeat, work.run);
    const double rate = work.flops / t.median, share = peak > 0 ? rate / peak : 0;
    if (options.csv)
      std::printf("model,\"%s\",%.4f,%.4f,%.2f,,%.4f,\n", row.name.c_str(), t.median * 1e3, t.min * 1e3,
                  rate / 1e9, share);
    else
      std::printf("%-59s %10.2f %10.2f %9.1f %9.1f %6.3f\n", row.name.c_str(), t.median * 1e3, t.min * 1e3,
                  row.images / t.median, rate / 1e9, share);
    std::fflush(stdout);
    rows.push_back({{"case", row.name},
                    {"images", row.images},
                    {"median_s", t.median},
                    {"min_s", t.min},
                    {"flops", work.flops},
                    {"images_per_s", row.images / t.median},
                    {"share_of_peak", share}});
  }
}

int bench(const Options& options) {
  options.common.activate();
  const char* isa = cpu::kernels() ? cpu::kernels()->name : "reference";
  const double peak = peak_flops(options.repeat), copy = copy_bandwidth(options.repeat);
  if (options.csv)
    std::puts("group,case,median_ms,min_ms,gflops,gbytes_per_s,share_of_peak,share_of_copy");
  else
    std::printf(
        "device %s, kernels %s, %d threads: peak %.1f GFLOP/s, copy %.1f GB/s (read + written)\n\n"
        "%-12s %-46s %10s %10s %9s %7s %6s %6s\n",
        options.common.device.c_str(), isa, num_threads(), peak / 1e9, copy / 1e9, "group", "case",
        "median ms", "min ms", "GFLOP/s", "GB/s", "peak", "copy");
  nlohmann::json rows = nlohmann::json::array();
  Summary conv_min, conv_median;
  for (const BenchCase& row : bench_cases()) {
    const std::string label = std::string(row.group) + " " + row.name;
    if (label.find(options.filter) == std::string::npos) continue;
    if (interrupted()) return 130;
    const Result r = run_row(row, options.repeat);
    const double share = peak > 0 ? r.flops / r.time.min / peak : 0, copy_share = r.bytes / r.time.min / copy;
    if (row.counts && peak > 0) {
      conv_min.add(share);
      conv_median.add(r.flops / r.time.median / peak);
    }
    std::printf(options.csv ? "%s,\"%s\",%.4f,%.4f,%.2f,%.2f,%.4f,%.4f\n"
                            : "%-12s %-46s %10.4f %10.4f %9.1f %7.1f %6.3f %6.3f\n",
                row.group, row.name.c_str(), r.time.median * 1e3, r.time.min * 1e3,
                r.flops / r.time.min / 1e9, r.bytes / r.time.min / 1e9, share, copy_share);
    std::fflush(stdout);
    rows.push_back({{"group", row.group},
                    {"case", row.name},
                    {"median_s", r.time.median},
                    {"min_s", r.time.min},
                    {"flops", r.flops},
                    {"bytes", r.bytes},
                    {"share_of_peak", share},
                    {"share_of_copy", copy_share}});
  }
  if (!options.csv && conv_min.count)
    std::printf(
        "\ngeometric mean of the share of peak over %d convolutions: %.3f (fastest run), %.3f (median run)\n",
        conv_min.count, conv_min.geometric_mean(), conv_median.geometric_mean());
  nlohmann::json models = nlohmann::json::array();
  bench_models(options, peak, models);
  if (interrupted()) return 130;
  const nlohmann::json plans =
      options.csv ? nlohmann::json::array() : bench_plans({peak, copy}, options.filter, options.repeat);
  options.common.write_json({{"device", options.common.device},
                             {"kernels", isa},
                             {"threads", num_threads()},
                             {"peak_flops", peak},
                             {"copy_bytes_per_s", copy},
                             {"rows", rows},
                             {"models", models},
                             {"plans", plans},
                             {"geometric_mean_share_min", conv_min.geometric_mean()},
                             {"geometric_mean_share_median", conv_median.geometric_mean()}});
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Measures the ops of a backend against the machine's own peak and copy bandwidth",
               "advface-bench");
  app.footer("Example:\n  advface-bench --filter conv --repeat 11 --json bench.json");
  Options options;
  options.common.add_to(app);
  app.add_option("--filter", options.filter, "only rows whose \"group case\" contains this text");
  app.add_option("--models", options.models, "folder of facenet_casia_160.json, for the rows that need it");
  app.add_option("--repeat", options.repeat, "measurements per row")
      ->capture_default_str()
      ->check(CLI::Range(1, 10000));
  app.add_flag("--csv", options.csv, "comma-separated values instead of a table");
  install_interrupt_handler();
  return run(app, argc, argv, [&] { return bench(options); });
}
