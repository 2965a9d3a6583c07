// Keys and rotations: the primitives against published vectors and an independent implementation, the file of
// a key, rotations that are orthogonal, uniform and the same wherever they are computed, and what is refused.
#define BOOST_TEST_MODULE keys
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <iostream>
#include <map>
#include <numeric>
#include <tuple>
#include <utility>

#include "advface/keys/key.h"
#include "advface/protections/protection_chain.h"
#include "advface/protections/registry.h"
#include "advface/protections/rotation.h"
#include "advface/protections/rotation_kernels.h"
#include "advface/protections/rotation_protection.h"
#include "file_test_util.h"
#include "keys_test_util.h"
#include "method_test_util.h"
#include "tensor/io/safetensors.h"
#include "tensor/parallel.h"

using namespace advf;
using namespace advf::test;

namespace {

std::string hex_text(std::span<const std::byte> bytes) {
  std::string text;
  for (std::byte b : bytes) {
    char two[3];
    std::snprintf(two, sizeof two, "%02x", unsigned(b));
    text += two;
  }
  return text;
}

// Bytes from Philox: a stream that needs no key.
std::vector<std::byte> some_stream(size_t bytes, uint64_t seed) {
  const Philox rng{seed, 7};
  std::vector<std::byte> out(bytes);
  for (size_t i = 0; i < bytes; ++i) out[i] = std::byte(rng.bits(i) & 255);
  return out;
}

std::vector<float> unit(size_t n, uint64_t seed) {
  const Philox rng{seed, 3};
  std::vector<float> v(n);
  for (size_t i = 0; i < n; ++i) v[i] = float(rng.normal(i));
  const double length = norm(v);
  for (float& x : v) x = float(double(x) / length);
  return v;
}

Tensor units(int64_t rows, int64_t n) {
  std::vector<float> all;
  for (int64_t r = 0; r < rows; ++r) {
    const auto v = unit(size_t(n), uint64_t(r) + 1);
    all.insert(all.end(), v.begin(), v.end());
  }
  return Tensor::from(all, {rows, n});
}

// Row i is R e_i.
std::vector<std::vector<float>> matrix_of(RotationKind kind, std::span<const std::byte> stream, size_t n) {
  std::vector<std::vector<float>> rows(n, std::vector<float>(n, 0.0f));
  for (size_t i = 0; i < n; ++i) {
    rows[i][i] = 1;
    turn(kind, stream, rows[i], false);
  }
  return rows;
}

double determinant(std::vector<std::vector<float>> m) {
  double det = 1;
  for (size_t k = 0; k < m.size(); ++k) {
    size_t pivot = k;
    for (size_t r = k; r < m.size(); ++r)
      if (std::abs(m[r][k]) > std::abs(m[pivot][k])) pivot = r;
    if (pivot != k) std::swap(m[pivot], m[k]), det = -det;
    det *= double(m[k][k]);
    for (size_t r = k + 1; r < m.size(); ++r) {
      const float f = m[r][k] / m[k][k];
      for (size_t c = k; c < m.size(); ++c) m[r][c] -= f * m[k][c];
    }
  }
  return det;
}

ProtectionInput input(int64_t n, bool to_keep = false) {
  ProtectionInput in;
  in.space = {{n}, FeatureDomain::sphere};
  in.what = "the features";
  in.to_keep = to_keep;
  return in;
}

RotationSpec spec_with(const std::string& key) {
  RotationSpec spec;
  spec.source->file = key;
  return spec;
}

std::vector<int64_t> records(int64_t n, int64_t first = 0) {
  std::vector<int64_t> list(static_cast<size_t>(n));
  std::iota(list.begin(), list.end(), first);
  return list;
}

}  // namespace

