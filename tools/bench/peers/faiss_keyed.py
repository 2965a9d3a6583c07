"""What a rotation for the whole set (`per-set` keys) costs an index of others: faiss over features as they are and over the same features
as advface-store exports them. Inner products are the same under one rotation, so recall and speed should be; here they are measured, in
turns, of a flat index and of one that is approximate (HNSW). People are random directions of a space of 48 dimensions within that of the
features, as embeddings are; records and probes lie near them. Needs faiss-cpu
and numpy from PyPI; without faiss it says so:

    python tools/bench/peers/faiss_keyed.py --bin build/release/bin
"""

import argparse
import os
import statistics
import subprocess
import tempfile
import time

NEAREST = 10


def people(np, records, probes, values, seed):
    """Records, and probes of some of the same people: cosines of some 0.7 within a person."""
    rng = np.random.default_rng(seed)

    def near(centre):
        noise = rng.standard_normal(centre.shape, dtype=np.float32) / np.sqrt(np.float32(values))
        rows = centre + np.float32(0.65) * noise
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    centre = rng.standard_normal((records, 48), dtype=np.float32) @ rng.standard_normal((48, values), dtype=np.float32)
    centre /= np.linalg.norm(centre, axis=1, keepdims=True)
    return near(centre), near(centre[:probes])


def keyed(np, args, folder, rows):
    """The rows as a store exports them, under one rotation."""
    def call(program, *words):
        done = subprocess.run([os.path.join(args.bin, program), *words], capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{program} {' '.join(words)}: {done.stderr}")

    path = {name: os.path.join(folder, name) for name in ("rows.npy", "names.txt", "store.key", "people.db", "keyed.npy")}
    np.save(path["rows.npy"], rows)
    with open(path["names.txt"], "w") as names:
        names.writelines(f"{i}\n" for i in range(len(rows)))
    call("advface-key", "new", path["store.key"])
    lock = ("--key", path["store.key"])
    call("advface-store", "init", path["people.db"], "--like", path["rows.npy"], "--protect", "rotation", "--key-mode", "per-set", *lock)
    call("advface-store", "add", path["people.db"], "--in", path["rows.npy"], "--subjects", path["names.txt"], *lock)
    call("advface-store", "export", path["people.db"], "--out", path["keyed.npy"])
    return np.load(path["keyed.npy"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default="build/release/bin")
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--probes", type=int, default=1_000)
    parser.add_argument("--values", type=int, default=512)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=5)
    args = parser.parse_args()
    try:
        import faiss
    except ImportError as missing:
        print(f"SKIPPED: {missing}; pip install faiss-cpu")
        return
    import numpy as np

    faiss.omp_set_num_threads(args.threads)
    records, probes = people(np, args.records, args.probes, args.values, 1)
    with tempfile.TemporaryDirectory() as folder:
        both = keyed(np, args, folder, np.concatenate([records, probes]))
    sides = {"raw": (records, probes), "keyed": (both[: len(records)], both[len(records) :])}
    kinds = {
        "flat": lambda: faiss.IndexFlatIP(args.values),
        "HNSW32": lambda: faiss.IndexHNSWFlat(args.values, 32, faiss.METRIC_INNER_PRODUCT),
    }
    exact = None
    print(f"{args.records:,} records of {args.values} values, {args.probes:,} probes, {args.threads} threads, faiss {faiss.__version__}")
    print("| index | features | first is the person | of the exact ten | probes/s |")
    print("|---|---|---|---|---|")
    for kind, make in kinds.items():
        indexes = {}
        for side, (rows, _) in sides.items():
            indexes[side] = make()
            indexes[side].add(np.ascontiguousarray(rows))
        seconds, found = {side: [] for side in sides}, {}
        for _ in range(args.turns):
            for side, (_, asked) in sides.items():
                start = time.perf_counter()
                _, found[side] = indexes[side].search(np.ascontiguousarray(asked), NEAREST)
                seconds[side].append(time.perf_counter() - start)
        exact = found["raw"] if exact is None else exact
        for side in sides:
            first = np.mean(found[side][:, 0] == np.arange(args.probes))
            recall = np.mean([len(set(a) & set(b)) / NEAREST for a, b in zip(found[side], exact)])
            print(f"| {kind} | {side} | {first:.4f} | {recall:.4f} | {args.probes / statistics.median(seconds[side]):,.0f} |")


if __name__ == "__main__":
    main()
