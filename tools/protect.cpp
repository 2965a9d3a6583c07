// advface-protect: features in, adversarial features out, as .npy, streamed in chunks.
#include <chrono>
#include <cstdio>
#include <iostream>

#include "advface/protect.h"
#include "tensor/backend.h"
#include "tensor/io/npy.h"
#include "tools/cli.h"
#include "tools/progress.h"

using namespace advf;
using namespace advf::tools;

namespace {

struct Options {
  Common common;
  std::string shadow, in, out, report;
  ProtectSettings settings;
  int64_t batch = 256;
};

nlohmann::json to_json(const ProtectReport& r) {
  return {{"record", r.record}, {"noise_l2", r.noise_l2},       {"noise_linf", r.noise_linf},
          {"cosine", r.cosine}, {"loss_before", r.loss_before}, {"loss_after", r.loss_after}};
}

int protect_file(Options& o) {
  o.common.activate();
  o.settings.seed = o.common.seed;
  as_usage([&] { o.settings.check_valid(); });
  install_interrupt_handler();
  const auto shadow = Decoder::load(o.shadow);
  const NpyReader reader(o.in);
  Shape row(std::span<const int64_t>(reader.shape().begin() + 1, size_t(reader.shape().rank() - 1)));
  shadow->check_fits(row, "", "", o.in);

  Protector protector(*shadow, o.settings);
  NpyWriter writer(o.out, DType::f32, row);
  std::unique_ptr<AtomicFile> report = o.report.empty() ? nullptr : std::make_unique<AtomicFile>(o.report);
  ProtectReport sum;
  Progress progress("protect", reader.rows(), "features");
  // A device works on one batch while the next is sent ahead, so a call brings several.
  const int64_t at_once = current_backend().is_host() ? o.batch : 4 * o.batch;
  for (int64_t begin = 0; begin < reader.rows(); begin += at_once) {
    if (interrupted()) throw Interrupted();  // nothing is written
    const int64_t end = std::min(reader.rows(), begin + at_once);
    Protected chunk;
    try {
      chunk = protector.protect(reader.read_rows(begin, end), begin);
    } catch (const Error& e) {
      fail(o.in, ": ", e.what(), "; nothing was written");
    }
    writer.append_rows(chunk.features);
    for (const ProtectReport& r : chunk.reports) {
      if (report) report->write(to_json(r).dump() + "\n");
      sum.noise_l2 += r.noise_l2;
      sum.cosine += r.cosine;
      sum.loss_before += r.loss_before;
      sum.loss_after += r.loss_after;
    }
    progress.advance(end - begin, "loss " + short_number(sum.loss_after / double(end)));
  }
  progress.finish();
  if (report) report->commit();
  writer.commit();

  const double n = double(std::max<int64_t>(reader.rows(), 1));
  nlohmann::json result = {
      {"records", reader.rows()},
      {"epsilon", o.settings.epsilon},
      {"steps", o.settings.steps},
      {"step_size", o.settings.effective_step_size()},
      {"seed", o.settings.seed},
      {"mean_noise_l2", sum.noise_l2 / n},
      {"mean_cosine", sum.cosine / n},
      {"mean_loss_before", sum.loss_before / n},
      {"mean_loss_after", sum.loss_after / n},
      {"seconds", progress.seconds()},
      {"features_per_second", double(reader.rows()) / std::max(progress.seconds(), 1e-9)},
      {"peak_memory_bytes", peak_memory_bytes()}};
  o.common.write_json(result);
  std::cout << "protected " << reader.rows() << " features -> " << o.out << ": mean cosine to the original "
            << short_number(sum.cosine / n) << ", mean noise norm " << short_number(sum.noise_l2 / n)
            << ", image difference " << short_number(sum.loss_before / n) << " -> "
            << short_number(sum.loss_after / n) << "\n";
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Adds adversarial noise to facial features so that reconstruction networks fail on them.",
               "advface-protect");
  app.footer(
      "Example:\n  advface-protect --shadow shadow.safetensors --in features.npy --out protected.npy \\\n"
      "    --epsilon 0.02 --steps 10 --report report.jsonl");
  Options o;
  app.add_option("--shadow", o.shadow, "decoder made by `advface-train shadow`")->required();
  app.add_option("--in", o.in, "features, one per row (.npy)")->required();
  app.add_option("--out", o.out, "where the protected features go (.npy); appears only when complete")
      ->required();
  app.add_option("--epsilon", o.settings.epsilon, "largest change of each value of a feature (L-inf)")
      ->capture_default_str();
  app.add_option("--steps", o.settings.steps, "gradient steps")->capture_default_str();
  app.add_option("--step-size", o.settings.step_size, "length of a step; 0 = 2.5 epsilon / steps")
      ->capture_default_str();
  app.add_option("--batch", o.batch, "features at a time; does not change the result")
      ->capture_default_str()
      ->check(CLI::Range(int64_t(1), int64_t(65536)));
  app.add_option("--report", o.report, "one JSON line per record: noise, cosine, loss before and after");
  o.common.add_to(app);
  return run(app, argc, argv, [&] { return protect_file(o); });
}
