#include "protection_checks.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "autograd/plan.h"
#include "autograd/tape.h"
#include "tensor/backend.h"
#include "tensor/parallel.h"

namespace advf::test {
namespace {

class Checker {
 public:
  explicit Checker(const ProtectionScene& scene)
      : scene_(scene), protection_(scene.make()), n_(scene.features.dim(0)), records_(size_t(n_)) {
    std::iota(records_.begin(), records_.end(), 100);
    set_num_threads(1);
    whole_ = apply(*protection_, scene.features, records_, scene.photographs);
  }
  ~Checker() { set_num_threads(0); }

  std::vector<std::string> run() {
    what_is_stored();
    reports();
    who_it_depends_on();
    bad_features();
    id();
    looked_through();
    return broken_;
  }

 private:
  static ProtectedRows apply(Protection& protection, const Tensor& z, const std::vector<int64_t>& records,
                             const Tensor& photographs) {
    return protection.apply(z, records, photographs, {});
  }
  void hold(bool holds, const char* rule) {
    if (!holds && std::find(broken_.begin(), broken_.end(), rule) == broken_.end()) broken_.push_back(rule);
  }
  static std::span<const float> row(const Tensor& rows, int64_t i) {
    const size_t d = size_t(rows.shape().numel(1, rows.shape().rank()));
    return {rows.data<float>() + size_t(i) * d, d};
  }
  // Row i of the whole against row k of another result.
  bool same(int64_t i, const ProtectedRows& other, int64_t k) const {
    const auto a = row(whole_.features, i), b = row(other.features, k);
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
  }
  Tensor photographs(int64_t begin, int64_t end) const {
    return scene_.photographs.defined() ? scene_.photographs.slice_batch(begin, end) : Tensor();
  }

  void what_is_stored() {
    const FeatureSpace out = protection_->out();
    hold(whole_.features.shape() == with_rows(n_, out.row), "shape");
    for (int64_t i = 0; i < n_; ++i) {
      try {
        check_feature(row(whole_.features, i), out.domain, [] { return std::string("a row"); });
      } catch (const Error&) {
        hold(false, "domain");
      }
      hold(!scene_.within || scene_.within(row(scene_.features, i), row(whole_.features, i)), "ball");
    }
    const std::optional<double> angle = protection_->guarantee().largest_angle;
    if (!angle || out.domain != FeatureDomain::sphere) return;
    const Tensor probes = protection_->apply_probe(scene_.features.to(current_backend()), records_).on_host();
    for (int64_t i = 0; i < n_; ++i)
      hold(cosine(row(whole_.features, i), row(probes, i)) >= std::cos(*angle) - 1e-6, "angle");
  }

  void reports() {
    hold(int64_t(whole_.reports.size()) == n_, "report");
    const bool comparable = !protection_->out().moved;
    for (size_t i = 0; i < whole_.reports.size() && int64_t(i) < n_; ++i) {
      const RecordReport& r = whole_.reports[i];
      hold(r.record == records_[i], "report");
      if (!comparable) continue;
      const RecordReport is =
          report_of(r.record, row(scene_.features, int64_t(i)), row(whole_.features, int64_t(i)));
      hold(std::abs(r.noise_l2 - is.noise_l2) < 1e-9 && std::abs(r.cosine - is.cosine) < 1e-9 &&
               std::abs(r.noise_linf - is.noise_linf) < 1e-9,
           "report");
    }
  }

  void who_it_depends_on() {
    if (protection_->depends_on_company()) return;
    // In blocks of other sizes, a block of one among them, at another place of the call, with more threads.
    for (const auto& [begin, end] :
         {std::pair<int64_t, int64_t>{0, 1}, {1, 4}, {4, n_}, {n_ - 1, n_}, {2, 5}}) {
      const ProtectedRows part =
          apply(*protection_, scene_.features.slice_batch(begin, end),
                {records_.begin() + begin, records_.begin() + end}, photographs(begin, end));
      for (int64_t i = begin; i < end; ++i) hold(same(i, part, i - begin), "company");
    }
    // Other numbers may give other noise, but a number must give the same wherever it stands.
    const Tensor first = scene_.features.slice_batch(1, 2);
    const auto one = [&](int64_t record) { return apply(*protection_, first, {record}, photographs(1, 2)); };
    hold(same(1, one(records_[1]), 0), "number");
    hold(same(1, one(records_[1] + 1), 0) != protection_->draws_by_record(), "draw");
    set_num_threads(3);
    const ProtectedRows threads = apply(*protection_, scene_.features, records_, scene_.photographs);
    for (int64_t i = 0; i < n_; ++i) hold(same(i, threads, i), "threads");
    set_num_threads(1);
    const ProtectedRows again = apply(*scene_.make(), scene_.features, records_, scene_.photographs);
    for (int64_t i = 0; i < n_; ++i) hold(same(i, again, i), "again");
  }

  void bad_features() {
    for (const float bad :
         {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
      std::vector<float> values = scene_.features.to_vector<float>();
      values[values.size() / size_t(n_) * 3] = bad;
      try {
        apply(*protection_, Tensor::from(values, scene_.features.shape()), records_, scene_.photographs);
        hold(false, "bad feature");
      } catch (const Error& e) {
        hold(std::string(e.what()).find(std::to_string(records_[3])) != std::string::npos, "bad feature");
      }
    }
  }

  void id() {
    const AppliedProtection applied = protection_->applied();
    try {
      const ProtectionId id{{applied}, {}};
      const ProtectionId back = ProtectionId::from_json(id.to_json(), "f");
      hold(back == id && back.describe() == id.describe(), "id");
      Shape raw = scene_.features.shape();
      raw = Shape(std::span<const int64_t>(raw.begin() + 1, size_t(raw.rank() - 1)));
      hold(space_after(id, {raw, FeatureDomain::sphere}).row == protection_->out().row, "id");
    } catch (const Error&) {
      hold(false, "id");
    }
  }

  void looked_through() {
    // Through a lock nobody looks, so only the matching side, which has values, changes its probes.
    if (scene_.needs_key) return;
    try {
      const Tensor probe = scene_.features.to(current_backend());
      Tape tape(Tape::Keep::everything);
      Tensor in = Tensor::meta(probe.shape()), out;
      {
        const MetaScope meta;
        const TapeScope recording(tape);
        out = protection_->apply_probe(in, records_);
      }
      if (tape.records().empty()) return;  // the probe as it is, or moved without a tape
      PlanState plan(compile(tape, std::span(&in, 1), std::span(&out, 1)));
      plan.set(0, probe);
      plan.run();
      const std::vector<float> planned = plan.get(0).to_vector<float>(),
                               eager = protection_->apply_probe(probe, records_).to_vector<float>();
      hold(planned.size() == eager.size(), "probe");
      for (size_t k = 0; k < planned.size(); ++k) hold(std::abs(planned[k] - eager[k]) < 1e-4f, "probe");
    } catch (const Error&) {
      hold(false, "probe");
    }
  }

  const ProtectionScene& scene_;
  std::unique_ptr<Protection> protection_;
  int64_t n_;
  std::vector<int64_t> records_;
  ProtectedRows whole_;
  std::vector<std::string> broken_;
};

}  // namespace

std::vector<std::string> broken_rules(const ProtectionScene& scene) { return Checker(scene).run(); }

}  // namespace advf::test
