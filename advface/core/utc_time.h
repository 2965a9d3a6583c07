// Moments as files have them, in UTC: 2025-01-31T12:00:00Z.
#pragma once
#include <string>

namespace advf {

std::string utc_now();
bool is_utc_time(const std::string& text);  // of a day that there is

}  // namespace advf
