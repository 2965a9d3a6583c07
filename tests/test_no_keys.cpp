// The library as it is without keys (ADVF_KEYS=OFF), in every build: no_keys.cpp stands before the library,
// so that a function which only the build with keys has does not link here. All is refused with one line.
#define BOOST_TEST_MODULE no_keys
#include <boost/test/unit_test.hpp>

#include "advface/keys/key.h"
#include "advface/protections/registry.h"
#include "advface/protections/rotation_protection.h"
#include "file_test_util.h"
#include "method_test_util.h"

using namespace advf;
using namespace advf::test;

BOOST_AUTO_TEST_CASE(what_needs_a_key_is_refused) {
  const TempDir dir;
  BOOST_TEST(!has_keys());
  refused([] { Key::fresh(); }, {"ADVF_KEYS"});
  refused([&] { Key::read(dir / "key"); }, {"ADVF_KEYS"});
  refused([] { Key::read_from(0); }, {"ADVF_KEYS"});
  refused([] { SecretBytes(32); }, {"ADVF_KEYS"});
  refused([] { random_salt(); }, {"ADVF_KEYS"});
  refused([] { record_salt({}, 1); }, {"ADVF_KEYS"});
  refused([&] { destroy_key_file(dir / "key"); }, {"ADVF_KEYS"});
  RotationSpec spec;
  spec.source->file = dir / "key";
  refused([&] { spec.check_complete(); }, {"rotation", "ADVF_KEYS"});
  ProtectionInput input;
  input.space = {{8}, FeatureDomain::sphere};
  input.what = "the features";
  refused([&] { spec.make(input); }, {"ADVF_KEYS"});
}

// What was stored under a key is still read and described, as by who has none.
BOOST_AUTO_TEST_CASE(what_is_locked_is_described) {
  Salt salt{};
  BOOST_TEST((from_text(std::string(32, '3'), salt) && to_text(salt) == std::string(32, '3')));
  const ProtectionId id = ProtectionId::from_json(
      R"([{"name":"rotation","networks":{"key":"0001020304050607"},"settings":{"key_check":")" +
          std::string(32, '1') + R"(","key_mode":"per-record","key_set":")" + std::string(32, '2') +
          R"(","rotation":"exact"}}])",
      "here");
  BOOST_TEST((id.needs_key() && id.without_key().is_raw()));
  BOOST_TEST(id.describe() == "protected, rotation per-record");
}
