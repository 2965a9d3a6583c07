#include "advface/audit/verifier_source.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "advface/audit/metrics.h"
#include "advface/core/json_text.h"
#include "advface/core/text_file.h"

namespace advf {

std::optional<double> earlier_threshold(const std::string& file, const std::string& name,
                                        const Recogniser& recogniser, double wanted_fmr) {
  if (file.empty()) return std::nullopt;
  const auto json = parse_json(read_text(file), file);
  const auto judges = json.is_object() ? json.value("judges", nlohmann::json()) : nlohmann::json();
  const auto judge = judges.is_object() ? judges.value(name, nlohmann::json()) : nlohmann::json();
  check(judge.is_object() && judge.value("threshold", nlohmann::json()).is_number() &&
            judge.value("fingerprint", nlohmann::json()).is_string() &&
            json.value("fmr", nlohmann::json()).is_number(),
        file, ": no threshold of the judge \"", name, "\" with \"fingerprint\" and \"fmr\"; give the ",
        "result of an earlier run");
  const std::string fingerprint = judge["fingerprint"];
  check(fingerprint == recogniser.fingerprint(), file, ": the threshold of the judge \"", name,
        "\" is of the recogniser ", fingerprint, ", but ", recogniser.card().path, " is ",
        recogniser.fingerprint());
  const double fmr = json["fmr"];
  check(fmr == wanted_fmr, file, ": its thresholds are for a false match rate of ", fmr, ", not ", wanted_fmr,
        "; give --fmr ", fmr, " or leave --thresholds out");
  return judge["threshold"].get<double>();
}

std::vector<int64_t> next_photographs(const TestRows& test, const RowsByPerson& people) {
  std::vector<int64_t> next;
  for (const int64_t r : test.rows) {
    const std::vector<int64_t>& mine = people.of(r);
    const auto at = std::next(std::find(mine.begin(), mine.end(), r));
    next.push_back(mine.size() < 2 ? -1 : at == mine.end() ? mine.front() : *at);
  }
  return next;
}

Verifier make_verifier(const FaceSettings& settings, const VerifierSource& source, FaceSource& faces,
                       const FeatureSet& set, const TestRows& test, const Context& context) {
  const Recogniser& recogniser = *source.recogniser;
  const FeatureSet all = extract(settings, recogniser, recogniser.card().embedding.name, faces, context);
  check(all.indices == set.indices, "some images became unreadable; run again");
  Verifier verifier{source.name, &recogniser, 0, all.features.at(test.rows), {}, {}};
  if (source.threshold) {
    verifier.threshold = *source.threshold;
  } else {
    std::vector<int64_t> people;
    for (int64_t r : test.others) people.push_back(test.person[size_t(r)]);
    verifier.threshold = cross_identity_threshold(all.features.at(test.others), people, source.fmr).threshold;
  }
  std::vector<int64_t> others;
  const std::vector<int64_t> next = next_photographs(test, RowsByPerson(test.person));
  for (size_t i = 0; i < next.size(); ++i) {
    if (next[i] < 0) continue;
    verifier.other_of.push_back(int64_t(i));
    others.push_back(next[i]);
  }
  if (!others.empty()) verifier.other = all.features.at(others);
  return verifier;
}

}  // namespace advf
