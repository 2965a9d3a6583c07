#!/usr/bin/env python3
"""Makes the table of docs/two-locks.md from the results that tools/experiments/two_locks.sh left in a folder: Markdown on standard
output, points for plots as frontier.csv in the folder. A candidate whose results are not there yet has empty cells."""
import csv
import json
import sys
from pathlib import Path


def load(path):
    return json.loads(path.read_text()) if path.exists() else None


def rows(result, attacker):
    """The row of this attacker that was scored as it is, and the one with the mean face's moments."""
    found = [r for r in result["rows"] if r["attacker"] == attacker and r["kind"] != "none"]
    return [next(r for r in found if r["moment_matched"] is matched) for matched in (False, True)]


def interval(value, digits=2):
    if value is None:
        return ""
    return f'{value["mean"]:.{digits}f} [{value["low"]:.{digits}f}, {value["high"]:.{digits}f}]'


def images_of(result, attacker):
    """Cosine and replay rates by the recogniser that took no part."""
    if result is None:
        return ["", "", ""], None
    row = rows(result, attacker)[0]
    replay = row["replay_rate"]["second"]
    cells = [interval(row["cosine"]["second"]), interval(replay["same_photo"]), interval(replay["other_photo"])]
    return cells, row


def main():
    folder, candidates = Path(sys.argv[1]), Path(sys.argv[2])
    names = [line.split()[0] for line in candidates.read_text().splitlines() if line.strip() and line[0] != "#"]
    head = ["candidate", "accuracy", "TAR @ FAR 1e-2", "inversion: unseen cosine", "replay same photo", "other photo",
            "behind a reader: unseen cosine", "replay same photo", "other photo", "decoder: SSIM", "matched", "unseen cosine", "rank 1"]
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    points = []
    for name in names:
        recognition, inversion, read, decoded, linkage = (load(folder / f"{name}.{kind}.json") for kind in
                                                          ("recognition", "inversion", "read", "decoded", "linkage"))
        cells, point = [name], {"name": name}
        if recognition:
            accuracy = recognition["accuracy"]
            cells += [f'{accuracy["mean"]:.4f} ± {accuracy["std"]:.4f}', f'{recognition["operating_points"]["1e-2"]["tar"]:.3f}']
            point["accuracy"] = accuracy["mean"]
        else:
            cells += ["", ""]
        worst = []
        for result, attacker in ((inversion, "inversion"), (read, "inversion")):
            found, row = images_of(result, attacker)
            cells += found
            if row:
                worst.append(row["replay_rate"]["second"]["same_photo"]["mean"])
        if decoded:
            plain, matched = rows(decoded, "decoder")
            cells += [interval(plain["ssim"], 3), interval(matched["ssim"], 3), interval(plain["cosine"]["second"])]
            point["ssim"] = matched["ssim"]["mean"]
        else:
            cells += ["", "", ""]
        cells.append(interval(max((r["rank_1"] for r in linkage["rows"] if r["kind"] != "raw"), key=lambda r: r["mean"]))
                     if linkage else "")
        print("| " + " | ".join(cells) + " |")
        if worst:
            point["replay"] = max(worst)
        points.append(point)
    with open(folder / "frontier.csv", "w", newline="", encoding="utf-8") as file:
        out = csv.DictWriter(file, ["name", "accuracy", "replay", "ssim"])
        out.writeheader()
        out.writerows(points)


main()
