// advface-bench: how fast the ops of a backend run, against what the same machine can do, measured in the
// same run. First single bound ops (no allocation, no dispatch): the decoder's layers with their gradients
// and the convolutions of FaceNet (Inception-ResNet-v1, 160x160), then products and element-wise ops, which
// are bound by memory. Then whole workloads (bench_workloads.h).
#include <cmath>
#include <cstdio>

#include "advface/core/recogniser.h"
#include "tensor/backend.h"
#include "tensor/cpu/kernels.h"
#include "tensor/io/atomic_file.h"
#include "tensor/op.h"
#include "tensor/parallel.h"
#include "tensor/rng.h"
#include "tools/bench/bench_nearest.h"
#include "tools/bench/bench_photographs.h"
#include "tools/bench/bench_protect.h"
#include "tools/bench/bench_report.h"
#include "tools/bench/bench_rotation.h"
#include "tools/bench/bench_shapes.h"
#include "tools/bench/bench_workloads.h"
#include "tools/options/cli.h"

using namespace advf;
using namespace advf::tools;

namespace {

Tensor random_tensor(const Shape& shape, uint64_t seed) {
  std::vector<float> v(size_t(shape.numel()));
  const Philox rng{seed, 1};
  for (size_t i = 0; i < v.size(); ++i) v[i] = float(rng.uniform(i, 0.1, 1.0));
  return Tensor::from(v, shape);
}

BenchRow run_row(const BenchCase& row, int repeat) {
  OpCall call{row.op, row.attrs, {}, {}};
  std::vector<Tensor> in, out;
  std::vector<View> in_views, out_views, constants;
  double bytes = 0;
  for (const Shape& s : row.in) {
    const DType type = row.labels && in.size() == 1 ? DType::i32 : DType::f32;
    in.push_back(s == kAbsent         ? Tensor()
                 : type == DType::i32 ? Tensor::full(s, 0, type)
                                      : random_tensor(s, 1 + in.size()));
    call.in.push_back({s, type, in.back().defined()});
    in_views.emplace_back(in.back());
    constants.emplace_back(nullptr, s, type);
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
  const Timing time = measure(repeat, [&] { bound->run(in_views, out_views, scratch.raw()); });
  return {row.group, row.name, time, {flops_of(call), bytes}};
}

// Of the shares of peak of the rows that count.
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
  WorkloadOptions workloads;
  ProtectBenchOptions protect;
  PhotographBenchOptions photographs;
  std::string filter, write_mobilefacenet, write_facenet;
  int repeat = 15;
  int64_t device_probe = kDeviceProbeSide;
  bool csv = false, steps = false;
};

int bench(Options& options) {
  options.common.activate();
  set_device_probe_side(options.device_probe);
  if (!options.workloads.facenet.empty()) load_card(options.workloads.facenet);  // judged before the work
  if (!options.write_mobilefacenet.empty()) {
    write_mobilefacenet(options.write_mobilefacenet);
    return 0;
  }
  if (!options.write_facenet.empty()) {
    AtomicFile file(options.write_facenet);
    file.write(random_facenet_onnx());
    file.commit();
    return 0;
  }
  const char* isa = product_kernels() ? product_kernels()->name : "reference";
  const Machine machine = measure_machine(options.repeat);
  if (!options.csv)
    std::printf("device %s, kernels %s, %d threads: peak %.1f GFLOP/s, copy %.1f GB/s (read + written)\n",
                options.common.device.c_str(), isa, num_threads(), machine.peak_flops / 1e9,
                machine.copy_bytes_per_s / 1e9);
  Report report(machine, options.filter, options.csv);
  report.steps = options.steps;
  Summary conv_min, conv_median;
  for (const BenchCase& row : bench_cases()) {
    if (!report.wanted(row.group, row.name)) continue;
    if (interrupted()) return 130;
    const BenchRow result = run_row(row, options.repeat);
    report.add(result);
    if (row.counts && machine.peak_flops > 0) {
      conv_min.add(result.cost.flops / result.time.min / machine.peak_flops);
      conv_median.add(result.cost.flops / result.time.median / machine.peak_flops);
    }
  }
  if (!options.csv && conv_min.count)
    std::printf(
        "\ngeometric mean of the share of peak over %d convolutions: %.3f (fastest run), %.3f (median run)\n",
        conv_min.count, conv_min.geometric_mean(), conv_median.geometric_mean());
  options.workloads.repeat = options.repeat;
  if (!bench_workloads(options.workloads, report)) return 130;
  if (!bench_rotation(options.repeat, report)) return 130;
  if (!bench_nearest(options.repeat, report)) return 130;
  if (!bench_photographs(options.photographs, options.repeat, report)) return 130;
  options.protect.repeat = options.repeat;
  options.protect.threads = num_threads();
  if (!bench_protect(options.protect, report)) return 130;
  options.common.write_json({{"device", options.common.device},
                             {"kernels", isa},
                             {"threads", num_threads()},
                             {"peak_flops", machine.peak_flops},
                             {"copy_bytes_per_s", machine.copy_bytes_per_s},
                             {"rows", report.ops()},
                             {"workloads", report.workloads()},
                             {"geometric_mean_share_min", conv_min.geometric_mean()},
                             {"geometric_mean_share_median", conv_median.geometric_mean()}});
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Measures the ops of a backend against the machine's own peak and copy bandwidth",
               "advface-bench");
  app.footer(
      "Example:\n  advface-bench --filter conv --repeat 11 --json bench.json\n"
      "  advface-bench --filter W2 --repeat 7");
  Options options;
  options.common.add_to(app);
  app.add_option(
      "--filter", options.filter,
      "only rows whose \"group case\" contains this text; W2: a workload, W2 plan: one variant of it");
  app.add_flag("--steps", options.steps, "below workloads that run a plan, what each step of it takes");
  app.add_option("--facenet", options.workloads.facenet,
                 "card of FaceNet (.json beside its .onnx), for W3, W10, W11");
  app.add_flag("--random-facenet", options.workloads.random_facenet,
               "W3, W10, W11 with random weights, where there is no card");
  app.add_option("--write-facenet", options.write_facenet,
                 "only write FaceNet's network with random weights as an ONNX file, for other programs");
  app.add_option("--photographs", options.photographs.images,
                 "folder of photographs with a face each, for W8");
  app.add_option("--detector", options.photographs.detector, "card of a detector, for W8");
  app.add_option("--recogniser", options.photographs.recogniser, "card of a recogniser, for W8");
  app.add_option("--scratch", options.protect.scratch,
                 "folder for 600 MB of temporary files, for the program's rows of W6 (minutes)");
  app.add_option("--write-mobilefacenet", options.write_mobilefacenet,
                 "only write the network of W4 as an ONNX file, for other programs");
  app.add_option("--batch", options.workloads.batch, "of all workloads but W4; 0 = as they are defined")
      ->capture_default_str()
      ->check(CLI::Range(int64_t(0), int64_t(65536)));
  app.add_option(
         "--device-probe", options.device_probe,
         "side of the square matrices whose product tells a device's peak; an emulated one takes less")
      ->capture_default_str()
      ->check(CLI::Range(int64_t(16), int64_t(65536)));
  app.add_option("--repeat", options.repeat, "measurements per row")
      ->capture_default_str()
      ->check(CLI::Range(1, 10000));
  app.add_flag("--csv", options.csv, "comma-separated values instead of a table");
  install_interrupt_handler();
  return run(app, argc, argv, [&] { return bench(options); });
}
