#include "tools/cli.h"

#include <csignal>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <new>
#include <sstream>

#include "cuda/cuda_backend.h"
#include "tensor/backend.h"
#include "tensor/check.h"
#include "tensor/io/atomic_file.h"
#include "tensor/parallel.h"

namespace advf::tools {
namespace {
volatile std::sig_atomic_t signalled = 0;
void on_signal(int signal) {
  if (signalled) std::_Exit(128 + signal);  // the second Ctrl-C means it
  signalled = 1;
}
}  // namespace

void Common::add_to(CLI::App& app) {
  app.add_option("--device", device, "where to compute: cpu, reference or cuda")
      ->capture_default_str()
      ->check(CLI::IsMember({"cpu", "reference", "cuda"}));
  app.add_option("--precision", precision,
                 "of frozen networks (protection, inference): f32 or bf16, which needs --device cuda")
      ->capture_default_str()
      ->check(CLI::IsMember({"f32", "bf16"}));
  app.add_option("--seed", seed, "seed of everything random")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  app.add_option("--threads", threads, "CPU threads; 0 = all of the machine")
      ->capture_default_str()
      ->check(CLI::Range(0, 1024));
  app.add_option("--json", json, "also write the result to this file");
}

void Common::activate() const {
  register_cuda_backend();
  set_num_threads(threads);
  // Kept for the whole run of the program.
  if (precision != "f32" && device != "cuda")
    throw CLI::ValidationError("--precision " + precision + " needs --device cuda");
  static BackendScope scope(backend(precision == "f32" ? device : device + "-" + precision));
  check_writable({json});
}

void Common::write_json(const nlohmann::json& result) const {
  if (json.empty()) return;
  AtomicFile file(json);
  file.write(json_text(result, 2) + "\n");
  file.commit();
}

std::string json_text(const nlohmann::json& value, int indent) {
  return value.dump(indent, ' ', false, nlohmann::json::error_handler_t::replace);
}

namespace {
// What was wrong with the call; CLI11 does not name a verb that it does not know.
std::string usage_message(const CLI::App& app, const CLI::ParseError& e) {
  const std::vector<std::string> rest = app.remaining();
  if (app.get_require_subcommand_min() == 0 || !app.get_subcommands().empty() || rest.empty())
    return e.what();
  std::string verbs;
  for (const CLI::App* verb : app.get_subcommands({}))
    verbs += (verbs.empty() ? "" : ", ") + verb->get_name();
  return "no verb \"" + rest[0] + "\"; there are: " + verbs;
}
}  // namespace

int run(CLI::App& app, int argc, char** argv, const std::function<int()>& body) {
  app.set_version_flag("--version", "0.1.0");
  std::signal(SIGXFSZ, SIG_IGN);  // a limit on the size of files is then a failed write, told and cleaned up
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& e) {
    return app.exit(e);
  } catch (const CLI::CallForAllHelp& e) {
    return app.exit(e);
  } catch (const CLI::CallForVersion& e) {
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    std::cerr << app.get_name() << ": " << usage_message(app, e) << " (see " << app.get_name()
              << " --help)\n";
    return 2;
  }
  try {
    const int code = body();
    // A full disk behind a redirection shows only when the buffers are written.
    check(bool(std::cout.flush()) && std::fflush(stdout) == 0, "the standard output cannot be written");
    return code;
  } catch (const CLI::ParseError& e) {  // found wrong after parsing
    std::cerr << app.get_name() << ": " << e.what() << " (see " << app.get_name() << " --help)\n";
    return 2;
  } catch (const Interrupted&) {
    std::cerr << app.get_name() << ": interrupted\n";
    return 130;
  } catch (const std::bad_alloc&) {
    std::cerr << app.get_name() << ": out of memory; a smaller --batch needs less\n";
  } catch (const std::exception& e) {
    std::cerr << app.get_name() << ": " << e.what() << '\n';
  }
  return 1;
}

void as_usage(const std::function<void()>& judge) {
  try {
    judge();
  } catch (const Error& e) {
    throw CLI::ValidationError(e.what());
  }
}

CLI::Validator number_in(double low, double high) {
  std::ostringstream range;
  range << "[" << low << " - " << high << "]";
  return {[low, high, name = range.str()](std::string& text) {
            double value = 0;
            const bool ok = CLI::detail::lexical_cast(text, value) && value >= low && value <= high;
            return ok ? std::string() : "Value " + text + " not in range " + name;
          },
          "FLOAT in " + range.str()};
}

void check_writable(std::initializer_list<std::string> paths) {
  for (const std::string& path : paths)
    if (!path.empty()) AtomicFile probe(path);
}

int64_t peak_memory_bytes() {
  std::ifstream status("/proc/self/status");  // Linux; its VmHWM is in KiB
  for (std::string word; status >> word;)
    if (int64_t kib = 0; word == "VmHWM:" && status >> kib) return kib * 1024;
  return 0;
}

void install_interrupt_handler() {
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
}
bool interrupted() { return signalled != 0; }

}  // namespace advf::tools
