// Tensors in files: against files that Python's packages wrote, back and forth, and hostile.
#define BOOST_TEST_MODULE io
#include <boost/test/unit_test.hpp>
#include <cstring>

#include "file_test_util.h"
#include "tensor/io/npy.h"
#include "tensor/io/safetensors.h"
#include "test_util.h"

using namespace advf;
using namespace advf::test;

namespace {

const std::string kOracles = std::string(ADVF_TEST_DATA) + "/io/";

bool same(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() &&
         (a.bytes() == 0 || std::memcmp(a.raw(), b.raw(), a.bytes()) == 0);
}

std::string safetensors_file(const std::string& header, size_t data_bytes) {
  const uint64_t size = header.size();
  return std::string(reinterpret_cast<const char*>(&size), 8) + header + std::string(data_bytes, '\1');
}

std::string npy_file(const std::string& dict, size_t data_bytes) {
  return std::string("\x93NUMPY\x01\x00", 8) + char(dict.size() & 255) + char(dict.size() >> 8) + dict +
         std::string(data_bytes, '\1');
}

}  // namespace

BOOST_AUTO_TEST_SUITE(safetensors)

BOOST_AUTO_TEST_CASE(reads_what_the_python_package_writes) {
  const TensorFile file = load_safetensors(kOracles + "types.safetensors");
  BOOST_TEST(file.tensors.size() == 12u);
  BOOST_TEST(file.metadata.at("format") == "pt");
  BOOST_TEST(file.metadata.at("note") == "a \"quoted\" line\n");
  for (int i = 0; i < 12; ++i) {
    BOOST_TEST(file.tensors.at("f32").data<float>()[i] == float(i) / 7);
    BOOST_TEST(file.tensors.at("f64").data<double>()[i] == double(i) / 7);
    BOOST_TEST(file.tensors.at("i32").data<int32_t>()[i] == i - 5);
    BOOST_TEST(file.tensors.at("i64").data<int64_t>()[i] == int64_t(i) << 33);
    BOOST_TEST(file.tensors.at("layer.0.weight/\u00fc").data<float>()[i] == float(i));
  }
  BOOST_TEST(file.tensors.at("f32").shape() == (Shape{3, 4}));
  BOOST_TEST(file.tensors.at("layer.0.weight/\u00fc").shape() == (Shape{2, 1, 3, 1, 2}));
  BOOST_TEST(file.tensors.at("u8").data<uint8_t>()[8] == 10);
  BOOST_TEST(file.tensors.at("scalar").shape() == Shape());
  BOOST_TEST(file.tensors.at("scalar").item() == 2.5);
  BOOST_TEST(file.tensors.at("empty").shape() == (Shape{0, 3}));
  BOOST_TEST(same(file.tensors.at("f16"), file.tensors.at("f16_wide")));
  BOOST_TEST(same(file.tensors.at("bf16"), file.tensors.at("bf16_wide")));
}

BOOST_AUTO_TEST_CASE(round_trip_keeps_every_bit) {
  TempDir dir;
  std::map<std::string, Tensor> tensors{
      {"b", randn({3, 5}, 1, DType::f32)},      {"a", Tensor::full({3}, 7, DType::u8)},
      {"c.d", randn({2, 2, 2, 2, 2}, 2)},       {"one", Tensor::full({}, -1, DType::i64)},
      {"i", Tensor::full({5}, -9, DType::i32)}, {"none", Tensor::zeros({4, 0})}};
  save_safetensors(dir / "x.safetensors", tensors, {{"key", "value"}, {"a", ""}});
  BOOST_TEST(dir.count() == 1u);
  const TensorFile back = load_safetensors(dir / "x.safetensors");
  BOOST_TEST(back.metadata.size() == 2u);
  BOOST_TEST(back.metadata.at("key") == "value");
  BOOST_REQUIRE_EQUAL(back.tensors.size(), tensors.size());
  for (const auto& [name, t] : tensors) BOOST_TEST(same(back.tensors.at(name), t), name);
  const std::string raw = read_bytes(dir / "x.safetensors");
  uint64_t header = 0;
  std::memcpy(&header, raw.data(), 8);
  BOOST_TEST(header % 8 == 0u);
  save_safetensors(dir / "none.safetensors", {});
  BOOST_TEST(load_safetensors(dir / "none.safetensors").tensors.empty());
}

