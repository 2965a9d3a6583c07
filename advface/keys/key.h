// A master key: what is secret, where it lives, and what is made of it. All that touches secret bytes stands
// in this folder and in protections/rotation*. Primitives are libsodium's; a build without it (ADVF_KEYS off)
// refuses every call here with one line. The construction, for others to read: docs/keys.md.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace advf {

// Whether this build has keys.
bool has_keys();

// Bytes in locked memory between pages that nobody may touch, left out of core dumps, wiped when they are
// freed. Move-only: there is one copy.
class SecretBytes {
 public:
  explicit SecretBytes(size_t size);
  SecretBytes(SecretBytes&& other) noexcept;
  SecretBytes& operator=(SecretBytes&& other) noexcept;
  SecretBytes(const SecretBytes&) = delete;
  SecretBytes& operator=(const SecretBytes&) = delete;
  ~SecretBytes();

  std::byte* data() { return bytes_; }
  const std::byte* data() const { return bytes_; }
  size_t size() const { return size_; }
  std::span<std::byte> bytes() { return {bytes_, size_}; }
  std::span<const std::byte> bytes() const { return {bytes_, size_}; }

 private:
  std::byte* bytes_ = nullptr;
  size_t size_ = 0;
};

// Public, and different for everything that gets a rotation of its own.
using Salt = std::array<std::byte, 16>;

Salt random_salt();  // from the system
// 32 hexadecimal digits, and back; false for any other text.
std::string to_text(const Salt& salt);
bool from_text(std::string_view text, Salt& salt);
// BLAKE2b, 16 bytes, without a key, of the set's name and the record's number (8 bytes, little-endian).
Salt record_salt(const Salt& set, uint64_t record);

// What may be told of a key.
struct KeyInfo {
  std::string id;     // 16 hexadecimal digits, at random
  std::string date;   // when it was made, UTC: 2025-01-31T12:00:00Z
  std::string check;  // 32 hexadecimal digits: a keyed hash, by which a wrong key is told
  bool operator==(const KeyInfo&) const = default;
};

class Key {
 public:
  static constexpr size_t kBytes = 32;

  static Key fresh();  // from the system's random numbers
  // A key that everybody can make: for measurements that are to come out the same again. It protects nothing,
  // and its date, 1970, says so.
  static Key for_measurements(uint64_t number);
  // Throws Error, naming the file, for what is no regular file, for one that cannot be read, that others than
  // its owner may read, of another version or length, and for one whose key and check value do not go
  // together.
  static Key read(const std::string& path);
  // The same, but a pipe with a name is waited for, too; stop: as read_from() has it.
  static Key read_or_wait(const std::string& path, const std::function<bool()>& stop);
  // To its end; it is not closed. stop: asked every 20 ms or so while nothing comes; true throws Interrupted.
  static Key read_from(int descriptor, const std::function<bool()>& stop = {});

  const KeyInfo& info() const { return info_; }
  // Writes a new file that its owner alone may read. Throws Error where there is one of that name.
  void write_new(const std::string& path) const;
  // BLAKE2b, 32 bytes, keyed, with 16 letters that say what for. out: 32 bytes.
  void derive(std::string_view purpose, const Salt& salt, std::span<std::byte> out) const;
  // The same of a message, 16 bytes, without a salt, for what is public; a number is 8 bytes, little-endian.
  Salt derive_public(std::string_view purpose, std::span<const std::byte> message) const;
  Salt derive_public(std::string_view purpose, uint64_t number) const;

 private:
  Key(SecretBytes bytes, KeyInfo info);
  friend Key parse_key(std::span<const std::byte> text, const std::string& source);

  SecretBytes bytes_;
  KeyInfo info_;
};

// ChaCha20 (Bernstein's, 64 bits of nonce, all zero, from block 0) under a key of 32 bytes.
void fill_stream(std::span<const std::byte> key, std::span<std::byte> out);

// Overwrites the file of a key and removes it. Throws Error for what does not begin as one.
void destroy_key_file(const std::string& path);

}  // namespace advf
