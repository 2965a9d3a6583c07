"""Workloads of advface-bench beside PyTorch and ONNX Runtime: in one run, taking turns, on the same number of threads;
and W6, which has no peer. Writes a Markdown table and JSON. tools/bench/compare.sh makes the environment that this needs."""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from typing import NamedTuple

TORCH, ORT = ["eager", "torch.compile"], ["onnxruntime"]


class Case(NamedTuple):
    workload: str
    title: str
    units: int  # images a run
    peers: list
    aim: float | None = None  # over the best peer
    aim_of_peak: float | None = None  # on a machine with AVX-512
    aim_over_f32: float | None = None  # over our own f32


CASES = [
    Case("W1", "training step, batch 32", 32, TORCH, 1.5),
    Case("W2", "PGD iteration, batch 32", 32, TORCH, 1.8, 0.95),
    Case("W3", "FaceNet forward, batch 16", 16, TORCH + ORT, 1.1, 0.95),
    Case("W3", "FaceNet forward, batch 1", 1, TORCH + ORT, 1.0, 0.70),
    Case("W4", "MobileFaceNet forward, batch 16", 16, TORCH + ORT, 1.3),
    Case("W5", "PGD iteration of maps, batch 8", 8, TORCH, 1.8),
    Case("W10", "gradient to the image of FaceNet, batch 16", 16, TORCH, 1.3, 0.85),
    Case("W11", "identity-loss training, batch 32", 32, TORCH, 1.3),
]
# The same in bf16, where the machine multiplies it; PyTorch under its autocast.
CASES_OF_BF16 = [
    Case("W2", "PGD iteration, batch 32, bf16", 32, TORCH, 1.5, aim_over_f32=1.4),
    Case("W3", "FaceNet forward, batch 16, bf16", 16, TORCH),
    Case("W10", "gradient to the image of FaceNet, batch 16, bf16", 16, TORCH),
]
ALL = list(dict.fromkeys(case.workload for case in CASES)) + ["W6"]
FACENET = ("W3", "W10", "W11")
MOST_SECONDS = 1.5  # of one contender's turn, so that all rows take minutes
HERE = os.path.dirname(os.path.abspath(__file__))


def say(text):
    print(f"== {text}", file=sys.stderr, flush=True)


class Bench:
    """advface-bench, run once per turn."""

    def __init__(self, args, scratch, precision="f32"):
        self.args, self.json, self.precision = args, os.path.join(scratch, f"bench_{precision}.json"), precision

    def run(self, text, repeat, *more):
        command = [self.args.bench, "--filter", text, "--repeat", str(repeat), "--threads", str(self.args.threads),
                   "--precision", self.precision, "--json", self.json, *more]
        if self.args.facenet:
            command += ["--facenet", self.args.facenet]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        with open(self.json) as file:
            return json.load(file)

    def why_not(self):
        """Why this machine cannot run it in this precision; empty where it can."""
        command = [self.args.bench, "--filter", "no row of this name", "--precision", self.precision]
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        return done.stderr.strip() if done.returncode else ""

    def variant(self, workload, units):
        """Planned where there is a plan for it."""
        return next((v for v in ("plan", "eager") if self.rows(workload, v, units, 1)), None)

    def rows(self, workload, variant, units, repeat):
        rows = self.run(f"{workload} {variant} ", repeat)["workloads"]
        return [r for r in rows if r["units"] == units]


class Own:
    """A contender of ours."""

    def __init__(self, name, bench, workload, units, variant):
        self.name, self.bench, self.case = name, bench, (workload, variant, units)
        self.last = None  # what its last turn said

    def run_seconds(self):
        return self.bench.rows(*self.case, 1)[0]["min_s"]

    def measure(self, repeat):
        (self.last,) = self.bench.rows(*self.case, repeat)
        return self.last["median_s"]

    def close(self):
        pass


