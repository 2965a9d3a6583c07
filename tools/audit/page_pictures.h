// The pictures of a page: photographs of the people shown, what is stored of them and what attackers drew. A
// page follows from its report and these, so that of a page that lies somewhere nothing but the pictures' own
// bytes is taken on trust.
#pragma once
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "tools/audit/audit_plan.h"
#include "tools/audit/step_runner.h"

namespace advf::tools {

// What a picture shows, as its text alternative; people are counted from 1. Each is of one picture.
std::string photograph_of(size_t person);
std::string stored_of(const nlohmann::json& protection, size_t person);
std::string drawn_by(const std::string& attacker, const nlohmann::json& protection, bool is_raw,
                     size_t person);

class PagePictures {
 public:
  // That steps made; what is not there has no picture.
  PagePictures(const nlohmann::json& report, const AuditPlan& plan, const StepRunner& runner);
  // Those within a page. What is no PNG within the page itself is none.
  explicit PagePictures(const std::string& page);

  // The picture that shows this, as HTML; "" where there is none. css: of the element, "" for none.
  std::string html(const std::string& what, const std::string& css = "") const;
  bool has(const std::string& what) const;

 private:
  std::map<std::string, std::string> by_text_;  // what is seen, as HTML has it; base64 of a PNG
};

}  // namespace advf::tools
