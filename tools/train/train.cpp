// advface-train: the shadow model, attackers, generators, adapters, linkage networks, recognisers and a
// detector.
#include <iostream>

#include "tools/options/part.h"
#include "tools/train/train.h"

namespace advf::tools {
namespace {

// What several ranks cannot train together: losses that are no mean over the images of a batch. And several
// processes that are no team would train the same, and write over each other.
void check_for_team(const Team* team, const CLI::App& app, const RecogniserOptions& recogniser) {
  if (!team) {
    if (const std::string size = several_processes(); !size.empty())
      throw WrongCall("started as one of several by mpirun or srun (" + size +
                      "); advface-train-mpi trains with all of them");
    return;
  }
  const CLI::App* verb = app.get_subcommands().at(0);
  as_usage([&] {
    const std::string name = verb->get_name();
    check(name != "detector" && name != "fit" && name != "recalibrate", name,
          " is the work of one process; start it without mpirun");
    check(recogniser.recogniser.against.decoder.empty(),
          "--against trains a second network beside the first, in one process; start it without mpirun");
  });
}

}  // namespace

int train_main(int argc, char** argv, Team* team) {
  const TeamScope scope(team);
  CLI::App app(
      "Trains shadow models, attackers, generators of noise, adapters, linkage networks, probes, small "
      "recognisers and a detector for drawn scenes; fits projections.",
      team ? "advface-train-mpi" : "advface-train");
  app.require_subcommand(1);
  app.footer(
      "Examples:\n"
      "  advface-train shadow --recogniser facenet.json --images celeba/images --labels celeba/labels.csv "
      "\\\n"
      "    --eyes 34.5,55.5,54,55.5 --decoder deconv --out shadow.safetensors\n"
      "  advface-train attacker ... --decoder resup --shadow shadow.safetensors --epsilon 0.04 --out "
      "adaptive.safetensors\n"
      "  advface-train generator ... --shadow shadow.safetensors --epsilon 0.04 --out generator.safetensors\n"
      "  advface-train adapter ... --shadow shadow.safetensors --epsilon 0.04 --out adapter.safetensors\n"
      "  advface-train linkage ... --shadow shadow.safetensors --epsilon 0.04 --out linkage.safetensors\n"
      "  advface-train probe ... --attributes Smiling --out probe.safetensors\n"
      "  advface-train fit projection ... --dims 64 --out projection.safetensors\n"
      "  advface-train recogniser --images faces --out recogniser.json\n"
      "  advface-train detector --scenes 1500 --out detector.json");
  DecoderOptions shadow, attacker;
  auto* shadow_app =
      add_decoder_verb(app, "shadow", "trains the server's shadow model on raw features", shadow, false);
  auto* attacker_app = add_decoder_verb(
      app, "attacker", "trains an attacker: on raw features, or (adaptive) on protected ones", attacker,
      true);
  FeatureNetOptions generator, adapter, linkage, probe, projection;
  auto* generator_app = add_generator_verb(app, generator);
  auto* adapter_app = add_reader_verb(app, ReaderRole::adapter, adapter);
  auto* linkage_app = add_reader_verb(app, ReaderRole::linkage, linkage);
  auto* probe_app = add_probe_verb(app, probe);
  projection.settings.epochs = 3;  // more learns the training people by heart
  auto* projection_app = add_projection_verb(app, projection);
  FitOptions fitted;
  auto* fit_app = add_fit_verb(app, fitted);
  RecogniserOptions recogniser;
  add_recogniser_verb(app, recogniser);
  DetectorOptions detector;
  auto* detector_app = add_detector_verb(app, detector);
  RecalibrateOptions recalibration;
  auto* recalibrate_app = add_recalibrate_verb(app, recalibration);
  return run(
      app, argc, argv,
      [&] {
        check_for_team(team, app, recogniser);
        try {
          if (*shadow_app) return train_decoder(shadow);
          if (*attacker_app) return train_decoder(attacker);
          if (*generator_app) return train_generator(generator);
          if (*adapter_app) return train_reader(ReaderRole::adapter, adapter);
          if (*linkage_app) return train_reader(ReaderRole::linkage, linkage);
          if (*probe_app) return train_probe(probe);
          if (*projection_app) return train_projection(projection);
          if (*fit_app) return fit(fitted);
          if (*detector_app) return train_detector(detector);
          if (*recalibrate_app) return recalibrate_decoder(recalibration);
          return train_recogniser(recogniser);
        } catch (const NotTheWriter&) {
          return 0;
        }
      },
      Processes::several);
}

}  // namespace advf::tools
