#include "tools/audit/audit_rows.h"

namespace advf::tools {

const std::vector<LeakMeasure>& leak_measures() {
  static const std::vector<LeakMeasure> list{
      {"appearance", "ssim", "how like the photograph pictures are (SSIM)", 0.02, 3},
      {"identity", "cosine", "how like the person pictures are (cosine by a recogniser)", 0.02, 3},
      {"identity", "replay", "pictures that are accepted as the person", 0.01, 3},
      {"linkability", "rank_1", "people who are found first among photographs", 0.01, 3},
      {"linkability", "auc", "records of a person that are told from others (AUC; half is guessing)", 0.02, 3,
       "", false, true},
      {"linkability", "d_sys", "records of two sets that are linked (D_sys)", 0.02, 3, "d_sys_corrected"},
      {"linkability", kAccuracy, "pairs that the deployed matcher tells without a key (half is guessing)",
       0.03, 3, "", false, true},
      {"attributes", "balanced_accuracy", "how often an attribute is told (half is guessing)", 0.03, 3},
  };
  return list;
}

std::optional<JudgedValue> judged_value(const nlohmann::json& measures, const LeakMeasure& m) {
  const bool chosen = m.measure == kAccuracy && measures.contains(kAccuracyEitherWay);
  const std::string name = chosen ? kAccuracyEitherWay : m.measure;
  if (!measures.contains(name)) return {};
  JudgedValue judged{measures[name], chosen};
  nlohmann::json& v = judged.value;
  if (!m.either_way || v["mean"] >= 0.5) return judged;
  judged.turned = !chosen;
  v["mean"] = 1 - v["mean"].get<double>();
  if (v.contains("low")) {
    const double low = v["low"], high = v["high"];
    v["low"] = 1 - high, v["high"] = 1 - low;
  }
  return judged;
}

const std::vector<std::string>& leaks() {
  static const std::vector<std::string> list{"appearance", "identity", "linkability", "attributes"};
  return list;
}

double low_end(const nlohmann::json& value) { return value.value("low", value["mean"].get<double>()); }
double high_end(const nlohmann::json& value) { return value.value("high", value["mean"].get<double>()); }

}  // namespace advf::tools
