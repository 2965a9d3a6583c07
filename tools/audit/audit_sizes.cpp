// The tables of an audit: sizes, budgets, who attacks; and what is audited where nobody says it.
#include <algorithm>
#include <set>

#include "advface/core/dataset.h"
#include "advface/keys/key.h"
#include "tools/audit/audit_config.h"

namespace advf::tools {

constexpr int64_t kUsualDims = 64;  // of advface-train fit projection

using nlohmann::json;

const std::vector<BudgetField>& budget_fields() {
  using B = AuditBudget;
  static const std::vector<BudgetField> fields{
      {"images",
       &B::images,
       0,
       1'000'000'000,
       "photographs that are looked at, of as many people whole, ten of each part at least; 0: all",
       {"all"}},
      {"test_images",
       &B::test_images,
       2,
       1'000'000,
       "of test people that decoders are asked about",
       {"transfer", "adaptive"}},
      {"inversion_images",
       &B::inversion_images,
       2,
       1'000'000,
       "of them that inversion is asked about, which takes long",
       {"inversion", "corrected"}},
      {"inversion_steps",
       &B::inversion_steps,
       1,
       100'000,
       "of inversion for an image",
       {"inversion", "corrected"}},
      {"oracle_images", &B::oracle_images, 2, 1'000'000, "that oracles are asked about", {"oracle"}},
      {"oracle_queries", &B::oracle_queries, 1, 100'000'000, "of an oracle for an image", {"oracle"}},
      {"shadow_epochs", &B::shadow_epochs, 1, 10'000,
       "of a shadow, where a protection needs one and none is named"},
      {"generator_epochs", &B::generator_epochs, 1, 10'000,
       "of a generator, where the protection is asked for and none is named"},
      {"decoder_epochs",
       &B::decoder_epochs,
       1,
       10'000,
       "of attackers that are decoders",
       {"transfer", "adaptive", "corrected", "oracle"}},
      {"linkage_epochs", &B::linkage_epochs, 1, 10'000, "of linkage networks", {"linkage", "unlinkability"}},
      {"probe_epochs", &B::probe_epochs, 1, 10'000, "of probes of attributes", {"attributes"}},
      {"seeds", &B::seeds, 1, 20, "every attack is made with so many, and the worst counts", {"all"}},
  };
  return fields;
}

const std::vector<AuditSize>& audit_sizes() {
  static const std::vector<AuditSize> sizes{
      {"quick",
       "for a first look; its attackers have not converged, and it says so",
       {.images = 1500,
        .test_images = 64,
        .inversion_images = 8,
        .inversion_steps = 30,
        .oracle_images = 2,
        .oracle_queries = 50,
        .shadow_epochs = 6,
        .generator_epochs = 6,
        .decoder_epochs = 5,
        .linkage_epochs = 6,
        .probe_epochs = 10,
        .seeds = 1},
       {"transfer", "adaptive", "inversion", "linkage", "attributes", "unlinkability"},
       false},
      {"default",
       "what a verdict takes",
       {},
       {"transfer", "adaptive", "inversion", "linkage", "attributes", "unlinkability"},
       true},
      {"full",
       "the whole matrix, with several seeds",
       {.images = 0,
        .test_images = 1000,
        .inversion_images = 96,
        .inversion_steps = 60,
        .oracle_images = 24,
        .oracle_queries = 5000,
        .shadow_epochs = 24,
        .generator_epochs = 24,
        .decoder_epochs = 16,
        .linkage_epochs = 40,
        .probe_epochs = 60,
        .seeds = 3},
       {"transfer", "adaptive", "inversion", "corrected", "oracle", "linkage", "attributes", "unlinkability"},
       true},
  };
  return sizes;
}

const std::vector<AuditAttacker>& audit_attackers() {
  static const std::vector<AuditAttacker> rows{
      {"transfer", "a decoder trained on raw features of other people, who knows nothing of the protection",
       "appearance"},
      {"adaptive",
       "the same decoder trained on protected features of other people, with a key of its own where one is "
       "needed",
       "appearance"},
      {"inversion", "ascent through the recogniser to an image with the stored feature; trains nothing",
       "identity"},
      {"corrected", "inversion that begins as what a decoder makes of the feature", "identity"},
      {"oracle", "asks the matching side about images, and climbs its scores", "identity"},
      {"linkage",
       "a network that leads protected features back to the recogniser's, and looks for the person among "
       "photographs",
       "linkability"},
      {"unlinkability", "links two sets of the same people, protected with two keys or seeds", "linkability"},
      {"attributes", "probes that tell sex, glasses and the like from what is stored", "attributes"},
  };
  return rows;
}

std::vector<std::string> usual_attributes(const std::string& labels) {
  std::vector<std::string> list;
  if (labels.empty()) return list;
  const Labels all = load_labels(labels);
  const Split split = split_by_identity(all, 1);
  const auto askable = [&](const std::string& name) {
    try {
      for (const auto* rows : {&split.train, &split.validation, &split.test})
        check_both_classes(all, *rows, {name}, "");
      return true;
    } catch (const Error&) {
      return false;
    }
  };
  std::vector<std::string> known{"Male", "Young", "Eyeglasses", "Smiling"};
  known.insert(known.end(), all.attributes.begin(), all.attributes.end());
  for (const std::string& name : known)
    if (list.size() < 4 && std::ranges::find(list, name) == list.end() &&
        std::ranges::find(all.attributes, name) != all.attributes.end() && askable(name))
      list.push_back(name);
  return list;
}

int64_t people_to_train_on(const FaceSettings& faces) {
  try {
    const Labels labels = faces.labels_of(faces.open_images({}).names());
    const Split split = split_by_identity(labels, AuditConfig{}.split_seed);
    std::set<std::string> people;
    for (const int64_t row : split.train) people.insert(labels.identities[size_t(row)]);
    return int64_t(people.size());
  } catch (const Error&) {  // told when the audit is planned
    return 0;
  }
}

json usual_protections(const std::string& size, const Shape& feature, int64_t train_people) {
  json list = json::array();
  const bool maps = feature.rank() == 3;
  // Half of the values of a feature that has few, or of the people where they are few; the usual number else.
  const auto fitted = [&](json protection) {
    int64_t dims = kUsualDims;
    for (const int64_t there_are : {feature.numel(), train_people})
      if (there_are > 0 && there_are <= kUsualDims)
        dims = std::min(dims, std::max<int64_t>(1, there_are / 2));
    if (!maps && dims < kUsualDims) protection["fit"] = {{"dims", dims}};
    list.push_back(std::move(protection));
  };
  const bool quick = size == "quick";
  for (const double epsilon : quick ? std::vector<double>{0.02} : std::vector<double>{0.01, 0.02, 0.04})
    list.push_back({{"name", "AdvFace " + json(maps ? 10 * epsilon : epsilon).dump()},
                    {"protect", {"advface"}},
                    {"epsilon", maps ? 10 * epsilon : epsilon}});
  if (maps) {
    list.push_back({{"name", "shuffled channels"}, {"protect", {"shuffle"}}});
    if (quick) return list;
    list.push_back({{"name", "noise"}, {"protect", {"noise"}}, {"noise-length", 0.4}});
    list.push_back({{"name", "no low frequencies"}, {"protect", {"frequency"}}, {"low-frequencies", 2}});
    return list;
  }
  if (has_keys()) fitted({{"name", "two locks"}, {"protect", {"default"}}});
  if (quick) return list;
  list.push_back({{"name", "noise"}, {"protect", {"noise"}}, {"noise-length", 0.4}});
  fitted({{"name", "projection"}, {"protect", {"projection"}}});
  if (size != "full") return list;
  list.push_back({{"name", "one bit"}, {"protect", {"quantise"}}, {"bits", 1}});
  list.push_back({{"name", "private noise 100"},
                  {"protect", {"noise"}},
                  {"mechanism", "gaussian"},
                  {"privacy-epsilon", 100}});
  return list;
}

std::string example_config(const FaceSettings& f, const std::string& second, const std::string& size,
                           const std::vector<std::string>& attributes, const Shape& feature,
                           int64_t train_people, uint64_t seed) {
  const auto quoted = [](const std::string& text) { return json(text).dump(); };
  std::string text =
      "// What advface-audit measures. docs/audit.md says what each line means; paths are relative to this "
      "file.\n{\n"
      "  \"version\": 1,\n";
  text += "  \"size\": " + quoted(size) + ",  // ";
  for (const AuditSize& s : audit_sizes())
    text += (&s == &audit_sizes()[0] ? "" : "; ") + s.name + ": " + s.help;
  text +=
      "\n\n  // Whose features are stored, and a recogniser that the defence never saw, which judges "
      "faces.\n";
  text += "  \"recogniser\": " + quoted(f.recogniser) + ",\n";
  text += second.empty() ? "  // \"second_recogniser\": \"another.json\",\n"
                         : "  \"second_recogniser\": " + quoted(second) + ",\n";
  text += f.cut.empty() ? "  // \"cut\": \"embedding\",\n" : "  \"cut\": " + quoted(f.cut) + ",\n";
  text +=
      "\n  // Photographs, two or more of each person; who is on them (else a person is a folder); how faces "
      "are cut out.\n";
  text += "  \"images\": " + quoted(f.images) + ",\n";
  text +=
      f.labels.empty() ? "  // \"labels\": \"labels.csv\",\n" : "  \"labels\": " + quoted(f.labels) + ",\n";
  if (!f.eyes.empty()) {
    text += "  \"eyes\": " + json(f.eyes).dump() + ",\n";
  } else if (!f.detection.card.empty()) {
    text += "  \"detector\": " + quoted(f.detection.card) + ",\n";
  } else {
    text +=
        "  // \"detector\": \"detector.json\",  or \"eyes\": [x1, y1, x2, y2] of aligned photographs; else "
        "the whole picture\n";
  }
  text += attributes.empty() ? "  // \"attributes\": [\"Male\", \"Eyeglasses\"],"
                             : "  \"attributes\": " + json(attributes).dump() + ",";
  text += "  // columns of the labels that the attacker attributes asks about\n";
  text +=
      "\n  // Each with the options of advface-protect as keys. Files that are not named (a shadow, a "
      "projection) are made by\n"
      "  // the audit, on training people; keys always are. Raw features are measured besides, as \"none\".\n"
      "  \"protections\": [\n";
  const json usual = usual_protections(size, feature, train_people);
  for (const json& p : usual) {
    // The name first, as people read it.
    text += "    {\"name\": " + p["name"].dump() + ", \"protect\": " + p["protect"].dump();
    for (const auto& [key, value] : p.items())
      if (key != "name" && key != "protect") text += ", " + json(key).dump() + ": " + value.dump();
    text += &p == &usual.back() ? "}\n  ],\n" : "},\n";
  }
  text += "\n  // Who attacks; without this line those of the size.\n  // \"attackers\": [";
  for (const AuditAttacker& a : audit_attackers())
    text += (&a == &audit_attackers()[0] ? "\"" : ", \"") + a.name + "\"";
  text += "],\n\n  // How much of everything; without this those of the size.\n  // \"budget\": {\n";
  const auto sized = std::ranges::find(audit_sizes(), size, &AuditSize::name);
  for (const BudgetField& b : budget_fields())
    text += "  //   \"" + std::string(b.name) + "\": " + std::to_string(sized->budget.*b.value) +
            (&b == &budget_fields().back() ? "  // " : ",  // ") + b.help + "\n";
  text += "  // },\n  \"seed\": " + std::to_string(seed) + "\n}\n";
  return text;
}

}  // namespace advf::tools
