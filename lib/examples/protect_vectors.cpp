// Embeddings of another recogniser, unit vectors in memory, to what is stored of them and back to scores; and
// how the same protection is made again elsewhere, from its description and the key.
//
//     protect_vectors FACE.key
#include <advface.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <random>

namespace {

// Two photographs of each of so many people: near each other, far from the others'.
advface::Rows people(int count, double spread, std::mt19937& random) {
  constexpr int64_t kDimension = 128;
  std::normal_distribution<double> normal;
  advface::Rows rows{kDimension, {}};
  for (int person = 0; person < count; ++person) {
    std::mt19937 own(static_cast<unsigned>(person));
    std::vector<double> v;
    double squares = 0;
    for (int64_t k = 0; k < kDimension; ++k) {
      std::normal_distribution<double> mine;
      v.push_back(mine(own) + spread * normal(random));
      squares += v.back() * v.back();
    }
    for (const double x : v) rows.values.push_back(float(x / std::sqrt(squares)));
  }
  return rows;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: protect_vectors FACE.key\n");
    return 2;
  }
  try {
    std::mt19937 random(7);
    const advface::Rows enrolled = people(20, 0.3, random), probes = people(20, 0.3, random);
    const advface::Key key = advface::Key::create(argv[1]);
    const advface::Protection lock(advface::unit_vectors(enrolled.row), {{"protect", "rotation"}}, &key);
    const advface::Rows stored = lock.protect(enrolled, 0);  // records 0, 1, ... of a new set

    // The matching side: the description lies beside what is stored, the key does not.
    const std::string description = lock.describe();
    const advface::Key theirs = advface::Key::read(argv[1]);
    const advface::Protection again(advface::unit_vectors(enrolled.row), {}, &theirs, description);
    const std::vector<double> scores = advface::score(again, stored, probes, 0);
    double least = 1;
    for (const double s : scores) least = std::min(least, s);
    std::printf("20 people, least score of a person to himself %.3f\n", least);

    try {
      advface::Protection(advface::unit_vectors(3), {{"protect", "rotatoin"}}, &key);
    } catch (const advface::Error& e) {
      std::printf("refused: %s\n", e.what());
    }
    return least > 0.5 ? 0 : 1;
  } catch (const advface::Error& e) {
    std::fprintf(stderr, "protect_vectors: %s\n", e.what());
    return 1;
  }
}