BOOST_AUTO_TEST_CASE(what_cannot_be_written_leaves_the_old_file) {
  TempDir dir;
  const std::string path = dir / "x.safetensors";
  save_safetensors(path, {{"a", Tensor::zeros({2})}});
  const std::string before = read_bytes(path);
  refused([&] { save_safetensors(path, {{"a", Tensor()}}); }, {"\"a\"", "no values"});
  refused([&] { save_safetensors(path, {{"\xff", Tensor::zeros({1})}}); }, {"cannot be written"});
  refused([&] { save_safetensors(path, {{"__metadata__", Tensor::zeros({1})}}); }, {"__metadata__"});
  refused(
      [&] {
        save_safetensors(dir / "absent/x", {{"a", Tensor::zeros({1})}});
      },
      {"absent/x", "cannot be written"});
  BOOST_TEST(read_bytes(path) == before);
  BOOST_TEST(dir.count() == 1u);
}

BOOST_AUTO_TEST_CASE(distrusts_the_file) {
  const auto entry = [](const std::string& dtype, const std::string& shape, const std::string& offsets) {
    return R"({"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
  };
  const auto bad = [&](const std::string& header, size_t data, const std::string& word) {
    BOOST_TEST_CONTEXT(header)
    refused([&] { parse_safetensors(bytes_of(safetensors_file(header, data)), "bad.safetensors"); },
            {"bad.safetensors", word});
  };
  const std::string a = entry("F32", "[2]", "[0,8]");
  BOOST_CHECK_NO_THROW(parse_safetensors(bytes_of(safetensors_file(R"({"a":)" + a + "}   ", 8)), ""));
  bad(R"({"a":)" + a + "}", 7, "cut short");
  bad(R"({"a":)" + a + "}", 9, "1 bytes after the last");
  bad(R"({"a":)" + a + R"(,"a":)" + a + "}", 8, "stands twice");
  bad(R"({"a":)" + a + R"(,"b":)" + entry("F32", "[2]", "[4,12]") + "}", 12, "overlaps");
  bad(R"({"a":)" + a + R"(,"b":)" + a + "}", 8, "overlaps");
  bad(R"({"a":)" + a + R"(,"b":)" + entry("F32", "[1]", "[12,16]") + "}", 16, "belong to none");
  bad(R"({"a":)" + entry("F32", "[2]", "[8,0]") + "}", 8, "data_offsets");
  bad(R"({"a":)" + entry("F32", "[3]", "[0,8]") + "}", 8, "takes 12 bytes");
  bad(R"({"a":)" + entry("C64", "[1]", "[0,8]") + "}", 8, "C64");
  bad(R"({"a":)" + entry("F32", "[1,1,1,1,1,2]", "[0,8]") + "}", 8, "6 dimensions");
  bad(R"({"a":)" + entry("F32", "[4294967296,4294967296]", "[0,0]") + "}", 0, "too many");
  bad(R"({"a":)" + entry("F32", "[9223372036854775807,9223372036854775807,0]", "[0,0]") + "}", 0, "too many");
  bad(R"({"a":)" + entry("F64", "[2305843009213693952]", "[0,0]") + "}", 0, "too many");
  bad(R"({"a":)" + entry("F32", "[18446744073709551615]", "[0,8]") + "}", 8, "too many");
  bad(R"({"a":)" + entry("F32", "[-2]", "[0,8]") + "}", 8, "not a whole number");
  bad(R"({"a":)" + entry("F32", "[2.0]", "[0,8]") + "}", 8, "not a whole number");
  bad(R"({"a":)" + entry("F32", "2", "[0,8]") + "}", 8, "shape is not");
  bad(R"({"a":)" + entry("F32", "[2]", "[0,8,8]") + "}", 8, "array of two");
  bad(R"({"a":{"dtype":"F32","shape":[2]}})", 8, "not exactly");
  bad(R"({"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8, "stands twice");
  bad(R"({"a":{"dtype":4,"shape":[2],"data_offsets":[0,8]}})", 8, "dtype is not");
  bad(R"({"__metadata__":{"x":1},"a":)" + a + "}", 8, "metadata");
  bad(R"({"__metadata__":"x","a":)" + a + "}", 8, "__metadata__");
  bad(R"({"a":)" + a, 8, "not valid JSON");
  bad(R"({"a)"
      "\xff"
      R"(":)" +
          a + "}",
      8, "not valid JSON");
  bad("[]", 0, "does not start");
  bad("", 0, "does not start");
  bad(R"({"a":)" + std::string(100000, '[') + std::string(100000, ']') + "}", 0, "nested");
  refused([] { parse_safetensors({}, "e"); }, {"0 bytes"});
  std::string huge(64, '\xff');
  refused([&] { parse_safetensors(bytes_of(huge), "h"); }, {"header of 18446744073709551615"});
  refused([] { load_safetensors("/nonexistent.safetensors"); },
          {"/nonexistent.safetensors", "cannot be opened"});
  refused([] { load_safetensors("/"); }, {"not a regular file"});
}

