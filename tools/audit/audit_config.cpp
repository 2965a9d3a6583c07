#include "tools/audit/audit_config.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <memory>
#include <set>

#include "advface/core/json_text.h"
#include "advface/core/name_spelling.h"
#include "advface/core/text_file.h"
#include "advface/protections/ascent/advface_protection.h"
#include "advface/protections/generator_protection.h"
#include "advface/protections/registry.h"
#include "tools/audit/audit_rows.h"
#include "tools/options/cli.h"
#include "tools/options/setting_options.h"

namespace advf::tools {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr int kVersion = 1;
constexpr double kMostPixels = 1e6;
constexpr const char* kUnlocked = " (key leaked)";

// An object of the file: what is read is ticked off, and what is left at the end is not known.
class Fields {
 public:
  Fields(const json& object, std::string where) : object_(object), where_(std::move(where)) {
    check(object.is_object(), where_, ": not an object { ... }");
  }
  const json* find(const std::string& key) {
    known_.push_back(key);
    const auto at = object_.find(key);
    if (at == object_.end()) return nullptr;
    check(!at->is_null(), where_, ": ", key, " is null; give it a value, or leave the key out");
    return &*at;
  }
  void text(const std::string& key, std::string& value) {
    if (const json* at = find(key)) {
      check(at->is_string(), where_, ": ", key, " is ", at->dump(), ", no text");
      value = at->get<std::string>();
      check(!value.empty(), where_, ": ", key, " is empty");
    }
  }
  void whole(const std::string& key, int64_t& value, int64_t least, int64_t most = INT64_MAX) {
    if (const json* at = find(key)) {
      check(at->is_number_integer() && (!at->is_number_unsigned() || at->get<uint64_t>() < uint64_t(1) << 63),
            where_, ": ", key, " is ", at->dump(), ", no whole number");
      value = at->get<int64_t>();
      check(value >= least, where_, ": ", key, " is ", value, ", below ", least);
      check(value <= most, where_, ": ", key, " is ", value, ", above ", most);
    }
  }
  void texts(const std::string& key, std::vector<std::string>& values) {
    if (const json* at = find(key)) {
      check(at->is_array(), where_, ": ", key, " is ", at->dump(), ", no list of texts");
      values.clear();
      for (const json& one : *at) {
        check(one.is_string() && !one.get<std::string>().empty(), where_, ": ", key, " holds ", one.dump(),
              ", no text");
        values.push_back(one.get<std::string>());
      }
    }
  }
  // Throws where there is what nobody asked for.
  void done(const std::string& beside = "") const {
    for (const auto& [key, unused] : object_.items())
      check(std::find(known_.begin(), known_.end(), key) != known_.end(), where_, ": no key ", key,
            known_names(key, known_), beside);
  }
  const std::string& where() const { return where_; }

 private:
  const json& object_;
  std::string where_;
  std::vector<std::string> known_;
};

// As an option takes it.
std::string text_of(const json& value, const std::string& where) {
  const bool names = value.is_array() && !value.empty() && std::ranges::all_of(value, &json::is_string);
  if (names) {  // which an option takes with commas between them
    std::string text;
    for (const json& name : value) text += (text.empty() ? "" : ",") + name.get<std::string>();
    return text;
  }
  check(value.is_string() || value.is_number() || value.is_boolean(), where, " is ", value.dump(),
        ", neither a text nor a number");
  return value.is_string() ? value.get<std::string>() : value.dump();
}

// The key of a setting: its option, without dashes.
std::string key_of(const Setting& s) { return s.option().substr(2); }

// What a protection says of its settings names them as options; here these are keys.
std::string with_keys(std::string said) {
  for (size_t at = 0; (at = said.find("--", at)) != std::string::npos;)
    if (at == 0 || said[at - 1] == ' ')
      said.erase(at, 2);
    else
      at += 2;
  return said;
}

bool is_chosen(const Setting& s) {
  return s.source == Setting::Source::option || s.source == Setting::Source::file;
}

// An audit of raw features under the name of a protection would say of them what is said of none.
void check_protects(const ProtectionSpec& spec) {
  const std::string why = spec.idle_because();
  check(why.empty(), "protects nothing: ", why, "; raw features are measured in any case, as none");
}

// What can be chosen of the file that the audit makes for a protection; none where it makes none, or nothing
// can be chosen.
struct FittedSettings {
  Settings settings;
  std::function<void()> check_valid;
};
FittedSettings fitted_settings(const std::string& protection) {
  if (protection == "generator") {
    const auto ascent = std::make_shared<AdvFaceSpec>();
    FittedSettings fitted{{}, [ascent] {
                            ascent->check_valid();
                            check_protects(*ascent);
                          }};
    for (const Setting& s : ascent->settings())
      if (s.source == Setting::Source::option && !not_of_a_generator(s.name)) fitted.settings.push_back(s);
    return fitted;
  }
  const ProtectionKind& kind = protection_kind(protection, "fit");
  if (!kind.fit) return {{}, [] {}};
  const std::shared_ptr<Fit> fit = kind.fit();
  return {fit->settings(), [fit] { fit->check_valid(); }};
}

class Parser {
 public:
  Parser(std::string file, fs::path folder) : file_(std::move(file)), folder_(std::move(folder)) {}

