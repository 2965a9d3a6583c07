// Noise in a random direction: the protection by chance that every other one is compared with.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "advface/core/feature_domain.h"
#include "tensor/tensor.h"

namespace advf {

// 64 bits of the system's, for noise that nobody is to repeat. Throws Error where it gives none.
uint64_t drawn_seed();
// 64 bits that stand nowhere: of the key in this file and a purpose of 16 letters (Key::derive, the first 8
// bytes), so that who has the key can repeat the noise; without a file they are drawn. Throws as Key::read.
uint64_t secret_seed(const std::string& key_file, std::string_view purpose);

// Moves `feature` in a direction drawn from the stream Philox(seed, stream): by a vector of norm `distance`,
// or, on the sphere, turns it by the angle with this cosine.
void move_at_random(std::span<const float> feature, bool on_sphere, double cosine, double distance,
                    uint64_t seed, uint64_t stream, std::span<float> out);

// The same distance in another direction: row i of the result differs from row i of z by a random vector of
// the norm of (protected - z)[i]; on the sphere it is z turned by the same angle in a random direction. Row i
// has the stream 2^63 + first_row + i. z, protected: (n, feature...); the result is where z is.
Tensor equal_norm_noise(const Tensor& z, const Tensor& protected_features, bool on_sphere, uint64_t seed,
                        int64_t first_row = 0);

}  // namespace advf
