// advface-train, by one process.
#include "tools/train/train.h"

int main(int argc, char** argv) { return advf::tools::train_main(argc, argv, nullptr); }
