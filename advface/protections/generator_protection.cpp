#include "advface/protections/generator_protection.h"

#include <algorithm>
#include <bit>
#include <iterator>
#include <sstream>
#include <string_view>

#include "advface/protections/ascent/ascent_settings.h"
#include "advface/protections/recognition_bound.h"
#include "nn/freeze.h"
#include "tensor/ops.h"

namespace advf {
namespace {

constexpr int64_t kLargestBatch = 64;
constexpr std::string_view kOfSteps[] = {"method",           "steps", "step_size",
                                         "keep_recognition", "start", "start_key"};

}  // namespace

bool not_of_a_generator(const std::string& setting) {
  return std::find(std::begin(kOfSteps), std::end(kOfSteps), setting) != std::end(kOfSteps);
}

Settings GeneratorSpec::settings() {
  return {file_setting("generator", file, "network that emits the noise in one pass"),
          derived(number_setting("epsilon", epsilon, {0, kMostEpsilon},
                                 "bound of the noise that it was trained for")),
          number_setting("keep_recognition", keep_recognition, {0, 1},
                         "shrink a record's noise until the cosine of its embedding to the raw one is at "
                         "least this")};
}

void GeneratorSpec::check_valid() const {
  check(epsilon >= 0, "epsilon must be a number of at least 0, not ", epsilon);
  check(!keep_recognition || (*keep_recognition >= 0 && *keep_recognition <= 1),
        "the cosine to keep must lie between 0 and 1, not ", keep_recognition.value_or(0));
}

void GeneratorSpec::check_complete() const {
  check(!file.empty(), "the protection generator needs --generator FILE");
}

std::string GeneratorSpec::summary() const {
  std::ostringstream out;
  out.precision(4);
  out << "epsilon " << epsilon;
  if (keep_recognition) out << ", keep " << *keep_recognition;
  return out.str();
}

std::unique_ptr<Protection> GeneratorSpec::make(const ProtectionInput& input) const {
  return std::make_unique<GeneratorProtection>(*this, input);
}

GeneratorProtection::GeneratorProtection(const GeneratorSpec& spec, const ProtectionInput& input)
    : spec_(spec),
      networks_{{"generator", file_fingerprint(spec.file)}},
      loaded_(Generator::load(spec.file)),
      net_(loaded_.get()),
      recogniser_(input.network),
      moved_(input.space.moved) {
  net_->check_fits(input.space.row, input.recogniser, input.cut, input.what);
  if (input.domain_known()) net_->check_domain(input.space.domain, input.what);
  spec_.epsilon = net_->info().settings.epsilon;
  if (spec_.keep_recognition && !recogniser_ && net_->info().domain != FeatureDomain::sphere)
    throw WrongCall("a bound on recognition needs the recogniser: " + input.why_no_network());
}

GeneratorProtection::GeneratorProtection(const Generator& generator, std::optional<double> keep_recognition,
                                         const Recogniser* recogniser)
    : net_(&generator), recogniser_(recogniser) {
  spec_.epsilon = generator.info().settings.epsilon;
  spec_.keep_recognition = keep_recognition;
}
GeneratorProtection::~GeneratorProtection() = default;

Guarantee GeneratorProtection::guarantee() const {
  AscentSettings ball = net_->info().settings;
  ball.keep_recognition = spec_.keep_recognition;
  Guarantee proved;
  proved.largest_angle = ball.largest_angle(net_->info().spec.feature, net_->info().domain);
  return proved;
}

struct GeneratorProtection::Plans {
  NamedPlan emit;    // z -> u
  NamedPlan finish;  // z, u, factor -> stored, embedding (under a bound on recognition)

