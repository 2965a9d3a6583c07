// advface-train recalibrate: a decoder whose batch norm knows other features than it was trained on.
#include <iostream>

#include "advface/core/feature_file.h"
#include "tools/options/progress.h"
#include "tools/train/train.h"

namespace advf::tools {

int recalibrate_decoder(RecalibrateOptions& o) {
  o.common.activate();
  install_interrupt_handler();
  check_writable({o.out});
  const auto decoder = Decoder::load(o.shadow);
  const FeatureFile file = open_feature_file(o.in);
  const FeatureRows& features = file.rows;
  check_comes_from(file.info, o.in, decoder->info().recogniser, decoder->info().cut, o.shadow);
  decoder->check_fits(features.row(), "", "", o.in);
  check_rows(features, decoder->info().domain, o.in);
  check(features.count() >= 2, o.in, " has ", features.count(), " rows; batch norm needs two or more");
  Progress progress("batch norm", features.count(), "features");
  recalibrate(*decoder, features.count(), [&](int64_t begin, int64_t end) {
    if (interrupted()) throw Interrupted();
    progress.advance(end - begin);
    return features.batch(begin, end);
  });
  progress.finish();
  decoder->save(o.out);
  o.common.write_json({{"out", o.out}, {"shadow", o.shadow}, {"records", features.count()}});
  std::cout << o.out << ": " << o.shadow << " with batch norm of " << features.count() << " features of "
            << o.in << "\n";
  return 0;
}

CLI::App* add_recalibrate_verb(CLI::App& app, RecalibrateOptions& o) {
  CLI::App* sub =
      app.add_subcommand("recalibrate", "estimates a shadow's batch norm again, on features to be protected");
  sub->add_option("--shadow", o.shadow, "decoder made by advface-train")->required();
  sub->add_option("--in", o.in, "features, one per row (.npy)")->required();
  sub->add_option("--out", o.out, "where the decoder goes (.safetensors)")->required();
  o.common.add_to(*sub);
  return sub;
}

}  // namespace advf::tools
