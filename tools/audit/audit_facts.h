// What is known of an audit's inputs before anything is computed: everything that can be judged is judged
// here, so that hours of work are never lost to a typo.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "advface/core/context.h"
#include "tools/audit/audit_config.h"

namespace advf::tools {

// How fast this machine is, measured in a second.
struct MachineRate {
  double load = 0;           // seconds that a program takes to read the recogniser
  double recogniser = 0;     // seconds for the feature of one image, all threads at work
  double multiply_adds = 0;  // a second, of a matrix product
};

struct AuditFacts {
  int64_t images = 0;                         // that are looked at
  int64_t train_images = 0, test_images = 0;  // of the people of each part of the split
  int64_t train_people = 0, test_people = 0, test_people_with_two = 0;
  // Those that are looked at, in order, where the budget takes fewer than there are; else empty.
  std::vector<std::string> chosen;
  std::vector<std::string> test_files;       // of the part under test, in order
  std::vector<std::string> test_identities;  // of them
  std::string cut;
  Shape feature;      // at the cut
  bool unit = false;  // features are unit vectors
  // Files and folders that results depend on, with a digest of each (file_digest()).
  std::vector<std::pair<std::string, std::string>> digests;
  MachineRate rate;

  const std::string& digest(const std::string& path) const;
};

// Throws Error naming what does not fit: recogniser, cut, photographs, labels, people, protections,
// attributes.
AuditFacts audit_facts(const AuditConfig& config, const Context& context);

// Of a file's bytes; of a folder's photographs, by name and bytes. known: digests of those that have been
// read already, by path.
std::string digest_of_file(const std::string& path);
std::string digest_of_images(const FaceSource& images, const Context& context,
                             const std::map<std::string, std::string>& known = {});

}  // namespace advf::tools