  AuditConfig read(const json& whole) {
    Fields fields(whole, file_);
    AuditConfig c;
    c.file = file_;
    int64_t version = kVersion, seed = 1, split_seed = 1;
    fields.whole("version", version, 1);
    check(version == kVersion, file_, ": version ", version, "; this program reads version ", kVersion);
    fields.text("size", c.size);
    check(std::ranges::find(audit_sizes(), c.size, &AuditSize::name) != audit_sizes().end(), file_,
          ": size is ", c.size, known_names_of(c.size, audit_sizes()));
    faces(fields, c);
    fields.whole("seed", seed, 0);
    fields.whole("split_seed", split_seed, 0);
    c.seed = uint64_t(seed), c.split_seed = uint64_t(split_seed);
    fields.texts("attributes", c.attributes);
    check(std::set(c.attributes.begin(), c.attributes.end()).size() == c.attributes.size(), file_,
          ": attributes: one is named twice");
    c.attackers = c.size_row().attackers;
    fields.texts("attackers", c.attackers);
    check_attackers(c);
    c.budget = c.size_row().budget;
    if (const json* at = fields.find("budget")) budget(*at, c.budget);
    const json* list = fields.find("protections");
    if (!list) fields.done();  // a key that is written wrongly tells more
    protections(list, c);
    fields.done();
    return c;
  }

 private:
  std::string path(std::string text) const {
    return text.empty() ? text : (folder_ / text).lexically_normal().string();
  }

  void faces(Fields& fields, AuditConfig& c) {
    FaceSettings& f = c.faces;
    for (const auto& [key, slot] : std::initializer_list<std::pair<const char*, std::string*>>{
             {"recogniser", &f.recogniser},
             {"second_recogniser", &c.second_recogniser},
             {"images", &f.images},
             {"list", &f.list},
             {"labels", &f.labels},
             {"pairs", &c.pairs},
             {"detector", &f.detection.card},
             {"landmarks", &f.detection.landmarks}}) {
      fields.text(key, *slot);
      *slot = path(*slot);
    }
    fields.text("cut", f.cut);
    fields.text("part", c.part);
    check(c.part == "test" || c.part == "validation", file_, ": part is ", c.part,
          "; there are test, validation");
    if (const json* at = fields.find("eyes")) {
      check(at->is_array() && at->size() == 4 &&
                std::all_of(at->begin(), at->end(), [](const json& v) { return v.is_number(); }),
            file_, ": eyes is ", at->dump(), ", no list of four numbers [x1, y1, x2, y2]");
      for (const json& v : *at)
        check(std::abs(v.get<double>()) <= kMostPixels, file_, ": eyes holds ", v.dump(),
              ", beyond any picture, which has at most ", kMostPixels, " pixels a side");
      f.eyes = at->get<std::vector<float>>();
    }
    for (const char* needed : {"recogniser", "images"})
      check(!(std::string(needed) == "images" ? f.images : f.recogniser).empty(), file_, ": names no ",
            needed);
    try {
      f.check_cut();
    } catch (const Error& e) {
      fail(file_, ": ", e.what());
    }
  }

