"""1:N beside faiss's flat inner product: the ten nearest of 200,000 vectors of 512, for one probe and for 64 at a time, on the
same number of threads. Ours is W9 of advface-bench. In turns; nothing else should run. Needs faiss-cpu and numpy from PyPI,
and says so and leaves faiss out where they are not there:

    python tools/bench/peers/nearest.py --bench build/release/bin/advface-bench
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time

ROWS, VALUES, NEAREST = 200_000, 512, 10
BATCHES = {"one": 1, "many": 64}


def peer(threads):
    """Name of a row -> seconds of one search; nothing where faiss is not there."""
    try:
        import faiss
        import numpy as np
    except ImportError as missing:
        print(f"SKIPPED: faiss's flat inner product: {missing}; pip install faiss-cpu numpy")
        return {}, ""
    faiss.omp_set_num_threads(threads)
    faiss.cvar.distance_compute_blas_threshold = 20  # of older versions; with the default of 1.15 64 probes take 7 times as long
    rng = np.random.default_rng(1)

    def unit(n):
        rows = rng.standard_normal((n, VALUES), dtype=np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    index = faiss.IndexFlatIP(VALUES)
    index.add(unit(ROWS))
    probes = {name: unit(n) for name, n in BATCHES.items()}

    def seconds(name):
        start = time.perf_counter()
        index.search(probes[name], NEAREST)
        return time.perf_counter() - start

    return {name: (lambda name=name: seconds(name)) for name in BATCHES}, faiss.__version__


def ours(args, scratch):
    """Name of a row -> seconds, the medians of one run of advface-bench."""
    result = os.path.join(scratch, "bench.json")
    subprocess.run([args.bench, "--filter", "W9", "--repeat", str(args.repeat), "--threads", str(args.threads), "--json", result],
                   check=True, stdout=subprocess.DEVNULL)
    with open(result) as file:
        rows = json.load(file)["workloads"]
    return {row["variant"]: row["median_s"] for row in rows}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", default="build/release/bin/advface-bench", help="the program (default %(default)s)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="of both (default: all)")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--repeat", type=int, default=5, help="searches in a turn, of which the median counts")
    args = parser.parse_args()
    searches, version = peer(args.threads)
    mine, theirs = {name: [] for name in BATCHES}, {name: [] for name in BATCHES}
    with tempfile.TemporaryDirectory() as scratch:
        for _ in range(args.turns):
            for name, seconds in ours(args, scratch).items():
                mine[name].append(seconds)
            for name, search in searches.items():
                search()  # warm
                theirs[name].append(statistics.median(search() for _ in range(args.repeat)))
    print(f"{ROWS} vectors of {VALUES}, {NEAREST} nearest, {args.threads} threads" + (f", faiss-cpu {version}" if version else ""))
    for name, probes in BATCHES.items():
        line = f"{name} ({probes}): {probes / statistics.median(mine[name]):.1f} probes/s"
        if searches:
            ratio = statistics.median(t / m for m, t in zip(mine[name], theirs[name]))
            line += f", faiss {probes / statistics.median(theirs[name]):.1f}, ratio {ratio:.2f} (above 1 where AdvFace is faster)"
        print(line)


if __name__ == "__main__":
    main()
