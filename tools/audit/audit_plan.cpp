#include "tools/audit/audit_plan.h"

#include <algorithm>
#include <set>

#include "advface/core/text_file.h"
#include "advface/protections/registry.h"
#include "tools/audit/plan_steps.h"
#include "tools/audit/step_command.h"

namespace advf::tools {
namespace {

constexpr size_t kPeopleShown = 6, kRecordsStored = 32;
constexpr int64_t kPictureBytes = 9 << 10;

class Planner : private PlanSteps {
 public:
  Planner(const AuditConfig& config, const AuditFacts& facts, const AuditDevice& device)
      : PlanSteps(config, facts, device) {
    pick_people();
  }

  AuditPlan plan(const std::string& programs) {
    for (int64_t seed = int64_t(c_.seed); seed < int64_t(c_.seed) + c_.budget.seeds; ++seed) {
      seed_ = seed;
      for (const AuditProtection& p : c_.protections) {
        measure(p, kAccuracy, accuracy(p));
        measure(p, kStored, stored(p));
        if (certified(p)) measure(p, kCertificate, certificate(p));
      }
      // What ends soon comes first.
      for (const char* attacker : {"attributes", "transfer", "linkage", "unlinkability", "adaptive",
                                   "inversion", "corrected", "oracle"})
        if (std::ranges::find(c_.attackers, attacker) != c_.attackers.end())
          for (const AuditProtection& p : c_.protections) attack(p, attacker);
    }
    for (const AuditProtection& p : c_.protections)
      if (p.locked() && p.links.size() == 1)
        leave_out(p, "anybody who has the key", "under the lock lies the raw feature: see none");
    plan_.steps = std::move(steps_), plan_.device = device_;
    plan_.data_folder = common_folder(f_.digests);
    for (const AuditStep& step : plan_.steps)
      if (std::string& bytes = plan_.programs[step.program]; bytes.empty())
        bytes = digest_of_file(programs + "/advface-" + step.program);
    hash_steps(plan_.steps, c_, f_, plan_.programs);
    return std::move(plan_);
  }

 private:
  using Kind = AuditWord::Kind;

  // The first photograph of each of the first people: every attacker is asked about these.
  void pick_people() {
    std::set<std::string> seen;
    int64_t fewest = std::min({c_.budget.inversion_images, c_.budget.test_images, int64_t(kPeopleShown)});
    if (std::ranges::find(c_.attackers, "oracle") != c_.attackers.end())
      fewest = std::min(fewest, c_.budget.oracle_images);
    for (size_t i = 0; i < f_.test_files.size() && int64_t(plan_.people_shown.size()) < fewest; ++i)
      if (seen.insert(std::string(single_spaced(f_.test_identities[i]))).second)
        plan_.people_shown.push_back(f_.test_files[i]);
    sample_ = plan_.people_shown;
    for (size_t i = 0; i < f_.test_files.size() && sample_.size() < kRecordsStored; ++i)
      if (std::ranges::find(sample_, f_.test_files[i]) == sample_.end()) sample_.push_back(f_.test_files[i]);
  }

  void measure(const AuditProtection& p, const std::string& attacker, int64_t step, int64_t trained = -1) {
    plan_.pairs.push_back({p.name, attacker, seed_, step, trained});
  }
  void leave_out(const AuditProtection& p, const std::string& attacker, const std::string& reason) {
    for (const AuditPlan::LeftOut& l : plan_.left_out)
      if (l.protection == p.name && l.attacker == attacker) return;
    plan_.left_out.push_back({p.name, attacker, reason});
  }

