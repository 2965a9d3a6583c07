#include "tools/bench/bench_protect.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <thread>
#include <utility>

#include "advface/protections/ascent/ascent.h"
#include "autograd/tape.h"
#include "tensor/io/npy.h"
#include "tensor/ops.h"
#include "tensor/rng.h"
#include "tools/bench/bench_pgd.h"
#include "tools/bench/bench_workloads.h"
#include "tools/options/cli.h"
#include "tools/options/progress.h"

extern char** environ;

namespace advf::tools {
namespace {

namespace fs = std::filesystem;

constexpr int kSteps = 20;
constexpr double kEpsilon = 0.02;
constexpr int64_t kBatch = 32;

// A shadow model with random weights.
std::unique_ptr<Decoder> make_shadow(const DecoderSpec& spec) {
  DecoderInfo info;
  info.spec = spec;
  info.domain = FeatureDomain::sphere;
  auto shadow = std::make_unique<Decoder>(info, 1);
  shadow->train(false);
  return shadow;
}
std::unique_ptr<Decoder> w6_shadow() { return make_shadow({"deconv", {512}, 64, 256}); }

// What an Ascent does with plans, and nothing else: the fixed image, the steps, the image of the report.
std::function<void()> plans_alone(const Pgd& pgd, int steps) {
  return [image = pgd.image_plan(), step = pgd.plan(), steps] {
    image->run();
    step->run(steps);
    image->run();
  };
}

// As an Ascent works, op by op.
void protect_eager(Decoder& shadow, const Tensor& z) {
  const AscentSettings settings{.epsilon = kEpsilon, .steps = kSteps};
  const Tensor base = shadow.forward(z);
  Tensor delta = affine(z, 0.01, 0);
  for (int i = 0; i < kSteps; ++i) {
    Tape tape;
    const TapeScope scope(tape);
    const Tensor image = shadow.forward(l2_normalise(add(z, delta)));
    const Tensor loss = sum_all(power(sub(image, base), 2));
    delta = pgd_step(delta, backward(tape, loss, {delta})[0], settings.effective_step_size(), kEpsilon);
  }
  shadow.forward(l2_normalise(add(z, delta)));
}

bool bench_calls(int repeat, Report& report) {
  const auto shadow = w6_shadow();
  Ascent protector(*shadow, {.epsilon = kEpsilon, .steps = kSteps});
  for (const int64_t n : {kBatch, int64_t(1)}) {
    if (interrupted()) return false;
    const std::string title = "64x64 deconv, 20 steps, a call of " + std::to_string(n);
    const Tensor z = random_features(n, 512);
    const Pgd pgd(w6_shadow(), z, FeatureDomain::sphere);
    const std::vector<Variant> variants = {
        {"eager", [&] { protect_eager(*shadow, z); }},
        {"plan", [&] { protector.protect(z, 0); }},
        {"plans alone", plans_alone(pgd, kSteps), [&] { return pgd.plan(); }}};
    if (!measure_variants("W6", title, double(n), "features", {}, variants, repeat, report)) return false;
  }
  return true;
}

// 200 iterations, 10 and 200 at a time: the cost of one must not depend on how many there are.
bool bench_iterations(int repeat, Report& report) {
  const std::string title = "64x64 deconv, batch 32, 200 iterations";
  if (!report.wanted("W6 10 at a time", title) && !report.wanted("W6 200 at a time", title)) return true;
  const Pgd pgd(w6_shadow(), random_features(kBatch, 512), FeatureDomain::sphere);
  const Cost once = pgd.cost(), cost{once.flops * 200, once.bytes * 200};
  const auto state = pgd.plan();
  const auto in_tens = [&] {
    for (int i = 0; i < 20; ++i) state->run(10);
  };
  return measure_variants("W6", title, 200.0 * kBatch, "image-iterations", cost,
                          {{"10 at a time", in_tens}, {"200 at a time", [&] { state->run(200); }}}, repeat,
                          report);
}

// ---- the program

struct ProgramRun {
  int64_t features;
  const char* title;
};
constexpr ProgramRun kRuns[] = {{5000, "advface-protect, 5,000 features, 20 steps"},
                                {200, "advface-protect, 200 features, 20 steps"}};
constexpr const char* kMillion = "advface-protect, 1,000,000 features of 64, 1 step";

// A folder below `parent` that is removed at the end.
class Scratch {
 public:
  explicit Scratch(const std::string& parent) {
    std::error_code failed;
    fs::create_directories(parent, failed);
    std::string pattern = (fs::path(parent) / "advface-bench-XXXXXX").string();
    check(::mkdtemp(pattern.data()) != nullptr, parent, ": no folder can be made in it");
    path_ = pattern;
  }
  ~Scratch() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

