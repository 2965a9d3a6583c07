#include "tools/audit/step_command.h"

#include <filesystem>

namespace advf::tools {
namespace {

namespace fs = std::filesystem;

constexpr const char *kData = "\"$AUDIT_DATA\"", *kCache = "\"$AUDIT_CACHE\"";

// As a shell takes it.
std::string quoted(const std::string& word) {
  constexpr const char* kPlain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=./,:+@%";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) return word;
  std::string text = "'";
  for (const char c : word) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

std::string in_folder(const char* folder, const fs::path& below) {
  return below == "." ? folder : folder + quoted("/" + below.string());
}

}  // namespace

std::string common_folder(const std::vector<std::pair<std::string, std::string>>& digests) {
  fs::path common;
  for (const auto& [path, digest] : digests) {
    const fs::path folder = fs::path(path).lexically_normal().parent_path();
    if (common.empty()) common = folder;
    fs::path shared;
    for (auto a = common.begin(), b = folder.begin(); a != common.end() && b != folder.end() && *a == *b;
         ++a, ++b)
      shared /= *a;
    common = shared;
  }
  return common.string();
}

std::string pasted_command(const AuditPlan& plan, int64_t number) {
  using Kind = AuditWord::Kind;
  const AuditStep& step = plan.steps[size_t(number)];
  const auto made = [&](int64_t by, const std::string& file) {
    return in_folder(kCache, "steps/" + plan.steps[size_t(by)].hash + "/" + file);
  };
  std::string text = "advface-" + step.program;
  for (const AuditWord& w : step.words) {
    std::string word;
    switch (w.kind) {
      case Kind::text:
      case Kind::out:
        word = quoted(w.text);
        break;
      case Kind::input:
        word = in_folder(kData, fs::path(w.text).lexically_normal().lexically_relative(plan.data_folder));
        break;
      case Kind::made:
        word = made(w.number, w.text);
        break;
      case Kind::beside:
        word = made(number, w.text);
        break;
      case Kind::key:
        word = in_folder(kCache, "keys/" + std::to_string(w.number) + ".key");
        break;
      case Kind::cache:
        word = in_folder(kCache, "features");
        break;
    }
    text += " " + (w.before.empty() ? "" : quoted(w.before)) + word;
  }
  return text;
}

}  // namespace advf::tools