  int64_t accuracy(const AuditProtection& p) {
    Words options;
    if (c_.pairs.empty()) {
      AuditStep pairs{"pairs",
                      "drawing pairs of photographs",
                      "evaluate",
                      {text("pairs"), text("--images"), input(c_.faces.images)}};
      join(pairs.words, listed());
      if (!c_.faces.labels.empty()) join(pairs.words, {text("--labels"), input(c_.faces.labels)});
      const int64_t folds = std::clamp<int64_t>(f_.test_people_with_two / 4, 2, 10);
      join(pairs.words, {text("--split"), text(c_.part), text("--folds"), text(std::to_string(folds)),
                         text("--split-seed"), text(std::to_string(c_.split_seed)), text("--out"),
                         out("out.csv"), text("--json"), out("result.json")});
      options = {text("--pairs"), made(add(std::move(pairs)), "out.csv")};
    } else {
      options = {text("--pairs"), input(c_.pairs)};
    }
    join(options, {text("--scores"), out("scores.tsv")});
    // A file of pairs names photographs itself, also those that are not looked at else.
    AuditStep step = evaluation("recognition", "", p, options, c_.pairs.empty());
    step.seconds += double(f_.test_images) * protecting(p) / f_.rate.multiply_adds;
    return add(std::move(step));
  }

  // A few records as they are stored: the picture of them, their size, and how long one takes.
  int64_t stored(const AuditProtection& p) {
    std::string list;
    for (const std::string& name : sample_) list += name + "\n";
    AuditStep extract{"features of a few", "a few features", "extract", {}, {{"list.txt", list}}};
    // Features of a few need no cache.
    extract.words = faces(false);
    std::erase_if(extract.words, [](const Word& w) { return w.kind == Kind::cache || w.text == "--cache"; });
    join(extract.words, {text("--list"),
                         {Kind::beside, "list.txt"},
                         text("--out"),
                         out("out.npy"),
                         text("--json"),
                         out("result.json")});
    extract.seconds = double(sample_.size()) * f_.rate.recogniser;
    const int64_t features = add(std::move(extract));
    if (p.raw()) return features;
    AuditStep step{named("stored", p.name),
                   "storing: " + named(p.name),
                   "protect",
                   {text("--in"), made(features, "out.npy")}};
    join(step.words, protect(p, kOperatorsKey));
    if (needs_recogniser(p)) join(step.words, {text("--recogniser"), input(c_.faces.recogniser)});
    join(step.words, seeded());
    join(step.words, {text("--out"), out("out.npy"), text("--json"), out("result.json")});
    step.seconds = double(sample_.size()) * protecting(p) / f_.rate.multiply_adds;
    return add(std::move(step));
  }
  bool needs_recogniser(const AuditProtection& p) const {
    if (!f_.unit) return true;
    for (const AuditProtection::Link& link : p.links)
      for (const auto& [name, texts] : link.settings)
        if (name == "keep_recognition" ||
            (name == "objective" && texts[0] != "direct" && texts[0] != "mean-face") ||
            (name == "loss" && texts[0] == "identity"))
          return true;
    return false;
  }

  static bool certified(const AuditProtection& p) {
    if (p.raw() || p.links[0].protection != "noise") return false;
    for (const auto& [name, texts] : p.links[0].settings)
      if (name == "mechanism") return texts[0] != "length";
    return false;
  }
  int64_t certificate(const AuditProtection& p) {
    const int64_t images = std::min<int64_t>(c_.budget.inversion_images, 32);
    AuditStep step =
        evaluation("certificate", "", p,
                   {text("--split"), text(c_.part), text("--split-seed"), text(std::to_string(c_.split_seed)),
                    text("--limit"), text(std::to_string(images)), text("--prior"),
                    text(std::to_string(std::min<int64_t>(256, f_.train_images)))});
    step.seconds += double(images) * 16 * 3 * f_.rate.recogniser + 256 * f_.rate.recogniser;
    return add(std::move(step));
  }

  // sets: kinds of features; each attacker is asked about `images` of them.
  int64_t reconstruction(const AuditProtection& p, const std::string& about, const Word& attacker,
                         const std::string& sets, int64_t images, double seconds_each) {
    const int64_t asked = std::min(images, f_.test_images);
    Words options{text("--split"),
                  text(c_.part),
                  text("--limit"),
                  text(std::to_string(images)),
                  text("--spread"),
                  text("--split-seed"),
                  text(std::to_string(c_.split_seed)),
                  text("--sets"),
                  text(sets),
                  text("--attacker"),
                  attacker,
                  text("--out"),
                  out("images"),
                  text("--scores"),
                  out("scores.tsv")};
    if (!c_.second_recogniser.empty())
      join(options, {text("--second-recogniser"), input(c_.second_recogniser)});
    AuditStep step = evaluation("reconstruction", about, p, std::move(options));
    const double sets_asked = double(std::ranges::count(sets, ',') + 1);
    step.seconds += double(asked) * sets_asked * (seconds_each + 4 * f_.rate.recogniser) +
                    double(asked) * protecting(p) / f_.rate.multiply_adds;
    if (!c_.second_recogniser.empty())
      step.seconds += 0.3 * double(f_.images) * f_.rate.recogniser;  // its thresholds
    step.disk = int64_t(double(asked) * (sets_asked + 1)) * kPictureBytes;
    return add(std::move(step));
  }

