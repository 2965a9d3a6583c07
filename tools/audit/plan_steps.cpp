#include "tools/audit/plan_steps.h"

#include <algorithm>

#include "advface/core/text_file.h"
#include "advface/protections/registry.h"

namespace advf::tools {
namespace {

constexpr std::string_view kFitted[] = {"shadow", "projection", "eraser", "duet", "generator"};
constexpr const char* kChosen = "photographs.txt";
// As kDecoderStep; of a generator the step through its shadow, of the ascent for a record all of its steps.
constexpr double kShadowStep = 0.2e9, kGeneratorStep = 0.3e9, kAscent = 1.2e9;
// A network learns by steps: of few photographs it takes smaller batches.
constexpr int64_t kBatch = 64, kLeastBatch = 8, kStepsAnEpoch = 40;
constexpr double kProcess = 0.05;  // seconds that a program takes to begin and end, beside what it reads
constexpr int64_t kProcessBytes = int64_t(400) << 20, kNetworkBytes = int64_t(12) << 20;

// The files that the audit makes for a protection which does not name them; keys are of public numbers.
bool is_made_for(const Setting& s) {
  return s.key || std::ranges::find(kFitted, s.name) != std::end(kFitted);
}

}  // namespace

PlanSteps::PlanSteps(const AuditConfig& config, const AuditFacts& facts, const AuditDevice& device)
    : c_(config), f_(facts), device_(device) {
  for (const std::string& name : f_.chosen) chosen_ += name + "\n";
}

PlanSteps::Words PlanSteps::listed() const {
  if (!chosen_.empty()) return {text("--list"), {Word::Kind::beside, kChosen}};
  if (!c_.faces.list.empty()) return {text("--list"), input(c_.faces.list)};
  return {};
}

PlanSteps::Words PlanSteps::faces(bool all) const {
  const FaceSettings& s = c_.faces;
  Words words{text("--recogniser"), input(s.recogniser), text("--images"), input(s.images)};
  const auto file = [&](const char* option, const std::string& path) {
    if (!path.empty()) words.push_back(text(option)), words.push_back(input(path));
  };
  if (all) join(words, listed());
  file("--detector", s.detection.card);
  file("--landmarks", s.detection.landmarks);
  if (!s.eyes.empty()) {
    std::string eyes;
    for (const float v : s.eyes) eyes += (eyes.empty() ? "" : ",") + nlohmann::json(v).dump();
    words.push_back(text("--eyes")), words.push_back(text(eyes));
  }
  words.push_back(text("--cut")), words.push_back(text(f_.cut));
  words.push_back(text("--cache")), words.push_back({Word::Kind::cache, ""});
  return words;
}

PlanSteps::Words PlanSteps::labelled(bool all) const {
  Words words = faces(all);
  if (!c_.faces.labels.empty()) words.push_back(text("--labels")), words.push_back(input(c_.faces.labels));
  return words;
}

std::string PlanSteps::named(const std::string& what, const std::string& of) const {
  const std::string name = of.empty() ? what : what + ", " + of;
  return c_.budget.seeds > 1 ? name + ", seed " + std::to_string(seed_) : name;
}

int64_t PlanSteps::add(AuditStep step) {
  // Devices give other bits, so that it is part of what a step depends on; drawing pairs computes nothing.
  if (step.words.empty() || step.words[0].text != "pairs")
    for (const std::string& word : device_.options()) step.words.push_back(text(word));
  // Two of one name that do something else, as two fits by values of other settings, are two.
  const std::string id = step.id;
  for (int number = 2;; ++number) {
    const auto same = std::ranges::find(steps_, step.id, &AuditStep::id);
    if (same == steps_.end()) break;
    if (same->words == step.words) return same - steps_.begin();
    step.id = id + ", " + std::to_string(number);
  }
  if (std::ranges::find(step.words, kChosen, &Word::text) != step.words.end())
    step.files.emplace_back(kChosen, chosen_);
  step.memory += kProcessBytes + f_.images * f_.feature.numel() * 4;
  // A large recogniser takes longer to read than many a step to compute.
  step.seconds += kProcess;
  for (const Word& word : step.words)
    if (word.text == "--recogniser" || word.text == "--second-recogniser") step.seconds += f_.rate.load;
  steps_.push_back(std::move(step));
  return int64_t(steps_.size()) - 1;
}

int64_t PlanSteps::train(const std::string& id, Words verb, const Words& options, int64_t epochs, double cost,
                         const AuditProtection* p) {
  AuditStep step{named(id), "training: " + named(id), "train", std::move(verb)};
  join(step.words, labelled());
  join(step.words, {text("--split-seed"), text(std::to_string(c_.split_seed))});
  join(step.words, options);
  join(step.words, seeded());
  join(step.words, {text("--out"), out("out.safetensors"), text("--json"), out("result.json")});
  step.seconds =
      double(f_.train_images) * (double(epochs) * cost + (p ? protecting(*p) : 0)) / f_.rate.multiply_adds;
  if (!extracted_) step.seconds += double(f_.images) * f_.rate.recogniser, extracted_ = true;
  step.disk = 2 * kNetworkBytes;
  step.resumes = epochs > 0;
  if (epochs > 0) join(step.words, {text("--epochs"), text(std::to_string(epochs))});
  int64_t batch = kBatch;
  while (batch > kLeastBatch && f_.train_images < kStepsAnEpoch * batch) batch /= 2;
  if (epochs > 0 && batch < kBatch) join(step.words, {text("--batch"), text(std::to_string(batch))});
  return add(std::move(step));
}

double PlanSteps::protecting(const AuditProtection& p) const { return p.has("advface") ? kAscent : 0; }

int64_t PlanSteps::shadow() {
  return train("shadow", {text("shadow")}, {}, c_.budget.shadow_epochs, kShadowStep, nullptr);
}

// What a protection needs and the file does not name.
AuditWord PlanSteps::missing(const AuditProtection::Link& link, const std::string& setting) {
  const auto chosen = [&](const std::string& name) -> std::string {
    const auto at = std::ranges::find(link.settings, name, [](const auto& pair) { return pair.first; });
    return at == link.settings.end() || at->second.empty() ? "" : at->second[0];
  };
  // Who climbs needs no training: his shadow is fitted.
  if (setting == "shadow" && chosen("objective") != "inversion") return made(shadow(), "out.safetensors");
  Words options;
  std::string about;
  for (const auto& [name, texts] : link.fit) {
    join(options, {text(option_name(name)), text(texts[0])});
    about += ", " + texts[0];
  }
  if (setting == "generator") {
    join(options, {text("--shadow"), made(shadow(), "out.safetensors")});
    return made(train("generator" + about, {text("generator")}, options, c_.budget.generator_epochs,
                      kGeneratorStep, nullptr),
                "out.safetensors");
  }
  if (link.protection == "attributes" &&
      std::ranges::find(link.fit, "attributes", [](const auto& s) { return s.first; }) == link.fit.end())
    join(options, {text("--attributes"), text(names_text(c_.attributes))});
  return made(
      train("fit " + link.protection + about, {text("fit"), text(link.protection)}, options, 0, 0, nullptr),
      "out.safetensors");
}

PlanSteps::Words PlanSteps::protect(const AuditProtection& p, int64_t key) {
  Words words;
  for (const AuditProtection::Link& link : p.links) {
    join(words, {text("--protect"), text(link.protection)});
    const auto spec = link.spec();
    for (const Setting& s : spec->settings()) {
      const auto given =
          std::ranges::find(link.settings, s.name, [](const auto& pair) { return pair.first; });
      const bool file = s.source == Setting::Source::file;
      if (given != link.settings.end()) {
        for (const std::string& value : given->second)
          join(words, {text(s.option()), file ? input(value) : text(value)});
      } else if (file && is_made_for(s) && (!s.applies || s.applies())) {
        words.push_back(text(s.option()));
        words.push_back(s.key ? Word{Word::Kind::key, "", "", key} : missing(link, s.name));
      }
      if (s.name == "key_mode")
        join(words, {text("--key-set"), text(std::string(31, '0') + std::to_string(key))});
    }
  }
  return words;
}

AuditStep PlanSteps::evaluation(const std::string& verb, const std::string& about, const AuditProtection& p,
                                Words options, bool all) {
  AuditStep step{named(verb + (about.empty() ? "" : " by " + about), p.name), "", "evaluate", {text(verb)}};
  step.title = "measuring: " + step.id;
  join(step.words, labelled(all));
  join(step.words, protect(p, kOperatorsKey));
  join(step.words, std::move(options));
  join(step.words, seeded());
  join(step.words, {text("--json"), out("result.json")});
  if (!extracted_) step.seconds += double(f_.images) * f_.rate.recogniser, extracted_ = true;
  return step;
}

int64_t PlanSteps::decoder(const AuditProtection& p) {
  Words options{text("--decoder"), text(f_.feature.rank() == 3 ? "unet" : "resup"), text("--mirror"),
                text("--average"),
                text(std::to_string(std::clamp<int64_t>(c_.budget.decoder_epochs / 3, 1, 3)))};
  join(options, protect(p, kAttackersKey));
  const size_t before = steps_.size();
  const int64_t step = train("decoder of " + (p.raw() ? std::string("raw features") : p.name),
                             {text("attacker")}, options, c_.budget.decoder_epochs, kDecoderStep, &p);
  if (steps_.size() > before) {  // mirror images are read and protected as well
    AuditStep& fresh = steps_.back();
    if (!mirrored_) fresh.seconds += double(f_.train_images) * f_.rate.recogniser;
    mirrored_ = true;
    fresh.seconds += double(f_.train_images) * protecting(p) / f_.rate.multiply_adds;
  }
  return step;
}

}  // namespace advf::tools
