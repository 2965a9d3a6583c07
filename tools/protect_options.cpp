#include "tools/protect_options.h"

#include <numeric>

#include "tensor/hash.h"
#include "tensor/io/input_file.h"
#include "tools/progress.h"

namespace advf::tools {
namespace {

// Of a network's file.
std::string fingerprint(const std::string& path) {
  constexpr uint64_t kMostBytes = uint64_t(1) << 32;
  return hex(fnv1a(read_file(path, kMostBytes)));
}

// An option whose value is one of an enumeration's names.
template <class E>
CLI::Option* add_choice(CLI::App& app, const std::string& name, E& value, const std::string& help) {
  std::vector<std::string> names;
  for (const Choice<E>& c : choices<E>()) names.push_back(c.name);
  return app
      .add_option_function<std::string>(
          name,
          [&value](const std::string& text) {
            for (const Choice<E>& c : choices<E>())
              if (text == c.name) value = c.value;
          },
          help)
      ->check(CLI::IsMember(names))
      ->default_str(name_of(value));
}

}  // namespace

void ProtectOptions::add_to(CLI::App& app, const std::string& group, bool required) {
  CLI::Option* protects =
      app.add_option("--shadow", shadows,
                     "protect the features with this shadow decoder; several shadows make an ensemble")
          ->allow_extra_args(false)
          ->group(group)
          ->required(required);
  // Without a shadow nothing is protected, whatever else is asked for.
  const auto add = [&](CLI::Option* option) {
    option->group(group);
    if (!required) option->needs(protects);
  };
  add(app.add_option(
             "--epsilon", settings.epsilon,
             "bound of the noise: of a vector in its own units, of a map in deviations of each channel")
          ->capture_default_str());
  add(app.add_option("--steps", settings.steps, "gradient steps (default: 10; fgsm takes 1)"));
  add(app.add_option("--step-size", settings.step_size,
                     "length of a step; 0 = 2.5 epsilon / steps, for bim and mi-fgsm epsilon / steps")
          ->capture_default_str());
  add(add_choice(app, "--objective", settings.objective, "what the noise drives apart"));
  add(add_choice(app, "--loss", settings.loss, "how the distance of two images is measured"));
  add(add_choice(app, "--method", settings.method, "how the noise is found"));
  add(app.add_option("--generator", generator,
                     "network that emits the noise in one pass, for --method generator; what it was trained "
                     "for must be asked for"));
  add(add_choice(app, "--norm", settings.norm, "of the ball (for l2 on the sphere: the cap) of noise"));
  add(add_choice(app, "--bn", settings.batch_norm, "what the shadow's batch norm normalises by"));
  add(add_choice(app, "--ensemble", settings.ensemble, "of several shadows: their mean loss, or the least"));
  add(app.add_option(
      "--keep-recognition", settings.keep_recognition,
      "shrink a record's noise until the cosine of its embedding to the raw one is at least this"));
}

void ProtectOptions::check_valid() const {
  as_usage([&] {
    settings.check_valid();
    check(settings.epsilon > 0, "--epsilon 0 protects nothing");
    check((settings.method == Method::generator) == !generator.empty(),
          "--method generator and --generator FILE go together");
    for (size_t i = 0; i < shadows.size(); ++i)
      for (size_t j = 0; j < i; ++j) check(shadows[i] != shadows[j], "--shadow names ", shadows[i], " twice");
  });
}

Protection::Protection(const ProtectOptions& options, const Recogniser* recogniser, const Shape& row,
                       const std::string& what, const std::string& cut)
    : settings_(options.settings), recogniser_(recogniser) {
  std::string prints;
  for (const std::string& path : options.shadows) {
    shadows_.push_back(Decoder::load(path));
    shadows_.back()->check_fits(row, "", cut, what);
    prints += (prints.empty() ? "" : " ") + fingerprint(path);
  }
  networks_["shadow"] = prints;
  if (!options.generator.empty()) {
    generator_ = Generator::load(options.generator);
    networks_["generator"] = fingerprint(options.generator);
  }
  // What is missing on the command line is a usage error; what does not fit is a failure.
  const bool embedding = info().domain == FeatureDomain::sphere;
  as_usage([&] {
    check(recogniser_ || !settings_.needs_recogniser(embedding), settings_.summary(),
          " needs the recogniser: name its card with --recogniser");
  });
  models().check_fit(settings_);
}

void Protection::set_epsilon(double epsilon) {
  settings_.epsilon = epsilon;
  models().check_fit(settings_);
}

ProtectModels Protection::models() const {
  std::vector<Decoder*> list;
  for (const auto& shadow : shadows_) list.push_back(shadow.get());
  ProtectModels models(list, recogniser_);
  models.generator = generator_.get();
  return models;
}

void Protection::check_never_saw(const std::vector<std::string>& identities) const {
  for (const auto& shadow : shadows_) shadow->check_never_saw(identities);
  if (generator_) generator_->check_never_saw(identities);
}

void Protection::recalibrate(int64_t rows, const std::function<Tensor(int64_t begin, int64_t end)>& read) {
  if (settings_.batch_norm != BatchNormMode::recalibrated) return;
  for (const auto& shadow : shadows_) advf::recalibrate(*shadow, rows, read);
}

ReadPhotographs photographs_of(FaceSource& faces, std::vector<int64_t> indices,
                               const std::optional<FaceBox>& box, int size) {
  return [&faces, indices = std::move(indices), box, size](int64_t begin, int64_t end) {
    const FaceBatch batch =
        faces.load(std::span(indices).subspan(size_t(begin), size_t(end - begin)), box, size);
    check(batch.broken.empty(),
          "an image became unreadable: ", batch.broken.empty() ? "" : batch.broken[0].why);
    return batch.images;
  };
}

FeatureRows protected_rows(Protection& protection, const FeatureRows& features,
                           std::span<const int64_t> records, const ReadPhotographs& photographs,
                           int64_t memory_bytes) {
  constexpr int64_t kBatch = 256;
  const int64_t n = features.count();
  std::vector<int64_t> rows(records.begin(), records.end());
  if (rows.empty()) {
    rows.resize(size_t(n));
    std::iota(rows.begin(), rows.end(), int64_t(0));
  }
  protection.recalibrate(n, [&](int64_t begin, int64_t end) { return features.batch(begin, end); });
  Protector protector(protection.models(), protection.settings(), interrupted);
  FeatureSpool spool(features.row(), memory_bytes);
  Progress progress("protect", n, "features");
  for (int64_t begin = 0; begin < n;) {
    if (interrupted()) throw Interrupted();
    // One record alone has no statistics for --bn batch: it goes with those before it.
    const int64_t end = n - begin <= kBatch + 1 ? n : begin + kBatch;
    const Tensor seen = protection.needs_photographs() ? photographs(begin, end) : Tensor();
    spool.append(protector
                     .protect(features.range(begin, end),
                              std::span(rows).subspan(size_t(begin), size_t(end - begin)), seen)
                     .features);
    progress.advance(end - begin);
    begin = end;
  }
  progress.finish();
  return spool.finish();
}

nlohmann::json settings_json(const ProtectSettings& settings) {
  nlohmann::json json;
  for (const auto& [key, text] : to_metadata(settings)) json[key] = nlohmann::json::parse(text);
  return json;
}

nlohmann::json to_json(const ProtectionId& id) { return nlohmann::json::parse(id.to_json()); }

}  // namespace advf::tools