  // To a space of its own, also for who has undone the lock, which is undone for decoders of raw features.
  static bool moved(const AuditProtection& p) {
    return std::ranges::any_of(p.links, [](const AuditProtection::Link& l) {
      const auto spec = l.spec();
      return !spec->needs_key() && spec->out({}).moved;
    });
  }
  static constexpr const char* kOfAnotherSpace =
      "takes features as the recogniser makes them, and this protection moves them to a space of their own";

  void attack(const AuditProtection& p, const std::string& attacker) {
    if (attacker == "transfer") return transfer(p);
    if (attacker == "adaptive") return adaptive(p);
    if (attacker == "linkage") return linkage(p);
    if (attacker == "unlinkability") return unlinkability(p);
    if (attacker == "attributes") return attributes(p);
    optimise(p, attacker);
  }

  void transfer(const AuditProtection& p) {
    if (moved(p)) return leave_out(p, "transfer", kOfAnotherSpace);
    const int64_t net = decoder(c_.protections[0]);
    const std::string sets = p.raw() ? "raw,identity" : p.locked() ? "protected" : "protected,noise";
    measure(p, "transfer",
            reconstruction(p, "transfer", made(net, "out.safetensors", "transfer="), sets,
                           c_.budget.test_images, kDecoderStep / 3 / f_.rate.multiply_adds),
            net);
  }

  // Whether an adaptive decoder counts is told by the same one on raw features.
  void adaptive(const AuditProtection& p) {
    if (p.raw()) {
      leave_out(p, "adaptive", "there is nothing to adapt to; transfer is this attacker");
      if (std::ranges::find(c_.attackers, "transfer") == c_.attackers.end()) transfer(p);
      return;
    }
    const int64_t net = decoder(p);
    measure(p, "adaptive",
            reconstruction(p, "adaptive", made(net, "out.safetensors", "adaptive="), "protected",
                           c_.budget.test_images, kDecoderStep / 3 / f_.rate.multiply_adds),
            net);
  }

  // Those without a network of their own.
  void optimise(const AuditProtection& p, const std::string& attacker) {
    const int64_t steps = c_.budget.inversion_steps;
    const std::string sets = p.raw() ? "raw,identity" : "protected";
    if (attacker == "inversion") {
      measure(p, attacker,
              reconstruction(p, attacker, text("inversion=inversion:steps=" + std::to_string(steps)), sets,
                             c_.budget.inversion_images, 3.2 * double(steps) * f_.rate.recogniser));
      return;
    }
    if (moved(p))
      return leave_out(
          p, attacker,
          "begins as what a decoder of raw features makes, which " + std::string(kOfAnotherSpace));
    const int64_t net = decoder(c_.protections[0]);
    if (attacker == "corrected") {
      measure(p, attacker,
              reconstruction(p, attacker,
                             made(net, "out.safetensors",
                                  "corrected=inversion:steps=" + std::to_string(steps) + ",decoder="),
                             sets, c_.budget.inversion_images, 3.2 * double(steps) * f_.rate.recogniser),
              net);
    } else {
      const int64_t queries = c_.budget.oracle_queries;
      measure(p, attacker,
              reconstruction(p, attacker,
                             made(net, "out.safetensors",
                                  "oracle=oracle:queries=" + std::to_string(queries) + ",decoder="),
                             p.raw() ? "raw" : "protected", c_.budget.oracle_images,
                             double(queries) * f_.rate.recogniser * 1.2),
              net);
    }
  }

  Words part() const {
    return {text("--split"), text(c_.part), text("--split-seed"), text(std::to_string(c_.split_seed))};
  }

