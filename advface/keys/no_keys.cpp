// A build without libsodium: what is asked of keys is refused with one line.
#include "advface/keys/key.h"
#include "advface/keys/signature.h"
#include "tensor/check.h"
#include "tensor/hash.h"

namespace advf {
namespace {

[[noreturn]] void refuse() {
  fail(
      "this build has no keys (it was made with ADVF_KEYS=OFF); install libsodium-dev and build with "
      "ADVF_KEYS=ON");
}

}  // namespace

bool has_keys() { return false; }

SecretBytes::SecretBytes(size_t) { refuse(); }
SecretBytes::SecretBytes(SecretBytes&&) noexcept {}
SecretBytes& SecretBytes::operator=(SecretBytes&&) noexcept { return *this; }
SecretBytes::~SecretBytes() = default;

Salt random_salt() { refuse(); }
Salt record_salt(const Salt&, uint64_t) { refuse(); }

Key Key::fresh() { refuse(); }
Key Key::for_measurements(uint64_t) { refuse(); }
Key Key::read(const std::string&) { refuse(); }
Key Key::read_or_wait(const std::string&, const std::function<bool()>&) { refuse(); }
Key Key::read_from(int, const std::function<bool()>&) { refuse(); }
void Key::write_new(const std::string&) const { refuse(); }
void Key::derive(std::string_view, const Salt&, std::span<std::byte>) const { refuse(); }
Salt Key::derive_public(std::string_view, std::span<const std::byte>) const { refuse(); }
Salt Key::derive_public(std::string_view, uint64_t) const { refuse(); }
void fill_stream(std::span<const std::byte>, std::span<std::byte>) { refuse(); }
void destroy_key_file(const std::string&) { refuse(); }

std::string digest(std::span<const std::byte> bytes) { return "fnv64:" + hex(fnv1a(bytes)); }
void new_signing_key(const std::string&) { refuse(); }
std::string sign(std::span<const std::byte>, const std::string&) { refuse(); }
void check_signature(std::span<const std::byte>, const std::string&, const std::string&, const std::string&) {
  refuse();
}

}  // namespace advf
