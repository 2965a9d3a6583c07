// For tests of the programs: runs one with a time limit and keeps what it printed, checks how it ended, and
// makes the toy world (faces, recogniser, features, shadow) that the tests of the verbs start from.
#pragma once
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "file_test_util.h"

namespace advf::test {

using Args = std::vector<std::string>;

inline Args operator+(Args a, const Args& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

struct Outcome {
  int code = -1;  // the exit code; 128 + the signal that ended it
  std::string out, err;
};

struct Surroundings {
  std::string stdout_to;                     // instead of being kept
  uint64_t max_file_bytes = 0;               // 0 = no limit; beyond it writing fails as on a full disk
  std::string interrupt_when;                // SIGINT as soon as there is a file whose path begins so
  uint64_t interrupt_bytes = 0;              // and that has so many bytes,
  std::string interrupt_after;               // or as soon as stderr holds this
  std::chrono::milliseconds limit{400'000};  // then it is killed and the code is 137
};

// Whether a file's path begins so, of at least so many bytes.
inline bool any_file(const std::string& prefix, uint64_t bytes) {
  const std::filesystem::path path(prefix);
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(path.parent_path(), none))
    if (entry.path().filename().string().starts_with(path.filename().string()) &&
        (bytes == 0 || entry.file_size(none) >= bytes))
      return true;
  return false;
}

inline std::string program_path(const std::string& program) {
  const char* elsewhere = std::getenv("ADVF_PROGRAMS");  // where a bundle was brought along
  return std::string(elsewhere ? elsewhere : ADVF_PROGRAMS) + "/advface-" + program;
}

// For execv; of strings that are kept.
inline std::vector<char*> argv_of(const std::string& path, const Args& args) {
  std::vector<char*> argv{const_cast<char*>(path.c_str())};
  for (const std::string& a : args) argv.push_back(const_cast<char*>(a.c_str()));
  argv.push_back(nullptr);
  return argv;
}

// advface-<program> with these arguments.
inline Outcome run_program(const std::string& program, const Args& args, const Surroundings& around = {}) {
  const TempDir dir;
  const std::string path = program_path(program);
  const std::string out = around.stdout_to.empty() ? dir / "out" : around.stdout_to, err = dir / "err";
  const std::vector<char*> argv = argv_of(path, args);
  const pid_t child = ::fork();
  if (child == 0) {
    const int in = ::open("/dev/null", O_RDONLY);
    const int o = ::open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    const int e = ::open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ::dup2(in, 0);
    ::dup2(o, 1);
    ::dup2(e, 2);
    if (around.max_file_bytes > 0) {
      std::signal(SIGXFSZ, SIG_DFL);  // as a shell starts it, whoever started this test
      const rlimit size{around.max_file_bytes, around.max_file_bytes};
      ::setrlimit(RLIMIT_FSIZE, &size);
    }
    ::execv(path.c_str(), argv.data());
    ::_exit(127);
  }
  BOOST_REQUIRE_MESSAGE(child > 0, "fork failed");
  const auto end = std::chrono::steady_clock::now() + around.limit;
  bool told = around.interrupt_when.empty() && around.interrupt_after.empty();
  int status = 0;
  while (::waitpid(child, &status, WNOHANG) == 0) {
    if (!told && (any_file(around.interrupt_when, around.interrupt_bytes) ||
                  (!around.interrupt_after.empty() && std::filesystem::exists(err) &&
                   read_bytes(err).find(around.interrupt_after) != std::string::npos))) {
      ::kill(child, SIGINT);
      told = true;
    }
    if (std::chrono::steady_clock::now() > end) ::kill(child, SIGKILL);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  Outcome result;
  result.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  if (around.stdout_to.empty()) result.out = read_bytes(out);
  result.err = read_bytes(err);
  return result;
}

// Runs it and kills it (-9) after so long; whether it had ended before.
inline bool run_and_kill(const std::string& program, const Args& args, std::chrono::microseconds after) {
  const std::string path = program_path(program);
  const std::vector<char*> argv = argv_of(path, args);
  const pid_t child = ::fork();
  if (child == 0) {
    const int null = ::open("/dev/null", O_RDWR);
    for (const int d : {0, 1, 2}) ::dup2(null, d);
    ::execv(path.c_str(), argv.data());
    ::_exit(127);
  }
  std::this_thread::sleep_for(after);
  ::kill(child, SIGKILL);
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status);
}

inline std::string as_text(const std::string& program, const Args& args) {
  std::string text = "advface-" + program;
  for (const std::string& a : args) text += " " + a;
  return text;
}

// It must succeed.
inline Outcome succeed(const std::string& program, const Args& args) {
  const Outcome o = run_program(program, args);
  BOOST_REQUIRE_MESSAGE(o.code == 0, as_text(program, args) << " gave " << o.code << ": " << o.err);
  return o;
}

inline std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  size_t at = 0;
  while (at < text.size()) {
    const size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

// The names below a folder, sorted.
inline std::vector<std::string> tree(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
    names.push_back(entry.path().lexically_relative(folder).string());
  std::sort(names.begin(), names.end());
  return names;
}

// `complain` judges how a program failed: this exit code, nothing on stdout, and on stderr one line that
// begins with the program's name and holds all the words. Lines of progress may stand before it where the
// work had begun (Late::yes).
enum class Late { no, yes };
inline void complain(const std::string& program, const Args& args, const Outcome& o, int code,
                     const std::vector<std::string>& words, Late late = Late::no) {
  const std::string command = as_text(program, args);
  BOOST_TEST(o.code == code, command << " gave " << o.code << ", not " << code << ": " << o.err << o.out);
  BOOST_TEST(o.out.empty(), command << " printed " << o.out);
  const std::vector<std::string> lines = lines_of(o.err);
  const std::string name = "advface-" + program + ": ";
  const auto named = std::count_if(lines.begin(), lines.end(),
                                   [&](const std::string& line) { return line.starts_with(name); });
  const bool one = !lines.empty() && named == 1 && lines.back().starts_with(name) &&
                   (late == Late::yes || lines.size() == 1);
  BOOST_TEST(one, command << " did not give one line but \"" << o.err << '"');
  if (lines.empty()) return;
  for (const std::string& word : words)
    BOOST_TEST(lines.back().find(word) != std::string::npos,
               command << ": \"" << lines.back() << "\" lacks \"" << word << '"');
}

// Runs it and expects a failure that leaves `folder` as it was.
inline void refuse(const std::string& folder, const std::string& program, const Args& args, int code,
                   const std::vector<std::string>& words, Late late = Late::no,
                   const Surroundings& around = {}) {
  const auto before = tree(folder);
  complain(program, args, run_program(program, args, around), code, words, late);
  BOOST_TEST(before == tree(folder), as_text(program, args) << " left something behind");
}

inline nlohmann::json read_json(const std::string& path) { return nlohmann::json::parse(read_bytes(path)); }

// 100 people with two photographs each, 20 more with pairs between them; recogniser `rec.json` (32 x 32
// pixels, 16 numbers), features `z.npy`, shadow model `shadow.safetensors`.
class ToyWorld {
 public:
  static constexpr int kPeople = 100, kTestPeople = 20, kPhotos = 2, kDimension = 16;

  ToyWorld() {
    succeed("faces", {"--out", at("faces"), "--identities", std::to_string(kPeople), "--per-identity",
                      std::to_string(kPhotos), "--test-identities", std::to_string(kTestPeople),
                      "--image-size", "48", "--pairs", "2", "--json", at("faces.json")});
    succeed("train", Args{"recogniser", "--out", at("rec.json"), "--json", at("rec.result.json"), "--batch",
                          "16", "--epochs", "2"} +
                         images() + tiny_recogniser());
    succeed("extract", Args{"--out", at("z.npy"), "--json", at("z.json")} + images() + recogniser());
    succeed("train", Args{"shadow", "--out", at("shadow.safetensors"), "--json", at("shadow.json")} +
                         images() + recogniser() + tiny_training());
  }

  std::string at(const std::string& name) const { return dir_ / name; }
  Args images() const { return {"--images", at("faces/images")}; }
  Args recogniser() const { return {"--recogniser", at("rec.json")}; }
  Args shadow() const { return {"--shadow", at("shadow.safetensors")}; }
  static Args tiny_recogniser() {
    return {"--architecture", "cnn_small", "--image-size", "32", "--embedding", std::to_string(kDimension),
            "--width",        "50"};
  }
  static Args tiny_training() { return {"--image-size", "32", "--batch", "16", "--epochs", "1"}; }

 private:
  TempDir dir_;
};

// Made once for each test program.
inline const ToyWorld& toy_world() {
  static const ToyWorld world;
  return world;
}

}  // namespace advf::test
