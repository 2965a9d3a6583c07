// A judge: what is to be said, image by image, of what an attacker made. Residents stand in judge.cpp, a row
// each; the audit asks them all.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "advface/core/recogniser.h"
#include "tensor/tensor.h"

namespace advf {

// These of a list, in this order.
template <class T>
std::vector<T> picked(const std::vector<T>& list, const std::vector<int64_t>& chosen) {
  std::vector<T> out;
  for (int64_t i : chosen) out.push_back(list[size_t(i)]);
  return out;
}

// A recogniser that accepts or refuses: the deployed one, or one that the defence never saw.
struct Verifier {
  std::string name;
  const Recogniser* recogniser = nullptr;
  double threshold = 0;  // a cosine at or above it is accepted; chosen outside the test images
  Tensor same;           // (n, D) embeddings of the n originals
  // Of another photograph of the same person, where there is one: rows `other_of` of the originals, (m, D).
  Tensor other;
  std::vector<int64_t> other_of;
  Tensor crowd = {};  // (N, D) embeddings of TestImages::crowd

  Verifier only(const std::vector<int64_t>& originals) const;  // of these, in this order
};

// The images under test, or some of them.
struct TestImages {
  std::vector<int64_t> images;          // which of those under test
  std::vector<std::string> files;       // and of each: its name,
  std::vector<std::string> identities;  // the person on it as the labels call him,
  std::vector<int64_t> people;          // and as a number
  Tensor faces;                         // (n,3,S,S), in host memory
  std::vector<Verifier> verifiers;      // one or more; the deployed recogniser is the first
  // The people of the photographs with which an image is compared to say how like others than its person it
  // is; empty: of these images.
  std::vector<int64_t> crowd = {};

  // Those chosen, with nobody else beside them.
  TestImages only(const std::vector<int64_t>& chosen) const;
  // Those [begin, end), compared with all the others.
  TestImages range(int64_t begin, int64_t end) const;
  // Those whose person has another photograph in the set.
  const std::vector<int64_t>& with_another_photo() const { return verifiers[0].other_of; }
};

// One number for each image.
struct Measure {
  std::string name;  // as a path of the result: "ssim", "replay_rate/deployed/same_photo"
  std::vector<double> values;
  std::optional<std::vector<int64_t>> of = {};  // the images that have one, in this order; else all have
  bool beside_identity = false;  // also told of the images alone on which what identity reveals is known
  bool is_for_all() const { return !of; }
};

class Judge {
 public:
  virtual ~Judge() = default;
  // images: (n,3,S,S) in [0,1], made of the features of the images under test, on any backend; a batch at a
  // time goes to the current one.
  virtual std::vector<Measure> judge(const Tensor& images, const TestImages& test) const = 0;
};

struct JudgeKind {
  std::string name;
  std::string help;  // a line: what it tells
  std::unique_ptr<Judge> (*make)();
};

const std::vector<JudgeKind>& judges();
// What all of them say.
std::vector<Measure> judge_all(const Tensor& images, const TestImages& test);
// The measure of this name; null where no judge has it.
const Measure* find_measure(const std::vector<Measure>& measures, const std::string& name);

}  // namespace advf
