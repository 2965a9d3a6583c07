#!/usr/bin/env python3
"""Makes the tables of docs/choosing.md from the results that tools/experiments/choosing.sh left in a folder: Markdown on standard
output, curves as CSV beside the results. Differences are of the same images, intervals percentile bootstrap over people."""
import csv
import json
import random
import sys
from pathlib import Path

RESAMPLES = 2000


class Setting:
    """One choice of settings at one epsilon, as advface-evaluate scored it."""

    def __init__(self, path):
        self.name, _, self.epsilon = path.stem.rpartition("-")
        result = json.loads(path.read_text())
        self.images = result["images"]
        self.rows = {}
        for row in result["rows"]:
            kind = row["features"].split(",")[0]  # none, raw, protected or noise
            self.rows[row["attacker"], kind, row["moment_matched"]] = row
        recognition = path.with_suffix(".recognition.json")
        self.recognition = json.loads(recognition.read_text()) if recognition.exists() else None
        self.scores = {}
        with open(path.with_suffix(".tsv"), newline="") as file:
            for row in csv.DictReader(file, delimiter="\t"):
                key = row["attacker"], row["features"].split(",")[0], row["moment_matched"] == "1"
                self.scores.setdefault(key, {})[row["image"]] = row["person"], float(row["ssim"])

    def ssim(self, attacker, features, matched=False, interval=True):
        row = self.rows.get((attacker, features, matched))
        if row is None:
            return ""
        s = row["ssim"]
        return f'{s["mean"]:.3f} [{s["low"]:.3f}, {s["high"]:.3f}]' if interval else f'{s["mean"]:.3f}'

    def cosine(self, attacker, features):
        row = self.rows.get((attacker, features, False))
        return f'{row["cosine"]["deployed"]["mean"]:.3f}' if row else ""

    def kept(self):
        """Cosine of the protected features to the raw ones."""
        return f'{self.rows["transfer", "protected", False]["feature_cosine"]:.3f}'

    def accuracy_band(self):
        """Mean accuracy, and one standard deviation of the folds below and above it."""
        if not self.recognition:
            return "", "", ""
        a = self.recognition["accuracy"]
        return a["mean"], a["mean"] - a["std"], a["mean"] + a["std"]

    def accuracy(self):
        return spread(self.recognition["accuracy"]) if self.recognition else ""


def load(folder):
    settings = {}
    for path in sorted(folder.glob("*.json")):
        ours = path.with_suffix(".tsv").exists() and path.name != "thresholds.json"
        if ours:
            s = Setting(path)
            settings[s.name, s.epsilon] = s
    return settings


def spread(accuracy, digits=3):
    """Mean and standard deviation over the folds."""
    return f'{accuracy["mean"]:.{digits}f} ± {accuracy["std"]:.{digits}f}'


def difference(a, b, key):
    """Mean SSIM of a minus that of b on the images that both scored, with its interval."""
    x, y = a.scores.get(key), b.scores.get(key)
    if not x or not y:
        return None
    people = {}
    for image in x.keys() & y.keys():
        people.setdefault(x[image][0], []).append(x[image][1] - y[image][1])
    groups = [(sum(v), len(v)) for _, v in sorted(people.items())]
    mean = sum(s for s, _ in groups) / sum(n for _, n in groups)
    rng = random.Random(1)
    means = []
    for _ in range(RESAMPLES):
        drawn = rng.choices(groups, k=len(groups))
        means.append(sum(s for s, _ in drawn) / sum(n for _, n in drawn))
    means.sort()
    return mean, means[int(0.025 * RESAMPLES)], means[int(0.975 * RESAMPLES) - 1]


def text_of(d):
    return "" if d is None else f"{d[0]:+.3f} [{d[1]:+.3f}, {d[2]:+.3f}]"


def table(head, rows):
    if not rows:
        return
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print()


HEAD = ["settings", "epsilon", "cosine to z", "transfer, SSIM", "the same, matched", "adaptive, SSIM", "equal-norm noise",
        "cosine to the face: transfer, adaptive", "accuracy"]


def row_of(s):
    cosines = s.cosine("transfer", "protected") + ", " + (s.cosine("adaptive", "protected") or "-")
    return [s.name, s.epsilon, s.kept(), s.ssim("transfer", "protected"), s.ssim("transfer", "protected", True, False),
            s.ssim("adaptive", "protected"), s.ssim("transfer", "noise", False, False), cosines, s.accuracy()]


def references(settings, folder):
    first = next(iter(settings.values()))
    text = (f'Mean face: SSIM {first.ssim("mean face", "none")}. Raw features, transfer attacker: '
            f'{first.ssim("transfer", "raw")}, cosine to the face {first.cosine("transfer", "raw")}')
    path = folder / "unprotected.recognition.json"
    if path.exists():
        text += f'; accuracy {spread(json.loads(path.read_text())["accuracy"])}'
    print(text + ".\n")


# Of the settings that are not in the grid of objectives and modes: those of tables and curves of their own.
SHADOWS, STEPS = "architecture-", "steps-"


def equally_trained(settings, a, b):
    """b, or the same settings under an adaptive attacker of as few images as cycle's had."""
    few = [s for s in settings.values() if s.name.startswith("adaptive-") and s.name.endswith("-images")]
    of_cycle = a.name.startswith("cycle-") and b.name.startswith("direct-")
    return next((s for s in few if of_cycle and s.epsilon == a.epsilon), b)