// RFC 8439's and RFC 7693's ways to their numbers, and those of tests/oracles/keys_oracle.py.
BOOST_AUTO_TEST_CASE(streams_are_the_published_ones,
                     *boost::unit_test::precondition([](auto) { return has_keys(); })) {
  SecretBytes key(Key::kBytes);
  std::fill(key.bytes().begin(), key.bytes().end(), std::byte(0));
  std::vector<std::byte> out(64);
  fill_stream(key.bytes(), out);
  BOOST_TEST(hex_text(out) ==
             "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
             "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586");
  const TempDir dir;
  const Key known = Key::read(key_file(dir));
  BOOST_TEST(known.info().id == "0001020304050607");
  Salt set{};
  BOOST_REQUIRE(from_text("101112131415161718191a1b1c1d1e1f", set));
  const auto oracle = load_safetensors(std::string(ADVF_TEST_DATA) + "/keys.safetensors").tensors;
  const auto bytes_are = [&](const char* name, std::span<const std::byte> bytes) {
    const std::vector<uint8_t> is = oracle.at(name).to_vector<uint8_t>();
    BOOST_TEST(
        (is.size() == bytes.size() && std::equal(is.begin(), is.end(), bytes.begin(),
                                                 [](uint8_t a, std::byte b) { return std::byte(a) == b; })),
        name);
  };
  const Salt salt = record_salt(set, 258);
  bytes_are("salt", salt);
  bytes_are("test_set", known.derive_public("advface-test-set", 7));
  known.derive("advface-rotation", salt, key.bytes());
  bytes_are("record_key", key.bytes());
  std::vector<std::byte> stream(192 * 4);
  fill_stream(key.bytes(), stream);
  bytes_are("stream", stream);
}

// What others make of the same bytes: normals, and both rotations of a vector, in double precision.
BOOST_AUTO_TEST_CASE(rotations_are_those_of_the_oracle) {
  const auto oracle = load_safetensors(std::string(ADVF_TEST_DATA) + "/keys.safetensors").tensors;
  const auto bytes_of_tensor = [&](const char* name) {
    const std::vector<uint8_t> is = oracle.at(name).to_vector<uint8_t>();
    std::vector<std::byte> bytes(is.size());
    std::transform(is.begin(), is.end(), bytes.begin(), [](uint8_t b) { return std::byte(b); });
    return bytes;
  };
  const auto near = [](std::span<const float> a, const std::vector<double>& b, double most) {
    BOOST_REQUIRE(a.size() == b.size());
    for (size_t i = 0; i < a.size(); ++i)
      BOOST_TEST(std::abs(double(a[i]) - b[i]) <= most, i << ": " << a[i] << " " << b[i]);
  };
  near(normals_of(bytes_of_tensor("stream")), oracle.at("normals").to_vector<double>(), 2e-6);
  for (const auto& [kind, name] : {std::pair(RotationKind::exact, "exact"), {RotationKind::fast, "fast"}}) {
    std::vector<float> z = oracle.at("vector").to_vector<float>();
    const auto stream = bytes_of_tensor(kind == RotationKind::exact ? "exact_stream" : "fast_stream");
    turn(kind, stream, z, false);
    near(z, oracle.at(name).to_vector<double>(), 5e-7);
  }
}

BOOST_AUTO_TEST_CASE(kernels_agree) {
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return;
  const auto stream = some_stream(size_t(kBytesAtOnce) * 50, 4);
  const auto* bytes = reinterpret_cast<const uint8_t*>(stream.data());
  std::vector<float> a(1600), b(1600);
  rotation_kernels_portable().normals(a.data(), bytes, 50);
  rotation_kernels_avx2().normals(b.data(), bytes, 50);
  for (size_t i = 0; i < a.size(); ++i) BOOST_TEST(std::abs(a[i] - b[i]) < 3e-6f);
}

BOOST_AUTO_TEST_CASE(rotations_are_orthogonal) {
  for (const auto& [kind, n] : {std::pair(RotationKind::exact, 512),
                                {RotationKind::exact, 33},
                                {RotationKind::exact, 2},
                                {RotationKind::fast, 512},
                                {RotationKind::fast, 8}}) {
    const auto stream = some_stream(rotation_stream_bytes(kind, n), 11);
    const auto m = matrix_of(kind, stream, size_t(n));
    double worst = 0;
    for (size_t i = 0; i < m.size(); ++i)
      for (size_t j = 0; j <= i; ++j) worst = std::max(worst, std::abs(dot(m[i], m[j]) - (i == j)));
    BOOST_TEST(worst < 1e-6, n << " values: " << worst);
    // Cosines stay, and the way back leads back.
    std::vector<float> z = unit(size_t(n), 1), y = unit(size_t(n), 2);
    const double before = cosine(z, y);
    turn(kind, stream, z, false);
    turn(kind, stream, y, false);
    BOOST_TEST(std::abs(cosine(z, y) - before) < 1e-6);
    turn(kind, stream, z, true);
    const std::vector<float> again = unit(size_t(n), 1);
    for (size_t i = 0; i < z.size(); ++i) BOOST_TEST(std::abs(z[i] - again[i]) < 1e-6f);
  }
}

