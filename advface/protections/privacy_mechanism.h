// Noise with a guarantee in the sense of differential privacy, for a record alone (the local model): for any
// two features z, z' and every set S of results, P[x(z) in S] <= e^epsilon P[x(z') in S] + delta. A feature
// is clipped to a norm of at most `clip`, so two of them lie at most 2 clip apart: that is the sensitivity.
//
// The guarantee is that of real numbers and of randomness which nobody knows. Draws have 53 bits, results are
// rounded to f32, and the generator is no cipher: whoever knows the seed can take the noise away.
#pragma once
#include <cstdint>
#include <span>

namespace advf {

enum class NoiseMechanism {
  length,    // noise of a given length: no guarantee
  laplace,   // independent Laplace noise per value, L1 norm clipped, delta = 0 (Dwork, McSherry, Nissim and
             // Smith, TCC 2006)
  gaussian,  // independent normal noise per value, L2 norm clipped; calibrated exactly (Balle and Wang, ICML
             // 2018, arXiv 1805.06530)
};

// The least delta at which normal noise of deviation sigma > 0 holds epsilon for a query of this L2
// sensitivity D > 0 (Balle and Wang, Theorem 8): Phi(D/(2 sigma) - epsilon sigma/D) - e^epsilon
// Phi(-D/(2 sigma) - epsilon sigma/D). epsilon in (0, kMostPrivacyEpsilon].
double gaussian_delta(double epsilon, double sigma, double sensitivity);
// The least sigma that holds (epsilon, delta), by binary search (Balle and Wang, Algorithm 1); of the two
// neighbours found the one that holds. delta in [kLeastDelta, 1).
double gaussian_sigma(double epsilon, double delta, double sensitivity);
// b of the density e^(-|x|/b) / (2 b): sensitivity (L1) / epsilon.
double laplace_scale(double epsilon, double sensitivity);

// Beyond them doubles do not tell the two terms of the condition apart well enough.
inline constexpr double kMostPrivacyEpsilon = 500, kLeastDelta = 1e-12;

struct PrivacyNoise {
  NoiseMechanism mechanism = NoiseMechanism::gaussian;  // not length
  double clip = 1;                                      // of the mechanism's norm
  double scale = 1;                                     // sigma, or b
};
// The most with which anybody, whatever he knows, names the right one of several features (or does whatever
// else a guess without the record has success in with at most probability `prior`) from what is stored of it:
// Phi(Phi^-1(prior) + clip / sigma), or min(e^r prior, 1 - e^-r (1 - prior)), r = clip / b. This is the bound
// of Balle, Cherubin and Hayes (S&P 2022) and Hayes, Mahloujifar and Balle (NeurIPS 2023, arXiv 2302.07225),
// taken from the middle of the ball in which features lie (docs/theory.md has the proof).
double naming_bound(const PrivacyNoise& noise, double prior);
// The feature, shortened where it is longer than `clip`, plus noise of the stream Philox(seed, stream).
void add_private_noise(std::span<const float> feature, const PrivacyNoise& noise, uint64_t seed,
                       uint64_t stream, std::span<float> out);

}  // namespace advf
