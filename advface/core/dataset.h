// Who is on which picture: labels and attributes, the split into parts that share no person, and the pairs of
// the LFW verification protocol. Every error names file and line.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/rng.h"

namespace advf {

struct Labels {
  std::string source;                   // the file that they were read from; empty for names of folders
  std::vector<std::string> files;       // relative paths
  std::vector<std::string> identities;  // of each file; any text
  std::vector<std::string> attributes;  // names of the binary attributes, possibly none
  std::vector<uint8_t> values;          // (files, attributes): 0 or 1

  int64_t size() const { return int64_t(files.size()); }
  bool has(int64_t file, size_t attribute) const {
    return values[size_t(file) * attributes.size() + attribute] != 0;
  }
  size_t attribute(std::string_view name) const;  // its number; throws Error listing the known ones
};

// Throws Error, naming the file, where it has no attributes or none of a name.
void check_attributes(const Labels& labels, const std::vector<std::string>& names);
// Of each of these rows 1 where the attribute is there, else 0.
std::vector<int64_t> attribute_classes(const Labels& labels, const std::vector<int64_t>& rows,
                                       const std::string& name);
// Throws Error unless each attribute is there on two people of these rows, and missing on two: one alone
// could be learned by heart. `who` they are, for the message: "trained on".
void check_both_classes(const Labels& labels, const std::vector<int64_t>& rows,
                        const std::vector<std::string>& names, const std::string& who);

// CSV (RFC 4180, without line breaks in fields) with the header `file,identity` and any further columns as
// attributes (0 or 1, or -1 or 1; one of both in a column). Blanks around fields do not count.
Labels parse_labels(std::string_view text, const std::string& file);
Labels load_labels(const std::string& path);
// Identity = the folder a file lies in: <Name>/<Name>_0001.jpg. Throws Error for a file in no folder.
Labels labels_from_folders(const std::vector<std::string>& files);
// The labels of these files, in their order. Throws Error naming the first file without a label.
Labels select(const Labels& labels, const std::vector<std::string>& files);

// A person as a number: a hash of the identity alone, whatever blanks stand around it or between its words,
// the same in every file and program.
int64_t person_key(std::string_view identity);

// Indices into the labels, ascending.
struct Split {
  std::vector<int64_t> train, validation, test;
};
struct SplitShares {
  double train = 0.8, validation = 0.1, test = 0.1;  // of the people; sum 1
};
// Each person lies in one part, told by a hash of seed and identity alone: adding people or files moves
// nobody.
Split split_by_identity(const Labels& labels, uint64_t seed, const SplitShares& shares = {});

// Two pictures, and whether they show one person.
struct Pair {
  std::string a, b;
  bool genuine = false;
  int fold = 0;  // from 0
};
struct PairList {
  int folds = 0, per_fold = 0;  // LFW's: per_fold genuine and as many impostor pairs in each fold; else 0
  std::vector<Pair> pairs;      // LFW's: fold by fold, genuine first
};
// The format of LFW's pairs.txt: "<folds>\t<per fold>", then per fold "<name>\t<i>\t<j>" and
// "<name>\t<i>\t<other name>\t<j>"; a file is <name>/<name>_%04d.jpg.
// Or CSV with the header `a,b,genuine,fold`: two files, 1 or 0, a fold from 0; every fold has both kinds.
PairList parse_pairs(std::string_view text, const std::string& file);
PairList load_pairs(const std::string& path);

// Positions of two rows.
struct RowPair {
  size_t a = 0, b = 0;
  bool genuine = false;
  int fold = 0;
};
// Pairs for a verification test of rows that show these people. Genuine: neighbouring photographs of each
// person, all of one person in one fold, at most `most`. Impostors: as many random ones. Throws Error for
// fewer people with two photographs than folds.
std::vector<RowPair> draw_pairs(std::span<const int64_t> person, int folds, size_t most, const Philox& rng);

}  // namespace advf
