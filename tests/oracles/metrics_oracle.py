"""Writes metrics.json, the oracle of test_metrics.cpp: verification, thresholds, bootstrap and moment matching, each
computed the slow and obvious way. Needs numpy. Run: python metrics_oracle.py > metrics.json"""
import itertools
import json

import numpy as np

rng = np.random.default_rng(7)
out = {}

# Verification. Two decimals, so that scores tie often.
n = 300
genuine = np.arange(n) % 2 == 0
score = np.round(np.where(genuine, 0.55, 0.25) + 0.2 * rng.standard_normal(n), 2)
fold = np.arange(n) // 30
accuracy, threshold = [], []
for f in range(10):
    train = fold != f
    s = np.sort(score[train])
    candidates = (s[1:] + s[:-1]) / 2
    correct = [np.sum((score[train] >= c) == genuine[train]) for c in candidates]
    best = candidates[int(np.argmax(correct))]  # the first of the best is the lowest
    threshold.append(best)
    accuracy.append(np.mean((score[~train] >= best) == genuine[~train]))
tar = []
for far in (0.0, 0.01, 0.05, 0.1, 0.3):
    # The smallest of many candidate thresholds; just above each score is where anything changes.
    candidates = np.unique(np.concatenate([[-10.0], np.nextafter(score, 10)]))
    ok = [t for t in candidates if np.mean(score[~genuine] >= t) <= far]
    tar.append([far, min(ok), float(np.mean(score[genuine] >= min(ok))), float(np.mean(score[~genuine] >= min(ok)))])
points = [(0.0, 1.0)] + [(float(np.mean(score[~genuine] >= t)), float(np.mean(score[genuine] < t))) for t in np.unique(score)[::-1]]
for (fa0, fr0), (fa1, fr1) in zip(points, points[1:]):
    if fa1 >= fr1:
        w = (fr0 - fa0) / ((fr0 - fa0) + (fa1 - fr1))
        eer = fa0 + w * (fa1 - fa0)
        break
out["verification"] = dict(score=score.tolist(), genuine=genuine.astype(int).tolist(), fold=fold.tolist(), accuracy=accuracy,
                           threshold=threshold, mean=float(np.mean(accuracy)), deviation=float(np.std(accuracy, ddof=1)),
                           tar=tar, eer=eer)

# All pairs of different identity. Few decimals only shorten the file.
emb = np.round(rng.standard_normal((150, 20)), 3).astype(np.float32)
identity = rng.integers(0, 40, 150)
unit = emb.astype(np.float64) / np.linalg.norm(emb.astype(np.float64), axis=1, keepdims=True)
cos = np.array([unit[i] @ unit[j] for i, j in itertools.combinations(range(150), 2) if identity[i] != identity[j]])
fmr = 0.01
allowed = int(np.floor(fmr * len(cos)))
out["cross"] = dict(embeddings=[[round(float(v), 3) for v in row] for row in emb], identity=identity.tolist(), fmr=fmr,
                    pairs=len(cos), accepted=allowed, limit=float(np.sort(cos)[::-1][allowed]))


# Bootstrap over identities, on the project's random numbers.
def philox(seed, stream, counter):
    c = [counter & 0xFFFFFFFF, counter >> 32, stream & 0xFFFFFFFF, stream >> 32]
    k = [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(p1 >> 32) ^ c[1] ^ k[0], p1 & 0xFFFFFFFF, (p0 >> 32) ^ c[3] ^ k[1], p0 & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


values = np.round(rng.standard_normal(40), 3)
people = rng.integers(0, 9, 40)
names = np.unique(people)
means = []
for r in range(1000):
    drawn = []
    for g in range(len(names)):
        b = philox(11, 0, r * len(names) + g)
        drawn.append(((b[1] << 32 | b[0]) * len(names)) >> 64)
    means.append(np.concatenate([values[people == names[d]] for d in drawn]).mean())
out["bootstrap"] = dict(values=values.tolist(), identity=people.tolist(), seed=11, resamples=1000, mean=float(values.mean()),
                        low=float(np.quantile(means, 0.025)), high=float(np.quantile(means, 0.975)))

# Moment matching.
images = np.round(rng.random((2, 3, 4, 4)), 3)
target = np.round(rng.random((3, 4, 4)), 3)
m, s = images.mean((2, 3), keepdims=True), images.std((2, 3), keepdims=True)
matched = np.clip((images - m) / s * target.std((1, 2))[None, :, None, None] + target.mean((1, 2))[None, :, None, None], 0, 1)
out["moments"] = dict(images=images.ravel().tolist(), target=target.ravel().tolist(), matched=matched.ravel().tolist())

print(json.dumps(out))
