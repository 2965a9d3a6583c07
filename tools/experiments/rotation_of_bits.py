#!/usr/bin/env python3
"""What a rotation that a whole set shares leaves of bits: --in holds rows of +-c, as advface-protect --protect projection --protect
quantise --bits 1 makes them. They are turned by a rotation drawn here, and the attacker has the turned rows and, of some records, their
bits: he whitens the rows, looks for directions of least fourth moment (FastICA with the cube, Hyvärinen 1999), fits signs and rotation in
turn (orthogonal Procrustes), and takes order and signs from the known pairs. Beside him stands the linear map that fits the pairs. Needs
numpy:

    rotation_of_bits.py --in bits.npy [--records 3200] [--pairs 8,12,16] [--seed 1]
"""
import argparse
import sys

try:
    import numpy as np
except ImportError:
    sys.exit("rotation_of_bits.py: numpy is missing")

MOST_STEPS = 400


def nearest_rotation(matrix):
    left, _, right = np.linalg.svd(matrix)
    return left @ right


def axes_of(rows, rng):
    """(k, k): turns rows so that each column is +-1, up to order and signs."""
    count, k = rows.shape
    values, vectors = np.linalg.eigh(rows.T @ rows / count)
    whiten = vectors @ np.diag(values ** -0.5) @ vectors.T
    white = rows @ whiten
    turn = nearest_rotation(rng.standard_normal((k, k)))
    for _ in range(MOST_STEPS):
        moments = ((white @ turn.T) ** 3).T @ white / count - 3 * turn
        better = nearest_rotation(-moments)
        change = np.abs(np.abs((better * turn).sum(1)) - 1).max()
        turn = better
        if change < 1e-9:
            break
    turn = turn @ whiten
    for _ in range(MOST_STEPS):
        better = nearest_rotation(np.sign(rows @ turn.T).T @ rows)
        change = np.abs(better - turn).max()
        turn = better
        if change < 1e-12:
            break
    return turn


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--in", dest="rows", required=True)
    parser.add_argument("--records", type=int, default=3200)
    parser.add_argument("--pairs", default="8,12,16")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    bits = np.sign(np.load(args.rows).astype(np.float64)[: args.records])
    count, k = bits.shape
    if not np.abs(bits).all() or count < 4 * k:
        sys.exit(f"{args.rows}: {count} rows of {k} values; bits without zeros are needed, and four rows for each value")
    stored = bits @ nearest_rotation(rng.standard_normal((k, k))).T

    found = stored @ axes_of(stored, rng).T
    read = np.sign(found)
    grid = int((np.abs(np.abs(found) - 1).max(0) < 1e-3).sum())
    right = int((np.abs(read.T @ bits).max(1) == count).sum())
    print(f"{count} rows: {grid} of {k} columns are +-1, {right} are a bit of the records but for its sign")
    for known in map(int, args.pairs.split(",")):
        pairs = rng.choice(count, known, replace=False)
        rest = np.setdiff1d(np.arange(count), pairs)
        alike = read[pairs].T @ bits[pairs]
        bit = np.abs(alike).argmax(0)  # for each bit the column that says it
        guess = read[:, bit] * np.sign(alike[bit, np.arange(k)])
        linear = np.sign(stored @ (np.linalg.pinv(stored[pairs]) @ bits[pairs]))
        print(f"{known} pairs: {np.mean(guess[rest] == bits[rest]):.3f} of the bits of other records, "
              f"linear map {np.mean(linear[rest] == bits[rest]):.3f}")


if __name__ == "__main__":
    main()
