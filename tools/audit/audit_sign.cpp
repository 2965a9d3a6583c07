// advface-audit sign and new-key: who stands for a report.
#include <iostream>

#include "advface/keys/signature.h"
#include "tensor/io/atomic_file.h"
#include "tensor/io/input_file.h"
#include "tools/audit/audit.h"
#include "tools/audit/audit_report.h"
#include "tools/audit/report_verification.h"

namespace advf::tools {

int audit_sign(SignCall& call) {
  call.common.activate();
  install_interrupt_handler();
  const Verification v =
      verify_report(read_audit_report(call.report), call.report, call.data, false, false, console());
  check(
      v.good, call.report,
      ": is not signed, as it is not what was made, or not as it is here: see the lines above, audit again, "
      "or sign it where its inputs are as they were");
  const std::string out = call.out.empty() ? call.report + ".sig" : call.out;
  const std::string signature = sign(read_file(call.report, kMostReportBytes), call.key);
  AtomicFile file(out);
  file.write(signature);
  file.commit();
  call.common.write_json({{"out", out}, {"not_compared", v.reserved}});
  for (const std::string& what : v.reserved) std::cout << "signed, but not compared: " << what << "\n";
  std::cout
      << out
      << ": give it away with the report; who has the .pub file checks both with advface-audit verify\n";
  return 0;
}

CLI::App* add_sign_verb(CLI::App& app, SignCall& call) {
  CLI::App* sub = app.add_subcommand(
      "sign",
      "signs a report with a key of advface-audit new-key; one that verify finds changed is not signed");
  sub->add_option("report", call.report, "report.json")->required();
  sub->add_option("--signing-key", call.key, "the key")->required();
  sub->add_option("--data", call.data,
                  "folder that the inputs lie in now, where it is not the report's data_folder any more");
  sub->add_option("--out", call.out, "the signature (default: REPORT.sig)");
  call.common.add_to(*sub);
  return sub;
}

int audit_new_key(SignCall& call) {
  call.common.activate();
  new_signing_key(call.key);
  call.common.write_json({{"key", call.key}, {"public", call.key + ".pub"}});
  std::cout << call.key << ": keep it to yourself; " << call.key << ".pub is for everybody\n";
  return 0;
}

CLI::App* add_new_key_verb(CLI::App& app, SignCall& call) {
  CLI::App* sub =
      app.add_subcommand("new-key", "makes a key for signing reports, and its public part beside it (.pub)");
  sub->add_option("file", call.key, "the key, a new file of mode 0600")->required();
  call.common.add_to(*sub);
  return sub;
}

}  // namespace advf::tools