class Peer:
    """One contender in a process of its own, which waits while the others are measured."""

    def __init__(self, name, workload, batch, args, onnx, precision):
        command = [sys.executable, os.path.join(HERE, "worker.py"), name, workload, "--batch", str(batch), "--threads",
                   str(args.threads), "--precision", precision]
        self.name = name
        self.process = subprocess.Popen(command + (["--onnx", onnx] if onnx else []), text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
                                        if not args.verbose else None)

    def run_seconds(self):
        """What it says first."""
        return float(self.answer())

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            _, errors = self.process.communicate()
            sys.exit(f"compare.py: {self.name} failed:\n{(errors or '')[-3000:]}")
        return line

    def measure(self, repeat):
        self.process.stdin.write(f"{repeat}\n")
        self.process.stdin.flush()
        return statistics.median(json.loads(self.answer()))

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def repeats(args, seconds):
    return max(1, min(args.repeat, int(MOST_SECONDS / seconds)))


def compare(case, args, bench, networks, f32=None):
    """f32: our own contender in f32, of a case in bf16."""
    workload, title, units, names = case.workload, case.title, case.units, case.peers
    onnx = networks.get(workload)
    if workload in FACENET and not onnx:
        say(f"{workload} {title}: skipped; give FaceNet's card with --facenet")
        return None
    say(f"{workload} {title}: preparing")
    variant = bench.variant(workload, units)
    ours = Own("ours", bench, workload, units, variant)
    others = [Peer(name, workload, units, args, onnx, bench.precision) for name in names]
    if f32:
        others.append(Own("f32", f32, workload, units, variant))
    counts = {c.name: repeats(args, c.run_seconds()) for c in [ours, *others]}
    times, shares, floors = {c.name: [] for c in [ours, *others]}, [], []
    for turn in range(args.rounds):
        times["ours"].append(ours.measure(counts["ours"]))
        shares.append(ours.last["share_of_peak"])
        floors.append((ours.last["floor_flops_s"], ours.last["floor_bytes_s"]))
        # Not always the same one after ours.
        for other in others[turn % len(others):] + others[:turn % len(others)]:
            times[other.name].append(other.measure(counts[other.name]))
    for other in others:
        other.close()
    ratios = {o.name: statistics.median(t / own for t, own in zip(times[o.name], times["ours"])) for o in others}
    best = min(names, key=lambda name: statistics.median(times[name]))
    result = {"workload": workload, "case": title, "units": units, "variant": variant, "precision": bench.precision,
              "seconds": times, "repeat": counts, "aim": case.aim, "aim_of_peak": case.aim_of_peak,
              "aim_over_f32": case.aim_over_f32,
              "median_s": {name: statistics.median(t) for name, t in times.items()},
              "min_s": {name: min(t) for name, t in times.items()}, "speed_over": ratios, "best_peer": best,
              "share_of_peak": statistics.median(shares),
              "floor_flops_s": statistics.median(f[0] for f in floors),
              "floor_bytes_s": statistics.median(f[1] for f in floors)}
    say(f"{workload} {title}: " + ", ".join(f"{ratio:.2f} x {name}" for name, ratio in ratios.items()))
    return result


def processor():
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()


def machine(args, bench):
    measured = bench.run("no row of this name", 9)
    packages = {p: metadata.version(p) for p in ("torch", "onnxruntime", "onnx", "numpy")}
    commit = subprocess.run(["git", "-C", HERE, "describe", "--always", "--dirty"], capture_output=True, text=True)
    return {"processor": processor(), "cores": os.cpu_count(), "threads": args.threads,
            "system": platform.system(), "kernels": measured["kernels"],
            "peak_flops": measured["peak_flops"], "copy_bytes_per_s": measured["copy_bytes_per_s"],
            "python": platform.python_version(), "packages": packages, "commit": commit.stdout.strip(),
            "date": time.strftime("%Y-%m-%d"), "rounds": args.rounds, "repeat": args.repeat}


