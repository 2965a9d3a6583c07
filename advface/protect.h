// The protection of AdvFace (Wang et al., CVPR 2023): a bounded noise d is added to a stored feature z so
// that the shadow decoder S no longer turns it into its face. Objective `direct`: maximise |S(P(z+d)) -
// S(z)|^2 by projected gradient ascent, where P keeps the feature in its domain (the unit sphere for a
// normalised embedding).
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "advface/decoder.h"

namespace advf {

struct ProtectSettings {
  double epsilon = 0.02;  // radius of the L-inf ball, in units of the feature; our default
  int steps = 10;         // gradient steps; our default
  double step_size = 0;   // 0 = 2.5 epsilon / steps, the usual choice for PGD
  uint64_t seed = 1;      // of the random start

  double effective_step_size() const {
    return step_size > 0 ? step_size : steps > 0 ? 2.5 * epsilon / steps : 0;
  }
  void check_valid() const;  // throws Error naming the setting
};

// What happened to one record.
struct ProtectReport {
  int64_t record = 0;
  double noise_l2 = 0, noise_linf = 0;  // of z_adv - z, after the projection on the domain
  double cosine = 0;                    // of z_adv to z
  double loss_before = 0,
         loss_after = 0;  // mean squared difference of the images, at the random start and at the end
};

struct Protected {
  Tensor features;  // the shape of the input
  std::vector<ProtectReport> reports;
};

// Protects features with one shadow and one choice of settings. The shadow is put into evaluation mode,
// frozen (batch norm folded into the weights) and compiled into plans that run the PGD loop without
// allocating; its weights must not change while the Protector lives. Memory does not depend on how many rows
// a call brings.
class Protector {
 public:
  Protector(Decoder& shadow, const ProtectSettings& settings);
  ~Protector();
  Protector(const Protector&) = delete;
  Protector& operator=(const Protector&) = delete;

  // Row i of `features` (n, feature...) is record number records[i]: its row in the whole set, as
  // advface-extract writes it, so that part of a set is protected as the whole is.
  // The result for a record depends on (its feature, its number, the seed, the shadow, the settings) and on
  // nothing else, bit for bit, however the set is cut into calls (on a device: as far as its libraries keep
  // rows apart). Throws Error, naming the record, for a feature that cannot be protected: not finite, or zero
  // where the domain is the sphere.
  Protected protect(const Tensor& features, std::span<const int64_t> records);
  // The rows are the records first_record, first_record + 1, ...
  Protected protect(const Tensor& features, int64_t first_record);

 private:
  struct Plans;
  struct Batch;
  Plans& plans_for(int64_t batch);
  Batch prepare(const Tensor& rows, std::span<const int64_t> records) const;
  void launch(Batch& b);
  static void read(Batch& b);  // waits for it
  void report(const Batch& b, Protected& result) const;

  Decoder& shadow_;
  ProtectSettings settings_;
  int largest_;  // batch, as a power of two; falls where a device has too little memory
  // By the logarithm of the batch: rows are taken 2^k at a time, the largest batch first, so that any number
  // of rows needs a few plans only. Made when first needed.
  std::vector<std::unique_ptr<Plans>> plans_;
};

// The same for one call; who has several keeps a Protector, since compiling costs more than one record.
Protected protect(Decoder& shadow, const Tensor& features, int64_t first_record,
                  const ProtectSettings& settings);

}  // namespace advf
