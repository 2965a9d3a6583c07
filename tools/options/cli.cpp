#include "tools/options/cli.h"

#include <sys/stat.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <limits>
#include <map>
#include <new>
#include <set>
#include <sstream>

#include "advface/attackers/registry.h"
#include "advface/core/faces.h"
#include "advface/core/feature_file.h"
#include "advface/core/recogniser.h"
#include "advface/detect/detector_card.h"
#include "advface/detect/face_list.h"
#include "cuda/cuda_backend.h"
#include "tensor/backend.h"
#include "tensor/check.h"
#include "tensor/io/atomic_file.h"
#include "tensor/parallel.h"
#include "tools/options/part.h"
#include "tools/options/progress.h"

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
  app.add_option(
         "--precision", precision,
         "of frozen networks (protection, inference): f32 or bf16, on a cpu with AVX512_BF16 or on cuda")
      ->capture_default_str()
      ->check(CLI::IsMember({"f32", "bf16"}));
  app.add_option("--seed", seed, "seed of everything random")->capture_default_str()->check(not_negative());
  app.add_option("--threads", threads, "CPU threads; 0 = all of the machine")
      ->capture_default_str()
      ->check(CLI::Range(0, 1024));
  app.add_option("--json", json, "also write the result to this file");
}

void Common::activate() const {
  register_cuda_backend();
  set_num_threads(threads);
  // Kept for the whole run of the program.
  if (precision != "f32" && device == "reference")
    throw CLI::ValidationError("--precision " + precision + " needs --device cpu or cuda");
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

constexpr const char* kOutputs[] = {"--out",     "--json",     "--report",   "--sheet",   "--scores",
                                    "--samples", "--list-out", "--rejected", "--new-key", "--people-out"};

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

namespace {

// A file that a call writes: by an option, or beside what an option names; or a folder of pictures.
struct Written {
  std::string option, path;
  bool folder = false;
};

// Where two names lead to one file; empty for what is no file (a pipe, a device), which may be named twice.
std::string canonical(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code none;
  if (path.empty() || (fs::exists(path, none) && !fs::is_regular_file(path, none))) return "";
  return fs::weakly_canonical(fs::absolute(path, none), none).string();
}

std::vector<Written> written_by(const CLI::App& app) {
  std::vector<Written> list;
  const auto given = [&](const std::string& name) {
    const CLI::Option* option = app.get_option_no_throw(name);
    return option && option->count() > 0 ? option->as<std::string>() : std::string();
  };
  // Beside a sheet of the images --out is the folder for them all, but where it is features with their list.
  const auto is_folder = [&](const std::string& name) {
    return name == "--out" && app.get_option_no_throw("--sheet") && !app.get_option_no_throw("--list-out");
  };
  for (const char* name : kOutputs)
    if (const std::string path = given(name); !path.empty()) list.push_back({name, path, is_folder(name)});
  const auto beside = [&](const char* option, const std::string& path) { list.push_back({option, path}); };
  if (const std::string out = given("--out"); !out.empty()) {
    if (app.get_option_no_throw("--resume"))
      beside("--out", out + ".checkpoint"), beside("--out", out + ".curve.svg");
    if (app.get_option_no_throw("--samples") && given("--samples").empty()) beside("--out", out + ".png");
    if (app.get_option_no_throw("--list-out") && given("--list-out").empty()) beside("--out", out + ".txt");
    if (app.get_option_no_throw("--list-out") || app.get_option_no_throw("--people-out"))
      beside("--out", feature_info_path(out));
    if (app.get_option_no_throw("--people-out") && !given("--average").empty() &&
        given("--people-out").empty())
      beside("--out", out + ".csv");
    if (app.get_option_no_throw("--new-key"))  // records that are turned have all that they had before
      for (const std::string& path : {feature_info_path(out), out + ".part"}) beside("--out", path);
    // Programs that cut faces out list them, and the pictures without one.
    const bool cuts = app.get_option_no_throw("--list-out") || app.get_option_no_throw("--template");
    if (cuts && (!given("--detector").empty() || !given("--landmarks").empty()))
      beside("--out", face_list_path(out)), beside("--out", left_out_path(out));
    // Networks that are trained here lie beside their cards.
    if (app.get_option_no_throw("--architecture") ||
        (app.get_option_no_throw("--scene-size") && app.get_option_no_throw("--resume")))
      beside("--out", std::filesystem::path(out).replace_extension(".onnx").string());
  }
  // A set that goes out of a store has lists beside it.
  if (app.get_name() == "export" && given("--out").ends_with(".npy"))
    for (const char* end : {".json", ".records.tsv"}) beside("--out", given("--out") + end);
  // A new key, which nothing may replace at the end of the same call.
  if (app.get_name() == "new" && !given("FILE").empty()) beside("FILE", given("FILE"));
  return list;
}

// With dashes; also of an option that the help does not show, which has no get_name().
std::string full_name(const CLI::Option& option) {
  return option.get_lnames().empty() ? option.get_name() : "--" + option.get_lnames()[0];
}

constexpr const char* kStore = "--store";  // of advface-store: a file, and what SQLite keeps beside it

// The files that the text of an option names: the whole text, what stands behind NAME= (and before further
// settings), and the file settings of an attacker without a file.
std::vector<std::string> named_files(const std::string& option, const std::string& text) {
  const std::string behind = text.substr(text.find('=') + 1);
  std::vector<std::string> list{text, behind, behind.substr(0, behind.find(','))};
  if (option != "--attacker") return list;
  try {
    if (const auto spec = named_attacker(split_attacker(text).what, 1))
      for (const Setting& s : spec->settings())
        if (s.paths)
          for (const std::string& path : s.paths()) list.push_back(path);
  } catch (const Error&) {  // told by whoever makes the attacker
  }
  return list;
}

// What is read with a file: the network of a card, and how the features of a file were protected.
std::vector<std::string> read_beside(const std::string& option, const std::string& path) {
  if (path.ends_with(".npy")) return {feature_info_path(path), path + ".index", path + ".records.tsv"};
  if (option == kStore) return {path + "-wal", path + "-shm", path + "-journal"};  // SQLite's
  // A program that explains files takes a card of either kind.
  if (!option.ends_with("recogniser") && option != "--facenet" && option != "--detector" &&
      !path.ends_with(".json"))
    return {};
  std::vector<std::string> list{std::filesystem::path(path).replace_extension(".onnx").string()};
  for (const auto model_of : {+[](const std::string& card) { return load_card(card).model; },
                              +[](const std::string& card) { return load_detector_card(card).model; }})
    try {
      list.push_back(model_of(path));
    } catch (const Error&) {  // the other kind; or told by whoever loads it
    }
  return list;
}

// The files that an option reads, as it is given.
std::vector<std::string> read_by(const CLI::Option& option) {
  std::set<std::string> files;
  for (const std::string& value : option.results())
    for (const std::string& path : named_files(full_name(option), value)) {
      std::error_code none;
      // A store may be made by the very call.
      if (full_name(option) != kStore && !std::filesystem::is_regular_file(path, none)) continue;
      files.insert(path);
      for (const std::string& beside : read_beside(full_name(option), path)) files.insert(beside);
    }
  return {files.begin(), files.end()};
}

// A key comes over a descriptor, which may be of a file: then nothing is written in that file's place. Which
// name it has nobody knows, only which file it is.
void check_keeps_descriptor(const CLI::Option& option, const std::vector<Written>& written) {
  const std::string name = full_name(option);
  int64_t number = -1;
  struct stat key {};
  if (!name.ends_with("key-fd") || option.count() == 0 ||
      !CLI::detail::lexical_cast(option.results().back(), number) || number < 0 ||
      number > std::numeric_limits<int>::max() || ::fstat(int(number), &key) != 0 || !S_ISREG(key.st_mode))
    return;
  for (const Written& w : written) {
    struct stat there {};
    if (::stat(w.path.c_str(), &there) == 0 && there.st_dev == key.st_dev && there.st_ino == key.st_ino)
      fail(w.option, " would replace ", w.path, ", which is the key that ", name, " ", number,
           " reads; name another file");
  }
}

// Pictures that would lie among the photographs: the next call would read them.
void check_not_among_photographs(const CLI::App& app, const std::vector<Written>& written) {
  const CLI::Option *images = app.get_option_no_throw("--images"), *list = app.get_option_no_throw("--list");
  if (!images || images->count() == 0) return;
  for (const Written& w : written)
    if (w.folder || (has_picture_ending(w.path) && !(list && list->count() > 0)))
      check_not_among(w.option, w.path, w.folder, images->as<std::string>());
}

}  // namespace

void check_not_among(const std::string& option, const std::string& path, bool is_folder,
                     const std::string& images) {
  namespace fs = std::filesystem;
  const auto whole = [](const std::string& name) {
    std::error_code none;
    return fs::weakly_canonical(fs::absolute(name, none), none);
  };
  const fs::path within = whole(path).lexically_relative(whole(images));
  check(within.empty() || *within.begin() == "..", option, " would write ", path,
        " among the photographs of ", images, ", where the next call would read it; name another ",
        is_folder ? "folder" : "place");
}

void check_outputs(const CLI::App& app) {
  std::map<std::string, std::string> writer;  // file -> option
  const std::vector<Written> written = written_by(app);
  check_not_among_photographs(app, written);
  for (const Written& w : written) {
    const std::string file = canonical(w.path);
    if (file.empty()) continue;
    const auto [other, fresh] = writer.emplace(file, w.option);
    check(fresh, other->second, " and ", w.option, " would both write ", w.path, "; name another file");
  }
  for (const CLI::Option* option : app.get_options()) {
    const std::string name = full_name(*option);
    if (std::find(std::begin(kOutputs), std::end(kOutputs), name) != std::end(kOutputs)) continue;
    check_keeps_descriptor(*option, written);
    for (const std::string& path : read_by(*option)) {
      const auto at = writer.find(canonical(path));
      if (at == writer.end()) continue;
      if (at->second == "--out" && name == "--from") continue;  // what comes of it may take its place
      const bool made_here = at->second == "--new-key" && name != kStore;  // written where it is not there
      if (made_here || at->second == name) continue;
      fail(at->second, " would replace ", path, ", which ", name, " reads; name another file");
    }
  }
}

namespace {

// Throws WrongCall where this process is one of several, and has no share of the work.
void check_is_alone(const CLI::App& app) {
  const std::vector<CLI::App*> verbs = app.get_subcommands();
  const CLI::App& verb = verbs.empty() ? app : *verbs.back();
  if (verb.get_option_no_throw("--part")) return;
  const std::string size = several_processes();
  if (size.empty()) return;
  const std::string work = verbs.empty() ? app.get_name() : verb.get_name();
  throw WrongCall("started as one of several by mpirun or srun (" + size + "), but " + work +
                  " is the work of one process, and all would write the same; start it alone, or, where "
                  "each has work of its own, with env -u " +
                  size.substr(0, size.find('=')));
}

}  // namespace

int run(CLI::App& app, int argc, char** argv, const std::function<int()>& body, Processes processes) {
  app.set_version_flag("--version", kProgramVersion);
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
    if (processes == Processes::one) check_is_alone(app);
    as_usage([&] {
      check_outputs(app);
      for (const CLI::App* verb : app.get_subcommands()) check_outputs(*verb);
    });
    const int code = body();
    // A full disk behind a redirection shows only when the buffers are written.
    check(bool(std::cout.flush()) && std::fflush(stdout) == 0, "the standard output cannot be written");
    return code;
  } catch (const WrongCall& e) {
    std::cerr << app.get_name() << ": " << e.what() << " (see " << app.get_name() << " --help)\n";
    return 2;
  } catch (const CLI::ParseError& e) {  // found wrong after parsing
    std::cerr << app.get_name() << ": " << e.what() << " (see " << app.get_name() << " --help)\n";
    return 2;
  } catch (const Interrupted&) {
    std::cerr << app.get_name() << ": interrupted\n";
    return 130;
  } catch (const std::bad_alloc&) {
    const auto has_batch = [](const CLI::App* a) { return a->get_option_no_throw("--batch") != nullptr; };
    const std::vector<CLI::App*> verbs = app.get_subcommands();
    std::cerr << app.get_name() << ": out of memory"
              << (has_batch(&app) || std::any_of(verbs.begin(), verbs.end(), has_batch)
                      ? "; a smaller --batch needs less\n"
                      : "; fewer --threads or smaller pictures need less\n");
  } catch (const std::exception& e) {
    std::cerr << app.get_name() << ": " << e.what() << '\n';
  }
  return 1;
}

Context console() {
  Context context;
  context.stop = interrupted;
  context.progress = [](const std::string& what, int64_t total, const std::string& unit) {
    return std::make_unique<Progress>(what, total, unit);
  };
  context.note = [](const std::string& line) { std::cerr << line << "\n"; };
  return context;
}

void as_usage(const std::function<void()>& checks) {
  try {
    checks();
  } catch (const Error& e) {
    throw WrongCall(e.what());
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

CLI::Validator not_negative() {
  return {[](std::string& text) {
            double value = 0;
            const bool ok = !CLI::detail::lexical_cast(text, value) || value >= 0;  // else told when read
            return ok ? std::string() : "Value " + text + " is negative";
          },
          "NONNEGATIVE"};
}

CLI::Validator svg_file() {
  return {[](std::string& path) {
            return path.ends_with(".svg")
                       ? std::string()
                       : path + " does not end in .svg, and plots are written as SVG alone";
          },
          "FILE.svg"};
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
