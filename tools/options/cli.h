// What all programs share on the command line: exit codes, common options, strict numbers, the --json file.
// Data goes to stdout, progress and messages to stderr. Exit 0: done; 1: it failed; 2: it was called wrongly;
// 130: interrupted, with everything finished so far saved.
#pragma once
#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>

#include "advface/core/context.h"

namespace advf::tools {

inline constexpr const char* kProgramVersion = "0.1.0";

// Options that every program has.
struct Common {
  std::string device = "cpu", precision = "f32";
  uint64_t seed = 1;
  int threads = 0;
  std::string json;  // path; empty = none

  void add_to(CLI::App& app);
  // Sets threads and the current backend of this thread, and finds out whether --json can be written. Call
  // once, after parsing.
  void activate() const;
  // Writes the result where --json asks for it (through a temporary file and a rename).
  void write_json(const nlohmann::json& result) const;
};

// One text for all JSON that is written: names of files need not be UTF-8, and then lose those bytes.
std::string json_text(const nlohmann::json& value, int indent = -1);

// Who may be started several times at once, by mpirun or srun: a verb that takes a part of the work, by an
// option or by itself, or calls that wait for one another. Each of the others would do all of it, and write
// over what the next one wrote.
enum class Processes { one, several };

// Parses, runs the verb chosen, and turns exceptions into one line on stderr and an exit code. `body` runs
// after a successful parse and returns the exit code.
int run(CLI::App& app, int argc, char** argv, const std::function<int()>& body,
        Processes processes = Processes::one);

// The context of a program: an interrupt stops its work, progress and notes go to stderr.
Context console();

// For options that only the library can judge: an Error of `checks` becomes a WrongCall (exit code 2).
void as_usage(const std::function<void()>& checks);
// For options of type double; refuses NaN, which CLI::Range lets through.
CLI::Validator number_in(double low, double high);
// For whole numbers: the range of theirs that CLI::NonNegativeNumber tells is that of a double.
CLI::Validator not_negative();
// For where a plot goes: plots are SVG, whatever a name promises.
CLI::Validator svg_file();
// Throws where two options name one file to be written, or one that is read, also by a setting of what they
// name: the later would replace the earlier. And where pictures would be written among those that are read.
void check_outputs(const CLI::App& app);
// Throws where `path`, a folder that `option` fills or a picture that it writes, lies in the folder of the
// photographs: the next call would read what is written there.
void check_not_among(const std::string& option, const std::string& path, bool is_folder,
                     const std::string& images);
// Throws where a result could not be written in the end, before hours of work. Empty paths are skipped.
void check_writable(std::initializer_list<std::string> paths);

// The most memory that this process has held so far, in bytes; 0 where the system does not tell.
int64_t peak_memory_bytes();

// Set by SIGINT and SIGTERM once install_interrupt_handler() was called: loops look at it and end cleanly.
void install_interrupt_handler();
bool interrupted();

}  // namespace advf::tools
