// advface-evaluate: what recognition pays for protection, and what attackers still get: pictures, people,
// attributes; and what is proved of it.
#include "tools/evaluate/evaluate.h"

using namespace advf::tools;

int main(int argc, char** argv) {
  CLI::App app(
      "Measures recognition, reconstruction, linkage, unlinkability and attributes on raw and on protected "
      "features, says what is proved of a protection, and draws results.",
      "advface-evaluate");
  app.require_subcommand(1);
  app.footer(
      "Examples:\n"
      "  advface-evaluate recognition --recogniser facenet.json --images lfw/images --pairs lfw/pairs.txt "
      "\\\n"
      "    --eyes 71,79.5,114,79.5 --shadow shadow.safetensors --epsilon 0.02 --side gallery --json "
      "lfw.json\n"
      "  advface-evaluate reconstruction --recogniser facenet.json --images celeba/images --labels "
      "celeba/labels.csv \\\n"
      "    --eyes 34.5,55.5,54,55.5 --attacker resup=attacker.safetensors --shadow shadow.safetensors \\\n"
      "    --epsilons 0.02,0.04 --sheet sheet.png --json reconstruction.json\n"
      "  advface-evaluate linkage ... --attacker linkage=linkage.safetensors --shadow shadow.safetensors "
      "--epsilon 0.02\n"
      "  advface-evaluate unlinkability ... --protect rotation --key face.key --other key=next.key --out "
      "links.svg\n"
      "  advface-evaluate attributes ... --attributes Male,Eyeglasses --shadow shadow.safetensors --epsilon "
      "0.02\n"
      "  advface-evaluate certificate ... --protect noise --mechanism gaussian --privacy-epsilon 8");
  JoinOptions join;
  RecognitionOptions recognition;
  ReconstructionOptions reconstruction;
  PairsOptions pairs;
  auto* recognition_app = add_recognition_verb(app, recognition);
  auto* reconstruction_app = add_reconstruction_verb(app, reconstruction);
  auto* join_app = add_join_verb(app, join);
  add_pairs_verb(app, pairs);
  LinkageOptions linkage;
  auto* linkage_app = add_linkage_verb(app, linkage);
  UnlinkabilityOptions unlinkability;
  auto* unlinkability_app = add_unlinkability_verb(app, unlinkability);
  AttributeOptions attributes;
  auto* attributes_app = add_attributes_verb(app, attributes);
  CertificateOptions certificate;
  auto* certificate_app = add_certificate_verb(app, certificate);
  PlotOptions plot;
  auto* plot_app = add_plot_verb(app, plot);
  return run(app, argc, argv, [&] {
    if (*plot_app) return evaluate_plot(plot);
    if (*join_app) return evaluate_join(join);
    if (*certificate_app) return evaluate_certificate(certificate);
    if (*linkage_app) return evaluate_linkage(linkage);
    if (*unlinkability_app) return evaluate_unlinkability(unlinkability);
    if (*attributes_app) return evaluate_attributes(attributes);
    if (*recognition_app) return evaluate_recognition(recognition);
    return *reconstruction_app ? evaluate_reconstruction(reconstruction) : evaluate_pairs(pairs);
  });
}
