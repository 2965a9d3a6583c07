// What drawn scenes are like, on the command line.
#pragma once
#include "advface/synthetic/synthetic_scene.h"
#include "tools/options/cli.h"

namespace advf::tools {

// --scene-size and --heads. Judged by SceneOptions::check_valid().
void add_scene_options(CLI::App& app, SceneOptions& scene);

}  // namespace advf::tools
