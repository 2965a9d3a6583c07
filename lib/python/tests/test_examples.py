"""The examples, as somebody runs them who has read about them; and the programs behind the package."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import advface

EXAMPLES = Path(__file__).parents[1] / "examples"


def example(name, *arguments):
    done = subprocess.run([sys.executable, EXAMPLES / name, *arguments], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_embeddings_to_store(tmp_path):
    assert "50 of 50 are found" in example("embeddings_to_store.py", tmp_path / "out")


def test_shadow_and_attacker(tmp_path, world):
    example("shadow_and_attacker.py", world / "toy.json", tmp_path / "out")
    rows = [line.split(",") for line in (tmp_path / "out/attack.csv").read_text().splitlines()[1:]]
    errors = [float(r[1]) for r in rows]
    assert errors == sorted(errors) and errors[-1] > errors[0]  # noise that is moved against a shadow harms him
    assert "<svg" in (tmp_path / "out/attack.svg").read_text()
    assert list(advface.Decoder(tmp_path / "out/attacker.safetensors").info["feature"]) == [12]


def test_training_on_features_of_somebody_else(tmp_path, world, recogniser):
    """Those of the recogniser, given as an array, are what it computes itself: the same weights, bit for bit."""
    random = np.random.default_rng(0)
    faces = random.integers(0, 256, (60, 16, 16, 3), dtype=np.uint8)
    who = [f"p{i // 2:02}" for i in range(60)]
    options = {"epochs": 1, "batch": 16, "image_size": 32}
    for name, features in (("a", None), ("b", recogniser.extract(faces))):
        advface.train_shadow(
            faces, who, world / "toy.json", tmp_path / f"{name}.safetensors", features=features, **options
        )
    features = recogniser.extract(faces)
    a, b = (advface.Decoder(tmp_path / f"{n}.safetensors").reconstruct(features) for n in "ab")
    assert np.array_equal(a, b)
    for spoilt, words in ((faces[0], "(N, H, W, 3)"), (faces.astype(float), "uint8"), (faces[:5], "60 people")):
        with pytest.raises(advface.InvalidArgument) as told:
            advface.write_faces(tmp_path / "f", spoilt, who)
        assert words in str(told.value)
    for name in ("../outside", str(tmp_path / "outside"), "..", "", "a\0b"):  # a name is data, and no way out of the folder
        with pytest.raises(advface.InvalidArgument, match="cannot have a folder"):
            advface.write_faces(tmp_path / "f", faces[:1], [name])
    assert not (tmp_path / "outside").exists()


def test_programs_that_fail(tmp_path, monkeypatch):
    with pytest.raises(advface.ProgramFailed, match="--epochs") as told:
        advface.run("train", "shadow", "--epochs", "x")
    assert told.value.code == 2
    with pytest.raises(advface.ProgramFailed, match="nowhere"):
        advface.audit(tmp_path / "nowhere.json", out=tmp_path / "report")
    monkeypatch.setenv("ADVFACE_BIN", os.fspath(tmp_path))
    with pytest.raises(FileNotFoundError, match="ADVFACE_BIN"):
        advface.program("train")


def test_reports(tmp_path):
    (tmp_path / "report.json").write_text(json.dumps({"format": "advface-audit-report", "verdicts": []}))
    report = advface.read_report(tmp_path)
    assert report["verdicts"] == [] and report.page == tmp_path / "report.html"
    (tmp_path / "report.json").write_text('{"format": "other"}')
    with pytest.raises(advface.Failed, match="no report"):
        advface.read_report(tmp_path)
    with pytest.raises(advface.Failed, match="cannot be read"):
        advface.read_report(tmp_path / "none.json")
