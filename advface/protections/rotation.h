// Rotations of vectors drawn from a stream of bytes (docs/keys.md has every step, so that others can follow).
//
// Exact: R = H_(n-1) ... H_1 H_0, where H_k leaves the first k values and, on the m = n - k others, is the
// reflection that takes a normal vector x of m values to |x| e1:  H = -s (I - 2 v v^T / v^T v),  v = x + s
// |x| e1,  s = the sign of x_1. R is Haar on O(n), both determinants (Stewart 1980; Mezzadri 2007), as far as
// the normals are: these come of numbers of 24 bits, which is what a float holds.
//
// Fast: three rounds of signs and a Hadamard transform, n a power of two. Not Haar.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace advf {

enum class RotationKind { exact, fast };

// Bytes of the stream that a rotation of n values takes.
size_t rotation_stream_bytes(RotationKind kind, int64_t n);
// Throws Error where it cannot turn vectors of n values.
void check_rotation(RotationKind kind, int64_t n, const std::string& what);

// Turns one vector of n values in place: by R, or back by R^T. The stream has rotation_stream_bytes(). The
// norm stays what it was, to rounding.
void turn(RotationKind kind, std::span<const std::byte> stream, std::span<float> vector, bool back);

// What the normals are, for tests and for who reads our data: 32 of each 96 bytes, in order.
std::vector<float> normals_of(std::span<const std::byte> stream);

}  // namespace advf
