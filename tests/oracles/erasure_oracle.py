"""Writes erasure.json, the oracle of test_erasure.cpp: attributes taken out of features as the papers state it, with the
matrices that they name (a square root, its inverse, projections), none of which the project computes. Needs numpy.
Run: python erasure_oracle.py > erasure.json"""
import json

import numpy as np

rng = np.random.default_rng(5)


def shrunk(cov, n):
    """Chen, Wiesel, Eldar and Hero 2010, eq. 23."""
    p, t, s = len(cov), np.trace(cov), np.trace(cov @ cov)
    rho = min(1, ((1 - 2 / p) * s + t * t) / ((n + 1 - 2 / p) * (s - t * t / p)))
    return rho, (1 - rho) * cov + rho * t / p * np.eye(p)


def leace(x, z):
    """Belrose et al. 2023, theorem 4.3."""
    xc, zc = x - x.mean(0), z - z.mean(0)
    rho, sigma = shrunk(xc.T @ xc / len(x), len(x))
    values, vectors = np.linalg.eigh(sigma)
    root, whiten = vectors * np.sqrt(values) @ vectors.T, vectors / np.sqrt(values) @ vectors.T
    white = whiten @ (xc.T @ zc / len(x))
    project = white @ np.linalg.pinv(white, rcond=1e-8)
    return rho, x - xc @ (root @ project @ whiten).T


def nullspace(x, z, rounds):
    """Ravfogel et al. 2020, algorithm 1, the classifier being least squares on the shrunk covariance."""
    xc, zc = x - x.mean(0), z - z.mean(0)
    w = np.zeros((x.shape[1], 0))
    for _ in range(rounds):
        keep = np.eye(x.shape[1]) - w @ np.linalg.pinv(w)
        y = xc @ keep
        _, sigma = shrunk(y.T @ y / len(y), len(y))
        w = np.hstack([w, np.linalg.solve(sigma, y.T @ zc / len(y))])
    return x - xc @ w @ np.linalg.pinv(w)


cases = []
for n, d, k in ((60, 7, 2), (9, 12, 1)):
    z = (rng.random((n, k)) < 0.4).astype(float)
    z[:2], z[2:4] = 1, 0
    x = np.round(rng.standard_normal((n, d)) @ rng.standard_normal((d, d)) + z @ rng.standard_normal((k, d)), 2)
    rho, erased = leace(x, z)
    cases.append(dict(d=d, x=x.ravel().tolist(), z=z.astype(int).T.tolist(), shrinkage=rho, leace=erased.ravel().round(10).tolist(),
                      rounds=2, nullspace=nullspace(x, z, 2).ravel().round(10).tolist()))
print(json.dumps(cases))
