#include "advface/keys/key.h"

#include <sodium.h>
#include <sys/resource.h>

#include <algorithm>
#include <new>
#include <utility>

#include "advface/core/utc_time.h"
#include "tensor/check.h"

namespace advf {
namespace {

constexpr size_t kIdBytes = 8;
constexpr std::string_view kCheck = "advface-key-chk1", kSalt = "advface-set-salt";
static_assert(crypto_generichash_blake2b_PERSONALBYTES == 16 && crypto_generichash_blake2b_SALTBYTES == 16);

void start() {
  static const int ready = sodium_init();
  check(ready >= 0, "libsodium cannot be used on this machine");
}

const unsigned char* plain(const std::byte* bytes) { return reinterpret_cast<const unsigned char*>(bytes); }
unsigned char* plain(std::byte* bytes) { return reinterpret_cast<unsigned char*>(bytes); }

std::string hex_of(const std::byte* bytes, size_t size) {
  std::string text(2 * size + 1, '\0');
  sodium_bin2hex(text.data(), text.size(), plain(bytes), size);
  text.pop_back();
  return text;
}

bool bytes_of(std::string_view text, std::byte* out, size_t size) {
  size_t read = 0;
  return text.size() == 2 * size &&
         sodium_hex2bin(plain(out), size, text.data(), text.size(), nullptr, &read, nullptr) == 0 &&
         read == size && text.find_first_of("ABCDEF") == std::string_view::npos;
}

void hash(std::span<const std::byte> key, std::string_view purpose, const std::byte* salt,
          std::span<const std::byte> message, std::span<std::byte> out) {
  check(purpose.size() == crypto_generichash_blake2b_PERSONALBYTES, "a purpose of ", purpose.size(),
        " letters");
  crypto_generichash_blake2b_salt_personal(
      plain(out.data()), out.size(), plain(message.data()), message.size(), plain(key.data()), key.size(),
      salt ? plain(salt) : nullptr, reinterpret_cast<const unsigned char*>(purpose.data()));
}

std::array<std::byte, 8> little_endian(uint64_t value) {
  std::array<std::byte, 8> bytes;
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = std::byte(value >> (8 * i) & 255);
  return bytes;
}

std::string check_value(const SecretBytes& key, std::string_view id) {
  std::array<std::byte, kIdBytes> name;
  check(bytes_of(id, name.data(), name.size()), "a key has no proper id");
  Salt value;
  hash(key.bytes(), kCheck, nullptr, name, value);
  return to_text(value);
}

// A picture of the memory must not lie on a disk.
void no_core_dumps() {
  const rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
}

}  // namespace

bool has_keys() { return true; }

SecretBytes::SecretBytes(size_t size) : size_(size) {
  start();
  bytes_ = static_cast<std::byte*>(sodium_malloc(size));
  if (!bytes_) throw std::bad_alloc();
}
SecretBytes::SecretBytes(SecretBytes&& other) noexcept
    : bytes_(std::exchange(other.bytes_, nullptr)), size_(std::exchange(other.size_, 0)) {}
SecretBytes& SecretBytes::operator=(SecretBytes&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  std::swap(size_, other.size_);
  return *this;
}
SecretBytes::~SecretBytes() { sodium_free(bytes_); }

Salt random_salt() {
  start();
  Salt salt;
  randombytes_buf(salt.data(), salt.size());
  return salt;
}

Salt record_salt(const Salt& set, uint64_t record) {
  start();
  std::array<std::byte, sizeof(Salt) + 8> message;
  std::copy(set.begin(), set.end(), message.begin());
  const auto number = little_endian(record);
  std::copy(number.begin(), number.end(), message.begin() + sizeof(Salt));
  Salt salt;
  hash({}, kSalt, nullptr, message, salt);
  return salt;
}

// The check value is computed, whatever a file says.
Key::Key(SecretBytes bytes, KeyInfo info) : bytes_(std::move(bytes)), info_(std::move(info)) {
  no_core_dumps();
  info_.check = check_value(bytes_, info_.id);
}

Key Key::fresh() {
  SecretBytes bytes(kBytes);
  randombytes_buf(bytes.data(), bytes.size());
  std::array<std::byte, kIdBytes> id;
  randombytes_buf(id.data(), id.size());
  return Key(std::move(bytes), {hex_of(id.data(), id.size()), utc_now(), ""});
}

Key Key::for_measurements(uint64_t number) {
  start();
  SecretBytes bytes(kBytes);
  hash({}, "advface-no-secre", nullptr, little_endian(number), bytes.bytes());
  std::array<std::byte, kIdBytes> id;
  const auto letters = little_endian(number);
  std::copy(letters.begin(), letters.end(), id.begin());
  return Key(std::move(bytes), {hex_of(id.data(), id.size()), "1970-01-01T00:00:00Z", ""});
}

void Key::derive(std::string_view purpose, const Salt& salt, std::span<std::byte> out) const {
  check(out.size() == kBytes, "a derived key of ", out.size(), " bytes");
  hash(bytes_.bytes(), purpose, salt.data(), {}, out);
}

Salt Key::derive_public(std::string_view purpose, std::span<const std::byte> message) const {
  Salt value;
  hash(bytes_.bytes(), purpose, nullptr, message, value);
  return value;
}

Salt Key::derive_public(std::string_view purpose, uint64_t number) const {
  return derive_public(purpose, little_endian(number));
}

void fill_stream(std::span<const std::byte> key, std::span<std::byte> out) {
  static_assert(crypto_stream_chacha20_KEYBYTES == Key::kBytes);
  check(key.size() == Key::kBytes, "a stream under a key of ", key.size(), " bytes");
  start();
  const unsigned char nonce[crypto_stream_chacha20_NONCEBYTES] = {};
  crypto_stream_chacha20(plain(out.data()), out.size(), nonce, plain(key.data()));
}

}  // namespace advf
