// W10 and W11: through a frozen recogniser to the image and back.
#pragma once
#include "advface/core/recogniser.h"
#include "tools/bench/bench_workloads.h"

namespace advf::tools {

// An iteration of inversion on `batch` images of the network's own size, eager and as a plan.
Built image_gradient(Recogniser network, int64_t batch);
// A training step of a decoder to 3x64x64, whose loss is what advface-train adds up for --decoder-loss
// identity.
Built identity_training(Recogniser network, int64_t batch);

}  // namespace advf::tools
