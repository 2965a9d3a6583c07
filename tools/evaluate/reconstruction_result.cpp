#include "tools/evaluate/reconstruction_result.h"

#include <cmath>
#include <limits>

#include "advface/core/json_text.h"
#include "advface/core/text_file.h"
#include "tensor/hash.h"
#include "tensor/io/atomic_file.h"
#include "tools/options/cli.h"
#include "tools/options/part.h"

namespace advf::tools {
namespace {

using nlohmann::json;

// JSON has no NaN: null stands for it.
json numbers_json(const std::vector<double>& values) {
  json list = json::array();
  for (const double v : values) list.push_back(std::isfinite(v) ? json(v) : json());
  return list;
}

std::vector<double> numbers(const json& list) {
  std::vector<double> values;
  for (const json& v : list)
    values.push_back(v.is_null() ? std::numeric_limits<double>::quiet_NaN() : v.get<double>());
  return values;
}

json optional_json(const std::optional<double>& value) { return value ? json(*value) : json(); }

std::optional<double> optional_number(const json& value) {
  return value.is_null() ? std::nullopt : std::optional(value.get<double>());
}

json images_json(const TestedImages& images) {
  return {{"files", images.files},
          {"identities", images.identities},
          {"people", images.people},
          {"with_another_photo", images.with_another_photo}};
}

json row_json(const ReconstructionRow& row) {
  json measures = json::array();
  for (const Measure& m : row.measures)
    measures.push_back({{"name", m.name},
                        {"values", numbers_json(m.values)},
                        {"of", m.of ? json(*m.of) : json()},
                        {"beside_identity", m.beside_identity}});
  return {{"attacker", row.attacker},
          {"features", row.features},
          {"moment_matched", row.matched},
          {"feature_cosine", optional_json(row.feature_cosine)},
          {"kind", row.kind},
          {"epsilon", optional_json(row.epsilon)},
          {"measures", measures},
          {"queries", row.queries}};
}

// Throws Error unless the indices are of `images`.
std::vector<int64_t> indices_in(const json& list, size_t images) {
  const auto indices = list.get<std::vector<int64_t>>();
  for (const int64_t i : indices) check(i >= 0 && size_t(i) < images, "index ", i, " of ", images, " images");
  return indices;
}

TestedImages images_in(const json& value) {
  TestedImages images;
  images.files = value.at("files").get<std::vector<std::string>>();
  images.identities = value.at("identities").get<std::vector<std::string>>();
  images.people = value.at("people").get<std::vector<int64_t>>();
  images.with_another_photo = indices_in(value.at("with_another_photo"), images.files.size());
  check(images.identities.size() == images.files.size() && images.people.size() == images.files.size(),
        "not every image has a person");
  return images;
}

ReconstructionRow row_in(const json& value, const ReconstructionResult& part) {
  ReconstructionRow row;
  row.attacker = value.at("attacker");
  row.features = value.at("features");
  row.matched = value.at("moment_matched");
  row.feature_cosine = optional_number(value.at("feature_cosine"));
  row.kind = value.at("kind");
  row.epsilon = optional_number(value.at("epsilon"));
  row.queries = value.at("queries").get<std::vector<int64_t>>();
  const size_t n = part.about(row).files.size();
  for (const json& m : value.at("measures")) {
    Measure measure{m.at("name"), numbers(m.at("values")), {}, m.at("beside_identity")};
    if (!m.at("of").is_null()) measure.of = indices_in(m.at("of"), n);
    check(measure.values.size() == (measure.of ? measure.of->size() : n), "measure ", measure.name,
          " is not of its images");
    row.measures.push_back(std::move(measure));
  }
  check((n == 0) == row.measures.empty() && (row.queries.empty() || row.queries.size() == n), "row ",
        row.attacker, ", ", row.features, " is not of its images");
  return row;
}

// Of all other keys of a part: what was changed by accident is told, not who wants to deceive.
std::string checksum(const json& part) { return hex(fnv1a(json_text(part))); }

struct PartFile {
  ReconstructionResult result;
  FeaturePart part;
};

PartFile read_part(const std::string& path) {
  json root = parse_json(read_text(path), path);
  check(root.is_object() && root.value("format", json()) == kResultPart, path,
        ": is no part of advface-evaluate reconstruction; run it again with --part");
  const json told_sum = root.value("checksum", json());
  root.erase("checksum");
  check(told_sum == checksum(root), path,
        ": is damaged or was changed (its checksum is another); run the part again");
  const auto part = part_in(root, path);
  check(part.has_value(), path, ": does not say which part it is");
  try {
    PartFile file{{}, *part};
    ReconstructionResult& r = file.result;
    r.told = root.at("told");
    r.attackers = root.at("attackers");
    r.verifiers = root.at("verifiers").get<std::vector<std::string>>();
    check(r.told.is_object() && r.attackers.is_array() && !r.verifiers.empty(),
          "nothing is told of its rows");
    r.seed = part->seed;
    r.all = images_in(root.at("images"));
    r.known = images_in(root.at("known_by_another_photo"));
    check(int64_t(r.all.files.size()) == part->end - part->first, "has ", r.all.files.size(), " images");
    for (const json& row : root.at("rows")) r.rows.push_back(row_in(row, r));
    return file;
  } catch (const json::exception& e) {
    fail(path, ": is damaged (", e.what(), "); run the part again");
  } catch (const Error& e) {
    fail(path, ": is damaged (", e.what(), "); run the part again");
  }
}

void append(TestedImages& to, const TestedImages& from) {
  const int64_t before = int64_t(to.files.size());
  to.files.insert(to.files.end(), from.files.begin(), from.files.end());
  to.identities.insert(to.identities.end(), from.identities.begin(), from.identities.end());
  to.people.insert(to.people.end(), from.people.begin(), from.people.end());
  for (const int64_t i : from.with_another_photo) to.with_another_photo.push_back(before + i);
}

void append(ReconstructionRow& to, const ReconstructionRow& from, int64_t before) {
  to.queries.insert(to.queries.end(), from.queries.begin(), from.queries.end());
  // A part without images has no measures.
  for (size_t i = 0; i < from.measures.size(); ++i) {
    const Measure& more = from.measures[i];
    if (to.measures.size() <= i) {
      to.measures.push_back({more.name, {}, {}, more.beside_identity});
      if (more.of) to.measures[i].of.emplace();
    }
    Measure& m = to.measures[i];
    check(m.name == more.name && m.of.has_value() == more.of.has_value(), "row ", to.attacker, ", ",
          to.features, " has other measures");
    m.values.insert(m.values.end(), more.values.begin(), more.values.end());
    if (more.of)
      for (const int64_t index : *more.of) m.of->push_back(before + index);
  }
}

// Throws Error unless both are of one run.
void check_same_run(const ReconstructionResult& a, const PartFile& b, const FeaturePart& first) {
  const auto same = [](const std::string& what, const json& of_a, const json& of_b) {
    check(of_a == of_b, "is not of the run of part 1: ", what, " is ", json_text(of_b), " and ",
          json_text(of_a));
  };
  same("the seed", first.seed, b.part.seed);
  same("the input", first.input, b.part.input);
  same("the number of images", first.total, b.part.total);
  for (const auto& [key, value] : a.told.items())
    // Machines call the file of the card differently; what it is, the judges say.
    if (key != "recogniser") same(key, value, b.result.told.value(key, json()));
  same("what is told", a.told.size(), b.result.told.size());
  same("the attackers", a.attackers, b.result.attackers);
  same("the number of rows", a.rows.size(), b.result.rows.size());
  for (size_t i = 0; i < a.rows.size(); ++i) {
    const auto head = [](ReconstructionRow row) {
      row.measures.clear(), row.queries.clear();
      return row_json(row);
    };
    same("row " + std::to_string(i), head(a.rows[i]), head(b.result.rows[i]));
  }
}

}  // namespace

TestedImages::TestedImages(const TestImages& images)
    : files(images.files), identities(images.identities), people(images.people) {
  if (!images.verifiers.empty()) with_another_photo = images.with_another_photo();
}

void write_part(const std::string& path, const ReconstructionResult& result, const FeaturePart& part) {
  json rows = json::array();
  for (const ReconstructionRow& row : result.rows) rows.push_back(row_json(row));
  json root = {{"format", kResultPart},
               {"part", to_json(part)},
               {"told", result.told},
               {"attackers", result.attackers},
               {"verifiers", result.verifiers},
               {"images", images_json(result.all)},
               {"known_by_another_photo", images_json(result.known)},
               {"rows", rows}};
  root["checksum"] = checksum(root);
  AtomicFile file(path);
  file.write(json_text(root) + "\n");
  file.commit();
}

ReconstructionResult read_parts(const std::string& out) {
  ReconstructionResult whole;
  FeaturePart first;
  int64_t next = 0;
  const std::vector<std::string> files = part_files(out);
  for (size_t i = 0; i < files.size(); ++i) {
    PartFile file = read_part(files[i]);
    check(file.part.number == int64_t(i) + 1 && file.part.of == int64_t(files.size()), files[i],
          ": does not say that it is part ", i + 1, " of ", files.size());
    check(file.part.first == next, files[i], ": begins at image ", file.part.first,
          ", but the part before it ends at ", next);
    next = file.part.end;
    if (i == 0) {
      first = file.part;
      whole = std::move(file.result);
      continue;
    }
    try {
      check_same_run(whole, file, first);
      for (size_t r = 0; r < whole.rows.size(); ++r)
        append(whole.rows[r], file.result.rows[r], int64_t(whole.about(whole.rows[r]).files.size()));
    } catch (const Error& e) {
      fail(files[i], ": ", e.what());
    }
    append(whole.all, file.result.all);
    append(whole.known, file.result.known);
  }
  check(next == first.total, out, ": its parts end at image ", next, " of ", first.total);
  return whole;
}

}  // namespace advf::tools
