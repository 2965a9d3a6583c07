#include "tools/audit/audit_facts.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <map>
#include <set>

#include "advface/audit/feature_sets.h"
#include "advface/audit/verification_audit.h"
#include "advface/core/name_spelling.h"
#include "advface/core/recogniser.h"
#include "advface/core/text_file.h"
#include "advface/detect/detector_card.h"
#include "advface/keys/key.h"
#include "advface/keys/signature.h"
#include "advface/protections/protection_chain.h"
#include "advface/protections/registry.h"
#include "tensor/backend.h"
#include "tensor/io/image.h"
#include "tensor/io/input_file.h"
#include "tensor/ops.h"
#include "tensor/parallel.h"
#include "tools/options/setting_options.h"

namespace advf::tools {
namespace {

constexpr uint64_t kMostBytes = uint64_t(1) << 33;

// "Anna" and "anna"; with the alphabets of both, where nobody would see the difference without.
std::string both(const std::string& one, const std::string& other) {
  const std::string first = alphabets_of(one), second = alphabets_of(other);
  const auto told = [&](const std::string& name, const std::string& letters) {
    return "\"" + name + "\"" +
           (first == second ? "" : " (" + (letters.empty() ? "no" : letters) + " letters)");
  };
  return told(one, first) + " and " + told(other, second);
}

// Throws Error for two who are spelled alike, or who look alike with the letters of two alphabets in a word
// of one of them.
void check_spellings(const std::set<std::string>& people, const std::string& source) {
  const auto check_other = [&](const std::string& one, const std::string& other) {
    check(one == other, source, ": ", both(one, other),
          " look like one person in two spellings, who could be trained on and tested on; give both one "
          "name, or, if they are two people, ",
          std::ranges::all_of(plain_spelling(one), [](unsigned char c) { return std::isdigit(c); })
              ? "one of them a letter before it"
              : "one of them a number behind it");
  };
  std::map<std::string, std::string> spelled, looking, mixed;
  for (const std::string& name : people) {
    const std::string plain = plain_spelling(name), look = look_of(name);
    if (plain.empty()) continue;
    check_other(spelled.emplace(plain, name).first->second, name);
    const std::string& first = looking.emplace(look, name).first->second;
    if (mixes_alphabets(name)) check_other(first, name), mixed.emplace(look, name);
    if (const auto at = mixed.find(look); at != mixed.end()) check_other(at->second, name);
  }
}

// Names that may be one person's, or two people's: told where they lie in different parts of the split, and
// borne, as nobody but who made the list can say.
void note_alike(const Labels& labels, const Split& split, const std::string& source, const Context& context) {
  constexpr size_t kTold = 3;
  struct Seen {
    std::string name;
    int part = 0;
  };
  std::map<std::string, Seen> first;
  std::set<std::string> told, names;
  std::string pairs;
  int part = 0;
  for (const auto* rows : {&split.train, &split.validation, &split.test}) {
    for (const int64_t row : *rows) {
      const std::string& name = labels.identities[size_t(row)];
      if (!names.insert(name).second) continue;
      const auto [at, fresh] = first.emplace(loose_spelling(name), Seen{name, part});
      if (fresh || at->first.empty() || at->second.part == part || !told.insert(name).second) continue;
      if (told.size() <= kTold) pairs += (pairs.empty() ? "" : ", ") + both(at->second.name, name);
    }
    ++part;
  }
  if (told.empty()) return;
  context.tell("note: " + source + ": " + pairs +
               (told.size() > kTold ? " and " + std::to_string(told.size() - kTold) + " more pairs" : "") +
               " lie in different parts of the split and look alike; where they are one person give both one "
               "name, or who was trained on is tested on");
}

using PhotographDigests = std::map<std::string, std::string>;  // by path

constexpr int kCompared = 10;  // people with two photographs or more, of each part, at least

// Rows of as many people, whole and in the order of their keys, as have this share of a part's photographs.
// Of those people who have two or more, and of others, the same share; but of the former enough to compare.
void choose(const std::vector<int64_t>& part, const Labels& labels, double share,
            std::vector<int64_t>& chosen) {
  std::map<int64_t, std::vector<int64_t>> people;
  for (const int64_t row : part) people[person_key(labels.identities[size_t(row)])].push_back(row);
  int compared = 0;
  double wanted[2] = {}, taken[2] = {};
  for (const auto& [person, rows] : people) wanted[rows.size() > 1] += share * double(rows.size());
  for (const auto& [person, rows] : people) {
    const bool several = rows.size() > 1;
    if (taken[several] >= wanted[several] && !(several && compared < kCompared)) continue;
    compared += several;
    taken[several] += double(rows.size());
    chosen.insert(chosen.end(), rows.begin(), rows.end());
  }
}

// Of one photograph, as it is looked at before the work.
struct Looked {
  bool broken = false;
  std::string digest;         // of its bytes, where they are there
  int width = 0, height = 0;  // of one that can be read
  std::string misfit = {};    // why no face can be cut out where the settings say that the eyes are
};

// Eyes at one place are for pictures that were aligned alike: one of another size was not, and one that they
// lie outside of would end a step that comes after hours of training.
void check_eyes(const AuditConfig& c, const FaceSource& images, const std::vector<int64_t>& rows,
                const std::vector<Looked>& looked) {
  std::map<std::pair<int, int>, int64_t> sizes;
  for (size_t i = 0; i < rows.size(); ++i) {
    check(looked[i].misfit.empty(), c.file, ": eyes: ", looked[i].misfit);
    if (!looked[i].broken) ++sizes[{looked[i].width, looked[i].height}];
  }
  if (sizes.size() < 2) return;
  const auto usual = std::ranges::max_element(sizes, {}, [](const auto& size) { return size.second; })->first;
  for (size_t i = 0; i < rows.size(); ++i)
    check(
        looked[i].broken || std::pair(looked[i].width, looked[i].height) == usual, c.file,
        ": eyes: ", images.name(rows[i]), " is ", looked[i].width, " x ", looked[i].height,
        " pixels, and most others are ", usual.first, " x ", usual.second,
        ": eyes at one place are for photographs of one size, aligned alike; take it out, or give a detector "
        "in place of eyes");
}

// Which of these cannot be read: a step that meets them may come after hours of training.
std::vector<std::string> unreadable(const AuditConfig& c, const FaceSource& images,
                                    const std::vector<int64_t>& rows, const Context& context,
                                    PhotographDigests& digests) {
  constexpr int64_t kAtOnce = 64;
  const bool by_eyes = !c.faces.eyes.empty();
  const FaceCut cut = by_eyes ? c.faces.face_cut(load_card(c.faces.recogniser).crop) : FaceCut();
  const auto n = int64_t(rows.size());
  std::vector<std::string> names;
  std::vector<Looked> looked(rows.size());
  const auto progress = context.begin("look through", n, "images");
  for (int64_t begin = 0; begin < n; begin += kAtOnce) {
    context.check_stop();
    const int64_t end = std::min(n, begin + kAtOnce);
    parallel_for(end - begin, [&](int64_t k) {
      const auto i = size_t(begin + k);
      Looked& one = looked[i];
      try {
        const std::string path = images.path(rows[i]);
        const std::vector<std::byte> bytes = read_file(path, ImageLimits{}.max_file_bytes);
        one.digest = digest(bytes);
        const Image image = decode_image(bytes, path);
        one.width = image.width, one.height = image.height;
        if (by_eyes) one.misfit = cut.cut(image, images.name(rows[i]), path, 1).why;
      } catch (const Error&) {
        one.broken = true;
      }
    });
    progress->advance(end - begin);
  }
  progress->finish();
  if (by_eyes) check_eyes(c, images, rows, looked);
  for (size_t i = 0; i < rows.size(); ++i) {
    if (looked[i].broken) names.push_back(images.name(rows[i]));
    if (!looked[i].digest.empty()) digests.emplace(images.path(rows[i]), std::move(looked[i].digest));
  }
  return names;
}

// All steps see the same photographs: those that can be read.
void leave_out_unreadable(const AuditConfig& c, const FaceSource& images, const Context& context,
                          PhotographDigests& digests, AuditFacts& facts) {
  std::vector<int64_t> rows;
  const std::set<std::string> chosen(facts.chosen.begin(), facts.chosen.end());
  for (int64_t i = 0; i < images.size(); ++i)
    if (chosen.empty() || chosen.contains(images.name(i))) rows.push_back(i);
  const std::vector<std::string> broken = unreadable(c, images, rows, context, digests);
  if (broken.empty()) return;
  const std::string which =
      broken[0] + (broken.size() > 1 ? ", " + broken[1] : "") + (broken.size() > 2 ? ", ..." : "");
  check(double(broken.size()) <= images.max_broken_share() * double(rows.size()), c.file,
        ": images: ", broken.size(), " of ", rows.size(), " photographs cannot be read (", which,
        "), more than the ", 100 * images.max_broken_share(),
        " % that are borne; mend them or take them out");
  context.tell("note: " + std::to_string(broken.size()) + " of " + std::to_string(rows.size()) +
               " photographs cannot be read and are left out: " + which);
  const std::set<std::string> out(broken.begin(), broken.end());
  facts.chosen.clear();
  for (const int64_t row : rows)
    if (!out.contains(images.name(row))) facts.chosen.push_back(images.name(row));
  facts.images = int64_t(facts.chosen.size());
}

// Who is on the photographs. Throws Error where one person has two names.
Labels labels_of_people(const AuditConfig& c, const FaceSource& images, const Context& context) {
  const std::string& source = c.faces.labels.empty() ? c.faces.images : c.faces.labels;
  Labels all = at_key(c, c.faces.labels.empty() ? "images" : "labels", [&] {
    Labels read = c.faces.labels_of(images.names());
    const std::set<std::string> people(read.identities.begin(), read.identities.end());
    check(people.size() > 1, source, ": shows one person only (", *people.begin(),
          "); an audit compares people");
    check_spellings(people, source);
    return read;
  });
  note_alike(all, split_by_identity(all, c.split_seed), source, context);
  return all;
}

// The photographs that the budget takes, as a list of their own; none where it takes all. A budget that those
// people alone exceed who are compared at least is none.
void choose_photographs(const AuditConfig& c, const Labels& labels, const FaceSource& images,
                        AuditFacts& facts) {
  facts.images = images.size();
  if (c.budget.images == 0 || c.budget.images >= images.size()) return;
  const Split split = split_by_identity(labels, c.split_seed);
  const auto rows_of = [&](double share) {
    std::vector<int64_t> rows;
    for (const auto* part : {&split.train, &split.validation, &split.test})
      choose(*part, labels, share, rows);
    std::ranges::sort(rows);
    return rows;
  };
  const size_t least = rows_of(0).size();
  check(c.budget.images >= int64_t(least), c.file, ": budget: images is ", c.budget.images, ", and the ",
        kCompared, " people of each part who are compared at least have ", least,
        " photographs: give so many or more, or 0 for all ", images.size());
  const std::vector<int64_t> rows = rows_of(double(c.budget.images) / double(images.size()));
  for (const int64_t row : rows) facts.chosen.push_back(images.name(row));
  facts.images = int64_t(rows.size());
}

void count_people(const AuditConfig& c, const FaceSource& images, const Context& context,
                  PhotographDigests& digests, AuditFacts& facts) {
  Labels labels = labels_of_people(c, images, context);
  choose_photographs(c, labels, images, facts);
  leave_out_unreadable(c, images, context, digests, facts);
  if (!facts.chosen.empty()) labels = select(labels, facts.chosen);
  const std::string source = c.faces.labels.empty() ? c.faces.images : c.faces.labels;
  const Split split = split_by_identity(labels, c.split_seed);
  const std::vector<int64_t>& test = c.part == "test" ? split.test : split.validation;
  const auto people = [&](const std::vector<int64_t>& rows) {
    std::map<int64_t, int> photographs;
    for (const int64_t row : rows) ++photographs[person_key(labels.identities[size_t(row)])];
    return photographs;
  };
  const auto trained = people(split.train), tested = people(test);
  facts.train_images = int64_t(split.train.size()), facts.test_images = int64_t(test.size());
  facts.train_people = int64_t(trained.size()), facts.test_people = int64_t(tested.size());
  facts.test_people_with_two = std::ranges::count_if(tested, [](const auto& one) { return one.second > 1; });
  const std::string where = c.file + ": " + (c.faces.labels.empty() ? "images: " : "labels: ") + source;
  check(facts.test_people_with_two >= 4, where, ": ", facts.test_people_with_two, " of ", facts.test_people,
        " people of the ", c.part,
        " part have two photographs or more, and 4 are needed; 10 % of the people are tested: give more "
        "people, or more "
        "photographs of each");
  check(facts.train_people >= 8, where, ": ", facts.train_people,
        " people to train on, and 8 are needed; give more people");
  for (const int64_t row : test) {
    facts.test_files.push_back(facts.chosen.empty() ? images.name(row) : facts.chosen[size_t(row)]);
    facts.test_identities.push_back(labels.identities[size_t(row)]);
  }
  for (const AuditProtection& p : c.protections)
    for (const AuditProtection::Link& link : p.links)
      for (const auto& setting : link.fit)
        if (setting.first == "attributes")
          at_key(c, "protections", [&] {
            const auto asked = parse_names(setting.second[0], p.name + ": fit: attributes");
            check_attributes(labels, asked);
            check_both_classes(labels, split.train, asked, "trained on");
          });
  if (c.attributes.empty()) return;
  at_key(c, "attributes", [&] {
    check_attributes(labels, c.attributes);  // groups are told by them as well, whoever attacks
    if (std::ranges::find(c.attackers, "attributes") == c.attackers.end()) return;
    check_both_classes(labels, split.train, c.attributes, "trained on");
    check_both_classes(labels, test, c.attributes, "under test");
  });
}

Recogniser load_recogniser(const AuditConfig& c, AuditFacts& facts) {
  const auto start = std::chrono::steady_clock::now();
  Recogniser recogniser = at_key(c, "recogniser", [&] { return Recogniser::load(c.faces.recogniser); });
  facts.rate.load = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  facts.cut = c.faces.cut_of(recogniser);
  facts.feature = at_key(c, "cut", [&] { return recogniser.feature_shape(facts.cut); });
  facts.unit = recogniser.domain(facts.cut) == FeatureDomain::sphere;
  if (!c.second_recogniser.empty()) {
    at_key(c, "second_recogniser", [&] {
      const Recogniser second = Recogniser::load(c.second_recogniser);
      check(second.fingerprint() != recogniser.fingerprint(), c.second_recogniser,
            ": is the recogniser itself; a second one is another network");
    });
  }
  return recogniser;
}

// A projection that the audit fits takes more people than it has dimensions.
void check_dimensions(const AuditProtection::Link& link, const AuditFacts& facts) {
  if (link.protection != "projection" || std::ranges::find(link.settings, "projection", [](const auto& s) {
                                           return s.first;
                                         }) != link.settings.end())
    return;
  const auto fit = protection_kind(link.protection, "audit").fit();
  const Settings list = fit->settings();
  for (const auto& [name, texts] : link.fit) std::ranges::find(list, name, &Setting::name)->read(texts[0]);
  const int64_t dims = std::stoll(values_of(list).at("dims"));
  check(dims < facts.train_people, "its projection of ", dims, " dimensions takes more people than ",
        facts.train_people,
        " to train on: give \"fit\": {\"dims\": ...} fewer, or the audit more photographs");
  check(dims <= facts.feature.numel(), "its projection of ", dims, " dimensions is of features that have ",
        facts.feature.numel());
}

// What a lock is refused for by the links before and behind it, which their files do not change.
void check_lock(const AuditProtection& p) {
  bool of_few_values = false, locked = false;
  for (const AuditProtection::Link& link : p.links) {
    check(!locked, "the protection with a key goes last, and ", link.protection,
          " stands behind it, which who has the key could not undo");
    const auto spec = link.spec();
    locked = spec->needs_key();
    const Metadata values = spec->values();
    const auto mode = values.find("key_mode");
    check(!of_few_values || mode == values.end() || mode->second != "\"per-set\"",
          "key-mode per-set over quantise: rows of a few bits a value show the one rotation of such a key to "
          "whoever has them; take key-mode per-record, or leave quantise out");
    of_few_values = of_few_values || link.protection == "quantise";
  }
}

// Each chain as far as it can be made now: up to the first link whose file the audit will make.
void check_chains(const AuditConfig& c, const Recogniser& recogniser, const AuditFacts& facts) {
  for (const AuditProtection& p : c.protections) {
    ProtectionSpecs specs;
    bool complete = true;  // so far; what comes behind a file that the audit makes is not made here
    try {
      check_lock(p);
      FeatureSpace space = input_of(recogniser, facts.cut, "features").space;
      for (const AuditProtection::Link& link : p.links) {
        std::shared_ptr<ProtectionSpec> spec = link.spec();
        const Settings list = spec->settings();
        set_seed(list, c.seed);
        for (const Setting& s : list)
          check(has_keys() || !s.key || (s.applies && !s.applies()),
                "needs a key, and this build has none (ADVF_KEYS)");
        check(link.protection != "rotation" || space.row.rank() == 1,
              "rotation is for unit vectors, and the features at ", facts.cut,
              " are maps: do not store them, or encrypt them");
        check((link.protection != "duet" && link.protection != "frequency") || space.row.rank() == 3,
              link.protection, " is for maps, and the features at ", facts.cut, " are vectors");
        check((link.protection != "projection" && link.protection != "attributes") || space.row.rank() == 1,
              link.protection, " is for vectors, and the features at ", facts.cut, " are maps");
        check_dimensions(link, facts);
        // What the audit makes leaves unit vectors such.
        const std::string why = spec->idle_in(space);
        check(why.empty(), "protects nothing: ", why);
        try {
          if (complete) spec->check_complete();
        } catch (const Error&) {
          complete = false;
        }
        if (!complete) continue;
        specs.push_back(spec);
        space = spec->out(space);
      }
      if (specs.empty()) continue;
      const ProtectionChain chain(specs, input_of(recogniser, facts.cut, "features"));
      // Of a generator its file alone says how far it goes. What probes go through as well has no angle to
      // them, however much it hides.
      const std::optional<double> angle = chain.guarantee().largest_angle;
      check(!angle || *angle >= kLostInRounding || std::ranges::any_of(specs, &ProtectionSpec::changes_probe),
            "protects nothing: it is proved to leave the features as they are");
    } catch (const Error& e) {
      fail(c.file, ": ", p.name, ": ", e.what());
    }
  }
}

// Throws Error naming a photograph that is not there.
void check_pairs(const PairList& pairs, const FaceSource& images) {
  for (const Pair& pair : pairs.pairs)
    for (const std::string* name : {&pair.a, &pair.b}) paired_file(images.folder(), *name);
}

// The shortest of a few: other work on the machine only makes it longer.
double seconds_of(const std::function<void()>& work) {
  double best = 0;
  for (int i = 0; i < 6; ++i) {
    const auto start = std::chrono::steady_clock::now();
    work();
    const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (i == 1 || (i > 1 && took < best)) best = took;  // the first one builds plans
    if (i > 0 && took > 0.5) break;
  }
  return best;
}

void measure(const Recogniser& recogniser, const std::string& cut, MachineRate& rate) {
  const int64_t n = recogniser.one_at_a_time().empty() ? 16 : 1, side = 768;
  const Tensor image = Tensor::full(recogniser.input_shape(n), 0.1f);
  rate.recogniser = seconds_of([&] { recogniser.features(image, cut); }) / double(n);
  const Tensor a = Tensor::full({side, side}, 0.5f), b = Tensor::full({side, side}, 0.25f);
  rate.multiply_adds = double(side) * double(side) * double(side) / seconds_of([&] { matmul(a, b); });
}

}  // namespace

const std::string& AuditFacts::digest(const std::string& path) const {
  const auto at = std::ranges::find(digests, path, &std::pair<std::string, std::string>::first);
  check(at != digests.end(), path, ": is no input of this audit");
  return at->second;
}

std::string digest_of_file(const std::string& path) { return digest(read_file(path, kMostBytes)); }

std::string digest_of_images(const FaceSource& images, const Context& context,
                             const std::map<std::string, std::string>& known) {
  std::vector<std::byte> lines;
  const auto line = context.begin("hash", images.size(), "images");
  for (int64_t i = 0; i < images.size(); ++i) {
    context.check_stop();
    std::error_code none;
    // A picture that cannot be read is told by whoever reads it.
    const std::string path = images.path(i);
    const auto at = known.find(path);
    const std::string text = images.name(i) + "\t" +
                             (at != known.end()                              ? at->second
                              : std::filesystem::is_regular_file(path, none) ? digest_of_file(path)
                                                                             : "") +
                             "\n";
    const auto bytes = std::as_bytes(std::span(text));
    lines.insert(lines.end(), bytes.begin(), bytes.end());
    line->advance(1);
  }
  line->finish();
  return digest(lines);
}

AuditFacts audit_facts(const AuditConfig& c, const Context& context) {
  AuditFacts facts;
  const Recogniser recogniser = load_recogniser(c, facts);
  const FaceSource images = at_key(c, c.faces.list.empty() ? "images" : "images, list",
                                   [&] { return c.faces.open_images(context); });
  PhotographDigests digests;
  count_people(c, images, context, digests, facts);
  check_chains(c, recogniser, facts);
  if (!c.pairs.empty()) at_key(c, "pairs", [&] { check_pairs(load_pairs(c.pairs), images); });
  const auto add = [&](const std::string& path) {
    if (!path.empty() &&
        std::ranges::find(facts.digests, path, &std::pair<std::string, std::string>::first) ==
            facts.digests.end())
      facts.digests.emplace_back(path, digest_of_file(path));
  };
  for (const std::string& card : {c.faces.recogniser, c.second_recogniser})
    if (!card.empty()) add(card), add(load_card(card).model);
  if (!c.faces.detection.card.empty())
    at_key(c, "detector", [&] {
      add(c.faces.detection.card);
      add(load_detector_card(c.faces.detection.card).model);
    });
  for (const auto& [key, path] : std::initializer_list<std::pair<const char*, const std::string*>>{
           {"list", &c.faces.list},
           {"labels", &c.faces.labels},
           {"landmarks", &c.faces.detection.landmarks},
           {"pairs", &c.pairs}})
    at_key(c, key, [&, file = *path] { add(file); });
  for (const AuditProtection& p : c.protections)
    for (const AuditProtection::Link& link : p.links) {
      const auto spec = link.spec();
      for (const auto& [name, texts] : link.settings)
        if (find_setting(spec->settings(), name, Setting::Source::file))
          at_key(c, p.name + ": " + option_name(name).substr(2), [&, files = texts] {
            for (const std::string& path : files) add(path);
          });
    }
  facts.digests.emplace_back(c.faces.images, digest_of_images(images, context, digests));
  measure(recogniser, facts.cut, facts.rate);
  return facts;
}

}  // namespace advf::tools
