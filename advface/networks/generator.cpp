#include "advface/networks/generator.h"

#include <charconv>
#include <cmath>

#include "nn/nets/net_metadata.h"

namespace advf {
namespace {

constexpr const char* kFormat = "advface-generator-1";

// The shortest text that reads as the same number.
std::string number_text(double value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  return {text, end};
}

double metadata_number(const Metadata& metadata, const std::string& key, const std::string& source) {
  const std::string& text = metadata_text(metadata, key, source);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  check(error == std::errc() && end == text.data() + text.size() && std::isfinite(value), source, ": \"", key,
        "\" is \"", text, "\", not a number");
  return value;
}

template <class E>
void read_choice(const Metadata& metadata, const std::string& key, const std::string& source, E& value) {
  const std::string& text = metadata_text(metadata, key, source);
  std::string known;
  for (const Choice<E>& c : choices<E>()) {
    if (text == c.name) {
      value = c.value;
      return;
    }
    known += (known.empty() ? "" : ", ") + std::string(c.name);
  }
  fail(source, ": \"", key, "\" is \"", text, "\", none of ", known);
}

Metadata settings_metadata(const ProtectSettings& s) {
  return {{"epsilon", number_text(s.epsilon)}, {"objective", name_of(s.objective)},
          {"loss", name_of(s.loss)},           {"norm", name_of(s.norm)},
          {"bn", name_of(s.batch_norm)},       {"ensemble", name_of(s.ensemble)}};
}

ProtectSettings trained_settings(const Metadata& metadata, const std::string& source) {
  ProtectSettings s;
  s.method = Method::generator;
  s.epsilon = metadata_number(metadata, "epsilon", source);
  read_choice(metadata, "objective", source, s.objective);
  read_choice(metadata, "loss", source, s.loss);
  read_choice(metadata, "norm", source, s.norm);
  read_choice(metadata, "bn", source, s.batch_norm);
  read_choice(metadata, "ensemble", source, s.ensemble);
  check(s.epsilon >= 0, source, ": \"epsilon\" is ", s.epsilon);
  return s;
}

}  // namespace

Generator::Generator(const GeneratorInfo& info, uint64_t seed) : info_(info), net_(info.spec, seed) {
  info_.settings.method = Method::generator;
  info_.settings.check_valid();
  register_child("net", net_);
}

std::unique_ptr<Generator> Generator::load(const std::string& path) {
  NetworkFile file = load_network(path, kFormat, "a generator made by advface-train");
  const GeneratorInfo info{std::move(file.provenance), FeatureNetSpec::from_metadata(file.metadata, path),
                           trained_settings(file.metadata, path)};
  auto generator = std::make_unique<Generator>(info, 0);
  load_state_dict(*generator, file.tensors, path);
  generator->source_ = path;
  generator->train(false);
  return generator;
}

void Generator::save(const std::string& path) {
  Metadata description = info_.spec.to_metadata();
  description.merge(settings_metadata(info_.settings));
  description["format"] = kFormat;
  save_network(path, *this, info_, std::move(description));
}

NoiseSpace Generator::space() const {
  NoiseSpace space{info_.domain, info_.settings.norm, info_.settings.radius(info_.spec.feature), {}};
  if (info_.spec.feature.rank() == 3) space.scale = net_.deviation().view({1, info_.spec.feature[0], 1, 1});
  return space;
}

Tensor Generator::forward(const Tensor& features) {
  const NoiseSpace ball = space();
  return project(ball, features, squashed(ball, net_.forward(features)));
}

void Generator::check_fits(const Provenance& from, const Shape& feature) const {
  const std::string me = "the generator " + source_;
  check_takes(info_, info_.spec.feature, me, feature, from.recogniser, from.cut, "the shadow");
  check(from.domain == info_.domain, "the shadow's features have the domain ", name_of(from.domain), ", but ",
        me, " was trained for ", name_of(info_.domain));
}

void Generator::check_trained_for(const ProtectSettings& asked) const {
  const auto same = [&](const char* what, const auto& mine, const auto& theirs) {
    check(mine == theirs, "the generator ", source_, " was trained for ", what, ' ', mine, ", but ", what,
          ' ', theirs, " is asked for");
  };
  const ProtectSettings& mine = info_.settings;
  same("epsilon", number_text(mine.epsilon), number_text(asked.epsilon));
  const auto by_name = [&](const char* what, auto a, auto b) {
    same(what, std::string(name_of(a)), std::string(name_of(b)));
  };
  by_name("objective", mine.objective, asked.objective);
  by_name("loss", mine.loss, asked.loss);
  by_name("norm", mine.norm, asked.norm);
  by_name("bn", mine.batch_norm, asked.batch_norm);
  by_name("ensemble", mine.ensemble, asked.ensemble);
}

void Generator::check_never_saw(const std::vector<std::string>& identities) const {
  advf::check_never_saw(info_, source_, identities);
}

}  // namespace advf