// O(n): every entry has variance 1/n and fourth moment 3 / (n (n + 2)), no two are correlated, and both
// determinants come as often.
BOOST_AUTO_TEST_CASE(exact_rotations_are_haar) {
  constexpr size_t n = 5;
  constexpr int kDraws = 6000;
  int positive = 0;
  double trace = 0, trace_2 = 0, squares[n][n] = {}, fourth[n][n] = {}, means[n][n] = {};
  for (int d = 0; d < kDraws; ++d) {
    const auto m =
        matrix_of(RotationKind::exact,
                  some_stream(rotation_stream_bytes(RotationKind::exact, n), 100 + uint64_t(d)), n);
    positive += determinant(m) > 0;
    double t = 0;
    for (size_t i = 0; i < n; ++i) {
      t += double(m[i][i]);
      for (size_t j = 0; j < n; ++j) {
        const double x = double(m[i][j]);
        means[i][j] += x / kDraws;
        squares[i][j] += x * x / kDraws;
        fourth[i][j] += x * x * x * x / kDraws;
      }
    }
    trace += t / kDraws;
    trace_2 += t * t / kDraws;
  }
  // Five deviations of each estimate.
  BOOST_TEST(std::abs(positive - kDraws / 2) < 5 * std::sqrt(kDraws) / 2);
  // E tr = 0, E tr^2 = 1 on O(n) (Diaconis and Shahshahani 1994).
  BOOST_TEST(std::abs(trace) < 5 / std::sqrt(kDraws));
  BOOST_TEST(std::abs(trace_2 - 1) < 5 * std::sqrt(2.0 / kDraws));
  for (size_t i = 0; i < n; ++i)
    for (size_t j = 0; j < n; ++j) {
      BOOST_TEST(std::abs(means[i][j]) < 5 * std::sqrt(0.2 / kDraws));
      BOOST_TEST(std::abs(squares[i][j] - 0.2) < 5 * std::sqrt((3.0 / 35 - 0.04) / kDraws));
      BOOST_TEST(std::abs(fourth[i][j] - 3.0 / 35) < 0.012);
    }
}

// What is stored of one face under many records is uniform on the sphere, whatever the face: the moments of
// its projection on any direction are those, and two faces cannot be told apart by them.
BOOST_AUTO_TEST_CASE(what_is_stored_is_uniform,
                     *boost::unit_test::precondition([](auto) { return has_keys(); })) {
  const TempDir dir;
  constexpr int64_t kRows = 4000, n = 16;
  for (const RotationKind kind : {RotationKind::exact, RotationKind::fast}) {
    RotationSpec spec = spec_with(key_file(dir));
    spec.kind = kind;
    const auto protection = spec.make(input(n));
    for (const bool sparse : {false, true}) {
      std::vector<float> z = unit(size_t(n), 5), all;
      if (sparse) z.assign(size_t(n), 0), z[3] = 1;
      for (int64_t r = 0; r < kRows; ++r) all.insert(all.end(), z.begin(), z.end());
      const auto stored = protection->apply(Tensor::from(all, {kRows, n}), records(kRows), {}, {}).features;
      const std::vector<float> w = unit(size_t(n), 9);
      double mean = 0, square = 0, fourth = 0, along = 0;
      for (int64_t r = 0; r < kRows; ++r) {
        const std::span<const float> x{stored.data<float>() + r * n, size_t(n)};
        const double p = dot(x, w);
        mean += p / kRows;
        square += p * p / kRows;
        fourth += p * p * p * p / kRows;
        along += dot(x, z) / kRows;
      }
      BOOST_TEST(std::abs(mean) < 5 * std::sqrt(1.0 / n / kRows));
      BOOST_TEST(std::abs(along) < 5 * std::sqrt(1.0 / n / kRows));
      BOOST_TEST(std::abs(square - 1.0 / n) < 5 * std::sqrt(2.0 / n / n / kRows));
      BOOST_TEST(std::abs(fourth - 3.0 / (n * (n + 2))) < 0.15 * 3.0 / (n * (n + 2)));
    }
  }
}

