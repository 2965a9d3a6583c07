// Protections as somebody asks for them, by names and texts: what --protect and its options are on a command
// line, and settings by name to who calls the library.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "advface/protections/protection.h"
#include "advface/protections/registry.h"

namespace advf {

// Whether it is for whoever asks: an option or a file, not what a program has for all or what follows.
bool is_chosen(const Setting& setting);

struct ProtectionRequest {
  std::vector<std::string> names;                            // of protections and presets, in order
  std::map<std::string, std::vector<std::string>> settings;  // texts, by the setting's name

  // A protection is asked for: by name, or by a shadow, which alone means advface.
  bool asked() const { return !names.empty() || settings.contains("shadow"); }
  // With presets written out. Throws nothing for names that are not known; specs() does.
  std::vector<ProtectionPreset::Link> links() const;
  // Ready to be made; none where nothing is asked for. Throws WrongCall naming what is unknown, missing, out
  // of range, there twice, or given to a protection that has none such.
  ProtectionSpecs specs(uint64_t seed) const;

 private:
  void check_all_used() const;
};

}  // namespace advf
