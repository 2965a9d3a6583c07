// The files of keys: written, read, refused, destroyed. Part of the suite `keys`.
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <thread>

#include "advface/keys/key.h"
#include "file_test_util.h"
#include "keys_test_util.h"
#include "method_test_util.h"

using namespace advf;
using namespace advf::test;

BOOST_AUTO_TEST_CASE(files_of_keys) {
  if (!has_keys()) return;  // the cases beside this one say that they are skipped
  const TempDir dir;
  const std::string path = dir / "made";
  const Key key = Key::fresh();
  write_bytes(path + ".tmp-999999999", "advface-key-1\nid");  // of a process that was killed
  key.write_new(path);
  struct stat is {};
  BOOST_REQUIRE(stat(path.c_str(), &is) == 0);
  BOOST_TEST((is.st_mode & 0777) == 0600u);
  BOOST_TEST((Key::read(path).info() == key.info()));
  BOOST_TEST(dir.count() == 1u);
  refused([&] { key.write_new(path); }, {path, "never replaced"});
  refused([&] { key.write_new(dir / "no" + "/key"); }, {dir / "no" + "/key: No such file"});
  rlimit core{};
  getrlimit(RLIMIT_CORE, &core);
  BOOST_TEST(core.rlim_cur == 0u);
  // Over a descriptor.
  int ends[2];
  BOOST_REQUIRE(pipe(ends) == 0);
  const std::string text = known_key_file();
  BOOST_REQUIRE(write(ends[1], text.data(), text.size()) == ssize_t(text.size()));
  close(ends[1]);
  BOOST_TEST(Key::read_from(ends[0]).info().id == "0001020304050607");
  close(ends[0]);
  refused([] { Key::read_from(1000); }, {"descriptor 1000"});

  const auto wrong = [&](const std::string& damaged, const std::vector<std::string>& words) {
    refused([&] { Key::read(key_file(dir, damaged)); }, words);
  };
  wrong("", {"no key file"});
  wrong("nonsense", {"no key file"});
  wrong("advface-key-2" + text.substr(13), {"version 2", "reads 1"});
  wrong(text.substr(0, 100), {"damaged", "100", "168"});
  wrong(text + "\n", {"damaged", "169"});
  std::string windows;
  for (const char c : text) windows += c == '\n' ? "\r\n" : std::string(1, c);
  wrong(windows, {"damaged", "CR LF"});
  for (const char* date : {"2025-02-31T12:00:00Z", "2025-13-01T12:00:00Z", "2025-01-31 12:00:00Z"}) {
    std::string dated = text;
    dated.replace(dated.find("date ") + 5, 20, date);
    wrong(dated, {"no proper date"});
  }
  std::string other = text;
  other[other.find("key 00") + 5] = '1';
  wrong(other, {"check value do not go together"});
  other[other.find("key 01") + 5] = 'x';
  wrong(other, {"hexadecimal"});
  // It never says what it read.
  refused([&] { Key::read(key_file(dir, text, 0640)); }, {"640", "chmod 600"});
  refused([&] { Key::read(key_file(dir, text, 0604)); }, {"604"});
  refused([&] { Key::read(dir / "absent"); }, {"absent", "No such file"});
  // What is no regular file is refused at once, also a pipe at whose other end nobody is; read_or_wait()
  // takes what comes over one.
  BOOST_REQUIRE(mkfifo((dir / "pipe").c_str(), 0600) == 0);
  refused([&] { Key::read(dir / "pipe"); }, {dir / "pipe", "no regular file", "--key-fd"});
  refused([&] { Key::read(dir.path().string()); }, {"no regular file"});
  std::thread writer([&] { write_bytes(dir / "pipe", text); });
  BOOST_TEST(Key::read_or_wait(dir / "pipe", {}).info().id == "0001020304050607");
  writer.join();
  survive(
      text, [&](const std::string& bytes) { Key::read(key_file(dir, bytes)); }, 200);

  std::filesystem::create_symlink(path, dir / "link");
  refused([&] { destroy_key_file(dir / "link"); }, {"is a link to " + path, "nothing was destroyed"});
  BOOST_TEST(Key::read(path).info().id == key.info().id);
  destroy_key_file(path);
  BOOST_TEST(!std::filesystem::exists(path));
  write_bytes(dir / "other", "something else");
  refused([&] { destroy_key_file(dir / "other"); }, {"no key file", "nothing was destroyed"});
  BOOST_TEST(read_bytes(dir / "other") == "something else");
}