  void check_attackers(const AuditConfig& c) const {
    std::set<std::string> seen;
    check(!c.attackers.empty(), file_, ": attackers is empty; without the line those of the size attack");
    for (const std::string& name : c.attackers) {
      const auto known = std::ranges::find(audit_attackers(), name, &AuditAttacker::name);
      check(known != audit_attackers().end(), file_, ": attackers: there is no attacker ", name,
            known_names_of(name, audit_attackers()));
      check(seen.insert(name).second, file_, ": attackers names ", name, " twice");
    }
    check(!seen.contains("attributes") || !c.attributes.empty() || c.size_row().attackers == c.attackers,
          file_, ": the attacker attributes needs \"attributes\": [...], columns of the labels");
  }

  void budget(const json& from, AuditBudget& into) const {
    Fields fields(from, file_ + ": budget");
    for (const BudgetField& f : budget_fields()) fields.whole(f.name, into.*f.value, f.least, f.most);
    fields.done();
  }

  void protections(const json* list, AuditConfig& c) const {
    check(
        list && list->is_array() && !list->empty(), file_,
        ": names no protections; \"protections\": [{\"name\": \"AdvFace 0.02\", \"protect\": [\"advface\"], "
        "\"epsilon\": 0.02}]");
    c.protections.push_back({"none", {}, ""});
    for (const json& entry : *list) {
      AuditProtection p = protection(entry);
      if (p.raw()) {
        check(p.name == "none", file_, ": the protection ", p.name,
              " protects nothing; raw features are called none");
        continue;
      }
      const bool locked = p.locked();
      add(p, c);
      if (!locked) continue;
      AuditProtection leaked{p.name + kUnlocked, {}, p.name};
      for (const AuditProtection::Link& link : p.links)
        if (!link.spec()->needs_key()) leaked.links.push_back(link);
      // Of a lock alone raw features are left, which are measured in any case.
      if (!leaked.raw()) add(leaked, c);
    }
    check(c.protections.size() > 1, file_, ": names no protection beside none");
  }

  // Nobody is to take one protection for another.
  void add(const AuditProtection& p, AuditConfig& c) const {
    for (const AuditProtection& other : c.protections) {
      check(p.name != other.name, file_, ": two protections are called ", p.name);
      check(look_of(p.name) != look_of(other.name), file_, ": the protections ", json(other.name).dump(),
            " and ", json(p.name).dump(), " look alike (", alphabets_of(other.name), " and ",
            alphabets_of(p.name), " letters); call one of them by what it does otherwise");
    }
    c.protections.push_back(p);
  }

  AuditProtection protection(const json& entry) const {
    AuditProtection p;
    check(entry.is_object(), file_, ": protections holds ", entry.dump(), ", no object { ... }");
    Fields fields(
        entry,
        file_ + ": " + (entry.contains("name") ? text_of(entry["name"], file_ + ": name") : "a protection"));
    fields.text("name", p.name);
    check(!p.name.empty(), file_, ": a protection has no name: ", entry.dump());
    check(p.name.find_first_of("\t\n\r/") == std::string::npos && p.name.size() <= 60 &&
              !p.name.ends_with(kUnlocked),
          file_, ": a protection is called ",
          json(p.name.substr(0, 80)).dump(-1, ' ', false, json::error_handler_t::replace),
          "; at most 60 letters, without slash and line breaks, and not with \"", kUnlocked,
          "\" at the end, which is what the audit calls one of whose key is known");
    check(p.name == single_spaced(p.name) && !plain_spelling(p.name).empty() &&
              std::ranges::none_of(p.name, [](unsigned char c) { return c < ' ' || c == 127; }),
          file_, ": a protection is called ", json(p.name).dump(),
          "; a name has a letter or a digit, single blanks between words, and none before or behind");
    check(stays_within_quotes(p.name), file_, ": a protection is called ", json(p.name).dump(),
          ", which holds quotation marks, between which names stand in reports, or what cannot be seen");
    check(!mixes_alphabets(p.name), file_, ": a protection is called ", json(p.name).dump(),
          ", a word of which has ", alphabets_of(p.name),
          " letters; write it in one alphabet, as such words look like others");
    const std::string where = file_ + ": " + p.name;
    std::vector<std::string> names;
    fields.texts("protect", names);
    for (const std::string& name : names) {
      if (name == "none") continue;
      const auto preset = std::ranges::find(presets(), name, &ProtectionPreset::name);
      if (preset == presets().end()) {
        protection_kind(name, where + ": protect");
        p.links.push_back({name, {}});
      } else {
        for (const auto& link : preset->links) {
          p.links.push_back({link.protection, {}});
          for (const auto& [setting, text] : link.settings)
            p.links.back().settings.push_back({setting, {text}});
        }
      }
    }
    check(entry.contains("protect"), where, ": \"protect\" does not say how; [\"none\"] are raw features");
    for (size_t i = 0; i < p.links.size(); ++i)
      for (size_t j = 0; j < i; ++j)
        check(p.links[i].protection != p.links[j].protection, where, ": names ", p.links[i].protection,
              " twice");
    if (!p.raw()) check_not_reserved(p.name);
    settings(entry, fields, where, p);
    if (const json* fit = fields.find("fit")) fit_settings(*fit, where, p);
    fields.done();
    return p;
  }

