#include "tools/options/protection_options.h"

namespace advf::tools {
namespace {

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

nlohmann::json settings_json(const ProtectSettings& settings) {
  nlohmann::json json;
  for (const auto& [key, text] : to_metadata(settings)) json[key] = nlohmann::json::parse(text);
  return json;
}

nlohmann::json to_json(const ProtectionId& id) { return nlohmann::json::parse(id.to_json()); }

}  // namespace advf::tools
