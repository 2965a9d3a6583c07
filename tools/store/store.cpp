// advface-store: protected features in a file that SQLite keeps, from enrolment to a decision, and to
// erasure. Exit code 3 beside those of all programs: verify and identify have rejected.
#include <sys/stat.h>

#include "tools/store/store_options.h"

using namespace advf;
using namespace advf::tools;

int main(int argc, char** argv) {
  CLI::App app("Keeps protected features: enrols, verifies, identifies, removes and renews people.",
               "advface-store");
  app.footer(
      "Example:\n  advface-store init people.db --recogniser facenet.json --protect rotation --key face.key\n"
      "  advface-store add people.db --key face.key --recogniser facenet.json --image anna.jpg --subject "
      "anna\n"
      "  advface-store verify people.db --key face.key --recogniser facenet.json --image door.jpg --subject "
      "anna --threshold 0.4\n"
      "  advface-store remove people.db --subject anna\n"
      "Exit codes: 0 done, or accepted; 1 failed; 2 called wrongly; 3 rejected (verify, identify).");
  app.require_subcommand(1);
  Verbs verbs;
  add_fill_verbs(app, verbs);
  add_match_verbs(app, verbs);
  add_renew_verbs(app, verbs);
  add_exchange_verbs(app, verbs);
  add_manage_verbs(app, verbs);
  return run(
      app, argc, argv,
      [&] {
        install_interrupt_handler();
        ::umask(077);  // what is told of people is for the owner alone, as the store is
        for (const Verb& verb : verbs)
          if (verb.app->parsed()) return verb.run();
        return 2;
      },
      Processes::several);
}
