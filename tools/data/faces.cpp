// advface-faces: writes a set of procedural portraits, for demos and tests where there are no photographs.
#include <chrono>
#include <iostream>

#include "advface/synthetic/synthetic_faces.h"
#include "tools/options/cli.h"

int main(int argc, char** argv) {
  CLI::App app{"Draws people who do not exist: images, labels and a verification protocol.", "advface-faces"};
  app.footer(
      "Example:\n  advface-faces --out build/faces --identities 400 --per-identity 16 --test-identities 60 "
      "--pairs 30");
  advf::FaceSetOptions options;
  advf::tools::Common common;
  app.add_option("--out", options.out, "folder to write; absent or empty")->required();
  app.add_option("--identities", options.identities, "people")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000000));
  app.add_option("--per-identity", options.per_identity, "photographs of each")
      ->capture_default_str()
      ->check(CLI::Range(1, 9999));
  app.add_option("--image-size", options.size, "width and height in pixels")
      ->capture_default_str()
      ->check(CLI::Range(16, 1024));
  app.add_option("--test-identities", options.test_identities, "further people, written under OUT/test")
      ->capture_default_str()
      ->check(CLI::Range(0, 1000000));
  app.add_option("--pairs", options.pairs,
                 "genuine, and as many impostor, pairs in each of the 10 folds of OUT/test/pairs.txt")
      ->capture_default_str()
      ->check(CLI::Range(0, 1000000));
  common.add_to(app);
  return advf::tools::run(app, argc, argv, [&] {
    common.activate();
    options.seed = common.seed;
    const auto start = std::chrono::steady_clock::now();
    advf::write_face_set(options);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const int64_t images = (options.identities + options.test_identities) * options.per_identity;
    std::cerr << options.out << ": " << images << " images of " << options.identities << " + "
              << options.test_identities << " people in " << seconds << " s\n";
    common.write_json({{"images", images},
                       {"identities", options.identities},
                       {"test_identities", options.test_identities},
                       {"pairs", options.pairs * 20},
                       {"seed", options.seed},
                       {"seconds", seconds}});
    return 0;
  });
}
