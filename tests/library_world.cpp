// Writes what the tests of the library start from (library_test_util.h) to a folder, for those that are not
// in C++: library_world DIR. Photographs also as binary PPM.
#define BOOST_TEST_MODULE library_world
#define BOOST_TEST_NO_MAIN
#include <iostream>

#include "library_test_util.h"

using namespace advf;
using namespace advf::test;

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: library_world DIR\n";
    return 2;
  }
  const LibraryWorld world(argv[1]);
  for (int64_t i = 0; i < LibraryWorld::kPhotographs; ++i) {
    const Image image = LibraryWorld::photograph(i);
    write_bytes(world.at("frames/" + std::to_string(i) + ".ppm"),
                "P6\n" + std::to_string(image.width) + " " + std::to_string(image.height) + "\n255\n" +
                    std::string(image.pixels.begin(), image.pixels.end()));
  }
  return 0;
}
