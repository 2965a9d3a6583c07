// Cards: JSON that says how to feed a network, read strictly. Of recognisers (recogniser.h) and of detectors
// (detect/detector_card.h).
#pragma once
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "advface/core/channels.h"
#include "advface/core/json_text.h"
#include "tensor/check.h"

namespace advf {

// Of at most 1 MiB.
std::string read_card_text(const std::string& path);

// One object of a card. Every key is asked for exactly once; finish() refuses those nobody asked for.
class CardReader {
 public:
  CardReader(const nlohmann::json& object, std::string file, std::string prefix)
      : object_(object), file_(std::move(file)), prefix_(std::move(prefix)) {
    check(object_.is_object(), file_, ": ", prefix_.empty() ? "the card" : prefix_, " must be a JSON object");
  }

  bool has(const char* key) const { return object_.contains(key); }
  CardReader object(const char* key) { return {get(key), file_, prefix_ + key + "."}; }

  std::string text(const char* key) {
    const nlohmann::json& v = get(key);
    check(v.is_string() && !v.get_ref<const std::string&>().empty(), where(key),
          " must be a non-empty string");
    return v.get<std::string>();
  }
  std::string one_of(const char* key, const std::vector<std::string>& allowed) {
    const std::string v = text(key);
    std::string list;
    for (const std::string& a : allowed) {
      if (v == a) return v;
      list += (list.empty() ? "" : ", ") + a;
    }
    fail(where(key), " is \"", v, "\"; allowed: ", list);
  }
  double number(const char* key) {
    const nlohmann::json& v = get(key);
    check(v.is_number() && std::isfinite(v.get<double>()), where(key), " must be a finite number");
    return v.get<double>();
  }
  // One number for all channels, or three.
  std::array<double, 3> by_channel(const char* key) {
    const nlohmann::json& v = get(key);
    if (!v.is_array()) return all_channels(number(key));
    std::array<double, 3> out{};
    check(v.size() == 3, where(key), " must be one number, or three");
    for (size_t i = 0; i < 3; ++i) {
      check(v[i].is_number() && std::isfinite(v[i].get<double>()), where(key), " must hold finite numbers");
      out[i] = v[i].get<double>();
    }
    return out;
  }
  int64_t whole(const char* key, int64_t low, int64_t high) {
    const nlohmann::json& v = get(key);
    check(v.is_number_integer() && v.get<double>() >= double(low) && v.get<double>() <= double(high),
          where(key), " must be a whole number from ", low, " to ", high);
    return v.get<int64_t>();
  }
  bool flag(const char* key) {
    const nlohmann::json& v = get(key);
    check(v.is_boolean(), where(key), " must be true or false");
    return v.get<bool>();
  }
  // A list of `least` to `most` texts, numbers or points, none of which is empty or not finite.
  std::vector<std::string> texts(const char* key, size_t least, size_t most) {
    std::vector<std::string> out;
    for (const nlohmann::json& v : list(key, least, most)) {
      check(v.is_string() && !v.get_ref<const std::string&>().empty(), where(key),
            " must hold non-empty strings");
      out.push_back(v.get<std::string>());
    }
    return out;
  }
  std::vector<int64_t> wholes(const char* key, size_t least, size_t most, int64_t low, int64_t high) {
    std::vector<int64_t> out;
    for (const nlohmann::json& v : list(key, least, most)) {
      check(v.is_number_integer() && v.get<double>() >= double(low) && v.get<double>() <= double(high),
            where(key), " must hold whole numbers from ", low, " to ", high);
      out.push_back(v.get<int64_t>());
    }
    return out;
  }
  std::vector<double> numbers(const char* key, size_t least, size_t most) {
    std::vector<double> out;
    for (const nlohmann::json& v : list(key, least, most)) {
      check(v.is_number() && std::isfinite(v.get<double>()), where(key), " must hold finite numbers");
      out.push_back(v.get<double>());
    }
    return out;
  }
  // So many lists of `least` to `most` numbers each.
  std::vector<std::vector<double>> number_lists(const char* key, size_t lists, size_t least, size_t most) {
    std::vector<std::vector<double>> out;
    for (const nlohmann::json& some : list(key, lists, lists)) {
      check(some.is_array() && some.size() >= least && some.size() <= most, where(key),
            " must hold lists of ", least, " to ", most, " numbers");
      out.emplace_back();
      for (const nlohmann::json& v : some) {
        check(v.is_number() && std::isfinite(v.get<double>()), where(key), " must hold finite numbers");
        out.back().push_back(v.get<double>());
      }
    }
    return out;
  }
  std::vector<std::array<double, 2>> points(const char* key, size_t least, size_t most) {
    std::vector<std::array<double, 2>> out;
    for (const nlohmann::json& v : list(key, least, most)) {
      check(v.is_array() && v.size() == 2 && v[0].is_number() && v[1].is_number() &&
                std::isfinite(v[0].get<double>()) && std::isfinite(v[1].get<double>()),
            where(key), " must hold points [x, y]");
      out.push_back({v[0].get<double>(), v[1].get<double>()});
    }
    return out;
  }
  std::vector<std::string> keys() const {
    std::vector<std::string> list;
    for (const auto& [key, unused] : object_.items()) list.push_back(key);
    return list;
  }
  void finish() const {
    for (const auto& [key, unused] : object_.items()) {
      bool known = false;
      for (const char* r : read_) known = known || key == r;
      check(known, where(key), ": unknown key");
    }
  }

 private:
  std::string where(const std::string& key) const { return file_ + ": \"" + prefix_ + key + "\""; }
  const nlohmann::json& list(const char* key, size_t least, size_t most) {
    const nlohmann::json& v = get(key);
    check(v.is_array() && v.size() >= least && v.size() <= most, where(key), " must be a list of ",
          least == most ? std::to_string(least) : std::to_string(least) + " to " + std::to_string(most));
    return v;
  }
  const nlohmann::json& get(const char* key) {
    check(object_.contains(key), where(key), " is missing");
    read_.push_back(key);
    return object_.at(key);
  }

  const nlohmann::json& object_;
  std::string file_, prefix_;
  std::vector<const char*> read_;
};

}  // namespace advf
