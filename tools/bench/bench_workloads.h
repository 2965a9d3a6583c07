// The rows of advface-bench that measure what users wait for, defined once so that everybody measures the
// same:
//   W1 training step: decoder 512 -> 3x112x112 (four transposed convolutions from 512x7x7),
//      batch 32, L1, Adam
//
//   W2 PGD iteration: the same decoder frozen, batch 32; u = (z + d) normalised, squared error
//      against a fixed image, gradient in d alone, sign step, projection on the L-inf ball
//
//   W3 FaceNet forward, batch 16 and batch 1       W4 MobileFaceNet forward, batch 16
//   W5 PGD iteration of a decoder of 64x38x38 maps, batch 8 (maps have no norm: u = z + d)
//
//   W10 what inversion waits for: 16 images of 160x160 through FaceNet and back, one Adam step on the images
//      towards embeddings that are given
//
//   W11 training step of a decoder 512 -> 3x64x64, batch 32: L1 and half of (1 - cosine) of the images'
//      embeddings by frozen FaceNet (resized to 160x160), Adam
// W6, the program advface-protect, is in bench_protect.h. A workload has variants: `eager` runs op by op,
// `plan` is what the programs do. They are measured in turns, so that a neighbour slows all alike.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "tools/bench/bench_report.h"

namespace advf {
class Module;
class PlanState;
class Shape;
class Tensor;
}  // namespace advf

namespace advf::tools {

struct WorkloadOptions {
  std::string facenet;  // card of the recogniser of W3, W10, W11; empty: its rows say that they are skipped
  bool random_facenet = false;  // or the same network with random weights
  int repeat = 15;
  int64_t batch = 0;  // of all but W4, instead of their own
};
// False: interrupted.
bool bench_workloads(const WorkloadOptions& options, Report& report);

// The network of W4, with random weights, as an ONNX file for other programs.
void write_mobilefacenet(const std::string& path);
// FaceNet's network with random weights, likewise.
std::string random_facenet_onnx();

// Values in [0,1].
Tensor uniform(const Shape& shape, uint64_t seed);
// n unit vectors of `dimension` random values.
Tensor random_features(int64_t n, int64_t dimension);

// One variant of a workload: what a run does.
struct Variant {
  std::string name;
  std::function<void()> run;
  std::function<std::shared_ptr<PlanState>()> plan = {};  // such a plan as it runs, for a look at its steps
};
// What a workload is made of before it is measured.
struct Built {
  Cost cost;
  std::vector<Variant> variants;
};
// Measures the wanted variants in turns; rows "ID variant". False: interrupted.
bool measure_variants(const std::string& id, const std::string& title, double units, const std::string& unit,
                      const Cost& cost, const std::vector<Variant>& variants, int repeat, Report& report);

}  // namespace advf::tools
