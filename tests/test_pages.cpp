// The pages docs/add-a-protection.md and docs/add-an-attacker.md, as they stand: their files and their rows
// of the registries are compiled into this suite, and hold the rules that all residents are held to.
#define BOOST_TEST_MODULE pages
#include <boost/test/unit_test.hpp>

#include "advface/attackers/registry.h"
#include "advface/core/dataset.h"
#include "advface/protections/protection_chain.h"
#include "attacker_checks.h"
#include "file_test_util.h"
#include "method_test_util.h"
#include "protection_checks.h"

using namespace advf;
using namespace advf::test;

BOOST_AUTO_TEST_CASE(the_page_on_protections) {
  const Recogniser recogniser = toy_recogniser();
  for (const char* cut : {"e", "p", "c"}) {
    const auto spec = protection_kind("sparse", "the page").spec();
    const ProtectionScene scene{[&] { return spec->make(input_of(recogniser, cut, "the features")); },
                                toy_features(recogniser, cut, 9).on_host()};
    std::string all;
    for (const std::string& rule : broken_rules(scene)) all += rule + ", ";
    BOOST_TEST(all == "", cut << ": " << all);
  }
  refused([] { protection_kind("sparce", "--protect"); }, {"did you mean sparse?"});
}

BOOST_AUTO_TEST_CASE(the_page_on_attackers) {
  const TempDir dir;
  const Recogniser recogniser = toy_recogniser();
  constexpr int64_t n = 20;
  const Tensor faces = toy_images(n, 5), features = toy_features(recogniser, "e", n, 5);
  FitData data;
  data.features = features;
  data.faces = [&](const std::vector<int64_t>& rows, int size) {
    BOOST_TEST(size == int(kToySize));
    return FeatureRows(faces).at(rows);
  };
  for (int64_t i = 0; i < n; ++i) data.train.push_back(i);
  data.provenance.people = {person_key("anna")};
  for (const AttackerKind& kind : attackers())
    if (kind.name == "nearest") {
      BOOST_REQUIRE(kind.fit);
      kind.fit()->fit(data, dir / "nearest", {});
    }
  const auto attacker = load_attacker(dir / "nearest");
  std::string all;
  for (const std::string& rule : broken_rules(*attacker, features, faces, "anna", recogniser))
    all += rule + ", ";
  BOOST_TEST(all == "", all);
  BOOST_TEST(same_bits(attacker->attack(features, {}), faces));  // whom it knows, it shows
  survive(
      read_bytes(dir / "nearest"),
      [&](const std::string& text) {
        write_bytes(dir / "damaged", text);
        load_attacker(dir / "damaged");
      },
      60);
}
