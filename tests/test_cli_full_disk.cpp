// A disk that runs full while a program writes: a clear failure, and the disk is as it was. Needs the right
// to mount a small tmpfs.
#define BOOST_TEST_MODULE cli_full_disk
#include "cli_test_util.h"
#include "detector_test_util.h"
#include "small_disk.h"
#include "tensor/io/image.h"

using namespace advf;
using namespace advf::test;

BOOST_AUTO_TEST_CASE(nothing_stays_on_a_full_disk) {
  const SmallDisk disk;
  if (!disk.mounted()) return;
  const ToyWorld& world = toy_world();
  // All but 4 KiB is taken.
  write_bytes(disk.path() + "/ballast", std::string(60 << 10, 'x'));
  const std::string out = disk.path() + "/out";
  const std::vector<std::string> words{out, "No space left on device"};
  refuse(disk.path(), "protect",
         Args{"--out", out, "--in", world.at("z.npy"), "--steps", "1"} + world.shadow(), 1, words, Late::yes);
  refuse(disk.path(), "extract", Args{"--out", out} + world.images() + world.recogniser(), 1, words,
         Late::yes);
  refuse(disk.path(), "train",
         Args{"shadow", "--out", out} + world.images() + world.recogniser() + ToyWorld::tiny_training(), 1,
         words, Late::yes);
}

// Of several files none appears where one finds no room.
BOOST_AUTO_TEST_CASE(a_sheet_on_a_full_disk) {
  const SmallDisk disk;
  if (!disk.mounted()) return;
  const ToyWorld& world = toy_world();
  write_bytes(disk.path() + "/ballast", std::string(36 << 10, 'x'));  // room for features and lists
  const Args call = world.images() + world.recogniser() + Args{"--eyes", "18,22,30,22"};
  succeed("extract", call + Args{"--out", disk.path() + "/out"});
  for (const char* file : {"/out", "/out.npy.json", "/out.txt"}) std::filesystem::remove(disk.path() + file);
  const std::string sheet = disk.path() + "/sheet.png";
  refuse(disk.path(), "extract", call + Args{"--out", disk.path() + "/out", "--sheet", sheet}, 1,
         {sheet, "No space left on device"}, Late::yes);
  refuse(disk.path(), "align",
         world.images() + Args{"--eyes", "18,22,30,22", "--out", disk.path() + "/crops"}, 1,
         {disk.path() + "/crops", "No space left on device"}, Late::yes);
}

// A cache for which there is no room: of features an error; of found faces, which can be found again, a note.
BOOST_AUTO_TEST_CASE(a_cache_on_a_full_disk) {
  const SmallDisk disk;
  if (!disk.mounted()) return;
  const ToyWorld& world = toy_world();
  const TempDir dir;
  write_bytes(dir / "toy.json", kToyDetectorCard);
  write_bytes(dir / "toy.onnx", toy_detector());
  write_bytes(disk.path() + "/ballast", std::string(64 << 10, 'x'));
  refuse(disk.path(), "evaluate",
         Args{"recognition", "--pairs", world.at("faces/test/pairs.txt"), "--images",
              world.at("faces/test/images"), "--cache", disk.path()} +
             world.recogniser(),
         1, {disk.path() + "/features-", "No space left on device"}, Late::yes);
  const auto before = tree(disk.path());
  Image image(96, 72, 3);
  light_cell(image, 4, 4);
  std::filesystem::create_directories(dir / "p");
  write_png(dir / "p/a.png", image);
  const Outcome o = succeed("extract", Args{"--images", dir / "p", "--detector", dir / "toy.json", "--cache",
                                            disk.path(), "--out", dir / "z.npy"} +
                                           world.recogniser());
  BOOST_TEST(
      o.err.find("the faces that were found are not kept: " + disk.path() + "/faces-") != std::string::npos,
      o.err);
  BOOST_TEST(tree(disk.path()) == before);
}
