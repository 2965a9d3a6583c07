"""advface-store beside faiss's flat inner product, from the file to the ten nearest: adding, opening, and 1:N over as many random unit
vectors as asked for, without a lock and with one rotation for the set, this also with rows of fewer bytes; and, over fewer, with a rotation for
each record. In turns; nothing else should run. Takes 10 kB of disk a row. Needs faiss-cpu and numpy from PyPI; without faiss it is left out, and said so:

    python tools/bench/peers/store.py --bin build/release/bin
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time

VALUES, NEAREST = 512, 10
PROBES = {"one": 1, "many": 64}


def write_features(np, path, rows, seed):
    rng = np.random.default_rng(seed)
    out = np.lib.format.open_memmap(path, mode="w+", dtype="<f4", shape=(rows, VALUES))
    for begin in range(0, rows, 20_000):
        block = rng.standard_normal((min(20_000, rows - begin), VALUES), dtype=np.float32)
        out[begin : begin + len(block)] = block / np.linalg.norm(block, axis=1, keepdims=True)
    out.flush()


class Store:
    def __init__(self, args, folder):
        self.args, self.folder = args, folder

    def call(self, verb, name, *more):
        """Seconds of the whole process, and what it says."""
        result = os.path.join(self.folder, "result.json")
        command = [os.path.join(self.args.bin, "advface-store"), verb, os.path.join(self.folder, name + ".db"), *more,
                   "--threads", str(self.args.threads), "--json", result]
        start = time.perf_counter()
        code = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode
        seconds = time.perf_counter() - start
        if code not in (0, 3):
            raise SystemExit(f"{' '.join(command)} gave {code}")
        with open(result) as file:
            return seconds, json.load(file)


def peer(folder, threads):
    """Searches of faiss in memory, and from its file on; nothing where it is not there."""
    try:
        import faiss
    except ImportError as missing:
        print(f"SKIPPED: faiss's flat inner product: {missing}; pip install faiss-cpu")
        return None
    import numpy as np

    faiss.omp_set_num_threads(threads)
    faiss.cvar.distance_compute_blas_threshold = 20  # as in nearest.py
    rows = np.load(os.path.join(folder, "all.npy"), mmap_mode="r")
    index = faiss.IndexFlatIP(VALUES)
    for begin in range(0, len(rows), 50_000):
        index.add(np.ascontiguousarray(rows[begin : begin + 50_000]))
    path = os.path.join(folder, "index.faiss")
    faiss.write_index(index, path)

    def search(probes, from_file):
        asked = np.load(os.path.join(folder, probes + ".npy"))
        start = time.perf_counter()
        (faiss.read_index(path) if from_file else index).search(asked, NEAREST)
        return time.perf_counter() - start

    print(f"faiss-cpu {faiss.__version__}")
    return search


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default="build/release/bin", help="folder of the programs (default %(default)s)")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--own-rows", type=int, default=20_000, help="records with a rotation each")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--scratch", default=None, help="folder for the files (default: the system's)")
    args = parser.parse_args()
    import numpy as np

    with tempfile.TemporaryDirectory(dir=args.scratch) as folder:
        store = Store(args, folder)
        at = lambda name: os.path.join(folder, name)
        write_features(np, at("all.npy"), args.rows, 1)
        np.save(at("own.npy"), np.load(at("all.npy"), mmap_mode="r")[: args.own_rows])
        for name, count in PROBES.items():
            write_features(np, at(name + ".npy"), count, 2)
        subprocess.run([os.path.join(args.bin, "advface-key"), "new", at("key")], check=True, stdout=subprocess.DEVNULL)
        key = ["--key", at("key")]
        lock = ["--protect", "rotation", *key]
        per_set = lock + ["--key-mode", "per-set"]
        kinds = {"raw": (["--protect", "none"], [], "all"), "per-set": (per_set, key, "all"),
                 "per-set-f16": ([*per_set, "--rows", "f16"], key, "all"), "per-set-i8": ([*per_set, "--rows", "i8"], key, "all"),
                 "per-record": (lock, key, "own"), "per-record-fast": (lock + ["--rotation", "fast"], key, "own")}
        print(f"{args.rows} rows of {VALUES}, {args.threads} threads")
        for kind, (protect, files, rows) in kinds.items():
            store.call("init", kind, "--like", at("one.npy"), *protect)
            seconds, added = store.call("add", kind, "--in", at(rows + ".npy"), *files)
            opened = statistics.median(store.call("show", kind)[0] for _ in range(5))
            print(f"{kind}: {added['added']} added, {added['added'] / seconds:.0f}/s; opened in {opened * 1000:.0f} ms")
        search = peer(folder, args.threads)
        for probes in PROBES:
            ours, whole, memory, from_file = {k: [] for k in kinds}, {k: [] for k in kinds}, [], []
            for _ in range(args.turns):
                for kind, (_, files, rows) in kinds.items():
                    if rows == "own" and (probes == "many" or len(ours[kind]) > 0):
                        continue
                    seconds, said = store.call("identify", kind, "--in", at(probes + ".npy"), "--threshold", "0.5", *files)
                    ours[kind].append(said["search_seconds"])
                    whole[kind].append(seconds)
                    peak = said["peak_memory_bytes"]
                if search:
                    memory.append(search(probes, False))
                    from_file.append(search(probes, True))
            for kind in kinds:
                if not ours[kind]:
                    continue
                line = f"{probes} {kind}: search {statistics.median(ours[kind]):.3f} s, whole process {statistics.median(whole[kind]):.3f} s"
                if search and kinds[kind][2] == "all":
                    line += f"; faiss in memory {statistics.median(memory):.3f} s, from its file {statistics.median(from_file):.3f} s"
                    line += f": ratio {statistics.median(f / s for f, s in zip(memory, ours[kind])):.2f}"
                    line += f", from the file {statistics.median(f / s for f, s in zip(from_file, whole[kind])):.2f}"
                print(line)


if __name__ == "__main__":
    main()