  // Sentences and tables would say one thing and mean another: "none leaks", "identity: identity closed", the
  // mean face beside one that is called so.
  void check_not_reserved(const std::string& name) const {
    std::vector<std::string> words{
        "none",      "raw",         "raw features",  "unprotected", "unprotected features",
        "protected", "mean face",   "photograph",    "original",    "originals",
        "stored",    "nothing",     "nobody",        "everything",  "person",
        "accuracy",  "certificate", "holds",         "leaks",       "closed",
        "partly",    "open",        "no conclusion", "not asked",   "protections",
        "attacker"};
    for (const AuditAttacker& a : audit_attackers()) words.push_back(a.name);
    words.insert(words.end(), leaks().begin(), leaks().end());
    for (const std::string& word : words)
      check(look_of(name) != look_of(word), file_, ": a protection is called ", json(name).dump(),
            ", which stands for something else in reports (", word,
            "); call it by what it does, as \"noise 0.4\"");
  }

  // Of a protection that learns nothing there is nothing to say.
  void check_fitted(const std::string& where, const AuditProtection& p) const {
    std::string names;
    for (const AuditProtection::Link& link : p.links) {
      if (!fitted_settings(link.protection).settings.empty()) return;
      names += (names.empty() ? "" : ", ") + link.protection;
    }
    fail(where, ": fit: ", p.raw() ? "raw features are" : names + (p.links.size() == 1 ? " is" : " are"),
         " not fitted, so that there is nothing to choose; leave the key out");
  }

  // As options of advface-train, without dashes.
  void fit_settings(const json& given, const std::string& where, AuditProtection& p) const {
    Fields fields(given, where + ": fit");
    check_fitted(where, p);
    for (AuditProtection::Link& link : p.links) {
      const FittedSettings fitted = fitted_settings(link.protection);
      for (const Setting& s : fitted.settings) {
        const json* at = is_chosen(s) ? fields.find(key_of(s)) : nullptr;
        if (!at) continue;
        const std::string text = text_of(*at, where + ": fit: " + key_of(s));
        try {
          read_as(s, key_of(s), text);
        } catch (const Error& e) {
          fail(where, ": fit: ", e.what());
        }
        link.fit.push_back({s.name, {text}});
      }
      try {
        if (!link.fit.empty()) fitted.check_valid();
      } catch (const Error& e) {
        fail(where, ": fit: ", with_keys(e.what()));
      }
    }
    fields.done();
  }