BOOST_AUTO_TEST_CASE(a_record_has_its_rotation_wherever_it_stands,
                     *boost::unit_test::precondition([](auto) { return has_keys(); })) {
  const TempDir dir;
  const Tensor z = units(40, 24);
  for (const KeyMode mode : {KeyMode::per_record, KeyMode::per_set}) {
    RotationSpec spec = spec_with(key_file(dir));
    spec.mode = mode;
    const auto protection = spec.make(input(24));
    set_num_threads(1);
    const Tensor all = protection->apply(z, records(40), {}, {}).features;
    set_num_threads(3);
    const Tensor tail = protection->apply(z.slice_batch(33, 40), records(7, 33), {}, {}).features;
    set_num_threads(0);
    BOOST_TEST(same_bits(all.slice_batch(33, 40), tail));
    // The probe goes the same way, and what is stored comes back with the key.
    BOOST_TEST(same_bits(protection->apply_probe(z, records(40)).on_host(), all));
    const auto back = protection->unlock(all, records(40)).to_vector<float>(), was = z.to_vector<float>();
    for (size_t i = 0; i < was.size(); ++i) BOOST_TEST(std::abs(back[i] - was[i]) < 1e-6f);
    // One rotation for a set keeps cosines between records; one a record does not.
    const auto row = [&](const Tensor& t, int64_t i) {
      return std::span<const float>(t.data<float>() + i * 24, 24);
    };
    const double off = std::abs(cosine(row(all, 0), row(all, 1)) - cosine(row(z, 0), row(z, 1)));
    BOOST_TEST((off < 1e-6) == (mode == KeyMode::per_set));
    // Another set, another rotation; the same set by name, the same bits.
    RotationSpec other = spec;
    other.set = "00112233445566778899aabbccddeeff";
    const Tensor first = other.make(input(24))->apply(z, records(40), {}, {}).features;
    BOOST_TEST(!same_bits(first, all));
    BOOST_TEST(same_bits(other.make(input(24))->apply(z, records(40), {}, {}).features, first));
  }
}

// The set of what is kept is new each time; what is added to it goes on with it; what is only measured has
// the seed's.
BOOST_AUTO_TEST_CASE(sets_have_names, *boost::unit_test::precondition([](auto) { return has_keys(); })) {
  const TempDir dir;
  RotationSpec spec = spec_with(key_file(dir));
  const auto name = [&](const ProtectionInput& in) {
    return spec.make(in)->applied().settings.at("key_set");
  };
  BOOST_TEST(name(input(8, true)) != name(input(8, true)));
  BOOST_TEST(name(input(8)) == name(input(8)));
  const std::string measured = name(input(8));
  spec.seed = 2;
  BOOST_TEST(name(input(8)) != measured);
  const ProtectionId kept{{spec.make(input(8, true))->applied()}, {}};
  ProtectionInput more = input(8, true);
  more.beside = &kept;
  more.beside_what = "set.npy";
  BOOST_TEST((spec.make(more)->applied() == kept.applied[0]));
  BOOST_TEST((ProtectionId::from_json(kept.to_json(), "f") == kept));
  BOOST_TEST(kept.needs_key());
  BOOST_TEST(kept.without_key().is_raw());
  // A wrong key is told as one, before anything is computed.
  const std::string other = dir / "other";
  const Key fresh = Key::fresh();
  fresh.write_new(other);
  refused([&] { spec_with(other).make(more); },
          {other, "the wrong key", fresh.info().id, "set.npy", "0001020304050607"});
  spec.set = "00112233445566778899aabbccddeeff";
  refused([&] { spec.make(more); }, {"--key-set", "set.npy"});
}

