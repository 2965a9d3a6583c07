#include "tools/audit/audit_plan.h"

#include <algorithm>
#include <set>

#include "advface/core/text_file.h"
#include "advface/protections/registry.h"

namespace advf::tools {
namespace {

using Word = AuditWord;
using Words = std::vector<AuditWord>;

constexpr int64_t kOperatorsKey = 1, kAttackersKey = 2, kNextKey = 3;
constexpr std::string_view kMade[] = {"key", "shadow", "projection", "eraser", "duet"};
constexpr const char* kChosen = "photographs.txt";
constexpr size_t kPeopleShown = 6, kRecordsStored = 32;
// Multiply-adds of a training step for an image of 64 x 64 pixels, and of the ascent for a record: how long
// they take beside a matrix product of the machine was measured.
constexpr double kShadowStep = 0.2e9, kDecoderStep = 0.5e9, kLinkageStep = 8e6, kAscent = 1.2e9;
// A network learns by steps: of few photographs it takes smaller batches.
constexpr int64_t kBatch = 64, kLeastBatch = 8, kStepsAnEpoch = 40;
constexpr double kProcess = 0.5;  // seconds that a program takes to begin and end
constexpr int64_t kProcessBytes = int64_t(400) << 20, kNetworkBytes = int64_t(12) << 20,
                  kPictureBytes = 9 << 10;

Word text(std::string value) { return {Word::Kind::text, std::move(value)}; }
Word input(std::string path, std::string before = {}) {
  return {Word::Kind::input, std::move(path), std::move(before)};
}
Word made(int64_t step, std::string file, std::string before = {}) {
  return {Word::Kind::made, std::move(file), std::move(before), step};
}
Word out(std::string file) { return {Word::Kind::out, std::move(file)}; }

class Planner {
 public:
  Planner(const AuditConfig& config, const AuditFacts& facts, const std::string& programs)
      : c_(config), f_(facts), programs_(programs) {
    for (const std::string& name : f_.chosen) chosen_ += name + "\n";
    pick_people();
  }

  AuditPlan plan() {
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
    hash_steps(plan_.steps, c_, f_, programs_);
    return std::move(plan_);
  }

 private:
  using Kind = Word::Kind;

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

  // Photographs that are looked at.
  Words listed() const {
    if (!chosen_.empty()) return {text("--list"), {Kind::beside, kChosen}};
    if (!c_.faces.list.empty()) return {text("--list"), input(c_.faces.list)};
    return {};
  }
  // The options of who reads faces. all: that are looked at, else those that the call names itself.
  Words faces(bool all = true) const {
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
    words.push_back(text("--cache")), words.push_back({Kind::cache, ""});
    return words;
  }
  Words labelled(bool all = true) const {
    Words words = faces(all);
    if (!c_.faces.labels.empty()) words.push_back(text("--labels")), words.push_back(input(c_.faces.labels));
    return words;
  }

  int64_t add(AuditStep step) {
    const auto same = std::ranges::find_if(plan_.steps, [&](const AuditStep& s) { return s.id == step.id; });
    if (same != plan_.steps.end()) return same - plan_.steps.begin();
    if (std::ranges::find(step.words, kChosen, &Word::text) != step.words.end())
      step.files.emplace_back(kChosen, chosen_);
    step.memory += kProcessBytes + f_.images * f_.feature.numel() * 4;
    step.seconds += kProcess;
    plan_.steps.push_back(std::move(step));
    return int64_t(plan_.steps.size()) - 1;
  }
  std::string named(const std::string& what, const std::string& of = "") const {
    const std::string name = of.empty() ? what : what + ", " + of;
    return c_.budget.seeds > 1 ? name + ", seed " + std::to_string(seed_) : name;
  }
  static void join(Words& words, Words more) { words.insert(words.end(), more.begin(), more.end()); }
  Words seeded() const { return {text("--seed"), text(std::to_string(seed_))}; }

