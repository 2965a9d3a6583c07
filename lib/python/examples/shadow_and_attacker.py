"""A shadow is trained on arrays, features are protected with it, one attacker tries to draw the faces, and what he
reaches is plotted.

    python shadow_and_attacker.py RECOGNISER.json FOLDER

Reads top to bottom like a notebook. Faces are arrays (N, H, W, 3), cut out as the recogniser's card wants them; here
they are made of noise, so that the script runs anywhere. Training is a program's work (advface-train): it takes
minutes to hours for real ones.
"""

import sys
from pathlib import Path

import numpy as np

import advface

card, folder = Path(sys.argv[1]), Path(sys.argv[2])
folder.mkdir(parents=True, exist_ok=True)
random = np.random.default_rng(1)
PEOPLE, EACH, SIDE = 100, 3, 32


# %% Faces: smooth pictures, a person's own pattern and something of each photograph
def faces_of(people):
    coarse = random.uniform(0, 255, (people, 1, 5, 5, 3)) + random.uniform(-30, 30, (people, EACH, 5, 5, 3))
    at = np.linspace(0, 3.999, SIDE)
    low, share = at.astype(int), (at % 1)[:, None]
    rows = coarse[:, :, low] * (1 - share[..., None]) + coarse[:, :, low + 1] * share[..., None]
    full = rows[:, :, :, low] * (1 - share) + rows[:, :, :, low + 1] * share
    return np.clip(full, 0, 255).astype(np.uint8).reshape(people * EACH, SIDE, SIDE, 3)


train, test = faces_of(PEOPLE), faces_of(10)
who = np.repeat(np.arange(PEOPLE), EACH)

# %% The server's shadow, and an attacker who trains on raw features: two decoders of different kinds
recogniser = advface.Recogniser(card)
small = {"image_size": SIDE, "batch": 16, "epochs": 4}
shadow = advface.train_shadow(train, who, card, folder / "shadow.safetensors", decoder="deconv", **small)
attacker = advface.train_shadow(
    train, who, card, folder / "attacker.safetensors", role="attacker", decoder="resup", seed=2, **small
)
print("the attacker takes features of shape", attacker.info["feature"])

# %% People whom nobody was trained on: their features, protected with more and more noise
features = recogniser.extract(test)
truth = test.transpose(0, 3, 1, 2).astype(np.float32) / 255
table = ["epsilon,error,cosine"]
for epsilon in (0, 0.1, 0.2, 0.4):
    stored = features
    if epsilon > 0:
        lock = advface.Protection(shadow=shadow.path, epsilon=epsilon, recogniser=recogniser)
        stored = lock.protect(features, records=0)  # the noise of a record begins where its number says
    drawn = attacker.reconstruct(stored)
    error = float(np.abs(drawn - truth).mean())
    table.append(f"{epsilon},{error},{advface.score(stored, features).mean()}")
    print(f"epsilon {epsilon}: mean error of a pixel {error:.3f}")
(folder / "attack.csv").write_text("\n".join(table) + "\n")

# %% And the plot, by a program too
advface.run(
    "evaluate", "plot", "--out", folder / "attack.svg", "--title", "one attacker", "--x-label", "epsilon",
    "--y-label", "mean error of a pixel", "--series", f"transfer={folder / 'attack.csv'},x=epsilon,y=error",
)  # fmt: skip
print("drawn:", folder / "attack.svg")
