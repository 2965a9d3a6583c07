// advface-faces: writes a set of procedural portraits, and scenes of the same people, for demos and tests
// where there are no photographs.
#include <chrono>
#include <iostream>

#include "advface/synthetic/scene_set.h"
#include "advface/synthetic/synthetic_faces.h"
#include "tools/options/scene_options.h"

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
  int64_t scenes = 0;
  advf::SceneOptions scene{.width = 640, .height = 480, .most_head = 120};
  app.add_option(
         "--scenes", scenes,
         "raw pictures with several of these people before a cluttered ground, written under OUT/scenes")
      ->capture_default_str()
      ->check(CLI::Range(0, 1000000));
  app.add_option("--scene-faces", scene.faces, "people in each")
      ->capture_default_str()
      ->check(CLI::Range(0, 100));
  advf::tools::add_scene_options(app, scene);
  common.add_to(app);
  return advf::tools::run(app, argc, argv, [&] {
    common.activate();
    advf::tools::as_usage([&] { scene.check_valid(); });
    options.seed = common.seed;
    const auto start = std::chrono::steady_clock::now();
    advf::write_face_set(options);
    scene.identities = options.identities;
    int64_t scene_faces = 0;
    if (scenes > 0) scene_faces = advf::write_scenes(options.out + "/scenes", options.seed, scenes, scene);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const int64_t images = (options.identities + options.test_identities) * options.per_identity;
    std::cerr << options.out << ": " << images << " images of " << options.identities << " + "
              << options.test_identities << " people in " << seconds << " s\n";
    if (scene_faces < scenes * scene.faces)
      std::cerr << options.out << "/scenes: " << scene_faces << " of " << scenes * scene.faces
                << " faces found room; larger scenes or smaller heads hold more\n";
    common.write_json({{"images", images},
                       {"identities", options.identities},
                       {"test_identities", options.test_identities},
                       {"pairs", options.pairs * 20},
                       {"scenes", scenes},
                       {"scene_faces", scene_faces},
                       {"seed", options.seed},
                       {"seconds", seconds}});
    return 0;
  });
}
