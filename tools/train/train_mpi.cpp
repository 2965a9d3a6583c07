// advface-train-mpi: advface-train by all processes that mpirun or srun has started, or by one alone.
// docs/scale.md.
// The C interface alone.
#define OMPI_SKIP_MPICXX 1
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>

#include <iostream>
#include <limits>

#include "cuda/cuda_backend.h"
#include "cuda/nccl.h"
#include "tools/train/link_devices.h"
#include "tools/train/train.h"

namespace advf::tools {
namespace {

// Errors of MPI end all processes, as MPI_ERRORS_ARE_FATAL has it.
class MpiTeam : public Team {
 public:
  MpiTeam() {
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &size_);
    MPI_Comm machine{};
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &machine);
    int number = 0;
    MPI_Comm_rank(machine, &number);
    MPI_Comm_free(&machine);
    take_cuda_device(number);
  }
  int rank() const override { return rank_; }
  int size() const override { return size_; }

 private:
  static int count_of(size_t bytes) {
    check(bytes <= size_t(std::numeric_limits<int>::max()), bytes,
          " bytes for each rank are more than MPI counts");
    return int(bytes);
  }
  void gather(std::span<const std::byte> mine, std::span<std::byte> all) override {
    MPI_Allgather(mine.data(), count_of(mine.size()), MPI_BYTE, all.data(), count_of(mine.size()), MPI_BYTE,
                  MPI_COMM_WORLD);
  }
  void exchange(std::span<const std::byte> out, std::span<std::byte> in) override {
    const int block = count_of(out.size() / size_t(size_));
    MPI_Alltoall(out.data(), block, MPI_BYTE, in.data(), block, MPI_BYTE, MPI_COMM_WORLD);
  }

  std::unique_ptr<DeviceLink> link() override {
    LinkedDevices linked = link_devices(*this, kNcclLibrary);
    std::cerr << linked.told << "\n";
    return std::move(linked.link);
  }

  int rank_ = 0, size_ = 1;
};

int trained(int argc, char** argv) {
  MpiTeam team;
  if (team.size() == 1) return train_main(argc, argv, nullptr);
  // One rank tells how far all of them are; errors are told by whoever has them.
  std::streambuf* const errors = std::cerr.rdbuf();
  std::ostringstream quiet;
  if (team.rank() > 0) std::cerr.rdbuf(quiet.rdbuf());
  const int code = train_main(argc, argv, &team);
  std::cerr.rdbuf(errors);
  constexpr int kInterrupted = 130;
  if (code == 0 || code == kInterrupted) return code;
  // Those who are still at work wait for this one: all end.
  if (team.rank() > 0) {
    const std::string said = quiet.str(), last = said.substr(said.rfind('\n', said.size() - 2) + 1);
    std::cerr << "rank " << team.rank() << ": " << last << std::flush;
  }
  MPI_Abort(MPI_COMM_WORLD, code);
  return code;
}

}  // namespace
}  // namespace advf::tools

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  const int code = advf::tools::trained(argc, argv);
  MPI_Finalize();
  return code;
}