  static NamedPlan emitting(const Generator& net, int64_t batch) {
    const Tensor z = Tensor::meta(with_rows(batch, net.info().spec.feature));
    Tape tape(Tape::Keep::everything);
    NamedTensors in, out;
    in.add("z", z);
    {
      const MetaScope meta;
      const TapeScope scope(tape);
      out.add("u", net.noise(z));
    }
    return {tape, in, out};
  }
  // recogniser: where the embedding is asked for and is not the feature itself.
  static NamedPlan finishing(const Generator& net, bool bounded, const Recogniser* recogniser,
                             int64_t batch) {
    const GeneratorInfo& info = net.info();
    const Shape features = with_rows(batch, info.spec.feature);
    Shape factors = features;
    for (int a = 1; a < factors.rank(); ++a) factors.set(a, 1);
    const Tensor z = Tensor::meta(features), u = Tensor::meta(features), factor = Tensor::meta(factors);
    Tape tape(Tape::Keep::everything);
    NamedTensors in, out;
    in.add("z", z);
    in.add("u", u);
    in.add("factor", factor);
    {
      const MetaScope meta;
      const TapeScope scope(tape);
      const Tensor stored = into_domain(info.domain, add(z, in_feature_units(net.space(), mul(u, factor))));
      out.add("stored", stored);
      if (bounded) {
        const bool is_embedding = info.domain == FeatureDomain::sphere;
        out.add("embedding", is_embedding ? stored : recogniser->embed_from(stored, info.cut));
      }
    }
    return {fold_batch_norm(tape, out.tensors()), in, out};
  }
};

GeneratorProtection::Plans& GeneratorProtection::plans_for(int64_t batch) {
  std::unique_ptr<Plans>& slot = plans_[batch];
  if (!slot)
    slot.reset(new Plans{Plans::emitting(*net_, batch),
                         Plans::finishing(*net_, spec_.keep_recognition.has_value(), recogniser_, batch)});
  return *slot;
}

ProtectedRows GeneratorProtection::apply(const Tensor& features, std::span<const int64_t> records,
                                         const Tensor& /*photographs*/, const Context& context) {
  const int64_t n = features.dim(0);
  check(int64_t(records.size()) == n, "generator: ", n, " features with ", records.size(), " numbers");
  const size_t d = size_t(features.shape().numel(1, features.shape().rank()));
  const Tensor host = features.on_host();
  check_records(host, records, net_->info().domain);
  const NoTapeScope off;
  ProtectedRows result;
  std::vector<float> values;
  values.reserve(size_t(n) * d);
  for (int64_t begin = 0; begin < n;) {
    context.check_stop();
    const int64_t batch = std::min<int64_t>(int64_t(std::bit_floor(uint64_t(n - begin))), kLargestBatch);
    Plans& plans = plans_for(batch);
    const Tensor z = host.slice_batch(begin, begin + batch).to(current_backend());
    plans.emit.set("z", z);
    plans.emit.run();
    plans.finish.set("z", z);
    plans.finish.set("u", plans.emit.get("u"));
    RecognitionBound bound(plans.finish, spec_.keep_recognition, batch);
    bound.search();
    const std::vector<double> kept = bound.factors();
    const std::vector<float> stored = plans.finish.get("stored").to_vector<float>();
    for (size_t i = 0; i < size_t(batch); ++i) {
      const std::span<const float> feature{host.data<float>() + (size_t(begin) + i) * d, d};
      RecordReport report =
          report_of(records[size_t(begin) + i], feature, std::span(stored).subspan(i * d, d));
      report.kept = kept[i];
      report.recognition = bound.recognition(i);
      if (spec_.epsilon > 0)
        check_moved(report, feature,
                    report.kept < 1 ? "the bound on recognition leaves no room: lower it"
                                    : "the generator's training has failed: train it again, with a smaller "
                                      "--lr");
      result.reports.push_back(std::move(report));
    }
    values.insert(values.end(), stored.begin(), stored.end());
    begin += batch;
  }
  const BackendScope on_host(host_backend());
  result.features = Tensor::from(values, features.shape());
  return result;
}

}  // namespace advf