def aimed_at(aim, reached):
    if aim is None:
        return ""
    return f"{aim:.2f}" if reached >= aim else f"{aim:.2f}: **short**"


def markdown(result):
    m = result["machine"]
    out = [f"{m['date']}, commit {m['commit']}. {m['processor']}, {m['cores']} cores, {m['threads']} threads, "
           f"{m['kernels']} kernels, {m['system']}; peak {m['peak_flops'] / 1e9:.0f} GFLOP/s, copy "
           f"{m['copy_bytes_per_s'] / 1e9:.1f} GB/s. PyTorch {m['packages']['torch']}, ONNX Runtime "
           f"{m['packages']['onnxruntime']}, Python {m['python']}. Medians of {m['rounds']} turns of {m['repeat']} "
           f"runs each, or as many as {MOST_SECONDS} s hold; images (or image-iterations) per second; ratios are medians of the turns' own, above 1 where "
           "AdvFace is faster.", "",
           "| | AdvFace | PyTorch | torch.compile | ONNX Runtime | over PyTorch | over torch.compile | over ONNX Runtime | "
           "aimed at |",
           "|---|---|---|---|---|---|---|---|---|"]
    columns = TORCH + ORT
    in_f32 = [c for c in result["compared"] if c["precision"] == "f32"]
    in_bf16 = [c for c in result["compared"] if c["precision"] == "bf16"]
    for c in in_f32:
        rate = {name: f"{c['units'] / s:.1f}" for name, s in c["median_s"].items()}
        ours = rate["ours"] + (" (eager)" if c["variant"] == "eager" else "")
        ratio = {name: f"**{r:.2f}**" if name == c["best_peer"] else f"{r:.2f}" for name, r in c["speed_over"].items()}
        out.append(" | ".join([f"| {c['workload']} {c['case']}", ours, *(rate.get(n, "") for n in columns),
                               *(ratio.get(n, "") for n in columns),
                               aimed_at(c["aim"], c["speed_over"][c["best_peer"]])]) + " |")
    out += ["", "Bold: the best peer. What a run could not be faster than, beside what it took, in ms; FLOPs are those of "
            "direct convolutions, of which Winograd's need fewer:", "",
            "| | AdvFace | FLOPs at the peak | bytes at copy speed | share of the peak | aimed at (AVX-512) |",
            "|---|---|---|---|---|---|"]
    for c in in_f32:
        out.append(f"| {c['workload']} {c['case']} | {c['median_s']['ours'] * 1e3:.1f} | "
                   f"{c['floor_flops_s'] * 1e3:.1f} | {c['floor_bytes_s'] * 1e3:.1f} | {c['share_of_peak']:.2f} | "
                   f"{aimed_at(c['aim_of_peak'] if m['kernels'] == 'avx512' else None, c['share_of_peak'])} |")
    if in_bf16:
        out += ["", f"In bf16, peak {m['bf16_peak_flops'] / 1e9:.0f} GFLOP/s; PyTorch under its autocast. The share is of that "
                "peak:", "",
                "| | AdvFace | PyTorch | torch.compile | over PyTorch | over torch.compile | aimed at | over our f32 | aimed at | "
                "share of the peak |", "|---|---|---|---|---|---|---|---|---|---|"]
        for c in in_bf16:
            rate = {name: f"{c['units'] / s:.1f}" for name, s in c["median_s"].items()}
            ratio = {name: f"{r:.2f}" for name, r in c["speed_over"].items()}
            out.append(" | ".join([f"| {c['workload']} {c['case']}", rate["ours"], *(rate[n] for n in TORCH),
                                   *(ratio[n] for n in TORCH), aimed_at(c["aim"], c["speed_over"][c["best_peer"]]),
                                   ratio["f32"], aimed_at(c["aim_over_f32"], c["speed_over"]["f32"]),
                                   f"{c['share_of_peak']:.2f}"]) + " |")
    if result["protect"]:
        out += ["", "W6, protecting with the 64x64 decoder:", "", "| | s | per s | |", "|---|---|---|---|"]
        for r in result["protect"]:
            notes = []
            if "own_per_s" in r:
                notes.append(f"the plans alone {r['own_per_s']:.1f} per s: {r['share_of_own']:.3f} of it from start to "
                             f"end, {r['features_per_second'] / r['own_per_s']:.3f} by its own clock")
            if "peak_memory_bytes" in r:
                notes.append(f"{r['peak_memory_bytes'] / 2**20:.0f} MiB at most")
            if r["flops"]:
                notes.append(f"{r['share_of_peak']:.2f} of the peak")
            out.append(f"| {r['variant']}: {r['case']} | {r['median_s']:.3f} | {r['units_per_s']:.1f} {r['unit']} | "
                       f"{'; '.join(notes)} |")
    return "\n".join(out) + "\n"


