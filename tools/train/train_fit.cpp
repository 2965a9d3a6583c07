// advface-train fit NAME: what is fitted in closed form.
#include <iostream>

#include "advface/attackers/registry.h"
#include "advface/protections/registry.h"
#include "tools/options/setting_options.h"
#include "tools/train/train.h"

namespace advf::tools {
namespace {

// Everything that has a fit, with its name.
struct Fitted {
  std::string name, help;
  std::unique_ptr<Fit> fit;
  bool attacks = false;  // and so may be fitted on protected features
};

std::vector<Fitted> all_fits() {
  std::vector<Fitted> list;
  for (const ProtectionKind& kind : protections())
    if (kind.fit) list.push_back({kind.name, kind.help, kind.fit(), false});
  for (const AttackerKind& kind : attackers())
    if (kind.fit) list.push_back({kind.name, kind.help, kind.fit(), true});
  return list;
}

Fitted fit_of(const FitOptions& o) {
  std::vector<Fitted> all = all_fits();
  for (Fitted& f : all)
    if (f.name == o.what) return std::move(f);
  fail("there is nothing to fit called \"", o.what, "\"", known_names_of(o.what, all));
}

}  // namespace

int fit(FitOptions& o) {
  o.common.activate();
  install_interrupt_handler();
  Fitted fitted;
  ProtectionSpecs specs;
  as_usage([&] {
    fitted = fit_of(o);
    read_texts(fitted.fit->settings(), o.given, "fit " + o.what);
    for (const Setting& s : fitted.fit->settings())
      if (o.given.contains(s.name)) check_applies(s, s.option());
    fitted.fit->check_valid();
    specs = o.protect.specs(o.common.seed);
    check(specs.empty() || fitted.attacks,
          "a protection is fitted on features as they come to it; give "
          "protected ones as --features");
    check(specs.empty() || o.features.empty(),
          "--features are protected already, or raw; leave --protect out");
  });
  o.faces.check_cut();
  check_writable({o.out});
  const Recogniser recogniser = Recogniser::load(o.faces.recogniser);
  const std::string cut = o.faces.cut_of(recogniser);
  std::optional<ProtectionChain> protection;
  if (!specs.empty()) protection.emplace(specs, input_of(recogniser, cut, o.faces.recogniser));
  FaceSource faces = o.faces.open_images(console());
  fitted.fit->check_labels(o.faces.labels_of(faces.names()));
  TrainingSet source = open_training_set(o.faces, o.features, o.split, 2, recogniser, faces, console());
  // What is fitted for the operator holds for all records, which an attacker alone may try in vain.
  if (!fitted.attacks) check_records_compare(source.provenance.protection, o.features);
  print_split(source);
  FitData data;
  data.features = protection ? protect_set(*protection, o.faces, recogniser, faces, source, console())
                             : source.set.features;
  data.person = source.person;
  data.train = source.split.train;
  data.validation = source.split.validation;
  data.provenance = source.provenance;
  data.recogniser = &recogniser;
  std::optional<FaceCache> cache;
  data.faces = [&](const std::vector<int64_t>& rows, int size) {
    if (!cache) cache.emplace(faces, source.set.indices, o.faces.face_cut(recogniser), size);
    return cache->batch(rows);
  };
  data.labels = [&] {
    std::vector<std::string> names;
    for (int64_t i : source.set.indices) names.push_back(faces.name(i));
    return o.faces.labels_of(names);
  };
  const Metadata measured = fitted.fit->fit(data, o.out, console());
  nlohmann::json result = {{"out", o.out},
                           {"fitted", o.what},
                           {"train_images", data.train.size()},
                           {"validation_images", data.validation.size()},
                           {"protection", to_json(data.provenance.protection)}};
  result.update(json_of(values_of(fitted.fit->settings())));
  result.update(json_of(measured));
  o.common.write_json(result);
  std::cout << o.out << ": " << o.what << " fitted on " << data.train.size() << " images ("
            << data.provenance.protection.describe() << ")";
  for (const auto& [name, text] : measured) std::cout << ", " << name << " " << text;
  std::cout << "\n";
  return 0;
}

CLI::App* add_fit_verb(CLI::App& app, FitOptions& o) {
  std::string help = "fits a protection or an attacker in closed form.";
  for (const Fitted& f : all_fits()) help += " " + f.name + ": " + f.help + ".";
  CLI::App* sub = app.add_subcommand("fit", help);
  sub->add_option("what", o.what, "its name")->required();
  o.faces.add_to(*sub);
  o.faces.add_labels_to(*sub);
  for (const Fitted& f : all_fits()) add_texts(*sub, f.fit->settings(), "Fit", o.given);
  sub->add_option("--features", o.features, "fit on these features (.npy, rows in the order of --list)")
      ->needs(sub->get_option("--list"));
  o.split.add_to(*sub);
  sub->add_option("--out", o.out, "where it goes (.safetensors)")->required();
  o.protect.add_to(*sub, "What an attacker is fitted on");
  o.common.add_to(*sub);
  return sub;
}

}  // namespace advf::tools
