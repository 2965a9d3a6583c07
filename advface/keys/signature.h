// Digests that somebody else can compute, and signatures by which a report is known to be what its author
// made. Primitives are libsodium's; a build without it (ADVF_KEYS off) has a weaker digest and refuses to
// sign.
#pragma once
#include <cstddef>
#include <span>
#include <string>

namespace advf {

// "sha256:" and 64 hexadecimal digits, as sha256sum prints them; in a build without keys "fnv64:" and 16,
// which tell accidents and no adversary.
std::string digest(std::span<const std::byte> bytes);

// Writes a new pair for Ed25519 (RFC 8032): PATH, which its owner alone may read, and PATH.pub, which may be
// given away. Throws Error where there is a file of one of these names.
void new_signing_key(const std::string& path);
// Of the file's bytes, as text: "advface-signature-1", the public key and the signature, a line each. Throws
// Error naming the key's file where it is none, or others may read it.
std::string sign(std::span<const std::byte> message, const std::string& key_path);
// Throws Error that begins with `source` where the text is no signature, is not by the key of PUBLIC (a .pub
// file), or is not of this message.
void check_signature(std::span<const std::byte> message, const std::string& signature,
                     const std::string& source, const std::string& public_path);

}  // namespace advf
