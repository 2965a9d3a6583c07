// A share of a run: contiguous rows of its input, on this machine or another, whose results are joined
// afterwards (advface-inspect --join). Given by --part i/n, or by who has started several of this program at
// once: mpirun, srun, an array job of Slurm.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "advface/core/feature_file.h"
#include "tools/options/cli.h"

namespace advf::tools {

struct Part {
  int64_t number = 1, of = 1;  // counted from 1

  bool whole() const { return of == 1; }
  std::string text() const { return std::to_string(number) + "/" + std::to_string(of); }
  // Its rows [begin, end) of n, where a run takes `batch` at a time: parts begin where a batch of the whole
  // run does, so that each batch, and each bit, is what it is there; a single row at the end goes with the
  // batch before it. With fewer batches than parts some parts are empty.
  std::pair<int64_t, int64_t> range(int64_t n, int64_t batch) const;
  // Where a file of this part goes: features.npy -> features.2-of-4.npy. Of the whole, and of no name, the
  // name itself.
  std::string path(const std::string& file) const;
  // For the description of its file; nothing of the whole. input: tells inputs apart.
  std::optional<FeaturePart> described(int64_t n, int64_t batch, uint64_t seed,
                                       const std::string& input) const;
};

// The "format" of a part that is a result in JSON, of advface-evaluate reconstruction.
inline constexpr const char* kResultPart = "advface-reconstruction-part-1";

// The run's output, and the part, by the name of a file as Part::path() has it; nothing for another name.
struct PartName {
  std::string out;
  Part part;
};
std::optional<PartName> part_name(const std::string& file);

// The files of all parts of OUT, in their order. Throws Error where there is none, where they are of several
// counts, and naming those that are missing.
std::vector<std::string> part_files(const std::string& out);

// "2/4", given to `option`. Throws WrongCall for another text and a part that there is not.
Part parse_part(const std::string& option, const std::string& text);

// Who has started this process as one of several says so in its environment: OMPI_COMM_WORLD_RANK and _SIZE
// (Open MPI), PMI_RANK and PMI_SIZE (MPICH and others), SLURM_PROCID with SLURM_STEP_NUM_TASKS (srun);
// SLURM_ARRAY_TASK_ID with _MIN, _MAX and _STEP (an array job, each task of which may be started several
// times). The whole where there is nothing. Throws WrongCall for what does not go together.
Part part_of_launcher();
// Which of them says that mpirun or srun has started several, as "OMPI_COMM_WORLD_SIZE=4"; "" for none.
// Tasks of an array job are not meant: each may have work of its own.
std::string several_processes();
// Takes these variables out of the environment, for programs that this one starts.
void forget_launcher();

class PartOption {
 public:
  // out: what a run writes; join: the call that puts its parts together.
  void add_to(CLI::App& app, const std::string& out = "OUT.npy",
              const std::string& join = "advface-inspect --join OUT.npy");
  // As it was given, or as the launcher says; tells which it is where it is not the whole.
  Part part() const;
  // Of features that go to `out`. Throws WrongCall for a name that a part cannot have.
  Part part_of_features(const std::string& out) const;

 private:
  std::string text_;
};

}  // namespace advf::tools
