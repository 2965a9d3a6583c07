#include "advface/protections/rotation_protection.h"

#include <algorithm>
#include <array>
#include <limits>

#include "tensor/backend.h"
#include "tensor/ops.h"
#include "tensor/parallel.h"

namespace advf {
namespace {

constexpr int64_t kExactBlock = 16, kFastBlock = 512;  // records that share scratch memory
// What a key is used for, 16 letters each.
constexpr std::string_view kExact = "advface-rotation", kFast = "advface-rot-fast",
                           kTestSet = "advface-test-set", kSetCheck = "advface-set-chk1";
constexpr uint64_t kWholeSet = ~uint64_t(0);  // the number that stands for all records of a set

bool is_salt(const std::string& text) {
  Salt salt;
  return from_text(text, salt);
}

Setting text_of_32_digits(const std::string& name, std::string& value, const std::string& help) {
  Setting s = text_setting(name, value, help);
  s.read = [name, &value](const std::string& text) {
    std::string small = text;
    std::transform(small.begin(), small.end(), small.begin(),
                   [](char c) { return c >= 'A' && c <= 'F' ? char(c + 32) : c; });
    check(is_salt(small), name, " is \"", text, "\", not 32 hexadecimal digits");
    value = small;
  };
  return s;
}

// What of a description decides over the rotations, so that damage to it is told as a wrong key is.
std::string set_check_of(const Key& key, const RotationSpec& spec) {
  Salt set;
  check(from_text(spec.set, set), "a rotation without the name of its set");
  std::array<std::byte, sizeof(Salt) + 2> message;
  std::copy(set.begin(), set.end(), message.begin());
  message[sizeof(Salt)] = std::byte(spec.mode == KeyMode::per_set ? 1 : 0);
  message[sizeof(Salt) + 1] = std::byte(spec.kind == RotationKind::fast ? 1 : 0);
  return to_text(key.derive_public(kSetCheck, message));
}

// The rotations of one set under one key.
class Turner {
 public:
  Turner(std::shared_ptr<const Key> key, const RotationSpec& spec)
      : key_(std::move(key)), mode_(spec.mode), kind_(spec.kind) {
    check(from_text(spec.set, set_), "a rotation without the name of its set");
  }

  // Every row (n, D) in place by R of its record, or back; the norm of each stays as it is.
  void turn_rows(std::span<float> values, std::span<const int64_t> records, bool back,
                 const Context* context) const {
    const int64_t n = int64_t(records.size());
    if (n == 0) return;
    const size_t d = values.size() / records.size();
    const int64_t block = kind_ == RotationKind::fast ? kFastBlock : kExactBlock;
    parallel_for((n + block - 1) / block, [&](int64_t at) {
      SecretBytes scratch(Key::kBytes + rotation_stream_bytes(kind_, int64_t(d)));
      for (int64_t i = at * block; i < std::min(n, (at + 1) * block); ++i) {
        if (context) context->check_stop();
        // One rotation for all: the stream of the first record is that of the others.
        if (mode_ == KeyMode::per_record || i == at * block)
          fill(scratch, mode_ == KeyMode::per_set ? kWholeSet : uint64_t(records[size_t(i)]));
        turn(kind_, stream_of(scratch), values.subspan(size_t(i) * d, d), back);
      }
    });
  }

 private:
  // The key of a record, and the stream behind it.
  static std::span<std::byte> stream_of(SecretBytes& scratch) { return scratch.bytes().subspan(Key::kBytes); }
  void fill(SecretBytes& scratch, uint64_t number) const {
    const auto key = scratch.bytes().first(Key::kBytes);
    key_->derive(kind_ == RotationKind::fast ? kFast : kExact, record_salt(set_, number), key);
    fill_stream(key, stream_of(scratch));
  }

