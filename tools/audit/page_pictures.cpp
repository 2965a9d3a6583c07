#include "tools/audit/page_pictures.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

#include "tensor/io/input_file.h"
#include "tensor/io/npy.h"
#include "tools/audit/audit_rows.h"
#include "tools/audit/audit_verdict.h"
#include "tools/audit/page_parts.h"

namespace advf::tools {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr std::string_view kBegin = "src=\"data:image/png;base64,", kText = "\" alt=\"";
constexpr std::string_view kPngBegins = "iVBORw0KGgo";  // base64 of a PNG's first eight bytes
constexpr std::string_view kBase64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::string base64(std::span<const std::byte> bytes) {
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t n = std::min<size_t>(3, bytes.size() - i);
    uint32_t three = 0;
    for (size_t k = 0; k < 3; ++k) three = three << 8 | (k < n ? uint32_t(bytes[i + k]) : 0);
    for (size_t k = 0; k < 4; ++k) text += k <= n ? kBase64[three >> (18 - 6 * k) & 63] : '=';
  }
  return text;
}

// The step of a pair; -1 where it was not run.
int64_t step_of(const AuditPlan& plan, const StepRunner& runner, const std::string& protection,
                const std::string& attacker) {
  for (const AuditPair& pair : plan.pairs)
    if (pair.protection == protection && pair.attacker == attacker && runner.result(pair.step))
      return pair.step;
  return -1;
}

// Where the pictures lie that an attacker made of features of this kind; "" where there are none.
std::string made_in(const std::string& folder, const std::string& attacker, const std::string& kind) {
  std::error_code none;
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(fs::path(folder) / "images" / attacker, none))
    if (entry.is_directory() && entry.path().filename().string().starts_with(kind))
      found.push_back(entry.path());
  std::sort(found.begin(), found.end());
  return found.empty() ? "" : found[0].string();
}

// A row as a picture: of a map the mean of its channels, as it lies in the photograph.
Image picture_of_row(const Tensor& rows, const std::vector<float>& all, int64_t i) {
  const int64_t values = rows.numel() / rows.dim(0);
  std::vector<float> row(all.begin() + i * values, all.begin() + (i + 1) * values);
  if (rows.shape().rank() != 4) return cells_of(row, int64_t(std::ceil(std::sqrt(double(values)))));
  const int64_t plane = rows.dim(2) * rows.dim(3);
  std::vector<float> mean(static_cast<size_t>(plane));
  for (int64_t k = 0; k < values; ++k) mean[size_t(k % plane)] += std::fabs(row[size_t(k)]);
  return cells_of(mean, rows.dim(3));
}

}  // namespace

std::string photograph_of(size_t person) { return "photograph of person " + std::to_string(person); }

std::string stored_of(const json& protection, size_t person) {
  return "what " + in_quotes(protection) + " stores of person " + std::to_string(person) + ", a cell a value";
}

std::string drawn_by(const std::string& attacker, const json& protection, bool is_raw, size_t person) {
  return "person " + std::to_string(person) + " as the attacker " + attacker + " draws them from what " +
         (is_raw ? "is stored unprotected" : in_quotes(protection) + " stores");
}

PagePictures::PagePictures(const json& report, const AuditPlan& plan, const StepRunner& runner) {
  const std::vector<std::string>& people = plan.people_shown;
  const auto take = [&](const std::string& what, const std::string& file) {
    std::error_code none;
    if (fs::is_regular_file(file, none))
      by_text_.emplace(svg_escaped(what), base64(read_file(file, uint64_t(1) << 26)));
  };
  const auto take_all = [&](const std::string& folder, const auto& what) {
    for (size_t i = 0; i < people.size(); ++i) take(what(i + 1), folder + "/" + people[i] + ".png");
  };
  for (const AuditPair& pair : plan.pairs)
    if (runner.result(pair.step)) take_all(runner.folder(pair.step) + "/images/originals", photograph_of);
  bool is_raw = true;
  for (const json& p : report["protections"]) {
    const std::string name = p["name"];
    for (const AuditAttacker& a : audit_attackers()) {  // others make no pictures, and have no folder
      const int64_t step = step_of(plan, runner, name, a.name);
      const std::string at =
          step < 0 ? "" : made_in(runner.folder(step), a.name, is_raw ? "raw" : "protected");
      if (!at.empty()) take_all(at, [&](size_t i) { return drawn_by(a.name, p["name"], is_raw, i); });
    }
    if (const int64_t step = step_of(plan, runner, name, kStored); step >= 0) {
      const Tensor rows = load_npy(runner.folder(step) + "/out.npy");
      const std::vector<float> all = rows.to_vector<float>();
      for (int64_t i = 0; i < std::min(rows.dim(0), int64_t(people.size())); ++i)
        by_text_.emplace(svg_escaped(stored_of(p["name"], size_t(i) + 1)),
                         base64(encode_png(picture_of_row(rows, all, i))));
    }
    is_raw = false;
  }
}

PagePictures::PagePictures(const std::string& page) {
  for (size_t at = page.find(kBegin); at != std::string::npos; at = page.find(kBegin, at + 1)) {
    const size_t from = at + kBegin.size();
    size_t to = page.find_first_not_of(kBase64, from);
    const std::string_view letters = std::string_view(page).substr(from, to - from);
    while (to < page.size() && page[to] == '=') ++to;
    if (to >= page.size() || !letters.starts_with(kPngBegins) || (to - from) % 4 != 0 ||
        page.compare(to, kText.size(), kText) != 0)
      continue;
    const size_t text = to + kText.size(), end = page.find('"', text);
    if (end != std::string::npos)
      by_text_.emplace(page.substr(text, end - text), page.substr(from, to - from));
  }
}

bool PagePictures::has(const std::string& what) const { return by_text_.contains(svg_escaped(what)); }

std::string PagePictures::html(const std::string& what, const std::string& css) const {
  const auto at = by_text_.find(svg_escaped(what));
  if (at == by_text_.end()) return "";
  return "<img " + (css.empty() ? "" : "class=\"" + css + "\" ") + std::string(kBegin) + at->second +
         std::string(kText) + at->first + "\">";
}

}  // namespace advf::tools
