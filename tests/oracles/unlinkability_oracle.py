"""Writes unlinkability.json, the oracle of test_unlinkability.cpp: D(s) and D_sys of Gomez-Barrero et al. (IEEE TIFS 13(6),
2018), each computed the slow and obvious way. Needs numpy. Run: python unlinkability_oracle.py > unlinkability.json"""
import json
from fractions import Fraction

import numpy as np

rng = np.random.default_rng(11)


def philox(seed, stream, counter):
    c = [counter & 0xFFFFFFFF, counter >> 32, stream & 0xFFFFFFFF, stream >> 32]
    k = [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(p1 >> 32) ^ c[1] ^ k[0], p1 & 0xFFFFFFFF, (p0 >> 32) ^ c[3] ^ k[1], p0 & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


def edges_of(mated, others, bins):
    """Upper ends of bins with equal parts of the even mixture of both samples; ties stay together."""
    edges, part, done = [], Fraction(0), 0
    for value in np.unique(np.concatenate([mated, others])):
        part += Fraction(int(np.sum(mated == value)), 2 * len(mated)) + Fraction(int(np.sum(others == value)), 2 * len(others))
        if part * bins >= done + 1:
            edges.append(float(value))
            done = int(part * bins)
    return edges


def local(mated, others, edges, odds):
    m = np.bincount(np.searchsorted(edges, mated), minlength=len(edges)) / len(mated)
    n = np.bincount(np.searchsorted(edges, others), minlength=len(edges)) / len(others)
    d = np.zeros(len(edges))
    for k in range(len(edges)):
        if odds * m[k] > n[k]:  # LR = m / n; without any non-mated score it is without end, and D is 1
            d[k] = 1.0 if n[k] == 0 else 2 * odds * m[k] / n[k] / (1 + odds * m[k] / n[k]) - 1
    return m, n, d, float(np.sum(m * d))


cases = []
for name, mated, others, bins, odds in [
    ("apart", rng.normal(1.2, 1, 300), rng.normal(0, 1, 4000), 8, 1.0),
    ("ties", np.round(rng.normal(0.5, 1, 120), 1), np.round(rng.normal(0, 1, 900), 1), 6, 1.0),
    ("odds", rng.normal(0.4, 1.5, 200), rng.normal(0, 1, 2000), 10, 0.25),
    ("same", rng.normal(0, 1, 250), rng.normal(0, 1, 2500), 6, 1.0),
    ("disjoint", rng.uniform(2, 3, 50), rng.uniform(0, 1, 500), 4, 1.0),
    ("constant", np.ones(20), np.round(rng.uniform(0, 1, 100), 2), 4, 1.0),
]:
    mated, others = np.round(mated, 4), np.round(others, 4)
    edges = edges_of(mated, others, bins)
    m, n, d, system = local(mated, others, edges, odds)
    cases.append(dict(name=name, mated=mated.tolist(), non_mated=others.tolist(), bins=bins, odds=odds, edges=edges, d=d.tolist(),
                      d_sys=system))

# A score for every pair of records of 14 people with three photographs each; whole: the corrected interval.
person = np.repeat(np.arange(14), 3)
scores = np.round(rng.normal(0, 1, (42, 42)) + 1.5 * (person[:, None] == person[None, :]), 4)
mated = [(i, i) for i in range(42)]
others = [(i, j) for i in range(42) for j in range(42) if person[i] != person[j]]
m_scores, o_scores = np.array([scores[p] for p in mated]), np.array([scores[p] for p in others])
edges = edges_of(m_scores, o_scores, 4)
m, n, d, system = local(m_scores, o_scores, edges, 1.0)
m_people, o_people = np.array([person[i] for i, _ in mated]), np.array([person[i] for i, _ in others])
drawn = []
for r in range(2000):
    pick = []
    for g in range(14):
        b = philox(5, 0, r * 14 + g)
        pick.append(((b[1] << 32 | b[0]) * 14) >> 64)
    drawn.append(local(np.concatenate([m_scores[m_people == p] for p in pick]),
                       np.concatenate([o_scores[o_people == p] for p in pick]), edges, 1.0)[3])
cut = lambda v: float(min(1, max(0, v)))
whole = dict(scores=scores.ravel().tolist(), person=person.tolist(), seed=5, d_sys=system, mean=cut(2 * system - np.mean(drawn)),
             low=cut(2 * system - np.quantile(drawn, 0.975)), high=cut(2 * system - np.quantile(drawn, 0.025)))

# What no sample has: D_sys of N(a, 1) beside N(0, 1), by a fine sum.
x = np.linspace(-12, 14, 2_000_001)
exact = []
for a in (0.5, 1.0, 2.0):
    f, g = np.exp(-((x - a) ** 2) / 2), np.exp(-(x**2) / 2)
    exact.append(dict(shift=a, d_sys=float(np.sum(f * np.maximum(f - g, 0) / (f + g)) / np.sum(f))))

print(json.dumps(dict(cases=cases, whole=whole, exact=exact)))
