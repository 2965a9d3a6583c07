#include "tools/bench/bench_report.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "tensor/backend.h"
#include "tensor/cpu/kernels.h"
#include "tensor/op.h"
#include "tensor/parallel.h"
#include "tensor/tensor.h"

namespace advf::tools {

double seconds_of(const std::function<void()>& body) {
  const auto start = std::chrono::steady_clock::now();
  body();
  current_backend().sync();  // a device may still be at it
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

Timing Timing::of(std::vector<double> seconds) {
  std::sort(seconds.begin(), seconds.end());
  return {seconds[seconds.size() / 2], seconds[0], int(seconds.size())};
}

Timing measure(int repeat, const std::function<void()>& body) {
  body();
  const int calls = int(std::clamp(1e-3 / std::max(seconds_of(body), 1e-7), 1.0, 1000.0));
  std::vector<double> times;
  for (int i = 0; i < repeat; ++i) {
    const auto several = [&] {
      for (int c = 0; c < calls; ++c) body();
    };
    times.push_back(seconds_of(several) / calls);
  }
  return Timing::of(std::move(times));
}

namespace {

// One op on a device: seconds of the fastest of `repeat` runs. Bound as a plan binds it, with the second
// input constant.
double device_seconds(const OpDef& op, const Attrs& attrs, const std::vector<Tensor>& in, int repeat) {
  OpCall call{&op, attrs, {}, {}};
  std::vector<View> views;
  for (const Tensor& t : in) {
    call.in.push_back({t.shape(), t.dtype(), t.defined()});
    views.emplace_back(t);
  }
  op.infer(call);
  const Tensor out = Tensor::empty(call.out[0].shape);
  const View to(out);
  std::vector<View> constants(in.size());
  if (in.size() > 1) constants[1] = views[1];
  const auto bound = current_backend().bind(call, constants);
  const Tensor scratch = Tensor::empty({int64_t(bound->scratch_bytes() / 4 + 64)});
  return measure(repeat, [&] { bound->run(views, std::span(&to, 1), scratch.raw()); }).min;
}

int64_t probe_side = kDeviceProbeSide;

double device_peak_flops() {
  const int64_t n = probe_side;
  const Tensor a = Tensor::full({n, n}, 0.5), b = Tensor::full({n, n}, 0.25);
  return 2.0 * double(n) * double(n) * double(n) /
         device_seconds(op_matmul, MatmulAttrs{}, {a, b, Tensor()}, 3);
}

double copy_bandwidth(int repeat) {
  if (!current_backend().is_host()) {
    const Shape shape{probe_side * probe_side / 4};
    return 8.0 * double(shape[0]) /
           device_seconds(op_slice, SliceAttrs{{}, shape}, {Tensor::full(shape, 1)}, repeat);
  }
  constexpr size_t kPart = size_t(1) << 20, kParts = 192;
  const Tensor from = Tensor::full({int64_t(kPart * kParts / 4)}, 1), to = Tensor::full(from.shape(), 2);
  const Timing t = measure(repeat, [&] {
    parallel_for(kParts, [&](int64_t i) {
      std::memcpy(to.raw() + size_t(i) * kPart, from.raw() + size_t(i) * kPart, kPart);
    });
  });
  return 2.0 * kPart * kParts / t.min;
}

double ratio(double a, double b) { return b > 0 ? a / b : 0; }

}  // namespace

const cpu::KernelTable* product_kernels() {
  return std::string_view(current_backend().name()) == "cpu-bf16" ? cpu::bf16_kernels() : cpu::kernels();
}

void set_device_probe_side(int64_t side) { probe_side = side; }

double peak_flops_now() {
  if (!current_backend().is_host()) {
    static const double peak = device_peak_flops();  // nobody else is on the device
    return peak;
  }
  const cpu::KernelTable* kernels = product_kernels();
  if (!kernels) return 0;
  constexpr int64_t kRounds = 2'000'000;  // milliseconds: the scheduler has to spread the threads
  std::vector<float> sinks(size_t(num_threads()) * 16);
  const double flops = kernels->fma_peak(1, sinks.data()) * kRounds * num_threads();
  return flops / seconds_of([&] {
           parallel_for(num_threads(),
                        [&](int64_t i) { kernels->fma_peak(kRounds, &sinks[size_t(i) * 16]); });
         });
}

Machine measure_machine(int repeat) {
  double peak = 0;
  for (int i = 0; i < repeat + 2; ++i) peak = std::max(peak, peak_flops_now());
  return {peak, copy_bandwidth(repeat)};
}

Report::Report(const Machine& machine, std::string filter, bool csv)
    : machine_(machine), filter_(std::move(filter)), csv_(csv) {
  if (csv_)
    std::puts("group,case,median_ms,min_ms,n,per_s,unit,gflops,gbytes_per_s,share_of_peak,share_of_copy");
}

bool Report::wanted(const std::string& group, const std::string& name) const {
  return (group + " " + name).find(filter_) != std::string::npos;
}

double Report::peak_of(const BenchRow& row) const {
  return row.peak_flops > 0 ? row.peak_flops : machine_.peak_flops;
}

nlohmann::json& Report::add(const BenchRow& row) {
  const bool workload = row.units > 0;
  const double basis = workload ? row.time.median : row.time.min;
  const double flops = row.cost.flops / basis, bytes = row.cost.bytes / basis, rate = row.units / basis;
  const double of_peak = ratio(flops, peak_of(row)), of_copy = bytes / machine_.copy_bytes_per_s;
  bool& titled = workload ? workload_title_ : op_title_;
  if (!csv_ && !titled)
    std::printf("\n%-12s %-51s %10s %10s %s%9s %7s %6s %6s\n", workload ? "workload" : "group", "case",
                "median ms", "min ms", workload ? "     per s " : "", "GFLOP/s", "GB/s", "peak", "copy");
  titled = true;
  if (csv_) {
    std::printf("%s,\"%s\",%.4f,%.4f,%d,%.3f,%s,%.2f,%.2f,%.4f,%.4f\n", row.group.c_str(), row.name.c_str(),
                row.time.median * 1e3, row.time.min * 1e3, row.time.n, rate, row.unit.c_str(), flops / 1e9,
                bytes / 1e9, of_peak, of_copy);
  } else {
    std::printf("%-12s %-51s %10.4f %10.4f ", row.group.c_str(), row.name.c_str(), row.time.median * 1e3,
                row.time.min * 1e3);
    if (workload) std::printf("%10.1f ", rate);
    if (row.cost.bytes > 0)
      std::printf("%9.1f %7.1f %6.3f %6.3f", flops / 1e9, bytes / 1e9, of_peak, of_copy);
    std::puts("");
  }
  std::fflush(stdout);
  nlohmann::json json = {{"group", row.group},       {"case", row.name},        {"median_s", row.time.median},
                         {"min_s", row.time.min},    {"n", row.time.n},         {"flops", row.cost.flops},
                         {"bytes", row.cost.bytes},  {"flops_per_s", flops},    {"bytes_per_s", bytes},
                         {"share_of_peak", of_peak}, {"share_of_copy", of_copy}};
  if (workload)
    json.update({{"units", row.units},
                 {"unit", row.unit},
                 {"units_per_s", rate},
                 {"peak_flops", peak_of(row)},
                 {"floor_flops_s", ratio(row.cost.flops, peak_of(row))},
                 {"floor_bytes_s", row.cost.bytes / machine_.copy_bytes_per_s}});
  nlohmann::json& list = workload ? workloads_ : ops_;
  list.push_back(std::move(json));
  return list.back();
}

void Report::floors(const BenchRow& row) const {
  if (csv_ || row.cost.flops == 0) return;
  const double peak = peak_of(row);
  char text[200];
  std::snprintf(
      text, sizeof text,
      "floors: %.2f ms (%.2f GFLOP at the peak, %.0f GFLOP/s then), %.2f ms (%.0f MB at copy speed)",
      ratio(row.cost.flops, peak) * 1e3, row.cost.flops / 1e9, peak / 1e9,
      row.cost.bytes / machine_.copy_bytes_per_s * 1e3, row.cost.bytes / 1e6);
  say(text);
}

void Report::say(const std::string& text) const {
  std::fprintf(csv_ ? stderr : stdout, "%-12s %s\n", "", text.c_str());
  std::fflush(csv_ ? stderr : stdout);
}

}  // namespace advf::tools