  // A training; its result is out.safetensors. cost: multiply-adds for an image of an epoch.
  int64_t train(const std::string& id, Words verb, const Words& options, int64_t epochs, double cost,
                const AuditProtection* p) {
    AuditStep step{named(id), "training: " + named(id), "train", std::move(verb)};
    join(step.words, labelled());
    join(step.words, {text("--split-seed"), text(std::to_string(c_.split_seed))});
    join(step.words, options);
    join(step.words, seeded());
    join(step.words, {text("--out"), out("out.safetensors"), text("--json"), out("result.json")});
    step.seconds =
        double(f_.train_images) * (double(epochs) * cost + (p ? protecting(*p) : 0)) / f_.rate.multiply_adds;
    if (plan_.steps.empty() || !extracted_)
      step.seconds += double(f_.images) * f_.rate.recogniser, extracted_ = true;
    step.disk = 2 * kNetworkBytes;
    step.resumes = epochs > 0;
    if (epochs > 0) join(step.words, {text("--epochs"), text(std::to_string(epochs))});
    int64_t batch = kBatch;
    while (batch > kLeastBatch && f_.train_images < kStepsAnEpoch * batch) batch /= 2;
    if (epochs > 0 && batch < kBatch) join(step.words, {text("--batch"), text(std::to_string(batch))});
    return add(std::move(step));
  }
  double protecting(const AuditProtection& p) const { return p.has("advface") ? kAscent : 0; }

  // The files without which a protection cannot be made; others (a key for secret starts) it does without.
  static bool is_made(const std::string& setting) {
    return std::ranges::find(kMade, setting) != std::end(kMade);
  }
  // What a protection needs and the file does not name.
  Word missing(const AuditProtection::Link& link, const std::string& setting, int64_t key) {
    if (setting == "key") return {Kind::key, "", "", key};
    if (setting == "shadow")
      return made(train("shadow", {text("shadow")}, {}, c_.budget.shadow_epochs, kShadowStep, nullptr),
                  "out.safetensors");
    Words options;
    std::string about;
    for (const auto& [name, texts] : link.fit) {
      join(options, {text(option_name(name)), text(texts[0])});
      about += ", " + texts[0];
    }
    if (link.protection == "attributes" &&
        std::ranges::find(link.fit, "attributes", [](const auto& s) { return s.first; }) == link.fit.end())
      join(options, {text("--attributes"), text(names_text(c_.attributes))});
    return made(
        train("fit " + link.protection + about, {text("fit"), text(link.protection)}, options, 0, 0, nullptr),
        "out.safetensors");
  }

  Words protect(const AuditProtection& p, int64_t key) {
    Words words;
    for (const AuditProtection::Link& link : p.links) {
      join(words, {text("--protect"), text(link.protection)});
      const auto spec = protection_kind(link.protection, "audit").spec();
      for (const Setting& s : spec->settings()) {
        const auto given =
            std::ranges::find(link.settings, s.name, [](const auto& pair) { return pair.first; });
        const bool file = s.source == Setting::Source::file;
        if (given != link.settings.end()) {
          for (const std::string& value : given->second)
            join(words, {text(s.option()), file ? input(value) : text(value)});
        } else if (file && is_made(s.name)) {
          words.push_back(text(s.option()));
          words.push_back(missing(link, s.name, key));
        }
        if (s.name == "key_mode")
          join(words, {text("--key-set"), text(std::string(31, '0') + std::to_string(key))});
      }
    }
    return words;
  }

  void measure(const AuditProtection& p, const std::string& attacker, int64_t step, int64_t trained = -1) {
    plan_.pairs.push_back({p.name, attacker, seed_, step, trained});
  }
  void leave_out(const AuditProtection& p, const std::string& attacker, const std::string& reason) {
    for (const AuditPlan::LeftOut& l : plan_.left_out)
      if (l.protection == p.name && l.attacker == attacker) return;
    plan_.left_out.push_back({p.name, attacker, reason});
  }

