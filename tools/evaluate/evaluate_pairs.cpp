// advface-evaluate pairs: a verification test on the people of one part of a set, as CSV for --pairs. So that
// settings can be chosen on people who are neither trained on nor tested on.
#include <iostream>
#include <numeric>
#include <set>

#include "advface/core/text_file.h"
#include "tensor/io/atomic_file.h"
#include "tools/evaluate/evaluate.h"

namespace advf::tools {

int evaluate_pairs(PairsOptions& o) {
  o.common.activate();
  check_writable({o.out});
  const FaceSource faces = o.faces.open_images(console());
  const Labels labels = o.faces.labels_of(faces.names());
  const Split split = split_by_identity(labels, o.split_seed);
  std::vector<int64_t> rows = o.split == "validation" ? split.validation : split.test;
  if (o.split == "all") {
    rows.resize(labels.identities.size());
    std::iota(rows.begin(), rows.end(), int64_t(0));
  }
  std::vector<int64_t> person;
  for (int64_t r : rows) person.push_back(person_key(labels.identities[size_t(r)]));
  const auto pairs = draw_pairs(person, o.folds, size_t(o.most), Philox{o.common.seed, 77});
  const size_t people = std::set(person.begin(), person.end()).size();
  AtomicFile file(o.out);
  file.write("a,b,genuine,fold\n");
  for (const RowPair& p : pairs)
    file.write(csv_field(faces.name(rows[p.a])) + "," + csv_field(faces.name(rows[p.b])) +
               (p.genuine ? ",1," : ",0,") + std::to_string(p.fold) + "\n");
  file.commit();
  o.common.write_json({{"out", o.out}, {"part", o.split}, {"people", people}, {"pairs", pairs.size()}});
  std::cout << o.out << ": " << pairs.size() << " pairs of " << people << " people\n";
  return 0;
}

CLI::App* add_pairs_verb(CLI::App& app, PairsOptions& o) {
  CLI::App* sub = app.add_subcommand("pairs", "draws pairs for a verification test of one part of a set");
  o.faces.add_images_to(*sub);
  o.faces.add_labels_to(*sub);
  sub->add_option("--split", o.split, "whose people: test, validation, or all")
      ->capture_default_str()
      ->check(CLI::IsMember({"test", "validation", "all"}));
  sub->add_option("--split-seed", o.split_seed, "of the split by person")
      ->capture_default_str()
      ->check(CLI::Range(uint64_t(0), uint64_t(INT64_MAX)))
      ->check(not_negative());
  sub->add_option("--folds", o.folds, "folds of the test")->capture_default_str()->check(CLI::Range(2, 1000));
  sub->add_option("--most", o.most, "at most this many genuine pairs, and as many impostors")
      ->capture_default_str()
      ->check(CLI::Range(int64_t(1), int64_t(1000000)));
  sub->add_option("--out", o.out, "where the pairs go (.csv)")->required();
  o.common.add_to(*sub);
  return sub;
}

}  // namespace advf::tools
