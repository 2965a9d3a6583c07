#include "attacker_checks.h"

#include <algorithm>
#include <cstring>

#include "nn/loss.h"
#include "tensor/ops.h"
#include "tensor/parallel.h"

namespace advf::test {
namespace {

double mean_difference(const Tensor& a, const Tensor& b) { return l1_loss(a, b).item(); }

bool same(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && std::memcmp(a.raw(), b.raw(), a.bytes()) == 0;
}

}  // namespace

std::vector<std::string> broken_rules(const Attacker& attacker, const Tensor& features, const Tensor& faces,
                                      const std::string& person, const Recogniser& recogniser) {
  std::vector<std::string> broken;
  const auto hold = [&](bool holds, const char* rule) {
    if (!holds && std::find(broken.begin(), broken.end(), rule) == broken.end()) broken.push_back(rule);
  };
  set_num_threads(1);
  const int64_t n = features.dim(0), size = attacker.image_size();
  const Tensor whole = attacker.attack(features, {});
  hold(whole.shape() == Shape{n, 3, size, size}, "shape");
  for (float v : whole.to_vector<float>()) hold(v >= 0 && v <= 1, "range");
  if (whole.shape() != faces.shape()) return broken;
  for (const auto& [begin, end] : {std::pair<int64_t, int64_t>{0, 1}, {1, 8}, {n - 6, n}})
    hold(same(attacker.attack(features.slice_batch(begin, end), {}), whole.slice_batch(begin, end)), "rows");
  set_num_threads(3);
  hold(same(attacker.attack(features, {}), whole), "threads");
  set_num_threads(1);
  hold(same(attacker.attack(features, {}), whole), "again");
  set_num_threads(0);
  const Tensor chance = repeat(attacker.mean_face(), n);
  const auto likeness = [&](const Tensor& images) {
    const Tensor seen = recogniser.embed(recogniser.preprocess(images));
    return mean_all(reduce_sum(mul(seen, features), {1}, false)).item();
  };
  hold(mean_difference(whole, faces) < 0.95 * mean_difference(chance, faces) ||
           1 - likeness(whole) < 0.5 * (1 - likeness(chance)),
       "chance");
  if (person.empty()) return broken;
  try {
    check_never_saw(attacker.provenance(), "it", {"nobody", person});
    hold(false, "people");
  } catch (const Error&) {
  }
  return broken;
}

}  // namespace advf::test
