#include "advface/core/dataset.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <map>
#include <unordered_map>
#include <unordered_set>

#include "advface/core/setting.h"
#include "advface/core/text_file.h"
#include "tensor/check.h"
#include "tensor/hash.h"
#include "tensor/rng.h"

namespace advf {
namespace {

std::string pair_file(std::string_view name, int number) {
  char suffix[16];
  std::snprintf(suffix, sizeof suffix, "_%04d.jpg", number);
  return std::string(name) + "/" + std::string(name) + suffix;
}

// "3 of 120 photographs (a.jpg, b.jpg, ...)"
std::string counted(const std::vector<std::string>& some, const std::vector<std::string>& all) {
  constexpr size_t kNamed = 2;
  std::string text = std::to_string(some.size()) + " of " + std::to_string(all.size()) + " photographs (";
  for (size_t i = 0; i < std::min(some.size(), kNamed); ++i) text += (i > 0 ? ", " : "") + some[i];
  return text + (some.size() > kNamed ? ", ...)" : ")");
}

}  // namespace

size_t Labels::attribute(std::string_view name) const {
  const auto found = std::find(attributes.begin(), attributes.end(), name);
  if (found != attributes.end()) return size_t(found - attributes.begin());
  std::string known;
  for (const std::string& a : attributes) known += (known.empty() ? "" : ", ") + a;
  fail("no attribute named \"", name, "\"; there are: ", known.empty() ? "none" : known);
}

void check_attributes(const Labels& labels, const std::vector<std::string>& names) {
  const std::string source = labels.source.empty() ? "the folders' names" : labels.source;
  check(!labels.attributes.empty(), source,
        ": has no attributes, only file and identity; --labels names a file that has");
  for (const std::string& name : names)
    check(std::find(labels.attributes.begin(), labels.attributes.end(), name) != labels.attributes.end(),
          source, ": has no attribute \"", name, "\"", known_names(name, labels.attributes));
}

std::vector<int64_t> attribute_classes(const Labels& labels, const std::vector<int64_t>& rows,
                                       const std::string& name) {
  const size_t number = labels.attribute(name);
  std::vector<int64_t> classes;
  for (int64_t r : rows) classes.push_back(labels.has(r, number) ? 1 : 0);
  return classes;
}

void check_both_classes(const Labels& labels, const std::vector<int64_t>& rows,
                        const std::vector<std::string>& names, const std::string& who) {
  constexpr size_t kLeastPeople = 2;
  for (const std::string& name : names) {
    const std::vector<int64_t> classes = attribute_classes(labels, rows, name);
    std::unordered_set<int64_t> people[2];
    for (size_t i = 0; i < rows.size(); ++i)
      people[classes[i]].insert(person_key(labels.identities[size_t(rows[i])]));
    for (const int c : {0, 1})
      check(people[c].size() >= kLeastPeople, labels.source, ": ", name, " is ", c, " for ", people[c].size(),
            " of the people ", who, ", but ", kLeastPeople,
            " are needed; use more people, or another attribute");
  }
}

Labels parse_labels(std::string_view text, const std::string& file) {
  const auto lines = split_lines(text, file);
  check(!lines.empty(), file, ": is empty; its first line must be file,identity,...");
  const auto header = split_csv(lines[0], file + ":1");
  check(header.size() >= 2 && header[0] == "file" && header[1] == "identity", file,
        ":1: the header must begin with file,identity; it is ", lines[0]);
  Labels out;
  out.source = file;
  for (size_t i = 2; i < header.size(); ++i) {
    check(!header[i].empty() &&
              std::find(header.begin(), header.begin() + long(i), header[i]) == header.begin() + long(i),
          file, ":1: an attribute name is empty or stands twice: \"", header[i], "\"");
    out.attributes.emplace_back(header[i]);
  }
  std::unordered_set<std::string> seen;
  std::vector<std::string> absent(out.attributes.size());  // how a column says no, once it has said so
  for (size_t l = 1; l < lines.size(); ++l) {
    const size_t number = l + 1;
    const auto fields = split_csv(lines[l], file + ":" + std::to_string(number));
    check(fields.size() == header.size(), file, ":", number, ": ", fields.size(), " fields, ", header.size(),
          " expected");
    check(is_safe_relative_path(fields[0]), file, ":", number, ": \"", fields[0],
          "\" is not a relative path");
    check(seen.insert(fields[0]).second, file, ":", number, ": ", fields[0], " stands twice");
    check(!fields[1].empty(), file, ":", number, ": no identity");
    check(is_utf8(fields[1]), file, ":", number, ": the identity is not UTF-8; save the file as UTF-8");
    out.files.emplace_back(fields[0]);
    out.identities.emplace_back(fields[1]);
    for (size_t i = 2; i < fields.size(); ++i) {
      const std::string& value = fields[i];
      check(value == "1" || value == "0" || value == "-1", file, ":", number, ": ", header[i], " is \"",
            value, "\"; attributes are 0 or 1, or -1 or 1");
      std::string& no = absent[i - 2];
      if (value != "1" && no.empty()) no = value;
      check(value == "1" || value == no, file, ":", number, ": ", header[i], " is \"", value,
            "\", but it has been ", no, " above; an attribute has two values");
      out.values.push_back(value == "1");
    }
  }
  return out;
}

Labels load_labels(const std::string& path) { return parse_labels(read_text(path), path); }

Labels labels_from_folders(const std::vector<std::string>& files) {
  Labels out;
  std::vector<std::string> outside;
  for (const std::string& f : files) {
    const auto parts = split_fields(f, '/');
    if (parts.size() < 2) {
      outside.push_back(f);
      continue;
    }
    out.files.push_back(f);
    out.identities.emplace_back(parts[parts.size() - 2]);
  }
  check(
      outside.empty(), "no folder of a person holds ", counted(outside, files),
      ", so whose faces they show cannot be told: say it in a labels file (--labels), or leave them out by a "
      "list of the others (--list)");
  return out;
}

Labels select(const Labels& labels, const std::vector<std::string>& files) {
  std::unordered_map<std::string_view, size_t> row;
  for (size_t i = 0; i < labels.files.size(); ++i) row.emplace(labels.files[i], i);
  Labels out;
  out.source = labels.source;
  out.attributes = labels.attributes;
  const size_t width = labels.attributes.size();
  std::vector<std::string> missing;
  for (const std::string& f : files) {
    const auto found = row.find(f);
    if (found == row.end()) {
      missing.push_back(f);
      continue;
    }
    out.files.push_back(f);
    out.identities.push_back(labels.identities[found->second]);
    const auto values = labels.values.begin() + long(found->second * width);
    out.values.insert(out.values.end(), values, values + long(width));
  }
  check(missing.empty(), labels.source, labels.source.empty() ? "" : ": ", "lacks a label of ",
        counted(missing, files), ": add their lines, or leave them out by a list of the others (--list)");
  return out;
}

int64_t person_key(std::string_view identity) { return int64_t(fnv1a(single_spaced(identity))); }

Split split_by_identity(const Labels& labels, uint64_t seed, const SplitShares& shares) {
  check(shares.train >= 0 && shares.validation >= 0 && shares.test >= 0 &&
            std::abs(shares.train + shares.validation + shares.test - 1) < 1e-6,
        "the shares of a split are ", shares.train, ", ", shares.validation, " and ", shares.test,
        "; they must add up to 1");
  Split out;
  for (int64_t i = 0; i < labels.size(); ++i) {
    const double u = Philox{seed, uint64_t(person_key(labels.identities[size_t(i)]))}.uniform(0);
    auto& part = u < shares.train                       ? out.train
                 : u < shares.train + shares.validation ? out.validation
                                                        : out.test;
    part.push_back(i);
  }
  return out;
}

namespace {

constexpr const char* kPairHeader = "a,b,genuine,fold";
constexpr int kMaxFolds = 1000;

PairList parse_lfw_pairs(const std::vector<std::string_view>& lines, const std::string& file) {
  PairList out;
  const auto header = split_fields(lines[0], '\t');
  check(header.size() == 2 && parse_number(header[0], out.folds) && parse_number(header[1], out.per_fold) &&
            out.folds > 0 && out.per_fold > 0,
        file, ":1: the first line must be <folds><tab><pairs per fold>, or ", kPairHeader);
  const int64_t expected = int64_t(out.folds) * out.per_fold * 2;
  check(int64_t(lines.size()) - 1 == expected, file, ": ", lines.size() - 1, " pairs, but ", out.folds,
        " folds of ", out.per_fold, " genuine and ", out.per_fold, " impostor pairs are ", expected);
  out.pairs.reserve(size_t(expected));
  for (size_t l = 1; l < lines.size(); ++l) {
    const auto fields = split_fields(lines[l], '\t');
    const int64_t place = int64_t(l - 1) % (2 * out.per_fold);
    Pair pair;
    pair.fold = int(int64_t(l - 1) / (2 * out.per_fold));
    pair.genuine = place < out.per_fold;
    const size_t wanted = pair.genuine ? 3 : 4;
    check(fields.size() == wanted, file, ":", l + 1, ": ", fields.size(), " fields, ", wanted,
          " expected of ", pair.genuine ? "a genuine" : "an impostor", " pair");
    const std::string_view other = pair.genuine ? fields[0] : fields[2];
    int i = 0, j = 0;
    check(parse_number(fields[1], i) && parse_number(fields.back(), j), file, ":", l + 1,
          ": a picture's number is not a number");
    for (const std::string_view name : {fields[0], other})
      check(is_safe_relative_path(name) && name.find('/') == std::string_view::npos, file, ":", l + 1, ": \"",
            name, "\" is not a name");
    check(pair.genuine ? i != j : fields[0] != other, file, ":", l + 1, ": ",
          pair.genuine ? "a picture paired with itself" : "an impostor pair of one person");
    pair.a = pair_file(fields[0], i);
    pair.b = pair_file(other, j);
    out.pairs.push_back(std::move(pair));
  }
  return out;
}

PairList parse_csv_pairs(const std::vector<std::string_view>& lines, const std::string& file) {
  PairList out;
  std::vector<std::array<bool, 2>> kinds;  // by fold: whether it has impostors, genuine pairs
  for (size_t l = 1; l < lines.size(); ++l) {
    const auto fields = split_csv(lines[l], file + ":" + std::to_string(l + 1));
    Pair pair;
    check(fields.size() == 4 && (fields[2] == "0" || fields[2] == "1") &&
              parse_number(fields[3], pair.fold) && pair.fold < kMaxFolds,
          file, ":", l + 1, ": two files, 1 (genuine) or 0, and a fold below ", kMaxFolds, " expected");
    for (const std::string& name : {fields[0], fields[1]})
      check(is_safe_relative_path(name), file, ":", l + 1, ": \"", name, "\" is not a relative path");
    check(fields[0] != fields[1], file, ":", l + 1, ": a picture paired with itself");
    pair.a = fields[0];
    pair.b = fields[1];
    pair.genuine = fields[2] == "1";
    out.folds = std::max(out.folds, pair.fold + 1);
    kinds.resize(size_t(out.folds));
    kinds[size_t(pair.fold)][pair.genuine] = true;
    out.pairs.push_back(std::move(pair));
  }
  check(out.folds >= 2, file, ": two folds or more are needed, not ", out.folds);
  for (int fold = 0; fold < out.folds; ++fold)
    for (const bool genuine : {false, true})
      check(kinds[size_t(fold)][genuine], file, ": fold ", fold, " has no ", genuine ? "genuine" : "impostor",
            " pair");
  return out;
}

}  // namespace

PairList parse_pairs(std::string_view text, const std::string& file) {
  const auto lines = split_lines(text, file);
  check(!lines.empty(), file, ": is empty; its first line must be <folds><tab><pairs per fold>, or ",
        kPairHeader);
  const bool is_csv = lines[0].find(',') != std::string_view::npos &&
                      split_csv(lines[0], file + ":1") == split_csv(kPairHeader, file);
  return is_csv ? parse_csv_pairs(lines, file) : parse_lfw_pairs(lines, file);
}

PairList load_pairs(const std::string& path) { return parse_pairs(read_text(path), path); }

std::vector<RowPair> draw_pairs(std::span<const int64_t> person, int folds, size_t most, const Philox& rng) {
  std::map<int64_t, std::vector<size_t>> photos;
  for (size_t i = 0; i < person.size(); ++i) photos[person[i]].push_back(i);
  std::vector<RowPair> pairs;
  int people = 0;
  for (const auto& [unused, list] : photos) {
    for (size_t i = 0; i + 1 < list.size() && pairs.size() < most; ++i)
      pairs.push_back({list[i], list[i + 1], true, people % folds});
    people += list.size() > 1;
  }
  const size_t genuine = pairs.size(), n = person.size();
  check(people >= folds, "only ", people, " people have two photographs; ", folds,
        " are needed to measure verification");
  for (uint64_t draw = 0; pairs.size() < 2 * genuine; ++draw) {
    const size_t a = rng.below(2 * draw, n), b = rng.below(2 * draw + 1, n);
    if (person[a] != person[b]) pairs.push_back({a, b, false, int(pairs.size() % size_t(folds))});
  }
  return pairs;
}

}  // namespace advf
