"""The figures of docs/scale.md: what ranks of an MPI cost a training, a store on a PostgreSQL server beside one in a file, and the memory that
features take which are protected from one file into another. In turns; nothing else should run:

    python tools/bench/peers/scale.py training --bin build/release/bin -- --recogniser facenet.json --images faces --cache cache
    python tools/bench/peers/scale.py store --bin build/release/bin
    python tools/bench/peers/scale.py memory --bin build/release/bin

`training` takes what `advface-train shadow` takes behind --, and a built advface-train-mpi and its mpirun; the cache should be filled (a first,
untimed run does). `store` starts a server of its own by tests/postgres_server.sh; `memory` takes twice 2 kB of disk a row. Both need numpy from PyPI.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

from store import VALUES, write_features

SERVER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "tests", "postgres_server.sh")


def call(command, **more):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **more)
    if done.returncode not in (0, 3):  # 3: somebody was not found, and the call did its work
        raise SystemExit(f"{' '.join(command)} gave {done.returncode}:\n{done.stderr}")
    return done


def training(args):
    program = os.path.join(args.bin, "advface-train-mpi")
    # With Debian's Open MPI root starts nothing that it was not told to.
    environment = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    ranks = ["mpirun", "-np", str(args.ranks), program]
    kinds = {
        f"one process, {args.ranks} threads": ([program], ["--threads", str(args.ranks)]),
        f"{args.ranks} ranks of 1 thread": (ranks, ["--threads", "1"]),
        "with `--bn-per-rank`": (ranks, ["--threads", "1", "--bn-per-rank"]),
    }
    rates, told = {kind: [] for kind in kinds}, {}
    with tempfile.TemporaryDirectory(dir=args.scratch) as folder:
        out, result = os.path.join(folder, "shadow.safetensors"), os.path.join(folder, "result.json")

        def run(kind, epochs):
            start, more = kinds[kind]
            done = call([*start, "shadow", *args.settings, *more, "--epochs", str(epochs), "--out", out, "--json", result], env=environment)
            with open(result) as file:
                said = json.load(file)
            sent = re.search(r"ranks: each (sent .*)", done.stderr)
            told[kind] = sent.group(1) if sent else "sends nothing"
            return said, [said["train_images"] / epoch["seconds"] for epoch in said["history"]]

        said, _ = run(next(iter(kinds)), 1)
        print(f"{said['train_images']:,} images, {said['parameters']:,} weights, {args.epochs} epochs in each of {args.turns} turns", flush=True)
        for turn in range(args.turns):
            for kind in kinds:
                rates[kind] += run(kind, args.epochs)[1]
                print(f"turn {turn + 1}, {kind}: {statistics.median(rates[kind]):,.0f} images/s; {told[kind]}", file=sys.stderr, flush=True)
    alone = statistics.median(rates[next(iter(kinds))])
    print("| " + " | ".join(kinds) + " |\n" + "|---" * len(kinds) + "|")
    print("| " + " | ".join(f"{statistics.median(r):,.0f} ({statistics.median(r) / alone:.2f})" for r in rates.values()) + " |")
    for kind, what in told.items():
        print(f"{kind}: {what}")


def templates(args):
    import numpy as np

    # The server's files belong to an ordinary user, who must reach them.
    with tempfile.TemporaryDirectory(dir=args.scratch) as folder:
        os.chmod(folder, 0o755)
        at = lambda name: os.path.join(folder, name)
        write_features(np, at("all.npy"), args.rows, 1)
        for probes in (1, 64):
            write_features(np, at(f"{probes}.npy"), probes, 2)
        call([os.path.join(args.bin, "advface-key"), "new", at("key")])
        key = ["--key", at("key")]

        def verb(where, name, *more):
            """Seconds of the whole process, and what it says."""
            start = time.perf_counter()
            call([os.path.join(args.bin, "advface-store"), name, where, *more, "--threads", str(args.threads), "--json", at("result.json")])
            seconds = time.perf_counter() - start
            with open(at("result.json")) as file:
                return seconds, json.load(file)

        added = {"PostgreSQL": [], "file": []}
        asked = {(where, probes): [] for where in added for probes in (1, 64)}
        for turn in range(args.turns):
            server = subprocess.run(["bash", SERVER, "start", at(f"server{turn}")], stdout=subprocess.PIPE, text=True, check=False)
            if server.returncode:
                raise SystemExit(f"no server: {server.stdout}")
            try:
                places = {"PostgreSQL": server.stdout.strip(), "file": at(f"people{turn}.db")}
                for kind, where in places.items():
                    verb(where, "init", "--like", at("all.npy"), "--protect", "rotation", "--key-mode", "per-set", *key)
                    seconds, said = verb(where, "add", "--in", at("all.npy"), *key)
                    added[kind].append(said["added"] / seconds)
                for _ in range(3):
                    for kind, where in places.items():
                        for probes in (1, 64):
                            asked[kind, probes].append(verb(where, "identify", "--in", at(f"{probes}.npy"), "--threshold", "0.5", *key)[0])
            finally:
                subprocess.run(["bash", SERVER, "stop", at(f"server{turn}")], check=False)
        print(f"{args.rows:,} records of {VALUES} values, per-set key, {args.turns} turns, whole processes")
        print("| | PostgreSQL | file |\n|---|---|---|")
        rate = lambda kind: f"{statistics.median(added[kind]):,.0f}"
        print(f"| `add`, records a second | {rate('PostgreSQL')} | {rate('file')} |")
        for probes in (1, 64):
            seconds = [f"{statistics.median(asked[kind, probes]):.2f}" for kind in added]
            print(f"| `identify`, {'one probe' if probes == 1 else f'{probes} probes'}, s | {seconds[0]} | {seconds[1]} |")


def memory(args):
    import numpy as np

    with tempfile.TemporaryDirectory(dir=args.scratch) as folder:
        at = lambda name: os.path.join(folder, name)
        call([os.path.join(args.bin, "advface-key"), "new", at("key")])
        print("| rows | file, MB | peak memory, MB | records a second |\n|---|---|---|---|")
        for rows in (args.rows // 10, args.rows):
            write_features(np, at("in.npy"), rows, 1)
            call([os.path.join(args.bin, "advface-protect"), "--in", at("in.npy"), "--out", at(f"out{rows}.npy"), "--protect", "rotation", "--rotation", "fast",
                  "--key", at("key"), "--threads", str(args.threads), "--json", at("result.json")])
            with open(at("result.json")) as file:
                said = json.load(file)
            megabytes = lambda size: f"{size / 1e6:,.0f}"
            print(f"| {rows:,} | {megabytes(os.path.getsize(at('in.npy')))} | {megabytes(said['peak_memory_bytes'])} | {said['features_per_second']:,.0f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True)
    for name, work in (("training", training), ("store", templates), ("memory", memory)):
        sub = verbs.add_parser(name)
        sub.set_defaults(work=work)
        sub.add_argument("--bin", default="build/release/bin", help="folder of the programs (default %(default)s)")
        sub.add_argument("--scratch", default=None, help="folder for the files (default: the system's)")
        if name != "memory":
            sub.add_argument("--turns", type=int, default=3)
        if name == "training":
            sub.add_argument("--ranks", type=int, default=2)
            sub.add_argument("--epochs", type=int, default=3, help="in each turn")
            sub.add_argument("settings", nargs="+", metavar="-- SETTINGS", help="of advface-train shadow, without epochs, threads and outputs")
        else:
            sub.add_argument("--rows", type=int, default=200_000 if name == "store" else 2_000_000)
            sub.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    args = parser.parse_args()
    args.work(args)


if __name__ == "__main__":
    main()
