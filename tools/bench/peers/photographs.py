"""From raw photographs to features, beside OpenCV and ONNX Runtime: read, find the face (FaceDetectorYN, longer side 640), turn it
upright (similarity to ArcFace's template), cut it out, embed it. Ours is advface-extract --detector. In turns, on the same number of
threads; nothing else should run. Needs opencv-python-headless, onnxruntime and numpy from PyPI, and a detector's card of decoding
`yunet`:

    python tools/bench/peers/photographs.py --images DIR --detector yunet.json --recogniser mobilefacenet.json
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

SIDE, LEAST_OVERLAP, MOST_CANDIDATES = 640, 0.3, 5000
TEMPLATE = [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)]  # of 112


def card(path):
    with open(path) as file:
        text = json.load(file)
    return text, os.path.join(os.path.dirname(path), text["model"])


class Peer:
    """As a user writes it: one picture after the other, the library's own threads."""

    def __init__(self, args, files):
        import cv2
        import numpy as np
        import onnxruntime as ort
        self.cv2, self.np, self.files = cv2, np, files
        cv2.setNumThreads(args.threads)
        detector, network = card(args.detector)
        if detector["decoding"] != "yunet":
            sys.exit(f"photographs.py: {args.detector}: FaceDetectorYN reads networks of the decoding yunet alone")
        self.detector = cv2.FaceDetectorYN.create(network, "", (320, 320), detector.get("score", 0.6), LEAST_OVERLAP,
                                                  MOST_CANDIDATES)
        self.card, network = card(args.recogniser)
        options = ort.SessionOptions()
        options.intra_op_num_threads = args.threads
        self.session = ort.InferenceSession(network, options, providers=["CPUExecutionProvider"])
        self.size = self.card["input"]["width"]
        self.template = np.array(TEMPLATE, np.float32) * self.size / 112

    def similarity(self, points):
        """Least squares from the face to the template (Umeyama 1991), as a 2 x 3 matrix."""
        np, p, t = self.np, points @ [1, 1j], self.template @ [1, 1j]
        a = ((p - p.mean()).conj() * (t - t.mean())).sum() / (abs(p - p.mean()) ** 2).sum()
        b = t.mean() - a * p.mean()
        return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])

    def run(self):
        """Seconds, and how many faces were embedded."""
        cv2, np = self.cv2, self.np
        given, faces = self.card["input"], 0
        start = time.perf_counter()
        for file in self.files:
            image = cv2.imread(file)
            height, width = image.shape[:2]
            zoom = min(1, SIDE / max(height, width))
            seen = cv2.resize(image, (round(width * zoom), round(height * zoom)), interpolation=cv2.INTER_AREA) if zoom < 1 else image
            self.detector.setInputSize((seen.shape[1], seen.shape[0]))
            found = self.detector.detect(seen)[1]
            if found is None:
                continue
            best = max(found, key=lambda face: face[2] * face[3])
            crop = cv2.warpAffine(image, self.similarity(best[4:14].reshape(5, 2) / zoom), (self.size, self.size))
            if given["channels"] == "RGB":
                crop = crop[..., ::-1]
            fed = ((crop.astype(np.float32) - given["mean"]) * given["scale"]).transpose(2, 0, 1)[None]
            faces += len(self.session.run(None, {given["name"]: np.ascontiguousarray(fed)})[0])
        return time.perf_counter() - start, faces


def ours(args, scratch, program):
    result = os.path.join(scratch, "result.json")
    subprocess.run([program, "--images", args.images, "--detector", args.detector, "--recogniser", args.recogniser, "--out",
                    os.path.join(scratch, "out.npy"), "--max-rejected", "1", "--threads", str(args.threads), "--json", result],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with open(result) as file:
        text = json.load(file)
    return text["seconds"], text["images"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", required=True, help="folder of photographs (.jpg)")
    parser.add_argument("--detector", required=True, help="card of a detector, decoding yunet")
    parser.add_argument("--recogniser", required=True, help="card of a recogniser that wants ArcFace's template")
    parser.add_argument("--extract", default="build/release/bin/advface-extract", help="the program (default %(default)s)")
    parser.add_argument("--before", help="another build of the program, to be compared in the same run")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=5, help="turns (default 5)")
    parser.add_argument("--json", help="also write the result to this file")
    args = parser.parse_args()
    files = sorted(os.path.join(folder, name) for folder, _, names in os.walk(args.images) for name in names
                   if name.lower().endswith((".jpg", ".jpeg", ".png")))
    try:
        peer = Peer(args, files)
    except ImportError as error:
        print(f"SKIPPED: {error}; pip install opencv-python-headless onnxruntime numpy")
        return
    contenders = {"AdvFace": lambda scratch: ours(args, scratch, args.extract)}
    if args.before:
        contenders["AdvFace, " + args.before] = lambda scratch: ours(args, scratch, args.before)
    contenders["OpenCV + ONNX Runtime"] = lambda _: peer.run()
    seconds, faces = {name: [] for name in contenders}, {}
    with tempfile.TemporaryDirectory() as scratch:
        for turn in range(args.rounds + 1):  # the first warms up
            for name, run in contenders.items():
                took, faces[name] = run(scratch)
                if turn > 0:
                    seconds[name].append(took)
    result = {"photographs": len(files), "threads": args.threads, "faces": faces, "seconds": seconds,
              "ratio": {name: statistics.median(p / o for p, o in zip(seconds[name], seconds["AdvFace"])) for name in contenders}}
    print(f"{len(files)} photographs, {args.threads} threads, medians of {args.rounds} turns\n")
    print("| | faces | photographs per s | AdvFace over it |\n|---|---|---|---|")
    for name in contenders:
        print(f"| {name} | {faces[name]} | {len(files) / statistics.median(seconds[name]):.1f} | {result['ratio'][name]:.2f} |")
    if args.json:
        with open(args.json, "w") as file:
            json.dump(result, file, indent=2)


if __name__ == "__main__":
    main()
