#include "tools/bench/bench_rotation.h"

#include <cmath>
#include <memory>
#include <numeric>
#include <utility>

#include "advface/keys/key.h"
#include "advface/protections/rotation_protection.h"
#include "tensor/parallel.h"
#include "tools/bench/bench_workloads.h"

namespace advf::tools {
namespace {

constexpr int64_t kValues = 512, kRecords = 256, kBlock = 16;

std::shared_ptr<Protection> rotation(const std::shared_ptr<const Key>& key, KeyMode mode, RotationKind kind) {
  RotationSpec spec;
  spec.source->take(key);
  spec.mode = mode;
  spec.kind = kind;
  ProtectionInput input;
  input.space = {{kValues}, FeatureDomain::sphere};
  input.what = "random features";
  return spec.make(input);
}

// As the rotation does it: some records one after the other with the same memory.
void each_block(const std::function<void(SecretBytes& stream)>& record) {
  parallel_for(kRecords / kBlock, [&](int64_t) {
    SecretBytes stream(rotation_stream_bytes(RotationKind::exact, kValues));
    for (int64_t i = 0; i < kBlock; ++i) record(stream);
  });
}

}  // namespace

bool bench_rotation(int repeat, Report& report) {
  if (!has_keys()) {
    if (report.wanted("W7", "rotation")) report.say("W7 rotation: skipped; this build has no keys");
    return true;
  }
  const auto key = std::make_shared<const Key>(Key::fresh());
  const Tensor z = random_features(kRecords, kValues);
  std::vector<int64_t> records(static_cast<size_t>(kRecords));
  std::iota(records.begin(), records.end(), int64_t(0));
  const auto turned = [&](KeyMode mode, RotationKind kind) {
    return [&, p = rotation(key, mode, kind)] { p->apply(z, records, {}, {}); };
  };
  const std::vector<std::byte> record_key(Key::kBytes);
  const double n = double(kValues), all = double(kRecords);
  const auto bytes = [](RotationKind kind) { return double(rotation_stream_bytes(kind, kValues)); };
  // A reflection of m values is 3 m multiply-adds: two products and one sum. A transform is n log2 n sums.
  const Cost exact{all * 3 * n * (n + 1), all * bytes(RotationKind::exact)}, parts{0, exact.bytes},
      fast{all * 3 * n * std::log2(n), all * (bytes(RotationKind::fast) + 8 * n)},
      set{all * 2 * n * n, all * 8 * n};
  const auto row = [&](const Cost& cost, const Variant& variant) {
    return measure_variants("W7", "rotation of vectors of 512", all, "records", cost, {variant}, repeat,
                            report);
  };
  return row(exact, {"exact", turned(KeyMode::per_record, RotationKind::exact)}) &&
         row(fast, {"fast", turned(KeyMode::per_record, RotationKind::fast)}) &&
         row(set, {"set", turned(KeyMode::per_set, RotationKind::exact)}) &&
         row(parts,
             {"stream", [&] { each_block([&](SecretBytes& s) { fill_stream(record_key, s.bytes()); }); }}) &&
         row(parts,
             {"normals", [&] { each_block([&](SecretBytes& s) { normals_of(std::as_const(s).bytes()); }); }});
}

}  // namespace advf::tools