  std::shared_ptr<const Key> key_;
  KeyMode mode_;
  RotationKind kind_;
  Salt set_{};
};

// What `turn` does to every row alike, as a matrix (D,D): row i is R e_i, so a row of features times it is R
// of that feature. turn: (rows (D,D) in place, any record for each).
template <class Turn>
Tensor turned_axes(int64_t d, const Turn& turn) {
  std::vector<float> values(size_t(d * d), 0.0f);
  for (int64_t i = 0; i < d; ++i) values[size_t(i * d + i)] = 1;
  turn(std::span(values), std::vector<int64_t>(size_t(d), 0));
  return Tensor::from(values, {d, d});
}

class RotationProtection : public Protection {
 public:
  // shows_itself: the rows that it turns give it away.
  RotationProtection(const RotationSpec& spec, const FeatureSpace& space, bool shows_itself)
      : spec_(spec),
        space_(space),
        shows_itself_(shows_itself),
        key_id_(spec.source->key()->info().id),
        turner_(spec.source->key(), spec) {
    if (spec.mode == KeyMode::per_set) keep_matrix();
  }

  AppliedProtection applied() const override { return {"rotation", spec_.values(), {{"key", key_id_}}}; }
  FeatureSpace out() const override { return spec_.out(space_); }
  bool draws_by_record() const override { return spec_.mode == KeyMode::per_record; }
  Guarantee guarantee() const override {
    Guarantee proved;
    proved.largest_angle = 0;
    proved.without_key = spec_.kind == RotationKind::fast || shows_itself_ ? WithoutKey::unproved
                         : spec_.mode == KeyMode::per_record               ? WithoutKey::nothing
                                                                           : WithoutKey::inner_products;
    return proved;
  }

  ProtectedRows apply(const Tensor& features, std::span<const int64_t> records, const Tensor& /*photographs*/,
                      const Context& context) override {
    const Tensor host = features.on_host();
    check(host.shape() == with_rows(int64_t(records.size()), space_.row), "features of shape ", host.shape(),
          " for ", records.size(), " records of shape ", space_.row);
    check_records(host, records, space_.domain);
    ProtectedRows result{turned(host, records, false, &context), {}};
    for (const int64_t record : records) result.reports.push_back({.record = record, .losses = {}});
    return result;
  }
  // No attacker looks through it, so only a rotation of the whole set is of operations of the core.
  Tensor apply_probe(const Tensor& features, std::span<const int64_t> records) const override {
    if (matrix_.defined()) return matmul(features, matrix_.to(current_backend()));
    return turned(features.on_host(), records, false, nullptr).to(current_backend());
  }
  Tensor unlock(const Tensor& stored, std::span<const int64_t> records) const override {
    return turned(stored.on_host(), records, true, nullptr);
  }

 private:
  Tensor turned(const Tensor& rows, std::span<const int64_t> records, bool back,
                const Context* context) const {
    const BackendScope on_host(host_backend());
    if (matrix_.defined()) {
      const NoTapeScope off;
      return back ? matmul(rows, matrix_back_) : matmul(rows, matrix_);
    }
    std::vector<float> values = rows.to_vector<float>();
    turner_.turn_rows(values, records, back, context);
    return Tensor::from(values, rows.shape());
  }
  void keep_matrix() {
    const BackendScope on_host(host_backend());
    matrix_ = turned_axes(space_.row[0], [&](std::span<float> axes, std::span<const int64_t> any) {
      turner_.turn_rows(axes, any, false, nullptr);
    });
    matrix_back_ = permute(matrix_, {1, 0});
  }

