// What scores mean in a store: rates and thresholds, of records of one photograph and of several.
#define BOOST_TEST_MODULE store_scores
#include <cmath>

#include "advface/core/enrolment.h"
#include "advface/store/calibration.h"
#include "fresh_store.h"

using namespace advf;
using namespace advf::test;

// Every rate beside the count of its scores.
BOOST_AUTO_TEST_CASE(scores_of_a_calibration) {
  const int64_t n = 400;
  const Tensor rows = some_rows(n);
  std::vector<int64_t> who(static_cast<size_t>(n));
  for (size_t i = 0; i < who.size(); ++i) who[i] = int64_t(i / 2);
  Calibration c = score_all_pairs(rows, rows, who);
  BOOST_TEST((c.impostors() == n * (n - 2) / 2 && c.genuine() == n / 2 && c.people == n / 2));
  std::vector<double> scores;
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < i; ++j)
      if (i / 2 != j / 2)
        scores.push_back(cosine({rows.data<float>() + i * kDimension, size_t(kDimension)},
                                {rows.data<float>() + j * kDimension, size_t(kDimension)}));
  for (const double rate : {0.0002, 0.001, 0.01, 0.3}) {
    const double at = c.threshold_at(rate);
    const auto count = double(std::count_if(scores.begin(), scores.end(), [&](double s) { return s >= at; }));
    BOOST_TEST(count / double(scores.size()) <= rate * (1 + 1e-9) + 2e-5);
    BOOST_TEST(count / double(scores.size()) > rate * 0.9 - 2e-5);
    BOOST_TEST(std::fabs(c.false_match_rate(at) - count / double(scores.size())) < 0.02);
  }
  refused([&] { c.threshold_at(1e-5); }, {"79600 impostor scores", "below 0.000125", "more people"});
  refused([&] { c.threshold_at(0); }, {"between 0 and 1"});
  Fresh f;
  c.source = "others";
  c.threshold = 0.5;
  c.write(*f.store, f.set);
  BOOST_TEST(Calibration::problem(*f.store, f.set) == "");
  for (const char* change : {"UPDATE calibrations SET threshold = threshold - 0.25",
                             "UPDATE calibrations SET threshold = threshold + 0.25, people = people + 1"}) {
    f.store->database().execute(change);
    BOOST_TEST(Calibration::problem(*f.store, f.set).find("no event tells of the calibration") !=
               std::string::npos);
  }
  f.store->database().execute("UPDATE calibrations SET people = people - 1");
  f.store->database().execute("UPDATE calibrations SET impostors = impostors * 10");
  BOOST_TEST(Calibration::problem(*f.store, f.set).find("damaged") != std::string::npos);
  f.store->database().execute("UPDATE calibrations SET impostors = impostors / 10");
  BOOST_TEST(Calibration::problem(*f.store, f.set) == "");
  const auto again = Calibration::read(*f.store, f.set);
  BOOST_TEST(
      (again && again->impostors() == c.impostors() && again->threshold_at(0.001) == c.threshold_at(0.001)));
  f.store->database().execute("UPDATE calibrations SET highest = x'0102'");
  refused([&] { Calibration::read(*f.store, f.set); }, {f.path, "calibration is damaged"});
}

// Records that are means: the count of every score beside plain loops, and what is said of it is kept.
BOOST_AUTO_TEST_CASE(scores_of_records_of_several_photographs) {
  constexpr int64_t kPeople = 300, kEach = 5, kRecord = 3;  // more than a block of probes
  const Tensor rows = some_rows(kPeople * kEach);
  RecordsAndProbes of;
  for (int64_t i = 0; i < kPeople * kEach; ++i) of.people.push_back(i % kPeople);
  const auto groups = RowsByPerson(of.people).first(kRecord);
  of.part_of.assign(of.people.size(), -1);
  for (size_t g = 0; g < groups.size(); ++g) {
    BOOST_TEST(groups[g].size() == size_t(kRecord));
    of.owners.push_back(of.people[size_t(groups[g][0])]);
    for (const int64_t row : groups[g]) of.part_of[size_t(row)] = int64_t(g);
  }
  const FeatureRows means =
      means_of(FeatureRows(rows), groups, FeatureDomain::sphere, 1 << 30, [](int64_t) { return "mean"; });
  of.stored = means.batch(0, means.count());
  of.probes = rows;
  Calibration c = score_records(of);
  BOOST_TEST(c.people == kPeople);
  BOOST_TEST(c.impostors() == kPeople * (kPeople - 1) * kEach);
  BOOST_TEST(c.genuine() == kPeople * (kEach - kRecord));
  const auto score = [&](int64_t record, int64_t probe) {
    return cosine({of.stored.data<float>() + record * kDimension, size_t(kDimension)},
                  {rows.data<float>() + probe * kDimension, size_t(kDimension)});
  };
  const double at = c.threshold_at(0.003);
  int64_t reached = 0;
  double least = 1;
  for (int64_t p = 0; p < kPeople * kEach; ++p)
    for (int64_t r = 0; r < kPeople; ++r) {
      if (of.owners[size_t(r)] != of.people[size_t(p)])
        reached += score(r, p) >= at;
      else if (of.part_of[size_t(p)] != r)
        least = std::min(least, score(r, p));
    }
  BOOST_TEST(std::fabs(double(reached) / double(c.impostors()) - 0.003) < 1e-5);
  BOOST_TEST(*c.true_match_rate(least - 0.01) == 1);
  Fresh f;
  c.mean_of = kRecord;
  c.write(*f.store, f.set);
  BOOST_TEST(Calibration::read(*f.store, f.set)->mean_of == kRecord);
  f.store->database().execute("UPDATE calibrations SET mean_of = 0");
  refused([&] { Calibration::read(*f.store, f.set); }, {f.path, "calibration is damaged"});
}

// Who is there already is refused with all that comes along, or left out alone.
BOOST_AUTO_TEST_CASE(known_people_are_refused_or_left_out) {
  Fresh f;
  f.add(some_rows(10), 0);
  std::vector<StoredRecord> records(4);
  for (size_t i = 0; i < records.size(); ++i) {
    records[i].subject = subject(8 + int64_t(i));
    records[i].number = 10 + int64_t(i);
    records[i].mean_of = 1 + int64_t(i);
    records[i].salt = fresh_salt();
  }
  f.store->reserve_numbers(f.set, 4);
  const Tensor rows = some_rows(4, 5);
  refused([&] { f.store->add(f.set, rows, records); }, {subject(8), "already", "Nothing was written"});
  BOOST_TEST(f.store->set("default").records == 10);
  BOOST_TEST(f.store->largest_mean(f.set) == 0);  // of records of whom nobody said it
  const auto added = f.store->add(f.set, rows, records, Store::Known::skipped);
  BOOST_TEST((added == std::vector<int64_t>{2, 3}));
  const StoredSet set = f.store->set("default");
  BOOST_TEST(set.records == 12);
  BOOST_TEST(same_bits(f.store->feature(set, 13), rows.slice_batch(3, 4)));
  BOOST_TEST(same_bits(f.store->feature(set, 8), some_rows(10).slice_batch(8, 9)));
  BOOST_TEST(f.store->record(set, subject(11)).mean_of == 4);
  f.store->database().execute("UPDATE records SET mean_of = 1 WHERE mean_of = 0");
  BOOST_TEST(f.store->largest_mean(set) == 4);
  BOOST_TEST(f.store->problems().empty());
}
