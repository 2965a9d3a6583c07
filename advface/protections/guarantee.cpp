#include "advface/protections/guarantee.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>

#include "tensor/check.h"

namespace advf {

const char* name_of(WithoutKey what) {
  return what == WithoutKey::nothing          ? "nothing"
         : what == WithoutKey::inner_products ? "inner products"
                                              : "not proved";
}

nlohmann::json to_json(const Guarantee& proved) {
  nlohmann::json json = nlohmann::json::object();
  if (const auto& privacy = proved.privacy) {
    json["privacy"] = {{"epsilon", privacy->epsilon}, {"delta", privacy->delta}};
    if (privacy->of_seed) json["privacy"]["as_long_as"] = "nobody knows the seed";
    for (const int64_t people : {2, 1000, 1'000'000})
      json["privacy"]["named_at_most"][std::to_string(people)] =
          naming_bound(privacy->noise, 1 / double(people));
  }
  if (proved.largest_angle) json["least_cosine"] = std::cos(*proved.largest_angle);
  if (proved.without_key) json["without_key"] = name_of(*proved.without_key);
  return json;
}

// Whatever comes behind noise works on the noisy feature alone (post-processing). Probes go through maps that
// keep angles, wherever an angle is promised, so that angles add up. Behind a key there is nothing to learn
// from, whatever is done to what is stored, and before it nothing that it does not hide.
Guarantee Guarantee::then(const Guarantee& next, bool next_sees_photograph) const {
  Guarantee both;
  both.privacy = next_sees_photograph ? next.privacy : privacy ? privacy : next.privacy;
  if (largest_angle && next.largest_angle)
    both.largest_angle = std::min(*largest_angle + *next.largest_angle, std::numbers::pi);
  both.without_key = without_key && !next_sees_photograph ? without_key : next.without_key;
  return both;
}

std::optional<double> angle_of_ball(double radius) {
  if (!(radius < 1)) return {};
  return std::asin(radius);
}

double angle_of_chord(double length) {
  check(length >= 0 && length <= 2, "a chord of the unit sphere has length 0 to 2, not ", length);
  return 2 * std::asin(length / 2);
}

ScoreRange score_range(double score, double angle) {
  const double between = std::acos(std::clamp(score, -1.0, 1.0));
  return {std::cos(std::min(between + angle, std::numbers::pi)), std::cos(std::max(between - angle, 0.0))};
}

}  // namespace advf
