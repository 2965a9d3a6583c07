#include "tools/audit/page_parts.h"

namespace advf::tools {

std::string duties_html() {
  HtmlTable table("Which figure speaks to which duty",
                  {"Duty", "Figures of this report", "What it does not say"}, "stack");
  table.add({"ISO/IEC 24745, irreversibility",
             "appearance and identity: what reconstructions show, beside who has no feature",
             "that no better attacker will come"});
  table.add({"ISO/IEC 24745, unlinkability",
             "linkability: rank 1 among photographs, D_sys of two sets under two keys",
             "links by other data that lie beside the features"});
  table.add({"ISO/IEC 24745, renewability",
             "D_sys under two keys: whether an old and a new record are told apart from those of strangers",
             "that old records are destroyed, in backups as well"});
  table.add({"ISO/IEC 30136, performance of template protection",
             "accuracy with and without, bytes and time of a record, attackers with intervals",
             "your population, cameras and thresholds"});
  table.add({"GDPR Art. 9, special categories",
             "identity, and what probes tell of attributes: whether what is stored still is biometric data "
             "that identifies",
             "whether you may process it at all"});
  table.add({"GDPR Art. 32, security of processing",
             "the strongest attacker on each protection; what holds when the key leaks",
             "custody of keys, access, backups"});
  table.add({"GDPR Art. 33 and 34, breach",
             "what somebody gets of stolen features with and without the key: the likely consequences of a "
             "breach",
             "who has the key"});
  table.add({"EU AI Act, Art. 10 and 15",
             "accuracy, robustness against attackers, differences between groups",
             "all other duties of high-risk systems"});
  return table.html();
}

}  // namespace advf::tools
