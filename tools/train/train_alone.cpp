// advface-train, by one process.
#include <cstdlib>
#include <iostream>

#include "tools/train/train.h"

int main(int argc, char** argv) {
  // Several of it would train the same, and write over each other.
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"})
    if (const char* size = std::getenv(name); size && std::atoi(size) > 1) {
      std::cerr << "advface-train: started as one of " << size << " by mpirun (" << name
                << "); advface-train-mpi trains with all of them\n";
      return 2;
    }
  return advf::tools::train_main(argc, argv, nullptr);
}
