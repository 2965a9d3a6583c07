// report.html: an audit for people, in one file that needs nothing else: no network, no script to be read.
#pragma once
#include <nlohmann/json.hpp>
#include <string>

#include "tools/audit/page_pictures.h"

namespace advf::tools {

inline constexpr const char* kPageFile = "report.html";

// With the chapter of pictures, where there are any to show; what else it says follows from the report.
std::string audit_page(const nlohmann::json& report, const PagePictures* pictures = nullptr);
bool has_pictures(const std::string& page);  // whether the chapter is there

}  // namespace advf::tools
