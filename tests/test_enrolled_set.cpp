// Sets of an older version: they are read as they were written, and what was damaged since is named.
#define BOOST_TEST_MODULE enrolled_set
#include "advface/store/enrolled_set.h"
#include "file_test_util.h"
#include "method_test_util.h"
#include "older_set.h"
#include "tensor/io/npy.h"

using namespace advf;
using namespace advf::test;

namespace {

const Metadata kMadeBy{{"shadow", "0123"}, {"epsilon", "0.02"}};
const std::vector<std::string> kNames{"photo 0.jpg", "anna", "photo 2.jpg"};

Tensor some_rows(int64_t n) { return randn({n, 5}, 3, DType::f32); }

// A set of three rows, and its two files.
struct Three {
  TempDir dir;
  std::string path = dir / "a.npy", index = path + ".index", array, lines;
  Tensor rows = some_rows(3);
  Three() {
    write_older_set(path, rows, kNames, kMadeBy);
    array = read_bytes(path);
    lines = read_bytes(index);
  }
  void put(const std::string& a, const std::string& i) const {
    write_bytes(path, a);
    write_bytes(index, i);
  }
};

}  // namespace

// Byte for byte what such a version has written.
BOOST_AUTO_TEST_CASE(what_was_enrolled_is_read) {
  const TempDir dir;
  std::string head = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }";
  head.resize(181, ' ');
  std::string array = std::string("\x93NUMPY\x01\x00\xb6\x00", 10) + head + "\n";
  for (int i = 0; i < 12; ++i) {
    const float value = float(i) / 8;
    array.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  BOOST_REQUIRE(array.size() == 192u + 48u);
  write_bytes(dir / "set.npy", array);
  write_bytes(dir / "set.npy.index",
              R"({"format":"advface-set-1","made_by":{"bn":"running","cut":"embedding","ensemble":"mean",)"
              R"("epsilon":"0.02","loss":"pixel","method":"pgd","norm":"linf","objective":"direct",)"
              R"("recogniser":"c0ffee0123456789","seed":"1","shadow":"0123456789abcdef",)"
              R"("step_size":"0.005","steps":"10"},"row":"4"}
{"checksum":"e00f47156a8cb01b","name":"a","record":0}
{"checksum":"f7314f5c5cc39bc5","name":"b","record":1}
{"checksum":"55efa765dedd3965","name":"c","record":2}
)");
  const EnrolledRows set = read_enrolled_set(dir / "set.npy");
  BOOST_REQUIRE(set.records.size() == 3u);
  BOOST_TEST((set.row == Shape{4} && set.records[1].name == "b"));
  BOOST_TEST(set.made_by.at("epsilon") == "0.02");
  const FeatureFile file = open_feature_file(dir / "set.npy");
  BOOST_TEST((file.info.recogniser == "c0ffee0123456789" && file.info.cut == "embedding"));
  BOOST_TEST(file.info.protection.describe() == "protected, epsilon 0.02");
  BOOST_TEST(file.rows.range(2, 3).to_vector<float>()[3] == 11.0f / 8);
}

// Where an enrolment broke off, array and index are longer than the header says.
BOOST_AUTO_TEST_CASE(what_broke_off_is_not_read) {
  const Three set;
  const std::string more(37, 'x');
  for (const std::string& tail :
       {std::string(), std::string("{\"checksum\":\"00\",\"name\":\"d\",\"rec"),
        std::string("{\"checksum\":\"00\",\"name\":\"d\",\"record\":3}\n"), std::string(300, '\0')}) {
    set.put(set.array + more, set.lines + tail);
    BOOST_TEST(read_enrolled_set(set.path).records.size() == 3u);
    BOOST_TEST(same_bits(load_npy(set.path), set.rows));
    BOOST_TEST(NpyReader(set.path).rows() == 3);
  }
  // Without an index beside it a file must end where its rows end.
  std::filesystem::remove(set.index);
  refused([&] { load_npy(set.path); }, {set.path, "takes 60 bytes"});
}

BOOST_AUTO_TEST_CASE(what_was_damaged_is_named) {
  const Three set;
  const auto damaged = [&](const std::string& array, const std::string& lines,
                           const std::vector<std::string>& words) {
    set.put(array, lines);
    refused([&] { read_enrolled_set(set.path); }, words);
  };
  for (const size_t at : {set.array.size() - 60, set.array.size() - 1}) {
    std::string changed = set.array;
    changed[at] = char(changed[at] ^ 1);
    damaged(changed, set.lines, {set.path, at == changed.size() - 1 ? "row 2" : "row 0", set.index});
  }
  damaged(set.array.substr(0, set.array.size() - 1), set.lines, {set.path, "cut short"});
  damaged(set.array, set.lines.substr(0, set.lines.size() - 1), {set.index, "record 2", "3 rows"});
  damaged(set.array, set.lines.substr(0, set.lines.find('\n') + 1), {set.index, "record 0", "3 rows"});
  damaged(set.array, set.lines.substr(0, set.lines.find('\n')), {set.index, "advface-set-1"});
  damaged(set.array, "[]\n", {set.index, "advface-set-1"});
  damaged(set.array, "", {set.index, "advface-set-1"});
  damaged("nothing", set.lines, {set.path, "npy"});
  save_npy(set.path, randn({3, 4}, 1, DType::f32));
  refused([&] { read_enrolled_set(set.path); }, {set.index, "shape 5", "[3,4]"});
  refused([&] { open_feature_file(set.path); }, {set.index, "shape 5", "[4]"});
  std::filesystem::remove(set.index);
  refused([&] { read_enrolled_set(set.path); }, {set.index, "cannot be opened"});
}

// Its index would describe other rows.
BOOST_AUTO_TEST_CASE(nothing_is_written_over_a_set) {
  const Three set;
  refused([&] { FeatureFileWriter(set.path, {5}, {}); }, {set.path, "older version", set.index});
  BOOST_TEST(read_bytes(set.path) == set.array);
}

BOOST_AUTO_TEST_CASE(names_of_any_bytes) {
  const TempDir dir;
  write_older_set(dir / "a.npy", some_rows(3), {"two\nlines \"quoted\"", "\xff", "J\u00fcrgen"}, kMadeBy);
  const EnrolledRows set = read_enrolled_set(dir / "a.npy");
  BOOST_TEST(set.records[0].name == "two\nlines \"quoted\"");
  BOOST_TEST(set.records[1].name == "\ufffd");
  BOOST_TEST(set.records[2].name == "J\u00fcrgen");
}

BOOST_AUTO_TEST_CASE(survives_a_damaged_index) {
  const Three set;
  const int accepted = survive(
      set.lines,
      [&](const std::string& lines) {
        write_bytes(set.index, lines);
        read_enrolled_set(set.path);
        open_feature_file(set.path);
      },
      200);
  BOOST_TEST(accepted < 300);
  survive(
      set.array,
      [&](const std::string& array) {
        set.put(array, set.lines);
        read_enrolled_set(set.path);
      },
      200);
}
