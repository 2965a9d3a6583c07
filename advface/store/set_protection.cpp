#include "advface/store/set_protection.h"

#include <algorithm>

#include "advface/protections/registry.h"
#include "advface/protections/shuffle_protection.h"
#include "tensor/backend.h"

namespace advf {
namespace {

// A key that comes over a descriptor is one, too, for it stands in no description.
bool is_file(const Setting& s) { return s.source == Setting::Source::file || s.name == "key_fd"; }

ProtectionInput input_of_set(const Store& store, const StoredSet& set, const Recogniser* recogniser) {
  ProtectionInput input = raw_input(store, set);
  input.network = recogniser;
  input.to_keep = true;
  input.beside = &set.info.protection;
  input.beside_what = store.path();
  return input;
}

}  // namespace

ProtectionInput raw_input(const Store& store, const StoredSet& set) {
  ProtectionInput input;
  input.space = set.raw;
  input.recogniser = set.info.recogniser;
  input.cut = set.info.cut;
  input.what = store.path();
  return input;
}

std::vector<Setting> protection_files() {
  static const std::vector<std::unique_ptr<ProtectionSpec>> specs = [] {
    std::vector<std::unique_ptr<ProtectionSpec>> list;
    for (const ProtectionKind& kind : protections()) list.push_back(kind.spec());
    return list;
  }();
  std::vector<Setting> list;
  for (const auto& spec : specs)
    for (const Setting& s : spec->settings())
      if (is_file(s) && std::ranges::none_of(list, [&](const Setting& t) { return t.name == s.name; }))
        list.push_back(s);
  return list;
}

ProtectionSpecs specs_of(const ProtectionId& id, const ProtectionFiles& files, const std::string& source) {
  check(id.known(), source, ": ", id.unknown);
  ProtectionSpecs specs;
  ProtectionFiles rest = files;
  for (const AppliedProtection& applied : id.applied) {
    std::shared_ptr<ProtectionSpec> spec = spec_of(applied, source);
    for (const Setting& s : spec->settings()) {
      const auto given = files.find(s.name);
      if (given == files.end() || !is_file(s)) continue;
      for (const std::string& text : given->second) s.read(text);
      rest.erase(s.name);
    }
    try {
      spec->check_valid();
      spec->check_complete();
    } catch (const Error& e) {
      throw WrongCall(source + ": " + e.what());
    }
    specs.push_back(std::move(spec));
  }
  if (!rest.empty())
    throw WrongCall(option_name(rest.begin()->first) + " is for nothing here: " + source + " holds what is " +
                    id.describe());
  return specs;
}

SetProtection::SetProtection(const Store& store, const StoredSet& set, const ProtectionFiles& files,
                             const Recogniser* recogniser)
    : SetProtection(specs_of(set.info.protection, files, store.path() + ": set " + set.name),
                    input_of_set(store, set, recogniser)) {
  const ProtectionId mine = id();
  const std::string difference = mine.difference(set.info.protection);
  check(
      mine == set.info.protection, store.path(), ": the set ", set.name,
      " was protected otherwise than with what is given: ", difference.empty() ? "another seed" : difference);
  check(dimension() == set.dimension, store.path(), " is damaged: the set ", set.name, " has records of ",
        set.dimension, " values, but its protection makes ", dimension());
}

SetProtection::SetProtection(const ProtectionSpecs& specs, const ProtectionInput& input) : raw_(input.space) {
  if (!specs.empty()) chain_ = std::make_unique<ProtectionChain>(specs, input);
  separates_ = std::ranges::any_of(specs, [](const auto& spec) { return spec->separates_records(); });
}

int64_t SetProtection::dimension() const { return (chain_ ? chain_->out() : raw_).row[0]; }

Tensor SetProtection::protect(const Tensor& features, std::span<const int64_t> salts,
                              const Context& context) {
  if (!chain_) return features.on_host();
  return chain_->apply(features, salts, Tensor(), context).features;
}

Tensor SetProtection::probe(const Tensor& features, std::span<const int64_t> salts) const {
  return (chain_ ? chain_->apply_probe(features, salts) : features).on_host();
}

void check_recogniser(const Store& store, const StoredSet& set, const Recogniser& recogniser) {
  const std::string what = store.path() + ": set " + set.name, &path = recogniser.card().path;
  check_comes_from(set.info, what, recogniser.fingerprint(), set.info.cut, path);
  check_same_card(set.info, what, feeding_hash(recogniser.card()), path);
}

ProtectionSpecs specs_for_store(const ProtectionSpecs& specs) {
  for (size_t i = 0; i + 1 < specs.size(); ++i)
    if (specs[i]->needs_key())
      throw WrongCall(
          "in a store the protection with a key goes last: under another one no other key could take its "
          "place");
  for (const auto& spec : specs) {
    const Metadata values = spec->values();
    if (dynamic_cast<const ShuffleSpec*>(spec.get()))
      throw WrongCall(
          "the order of shuffle stands beside the records, where whoever has them undoes it; in a store take "
          "rotation, whose key lies elsewhere");
    // Of one key record numbers of several calls would share their noise.
    const std::unique_ptr<ProtectionSpec> asked = spec->clone();  // its settings are bound to it
    for (const Setting& s : asked->settings())
      if (s.key && !asked->needs_key() && !s.paths().empty())
        throw WrongCall("a store draws noise anew in each call, and forgets of what: leave " + s.option() +
                        " out");
    const auto is = [&](const char* name, const char* text) {
      const auto found = values.find(name);
      return found != values.end() && found->second == text;
    };
    if (values.contains("bn") && !is("bn", "\"running\""))
      throw WrongCall(
          "a store takes --bn running alone: else a record would depend on those that are protected with it; "
          "advface-train recalibrate makes a shadow for all of them");
    if (is("objective", "\"original\""))
      throw WrongCall(
          "--objective original looks at photographs, which a store does not keep; take another objective");
  }
  ProtectionSpecs kept;
  for (const auto& spec : specs) {
    std::unique_ptr<ProtectionSpec> copy = spec->clone();
    copy->keep_secrets();
    kept.push_back(std::move(copy));
  }
  return kept;
}

double cosine_of_rows(const Tensor& a, const Tensor& b) {
  const Tensor x = a.on_host(), y = b.on_host();
  return cosine({x.data<float>(), size_t(x.numel())}, {y.data<float>(), size_t(y.numel())});
}

}  // namespace advf
