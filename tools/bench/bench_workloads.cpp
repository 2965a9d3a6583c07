#include "tools/bench/bench_workloads.h"

#include <algorithm>
#include <iomanip>
#include <memory>
#include <sstream>

#include "advface/core/recogniser.h"
#include "advface/networks/decoder.h"
#include "autograd/plan.h"
#include "nn/layers.h"
#include "nn/loss.h"
#include "nn/nets/decoders.h"
#include "nn/nets/recognisers.h"
#include "nn/onnx/export.h"
#include "nn/optim.h"
#include "tensor/io/atomic_file.h"
#include "tensor/ops.h"
#include "tensor/rng.h"
#include "tools/bench/bench_gradient.h"
#include "tools/bench/bench_pgd.h"
#include "tools/bench/bench_shapes.h"
#include "tools/options/cli.h"

namespace advf::tools {
namespace {

// ---- W1

struct Training {
  explicit Training(int64_t batch) : z(uniform({batch, 512}, 1)), target(uniform({batch, 3, 112, 112}, 2)) {}
  std::unique_ptr<Module> net = make_decoder({"deconv", {512}, 112, 512}, 1);
  Adam adam{net->parameters()};
  Tensor z, target;

  Cost cost() {
    return cost_of([&](Tape& tape) {
      backward(tape, l1_loss(net->forward(z), target), values(net->parameters()), true);
    });
  }
  void step() {
    Tape tape;
    Tensor loss;
    {
      const TapeScope scope(tape);
      loss = l1_loss(net->forward(z), target);
    }
    adam.step(backward(tape, loss, values(net->parameters())), 1e-3);
  }
};

// ---- W5

class Bilinear : public Module {
 public:
  explicit Bilinear(int64_t side) : side_(side) {}
  Tensor forward(const Tensor& x) const override { return resize2d(x, {.size = {side_, side_}}); }

