"""What the tests start from: the folder that library_world writes (ADVFACE_TEST_WORLD), and the programs (ADVFACE_BIN)."""

import os
from pathlib import Path

import numpy as np
import pytest

import advface


@pytest.fixture(scope="session")
def world() -> Path:
    return Path(os.environ["ADVFACE_TEST_WORLD"])


@pytest.fixture(scope="session")
def recogniser(world: Path) -> advface.Recogniser:
    return advface.Recogniser(world / "toy.json")


@pytest.fixture
def key(tmp_path: Path) -> advface.Key:
    return advface.Key.new(tmp_path / "key")


def read_ppm(path: Path) -> np.ndarray:
    magic, size, most, pixels = path.read_bytes().split(b"\n", 3)
    assert magic == b"P6" and most == b"255"
    width, height = map(int, size.split())
    return np.frombuffer(pixels, np.uint8).reshape(height, width, 3)


@pytest.fixture(scope="session")
def frames(world: Path) -> np.ndarray:
    return np.stack([read_ppm(f) for f in sorted((world / "frames").iterdir())])


def unit(n: int, d: int, seed: int = 0) -> np.ndarray:
    v = np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)
    return v / np.linalg.norm(v, axis=1, keepdims=True)
