#include "tools/audit/step_runner.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <thread>

#include "advface/core/text_file.h"
#include "advface/keys/key.h"
#include "tensor/io/atomic_file.h"
#include "tensor/io/file_lock.h"
#include "tensor/io/path_reason.h"
#include "tools/options/cli.h"
#include "tools/options/progress.h"

namespace advf::tools {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using Kind = AuditWord::Kind;

constexpr const char* kDone = "done.json";
constexpr auto kWait = std::chrono::milliseconds(300);

double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

void make_folder(const std::string& path) {
  std::error_code failed;
  fs::create_directories(path, failed);
  check(!failed, path, ": ", path_reason(failed.value(), path));
}

// Of the files that a step has made; pictures for the page, in a folder of their own, are left out.
nlohmann::json digests_in(const std::string& folder) {
  nlohmann::json list = nlohmann::json::object();
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (entry.is_regular_file() && name != "log" && name != kDone && !name.ends_with(".checkpoint") &&
        name.find(".tmp-") == std::string::npos)  // of a call that was killed
      list[name] = digest_of_file(entry.path().string());
  }
  return list;
}

// How far the whole is: a line that redraws itself on a terminal, lines of their own elsewhere.
class WholeProgress {
 public:
  WholeProgress(const AuditPlan& plan, const std::vector<int64_t>& steps)
      : plan_(plan), terminal_(isatty(STDERR_FILENO)) {
    for (const int64_t step : steps) left_ += plan_.steps[size_t(step)].seconds;
    total_ = steps.size();
  }
  void begin(int64_t step) {
    step_ = step;
    start_ = Clock::now();
    if (!terminal_) std::cerr << line("") << "\n";
  }
  void show(const std::string& detail) {
    if (terminal_) std::cerr << "\r" << line(detail).substr(0, 170) << "\x1b[K" << std::flush;
  }
  // counted: it was run here and says how fast the machine is.
  void end(int64_t step, bool counted) {
    const double expected = plan_.steps[size_t(step)].seconds;
    if (counted) took_ += since(start_), expected_ += expected;
    left_ -= expected;
    ++done_;
  }
  void tell(const std::string& text) { std::cerr << (terminal_ ? "\r\x1b[K" : "") << text << "\n"; }
  void finish() {
    if (terminal_) std::cerr << "\r\x1b[K";
  }

 private:
  std::string line(const std::string& detail) const {
    // Steps that were run say by how much the estimate is wrong; a few seconds of them say nothing.
    const double pace = (took_ + 20) / (expected_ + 20);
    const AuditStep& step = plan_.steps[size_t(step_)];
    const double left = std::max(0.0, left_ * pace - since(start_));
    return "[" + std::to_string(done_ + 1) + "/" + std::to_string(total_) + ", about " +
           short_duration(left) + " left] " + step.title + (detail.empty() ? "" : ": " + detail);
  }
  const AuditPlan& plan_;
  bool terminal_;
  size_t total_ = 0, done_ = 0;
  double left_ = 0, took_ = 0, expected_ = 0;
  int64_t step_ = 0;
  Clock::time_point start_ = Clock::now();
};

// What a child says on stderr, line by line: into its log, and the last line for people. Progress that
// redraws itself ends in carriage returns.
class Lines {
 public:
  explicit Lines(const std::string& log)
      : log_(open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)) {
    check(log_ >= 0, log, ": ", std::strerror(errno));
  }
  ~Lines() { close(log_); }
  Lines(const Lines&) = delete;
  int log() const { return log_; }
  void take(std::string_view bytes) {
    [[maybe_unused]] const ssize_t written = write(log_, bytes.data(), bytes.size());
    for (const char c : bytes)
      if (c == '\n' || c == '\r') {
        if (!trimmed(open_).empty()) last_ = std::string(trimmed(open_));
        open_.clear();
      } else if (open_.size() < 4096) {
        open_ += c;
      }
  }
  const std::string& last() const { return last_; }

 private:
  int log_;
  std::string open_, last_;
};

}  // namespace

