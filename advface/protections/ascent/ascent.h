// The protection of AdvFace (Wang et al., CVPR 2023): a bounded noise d is added to a stored feature z so
// that a shadow decoder, standing in for the unknown attacker, no longer turns it into its face. Projected
// gradient ascent on an objective (objective.h) with a rule and a projection (noise.h), run on plans.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "advface/protections/ascent/ascent_settings.h"
#include "advface/protections/ascent/objective.h"
#include "advface/protections/protection.h"

namespace advf {

struct AscentPlans;

// Protects features with one choice of networks and settings. They are frozen and compiled into plans that
// run the ascent without allocating; their weights must not change while the Ascent lives. Memory does not
// depend on how many rows a call brings.
class Ascent {
 public:
  // BatchNormMode::recalibrated: the caller has called recalibrate() on the shadows before.
  Ascent(const AscentNetworks& networks, const AscentSettings& settings);
  ~Ascent();
  Ascent(const Ascent&) = delete;
  Ascent& operator=(const Ascent&) = delete;

  // As Protection::apply() has it. Photographs (n,3,h,w) in [0,1] for Objective::original only. With
  // BatchNormMode::batch the result depends on the records of its block, of 2 to 63, too. The context is
  // asked every few steps.
  ProtectedRows protect(const Tensor& features, std::span<const int64_t> records,
                        const Tensor& photographs = {}, const Context& context = {});
  // The rows are the records first_record, first_record + 1, ...
  ProtectedRows protect(const Tensor& features, int64_t first_record, const Tensor& photographs = {});

 private:
  struct Batch;
  AscentPlans& plans_for(int64_t batch);
  int64_t largest_batch();
  int64_t next_batch(int64_t rest);
  bool depends_on_batch() const { return settings_.batch_norm == BatchNormMode::batch; }
  Batch prepare(const Tensor& rows, const Tensor& photographs, std::span<const int64_t> records) const;
  void launch(Batch& b, const Context& context);
  static void read(Batch& b);  // waits for it
  void report(const Batch& b, std::vector<RecordReport>& reports) const;
  bool ask_for_less(int64_t batch);

  AscentNetworks networks_;
  AscentSettings settings_;
  // By the number of rows, made when first needed. Rows are taken 2^k at a time, the largest batch first, so
  // that any number of rows needs a few plans only.
  std::map<int64_t, std::unique_ptr<AscentPlans>> plans_;
  int64_t largest_batch_ = 0;  // 0: not known yet; falls where a device has too little memory
};

// Estimates the decoder's batch norm again on `rows` features, read in blocks [begin, end). Statistics do not
// depend on who reads them how.
void recalibrate(Decoder& decoder, int64_t rows, const ReadRows& read);

}  // namespace advf
