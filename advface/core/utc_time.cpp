#include "advface/core/utc_time.h"

#include <ctime>

namespace advf {
namespace {

constexpr const char* kFormat = "%Y-%m-%dT%H:%M:%SZ";

std::string text_of(const std::tm& utc) {
  char text[32];
  std::strftime(text, sizeof text, kFormat, &utc);
  return text;
}

}  // namespace

std::string utc_now() {
  const std::time_t time = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&time, &utc);
  return text_of(utc);
}

bool is_utc_time(const std::string& text) {
  std::tm time{};
  const char* end = strptime(text.c_str(), kFormat, &time);
  // timegm() brings the 31st of June to the 1st of July.
  return end && *end == '\0' && timegm(&time) != -1 && text == text_of(time);
}

}  // namespace advf