 private:
  fs::path path_;
};

struct Outcome {
  double seconds = 0;  // from start to end
  nlohmann::json result;
};

// Runs advface-protect, which lies beside this program, and waits. An interrupt is passed on to it.
Outcome run_protect(std::vector<std::string> args, const Scratch& scratch) {
  const std::string program = (fs::read_symlink("/proc/self/exe").parent_path() / "advface-protect").string();
  const std::string json = scratch / "result.json", log = scratch / "log";
  args.insert(args.begin(), program);
  args.insert(args.end(), {"--json", json});
  std::vector<char*> argv;
  for (std::string& a : args) argv.push_back(a.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t files;
  ::posix_spawn_file_actions_init(&files);
  ::posix_spawn_file_actions_addopen(&files, 1, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  ::posix_spawn_file_actions_adddup2(&files, 1, 2);
  int status = 0;
  Outcome outcome;
  outcome.seconds = seconds_of([&] {
    pid_t child = 0;
    check(::posix_spawn(&child, program.c_str(), &files, nullptr, argv.data(), environ) == 0, program,
          " cannot be started; build it beside advface-bench");
    for (bool told = false; ::waitpid(child, &status, WNOHANG) == 0;) {
      if (interrupted() && !std::exchange(told, true)) ::kill(child, SIGTERM);
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  });
  ::posix_spawn_file_actions_destroy(&files);
  const auto text = [](const std::string& path) {
    const std::vector<std::byte> bytes = read_file(path, 1 << 20);
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  };
  if (interrupted()) throw Interrupted();
  check(WIFEXITED(status) && WEXITSTATUS(status) == 0, program, " failed: ", text(log));
  outcome.result = nlohmann::json::parse(text(json));
  return outcome;
}

void write_features(const std::string& path, int64_t n, int64_t dimension) {
  constexpr int64_t kChunk = 8192;
  NpyWriter writer(path, DType::f32, {dimension});
  for (int64_t i = 0; i < n; i += kChunk)
    writer.append_rows(random_features(std::min(kChunk, n - i), dimension));
  writer.commit();
}

class ProgramBench {
 public:
  ProgramBench(const ProtectBenchOptions& options, Report& report)
      : scratch_(options.scratch), threads_(std::to_string(options.threads)), report_(report) {
    const auto shadow = w6_shadow();
    shadow->save(scratch_ / "shadow.safetensors");
    const Pgd pgd(w6_shadow(), random_features(kBatch, 512), FeatureDomain::sphere);
    own_ = plans_alone(pgd, kSteps);
  }

  // Rates of the program beside what its plans alone would reach: the iterations and two images (the fixed
  // one before, and the one of the report after), 32 features at a time. Those are measured before and after
  // each run of the program.
  void rates() {
    for (const auto& [features, title] : kRuns) {
      if (!report_.wanted("W6 program", title)) continue;
      const std::string in = scratch_ / "features.npy";
      write_features(in, features, 512);
      std::vector<double> own = own_seconds();
      const Outcome o = run_protect(
          {"--shadow", scratch_ / "shadow.safetensors", "--in", in, "--out", scratch_ / "out.npy", "--steps",
           std::to_string(kSteps), "--epsilon", std::to_string(kEpsilon), "--threads", threads_},
          scratch_);
      for (const double s : own_seconds()) own.push_back(s);
      const double own_rate = kBatch / Timing::of(own).median, rate = double(features) / o.seconds;
      row(title, o.seconds, features)
          .update({{"own_per_s", own_rate},
                   {"share_of_own", rate / own_rate},
                   {"features_per_second", o.result["features_per_second"]},
                   {"peak_memory_bytes", o.result["peak_memory_bytes"]}});
      report_.say("the plans alone: " + short_number(own_rate) + " features/s; the program reaches " +
                  short_number(rate / own_rate) + " of it from start to end, by its own clock " +
                  short_number(o.result["features_per_second"].get<double>() / own_rate));
    }
  }

  // 1,000,000 features of 64 numbers, one step, the smallest decoder.
  void memory() {
    constexpr int64_t kFeatures = 1'000'000, kDimension = 64;
    if (!report_.wanted("W6 program", kMillion)) return;
    const uint64_t needed = uint64_t(2 * kFeatures * kDimension * 4) + (uint64_t(300) << 20);
    check(fs::space(scratch_ / ".").available > needed, scratch_ / ".", ": ", needed >> 20,
          " MiB are needed for a while");
    make_shadow({"deconv", {kDimension}, 32, 16})->save(scratch_ / "tiny.safetensors");
    const std::string in = scratch_ / "features.npy";
    write_features(in, kFeatures, kDimension);
    const Outcome o =
        run_protect({"--shadow", scratch_ / "tiny.safetensors", "--in", in, "--out", scratch_ / "out.npy",
                     "--report", scratch_ / "report.jsonl", "--steps", "1", "--threads", threads_},
                    scratch_);
    const int64_t peak = o.result["peak_memory_bytes"];
    row(kMillion, o.seconds, kFeatures).update({{"peak_memory_bytes", peak}});
    report_.say("memory at most " + std::to_string(peak >> 20) + " MiB");
  }

 private:
  std::vector<double> own_seconds() const {
    std::vector<double> seconds;
    for (int i = 0; i < 5; ++i) seconds.push_back(seconds_of(own_));
    return seconds;
  }
  nlohmann::json& row(const std::string& title, double seconds, int64_t features) {
    nlohmann::json& json =
        report_.add({"W6 program", title, {seconds, seconds, 1}, {}, double(features), "features"});
    json.update({{"workload", "W6"}, {"variant", "program"}});
    return json;
  }

  Scratch scratch_;
  std::string threads_;
  Report& report_;
  std::function<void()> own_;
};

}  // namespace

bool bench_protect(const ProtectBenchOptions& options, Report& report) {
  if (!bench_calls(options.repeat, report) || !bench_iterations(options.repeat, report)) return false;
  bool wanted = report.wanted("W6 program", kMillion);
  for (const ProgramRun& run : kRuns) wanted = wanted || report.wanted("W6 program", run.title);
  if (!wanted) return true;
  if (options.scratch.empty()) {
    report.say("W6 program: skipped; give a folder for 600 MB of temporary files with --scratch");
    return true;
  }
  ProgramBench program(options, report);
  program.rates();
  program.memory();
  return !interrupted();
}

}  // namespace advf::tools
