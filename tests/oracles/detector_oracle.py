"""Writes oracles/detector/: what a YuNet face detector, which is not part of the project, gives for a drawn scene (outputs.npy:
the cells of strides 8, 16, 32, each with class, object, box and landmarks), and the faces that OpenCV's FaceDetectorYN finds
(faces.npy: box, landmarks, score).

    python tests/oracles/detector_oracle.py MODEL.onnx SCENE.png     (needs numpy, onnxruntime, opencv-python-headless)

SCENE.png is oracles/detector/scene.png, which test_detector writes where the environment variable ADVF_WRITE_SCENE names a file.
"""
import sys
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort

model, scene = sys.argv[1], cv2.imread(sys.argv[2])
folder = Path(__file__).parent / "detector"
height, width = scene.shape[:2]
padded = np.zeros((-(-height // 32) * 32, -(-width // 32) * 32, 3), np.float32)
padded[:height, :width] = scene
session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
names = [o.name for o in session.get_outputs()]
outputs = dict(zip(names, session.run(names, {session.get_inputs()[0].name: padded.transpose(2, 0, 1)[None]})))
detector = cv2.FaceDetectorYN.create(model, "", (width, height), 0.6, 0.3, 5000)
faces = detector.detect(scene)[1]
print(faces)
levels = [np.concatenate([outputs[f"{kind}_{stride}"][0] for kind in ("cls", "obj", "bbox", "kps")], axis=1)
          for stride in (8, 16, 32)]
np.save(folder / "outputs.npy", np.concatenate(levels).astype(np.float32))
np.save(folder / "faces.npy", faces.astype(np.float32))
