// advface-train, by one process.
#include <iostream>

#include "tools/options/part.h"
#include "tools/train/train.h"

int main(int argc, char** argv) {
  // Several of it would train the same, and write over each other; there is a program for several.
  if (const std::string size = advf::tools::several_processes(); !size.empty()) {
    std::cerr << "advface-train: started as one of several by mpirun or srun (" << size
              << "); advface-train-mpi trains with all of them\n";
    return 2;
  }
  return advf::tools::train_main(argc, argv, nullptr);
}
