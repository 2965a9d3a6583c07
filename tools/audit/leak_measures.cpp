#include "tools/audit/audit_rows.h"

namespace advf::tools {

const std::vector<LeakMeasure>& leak_measures() {
  static const std::vector<LeakMeasure> list{
      {"appearance", "ssim", "how like the photograph pictures are (SSIM)", 0.02, 3},
      {"identity", "cosine", "how like the person pictures are (cosine by a recogniser)", 0.02, 3},
      {"identity", "replay", "pictures that are accepted as the person", 0.01, 3},
      {"linkability", "rank_1", "people who are found first among photographs", 0.01, 3},
      {"linkability", "auc", "records of a person that are told from others (AUC; half is guessing)", 0.02, 3,
       "", false},
      {"linkability", "d_sys", "records of two sets that are linked (D_sys)", 0.02, 3, "d_sys_corrected"},
      {"linkability", kAccuracy, "pairs that the deployed matcher tells without a key (half is guessing)",
       0.03, 3, "", false},
      {"attributes", "balanced_accuracy", "how often an attribute is told (half is guessing)", 0.03, 3},
  };
  return list;
}

const std::vector<std::string>& leaks() {
  static const std::vector<std::string> list{"appearance", "identity", "linkability", "attributes"};
  return list;
}

}  // namespace advf::tools
