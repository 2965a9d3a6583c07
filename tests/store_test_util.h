// For tests of advface-store: an operator with a key, other people's features, and a store of forty people.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli_test_util.h"
#include "method_test_util.h"
#include "tensor/io/npy.h"

namespace advf::test {

struct Operator {
  explicit Operator(const Args& protect = {"--protect", "rotation"}, bool keyed = true) : keyed_(keyed) {
    std::string first, others;
    const auto files = lines_of(read_bytes(world().at("z.npy.txt")));
    std::vector<int64_t> enrolled, again, rest;
    for (size_t i = 0; i < files.size(); ++i) {
      const std::string who = files[i].substr(0, files[i].find('/')) + "\n";
      if (i >= 80)
        others += who, rest.push_back(int64_t(i));
      else if (i % 2 == 0)
        first += who, enrolled.push_back(int64_t(i));
      else
        again.push_back(int64_t(i));
    }
    const FeatureRows rows(load_npy(world().at("z.npy")));
    save_npy(at("first.npy"), rows.at(enrolled));
    save_npy(at("second.npy"), rows.at(again));
    save_npy(at("others.npy"), rows.at(rest));
    write_bytes(at("first.txt"), first);
    write_bytes(at("others.txt"), others);
    succeed("key", {"new", at("key")});
    succeed("key", {"new", at("wrong")});
    succeed("store", Args{"init", db()} + world().recogniser() + protect + key());
    succeed("store", Args{"add", db(), "--in", at("first.npy"), "--subjects", at("first.txt")} + key());
  }
  static const ToyWorld& world() { return toy_world(); }
  std::string at(const std::string& name) const { return dir / name; }
  std::string db() const { return at("people.db"); }
  Args key() const { return keyed_ ? Args{"--key", at("key")} : Args{}; }
  std::string photograph(size_t i) const {
    return world().at("faces/images/" + lines_of(read_bytes(world().at("z.npy.txt"))).at(i));
  }
  std::string name(size_t i) const { return lines_of(read_bytes(at("first.txt")))[i]; }
  // What verify says of the probe in row i of second.npy.
  nlohmann::json verify(const std::string& subject, int64_t i, int code, const Args& more) const {
    save_npy(at("probe.npy"), load_npy(at("second.npy")).slice_batch(i, i + 1));
    const Outcome o = run_program(
        "store",
        Args{"verify", db(), "--in", at("probe.npy"), "--subject", subject, "--json", at("j")} + more);
    BOOST_TEST(o.code == code, o.err << o.out);
    return read_json(at("j"));
  }
  // Of the raw features of the record in row a, and of the probe in row b.
  double raw_cosine(int64_t a, int64_t b) const {
    const Tensor first = load_npy(at("first.npy")).slice_batch(a, a + 1),
                 second = load_npy(at("second.npy")).slice_batch(b, b + 1);
    return cosine({first.data<float>(), size_t(first.numel())},
                  {second.data<float>(), size_t(second.numel())});
  }
  TempDir dir;

 private:
  bool keyed_;
};

}  // namespace advf::test