StepRunner::StepRunner(const AuditPlan& plan, std::string cache, std::string programs, int threads)
    : plan_(plan), cache_(std::move(cache)), programs_(std::move(programs)), threads_(threads) {
  for (const char* folder : {"steps", "features", "keys"}) make_folder(cache_ + "/" + folder);
  AtomicFile probe(cache_ + "/probe");
}

// Mode 0600, as the programs ask for.
void StepRunner::make_keys() const {
  for (const AuditStep& step : plan_.steps)
    for (const AuditWord& w : step.words) {
      if (w.kind != Kind::key) continue;
      const std::string path = cache_ + "/keys/" + std::to_string(w.number) + ".key";
      if (fs::exists(path)) continue;
      try {
        Key::for_measurements(uint64_t(w.number)).write_new(path);
      } catch (const Error&) {
        check(fs::exists(path), path, ": cannot be written");  // another call was faster
      }
    }
}

std::string StepRunner::folder(int64_t step) const {
  return cache_ + "/steps/" + plan_.steps[size_t(step)].hash;
}

std::vector<std::string> StepRunner::command(int64_t number) const {
  const std::string at = folder(number);
  const AuditStep& step = plan_.steps[size_t(number)];
  std::vector<std::string> command{programs_ + "/advface-" + step.program};
  for (const AuditWord& w : step.words) {
    std::string path = w.text;
    switch (w.kind) {
      case Kind::text:
      case Kind::input:
        break;
      case Kind::made:
        path = folder(w.number) + "/" + w.text;
        break;
      case Kind::out:
      case Kind::beside:
        path = at + "/" + w.text;
        break;
      case Kind::key:
        path = cache_ + "/keys/" + std::to_string(w.number) + ".key";
        break;
      case Kind::cache:
        path = cache_ + "/features";
        break;
    }
    command.push_back(w.before + path);
  }
  return command;
}

std::optional<StepResult> StepRunner::result(int64_t step) const {
  StepResult found{folder(step), 0, 0};
  const std::string path = found.folder + "/" + kDone;
  if (!fs::exists(path)) return {};
  const nlohmann::json done = nlohmann::json::parse(read_text(path), nullptr, false);
  if (!done.is_object() || !done.contains("seconds")) return {};
  found.seconds = done["seconds"].get<double>();
  found.peak_memory = done.value("peak_memory_bytes", int64_t(0));
  // What lies there is what was made: looked at once.
  const auto [sound, fresh] = sound_.try_emplace(step, true);
  if (fresh) sound->second = done.contains("made") && done["made"] == digests_in(found.folder);
  return sound->second ? std::optional(found) : std::nullopt;
}

void StepRunner::execute(int64_t number, const std::function<void(const std::string&)>& show,
                         const Context& context) {
  const std::string at = folder(number);
  const AuditStep& step = plan_.steps[size_t(number)];
  make_folder(at);
  std::error_code none;
  fs::remove_all(at + "/images", none);  // of a call that was cut off
  for (const auto& [name, bytes] : step.files) {
    AtomicFile file(at + "/" + name);
    file.write(bytes);
    file.commit();
  }
  const std::vector<std::string> told = command(number);
  std::vector<std::string> command = told;
  if (threads_ > 0) command.insert(command.end(), {"--threads", std::to_string(threads_)});
  if (step.resumes && fs::exists(at + "/out.safetensors.checkpoint")) command.push_back("--resume");

  Lines lines(at + "/log");
  int ends[2];
  check(pipe2(ends, O_CLOEXEC) == 0, "a pipe: ", std::strerror(errno));
  std::vector<char*> argv;
  for (std::string& word : command) argv.push_back(word.data());
  argv.push_back(nullptr);
  const auto start = Clock::now();
  const pid_t child = fork();
  check(child >= 0, "a process: ", std::strerror(errno));
  if (child == 0) {
    // In a group of its own: a Ctrl-C comes to the audit alone, which passes it on once. It ends with the
    // audit.
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    dup2(lines.log(), STDOUT_FILENO);
    dup2(ends[1], STDERR_FILENO);
    execv(argv[0], argv.data());
    constexpr char kWhy[] = "the program is not there, or cannot be run\n";
    [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, kWhy, sizeof kWhy - 1);
    _exit(127);
  }
  close(ends[1]);
  bool told_to_stop = false;
  for (pollfd from{ends[0], POLLIN, 0};;) {
    const int ready = poll(&from, 1, 500);
    if (!told_to_stop && context.stopped()) kill(child, SIGINT), told_to_stop = true;
    if (ready > 0) {
      char bytes[4096];
      const ssize_t got = read(ends[0], bytes, sizeof bytes);
      if (got == 0) break;
      if (got > 0) lines.take({bytes, size_t(got)});
    }
    show(lines.last());
  }
  close(ends[0]);
  int status = 0;
  rusage used{};
  while (wait4(child, &status, 0, &used) < 0 && errno == EINTR) {
  }
  if (told_to_stop) throw Interrupted();
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    const std::string how =
        WIFSIGNALED(status) ? "was ended by signal " + std::to_string(WTERMSIG(status)) : lines.last();
    fail(how.empty() ? "ended with code " + std::to_string(WEXITSTATUS(status)) : how, " (all it said: ", at,
         "/log)");
  }
  const nlohmann::json made = digests_in(at);
  AtomicFile done(at + "/" + kDone);
  done.write(json_text({{"id", step.id},
                        {"seconds", since(start)},
                        {"peak_memory_bytes", int64_t(used.ru_maxrss) * 1024},
                        {"command", told},
                        {"made", made}},
                       2) +
             "\n");
  done.commit();
  sound_.erase(number);
}

