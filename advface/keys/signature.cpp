#include "advface/keys/signature.h"

#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <vector>

#include "advface/core/text_file.h"
#include "advface/keys/key.h"
#include "tensor/check.h"
#include "tensor/io/atomic_file.h"
#include "tensor/io/path_reason.h"

namespace advf {
namespace {

constexpr std::string_view kPublic = "advface-public-1 ", kSecret = "advface-signing-1 ",
                           kSignature = "advface-signature-1";

void start() {
  static const int ready = sodium_init();
  check(ready >= 0, "libsodium cannot be used on this machine");
}

const unsigned char* plain(const std::byte* bytes) { return reinterpret_cast<const unsigned char*>(bytes); }

template <size_t N>
std::string hex_of(const std::array<unsigned char, N>& bytes) {
  std::string text(2 * N + 1, '\0');
  sodium_bin2hex(text.data(), text.size(), bytes.data(), N);
  text.pop_back();
  return text;
}

bool bytes_of(std::string_view text, unsigned char* out, size_t size) {
  size_t read = 0;
  return text.size() == 2 * size &&
         sodium_hex2bin(out, size, text.data(), text.size(), nullptr, &read, nullptr) == 0 && read == size;
}

using PublicKey = std::array<unsigned char, crypto_sign_PUBLICKEYBYTES>;
using SignatureBytes = std::array<unsigned char, crypto_sign_BYTES>;

PublicKey read_public(const std::string& path) {
  const std::string file = read_text(path);
  const std::string_view text = trimmed(file);
  PublicKey key;
  check(text.starts_with(kPublic) && bytes_of(text.substr(kPublic.size()), key.data(), key.size()), path,
        ": is no public key of advface-audit (a file that ends in .pub)");
  return key;
}

}  // namespace

std::string digest(std::span<const std::byte> bytes) {
  start();
  std::array<unsigned char, crypto_hash_sha256_BYTES> out;
  crypto_hash_sha256(out.data(), plain(bytes.data()), bytes.size());
  return "sha256:" + hex_of(out);
}

void new_signing_key(const std::string& path) {
  start();
  for (const std::string& file : {path, path + ".pub"})
    check(!std::filesystem::exists(file), file, ": is there already; a key is never replaced");
  PublicKey open;
  SecretBytes secret(crypto_sign_SECRETKEYBYTES), line(kSecret.size() + 2 * crypto_sign_SECRETKEYBYTES + 1);
  auto* bytes = reinterpret_cast<unsigned char*>(secret.data());
  crypto_sign_keypair(open.data(), bytes);
  auto* text = reinterpret_cast<char*>(line.data());
  std::memcpy(text, kSecret.data(), kSecret.size());
  sodium_bin2hex(text + kSecret.size(), 2 * crypto_sign_SECRETKEYBYTES + 1, bytes,
                 crypto_sign_SECRETKEYBYTES);
  text[line.size() - 1] = '\n';
  {
    AtomicFile other(path + ".pub");
    other.write(std::string(kPublic) + hex_of(open) + "\n");
    const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    check(file >= 0, path, ": ", path_reason(errno, path));
    const bool written = ::write(file, line.data(), line.size()) == ssize_t(line.size()) && fsync(file) == 0;
    const int why = errno;
    ::close(file);
    if (!written) ::unlink(path.c_str());
    check(written, path, ": ", std::strerror(why));
    other.commit();
  }
}

std::string sign(std::span<const std::byte> message, const std::string& key_path) {
  start();
  const int file = ::open(key_path.c_str(), O_RDONLY | O_CLOEXEC);
  check(file >= 0, key_path, ": ", path_reason(errno, key_path));
  SecretBytes line(kSecret.size() + 2 * crypto_sign_SECRETKEYBYTES + 1), secret(crypto_sign_SECRETKEYBYTES);
  struct stat is {};
  const bool known = fstat(file, &is) == 0;
  const ssize_t got = ::read(file, line.data(), line.size());
  ::close(file);
  check(known && S_ISREG(is.st_mode), key_path, ": is no file");
  check((is.st_mode & 077) == 0, key_path, ": others than its owner may read this key; chmod 600 it");
  const std::string_view text(reinterpret_cast<const char*>(line.data()), got > 0 ? size_t(got) : 0);
  check(text.starts_with(kSecret) && text.size() >= line.size() - 1 && uint64_t(is.st_size) <= line.size() &&
            bytes_of(text.substr(kSecret.size(), 2 * crypto_sign_SECRETKEYBYTES),
                     reinterpret_cast<unsigned char*>(secret.data()), secret.size()),
        key_path, ": is no signing key of advface-audit (advface-audit new-key FILE makes one)");
  SignatureBytes signature;
  const auto* bytes = reinterpret_cast<const unsigned char*>(secret.data());
  crypto_sign_detached(signature.data(), nullptr, plain(message.data()), message.size(), bytes);
  PublicKey open;
  crypto_sign_ed25519_sk_to_pk(open.data(), bytes);
  return std::string(kSignature) + "\n" + hex_of(open) + "\n" + hex_of(signature) + "\n";
}

void check_signature(std::span<const std::byte> message, const std::string& signature,
                     const std::string& source, const std::string& public_path) {
  start();
  const PublicKey expected = read_public(public_path);
  const std::vector<std::string_view> lines = split_lines(signature, source);
  PublicKey open;
  SignatureBytes bytes;
  check(lines.size() == 3 && lines[0] == kSignature && bytes_of(lines[1], open.data(), open.size()) &&
            bytes_of(lines[2], bytes.data(), bytes.size()),
        source, ": is no signature of advface-audit");
  check(open == expected, source, ": is signed by another key than that of ", public_path);
  check(
      crypto_sign_verify_detached(bytes.data(), plain(message.data()), message.size(), expected.data()) == 0,
      source, ": does not go with the report: one of both was changed");
}

}  // namespace advf
