"""Writes theory.json, the oracle of test_theory.cpp: bounds of docs/theory.md, each computed another way than in C++.
Needs numpy, scipy and mpmath. Run: python theory_oracle.py > theory.json"""
import json

import mpmath as mp
import numpy as np
from scipy import stats

mp.mp.dps = 40
out = {}

# The normal distribution and its inverse.
out["quantile"] = [[float(p), float(mp.sqrt(2) * mp.erfinv(2 * mp.mpf(p) - 1))]
                   for p in (1e-12, 1e-6, 1e-3, 0.02425, 0.1, 0.3, 0.5, 0.7, 0.975, 0.999999)]


# The largest probability of an event under noise around `shift`, of those that have probability q under the same noise around
# 0: the line is cut into small cells, which are taken in the order of their likelihood ratio (Neyman and Pearson).
def best_event(cdf, shift, scale, q):
    edges = np.linspace(-40 * scale, 40 * scale + shift, 1_600_001)
    here, there = np.diff(cdf(edges)), np.diff(cdf(edges - shift))
    order = np.argsort(-there / np.maximum(here, 1e-300), kind="stable")
    taken, gained = np.cumsum(here[order]), np.cumsum(there[order])
    return float(np.interp(q, taken, gained))


out["naming"] = []
for mechanism, clip, scale, q in (("gaussian", 1, 1.2004581443979031, 0.5), ("gaussian", 1, 0.5, 0.01),
                                  ("gaussian", 3, 2.0, 0.001), ("laplace", 1, 0.5, 0.01), ("laplace", 1, 0.25, 0.3),
                                  ("laplace", 2, 1.0, 0.5)):
    noise = (stats.norm if mechanism == "gaussian" else stats.laplace)(scale=scale)
    out["naming"].append([mechanism, clip, scale, q, best_event(noise.cdf, clip, scale, q)])

# Clopper and Pearson's limits are quantiles of the beta distribution.
out["limits"] = []
for hits, trials in ((0, 3000), (3, 3000), (30, 3000), (2970, 3000), (3000, 3000), (1, 1), (5, 17)):
    low = 0.0 if hits == 0 else stats.beta.ppf(0.025, hits, trials - hits + 1)
    high = 1.0 if hits == trials else stats.beta.ppf(0.975, hits + 1, trials - hits)
    out["limits"].append([hits, trials, float(low), float(high)])

# The information of a person in a channel that says the right one of N with probability p and any other alike, summed over
# its table; and the divergence of the verifier that accepts what it says.
out["channel"] = []
for n, p in ((2, 0.9), (10, 0.5), (50, 0.99)):
    table = np.full((n, n), (1 - p) / (n - 1))
    np.fill_diagonal(table, p)
    joint = table / n
    bits = float(np.sum(joint * np.log2(joint / np.outer(joint.sum(1), joint.sum(0)))))
    out["channel"].append([n, p, (1 - p) / (n - 1), bits])

# Linear encoders of normal images: the mean squared error of the conditional mean, which nobody beats.
rng = np.random.default_rng(3)
out["linear"] = []
for d, k, sigma in ((6, 3, 0.5), (5, 5, 0.1), (8, 2, 2.0)):
    b = rng.standard_normal((d, d)) * np.linspace(1, 0.2, d)
    prior, a = b @ b.T, rng.standard_normal((k, d))
    error = prior - prior @ a.T @ np.linalg.inv(a @ prior @ a.T + sigma**2 * np.eye(k)) @ a @ prior
    out["linear"].append(dict(prior=prior.ravel().tolist(), encoder=a.ravel().tolist(), values=d, outputs=k, sigma=sigma,
                              error=float(np.trace(error)) / d,
                              # Of least squares, which is right on average, where there is such a one.
                              unbiased=sigma**2 * float(np.trace(np.linalg.inv(a.T @ a))) / d if k == d else None))

# A curved encoder of one value: x standard normal, z = tanh(2 x) + noise; the least error by two integrals.
out["curved"] = []
for sigma in (0.05, 0.3, 1.0, 4.0):
    x = np.linspace(-9, 9, 6001)
    px = stats.norm.pdf(x)
    z = np.linspace(-1 - 9 * sigma, 1 + 9 * sigma, 4001)
    joint = px[None, :] * stats.norm.pdf(z[:, None], loc=np.tanh(2 * x)[None, :], scale=sigma)
    pz = np.trapezoid(joint, x, axis=1)
    mean = np.trapezoid(joint * x, x, axis=1) / pz
    least = 1 - np.trapezoid(mean**2 * pz, z)
    slope = np.trapezoid((2 / np.cosh(2 * x)**2)**2 * px, x)
    out["curved"].append([sigma, float(slope), float(least)])

print(json.dumps(out))
