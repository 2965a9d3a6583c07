#include "advface/protections/protection_chain.h"

#include <algorithm>
#include <numeric>

namespace advf {

namespace {

// A network takes features that were protected as those it was trained on, or raw ones where it was trained
// on such and they are still in the recogniser's space; one that stands for an attacker may have been trained
// on what this protection made of such features. Of an old network nobody knows.
void check_trained_on(const Provenance& network, const Protection& link, const ProtectionId& before,
                      bool moved) {
  if (!network.protection.known()) return;
  const std::string protection = link.applied().name;
  if (link.imitates_attackers() && network.protection.is_then(before, protection)) return;
  if (network.protection.is_like(before)) {
    check(network.protection.same_space(before), "a network of the protection ", protection,
          " was trained on features that are ", network.protection.describe(),
          ", but those that come to it are ", before.describe(), ": another seed moves them elsewhere");
    return;
  }
  check(network.protection.is_raw() && !moved, "a network of the protection ", protection,
        " was trained on features that are ", network.protection.describe(),
        ", but those that come to it are ", before.describe(), ": ", network.protection.difference(before));
}

}  // namespace

ProtectionChain::ProtectionChain(const ProtectionSpecs& specs, const ProtectionInput& input)
    : in_(input.space), recogniser_(input.recogniser), cut_(input.cut) {
  if (specs.empty()) throw WrongCall("no protection is named");
  for (const auto& spec : specs)
    if (const std::string why = spec->alone_because(); !why.empty() && specs.size() > 1)
      throw WrongCall(spec->summary() + ": " + why + ", so it must protect alone");
  ProtectionInput next = input;
  for (const auto& spec : specs) {
    links_.push_back(spec->make(next));
    changes_probe_ = changes_probe_ || spec->changes_probe();
    needs_key_ = needs_key_ || spec->needs_key();
    const Protection& link = *links_.back();
    for (const Provenance* network : link.networks()) {
      check_trained_on(*network, link, next.before, next.space.moved);
      if (links_.size() == 1 && !input.domain_known()) in_.domain = network->domain;
      for (auto [mine, its] : {std::pair{&recogniser_, &network->recogniser}, {&cut_, &network->cut}})
        if (mine->empty()) *mine = *its;
    }
    next.before.applied.push_back(link.applied());
    next.space = link.out();
    next.space.moved = next.space.moved || in_.moved;
    if (next.space.moved) next.network = nullptr;
    next.why_domain_unknown.clear();
    next.what = input.what + ", " + next.before.describe() + ",";
  }
}

ProtectionId ProtectionChain::id() const {
  ProtectionId id;
  for (const auto& link : links_) id.applied.push_back(link->applied());
  return id;
}

bool ProtectionChain::draws_by_record() const {
  return std::any_of(links_.begin(), links_.end(), [](const auto& link) { return link->draws_by_record(); });
}

bool ProtectionChain::is_shareable() const {
  return std::all_of(links_.begin(), links_.end(), [](const auto& link) { return link->is_shareable(); });
}

int ProtectionChain::photograph_size() const {
  int size = 0;
  for (const auto& link : links_) size = std::max(size, link->photograph_size());
  return size;
}
Guarantee ProtectionChain::guarantee() const {
  Guarantee whole = links_.front()->guarantee();
  for (size_t l = 1; l < links_.size(); ++l)
    whole = whole.then(links_[l]->guarantee(), links_[l]->photograph_size() > 0);
  return whole;
}

std::vector<const Provenance*> ProtectionChain::networks() const {
  std::vector<const Provenance*> list;
  for (const auto& link : links_)
    for (const Provenance* network : link->networks()) list.push_back(network);
  return list;
}
void ProtectionChain::check_never_saw(const std::vector<std::string>& identities) const {
  for (const auto& link : links_) link->check_never_saw(identities);
}

bool ProtectionChain::saw(int64_t person) const {
  for (const auto& link : links_)
    for (const Provenance* network : link->networks())
      if (std::binary_search(network->people.begin(), network->people.end(), person)) return true;
  return false;
}

void ProtectionChain::look_at(const FeatureRows& features, std::span<const int64_t> records,
                              const Context& context) {
  for (size_t l = 0; l < links_.size(); ++l)
    links_[l]->look_at(features.count(), [&](int64_t begin, int64_t end) {
      if (l == 0) return features.batch(begin, end);
      const auto numbers = records.subspan(size_t(begin), size_t(end - begin));
      return through(l, features.range(begin, end), numbers, {}, context).features.to(current_backend());
    });
}

ProtectedRows ProtectionChain::through(size_t links, const Tensor& features, std::span<const int64_t> records,
                                       const Tensor& photographs, const Context& context) {
  ProtectedRows result{features.on_host(), {}};
  for (size_t l = 0; l < links; ++l) {
    ProtectedRows next = links_[l]->apply(result.features, records,
                                          links_[l]->photograph_size() > 0 ? photographs : Tensor(), context);
    for (size_t i = 0; i < result.reports.size(); ++i)
      if (next.reports[i].losses.empty()) next.reports[i] = std::move(result.reports[i]);
    result = std::move(next);
  }
  return result;
}

ProtectedRows ProtectionChain::apply(const Tensor& features, std::span<const int64_t> records,
                                     const Tensor& photographs, const Context& context) {
  ProtectedRows result = through(links_.size(), features, records, photographs, context);
  if (links_.size() == 1) return result;
  const Tensor host = features.on_host();
  const size_t d = size_t(in_.row.numel());
  for (size_t i = 0; i < records.size(); ++i) {
    RecordReport whole;
    if (!moves())
      whole =
          report_of(records[i], {host.data<float>() + i * d, d}, {result.features.data<float>() + i * d, d});
    RecordReport& report = result.reports[i];
    report.noise_l2 = whole.noise_l2;
    report.noise_linf = whole.noise_linf;
    report.cosine = whole.cosine;
  }
  return result;
}

Tensor ProtectionChain::apply_probe(const Tensor& features, std::span<const int64_t> records) const {
  Tensor probe = features;
  for (const auto& link : links_) probe = link->apply_probe(probe, records);
  return probe;
}

FeatureRows ProtectionChain::unlocked(const FeatureRows& stored, std::span<const int64_t> records,
                                      int64_t memory_bytes, const Context& context) const {
  constexpr int64_t kBatch = 256;
  FeatureSpool spool(out().row, memory_bytes);
  for (int64_t begin = 0; begin < stored.count(); begin += kBatch) {
    context.check_stop();
    const int64_t end = std::min(stored.count(), begin + kBatch);
    spool.append(
        links_.back()->unlock(stored.range(begin, end), records.subspan(size_t(begin), size_t(end - begin))));
  }
  return spool.finish();
}

ProtectionInput input_of(const Recogniser& recogniser, const std::string& cut, const std::string& what) {
  ProtectionInput input;
  input.space = {recogniser.feature_shape(cut), recogniser.domain(cut)};
  input.recogniser = recogniser.fingerprint();
  input.cut = cut;
  input.card = feeding_hash(recogniser.card());
  input.what = what;
  input.network = &recogniser;
  return input;
}

ReadPhotographs photographs_of(FaceSource& faces, std::vector<int64_t> indices, const FaceCut& cut,
                               int size) {
  return [&faces, indices = std::move(indices), cut, size](int64_t begin, int64_t end) {
    const FaceBatch batch =
        faces.load(std::span(indices).subspan(size_t(begin), size_t(end - begin)), cut, size);
    check(batch.broken.empty(),
          "an image became unreadable: ", batch.broken.empty() ? "" : batch.broken[0].why);
    return batch.images;
  };
}

FeatureRows protected_rows(ProtectionChain& protection, const FeatureRows& features,
                           std::span<const int64_t> records, const ReadPhotographs& photographs,
                           int64_t memory_bytes, const Context& context) {
  const int64_t n = features.count();
  std::vector<int64_t> rows(records.begin(), records.end());
  if (rows.empty()) {
    rows.resize(size_t(n));
    std::iota(rows.begin(), rows.end(), int64_t(0));
  }
  protection.look_at(features, rows, context);
  return protected_beside(protection, features, rows, photographs, memory_bytes, context);
}

FeatureRows protected_beside(ProtectionChain& protection, const FeatureRows& features,
                             std::span<const int64_t> records, const ReadPhotographs& photographs,
                             int64_t memory_bytes, const Context& context) {
  constexpr int64_t kBatch = 256;
  const int64_t n = features.count();
  FeatureSpool spool(protection.out().row, memory_bytes);
  const auto progress = context.begin("protect", n, "features");
  for (int64_t begin = 0; begin < n;) {
    context.check_stop();
    // One record alone has no company: it goes with those before it.
    const int64_t end = n - begin <= kBatch + 1 ? n : begin + kBatch;
    const Tensor seen = protection.photograph_size() > 0 ? photographs(begin, end) : Tensor();
    const auto numbers = records.subspan(size_t(begin), size_t(end - begin));
    spool.append(protection.apply(features.range(begin, end), numbers, seen, context).features);
    progress->advance(end - begin);
    begin = end;
  }
  progress->finish();
  return spool.finish();
}

}  // namespace advf
