#include "tools/train.h"
namespace advf::tools {
CLI::App* add_recogniser_verb(CLI::App& app, RecogniserOptions&) {
  return app.add_subcommand("recogniser", "");
}
int train_recogniser(RecogniserOptions&) { return 1; }
}  // namespace advf::tools
