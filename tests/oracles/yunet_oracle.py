"""Writes yunet.safetensors: what onnxruntime computes of synthetic images with a YuNet face detector, which is not part of
the project. Keys: <height>x<width>.<output>. The test makes the same images.

    python tests/oracles/yunet_oracle.py MODEL.onnx        (needs numpy, onnxruntime and safetensors)
"""
import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort
from safetensors.numpy import save_file

session = ort.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
saved = {}
for height, width in ((96, 64), (64, 128)):
    c, y, x = np.meshgrid(np.arange(3), np.arange(height), np.arange(width), indexing="ij")
    image = ((7 * x + 13 * y + 29 * c + x * y // 5) % 256).astype(np.float32)[None]
    names = [o.name for o in session.get_outputs()]
    for name, value in zip(names, session.run(names, {session.get_inputs()[0].name: image})):
        saved[f"{height}x{width}.{name}"] = value
path = Path(__file__).parent / "yunet.safetensors"
save_file(saved, path)
print(len(saved), "outputs,", path.stat().st_size, "bytes")