def put_into(path, table):
    """Between the two marks of the document."""
    begin, end = "<!-- measured: begin -->\n", "<!-- measured: end -->"
    with open(path) as file:
        text = file.read()
    if begin not in text or end not in text:
        sys.exit(f"compare.py: {path}: has no lines {begin.strip()} and {end}")
    head, rest = text.split(begin, 1)
    with open(path, "w") as file:
        file.write(head + begin + "\n" + table + "\n" + end + rest.split(end, 1)[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bench", required=True, help="the program advface-bench")
    parser.add_argument("--facenet", help=f"card of FaceNet, for {', '.join(FACENET)}")
    parser.add_argument("--workloads", default=",".join(ALL), help=f"some of {', '.join(ALL)} (default: all)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=5, help="turns (default 5)")
    parser.add_argument("--repeat", type=int, default=5, help="runs per turn at most (default 5)")
    parser.add_argument("--out", default="compare", help="writes OUT.md and OUT.json")
    parser.add_argument("--document", help="a Markdown file: the tables go between its marks")
    parser.add_argument("--verbose", action="store_true", help="show what the peers say on stderr")
    args = parser.parse_args()
    wanted = args.workloads.split(",")
    for name in wanted:
        if name not in ALL:
            parser.error(f"--workloads: there is no {name}; there are {', '.join(ALL)}")
    with tempfile.TemporaryDirectory(dir=os.path.dirname(os.path.abspath(args.out))) as scratch:
        bench = Bench(args, scratch)
        networks = {"W4": os.path.join(scratch, "mobilefacenet.onnx")}
        subprocess.run([args.bench, "--write-mobilefacenet", networks["W4"]], check=True)
        if args.facenet:
            with open(args.facenet) as file:
                networks.update(dict.fromkeys(FACENET, os.path.join(os.path.dirname(args.facenet),
                                                                    json.load(file)["model"])))
        result = {"machine": machine(args, bench), "compared": [], "protect": []}
        for case in CASES:
            if case.workload in wanted:
                compared = compare(case, args, bench, networks)
                result["compared"] += [compared] if compared else []
        bf16 = Bench(args, scratch, "bf16")
        of_bf16 = [case for case in CASES_OF_BF16 if case.workload in wanted]
        if of_bf16 and (why := bf16.why_not()):
            say(f"bf16: skipped; {why}")
        elif of_bf16:
            result["machine"]["bf16_peak_flops"] = bf16.run("no row of this name", 9)["peak_flops"]
            for case in of_bf16:
                compared = compare(case, args, bf16, networks, f32=bench)
                result["compared"] += [compared] if compared else []
        if "W6" in wanted:
            say("W6 protecting features, with advface-protect")
            result["protect"] = bench.run("W6", 3, "--scratch", scratch)["workloads"]
    table = markdown(result)
    with open(args.out + ".json", "w") as file:
        json.dump(result, file, indent=2)
    with open(args.out + ".md", "w") as file:
        file.write(table)
    if args.document:
        put_into(args.document, table)
    print(table, end="")


if __name__ == "__main__":
    main()
