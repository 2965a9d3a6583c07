// The bounds of settings: of protections, of what is fitted for them, of attackers and of decoder losses.
// Part of the suite `protections`.
#include <boost/test/unit_test.hpp>

#include "advface/attackers/registry.h"
#include "advface/networks/decoder_loss.h"
#include "advface/protections/ascent/ascent_settings.h"
#include "advface/protections/noise_protection.h"
#include "advface/protections/registry.h"
#include "file_test_util.h"

using namespace advf;
using namespace advf::test;

// A number that nothing can be computed with is refused where it is read, by its name.
BOOST_AUTO_TEST_CASE(every_number_has_bounds) {
  size_t numbers = 0;
  const auto holds = [&](const Settings& settings) {
    for (const Setting& s : settings) {
      if (s.word || s.source == Setting::Source::file || s.source == Setting::Source::seed) continue;
      ++numbers;
      BOOST_TEST(!s.range.empty(), s.name);
      for (const char* text : {"1e308", "-1e308", "inf", "nan", "-2"})
        refused([&] { s.read(text); }, {s.name});
      if (const std::string usual = s.text(); !usual.empty()) s.read(usual);
    }
  };
  for (const ProtectionKind& kind : protections()) {
    holds(kind.spec()->settings());
    if (kind.fit) holds(kind.fit()->settings());
  }
  for (const AttackerKind& kind : attackers())
    if (kind.spec) holds(kind.spec()->settings());
  for (const DecoderTermKind& kind : decoder_terms()) holds(kind.spec()->settings());
  BOOST_TEST(numbers > 20);
  NoiseSpec noise;
  refused([&] { noise.settings()[1].read("2.5"); }, {"noise_length is 2.5", "above 0 and not above 2"});
  AscentSettings ascent;
  refused([&] { ascent.list()[0].read("1e308"); }, {"epsilon is 1e308", "between 0 and 1e+06"});
  ascent.epsilon = 1e308;
  refused([&] { ascent.check_valid(); }, {"epsilon"});
}
