"""What a run of `tools/gpu_check.sh all OUT` has shown, in at most 40 lines: python3 gpu_table.py OUT. Reads whatever is
there by then; what is missing is said. Python's own library alone."""

import json
import re
import sys
from pathlib import Path

MOST_LINES = 40
# Ours over PyTorch's best of that precision, or over eager; share of the roofline.
GOALS = {("W2", "bf16"): "1.30 of the best, 3.00 of eager, 0.50 of the roofline", ("W1", "f32"): "1.20 of eager"}


def text_of(file):
    return file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""


def json_of(file):
    try:
        return json.loads(text_of(file) or "null")
    except ValueError as e:
        return {"broken": f"{file.name}: {e}"}


def stages(out):
    for line in text_of(out / "stages.tsv").splitlines():
        name, code, seconds = line.split("\t")
        what = {"0": "ok", "77": "no device", "124": "ended at its time limit"}.get(code, f"failed ({code})")
        yield f"stage {name:<9} {what}, {seconds} s"


def suites(log, words=""):
    """Of Boost.Test's output: suites with how many cases failed, and the first errors."""
    parts = re.split(r"^== ", log, flags=re.M)[1:]
    for part in parts:
        name = part.splitlines()[0].split()[-1]
        cases = part.count("Leaving test case")
        errors = re.findall(r"(?:error|fatal error)[^\n]*?in \"([^\"]+)\": ([^\n]*)", re.sub(r"\x1b\[[0-9;]*m", "", part))
        end = "no errors" if "No errors detected" in part else f"{len(errors)} errors" if errors else "did not come to its end"
        yield f"{words}{name}: {cases} cases, {end}"
        for case, why in errors[:4]:
            yield f"    {case}: {why[:110]}"


def rate(rows, **wanted):
    found = [r for r in rows if all(r.get(k) == v for k, v in wanted.items()) and "units_per_s" in r]
    return max((r["units_per_s"] for r in found), default=None)


def speeds(out):
    peers = json_of(out / "peers.json") or {}
    rows = peers.get("rows", [])
    yield f"{'':5}{'':5} {'AdvFace/s':>11} {'compiled':>11} {'eager':>11} {'of best':>8} {'of eager':>8} {'of roof':>8}"
    for workload in ("W1", "W2", "W3", "W5"):
        for precision in ("f32", "bf16"):
            bench = json_of(out / f"bench-{workload}-{precision}.json") or {}
            own = [r for r in bench.get("workloads", []) if r.get("workload") == workload]
            ours = max((r["units_per_s"] for r in own), default=None)
            roof = max((max(r.get("share_of_peak", 0), r.get("share_of_copy", 0)) for r in own), default=None)
            compiled = rate(rows, workload=workload, precision=precision, peer="torch.compile + graph")
            eager = rate(rows, workload=workload, precision=precision, peer="eager")
            best = max((v for v in (compiled, eager) if v), default=None)
            if ours is None and best is None:
                continue

            def cell(value, digits=1, width=11):
                return f"{'-' if value is None else format(value, f',.{digits}f'):>{width}}"

            yield (
                f"{workload:5}{precision:5} {cell(ours)} {cell(compiled)} {cell(eager)} "
                f"{cell(ours / best if ours and best else None, 2, 8)} {cell(ours / eager if ours and eager else None, 2, 8)} "
                f"{cell(roof, 2, 8)}  {'goal: ' + GOALS[workload, precision] if (workload, precision) in GOALS else ''}"
            ).rstrip()
    for row in rows:
        if "error" in row:
            yield f"peer failed: {row['workload']} {row['precision']} {row['peer']}: {row['error'][:90]}"
    if "broken" in peers:
        yield peers["broken"]


def main():
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        sys.exit("usage: python3 gpu_table.py OUT, a folder that gpu_check.sh has written")
    out = Path(sys.argv[1])
    peers = json_of(out / "peers.json") or {}
    lines = [f"device: {text_of(out / 'device.txt').strip() or peers.get('device', 'unknown')}"]
    lines += stages(out)
    lines += suites(text_of(out / "tests.log"))
    lines += speeds(out)
    lines += suites(text_of(out / "sanitize.log"), "sanitizer, ")
    lines += [line for name in ("bench", "peers", "sanitize") for line in text_of(out / f"{name}.log").splitlines()
              if line.startswith("SKIPPED")][:4]
    if len(lines) > MOST_LINES:
        lines = lines[: MOST_LINES - 1] + [f"... {len(lines) - MOST_LINES + 1} lines more; see the logs"]
    print("\n".join(line[:150] for line in lines))


if __name__ == "__main__":
    main()
