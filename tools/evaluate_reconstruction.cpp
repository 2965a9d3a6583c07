// advface-evaluate reconstruction: every attacker on raw features, on features protected at each epsilon, on
// noise of equal norm, and on the person's other photographs; each reconstruction scored as it is and
// moment-matched; beside them the mean face.
#include <iostream>
#include <map>
#include <numeric>

#include "advface/feature_file.h"
#include "advface/reconstruction.h"
#include "advface/text_file.h"
#include "nn/loss.h"
#include "tensor/ops.h"
#include "tools/evaluate.h"
#include "tools/progress.h"
#include "tools/reconstruction_report.h"

namespace advf::tools {
namespace {

constexpr int64_t kBlock = 64;  // features in memory at once

struct NamedDecoder {
  std::string name;
  std::unique_ptr<Decoder> decoder;
};
struct NamedFeatures {
  std::string name;  // "raw", "protected, epsilon 0.02", "noise, epsilon 0.02"
  FeatureRows rows;
  double cosine = 1;                 // mean, to the raw features
  std::string kind = "raw";          // "none" beside it: an attacker without a feature
  std::optional<double> epsilon;     // where it was protected here
  ProtectionId protection;           // of kind protected
  const Subject* subject = nullptr;  // whose they are, where not all under test have one
};
// The images under test: rows of the feature set, with the people on them.
struct TestSet {
  std::vector<int64_t> rows, others;    // others: the rows that are not under test
  std::vector<int64_t> person;          // of every row of the feature set
  std::vector<std::string> identities;  // of those under test, as the labels call them
};

std::vector<NamedDecoder> load_attackers(const ReconstructionOptions& o, const Recogniser& recogniser,
                                         const std::string& cut) {
  std::vector<NamedDecoder> list;
  for (const std::string& text : o.attackers) {
    const size_t split = text.find('=');
    const std::string path = split == std::string::npos ? text : text.substr(split + 1);
    auto decoder = Decoder::load(path);
    decoder->check_fits(recogniser.feature_shape(cut), recogniser.fingerprint(), cut, o.faces.recogniser);
    const DecoderInfo &info = decoder->info(), &first = list.empty() ? info : list[0].decoder->info();
    check(first.split_seed == info.split_seed, path, ": trained with --split-seed ", info.split_seed,
          ", the first attacker with ", first.split_seed, "; their test people differ");
    check(first.spec.image_size == info.spec.image_size, path, ": makes images of ", info.spec.image_size,
          " pixels, the first attacker of ", first.spec.image_size);
    const std::string name = split == std::string::npos ? decoder->info().spec.name : text.substr(0, split);
    for (const NamedDecoder& other : list)
      check(other.name != name, "two attackers are called ", name,
            "; give them names: --attacker NAME=", path);
    list.push_back({name, std::move(decoder)});
  }
  return list;
}

// Throws Error where there is nobody to test on.
TestSet choose(const ReconstructionOptions& o, const std::vector<std::string>& files, uint64_t split_seed) {
  const Labels labels = o.faces.labels_of(files);
  TestSet test;
  std::map<std::string, int64_t> numbers;
  for (const std::string& name : labels.identities)
    test.person.push_back(numbers.try_emplace(name, int64_t(numbers.size())).first->second);
  if (o.part == "all") {
    test.rows.resize(files.size());
    std::iota(test.rows.begin(), test.rows.end(), int64_t(0));
  } else {
    const Split split = split_by_identity(labels, split_seed);
    const bool validation = o.part == "validation";
    const std::vector<int64_t>& rest = validation ? split.test : split.validation;
    test.rows = validation ? split.validation : split.test;
    test.others = split.train;
    test.others.insert(test.others.end(), rest.begin(), rest.end());
  }
  if (o.limit > 0 && o.limit < int64_t(test.rows.size())) test.rows.resize(size_t(o.limit));
  check(!test.rows.empty(), o.faces.images, ": there is no image to test on",
        o.part == "all" ? "" : "; use more people, or another --part");
  for (int64_t r : test.rows) test.identities.push_back(labels.identities[size_t(r)]);
  const auto first = test.person[size_t(test.rows[0])];
  check(std::any_of(test.rows.begin(), test.rows.end(),
                    [&](int64_t r) { return test.person[size_t(r)] != first; }),
        o.faces.images, ": all ", test.rows.size(),
        " images to test on show one person, but an interval needs two or more");
  return test;
}

// A judge before it has seen a face.
struct JudgeSource {
  std::string name;
  const Recogniser* recogniser;
  std::optional<double> threshold;  // of --thresholds
};

// From the result of an earlier run, which must have measured the same thing.
std::optional<double> earlier_threshold(const ReconstructionOptions& o, const std::string& name,
                                        const Recogniser& recogniser) {
  if (o.thresholds.empty()) return std::nullopt;
  const std::string text = read_text(o.thresholds);
  check_utf8(text, o.thresholds);
  const auto json = nlohmann::json::parse(text, nullptr, false);
  const auto judges = json.is_object() ? json.value("judges", nlohmann::json()) : nlohmann::json();
  const auto judge = judges.is_object() ? judges.value(name, nlohmann::json()) : nlohmann::json();
  check(judge.is_object() && judge.value("threshold", nlohmann::json()).is_number() &&
            judge.value("fingerprint", nlohmann::json()).is_string() &&
            json.value("fmr", nlohmann::json()).is_number(),
        o.thresholds, ": no threshold of the judge \"", name,
        "\" with \"fingerprint\" and \"fmr\"; give the ", "result of an earlier run");
  const std::string fingerprint = judge["fingerprint"];
  check(fingerprint == recogniser.fingerprint(), o.thresholds, ": the threshold of the judge \"", name,
        "\" is of the recogniser ", fingerprint, ", but ", recogniser.card().path, " is ",
        recogniser.fingerprint());
  const double fmr = json["fmr"];
  check(fmr == o.fmr, o.thresholds, ": its thresholds are for a false match rate of ", fmr, ", not ", o.fmr,
        "; give --fmr ", fmr, " or leave --thresholds out");
  return judge["threshold"].get<double>();
}

// The embeddings of all rows by one judge, and its threshold from pairs of people outside the test.
Judge make_judge(const ReconstructionOptions& o, const JudgeSource& source, FaceSource& faces,
                 const FeatureSet& set, const TestSet& test) {
  const Recogniser& recogniser = *source.recogniser;
  const FeatureSet all = extract(o.faces, recogniser, recogniser.card().embedding.name, faces);
  check(all.indices == set.indices, "some images became unreadable; run again");
  Judge judge{source.name, &recogniser, 0, all.features.at(test.rows), {}, {}};
  if (source.threshold) {
    judge.threshold = *source.threshold;
  } else {
    std::vector<int64_t> people;
    for (int64_t r : test.others) people.push_back(test.person[size_t(r)]);
    judge.threshold = cross_identity_threshold(all.features.at(test.others), people, o.fmr).threshold;
  }
  // Type II replay: against the person's next photograph, if there is another.
  std::map<int64_t, std::vector<int64_t>> photos;
  for (size_t r = 0; r < test.person.size(); ++r) photos[test.person[r]].push_back(int64_t(r));
  std::vector<int64_t> others;
  for (size_t i = 0; i < test.rows.size(); ++i) {
    const auto& mine = photos[test.person[size_t(test.rows[i])]];
    if (mine.size() < 2) continue;
    const auto at = std::find(mine.begin(), mine.end(), test.rows[i]);
    judge.other_of.push_back(int64_t(i));
    others.push_back(std::next(at) == mine.end() ? mine.front() : *std::next(at));
  }
  if (!others.empty()) judge.other = all.features.at(others);
  return judge;
}

double mean_cosine(const FeatureRows& a, const FeatureRows& b) {
  double sum = 0;
  for (int64_t begin = 0; begin < a.count(); begin += kBlock) {
    const int64_t end = std::min(a.count(), begin + kBlock);
    const Shape flat{end - begin, a.row().numel()};
    for (double c : cosine_rows(a.range(begin, end).view(flat), b.range(begin, end).view(flat))) sum += c;
  }
  return sum / double(a.count());
}

FeatureRows noise_of_equal_norm(const FeatureRows& raw, const FeatureRows& guarded, FeatureDomain domain,
                                uint64_t seed, int64_t memory_bytes) {
  FeatureSpool spool(raw.row(), memory_bytes);
  for (int64_t begin = 0; begin < raw.count(); begin += kBlock) {
    const int64_t end = std::min(raw.count(), begin + kBlock);
    spool.append(equal_norm_noise(raw.range(begin, end), guarded.range(begin, end),
                                  domain == FeatureDomain::sphere, seed, begin));
  }
  return spool.finish();
}

Tensor reconstruct(Decoder& attacker, const FeatureRows& features) {
  return collect_rows(features.count(), kBlock, [&](int64_t begin, int64_t end) {
    return attacker.reconstruct(features.batch(begin, end));
  });
}

struct ProtectedSet {
  std::string name, file;
  FeatureRows rows;
  ProtectionId protection;
};

// The files of --protected, as far as they can be judged before the features of the images are there.
std::vector<ProtectedSet> open_protected(const ReconstructionOptions& o, const FaceSource& faces,
                                         const Recogniser& recogniser, const std::string& cut) {
  std::vector<ProtectedSet> list;
  for (const std::string& text : o.protected_files) {
    const size_t split = text.find('=');
    ProtectedSet given{text.substr(0, split), text.substr(split + 1), {}, {}};
    FeatureFile file = open_feature_file(given.file);
    check_comes_from(file.info, given.file, recogniser.fingerprint(), cut, o.faces.recogniser);
    given.protection = file.info.protection;
    given.rows = std::move(file.rows);
    const Shape& row = recogniser.feature_shape(cut);
    const int64_t broken = int64_t(o.faces.max_broken * double(faces.size()));  // may have no row
    check(given.rows.row() == row && given.rows.count() <= faces.size() &&
              given.rows.count() >= faces.size() - broken,
          given.file, " has shape ", given.rows.shape(), ", but ", o.faces.images, " has ", faces.size(),
          " images with features of ", row);
    for (const ProtectedSet& other : list)
      check(other.name != given.name, "--protected names ", given.name, " twice");
    check_rows(given.rows, recogniser.domain(cut), given.file);
    list.push_back(std::move(given));
  }
  return list;
}

// Of features that were protected once.
std::optional<double> epsilon_of(const ProtectionId& protection) {
  if (!protection.known() || protection.applied.size() != 1) return {};
  return settings_from(protection.applied[0].settings, protection.applied[0].name).epsilon;
}

// protection: null where nothing is protected here.
std::vector<NamedFeatures> feature_sets(const ReconstructionOptions& o, Protection* protection,
                                        const std::vector<ProtectedSet>& given, FaceSource& faces,
                                        const FeatureRows& raw, const TestSet& test, const FeatureSet& set,
                                        const Recogniser& recogniser, const std::string& cut) {
  std::vector<NamedFeatures> sets{{"raw", raw, 1, "raw", 0.0, {}}};
  std::vector<NamedFeatures> guarded;
  const int64_t memory = o.faces.memory_mib << 20;
  if (protection) {
    std::vector<int64_t> images;
    for (int64_t r : test.rows) images.push_back(set.indices[size_t(r)]);
    const auto photographs = photographs_of(faces, images, crop_for(recogniser, o.faces.eye_centres()),
                                            protection->info().spec.image_size);
    for (double epsilon : o.epsilons) {
      protection->set_epsilon(epsilon);
      guarded.push_back({protection->settings().summary(),
                         protected_rows(*protection, raw, test.rows, photographs, memory), 1, "", epsilon,
                         protection->id()});
    }
  }
  for (const ProtectedSet& g : given) {
    check(g.rows.shape() == set.features.shape(), g.file, " has shape ", g.rows.shape(),
          ", but the images have features of ", set.features.shape());
    guarded.push_back({g.name, g.rows.selected(test.rows), 1, "", epsilon_of(g.protection), g.protection});
  }
  for (const NamedFeatures& g : guarded) {
    const FeatureRows noise = noise_of_equal_norm(raw, g.rows, recogniser.domain(cut), o.common.seed, memory);
    sets.push_back(
        {"protected, " + g.name, g.rows, mean_cosine(g.rows, raw), "protected", g.epsilon, g.protection});
    sets.push_back({"noise, " + g.name, noise, mean_cosine(noise, raw), "noise", g.epsilon, {}});
  }
  return sets;
}

// Why an attacker does not meet these features; nothing where it does. One trained on protected features
// meets those that were protected alike; one trained on raw features, or on features of which nothing is
// known, meets all.
std::optional<std::string> left_out(const Decoder& attacker, const NamedFeatures& features) {
  const ProtectionId& trained_on = attacker.info().protection;
  if (!trained_on.known() || trained_on.is_raw()) return {};
  if (features.kind != "protected") return "it was trained on features that are " + trained_on.describe();
  if (trained_on.is_like(features.protection)) return {};
  return "it was trained on others: " + trained_on.difference(features.protection);
}

// Every pair that is left out, with its reason, for the result; and told, an attacker a line.
nlohmann::json left_out_json(const std::vector<NamedDecoder>& attackers,
                             const std::vector<NamedFeatures>& sets) {
  nlohmann::json list = nlohmann::json::array();
  for (const NamedDecoder& attacker : attackers) {
    if (const std::string& why = attacker.decoder->info().protection.unknown; !why.empty())
      std::cerr << attacker.name << ": " << why << "; it meets all features\n";
    size_t met = 0;
    std::string reasons;
    for (const NamedFeatures& features : sets) {
      const auto why = left_out(*attacker.decoder, features);
      met += !why;
      if (!why) continue;
      list.push_back({{"attacker", attacker.name}, {"features", features.name}, {"reason", *why}});
      if (features.kind == "protected") reasons += "; not \"" + features.name + "\": " + *why;
    }
    if (met < sets.size())
      std::cerr << attacker.name << " meets " << met << " of " << sets.size() << " sets of features"
                << reasons << "\n";
  }
  return list;
}

// As it is and moment-matched; and the mean face.
int64_t rows_to_score(const std::vector<NamedDecoder>& attackers, const std::vector<NamedFeatures>& sets) {
  int64_t rows = 1;
  for (const NamedDecoder& attacker : attackers)
    for (const NamedFeatures& features : sets) rows += left_out(*attacker.decoder, features) ? 0 : 2;
  return rows;
}

void check_options(const ReconstructionOptions& o) {
  as_usage([&] {
    for (double epsilon : o.epsilons) {
      ProtectSettings settings = o.protect.settings;
      settings.epsilon = epsilon;
      settings.check_valid();
      check(epsilon > 0, "--epsilons holds 0, which protects nothing");
    }
    for (const std::string& text : o.protected_files)
      check(text.find('=') != std::string::npos, "--protected takes NAME=FILE, not \"", text, "\"");
  });
  o.protect.check_valid();
  o.faces.eye_centres();
  check_writable({o.sheet, o.scores});
}

// The picture of what an attacker knows who has no feature, once per image under test.
Tensor mean_faces(const Decoder& attacker, const Shape& images) {
  const Tensor& face = attacker.statistics().mean_face;
  return broadcast_to(reshape(face, {1, face.dim(0), face.dim(1), face.dim(2)}), images);
}

}  // namespace

int evaluate_reconstruction(ReconstructionOptions& o) {
  o.common.activate();
  install_interrupt_handler();
  if (o.epsilons.empty()) o.epsilons = {o.protect.settings.epsilon};
  check_options(o);
  const Recogniser recogniser = Recogniser::load(o.faces.recogniser);
  const std::string cut = o.faces.cut_of(recogniser);
  std::vector<NamedDecoder> attackers = load_attackers(o, recogniser, cut);
  const Decoder& first = *attackers[0].decoder;

  std::vector<JudgeSource> judges{{"deployed", &recogniser, earlier_threshold(o, "deployed", recogniser)}};
  std::optional<Recogniser> second;
  if (!o.judge.empty()) {
    second.emplace(Recogniser::load(o.judge));
    judges.push_back({"second", &*second, earlier_threshold(o, "second", *second)});
  }
  std::optional<Protection> protection;
  if (o.protect.asked()) {
    o.protect.settings.seed = o.common.seed;
    protection.emplace(o.protect, &recogniser, recogniser.feature_shape(cut), o.faces.recogniser, cut);
    for (double epsilon : o.epsilons) protection->set_epsilon(epsilon);
  }
  const auto choose_unseen = [&](const std::vector<std::string>& files) {
    TestSet test = choose(o, files, first.info().split_seed);
    for (const NamedDecoder& attacker : attackers) attacker.decoder->check_never_saw(test.identities);
    if (protection) protection->check_never_saw(test.identities);
    check(!test.others.empty() || !o.thresholds.empty(),
          "there are no people outside the test to set a threshold on; use --thresholds");
    return test;
  };

  FaceSource faces = o.faces.open_images();
  const auto given = open_protected(o, faces, recogniser, cut);
  choose_unseen(faces.names());  // told before the work; broken images then drop out
  for (const ProtectedSet& g : given)
    if (!g.protection.known()) std::cerr << g.protection.unknown << "\n";
  const FeatureSet set = extract(o.faces, recogniser, cut, faces);
  std::vector<std::string> files;
  for (int64_t i : set.indices) files.push_back(faces.name(i));
  const TestSet test = choose_unseen(files);
  std::vector<int64_t> images;
  for (int64_t r : test.rows) images.push_back(set.indices[size_t(r)]);
  const FaceCache cache(faces, images, crop_for(recogniser, o.faces.eye_centres()),
                        first.info().spec.image_size);
  check(cache.count() == int64_t(images.size()), "some images became unreadable; run again");
  Subject all;
  all.images.resize(images.size());
  std::iota(all.images.begin(), all.images.end(), int64_t(0));
  for (int64_t i : images) all.files.push_back(faces.name(i));
  all.identities = test.identities;
  for (int64_t r : test.rows) all.people.push_back(test.person[size_t(r)]);
  all.faces = collect_rows(cache.count(), kBlock,
                           [&](int64_t begin, int64_t end) { return cache.batch(begin, end); });

  for (const JudgeSource& judge : judges) all.judges.push_back(make_judge(o, judge, faces, set, test));

  const FeatureRows raw = set.features.selected(test.rows);
  auto sets =
      feature_sets(o, protection ? &*protection : nullptr, given, faces, raw, test, set, recogniser, cut);
  Subject known;  // by other photographs
  if (!all.with_another_photo().empty()) {
    known = all.only(all.with_another_photo());
    std::vector<int64_t> rows_of;
    for (int64_t i : known.images) rows_of.push_back(test.rows[size_t(i)]);
    const FeatureRows means =
        identity_only(set.features, rows_of, test.person, recogniser.domain(cut), o.faces.memory_mib << 20);
    sets.push_back(
        {"identity only", means, mean_cosine(means, raw.selected(known.images)), "identity", {}, {}, &known});
  }
  const nlohmann::json pairs_left_out = left_out_json(attackers, sets);
  const ChannelMoments target = channel_moments(first.statistics().mean_face);
  nlohmann::json rows = nlohmann::json::array();
  Sheet sheet(all.faces, all.people);
  ScoreFile scores(o.scores, all.judges);
  Progress progress("score", rows_to_score(attackers, sets), "sets of reconstructions");
  auto add_row = [&](const std::string& attacker, const NamedFeatures& features, bool matched,
                     const Tensor& made) {
    if (interrupted()) throw Interrupted();
    const Subject& subject = features.subject ? *features.subject : all;
    const Row row{attacker,
                  features.name,
                  matched,
                  features.cosine,
                  features.kind,
                  features.epsilon,
                  score_reconstructions(made, subject.faces, subject.judges)};
    rows.push_back(to_json(row, subject, o.common.seed));
    scores.add(row, subject);
    progress.advance(1);
  };
  add_row("mean face", {"none", {}, 0, "none", {}, {}}, false, mean_faces(first, all.faces.shape()));
  for (NamedDecoder& attacker : attackers)
    for (const NamedFeatures& features : sets) {
      if (left_out(*attacker.decoder, features)) continue;
      const Tensor made = reconstruct(*attacker.decoder, features.rows);
      const Tensor matched = match_moments(made, target);
      add_row(attacker.name, features, false, made);
      add_row(attacker.name, features, true, matched);
      if (features.subject) continue;  // the sheet shows all of its people
      sheet.add(attacker.name + " " + features.name, made);
      if (features.name != "raw") sheet.add(attacker.name + " " + features.name + " matched", matched);
    }
  progress.finish();

  nlohmann::json result = {{"images", test.rows.size()},
                           {"part", o.part},
                           {"rows", rows},
                           {"fmr", o.fmr},
                           {"recogniser", o.faces.recogniser},
                           {"cut", cut},
                           {"left_out", pairs_left_out},
                           {"attackers", verdicts(rows)}};
  for (const NamedFeatures& features : sets)
    if (features.kind == "protected") result["protections"][features.name] = to_json(features.protection);
  for (const Judge& j : all.judges)
    result["judges"][j.name] = {{"threshold", j.threshold},
                                {"fingerprint", j.recogniser->fingerprint()},
                                {"images_with_another_photo", j.other_of.size()}};
  scores.commit();
  if (!o.sheet.empty()) {
    sheet.write(o.sheet);
    result["sheet"] = o.sheet;
  }
  o.common.write_json(result);
  print_table(rows, result["attackers"], all.judges);
  if (!o.sheet.empty()) std::printf("contact sheet: %s\n", o.sheet.c_str());
  return 0;
}

CLI::App* add_reconstruction_verb(CLI::App& app, ReconstructionOptions& o) {
  CLI::App* sub =
      app.add_subcommand("reconstruction", "what attackers reconstruct from raw and protected features");
  o.faces.add_to(*sub);
  o.faces.add_labels_to(*sub);
  sub->add_option("--attacker", o.attackers,
                  "decoder of an attacker, [NAME=]FILE; may be given several times")
      ->required();
  sub->add_option("--second-recogniser", o.judge, "card of a recogniser that the defence never saw");
  sub->add_option("--part", o.part,
                  "score the test people of the split, its validation people, or all images")
      ->capture_default_str()
      ->check(CLI::IsMember({"test", "validation", "all"}));
  sub->add_option("--limit", o.limit, "score at most this many images; 0 = all")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  sub->add_option("--fmr", o.fmr, "false match rate at which replay thresholds are set")
      ->capture_default_str()
      ->check(number_in(0, 0.5));
  sub->add_option("--scores", o.scores, "scores of every single image (.tsv)");
  sub->add_option("--thresholds", o.thresholds, "take replay thresholds from an earlier result (.json)");
  sub->add_option("--sheet", o.sheet, "contact sheet of originals and reconstructions (.png)");
  o.protect.add_to(*sub, "Protection");
  sub->add_option("--epsilons", o.epsilons, "several values of --epsilon, each a row")
      ->delimiter(',')
      ->needs(sub->get_option("--shadow"))
      ->excludes(sub->get_option("--epsilon"))
      ->group("Protection");
  sub->add_option("--protected", o.protected_files, "protected features of all images, NAME=FILE (.npy)")
      ->group("Protection");
  o.common.add_to(*sub);
  return sub;
}

}  // namespace advf::tools