def part(title, folder):
    settings = load(folder)
    if not settings:
        return
    print(f"## {title}\n")
    references(settings, folder)
    objectives = ["direct", "shadow-pair", "original", "cycle"]
    modes = ["running", "recalibrated", "batch"]
    grid = [settings[k] for o in objectives for m in modes for k in settings if k[0] == f"{o}-{m}"]
    table(HEAD, [row_of(s) for s in grid])
    rows = []
    for (name, epsilon), s in settings.items():
        for o in objectives:
            for m in modes[1:]:
                if name == f"{o}-{m}" and (f"{o}-running", epsilon) in settings:
                    rows.append((f"{o}: {m} less running", epsilon, s, settings[f"{o}-running", epsilon]))
            if o != "direct" and name == f"{o}-running" and ("direct-running", epsilon) in settings:
                rows.append((f"{o} less direct", epsilon, s, settings["direct-running", epsilon]))
    table(["difference of SSIM (negative: better protection)", "epsilon", "transfer", "transfer, matched", "adaptive"],
          [[n, e] + [text_of(difference(a, b, ("transfer", "protected", m))) for m in (False, True)] +
           [text_of(difference(a, equally_trained(settings, a, b), ("adaptive", "protected", False)))]
           for n, e, a, b in rows])
    grid = {s.name for s in grid}
    others = [s for s in settings.values() if s.name not in grid and not s.name.startswith((SHADOWS, STEPS))]
    if others:
        print("One thing changed at a time; differences to direct, running, at the same epsilon:\n")
        rows = []
        for s in others:
            base = settings.get(("direct-running", s.epsilon))
            rows.append(row_of(s) + [text_of(difference(s, base, ("transfer", "protected", m))) if base else ""
                                     for m in (False, True)])
        table(HEAD + ["difference, transfer", "matched"], rows)
    shadows([s for s in settings.values() if s.name.startswith(SHADOWS)])
    usual = [s for s in settings.values() if s.name == "direct-running"]
    curve("epsilon", [(float(s.epsilon), s) for s in usual], folder / "epsilon.csv")
    steps = [(int(s.name.removeprefix(STEPS)), s) for s in settings.values() if s.name.startswith(STEPS)]
    if steps:
        steps += [(10, s) for s in usual if s.epsilon == steps[0][1].epsilon]
        print("Steps:\n")
        table(["steps"] + HEAD[1:], [[str(n)] + row_of(s)[1:] for n, s in sorted(steps, key=lambda p: p[0])])
        curve("steps", steps, folder / "steps.csv")


def shadows(settings):
    """Shadows of one architecture against attackers of the same and of another."""
    if not settings:
        return
    print("The shadow's architecture, SSIM of two transfer attackers:\n")
    table(["shadow", "epsilon", "cosine to z", "attacker resup", "matched", "attacker deconv", "matched", "accuracy"],
          [[s.name.removeprefix(SHADOWS), s.epsilon, s.kept()] +
           [s.ssim(a, "protected", matched) for a in ("transfer", "deconv") for matched in (False, True)] + [s.accuracy()]
           for s in settings])


def lfw(folder):
    """What recognition pays on LFW, one side protected: as stored, and behind an adapter."""
    rows = []
    for path in sorted(folder.glob("lfw-*.json")):
        result = json.loads(path.read_text())
        online = "online" if result["protected"] != "none" else "nothing protected"
        for mode, r in ((online, result), ("offline", result.get("offline"))):
            if r:
                tar = r["tar_at_far"]
                rows.append([mode, f'{result["epsilon"]:g}' if "epsilon" in result else "", spread(r["accuracy"], 4),
                             f'{tar["1e-2"]:.3f}', f'{tar["1e-3"]:.3f}', f'{r["eer"]:.3f}'])
    if rows:
        print("LFW, gallery protected:\n")
        table(["mode", "epsilon", "accuracy", "TAR @ FAR 1e-2", "1e-3", "EER"], rows)


def curve(name, points, path):
    """Privacy and accuracy over one number, as CSV: a point is that number and a setting."""
    with open(path, "w", newline="") as file:
        out = csv.writer(file)
        out.writerow([name, "transfer", "transfer_low", "transfer_high", "transfer_matched",
                      "equal_norm_noise", "adaptive", "raw", "mean_face", "accuracy", "accuracy_low", "accuracy_high"])
        for x, s in sorted(points, key=lambda p: p[0]):
            mean = lambda *key: s.rows[key]["ssim"]["mean"] if key in s.rows else ""
            ssim = s.rows["transfer", "protected", False]["ssim"]
            out.writerow([x, ssim["mean"], ssim["low"], ssim["high"], mean("transfer", "protected", True),
                          mean("transfer", "noise", False), mean("adaptive", "protected", False),
                          mean("transfer", "raw", False), mean("mean face", "none", False),
                          *s.accuracy_band()])


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: choosing_table.py DIR (what tools/experiments/choosing.sh --out wrote)")
    out = Path(sys.argv[1])
    for title, name in (("FaceNet, embedding", "embedding"), ("FaceNet, MaxPool_3a_3x3", "map"),
                        ("MobileFaceNet, embedding", "mobilefacenet")):
        part(title, out / name)
        lfw(out / name)


main()