void StepRunner::run(const std::vector<int64_t>& pairs, const Context& context) {
  make_keys();
  std::vector<bool> wanted(plan_.steps.size());
  const std::function<void(int64_t)> want = [&](int64_t step) {
    if (wanted[size_t(step)]) return;
    wanted[size_t(step)] = true;
    for (const int64_t before : plan_.steps[size_t(step)].needs()) want(before);
  };
  for (const int64_t pair : pairs) want(plan_.pairs[size_t(pair)].step);
  std::vector<int64_t> open;
  for (int64_t step = 0; step < int64_t(plan_.steps.size()); ++step)
    if (wanted[size_t(step)] && !result(step)) open.push_back(step);
  WholeProgress progress(plan_, open);
  for (const int64_t step : open)
    if (fs::exists(folder(step) + "/" + kDone))
      progress.tell("is made again, as what lies in " + folder(step) +
                    " is damaged: " + plan_.steps[size_t(step)].id);
  while (!open.empty()) {
    context.check_stop();
    std::vector<int64_t> later;
    for (const int64_t step : open) {
      const std::vector<int64_t> needs = plan_.steps[size_t(step)].needs();
      const auto failed = std::ranges::find_if(needs, [&](int64_t n) { return failures_.contains(n); });
      if (failed != needs.end()) {
        failures_[step] = "needs \"" + plan_.steps[size_t(*failed)].id + "\", which failed";
        progress.end(step, false);
        continue;
      }
      if (!std::ranges::all_of(needs, [&](int64_t n) { return result(n).has_value(); })) {
        later.push_back(step);
        continue;
      }
      FileLock lock(folder(step) + ".lock");
      if (!lock.held()) {  // another call is at it
        later.push_back(step);
        continue;
      }
      const bool done = result(step).has_value();  // it may have ended meanwhile
      if (!done) {
        progress.begin(step);
        try {
          execute(
              step, [&](const std::string& detail) { progress.show(detail); }, context);
        } catch (const Interrupted&) {
          progress.finish();
          throw;
        } catch (const Error& e) {
          failures_[step] = e.what();
          progress.tell("failed: " + plan_.steps[size_t(step)].id + ": " + e.what());
          // So would all that comes, after hours.
          if (std::string(e.what()).find(std::strerror(ENOSPC)) != std::string::npos) {
            progress.finish();
            fail(cache_, ": the disk is full. Make room and call again: what is done stays, and it goes on");
          }
        }
      }
      progress.end(step, !done);
    }
    if (later.size() == open.size()) std::this_thread::sleep_for(kWait);
    open = std::move(later);
  }
  progress.finish();
}

}  // namespace advf::tools