  RotationSpec spec_;
  FeatureSpace space_;
  bool shows_itself_;
  std::string key_id_;
  Turner turner_;
  Tensor matrix_, matrix_back_;  // (D,D) of per-set
};

// The rotation among what was applied already; null where there is none.
const AppliedProtection* rotation_in(const ProtectionId* id) {
  if (!id) return nullptr;
  const auto found = std::find_if(id->applied.begin(), id->applied.end(),
                                  [](const AppliedProtection& a) { return a.name == "rotation"; });
  return found == id->applied.end() ? nullptr : &*found;
}

RotationSpec spec_in(const AppliedProtection& applied, const std::string& source) {
  RotationSpec spec;
  read_values(spec.settings(), applied.settings, source + ": the protection rotation");
  return spec;
}

// Ids and check values are compared before anything is computed: a wrong key is told as one.
void check_same_key(const AppliedProtection& applied, const RotationSpec& stated, const Key& key,
                    const std::string& source, const std::string& key_file) {
  const auto id = applied.networks.find("key");
  check(stated.check_value == key.info().check, key_file, ": the wrong key: it is ", key.info().id, ", but ",
        source, " was protected with ", id == applied.networks.end() ? std::string("another") : id->second);
  check(stated.set_check.empty() || stated.set_check == set_check_of(key, stated), source,
        ": its description is damaged: key_set, key_mode and rotation do not go with set_check; put the "
        "description back that belongs to it");
}

}  // namespace

template <>
const std::vector<Choice<KeyMode>>& choices<KeyMode>() {
  static const std::vector<Choice<KeyMode>> list = {{KeyMode::per_record, "per-record"},
                                                    {KeyMode::per_set, "per-set"}};
  return list;
}
template <>
const std::vector<Choice<RotationKind>>& choices<RotationKind>() {
  static const std::vector<Choice<RotationKind>> list = {{RotationKind::exact, "exact"},
                                                         {RotationKind::fast, "fast"}};
  return list;
}

std::string KeySource::what() const {
  return file.empty() ? "descriptor " + std::to_string(descriptor) : file;
}

std::shared_ptr<const Key> KeySource::key() const {
  if (!key_)
    key_ = std::make_shared<const Key>(file.empty() ? Key::read_from(int(descriptor)) : Key::read(file));
  return key_;
}

Settings RotationSpec::settings() {
  Setting number = whole_setting("key_fd", source->descriptor, {-1, std::numeric_limits<int>::max()},
                                 "the key comes over this open file descriptor instead");
  number.json = [] { return std::string(); };  // says nothing about what is stored
  Setting unwritten = seed_setting(seed);      // nor does this: it names a set, which is written
  unwritten.applies = [] { return false; };
  return {key_setting("key", source->file, "the key, which advface-key new has written"),
          number,
          choice_setting("key_mode", mode, "a rotation for each record, or one for the whole set"),
          choice_setting(
              "rotation", kind,
              "exact: uniformly random; fast: three rounds of signs and Hadamard transforms, for a power of "
              "two of values"),
          text_of_32_digits("key_set", set,
                            "32 hexadecimal digits that name the set (default: new for a new set)"),
          derived(text_of_32_digits("key_check", check_value, "tells the key")),
          younger([this] { return !set_check.empty(); },
                  derived(text_of_32_digits("set_check", set_check, "tells the set"))),
          unwritten};
}

void RotationSpec::check_valid() const {
  check(source->descriptor >= -1 && source->descriptor <= std::numeric_limits<int>::max(), "--key-fd ",
        source->descriptor, " is no descriptor");
  check(source->file.empty() || source->descriptor < 0, "give the key by --key or by --key-fd, not both");
}

void RotationSpec::check_complete() const {
  check(has_keys(), "the protection rotation needs a key, but this build has none (ADVF_KEYS is off)");
  check(source->named(),
        "the protection rotation needs --key FILE, which advface-key new makes, or --key-fd N");
}

void RotationSpec::check_stated() const {
  check(!set.empty() && !check_value.empty(),
        "the protection rotation does not say of which set (key_set) and with which key (key_check)");
}

std::string RotationSpec::summary() const {
  return std::string(name_of(mode)) + (kind == RotationKind::fast ? ", fast" : "");
}

std::unique_ptr<Protection> RotationSpec::make(const ProtectionInput& input) const {
  const auto check_unit_vectors = [&](bool they_are) {
    check(they_are, "a rotation keeps the cosines of unit vectors, but ", input.what, " of shape ",
          input.space.row, " are none; encrypt them, or better do not store them");
  };
  check_unit_vectors(input.space.row.rank() == 1);
  check(
      input.domain_known(), input.what, ": ", input.why_domain_unknown,
      ", and a rotation keeps the cosines of unit vectors alone; normalise the rows of embeddings, and store "
      "nothing else");
  check_unit_vectors(input.space.domain == FeatureDomain::sphere);
  check(!rotation_in(&input.before), input.what,
        " are locked already; a second lock protects no better, and no program could open both");
  check_rotation(kind, input.space.row[0], input.what);
  // Rows of few values lie on a grid, whose axes anybody finds in enough of them (docs/theory.md).
  const bool shows_itself =
      mode == KeyMode::per_set &&
      std::ranges::any_of(input.before.applied, [](const auto& a) { return a.name == "quantise"; });
  check(
      !shows_itself || !input.to_keep || rotation_in(input.beside), input.what,
      ": rows of a few bits a value show the one rotation of a per-set key to whoever has them, without the "
      "key; take --key-mode per-record, or leave quantise out");
  const Key& key = *source->key();
  RotationSpec made = *this;
  made.check_value = key.info().check;
  bool checked = true;
  if (const AppliedProtection* other = rotation_in(input.beside)) {
    const RotationSpec stated = spec_in(*other, input.beside_what);
    check_same_key(*other, stated, key, input.beside_what, source->what());
    check(set.empty() || set == stated.set, "--key-set ", set, " is not the set of ", input.beside_what, ", ",
          stated.set, "; leave it out");
    made.set = stated.set;
    checked = !stated.set_check.empty();
  } else if (made.set.empty()) {
    made.set = to_text(input.to_keep ? random_salt() : key.derive_public(kTestSet, seed));
  }
  made.set_check = checked ? set_check_of(key, made) : "";
  return std::make_unique<RotationProtection>(made, input.space, shows_itself);
}

KeyChange::KeyChange(const AppliedProtection& before, std::shared_ptr<const Key> old_key,
                     std::shared_ptr<const Key> new_key, const std::string& source,
                     const AppliedProtection* begun)
    : before_(spec_in(before, source)), after_(before_), old_(std::move(old_key)), new_(std::move(new_key)) {
  check_same_key(before, before_, *old_, source, "the old key");
  check(old_->info().check != new_->info().check, "the new key is the old one (", old_->info().id, ")");
  after_.check_value = new_->info().check;
  after_.set = begun ? spec_in(*begun, source).set : to_text(random_salt());
  after_.set_check = set_check_of(*new_, after_);
}

AppliedProtection KeyChange::after() const {
  return {"rotation", after_.values(), {{"key", new_->info().id}}};
}

const Tensor& KeyChange::matrix(int64_t d) const {
  const std::scoped_lock one(making_);
  if (!matrix_.defined() || matrix_.dim(0) != d)
    matrix_ = turned_axes(d, [&](std::span<float> axes, std::span<const int64_t> any) {
      Turner(old_, before_).turn_rows(axes, any, true, nullptr);
      Turner(new_, after_).turn_rows(axes, any, false, nullptr);
    });
  return matrix_;
}

Tensor KeyChange::change(const Tensor& rows, std::span<const int64_t> records,
                         std::span<const int64_t> new_records) const {
  check_records(rows, records, FeatureDomain::sphere);
  const BackendScope on_host(host_backend());
  if (before_.mode == KeyMode::per_set) {
    const NoTapeScope off;
    return matmul(rows.on_host(), matrix(rows.dim(1)));
  }
  std::vector<float> values = rows.to_vector<float>();
  Turner(old_, before_).turn_rows(values, records, true, nullptr);
  Turner(new_, after_).turn_rows(values, new_records, false, nullptr);
  return Tensor::from(values, rows.shape());
}

}  // namespace advf
