// All parts of runs whose files lie in one folder, and how far each is.
#pragma once
#include <nlohmann/json.hpp>
#include <string>

namespace advf::tools {

// {kind: "progress", runs: a list by name}; a run: out (OUT.npy), parts (how many there are to be), units
// done of all parts that are known and their total, per_second of those that run, seconds_left (null: nobody
// knows), and `each`, a list of {part, state, done, total, per_second, seconds_silent, host, process}.
// States: done; running; silent (it has told nothing for a minute: it is dead, or its machine is); stopped
// (it said so); missing. Throws Error where the folder has no part, and naming the file for one that is
// damaged.
nlohmann::json progress_of_parts(const std::string& folder);
void print_progress(const nlohmann::json& result);

}  // namespace advf::tools
