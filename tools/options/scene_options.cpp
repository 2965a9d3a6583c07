#include "tools/options/scene_options.h"

#include "tools/options/progress.h"

namespace advf::tools {

void add_scene_options(CLI::App& app, SceneOptions& scene) {
  app.add_option_function<std::vector<int>>(
         "--scene-size",
         [&scene](const std::vector<int>& size) {
           scene.width = size.at(0);
           scene.height = size.at(1);
         },
         "width,height of a scene in pixels")
      ->delimiter(',')
      ->expected(2)
      ->default_str(std::to_string(scene.width) + "," + std::to_string(scene.height));
  app.add_option_function<std::vector<double>>(
         "--heads",
         [&scene](const std::vector<double>& heads) {
           scene.least_head = heads.at(0);
           scene.most_head = heads.at(1);
         },
         "least,most of a head in a scene, from chin to crown, in pixels")
      ->delimiter(',')
      ->expected(2)
      ->default_str(short_number(scene.least_head) + "," + short_number(scene.most_head));
}

}  // namespace advf::tools