  AuditStep evaluation(const std::string& verb, const std::string& about, const AuditProtection& p,
                       Words options, bool all = true) {
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
      join(pairs.words, {text("--part"), text(c_.part), text("--folds"), text(std::to_string(folds)),
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
                   {text("--part"), text(c_.part), text("--split-seed"), text(std::to_string(c_.split_seed)),
                    text("--limit"), text(std::to_string(images)), text("--prior"),
                    text(std::to_string(std::min<int64_t>(256, f_.train_images)))});
    step.seconds += double(images) * 16 * 3 * f_.rate.recogniser + 256 * f_.rate.recogniser;
    return add(std::move(step));
  }

  int64_t decoder(const AuditProtection& p, int64_t* step) {
    Words options{text("--decoder"), text(f_.feature.rank() == 3 ? "unet" : "resup"), text("--mirror"),
                  text("--average"),
                  text(std::to_string(std::clamp<int64_t>(c_.budget.decoder_epochs / 3, 1, 3)))};
    join(options, protect(p, kAttackersKey));
    const size_t before = plan_.steps.size();
    *step = train("decoder of " + (p.raw() ? std::string("raw features") : p.name), {text("attacker")},
                  options, c_.budget.decoder_epochs, kDecoderStep, &p);
    if (plan_.steps.size() > before) {  // mirror images are read and protected as well
      AuditStep& made = plan_.steps.back();
      if (!mirrored_) made.seconds += double(f_.train_images) * f_.rate.recogniser;
      mirrored_ = true;
      made.seconds += double(f_.train_images) * protecting(p) / f_.rate.multiply_adds;
    }
    return *step;
  }

  // sets: kinds of features; each attacker is asked about `images` of them.
  int64_t reconstruction(const AuditProtection& p, const std::string& about, const Word& attacker,
                         const std::string& sets, int64_t images, double seconds_each) {
    const int64_t asked = std::min(images, f_.test_images);
    Words options{text("--part"),
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

  static bool moved(const AuditProtection& p) { return p.has("projection"); }
  static constexpr const char* kOfAnotherShape =
      "takes features of the recogniser's shape, and this protection gives them another";

  void attack(const AuditProtection& p, const std::string& attacker) {
    if (attacker == "transfer") return transfer(p);
    if (attacker == "adaptive") return adaptive(p);
    if (attacker == "linkage") return linkage(p);
    if (attacker == "unlinkability") return unlinkability(p);
    if (attacker == "attributes") return attributes(p);
    optimise(p, attacker);
  }

  void transfer(const AuditProtection& p) {
    if (moved(p)) return leave_out(p, "transfer", kOfAnotherShape);
    int64_t net = -1;
    decoder(c_.protections[0], &net);
    const std::string sets = p.raw()                          ? "raw,identity"
                             : p.locked() || p.has("shuffle") ? "protected"
                                                              : "protected,noise";
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
    int64_t net = -1;
    decoder(p, &net);
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
          "begins as what a decoder of raw features makes, which " + std::string(kOfAnotherShape));
    int64_t net = -1;
    decoder(c_.protections[0], &net);
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
    return {text("--part"), text(c_.part), text("--split-seed"), text(std::to_string(c_.split_seed))};
  }

  void linkage(const AuditProtection& p) {
    Words options = part();
    int64_t net = -1;
    if (!p.raw()) {
      net = train("linkage of " + p.name, {text("linkage")}, protect(p, kAttackersKey),
                  c_.budget.linkage_epochs, kLinkageStep, &p);
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
    if (p.locked()) {
      join(options, {text("--other"), {Kind::key, "", "key=", kNextKey}});
      join(options, {text("--other"), text("key-set=" + std::string(31, '0') + std::to_string(kNextKey))});
    } else if (std::ranges::any_of(p.links, [](const AuditProtection::Link& l) {
                 const auto spec = protection_kind(l.protection, "audit").spec();
                 return find_setting(spec->settings(), "seed", Setting::Source::seed) != nullptr;
               })) {
      join(options, {text("--other"), text("seed=" + std::to_string(seed_ + 1000))});
    }
    join(options, {text("--epochs"), text(std::to_string(c_.budget.linkage_epochs))});
    AuditStep step = evaluation("unlinkability", "", p, std::move(options));
    step.seconds += double(f_.images) *
                    (2 * protecting(p) + 4 * double(c_.budget.linkage_epochs) * kLinkageStep) /
                    f_.rate.multiply_adds;
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

  const AuditConfig& c_;
  const AuditFacts& f_;
  const std::string programs_;
  AuditPlan plan_;
  std::vector<std::string> sample_;
  std::string chosen_;  // a line each
  int64_t seed_ = 1;
  bool extracted_ = false, mirrored_ = false;
};

}  // namespace

AuditPlan make_audit_plan(const AuditConfig& config, const AuditFacts& facts, const std::string& programs) {
  return Planner(config, facts, programs).plan();
}

}  // namespace advf::tools