// A description that is damaged where it decides over the rotations is told; older ones have nothing to tell
// it by, and go on as they are. Values of tests/oracles/keys_oracle.py.
BOOST_AUTO_TEST_CASE(damaged_names_of_sets,
                     *boost::unit_test::precondition([](auto) { return has_keys(); })) {
  const TempDir dir;
  RotationSpec spec = spec_with(key_file(dir));
  spec.set = "00112233445566778899aabbccddeeff";
  const std::map<std::pair<KeyMode, RotationKind>, std::string> stated{
      {{KeyMode::per_record, RotationKind::exact}, "fef573f5965cab251ae91f1a07c7d718"},
      {{KeyMode::per_record, RotationKind::fast}, "48b8748d01699217312fd5ac637c0e97"},
      {{KeyMode::per_set, RotationKind::exact}, "32c0c6c3f3dc9416102e53fd10592c76"},
      {{KeyMode::per_set, RotationKind::fast}, "8700cc688db0b405b18c83b1bcbf3bcb"}};
  for (const auto& [how, check_value] : stated) {
    std::tie(spec.mode, spec.kind) = how;
    BOOST_TEST(spec.make(input(8))->applied().settings.at("set_check") == "\"" + check_value + "\"");
  }
  spec.mode = KeyMode::per_record;
  spec.kind = RotationKind::exact;
  const AppliedProtection good = spec.make(input(8))->applied();
  const auto key = std::make_shared<const Key>(Key::read(key_file(dir))),
             fresh = std::make_shared<const Key>(Key::fresh());
  const auto beside = [&](const AppliedProtection& applied) {
    const ProtectionId id{{applied}, {}};
    ProtectionInput in = input(8);
    in.beside = &id;
    in.beside_what = "p.npy";
    return spec_with(key_file(dir)).make(in)->applied();
  };
  BOOST_TEST((beside(good) == good));
  for (const auto& [name, value] : {std::pair("key_set", "\"00112233445566778899aabbccddeefe\""),
                                    {"key_mode", "\"per-set\""},
                                    {"rotation", "\"fast\""},
                                    {"set_check", "\"fef573f5965cab251ae91f1a07c7d719\""}}) {
    AppliedProtection bad = good;
    bad.settings[name] = value;
    refused([&] { beside(bad); }, {"p.npy", "key_set", "damaged"});
    refused([&] { KeyChange(bad, key, fresh, "p.npy"); }, {"p.npy", "key_set", "damaged"});
  }
  AppliedProtection older = good;
  older.settings.erase("set_check");
  BOOST_TEST((ProtectionId::from_json(ProtectionId{{older}, {}}.to_json(), "f").applied[0] == older));
  BOOST_TEST((beside(older) == older));
  BOOST_TEST(KeyChange(older, key, fresh, "p.npy").after().settings.contains("set_check"));
}