BOOST_AUTO_TEST_CASE(survives_truncation_and_bit_flips) {
  const std::string good = read_bytes(kOracles + "types.safetensors");
  const int accepted = survive(
      good, [](const std::string& s) { parse_safetensors(bytes_of(s), "x"); }, 3000);
  BOOST_TEST(accepted > 0);     // flips in the values cannot be noticed
  BOOST_TEST(accepted < 2000);  // but all truncations, and most flips in the header, are
  for (size_t n = 0; n < good.size(); ++n)
    BOOST_CHECK_THROW(parse_safetensors(bytes_of(good.substr(0, n)), "x"), Error);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(npy)

BOOST_AUTO_TEST_CASE(reads_what_numpy_writes) {
  for (const char* name : {"f4.npy", "v2.npy", "v3.npy"}) {
    const Tensor t = load_npy(kOracles + name);
    BOOST_TEST(t.shape() == (Shape{4, 3, 2}));
    for (int i = 0; i < 24; ++i) BOOST_TEST(t.data<float>()[i] == float(i) / 7);
  }
  const Tensor f8 = load_npy(kOracles + "f8.npy"), i4 = load_npy(kOracles + "i4.npy"),
               i8 = load_npy(kOracles + "i8.npy"), u1 = load_npy(kOracles + "u1.npy"),
               f2 = load_npy(kOracles + "f2.npy");
  BOOST_TEST(f8.data<double>()[23] == double(float(23) / 7));
  BOOST_TEST(i4.data<int32_t>()[0] == -2);
  BOOST_TEST(i8.data<int64_t>()[4] == int64_t(4) << 40);
  BOOST_TEST(u1.data<uint8_t>()[6] == 6);
  BOOST_TEST(f2.shape() == (Shape{2, 2}));
  BOOST_TEST(f2.data<float>()[1] == -1.25f);
  BOOST_TEST(f2.data<float>()[2] == 0x1p-23f);  // 1e-7 as a subnormal f16
  BOOST_TEST(load_npy(kOracles + "scalar.npy").item() == 3.5);
}

BOOST_AUTO_TEST_CASE(says_what_it_does_not_read) {
  refused([] { load_npy(kOracles + "fortran.npy"); }, {"fortran.npy", "Fortran order", "ascontiguousarray"});
  refused([] { load_npy(kOracles + "big_endian.npy"); }, {"big_endian.npy", "big-endian"});
  refused([] { load_npy(kOracles + "record.npy"); }, {"record.npy", "records"});
  refused([] { load_npy(kOracles + "complex.npy"); }, {"complex.npy", "<c8"});
  refused([] { NpyReader(kOracles + "scalar.npy"); }, {"single number"});
}

BOOST_AUTO_TEST_CASE(whole_round_trip) {
  TempDir dir;
  for (const Tensor& t :
       {randn({3, 4}, 1, DType::f32), randn({2, 1, 2, 1, 3}, 2), Tensor::full({5}, -3, DType::i32),
        Tensor::full({}, 9, DType::i64), Tensor::zeros({0, 4}), Tensor::full({2}, 200, DType::u8)}) {
    save_npy(dir / "x.npy", t);
    BOOST_TEST(same(load_npy(dir / "x.npy"), t));
  }
  BOOST_TEST(dir.count() == 1u);
}

BOOST_AUTO_TEST_CASE(rows_in_a_stream) {
  TempDir dir;
  const std::string path = dir / "rows.npy";
  const Tensor all = randn({10, 2, 3}, 3, DType::f32);
  {
    NpyWriter abandoned(path, DType::f32, {2, 3});
    abandoned.append_rows(all);
  }
  BOOST_TEST(dir.count() == 0u);
  NpyWriter writer(path, DType::f32, {2, 3});
  writer.append_rows(all.slice_batch(0, 4));
  writer.append_rows(all.slice_batch(4, 4));
  writer.append_rows(all.slice_batch(4, 10));
  refused([&] { writer.append_rows(randn({1, 3, 2}, 1, DType::f32)); }, {"rows.npy", "[2,3]", "[1,3,2]"});
  refused([&] { writer.append_rows(randn({1, 2, 3}, 1)); }, {"f64"});
  BOOST_TEST(writer.rows() == 10);
  BOOST_TEST(!std::filesystem::exists(path));
  writer.commit();
  BOOST_TEST(same(load_npy(path), all));

  const NpyReader reader(path);
  BOOST_TEST(reader.rows() == 10);
  BOOST_TEST(same(reader.read_rows(3, 7), all.slice_batch(3, 7)));
  BOOST_TEST(reader.read_rows(10, 10).shape() == (Shape{0, 2, 3}));
  refused([&] { reader.read_rows(3, 11); }, {"rows.npy", "[3, 11)"});

  NpyWriter empty(dir / "empty.npy", DType::f64, {});
  empty.commit();
  BOOST_TEST(NpyReader(dir / "empty.npy").shape() == (Shape{0}));
  const NpyReader whole_numbers(kOracles + "i4.npy");
  BOOST_TEST((whole_numbers.read_rows(1, 3).to_vector<float>() == std::vector<float>{-1, 0}));
}

BOOST_AUTO_TEST_CASE(distrusts_the_file) {
  const auto bad = [&](const std::string& dict, size_t data, const std::string& word) {
    BOOST_TEST_CONTEXT(dict)
    refused([&] { parse_npy(bytes_of(npy_file(dict, data)), "bad.npy"); }, {"bad.npy", word});
  };
  BOOST_CHECK_NO_THROW(
      parse_npy(bytes_of(npy_file("{'shape': (2), \"descr\":'<f4','fortran_order':False}\n", 8)), ""));
  bad("{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }", 8, "takes 12 bytes");
  bad("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", 8, "takes 4 bytes");
  bad("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296, 2), }", 8, "too many");
  bad("{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 4, 0), }", 0, "too many");
  bad("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }", 8, "too large");
  bad("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", 8, "not a number");
  bad("{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,2), }", 8, "dimensions");
  bad("{'descr': '<f4', 'fortran_order': False, }", 8, "missing");
  bad("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", 8, "repeated");
  bad("{'descr': '<f4', 'fortran_order': 0, 'shape': (2,), }", 8, "neither");
  bad("{'descr': '<f4, 'fortran_order': False, 'shape': (2,), }", 8, "values of type");
  bad("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), } x", 8, "after the closing");
  bad("", 8, "expected");
  refused([] { parse_npy(bytes_of("nothing like it"), "x"); }, {"not an npy file"});
  refused([] { parse_npy(bytes_of(std::string("\x93NUMPY\x04\x00\x00\x00\x00\x00", 12)), "x"); },
          {"version 4"});
  refused([] { parse_npy(bytes_of(std::string("\x93NUMPY\x02\x00\xff\xff\xff\xff", 12)), "x"); },
          {"4294967295"});
}

BOOST_AUTO_TEST_CASE(survives_truncation_and_bit_flips) {
  for (const char* name : {"f4.npy", "v3.npy", "f2.npy"}) {
    const std::string good = read_bytes(kOracles + name);
    survive(
        good, [](const std::string& s) { parse_npy(bytes_of(s), "x"); }, 2000);
    for (size_t n = 0; n < good.size(); ++n)
      BOOST_CHECK_THROW(parse_npy(bytes_of(good.substr(0, n)), "x"), Error);
  }
}

BOOST_AUTO_TEST_SUITE_END()
