"""From embeddings, as insightface and facenet-pytorch hand them out, to a protected store and back to scores.

    python embeddings_to_store.py FOLDER

Reads top to bottom like a notebook. Where those packages are not installed, people who do not exist take their place.
"""

import sys
from pathlib import Path

import numpy as np

import advface

if len(sys.argv) != 2:
    sys.exit("usage: python embeddings_to_store.py FOLDER")
folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
random = np.random.default_rng(1)
PEOPLE, DIMENSION = 50, 512


# %% What a recogniser hands out
#
#   insightface:        [face.normed_embedding for face in app.get(picture)]   float32 (512,), norm 1
#   facenet-pytorch:    InceptionResnetV1(...)(crops)                           torch, float32 (N, 512), norm 1
#
# `face.embedding` of insightface has another length: divide by it. A torch tensor on the CPU is read where it lies.
def photographs(of, spread=0.8):
    """One photograph's embedding of each: near the person's others."""
    v = of + spread * random.standard_normal(of.shape) / np.sqrt(DIMENSION)
    return (v / np.linalg.norm(v, axis=1, keepdims=True)).astype(np.float32)


who = random.standard_normal((PEOPLE + 20, DIMENSION))
who /= np.linalg.norm(who, axis=1, keepdims=True)
first, second = photographs(who), photographs(who)
names = [f"person {i}" for i in range(PEOPLE)]

# %% A key, and what is stored
# Every record has a rotation of its own, drawn from its number: here 0, 1, ... of a new set; who comes later goes on from
# there (records=PEOPLE), so that no two people ever share one.
(folder / "face.key").unlink(missing_ok=True)
key = advface.Key.new(folder / "face.key")
lock = advface.Protection("rotation", shape=DIMENSION, key=key)
stored = lock.protect(first[:PEOPLE], records=0)
print(f"stored rows say nothing: cosine to the raw ones at most {np.abs(np.sum(stored * first[:PEOPLE], 1)).max():.2f}")

# Keep the description beside the rows; the key lies elsewhere.
np.save(folder / "stored.npy", stored)
(folder / "stored.json").write_text(lock.description)

# %% The matching side, another day
again = advface.Protection(
    shape=DIMENSION, key=advface.Key(folder / "face.key"), description=(folder / "stored.json").read_text()
)
genuine = again.score(np.load(folder / "stored.npy"), second[:PEOPLE], records=0)
raw = advface.score(first[:PEOPLE], second[:PEOPLE])
print(f"scores behind the lock are those of the raw ones to {np.abs(genuine - raw).max():.1e}")
assert np.abs(genuine - raw).max() < 1e-5

# %% The same in a store, which gives the numbers, and forgets
(folder / "people.db").unlink(missing_ok=True)
with advface.Store.create(folder / "people.db", "rotation", shape=DIMENSION, key=key) as store:
    store.add(first[:PEOPLE], names)
    print(f"{len(store)} people in the store")
    found = store.identify(second, k=1)
    right = sum(f[0].subject == n for f, n in zip(found, names))
    strangers = max(f[0].score for f in found[PEOPLE:])
    print(f"{right} of {PEOPLE} are found; strangers reach {strangers:.2f}, people themselves {genuine.min():.2f} at least")
    assert right == PEOPLE and strangers < genuine.min()
    store.remove("person 7")
    assert store.identify(second[7])[0][0].subject != "person 7"
