#include "advface/core/json_text.h"

#include <algorithm>
#include <functional>
#include <set>
#include <vector>

#include "advface/core/text_file.h"
#include "tensor/check.h"

namespace advf {
namespace {

using nlohmann::json;

// The objects that are open, outermost first.
class DoubledKeys {
 public:
  explicit DoubledKeys(const std::string& source) : source_(source) {}

  bool operator()(int depth, json::parse_event_t event, const json& parsed) {
    check(depth <= kDeepestJson, source_, ": is nested more than ", kDeepestJson, " levels deep");
    switch (event) {
      case json::parse_event_t::object_start:
        open_.emplace_back();
        break;
      case json::parse_event_t::object_end:
        open_.pop_back();
        break;
      case json::parse_event_t::key: {
        Object& object = open_.back();
        object.at = parsed.get<std::string>();
        if (!object.keys.insert(object.at).second) fail(source_, ": the key ", way(), " stands there twice");
        break;
      }
      default:
        break;
    }
    return true;
  }

 private:
  struct Object {
    std::set<std::string> keys;
    std::string at;  // the key that is read
  };
  std::string way() const {
    std::string text;
    for (const Object& object : open_) text += (text.empty() ? "" : ".") + object.at;
    return text;
  }

  const std::string& source_;
  std::vector<Object> open_;
};

// How deep brackets are nested outside of texts; of what is no JSON, whatever comes of it.
int depth_of(std::string_view text) {
  int depth = 0, deepest = 0;
  bool in_text = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_text) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        in_text = false;
    } else if (c == '"') {
      in_text = true;
    } else if (c == '[' || c == '{') {
      deepest = std::max(deepest, ++depth);
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return deepest;
}

}  // namespace

json json_or_discarded(std::string_view text) {
  if (depth_of(text) > kDeepestJson) return json(json::value_t::discarded);
  return json::parse(text, nullptr, false);
}

json parse_json(std::string_view text, const std::string& source, bool comments) {
  check_utf8(text, source);
  DoubledKeys doubled(source);
  try {
    return json::parse(text, std::ref(doubled), true, comments);
  } catch (const json::exception& e) {
    // Behind "[json.exception.parse_error.101] ".
    const std::string what = e.what();
    const size_t end = what.find("] ");
    fail(source, ": not valid JSON: ", what.substr(end == std::string::npos ? 0 : end + 2));
  }
}

}  // namespace advf
