// The end-to-end rows of advface-bench: a training step and forward passes through the public API.
#pragma once
#include <functional>
#include <string>
#include <vector>

namespace advf::tools {

struct ModelCase {
  std::string name;
  int images = 1;
  std::string needs;  // file under the models' folder, or empty
  struct Work {
    std::function<void()> run;
    double flops = 0;  // of one run: convolutions and matrix products
  };
  // Takes the path of `needs`.
  std::function<Work(const std::string& path)> make;
};

const std::vector<ModelCase>& model_cases();

}  // namespace advf::tools
