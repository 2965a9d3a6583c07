// What a caller asks for: whose features, which protections, with which key.
#pragma once
#include <memory>
#include <string>

#include "advface/protections/protection_request.h"
#include "advface/store/set_protection.h"
#include "lib/objects.h"

namespace advf::lib {

// Whose features they are, and what keeps that alive.
struct SpaceOf {
  ProtectionInput input;
  std::shared_ptr<RecogniserObject> recogniser;
};
SpaceOf space_of(const advface_space* space);

// Settings as they were given; key: of a handle, or null.
struct Asked {
  ProtectionRequest request;
  uint64_t seed = 1;
  std::shared_ptr<const Key> key;

  bool none() const { return request.names.size() == 1 && request.names[0] == "none"; }
  ProtectionSpecs specs() const;  // of a new protection
  // Of one that is there; only files may be named.
  ProtectionSpecs specs_again(const ProtectionId& id, const std::string& source) const;
};
// Reads the key of a descriptor, so that a wait for it can be ended.
Asked asked_for(const advface_setting* settings, uint64_t count, const advface_key* key, Control& control);

// Of the text of a description: the list itself, or an object that has it as "protection".
ProtectionId described_protection(const char* text);
bool any_separates_records(const ProtectionSpecs& specs);

}  // namespace advf::lib
