// The protection of AdvFace (Wang et al., CVPR 2023): a bounded noise d is added to a stored feature z so
// that a shadow decoder, standing in for the unknown attacker, no longer turns it into its face. Projected
// gradient ascent on an objective (objective.h) with a rule and a projection (noise.h), run on plans.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "advface/protections/ascent/ascent_settings.h"
#include "advface/protections/ascent/objective.h"

namespace advf {

// What happened to one record.
struct ProtectReport {
  int64_t record = 0;
  double noise_l2 = 0, noise_linf = 0;     // of z_adv - z, after the projection on the domain
  double cosine = 0;                       // of z_adv to z
  double loss_before = 0, loss_after = 0;  // at the random start and at the end
  std::vector<float> losses;               // at the start of each step, and at the end
  double kept = 1;                         // share of the noise that the bound on recognition left
  double recognition = 0;                  // cosine of H(z_adv) to H(z), where a bound was asked for
};

struct Protected {
  Tensor features;  // the shape of the input; in host memory
  std::vector<ProtectReport> reports;
};

struct AscentPlans;

// Protects features with one choice of models and settings. The networks are put into evaluation mode (but
// for BatchNormMode::batch), frozen and compiled into plans that run the ascent without allocating; their
// weights must not change while the Protector lives. Memory does not depend on how many rows a call brings.
class Protector {
 public:
  // BatchNormMode::recalibrated: the caller has called recalibrate() on the shadows before.
  // stop: asked every few steps of the ascent; true ends the work with Interrupted.
  Protector(const ProtectModels& models, const ProtectSettings& settings, std::function<bool()> stop = {});
  ~Protector();
  Protector(const Protector&) = delete;
  Protector& operator=(const Protector&) = delete;

  // Row i of `features` (n, feature...) is record number records[i]: its row in the whole set, as
  // advface-extract writes it. photographs (n,3,h,w) in [0,1] for Objective::original only. The result for a
  // record depends on (its feature, its photograph, its number, the seed, the networks, the settings) and on
  // nothing else, bit for bit, however the set is cut into calls (on a device: as far as its libraries keep
  // rows apart); but with BatchNormMode::batch on the
  // records of its block, of 2 to 63, too. Throws Error, naming the record, for a feature that cannot be
  // protected: not finite, or outside the domain.
  Protected protect(const Tensor& features, std::span<const int64_t> records, const Tensor& photographs = {});
  // The rows are the records first_record, first_record + 1, ...
  Protected protect(const Tensor& features, int64_t first_record, const Tensor& photographs = {});

 private:
  struct Batch;
  AscentPlans& plans_for(int64_t batch);
  int64_t largest_batch();
  int64_t next_batch(int64_t rest);
  bool depends_on_batch() const { return settings_.batch_norm == BatchNormMode::batch; }
  Batch prepare(const Tensor& rows, const Tensor& photographs, std::span<const int64_t> records) const;
  void launch(Batch& b);
  static void read(Batch& b);  // waits for it
  void report(const Batch& b, std::vector<ProtectReport>& reports) const;
  bool ask_for_less(int64_t batch);

  ProtectModels models_;
  ProtectSettings settings_;
  std::function<bool()> stop_;
  // By the number of rows, made when first needed. Rows are taken 2^k at a time, the largest batch first, so
  // that any number of rows needs a few plans only.
  std::map<int64_t, std::unique_ptr<AscentPlans>> plans_;
  int64_t largest_batch_ = 0;  // 0: not known yet; falls where a device has too little memory
};

// The same for one call; who has several keeps a Protector, since compiling costs more than one record.
Protected protect(const ProtectModels& models, const Tensor& features, int64_t first_record,
                  const ProtectSettings& settings, const Tensor& photographs = {});

// Estimates the decoder's batch norm again on `rows` features, read in blocks [begin, end). Statistics do not
// depend on who reads them how.
void recalibrate(Decoder& decoder, int64_t rows,
                 const std::function<Tensor(int64_t begin, int64_t end)>& read);

}  // namespace advf