  // Settings are keys of the protection, as options without dashes: of every link that has one of the name.
  void settings(const json& entry, Fields& fields, const std::string& where, AuditProtection& p) const {
    for (AuditProtection::Link& link : p.links) {
      const auto spec = protection_kind(link.protection, where).spec();
      for (const Setting& s : spec->settings()) {
        if (!is_chosen(s)) continue;
        const json* at = fields.find(key_of(s));
        if (!at) continue;
        check(!s.key && s.name != "key_fd" && s.name != "key_set", where, ": ", key_of(s),
              ": an audit makes keys of its own, which are worth nothing; the operator's stays where it is");
        std::vector<std::string> texts;
        for (const json& one : at->is_array() && s.repeats ? *at : json::array({*at})) {
          std::string text = text_of(one, where + ": " + key_of(s));
          if (s.source == Setting::Source::file) text = path(text);
          try {
            read_as(s, key_of(s), text);
          } catch (const Error& e) {
            fail(where, ": ", e.what());
          }
          texts.push_back(text);
        }
        std::erase_if(link.settings, [&](const auto& given) { return given.first == s.name; });
        link.settings.push_back({s.name, texts});
      }
      try {
        for (const auto& given : link.settings) {
          const Settings list = spec->settings();
          const Setting* s = &*std::ranges::find(list, given.first, &Setting::name);
          if (!entry.contains(key_of(*s)))
            for (const std::string& text : given.second) read_as(*s, key_of(*s), text);
          check_applies(*s, key_of(*s));
        }
        spec->check_valid();
        check_protects(*spec);
      } catch (const Error& e) {
        fail(where, ": ", with_keys(e.what()));
      }
    }
  }

  std::string file_;
  fs::path folder_;
};

}  // namespace

std::unique_ptr<ProtectionSpec> AuditProtection::Link::spec() const {
  std::unique_ptr<ProtectionSpec> made = protection_kind(protection, "audit").spec();
  const advf::Settings list = made->settings();
  for (const auto& [name, texts] : settings)
    for (const std::string& text : texts) std::ranges::find(list, name, &Setting::name)->read(text);
  return made;
}

bool AuditProtection::locked() const {
  return std::ranges::any_of(links, [](const Link& l) { return l.spec()->needs_key(); });
}

bool AuditProtection::has(const std::string& protection) const {
  return std::ranges::find(links, protection, &Link::protection) != links.end();
}

const AuditSize& AuditConfig::size_row() const {
  const auto at = std::ranges::find(audit_sizes(), size, &AuditSize::name);
  check(at != audit_sizes().end(), "no size ", size, known_names_of(size, audit_sizes()));
  return *at;
}

const AuditProtection& AuditConfig::protection(const std::string& name) const {
  return *std::ranges::find(protections, name, &AuditProtection::name);
}

AuditConfig parse_audit_config(const std::string& text, const std::string& file, const std::string& folder) {
  const json whole = parse_json(text, file, true);
  // Whole paths, so that a report's settings can be read wherever they lie.
  return Parser(file, fs::absolute(folder.empty() ? "." : folder).lexically_normal()).read(whole);
}

AuditConfig read_audit_config(const std::string& path) {
  return parse_audit_config(read_text(path), path, fs::path(path).parent_path().string());
}

json to_json(const AuditConfig& c) {
  const FaceSettings& f = c.faces;
  json out = {{"version", kVersion},        {"size", c.size},           {"recogniser", f.recogniser},
              {"images", f.images},         {"part", c.part},           {"seed", c.seed},
              {"split_seed", c.split_seed}, {"attackers", c.attackers}, {"attributes", c.attributes}};
  for (const auto& [key, value] : std::initializer_list<std::pair<const char*, const std::string*>>{
           {"second_recogniser", &c.second_recogniser},
           {"list", &f.list},
           {"labels", &f.labels},
           {"pairs", &c.pairs},
           {"detector", &f.detection.card},
           {"landmarks", &f.detection.landmarks},
           {"cut", &f.cut}})
    if (!value->empty()) out[key] = *value;
  if (!f.eyes.empty()) out["eyes"] = f.eyes;
  for (const BudgetField& b : budget_fields()) out["budget"][b.name] = c.budget.*b.value;
  out["protections"] = json::array();
  for (const AuditProtection& p : c.protections) {
    if (!p.unlocked.empty()) continue;
    json one = {{"name", p.name}, {"protect", json::array()}};
    for (const AuditProtection::Link& link : p.links) {
      one["protect"].push_back(link.protection);
      for (const auto& [name, texts] : link.settings)
        one[option_name(name).substr(2)] = texts.size() == 1 ? json(texts[0]) : json(texts);
      for (const auto& [name, texts] : link.fit) one["fit"][option_name(name).substr(2)] = texts[0];
    }
    if (p.raw()) one["protect"].push_back("none");
    out["protections"].push_back(std::move(one));
  }
  return out;
}

}  // namespace advf::tools
