// What a step of an audit depends on: the steps before it, and all of it as a hash.
#include <algorithm>

#include "advface/core/recogniser.h"
#include "advface/detect/detector_card.h"
#include "advface/keys/signature.h"
#include "tools/audit/audit_plan.h"

namespace advf::tools {
namespace {

constexpr const char* kFormat = "advface-audit-step-1";
constexpr size_t kLetters = 16;

// Of a card the network beside it as well.
std::string digest_of(const std::string& path, const AuditConfig& c, const AuditFacts& facts) {
  std::string all = facts.digest(path);
  if (path == c.faces.recogniser || path == c.second_recogniser)
    all += " " + facts.digest(load_card(path).model);
  if (path == c.faces.detection.card) all += " " + facts.digest(load_detector_card(path).model);
  return all;
}

}  // namespace

std::vector<std::string> AuditDevice::options() const {
  std::vector<std::string> words;
  if (const AuditDevice usual; device != usual.device) words.insert(words.end(), {"--device", device});
  if (const AuditDevice usual; precision != usual.precision)
    words.insert(words.end(), {"--precision", precision});
  return words;
}

std::string AuditDevice::text() const {
  return precision == AuditDevice().precision ? device : device + ", " + precision;
}

std::vector<int64_t> AuditStep::needs() const {
  std::vector<int64_t> list;
  for (const AuditWord& w : words)
    if (w.kind == AuditWord::Kind::made && std::ranges::find(list, w.number) == list.end())
      list.push_back(w.number);
  return list;
}

double AuditPlan::seconds() const {
  double sum = 0;
  for (const AuditStep& step : steps) sum += step.seconds;
  return sum;
}

void hash_steps(std::vector<AuditStep>& steps, const AuditConfig& config, const AuditFacts& facts,
                const ProgramDigests& programs) {
  using Kind = AuditWord::Kind;
  for (AuditStep& step : steps) {
    const auto program = programs.find(step.program);
    check(program != programs.end(), "no digest of advface-", step.program, ", which \"", step.id,
          "\" is a call of");
    std::string all = std::string(kFormat) + "\n" + step.program + " " + program->second + "\n";
    for (const AuditWord& w : step.words) {
      all += w.before;
      switch (w.kind) {
        case Kind::text:
        case Kind::out:
        case Kind::beside:
          all += w.text;
          break;
        case Kind::input:
          all += digest_of(w.text, config, facts);
          break;
        case Kind::made:
          all += steps[size_t(w.number)].hash + "/" + w.text;
          break;
        case Kind::key:
          all += "key " + std::to_string(w.number);
          break;
        case Kind::cache:
          break;
      }
      all += "\n";
    }
    for (const auto& [name, content] : step.files) all += name + "\n" + content;
    const std::string whole = digest(std::as_bytes(std::span(all)));
    step.hash = whole.substr(whole.find(':') + 1, kLetters);
  }
}

}  // namespace advf::tools
