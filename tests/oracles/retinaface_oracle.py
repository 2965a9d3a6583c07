"""Writes oracles/detector/retinaface_outputs.npy (random outputs of a network with priors: rows of ground, face, box, landmarks) and
retinaface_faces.npy (box, landmarks, score of those above 0.6), decoded as the SSD family does it: priors as centre and size in shares
of the picture, all of them in one array, offsets times variance times size, then back to pixels.

    python tests/oracles/retinaface_oracle.py     (needs numpy)
"""
from itertools import product
from pathlib import Path

import numpy as np

width, height, steps, min_sizes, variances = 96, 64, [8, 16], [[16, 32], [48, 64]], [0.1, 0.2]
priors = []
for step, sizes in zip(steps, min_sizes):
    for row, column in product(range(height // step), range(width // step)):
        for size in sizes:
            priors.append([(column + 0.5) * step / width, (row + 0.5) * step / height, size / width, size / height])
priors = np.array(priors)
rng = np.random.default_rng(7)
logits = rng.normal(0, 1, (len(priors), 2)) - np.array([0, 1])
scores = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
loc, points = rng.normal(0, 2, (len(priors), 4)), rng.normal(0, 3, (len(priors), 10))

boxes = np.concatenate([priors[:, :2] + loc[:, :2] * variances[0] * priors[:, 2:], priors[:, 2:] * np.exp(loc[:, 2:] * variances[1])], 1)
boxes[:, :2] -= boxes[:, 2:] / 2
places = np.concatenate([priors[:, :2] + points[:, 2 * i:2 * i + 2] * variances[0] * priors[:, 2:] for i in range(5)], 1)
faces = np.concatenate([boxes * np.tile([width, height], 2), places * np.tile([width, height], 5), scores[:, 1:]], 1)

folder = Path(__file__).parent / "detector"
np.save(folder / "retinaface_outputs.npy", np.concatenate([scores, loc, points], 1).astype(np.float32))
np.save(folder / "retinaface_faces.npy", faces[scores[:, 1] > 0.6].astype(np.float32))
print(len(priors), (scores[:, 1] > 0.6).sum())