 private:
  int64_t side_;
};

// 64x38x38 -> 3x64x64
std::shared_ptr<Module> map_decoder() {
  const auto net = std::make_shared<Sequential>();
  const auto norm = [&](int64_t channels) {
    net->add<BatchNorm>(channels);
    net->add<ReLU>();
  };
  for (int64_t in : {64, 128, 128}) {
    net->add<Conv2d>(in, 128, ConvOptions{.kernel = 3, .pad = 1, .bias = false});
    norm(128);
  }
  net->add<ConvTranspose2d>(128, 64, ConvOptions{.kernel = 4, .stride = 2, .pad = 1, .bias = false});
  norm(64);
  net->add<Conv2d>(64, 64, ConvOptions{.kernel = 3, .pad = 1, .bias = false});
  norm(64);
  net->add<Bilinear>(64);
  net->add<Conv2d>(64, 3, ConvOptions{.kernel = 3, .pad = 1});
  net->add<Sigmoid>();
  net->initialise(1);
  return net;
}

// ---- W3, W4

std::string mobilefacenet_onnx() {
  const RecogniserSpec spec{.name = "mobilefacenet"};
  const auto net = make_recogniser(spec, 1);
  net->train(false);
  Tape tape(Tape::Keep::everything);
  const Tensor x = Tensor::zeros({1, 3, spec.image_size, spec.image_size});
  Tensor y;
  {
    const TapeScope scope(tape);
    y = net->forward(x);
  }
  return to_onnx("mobilefacenet", tape, x, "input", {{y, "embedding"}});
}

Recogniser mobilefacenet() {
  RecogniserCard card;
  card.path = card.model = "mobilefacenet";
  card.metric = "cosine";
  card.input = {"input", 112, 112, "RGB", all_channels(127.5), all_channels(1 / 127.5)};
  card.embedding = {"embedding", 128, false, true};
  card.default_cut = "embedding";
  return Recogniser::from_bytes(card, mobilefacenet_onnx());
}

Recogniser random_facenet() {
  RecogniserCard card;
  card.path = card.model = "facenet, random";
  card.metric = "cosine";
  card.input = {"input", 160, 160, "RGB", all_channels(127.5), all_channels(1 / 128.0)};
  card.embedding = {"embedding", 512, false, true};
  card.default_cut = "embedding";
  return Recogniser::from_bytes(card, random_facenet_onnx());
}

Built forward_pass(Recogniser loaded, int64_t batch) {
  const auto net = std::make_shared<Recogniser>(std::move(loaded));
  const auto& input = net->card().input;
  const Tensor x = net->preprocess(uniform({batch, 3, input.height, input.width}, 3));
  return {cost_of([&](Tape&) { net->embed(x); }),
          {{"eager",
            [net, x] {
              net->model().run({{net->card().input.name, x}}, {net->card().embedding.name});
            }},
           {"plan", [net, x] { net->embed(x); },
            [net, x] { return frozen([net](const Tensor& in) { return net->embed(in); }, x); }}}};
}

Built pgd_iteration(std::shared_ptr<Module> net, const Tensor& z, FeatureDomain domain) {
  const auto pgd = std::make_shared<Pgd>(std::move(net), z, domain);
  const auto state = pgd->plan();
  return {
      pgd->cost(),
      {{"eager", [pgd] { pgd->eager(); }}, {"plan", [state] { state->run(); }, [state] { return state; }}}};
}

Built training_step(int64_t batch) {
  const auto training = std::make_shared<Training>(batch);
  return {training->cost(), {{"eager", [training] { training->step(); }}}};
}

Recogniser facenet(const std::string& card) {
  return card.empty() ? random_facenet() : Recogniser::load(card);
}

struct Workload {
  std::string id, title, unit;
  double units = 0;
  std::vector<std::string> variants;  // what build() returns
  bool needs_facenet = false;
  std::function<Built(const std::string& facenet)> build;
};

std::vector<Workload> workloads(int64_t wanted) {
  std::vector<Workload> list;
  const auto of_batch = [](int64_t n) { return ", batch " + std::to_string(n); };
  const int64_t batch = wanted > 0 ? wanted : 32, maps = wanted > 0 ? wanted : 8;
  list.push_back({"W1",
                  "training step, 512 -> 3x112x112" + of_batch(batch),
                  "images",
                  double(batch),
                  {"eager"},
                  false,
                  [batch](const std::string&) { return training_step(batch); }});
  list.push_back({"W2",
                  "PGD iteration, 512 -> 3x112x112" + of_batch(batch),
                  "image-iterations",
                  double(batch),
                  {"eager", "plan"},
                  false,
                  [batch](const std::string&) {
                    return pgd_iteration(make_decoder(DecoderSpec{"deconv", {512}, 112, 512}, 1),
                                         random_features(batch, 512), FeatureDomain::sphere);
                  }});
  for (const int64_t n : wanted > 0 ? std::vector<int64_t>{wanted} : std::vector<int64_t>{16, 1})
    list.push_back({"W3",
                    "FaceNet forward" + of_batch(n),
                    "images",
                    double(n),
                    {"eager", "plan"},
                    true,
                    [n](const std::string& card) { return forward_pass(facenet(card), n); }});
  list.push_back({"W4",
                  "MobileFaceNet forward, batch 16",
                  "images",
                  16,
                  {"eager", "plan"},
                  false,
                  [](const std::string&) { return forward_pass(mobilefacenet(), 16); }});
  list.push_back({"W5",
                  "PGD iteration, 64x38x38 -> 3x64x64" + of_batch(maps),
                  "image-iterations",
                  double(maps),
                  {"eager", "plan"},
                  false,
                  [maps](const std::string&) {
                    return pgd_iteration(map_decoder(), uniform({maps, 64, 38, 38}, 5), FeatureDomain::real);
                  }});
  const int64_t images = wanted > 0 ? wanted : 16;
  list.push_back({"W10",
                  "gradient to the image of FaceNet" + of_batch(images),
                  "image-iterations",
                  double(images),
                  {"eager", "plan"},
                  true,
                  [images](const std::string& card) { return image_gradient(facenet(card), images); }});
  list.push_back({"W11",
                  "identity-loss training, 512 -> 3x64x64" + of_batch(batch),
                  "images",
                  double(batch),
                  {"eager"},
                  true,
                  [batch](const std::string& card) { return identity_training(facenet(card), batch); }});
  return list;
}

}  // namespace

Tensor uniform(const Shape& shape, uint64_t seed) {
  std::vector<float> v(static_cast<size_t>(shape.numel()));
  const Philox rng{seed, 2};
  for (size_t i = 0; i < v.size(); ++i) v[i] = float(rng.uniform(i, 0.0, 1.0));
  return Tensor::from(v, shape);
}

Tensor random_features(int64_t n, int64_t dimension) {
  std::vector<float> v(size_t(n * dimension));
  const Philox rng{1, 7};
  for (size_t i = 0; i < v.size(); ++i) v[i] = float(rng.normal(i));
  return l2_normalise(Tensor::from(v, {n, dimension}));
}

void write_mobilefacenet(const std::string& path) {
  AtomicFile file(path);
  file.write(mobilefacenet_onnx());
  file.commit();
}

namespace {

// Where a plan's time goes: medians of runs in which each step is timed by itself.
void say_steps(const PlanState& state, int repeat, double peak_flops, Report& report) {
  const std::vector<OpCall> calls = state.plan().calls();
  std::vector<std::vector<double>> times(calls.size());
  for (int i = 0; i < repeat; ++i) {
    const std::vector<double> seconds = state.profile();
    for (size_t s = 0; s < calls.size(); ++s) times[s].push_back(seconds[s]);
  }
  for (size_t s = 0; s < calls.size(); ++s) {
    const double median = Timing::of(times[s]).median, flops = flops_of(calls[s]);
    std::ostringstream line;
    line << std::fixed << std::setprecision(3) << std::setw(12) << median * 1e3 << " ms  ";
    if (flops > 0 && peak_flops > 0)
      line << flops / median / peak_flops << " of the peak  ";
    else
      line << std::string(19, ' ');
    line << calls[s].op->name;
    for (const ValueInfo& v : calls[s].in)
      if (v.defined) line << " " << v.shape;
    line << " -> " << calls[s].out[0].shape;
    report.say(line.str());
  }
}

}  // namespace

bool measure_variants(const std::string& id, const std::string& title, double units, const std::string& unit,
                      const Cost& cost, const std::vector<Variant>& variants, int repeat, Report& report) {
  constexpr double kLeast = 0.02;  // seconds of a measurement
  struct Running {
    const Variant* variant;
    int calls = 1;
    std::vector<double> times = {};
  };
  std::vector<Running> running;
  for (const Variant& v : variants)
    if (report.wanted(id + " " + v.name, title)) running.push_back({&v});
  for (Running& r : running) {
    r.variant->run();  // to warm up
    r.calls = int(std::clamp(kLeast / std::max(seconds_of(r.variant->run), 1e-7), 1.0, 1000.0));
  }
  std::vector<double> peaks;
  for (int i = 0; i < repeat && !running.empty(); ++i) {
    peaks.push_back(peak_flops_now());
    for (Running& r : running) {
      if (interrupted()) return false;
      const auto several = [&] {
        for (int c = 0; c < r.calls; ++c) r.variant->run();
      };
      r.times.push_back(seconds_of(several) / r.calls);
    }
  }
  if (running.empty()) return true;
  std::nth_element(peaks.begin(), peaks.begin() + std::ptrdiff_t(peaks.size() / 2), peaks.end());
  BenchRow row{"", title, {}, cost, units, unit, peaks[peaks.size() / 2]};
  for (Running& r : running) {
    row.group = id + " " + r.variant->name;
    row.time = Timing::of(r.times);
    report.add(row).update({{"workload", id}, {"variant", r.variant->name}});
  }
  report.floors(row);
  for (const Running& r : running)
    if (report.steps && r.variant->plan) say_steps(*r.variant->plan(), repeat, peak_flops_now(), report);
  return true;
}

bool bench_workloads(const WorkloadOptions& options, Report& report) {
  for (const Workload& w : workloads(options.batch)) {
    if (interrupted()) return false;
    if (std::none_of(w.variants.begin(), w.variants.end(),
                     [&](const std::string& v) { return report.wanted(w.id + " " + v, w.title); }))
      continue;
    if (w.needs_facenet && options.facenet.empty() && !options.random_facenet) {
      report.say(w.id + " " + w.title +
                 ": skipped; give the card of FaceNet with --facenet, or --random-facenet");
      continue;
    }
    const Built built = w.build(options.facenet);
    if (!measure_variants(w.id, w.title, w.units, w.unit, built.cost, built.variants, options.repeat, report))
      return false;
  }
  return true;
}

}  // namespace advf::tools
