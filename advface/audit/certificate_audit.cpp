#include "advface/audit/certificate_audit.h"

#include <algorithm>
#include <numeric>
#include <set>

#include "advface/attackers/registry.h"
#include "advface/audit/feature_sets.h"
#include "advface/audit/metrics.h"
#include "nn/loss.h"
#include "tensor/ops.h"

namespace advf {
namespace {

// Standard errors by which the mean information is raised before a bound is made of it.
constexpr double kDeviations = 2;

struct NamedAttacker {
  std::string name, what;
  std::unique_ptr<Attacker> attacker;
};

// Everybody whom the rows show, once: the first row of each.
std::vector<int64_t> first_rows(const TestRows& test) {
  std::vector<int64_t> rows;
  std::set<int64_t> known;
  for (const int64_t r : test.rows)
    if (known.insert(test.person[size_t(r)]).second) rows.push_back(r);
  return rows;
}

// At most `most` of the rows, spread over all.
std::vector<int64_t> spread(const std::vector<int64_t>& rows, int64_t most) {
  const int64_t n = int64_t(rows.size()), taken = std::min(n, most);
  std::vector<int64_t> some;
  for (int64_t i = 0; i < taken; ++i) some.push_back(rows[size_t(i * n / taken)]);
  return some;
}

class Certifier {
 public:
  Certifier(const CertificateSettings& settings, const Context& context);
  Certificate certify();

 private:
  void load_attackers();
  TestRows choose_unseen(const std::vector<std::string>& files) const;
  std::string why_no_invertibility() const;
  Tensor photographs(const std::vector<int64_t>& rows);
  Tensor raw_features(const Tensor& images) const;
  // What an attacker without a key compares with what is stored.
  Tensor candidates(const std::vector<int64_t>& rows) const;
  Naming name_people();
  Invertibility invert();
  void measure_attackers(const Tensor& faces, Invertibility& result);

  const CertificateSettings& o_;
  const Context& context_;
  Recogniser recogniser_;
  std::string cut_;
  ProtectionChain chain_;
  uint64_t split_seed_;
  int64_t size_;
  FaceSource faces_;
  std::vector<NamedAttacker> attackers_;

