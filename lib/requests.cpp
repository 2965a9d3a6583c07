#include "lib/requests.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "advface/core/json_text.h"
#include "advface/protections/rotation_protection.h"
#include "lib/call.h"

namespace advf::lib {
namespace {

constexpr const char* kKeyHandle = "the key";  // names it in messages

void take_key(const ProtectionSpecs& specs, const std::shared_ptr<const Key>& key) {
  if (!key) return;
  for (const auto& spec : specs)
    if (const auto* rotation = dynamic_cast<const RotationSpec*>(spec.get())) rotation->source->take(key);
}

int descriptor_of(const std::string& text) {
  int64_t descriptor = -1;
  try {
    whole_setting("key_fd", descriptor, {0, std::numeric_limits<int>::max()}, "").read(text);
  } catch (const Error& e) {
    refuse(ADVFACE_INVALID_ARGUMENT, e.what());
  }
  return int(descriptor);
}

uint64_t seed_of(const std::string& text) {
  uint64_t seed = 0;
  try {
    seed_setting(seed).read(text);
  } catch (const Error& e) {
    refuse(ADVFACE_INVALID_ARGUMENT, e.what());
  }
  return seed;
}

}  // namespace

SpaceOf space_of(const advface_space* given) {
  const advface_space space = options_of(given, "advface_space");
  SpaceOf result;
  if ((result.recogniser = held_or_none(space.recogniser))) {
    const Recogniser& recogniser = result.recogniser->recogniser;
    result.input = input_of(recogniser, result.recogniser->cut(space.cut), recogniser.card().path);
  } else {
    check_argument(!space.cut, "advface_space: a cut is that of a recogniser, and none is given");
    check_argument(space.rank == 1 || space.rank == 3, "advface_space: a rank of ", space.rank,
                   "; vectors have 1, maps have 3");
    constexpr int64_t kMost = int64_t(1) << 24;
    int64_t values = 1;
    for (int d = 0; d < space.rank; ++d) {
      check_argument(space.shape[d] >= 1 && space.shape[d] <= kMost && (values *= space.shape[d]) <= kMost,
                     "advface_space: dimension ", d, " is ", space.shape[d], "; 1 to ", kMost,
                     " values are possible in all");
      result.input.space.row.push_back(space.shape[d]);
    }
    check_argument(space.domain == ADVFACE_REAL || space.domain == ADVFACE_SPHERE ||
                       space.domain == ADVFACE_NON_NEGATIVE,
                   "advface_space: ", space.domain, " is no domain; ADVFACE_SPHERE is one");
    check_argument(space.domain != ADVFACE_SPHERE || space.rank == 1,
                   "advface_space: ADVFACE_SPHERE is for vectors, not for maps");
    result.input.space.domain = space.domain == ADVFACE_SPHERE         ? FeatureDomain::sphere
                                : space.domain == ADVFACE_NON_NEGATIVE ? FeatureDomain::non_negative
                                                                       : FeatureDomain::real;
    result.input.what = "the features";
  }
  result.input.to_keep = true;
  return result;
}

Asked asked_for(const advface_setting* settings, uint64_t count, const advface_key* key, Control& control) {
  check_argument(settings || count == 0, "settings are NULL, but there are said to be ", count);
  check_argument(count <= 1024, count, " settings are more than anybody needs");
  Asked asked;
  if (const auto object = held_or_none(key)) asked.key = object->key;
  bool seeded = false;
  for (uint64_t i = 0; i < count; ++i) {
    const std::string what = "the name of setting " + std::to_string(i);
    std::string name = text_argument(settings[i].name, what.c_str());
    const std::string value = text_argument(settings[i].value, ("the value of the setting " + name).c_str());
    std::replace(name.begin(), name.end(), '-', '_');
    if (name == "protect") {
      asked.request.names.push_back(value);
    } else if (name == "seed") {
      check_argument(!seeded, "seed is given twice");
      asked.seed = seed_of(value);
      seeded = true;
    } else {
      asked.request.settings[name].push_back(value);
    }
  }
  auto& texts = asked.request.settings;
  if (asked.key) {
    check_argument(!texts.contains("key") && !texts.contains("key_fd"),
                   "the key is given as a handle and as a setting; give it once");
    texts["key"] = {kKeyHandle};
  } else if (const auto fd = texts.find("key_fd"); fd != texts.end() && has_keys()) {
    check_argument(fd->second.size() == 1 && !texts.contains("key"), "key and key-fd: give one key, once");
    asked.key = std::make_shared<const Key>(
        Key::read_from(descriptor_of(fd->second[0]), [&] { return control.stopped(); }));
    texts.erase(fd);
    texts["key"] = {kKeyHandle};
  }
  return asked;
}

ProtectionSpecs Asked::specs() const {
  check_argument(request.asked() || !request.settings.empty(),
                 "no protection is named; give the setting \"protect\"");
  ProtectionSpecs list = request.specs(seed);
  take_key(list, key);
  return list;
}

ProtectionSpecs Asked::specs_again(const ProtectionId& id, const std::string& source) const {
  check_argument(request.names.empty(), "how ", source, " protects is described; settings name files alone");
  for (const auto& [name, unused] : request.settings)
    check_argument(
        name == "key_fd" ||
            std::ranges::any_of(protection_files(), [&n = name](const Setting& s) { return s.name == n; }),
        name, " is no file: how ", source, " protects is described");
  ProtectionSpecs list = specs_of(id, request.settings, source);
  take_key(list, key);
  return list;
}

ProtectionId described_protection(const char* text) {
  const std::string given = text_argument(text, "described");
  const nlohmann::json root = json_or_discarded(given);
  check_argument(!root.is_discarded(), "described is no JSON");
  const bool inside = root.is_object() && root.contains("protection");
  ProtectionId id = ProtectionId::from_json(inside ? root["protection"].dump() : given, "described");
  check_argument(id.known(), "described says that nothing is known: ", id.unknown);
  check_argument(!id.is_raw(), "described says that nothing protects");
  return id;
}

bool any_separates_records(const ProtectionSpecs& specs) {
  return std::ranges::any_of(specs, [](const auto& spec) { return spec->separates_records(); });
}

}  // namespace advf::lib
