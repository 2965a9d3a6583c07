// The steps that a plan is made of: what the programs are called with, what is trained for a protection or an
// attacker, and what each is expected to take. Which pairs there are stands in audit_plan.cpp.
#pragma once
#include <string>
#include <vector>

#include "tools/audit/audit_plan.h"

namespace advf::tools {

class PlanSteps {
 protected:
  using Word = AuditWord;
  using Words = std::vector<AuditWord>;
  // Keys by their numbers: what is stored is under the first, who trains on protected features has the
  // second, and records are renewed under the third.
  static constexpr int64_t kOperatorsKey = 1, kAttackersKey = 2, kNextKey = 3;
  // Multiply-adds of a training step for an image of 64 x 64 pixels: how long they take beside a matrix
  // product of the machine was measured.
  static constexpr double kDecoderStep = 0.5e9, kLinkageStep = 8e6;
  // So many times slower than in a matrix product are those of two rows alone, which come from memory.
  static constexpr double kPairProduct = 50;

  PlanSteps(const AuditConfig& config, const AuditFacts& facts, const AuditDevice& device);

  static Word text(std::string value) { return {Word::Kind::text, std::move(value)}; }
  static Word input(std::string path, std::string before = {}) {
    return {Word::Kind::input, std::move(path), std::move(before)};
  }
  static Word made(int64_t step, std::string file, std::string before = {}) {
    return {Word::Kind::made, std::move(file), std::move(before), step};
  }
  static Word out(std::string file) { return {Word::Kind::out, std::move(file)}; }
  static void join(Words& words, Words more) { words.insert(words.end(), more.begin(), more.end()); }

  // Photographs that are looked at.
  Words listed() const;
  // The options of who reads faces. all: that are looked at, else those that the call names itself.
  Words faces(bool all = true) const;
  Words labelled(bool all = true) const;
  Words seeded() const { return {text("--seed"), text(std::to_string(seed_))}; }
  // How a protection is asked for, with what is made for it; under this key where it needs one.
  Words protect(const AuditProtection& p, int64_t key);

  // The name of a step: with the seed, where there are several.
  std::string named(const std::string& what, const std::string& of = "") const;
  // Its number; a step of the same name and words may be there already.
  int64_t add(AuditStep step);
  // A training; its result is out.safetensors. cost: multiply-adds for an image of an epoch.
  int64_t train(const std::string& id, Words verb, const Words& options, int64_t epochs, double cost,
                const AuditProtection* p);
  // An attacker's decoder, of protected features or raw ones.
  int64_t decoder(const AuditProtection& p);
  // A call of advface-evaluate, not yet added.
  AuditStep evaluation(const std::string& verb, const std::string& about, const AuditProtection& p,
                       Words options, bool all = true);
  // Multiply-adds for a record.
  double protecting(const AuditProtection& p) const;

  const AuditConfig& c_;
  const AuditFacts& f_;
  const AuditDevice device_;
  int64_t seed_ = 1;
  std::vector<AuditStep> steps_;

 private:
  int64_t shadow();
  Word missing(const AuditProtection::Link& link, const std::string& setting);

  std::string chosen_;  // photographs, a line each
  bool extracted_ = false, mirrored_ = false;
};

}  // namespace advf::tools