  // After the features are there.
  FeatureSet set_;
  TestRows test_;
  std::optional<FacePrior> prior_;
};

Certifier::Certifier(const CertificateSettings& settings, const Context& context)
    : o_(settings),
      context_(context),
      recogniser_(Recogniser::load(o_.faces.recogniser)),
      cut_(o_.faces.cut_of(recogniser_)),
      chain_(o_.protection, input_of(recogniser_, cut_, o_.faces.recogniser)),
      split_seed_(o_.split_seed),
      size_(o_.image_size),
      faces_(o_.faces.open_images(context)) {
  load_attackers();
  choose_unseen(faces_.names());  // told before the work; broken images then drop out
}

// Those that know their images' size first: the others follow.
void Certifier::load_attackers() {
  const std::string why = why_no_invertibility();
  if (!o_.attackers.empty()) check(why.empty(), "--attacker stands beside a bound, but there is none: ", why);
  AttackerInput input{.recogniser = &recogniser_,
                      .cut = cut_,
                      .split_seed = split_seed_,
                      .mean_face = [this](int) { return prior_->mean().to(current_backend()); },
                      .others = [this] { return set_.features.selected(test_.others); },
                      .threshold = {}};
  for (const bool of_files : {true, false})
    for (const std::string& text : o_.attackers) {
      const auto [given, what] = split_attacker(text);
      const std::unique_ptr<AttackerSpec> spec = named_attacker(what, o_.seed);
      if (of_files != !spec) continue;
      input.image_size = int(size_);
      attackers_.push_back({given, what, spec ? spec->make(input) : load_attacker(what)});
      NamedAttacker& a = attackers_.back();
      if (a.name.empty()) a.name = a.attacker->name();
      check(!a.attacker->asks_matching_side(), what,
            ": who asks the matching side is not bound by what is stored alone");
      const Provenance& from = a.attacker->provenance();
      check_takes(from, a.attacker->row(), "the " + a.attacker->kind() + " " + what, chain_.out().row,
                  recogniser_.fingerprint(), cut_, o_.faces.recogniser);
      NamedFeatures stored = foreseen_raw(chain_.out().row);
      stored.kind = "protected";
      stored.protection = chain_.id();
      const Meeting meeting{a.name, what, &from, a.attacker->row()};
      if (const auto reason = reason_left_out(meeting, stored)) fail(what, ": ", *reason);
      check(attackers_.size() == 1 || size_ == a.attacker->image_size(), what, ": makes images of ",
            a.attacker->image_size(), " pixels, the first attacker of ", size_);
      size_ = a.attacker->image_size();
      split_seed_ = attackers_[0].attacker->provenance().split_seed;
    }
}

TestRows Certifier::choose_unseen(const std::vector<std::string>& files) const {
  TestRows chosen = rows_under_test(o_.faces, o_.part, 0, files, split_seed_);
  for (const NamedAttacker& a : attackers_)
    check_never_saw(a.attacker->provenance(), a.what, chosen.identities);
  chain_.check_never_saw(chosen.identities);
  check(chosen.others.size() >= 2 || !why_no_invertibility().empty(), o_.faces.images,
        ": the prior is of photographs of people who are not under test, and there are not two of these");
  return chosen;
}

// Empty where there is a bound.
std::string Certifier::why_no_invertibility() const {
  if (!chain_.guarantee().privacy)
    return "it follows from independent noise: --protect noise with --mechanism gaussian or laplace";
  if (chain_.id().applied[0].name != "noise") return "noise must come first in the chain";
  return "";
}

// (n,3,S,S) in host memory.
Tensor Certifier::photographs(const std::vector<int64_t>& rows) {
  std::vector<int64_t> images;
  for (const int64_t r : rows) images.push_back(set_.indices[size_t(r)]);
  const FaceCache cache(faces_, images, o_.faces.face_cut(recogniser_), int(size_));
  check(cache.count() == int64_t(images.size()), "some images became unreadable; run again");
  return cache.batch(0, cache.count()).on_host();
}

// Of images (n,3,S,S), in host memory.
Tensor Certifier::raw_features(const Tensor& images) const {
  constexpr int64_t kBlock = 32;
  const NoTapeScope off;
  return collect_rows(images.dim(0), kBlock, [&](int64_t begin, int64_t end) {
    return recogniser_.features(recogniser_.preprocess(images.slice_batch(begin, end).to(current_backend())),
                                cut_);
  });
}

Tensor Certifier::candidates(const std::vector<int64_t>& rows) const {
  ProtectionSpecs open = o_.protection;
  std::erase_if(open, [](const auto& spec) { return spec->needs_key(); });
  if (open.empty()) return set_.features.at(rows);
  const NoTapeScope off;
  const ProtectionChain known(open, input_of(recogniser_, cut_, o_.faces.recogniser));
  return known.apply_probe(set_.features.batch(rows), rows).on_host();
}

Naming Certifier::name_people() {
  const std::vector<int64_t> rows = first_rows(test_);
  std::vector<int64_t> images;
  for (const int64_t r : rows) images.push_back(set_.indices[size_t(r)]);
  const ReadPhotographs seen =
      photographs_of(faces_, images, o_.faces.face_cut(recogniser_), chain_.photograph_size());
  const FeatureRows stored =
      protected_rows(chain_, set_.features.selected(rows), rows, seen, o_.faces.memory_mib << 20, context_);
  Naming naming;
  naming.people = int64_t(rows.size());
  if (const auto privacy = chain_.guarantee().privacy)
    naming.at_most = naming_bound(privacy->noise, 1 / double(naming.people));
  naming.nearest = nearest_is_own(stored.range(0, stored.count()), candidates(rows));
  return naming;
}

Invertibility Certifier::invert() {
  const PrivacyNoise noise = chain_.guarantee().privacy->noise;
  const std::vector<int64_t> rows = spread(test_.rows, o_.limit), others = spread(test_.others, o_.prior);
  Invertibility result;
  for (const int64_t r : rows) {
    result.files.push_back(faces_.name(set_.indices[size_t(r)]));
    result.people.push_back(test_.person[size_t(r)]);
  }
  prior_.emplace(photographs(others));
  result.image_size = size_;
  result.values = prior_->values();
  result.prior_photographs = int64_t(others.size());
  result.prior_variance = prior_->variance();
  const Encoder encoder = [&](const Tensor& images) {
    return shortened(recogniser_.features(recogniser_.preprocess(images), cut_), noise.mechanism, noise.clip);
  };
  TraceSettings traces{o_.directions, recogniser_.one_at_a_time().empty() ? TraceSettings().batch : 1,
                       o_.seed};
  const Tensor faces = photographs(rows), drawn = prior_->draw(0, int64_t(rows.size()), o_.seed);
  const double unit = noise.scale * noise.scale * double(result.values);
  for (const double trace : jacobian_traces(encoder, faces, nullptr, traces, context_).plain)
    result.dfil.push_back(trace / unit);
  std::vector<double> information;
  for (const double trace : jacobian_traces(encoder, drawn, &*prior_, traces, context_).weighted)
    information.push_back(trace / (unit * result.prior_variance));
  result.information = estimate(information);
  const double dfil = estimate(result.dfil).mean;
  result.unbiased = unbiased_bound(dfil);
  result.any_prior = pixel_noise_bound(dfil, o_.pixel_noise);
  result.gaussian_prior =
      prior_bound(result.prior_variance, result.information.mean + kDeviations * result.information.error);
  measure_attackers(faces, result);
  return result;
}

// On the very images that the bounds are of: the photographs as small as those of the attackers, enlarged to
// what the recogniser takes.
void Certifier::measure_attackers(const Tensor& faces, Invertibility& result) {
  const NoTapeScope off;
  const int64_t n = faces.dim(0);
  result.reached.push_back({"mean face", mse_per_image(repeat(prior_->mean(), n), faces)});
  if (attackers_.empty()) return;
  std::vector<int64_t> records(static_cast<size_t>(n));
  std::iota(records.begin(), records.end(), int64_t(0));
  const FeatureRows stored = protected_rows(chain_, FeatureRows(raw_features(faces)), records, {},
                                            o_.faces.memory_mib << 20, context_);
  for (const NamedAttacker& a : attackers_) {
    const Tensor images = a.attacker->attack(stored.batch(0, n), context_).on_host();
    result.reached.push_back({a.name, mse_per_image(images, faces)});
  }
}

Certificate Certifier::certify() {
  set_ = extract(o_.faces, recogniser_, cut_, faces_, context_);
  std::vector<std::string> files;
  for (const int64_t i : set_.indices) files.push_back(faces_.name(i));
  test_ = choose_unseen(files);
  Certificate certificate;
  certificate.protection = chain_.id();
  certificate.proved = chain_.guarantee();
  certificate.cut = cut_;
  certificate.naming = name_people();
  certificate.no_invertibility = why_no_invertibility();
  if (certificate.no_invertibility.empty()) certificate.invertibility = invert();
  return certificate;
}

}  // namespace

std::vector<double> nearest_is_own(const Tensor& stored, const Tensor& candidates) {
  const int64_t n = stored.dim(0);
  check(stored.shape() == candidates.shape(), "what is stored has shape ", stored.shape(),
        ", what it is compared with ", candidates.shape());
  const NoTapeScope off;
  const BackendScope on_host(host_backend());
  const Shape flat{n, stored.numel() / n};
  const Tensor rows = reshape(candidates, flat);
  // -|a - b|^2 without what is the same for all candidates.
  const Tensor lengths = reshape(reduce_sum(mul(rows, rows), {1}, false), {1, n});
  const Tensor scores =
      sub(affine(matmul(reshape(stored, flat), rows, {}, {.transpose_b = true}), 2, 0), lengths);
  std::vector<double> own;
  for (int64_t i = 0; i < n; ++i) {
    const std::span<const float> row{scores.data<float>() + i * n, size_t(n)};
    const float mine = row[size_t(i)];
    const int64_t above = std::count_if(row.begin(), row.end(), [&](float s) { return s > mine; });
    const int64_t ties = std::count(row.begin(), row.end(), mine) - 1;
    own.push_back(in_top(1, above, ties));
  }
  return own;
}

Certificate certify(const CertificateSettings& settings, const Context& context) {
  return Certifier(settings, context).certify();
}

}  // namespace advf