  // Of an image: where features are no embeddings and stay in the recogniser's space, it leads through the
  // rest of the recogniser and back.
  double linkage_step(const AuditProtection& p) const {
    return kLinkageStep + (f_.unit || moved(p) ? 0 : 3.2 * f_.rate.recogniser * f_.rate.multiply_adds);
  }

  void linkage(const AuditProtection& p) {
    Words options = part();
    int64_t net = -1;
    if (!p.raw()) {
      net = train("linkage of " + p.name, {text("linkage")}, protect(p, kAttackersKey),
                  c_.budget.linkage_epochs, linkage_step(p), &p);
      join(options, {text("--attacker"), made(net, "out.safetensors", "linkage=")});
    }
    join(options, {text("--scores"), out("scores.tsv")});
    AuditStep step = evaluation("linkage", "", p, std::move(options));
    step.seconds += double(f_.test_images) * protecting(p) / f_.rate.multiply_adds;
    measure(p, "linkage", add(std::move(step)), net);
  }

  void unlinkability(const AuditProtection& p) {
    if (!c_.size_row().converges && !p.raw() && !p.locked() && p.unlocked.empty())
      return leave_out(p, "unlinkability",
                       "takes long without a key, where little is to be expected; not in a quick audit");
    if (p.raw())
      return leave_out(p, "unlinkability", "raw features stand beside every protection, as the ceiling");
    if (!p.unlocked.empty())
      return leave_out(p, "unlinkability", "who has both keys compares what lies under them");
    Words options = part();
    // The second set has another key; where there is none, another seed.
    bool keyed = false, seeded = false;
    for (const AuditProtection::Link& link : p.links) {
      const auto spec = link.spec();
      for (const Setting& s : spec->settings()) {
        if (s.applies && !s.applies()) continue;
        if (s.key) join(options, {text("--other"), {Kind::key, "", s.option().substr(2) + "=", kNextKey}});
        keyed = keyed || s.key;
        seeded = seeded || s.source == Setting::Source::seed;
      }
    }
    if (p.locked())
      join(options, {text("--other"), text("key-set=" + std::string(31, '0') + std::to_string(kNextKey))});
    if (seeded && !keyed) join(options, {text("--other"), text("seed=" + std::to_string(seed_ + 1000))});
    join(options, {text("--epochs"), text(std::to_string(c_.budget.linkage_epochs))});
    AuditStep step = evaluation("unlinkability", "", p, std::move(options));
    step.seconds += double(f_.images) *
                    (2 * protecting(p) + 4 * double(c_.budget.linkage_epochs) * kLinkageStep) /
                    f_.rate.multiply_adds;
    // Raw and protected rows, each in two kinds of pairs: all that are not mated, and 200 shuffles.
    const double images = double(f_.test_images);
    const double pairs = 4 * (200 * images + std::min(images * images, double(1 << 20)));
    step.seconds += pairs * double(f_.feature.numel()) * kPairProduct / f_.rate.multiply_adds;
    measure(p, "unlinkability", add(std::move(step)));
  }

  void attributes(const AuditProtection& p) {
    if (c_.attributes.empty())
      return leave_out(p, "attributes", "no attributes are named (\"attributes\": columns of the labels)");
    Words options = part();
    join(options, {text("--attributes"), text(names_text(c_.attributes)), text("--epochs"),
                   text(std::to_string(c_.budget.probe_epochs))});
    join(options, {text("--scores"), out("scores.tsv")});
    if (p.has("attributes")) options.push_back(text("--unseen"));
    AuditStep step = evaluation("attributes", "", p, std::move(options));
    step.seconds += double(f_.train_images + f_.test_images) * protecting(p) / f_.rate.multiply_adds +
                    0.5 * double(c_.attributes.size());
    measure(p, "attributes", add(std::move(step)));
  }

  AuditPlan plan_;
  std::vector<std::string> sample_;
};

}  // namespace

AuditPlan make_audit_plan(const AuditConfig& config, const AuditFacts& facts, const std::string& programs,
                          const AuditDevice& device) {
  return Planner(config, facts, device).plan(programs);
}

}  // namespace advf::tools