BOOST_AUTO_TEST_CASE(a_key_changes, *boost::unit_test::precondition([](auto) { return has_keys(); })) {
  const TempDir dir;
  const std::string old_file = key_file(dir), new_file = dir / "new";
  Key::fresh().write_new(new_file);
  const auto old_key = std::make_shared<const Key>(Key::read(old_file)),
             new_key = std::make_shared<const Key>(Key::read(new_file));
  const Tensor z = units(20, 12);
  for (const KeyMode mode : {KeyMode::per_record, KeyMode::per_set}) {
    RotationSpec spec = spec_with(old_file);
    spec.mode = mode;
    const auto before = spec.make(input(12, true));
    const KeyChange change(before->applied(), old_key, new_key, "p.npy");
    const Tensor stored = before->apply(z, records(20), {}, {}).features,
                 turned = change.change(stored, records(20), records(20));
    const ProtectionId after{{change.after()}, {}};
    ProtectionInput in = input(12);
    in.beside = &after;
    const auto again = spec_with(new_file).make(in);
    // Under a name of its own each time.
    BOOST_TEST(change.after().settings.at("key_set") != before->applied().settings.at("key_set"));
    BOOST_TEST((KeyChange(before->applied(), old_key, new_key, "p.npy").after() != change.after()));
    // mode is that of the description.
    RotationSpec with_new = spec_with(new_file);
    with_new.mode = mode;
    const auto is = turned.to_vector<float>(),
               should = with_new.make(in)->apply(z, records(20), {}, {}).features.to_vector<float>();
    for (size_t i = 0; i < is.size(); ++i) BOOST_TEST(std::abs(is[i] - should[i]) < 1e-6f);
    // What goes on with rows that were turned already stays in their set.
    RotationSpec other = with_new;
    other.set = std::string(32, 'a');
    const auto begun = other.make(input(12, true))->applied();
    const KeyChange on(before->applied(), old_key, new_key, "p.npy", &begun);
    BOOST_TEST((on.after() == begun && begun != change.after()));
    const auto more = on.change(stored, records(20)).to_vector<float>(),
               theirs = other.make(input(12))->apply(z, records(20), {}, {}).features.to_vector<float>();
    for (size_t i = 0; i < more.size(); ++i) BOOST_TEST(std::abs(more[i] - theirs[i]) < 1e-6f);
    refused([&] { KeyChange(before->applied(), new_key, old_key, "p.npy"); }, {"the wrong key", "p.npy"});
    refused([&] { KeyChange(before->applied(), old_key, old_key, "p.npy"); }, {"old one"});
  }
}

BOOST_AUTO_TEST_CASE(what_is_refused) {
  RotationSpec spec;
  if (!has_keys()) {
    std::cout << "SKIPPED: this build has no keys (ADVF_KEYS is off)\n";
    refused([&] { spec.check_complete(); }, {"ADVF_KEYS"});
    refused([] { Key::fresh(); }, {"ADVF_KEYS", "libsodium-dev"});
    return;
  }
  const TempDir dir;
  refused([&] { spec.check_complete(); }, {"--key FILE", "--key-fd"});
  spec = spec_with(key_file(dir));
  spec.source->descriptor = 3;
  refused([&] { spec.check_valid(); }, {"not both"});
  spec.source->descriptor = -1;
  const auto in = [&](const Shape& row, FeatureDomain domain) {
    ProtectionInput i = input(8);
    i.space = {row, domain};
    return i;
  };
  refused(
      [&] {
        spec.make(in({8, 7, 7}, FeatureDomain::non_negative));
      },
      {"[8,7,7]", "unit vectors", "encrypt", "do not store"});
  refused([&] { spec.make(in({8}, FeatureDomain::real)); }, {"unit vectors", "encrypt"});
  refused([&] { spec.make(input(1)); }, {"1 value"});
  spec.kind = RotationKind::fast;
  refused([&] { spec.make(input(12)); }, {"12", "power of two"});
  spec.kind = RotationKind::exact;
  const auto protection = spec.make(input(8));
  refused(
      [&] {
        protection->apply(Tensor::from(std::vector<float>(16, 1), {2, 8}), records(2, 5), {}, {});
      },
      {"record 5"});
  // A description without its salts, or with none of ours.
  const auto described = [](const std::string& settings) {
    return R"([{"name":"rotation","networks":{"key":"0001020304050607"},"settings":)" + settings + "}]";
  };
  const std::string good =
      R"({"key_mode":"per-set","rotation":"exact","key_set":"00112233445566778899aabbccddeeff",)"
      R"("key_check":"8bbcc1a137a25a392f898be897ba4618"})";
  BOOST_TEST(ProtectionId::from_json(described(good), "f").describe() == "protected, rotation per-set");
  const auto without = [&](const std::string& part, const std::string& instead) {
    std::string text = good;
    text.replace(text.find(part), part.size(), instead);
    return [text = described(text)] { ProtectionId::from_json(text, "f"); };
  };
  refused(without(R"("key_set":"00112233445566778899aabbccddeeff",)", ""), {"f", "key_set"});
  refused(without("00112233445566778899aabbccddeeff", "0011"), {"f", "key_set", "0011"});
  refused(without(R"(,"key_check":"8bbcc1a137a25a392f898be897ba4618")", ""), {"f", "key_check"});
  refused(without("per-set", "per-day"), {"per-day"});
}
